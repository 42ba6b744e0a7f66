//! Whether what is said to be good in seven of ten cases is so.

use crate::router::Quality;

/// How many bins the probabilities are sorted into.
const BINS: usize = 10;

/// Probabilities that an answer is good, beside how good the answers were.
///
/// # Examples
/// ```
/// use thrifty::router::{Calibration, Quality};
///
/// // Four answers, each said to be good in three of four cases; two were.
/// let good = [true, true, false, false].map(|good| (0.75, Quality::from(good)));
/// assert_eq!(Calibration::of(good).error(), Some(0.25));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    said: Vec<(f32, Quality)>,
}

impl Calibration {
    /// Takes probabilities and what came of them. One that is not from 0 to 1 makes the error unknown.
    pub fn of(said: impl IntoIterator<Item = (f32, Quality)>) -> Self {
        Self {
            said: said.into_iter().collect(),
        }
    }

    /// Returns the expected calibration error; `None` if there is nothing, or a probability is not from 0 to 1.
    ///
    /// In each of ten bins of equal width, the mean probability is held against the mean quality; their distance counts
    /// as often as the bin has answers (Guo, Pleiss, Sun and Weinberger, *On Calibration of Modern Neural Networks*,
    /// 2017, section 2).
    pub fn error(&self) -> Option<f64> {
        self.weighted(|_| 1)
    }

    pub(super) fn len(&self) -> usize {
        self.said.len()
    }

    /// Returns the error as if each answer were there so many times.
    pub(super) fn weighted(&self, weight: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut bins, mut count) = ([0.0_f64; BINS], 0.0_f64);
        for (at, (probability, quality)) in self.said.iter().enumerate() {
            if !(0.0..=1.0).contains(probability) {
                return None;
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 10"
            )]
            let bin = ((probability * 10.0) as usize).min(BINS - 1);
            let weight = f64::from(weight(at));
            if let Some(bin) = bins.get_mut(bin) {
                *bin += weight * (f64::from(*probability) - f64::from(quality.get()));
            }
            count += weight;
        }
        (count > 0.0).then(|| bins.iter().map(|bin| bin.abs()).sum::<f64>() / count)
    }
}
