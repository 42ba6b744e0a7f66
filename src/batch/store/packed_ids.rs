//! Many ids in few bytes: each is written as its difference from the one before, and all of them as base64.
//!
//! Ids of one process that were made together differ in their low milliseconds and in a counter only.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::id::RequestId;

pub(super) fn serialize<S: Serializer>(ids: &[RequestId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD_NO_PAD.encode(pack(ids)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RequestId>, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let bytes = STANDARD_NO_PAD.decode(&*text).map_err(D::Error::custom)?;
    unpack(&bytes).ok_or_else(|| D::Error::custom("not a list of packed ids"))
}

/// The three parts of an id: milliseconds with the counter, and the process.
const fn parts(id: RequestId) -> (u64, u32, u64) {
    let bits = u128::from_be_bytes(id.to_bytes());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each part is cut to its own width"
    )]
    let parts = (
        (bits >> 80) as u64,
        (bits >> 48) as u32,
        bits as u64 & 0xffff_ffff_ffff,
    );
    parts
}

fn pack(ids: &[RequestId]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(ids.len() * 4 + 16);
    let (mut millis, mut count, mut process) = (0_u64, 0_u32, 0_u64);
    for id in ids {
        let (m, c, p) = parts(*id);
        // One bit says whether the process is another one than before. There is room for it: milliseconds have 48.
        let step = zigzag(m.wrapping_sub(millis).cast_signed());
        write(&mut packed, (step << 1) | u64::from(p != process));
        write(&mut packed, c.wrapping_sub(count).into());
        if p != process {
            write(&mut packed, p);
        }
        (millis, count, process) = (m, c, p);
    }
    packed
}

fn unpack(mut bytes: &[u8]) -> Option<Vec<RequestId>> {
    let mut ids = Vec::with_capacity(bytes.len() / 3);
    let (mut millis, mut count, mut process) = (0_u64, 0_u32, 0_u64);
    while !bytes.is_empty() {
        let first = read(&mut bytes)?;
        millis = millis.wrapping_add(unzigzag(u64::try_from(first >> 1).ok()?).cast_unsigned());
        count = count.wrapping_add(u32::try_from(read(&mut bytes)?).ok()?);
        if first & 1 == 1 {
            process = u64::try_from(read(&mut bytes)?).ok()?;
        }
        let bits = (u128::from(millis) << 80) | (u128::from(count) << 48) | u128::from(process);
        ids.push(RequestId::from_bytes(bits.to_be_bytes()));
    }
    Some(ids)
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Seven bits a byte, the low ones first; the high bit says that there are more.
fn write(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

fn read(from: &mut &[u8]) -> Option<u128> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;

    proptest! {
        #[test]
        fn ids_come_back_as_they_were(bits in proptest::collection::vec(any::<[u8; 16]>(), 0..40)) {
            let ids: Vec<_> = bits.into_iter().map(RequestId::from_bytes).collect();
            prop_assert_eq!(unpack(&pack(&ids)).unwrap(), ids);
        }

        #[test]
        fn whatever_is_read_is_no_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn ids_that_were_made_together_take_two_bytes_each() {
        let now = Timestamp::from_unix_millis(1_790_000_000_000);
        let ids: Vec<_> = (0..1_000).map(|_| RequestId::new(now)).collect();
        assert!(pack(&ids).len() < 2_100, "{}", pack(&ids).len());
    }
}
