//! Many ids in few bytes: runs of them, each written as its difference from the one before, and all of it as base64.
//!
//! Ids of one process that were made together differ in their low milliseconds and in a counter only: in a run the counter
//! grows by one.

use std::borrow::Cow;
use std::iter::successors;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::id::RequestId;

/// How many ids follow the first one of a run at most, so that a few damaged bytes make no room for millions.
const MORE: usize = 255;

pub(super) fn serialize<S: Serializer>(ids: &[RequestId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD_NO_PAD.encode(pack(ids)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RequestId>, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let bytes = STANDARD_NO_PAD.decode(&*text).map_err(D::Error::custom)?;
    unpack(&bytes).ok_or_else(|| D::Error::custom("not a list of packed ids"))
}

/// The three parts of an id: milliseconds with the counter, and the process.
const fn parts(bits: u128) -> (u64, u32, u64) {
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

const fn bits(id: RequestId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

/// Returns the id that comes after another one in a run.
const fn next(bits: u128) -> u128 {
    bits.wrapping_add(1 << 48)
}

fn pack(ids: &[RequestId]) -> Vec<u8> {
    let mut packed = Vec::new();
    let (mut millis, mut count, mut process) = (0_u64, 0_u32, 0_u64);
    let mut rest = ids;
    while let Some((first, after)) = rest.split_first() {
        let mut last = bits(*first);
        let (m, c, p) = parts(last);
        // One bit says whether the process is another one than before. There is room for it: milliseconds have 48.
        let step = zigzag(m.wrapping_sub(millis).cast_signed());
        write(&mut packed, (step << 1) | u64::from(p != process));
        write(&mut packed, c.wrapping_sub(count).into());
        if p != process {
            write(&mut packed, p);
        }
        let mut more = 0;
        for id in after.iter().take(MORE) {
            if bits(*id) != next(last) {
                break;
            }
            last = next(last);
            more += 1;
        }
        packed.push(u8::try_from(more).unwrap_or(u8::MAX));
        rest = after.get(more..).unwrap_or_default();
        (millis, count, process) = parts(last);
    }
    packed
}

fn unpack(mut bytes: &[u8]) -> Option<Vec<RequestId>> {
    let mut ids = Vec::new();
    let (mut millis, mut count, mut process) = (0_u64, 0_u32, 0_u64);
    while !bytes.is_empty() {
        let first = read(&mut bytes)?;
        millis = millis.wrapping_add(unzigzag(u64::try_from(first >> 1).ok()?).cast_unsigned());
        count = count.wrapping_add(u32::try_from(read(&mut bytes)?).ok()?);
        if first & 1 == 1 {
            process = u64::try_from(read(&mut bytes)?).ok()?;
        }
        let more;
        (more, bytes) = bytes.split_first().map(|(more, rest)| (*more, rest))?;
        let bits = (u128::from(millis) << 80) | (u128::from(count) << 48) | u128::from(process);
        let run = successors(Some(bits), |bits| Some(next(*bits))).take(usize::from(more) + 1);
        ids.extend(run.map(|bits| RequestId::from_bytes(bits.to_be_bytes())));
        let last = bits.wrapping_add(u128::from(more) << 48);
        (millis, count, process) = parts(last);
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
    use serde::Serialize;

    use super::*;
    use crate::clock::Timestamp;

    fn ids_of(runs: Vec<([u8; 16], u8)>) -> Vec<RequestId> {
        let run = |(first, more): ([u8; 16], u8)| {
            let ids = successors(Some(u128::from_be_bytes(first)), |bits| Some(next(*bits)));
            ids.take(usize::from(more) + 1 + usize::from(more > 250) * 300)
        };
        let bits = runs.into_iter().flat_map(run);
        bits.map(|bits| RequestId::from_bytes(bits.to_be_bytes()))
            .collect()
    }

    proptest! {
        #[test]
        fn ids_come_back_as_they_were(runs in proptest::collection::vec(any::<([u8; 16], u8)>(), 0..40)) {
            let ids = ids_of(runs);
            prop_assert_eq!(unpack(&pack(&ids)).unwrap(), ids);
        }

        #[test]
        fn whatever_is_read_is_no_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(#[serde(with = "super")] Vec<RequestId>);

    #[test]
    fn a_run_of_two_ids_takes_three_bytes() {
        let ids = [1_u128, 2].map(|count| RequestId::from_bytes(((7 << 80) | (count << 48)).to_be_bytes()));
        let list = List(ids.into());
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(text, r#""HAEB""#);
        assert_eq!(serde_json::from_str::<List>(&text).unwrap(), list);
    }

    #[test]
    fn ids_that_were_made_together_take_a_few_bytes_a_millisecond() {
        let at = |n: i64| Timestamp::from_unix_millis(1_790_000_000_000 + n / 300);
        let ids: Vec<_> = (0..3_000).map(|n| RequestId::new(at(n))).collect();
        let packed = pack(&ids).len();
        // Other tests take ids meanwhile.
        assert!(packed < 2_000, "{packed}");
    }
}
