//! Requests of a snapshot that have nothing but their line, in 40 bytes each: a million of them are read at once.

use serde::{Deserialize, Serialize};

use super::journal_line::LaneLine;
use crate::attribution::Attribution;
use crate::batch::store::{Content, Extent, StoredRequest};
use crate::id::RequestId;

/// Id (16 bytes), file, first byte, length, CRC-32C, lane and inputs (4 bytes each), all with the high byte first.
pub(super) const WIDTH: usize = 40;

/// Requests that lie side by side in a file of packed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packed {
    /// How many there are.
    pub(super) count: u32,
    /// The CRC-32C of all of them.
    pub(super) crc: u32,
}

/// Puts a request at the end, if it has nothing that does not fit.
pub(super) fn pack(request: &StoredRequest, lane: u32, to: &mut Vec<u8>) -> Option<()> {
    let extent = request.line.extent()?;
    let plain = request.attribution == Attribution::default();
    if !plain || request.deadline.is_some() || request.key.is_some() {
        return None;
    }
    to.extend_from_slice(&request.id.to_bytes());
    let inputs = u32::from(request.inputs);
    for number in [extent.file, extent.offset, extent.len, extent.crc, lane, inputs] {
        to.extend_from_slice(&number.to_be_bytes());
    }
    Some(())
}

/// Reads what was packed; `None` if it is in no lane that is known.
pub(super) fn unpack<'a>(bytes: &[u8], lanes: &'a [LaneLine]) -> Option<(StoredRequest, &'a LaneLine)> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let mut numbers = rest
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_be_bytes(*bytes));
    let extent = Extent::new(numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
    let number = numbers.next()?;
    let in_place = lanes.get(number as usize).filter(|lane| lane.lane == number);
    let lane = in_place.or_else(|| lanes.iter().find(|lane| lane.lane == number))?;
    let request = StoredRequest {
        id: RequestId::from_bytes(*id),
        endpoint: lane.endpoint.clone(),
        model: lane.model.clone(),
        line: Content::Stored(extent),
        inputs: u16::try_from(numbers.next()?).ok()?,
        attribution: Attribution::default(),
        deadline: None,
        key: None,
    };
    Some((request, lane))
}
