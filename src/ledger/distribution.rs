//! How values are spread, in integers.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Each power of two is split into this many buckets, as a power of two.
const SPLIT_BITS: u32 = 5;

/// The bucket of the largest value, and one more.
const BUCKETS: usize = 60 << SPLIT_BITS;

/// How the values of some entries are spread: costs in pico-dollars, or latencies in milliseconds.
///
/// Values are counted in buckets that are at most 1/32 of their value wide; below 32 a bucket is one value. Merging is
/// exact: the distribution of a whole is the merged distributions of its parts, in any order. The buckets are those of
/// [HdrHistogram](https://hdrhistogram.org) with five bits.
///
/// # Examples
/// ```
/// use thrifty::ledger::Distribution;
///
/// let mut latencies = Distribution::default();
/// (1..=1_000).for_each(|ms| latencies.add(ms));
/// let p95 = latencies.percentile(95).unwrap_or_default();
/// assert!((950..=980).contains(&p95));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Distribution {
    /// Bucket and count, sorted; no count is zero. Shared by copies, since most groups of a summary hold one of a cell's;
    /// `None` if there are none.
    counts: Option<Arc<Vec<(u16, u64)>>>,
}

impl Distribution {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        self.change(bucket(value), 1);
    }

    /// Takes a value back that was counted before, here or in a distribution that will be merged.
    pub(super) fn take_back(&mut self, value: u64) {
        self.change(bucket(value), 1_u64.wrapping_neg());
    }

    fn counts(&self) -> &[(u16, u64)] {
        self.counts.as_deref().map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, counts: Vec<(u16, u64)>) {
        self.counts = (!counts.is_empty()).then(|| Arc::new(counts));
    }

    fn change(&mut self, bucket: u16, by: u64) {
        let counts = Arc::make_mut(self.counts.get_or_insert_default());
        match counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => {
                if let Some((_, count)) = counts.get_mut(at) {
                    *count = count.wrapping_add(by);
                    if *count == 0 {
                        counts.remove(at);
                    }
                }
            }
            Err(at) => counts.insert(at, (bucket, by)),
        }
        if counts.is_empty() {
            self.counts = None;
        }
    }

    /// Adds the values of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_none() {
            self.counts.clone_from(&other.counts);
            return;
        }
        let (own, others) = (self.counts(), other.counts());
        if others.len() * 8 <= own.len() {
            for (bucket, count) in others {
                self.change(*bucket, *count);
            }
            return;
        }
        let mut merged = Vec::with_capacity(own.len() + others.len());
        let mut more = others.iter().copied().peekable();
        for (bucket, count) in own.iter().copied() {
            while let Some(before) = more.next_if(|(at, _)| *at < bucket) {
                merged.push(before);
            }
            let same = more.next_if(|(at, _)| *at == bucket);
            let count = same.map_or(count, |(_, more)| count.wrapping_add(more));
            if count != 0 {
                merged.push((bucket, count));
            }
        }
        merged.extend(more);
        self.set(merged);
    }

    /// Returns all values of some distributions together, quicker than by merging one after the other.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut sums = vec![0_u64; BUCKETS];
        for (bucket, count) in parts.flat_map(Self::counts) {
            if let Some(sum) = sums.get_mut(usize::from(*bucket)) {
                *sum = sum.wrapping_add(*count);
            }
        }
        let mut all = Self::default();
        all.set((0_u16..).zip(sums).filter(|(_, count)| *count != 0).collect());
        all
    }

    /// Returns how many values were counted.
    pub fn count(&self) -> u64 {
        let counts = self.counts().iter().map(|(_, count)| *count);
        counts.fold(0, u64::wrapping_add)
    }

    /// Returns a value that so many percent of the values do not exceed, at most 1/32 above the exact one; `None` if
    /// there are no values. A percentage above 100 is 100.
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let wanted = (u128::from(self.count()) * u128::from(percent.min(100)))
            .div_ceil(100)
            .max(1);
        let mut passed = 0;
        let reached = self.counts().iter().find(|(_, count)| {
            passed += u128::from(*count);
            passed >= wanted
        });
        reached.map(|(bucket, _)| largest(*bucket))
    }
}

/// Returns the bucket of a value.
fn bucket(value: u64) -> u16 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(SPLIT_BITS + 1);
    // At most 59 << 5, plus 63.
    let bucket = (u64::from(shift) << SPLIT_BITS) + (value >> shift);
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

/// Returns the largest value of a bucket.
fn largest(bucket: u16) -> u64 {
    let (split, bucket) = (1_u64 << SPLIT_BITS, u64::from(bucket));
    let shift = (bucket >> SPLIT_BITS).saturating_sub(1);
    let first = bucket - (shift << SPLIT_BITS);
    debug_assert!(first < 2 * split);
    let width = 1_u64.checked_shl(u32::try_from(shift).unwrap_or(u32::MAX));
    let start = u128::from(first) << shift.min(64);
    let end = start + u128::from(width.unwrap_or(0)).saturating_sub(1);
    u64::try_from(end).unwrap_or(u64::MAX)
}

impl Serialize for Distribution {
    /// As one flat list: bucket, count, bucket, count.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.counts()
                .iter()
                .flat_map(|(bucket, count)| [u64::from(*bucket), *count]),
        )
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |what| serde::de::Error::custom(what);
        let flat = Vec::<u64>::deserialize(deserializer)?;
        let (pairs, []) = flat.as_chunks::<2>() else {
            return Err(wrong("a distribution has a count for each bucket"));
        };
        let counts: Vec<(u16, u64)> = pairs
            .iter()
            .map(|[bucket, count]| {
                let bucket = u16::try_from(*bucket)
                    .ok()
                    .filter(|bucket| usize::from(*bucket) < BUCKETS);
                Some((bucket?, *count))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("a bucket of a distribution is out of range"))?;
        if !counts.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(wrong("the buckets of a distribution are not sorted"));
        }
        let mut all = Self::default();
        all.set(counts);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let mut all = Distribution::default();
        for value in values {
            all.add(*value);
        }
        all
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for number in 0..1_000 {
            let end = largest(number);
            assert_eq!(bucket(end), number);
            assert_eq!(bucket(end + 1), number + 1);
        }
        assert_eq!(largest(bucket(u64::MAX)), u64::MAX);
        assert!(usize::from(bucket(u64::MAX)) < BUCKETS);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Distribution::default().percentile(50), None);
        assert_eq!(of(&[7]).percentile(0), Some(7));
        assert_eq!(of(&[7]).percentile(255), Some(7));
    }

    proptest! {
        #[test]
        fn a_percentile_is_at_most_a_32nd_above_the_exact_one(
            mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..200), percent in 1_u8..=100,
        ) {
            let found = of(&values).percentile(percent).unwrap();
            values.sort_unstable();
            let rank = (values.len() * usize::from(percent)).div_ceil(100).max(1);
            let exact = values[rank - 1];
            prop_assert!(found >= exact && found - exact <= exact / 32, "{found} for {exact}");
        }

        #[test]
        fn parts_merge_to_the_whole_and_what_is_taken_back_is_gone(
            values in prop::collection::vec(any::<u64>(), 0..60), at in 0_usize..60, gone in 0_usize..60,
        ) {
            let (one, other) = values.split_at(at.min(values.len()));
            let mut merged = of(other);
            merged.merge(&of(one));
            prop_assert_eq!(&merged, &of(&values));
            prop_assert_eq!(&Distribution::sum([of(other), of(one)].iter()), &merged);
            let text = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Distribution>(&text).unwrap(), &merged);

            // Taken back before it is counted: the parts of a sum come in any order.
            let (left, taken) = values.split_at(gone.min(values.len()));
            let mut back = Distribution::default();
            for value in taken {
                back.take_back(*value);
            }
            back.merge(&merged);
            prop_assert_eq!(back, of(left));
        }
    }
}
