//! How many tokens, and how sure that is.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// How a [`Count`] came about, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Basis {
    /// Tokenized with the model's own vocabulary, and framed by a published formula.
    Exact,
    /// By a formula or a vocabulary that is not published for this model. `low` and `high` are what to expect; they
    /// are no guarantee.
    Estimated,
    /// Some of it was not tokenized. `low` and `high` hold for that part whatever is in it; `tokens` is a guess.
    Bounded,
}

/// A number of input tokens: the best answer, what it lies between, and how sure that is.
///
/// `low <= tokens <= high`. A `high` of `u64::MAX` says that there is no bound, as for a file that only the provider
/// can open. Counts add up; a sum is as sure as its least sure part.
///
/// # Examples
/// ```
/// use thrifty::tokens::{Basis, Count};
///
/// let sum = Count::exact(7) + Count::estimated(100, 80, 150);
/// assert_eq!((sum.tokens, sum.low, sum.high, sum.basis), (107, 87, 157, Basis::Estimated));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Count {
    /// The best answer.
    pub tokens: u64,
    /// Not less than this.
    pub low: u64,
    /// Not more than this; `u64::MAX` if there is no bound.
    pub high: u64,
    /// How sure this is.
    pub basis: Basis,
}

impl Count {
    /// Nothing at all, which is exact.
    pub const ZERO: Self = Self::exact(0);

    /// A count that is certain.
    pub const fn exact(tokens: u64) -> Self {
        Self {
            tokens,
            low: tokens,
            high: tokens,
            basis: Basis::Exact,
        }
    }

    /// A count by an unpublished formula; `tokens` is moved between `low` and `high` if it is not.
    pub fn estimated(tokens: u64, low: u64, high: u64) -> Self {
        Self::within(tokens, low, high, Basis::Estimated)
    }

    /// A count of what was not tokenized; `tokens` is moved between `low` and `high` if it is not.
    pub fn bounded(tokens: u64, low: u64, high: u64) -> Self {
        Self::within(tokens, low, high, Basis::Bounded)
    }

    /// Whether this is more than `limit`; `None` if only bounds are known and the limit lies between them.
    ///
    /// An estimate answers by its best guess where its bounds leave it open.
    pub fn exceeds(&self, limit: u64) -> Option<bool> {
        if self.low > limit {
            Some(true)
        } else if self.high <= limit {
            Some(false)
        } else if self.basis == Basis::Bounded {
            None
        } else {
            Some(self.tokens > limit)
        }
    }

    fn within(tokens: u64, low: u64, high: u64, basis: Basis) -> Self {
        let high = high.max(low);
        Self {
            tokens: tokens.clamp(low, high),
            low,
            high,
            basis,
        }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            low: self.low.saturating_add(other.low),
            high: self.high.saturating_add(other.high),
            basis: self.basis.max(other.basis),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_count() -> impl Strategy<Value = Count> {
        (any::<u64>(), any::<u64>(), any::<u64>(), 0..3_u8).prop_map(|(tokens, low, high, basis)| match basis
        {
            0 => Count::exact(tokens),
            1 => Count::estimated(tokens, low, high),
            _ => Count::bounded(tokens, low, high),
        })
    }

    proptest! {
        #[test]
        fn a_sum_keeps_its_order_and_is_as_sure_as_its_least_sure_part(a in any_count(), b in any_count()) {
            let sum = a + b;
            prop_assert!(sum.low <= sum.tokens && sum.tokens <= sum.high);
            prop_assert_eq!(sum, b + a);
            prop_assert_eq!(sum.basis, a.basis.max(b.basis));
            prop_assert_eq!(a + Count::ZERO, a);
        }
    }

    #[test]
    fn only_bounds_leave_a_limit_between_them_open() {
        assert_eq!(Count::exact(7).exceeds(7), Some(false));
        assert_eq!(Count::exact(8).exceeds(7), Some(true));
        assert_eq!(Count::estimated(8, 5, 12).exceeds(7), Some(true));
        assert_eq!(Count::estimated(8, 5, 12).exceeds(9), Some(false));
        assert_eq!(Count::bounded(8, 5, 12).exceeds(7), None);
        assert_eq!(Count::bounded(8, 5, 12).exceeds(4), Some(true));
        assert_eq!(Count::bounded(8, 5, 12).exceeds(12), Some(false));
    }
}
