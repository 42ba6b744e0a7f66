//! Hashes by which equal requests are found, without a way back to their text.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use highway::{HighwayHash, HighwayHasher, Key};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a body its prefix is, in bytes.
const PREFIX: usize = 4_096;

/// A secret by which bodies are hashed. Who does not have it cannot tell from a hash whether a guess is right.
///
/// Hashes of one key can be compared, those of two cannot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey([u64; 4]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl HashKey {
    /// Makes a key from the system's randomness.
    pub fn random() -> Self {
        // Each state is keyed with 128 random bits; what is hashed with it only tells the words apart.
        Self([0, 1, 2, 3].map(|word: u64| RandomState::new().build_hasher().with(word)))
    }

    /// Takes a key that was kept.
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// Returns the key, to keep it.
    pub const fn to_words(self) -> [u64; 4] {
        self.0
    }

    /// Hashes a body and, if it is longer than that, its first 4,096 bytes.
    ///
    /// The hash is [HighwayHash](https://arxiv.org/abs/1612.06257) with 64 bits.
    ///
    /// # Examples
    /// ```
    /// use thrifty::ledger::HashKey;
    ///
    /// let key = HashKey::random();
    /// let (body, prefix) = key.hash(b"a short body");
    /// assert_eq!((body, prefix), (key.hash(b"a short body").0, None));
    /// assert_ne!(HashKey::random().hash(b"a short body").0, body);
    /// ```
    pub fn hash(&self, body: &[u8]) -> (BodyHash, Option<BodyHash>) {
        let mut hasher = HighwayHasher::new(Key(self.0));
        let (prefix, rest) = body.split_at_checked(PREFIX).unwrap_or((body, &[]));
        hasher.append(prefix);
        if rest.is_empty() {
            return (BodyHash(hasher.finalize64()), None);
        }
        let of_prefix = BodyHash(hasher.clone().finalize64());
        hasher.append(rest);
        (BodyHash(hasher.finalize64()), Some(of_prefix))
    }
}

trait With {
    fn with(self, word: u64) -> u64;
}

impl<H: Hasher> With for H {
    fn with(mut self, word: u64) -> u64 {
        self.write_u64(word);
        self.finish()
    }
}

/// A keyed hash of a request's body, as 16 hexadecimal digits in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyHash(u64);

impl BodyHash {
    /// Returns the 64 bits.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Takes 64 bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for BodyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BodyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bits = u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16);
        let wrong = || serde::de::Error::custom("a hash of a body has 16 hexadecimal digits");
        bits.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_begin_alike_have_the_same_prefix() {
        let key = HashKey::random();
        let [mut one, mut other] = [(); 2].map(|()| vec![b'x'; PREFIX]);
        assert_eq!(key.hash(&one).1, None);
        one.push(b'1');
        other.push(b'2');
        let (one, other) = (key.hash(&one), key.hash(&other));
        assert_ne!(one.0, other.0);
        assert!(one.1.is_some() && one.1 == other.1);
        let again = HashKey::from_words(key.to_words());
        assert_eq!(again.hash(b"y"), key.hash(b"y"));
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_does() {
        let hash = BodyHash::from_bits(0x00ab_cdef);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, "\"0000000000abcdef\"");
        assert_eq!(serde_json::from_str::<BodyHash>(&json).unwrap(), hash);
        for wrong in [
            "\"\"",
            "\"abcdef\"",
            "\"+000000000abcdef\"0",
            "7",
            "\"xxxxxxxxxxxxxxxx\"",
        ] {
            assert!(serde_json::from_str::<BodyHash>(wrong).is_err(), "{wrong}");
        }
    }
}
