//! Ids that sort by time, made without coordination.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A text that is not an id: 26 characters of Crockford's base 32 were expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 26 base-32 characters: {text:?}")]
pub struct ParseIdError {
    text: String,
}

/// A 128-bit value: 48 bits of milliseconds, 48 bits that are random for each process, 32 bits of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct TimeOrdered(u128);

static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    // `RandomState` is keyed from the system's randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
});
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl TimeOrdered {
    fn new(now: Timestamp) -> Self {
        let millis = u128::from(u64::try_from(now.as_unix_millis()).unwrap_or(0)) & ((1 << 48) - 1);
        let process = u128::from(*PROCESS >> 16);
        let count = u128::from(COUNTER.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
        // The counter stands before the process's bits, so that ids of one process sort as they were made.
        Self((millis << 80) | (count << 48) | process)
    }

    fn encode(self) -> [u8; 26] {
        let mut text = [b'0'; 26];
        // Twelve digits are 60 bits: parts that fit into 64 are much faster than the whole.
        let part = |shift: u32| u64::try_from((self.0 >> shift) & ((1 << 60) - 1)).unwrap_or(0);
        let (high, rest) = text.split_at_mut(2);
        let (middle, low) = rest.split_at_mut(12);
        for (digits, mut bits) in [(high, part(120)), (middle, part(60)), (low, part(0))] {
            for place in digits.iter_mut().rev() {
                let digit = usize::from(bits.to_le_bytes()[0] & 31);
                *place = ALPHABET.get(digit).copied().unwrap_or(b'0');
                bits >>= 5;
            }
        }
        text
    }

    fn decode(text: &str) -> Result<Self, ParseIdError> {
        let wrong = || ParseIdError {
            text: text.chars().take(40).collect(),
        };
        if text.len() != 26 || text.as_bytes().first().is_some_and(|first| *first > b'7') {
            return Err(wrong());
        }
        text.bytes()
            .try_fold(0_u128, |value, byte| {
                let digit = ALPHABET
                    .iter()
                    .position(|known| *known == byte)
                    .ok_or_else(wrong)?;
                Ok((value << 5) | u128::try_from(digit).unwrap_or(0))
            })
            .map(Self)
    }

    fn fmt(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.encode()).unwrap_or(""))
    }
}

macro_rules! time_ordered_id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        ///
        /// Printed as 26 characters that sort by time, as a ULID does. Unique without coordination, not a secret.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(TimeOrdered);

        impl $name {
            /// Makes a new id for this moment.
            pub fn new(now: Timestamp) -> Self {
                Self(TimeOrdered::new(now))
            }

            /// Returns the 128 bits, in the order in which ids sort.
            #[allow(dead_code, reason = "not every kind of id is kept in such a form")]
            pub(crate) const fn to_bytes(self) -> [u8; 16] {
                self.0.0.to_be_bytes()
            }

            /// Returns the 26 characters that it is printed as.
            #[allow(dead_code, reason = "as above")]
            pub(crate) fn encode(self) -> [u8; 26] {
                self.0.encode()
            }

            /// Takes the bits that [`to_bytes`](Self::to_bytes) returned.
            #[allow(dead_code, reason = "not every kind of id is kept in such a form")]
            pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(TimeOrdered(u128::from_be_bytes(bytes)))
            }

            /// Returns the moment in the id.
            pub fn timestamp(self) -> Timestamp {
                Timestamp::from_unix_millis(i64::try_from(self.0.0 >> 80).unwrap_or(i64::MAX))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                TimeOrdered::decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(std::str::from_utf8(&self.0.encode()).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

time_ordered_id! {
    /// Names one row of a ledger.
    EntryId
}
time_ordered_id! {
    /// Names one operation: what the caller asked for once, however many models were called for it.
    OpId
}
time_ordered_id! {
    /// Names one request that waits for, or rides, a batch.
    RequestId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_process_sort_as_they_were_made() {
        let ids: Vec<_> = (0..1_000)
            .map(|i| EntryId::new(Timestamp::from_unix_millis(i / 100)))
            .collect();
        assert!(ids.is_sorted());
        let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted());
    }

    #[test]
    fn the_text_of_an_id_reads_back() {
        let id = OpId::new(Timestamp::from_unix_millis(1_790_000_000_123));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.timestamp(), Timestamp::from_unix_millis(1_790_000_000_123));
        for wrong in [
            "",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000u",
            "éééééééééééééé",
        ] {
            assert!(wrong.parse::<OpId>().is_err(), "{wrong}");
        }
    }
}
