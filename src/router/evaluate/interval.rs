//! How sure a number is.

use std::fmt;

use serde::Serialize;

/// A number, and what it lies between with a confidence of 95 %.
///
/// By a percentile bootstrap: rows are drawn anew with replacement, by a fixed seed, and the number is computed of each
/// draw (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13). It tells what other rows of the
/// same kind would have said, not what other kinds of traffic would.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Interval {
    /// The number, of all rows.
    pub value: f64,
    /// Where 2.5 % of the draws lie below; `None` if fewer than 19 in 20 draws have the number at all.
    pub low: Option<f64>,
    /// Where 2.5 % of the draws lie above; `None` as for the other end.
    pub high: Option<f64>,
}

impl fmt::Display for Interval {
    /// Writes three places, or as many as asked for; `[?]` for an interval that is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(3);
        let value = self.value;
        match (self.low, self.high) {
            (Some(low), Some(high)) => write!(f, "{value:.places$} [{low:.places$}, {high:.places$}]"),
            _ => write!(f, "{value:.places$} [?]"),
        }
    }
}

/// Draws rows anew, so and so many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bootstrap {
    pub(super) draws: u32,
    pub(super) seed: u64,
}

impl Bootstrap {
    pub(super) const DEFAULT: Self = Self { draws: 200, seed: 0 };

    /// Computes numbers of all rows and of each draw. Of a number that fewer than 19 in 20 draws have, the ends are not known.
    pub(super) fn intervals<const N: usize>(
        self,
        rows: usize,
        mut numbers: impl FnMut(Option<&[u32]>) -> [Option<f64>; N],
    ) -> [Option<Interval>; N] {
        let values = numbers(None);
        let mut drawn: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut weights = vec![0_u32; rows];
        for _ in 0..self.draws {
            weights.fill(0);
            for _ in 0..rows {
                if let Some(weight) = weights.get_mut(random.usize(..rows)) {
                    *weight += 1;
                }
            }
            for (drawn, number) in drawn.iter_mut().zip(numbers(Some(&weights))) {
                drawn.extend(number);
            }
        }
        let wanted = usize::try_from(self.draws).unwrap_or(usize::MAX);
        let mut drawn = drawn.into_iter();
        values.map(|value| {
            let mut drawn = drawn.next().unwrap_or_default();
            drawn.sort_by(f64::total_cmp);
            if drawn.len().saturating_mul(20) < wanted.saturating_mul(19) {
                drawn.clear();
            }
            let tail = drawn.len() / 40;
            value.map(|value| Interval {
                value,
                low: drawn.get(tail).copied(),
                high: drawn.iter().nth_back(tail).copied(),
            })
        })
    }
}
