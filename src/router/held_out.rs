//! What two models made of a request that no score was trained on.

use super::Quality;
use crate::money::Usd;

/// What a model's answer was worth, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Answered {
    /// How good the answer was.
    pub quality: Quality,
    /// What it cost; `None` if that is not known.
    pub cost: Option<Usd>,
}

impl Answered {
    /// Takes how good the answer was; its cost is not known.
    pub fn new(quality: impl Into<Quality>) -> Self {
        Self {
            quality: quality.into(),
            cost: None,
        }
    }

    /// Says what the answer cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: Usd) -> Self {
        self.cost = Some(cost);
        self
    }

    pub(super) fn worth(self) -> f64 {
        f64::from(self.quality.get())
    }
}

/// A request that the score was not trained on: its score, and what the cheap and the strong model made of it.
///
/// Scores of rows that were trained on look better than they are; a line drawn by them keeps no promise.
///
/// # Examples
/// ```
/// use thrifty::router::{Answered, HeldOut, Quality};
///
/// let cheap = Answered::new(Quality::BAD).with_cost("0.0001".parse()?);
/// let strong = Answered::new(Quality::GOOD).with_cost("0.002".parse()?);
/// let row = HeldOut::new(0.7, cheap, strong);
/// # let _ = row;
/// # Ok::<(), thrifty::ParseUsdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct HeldOut {
    /// What the request scored: the higher, the more the strong model gains. See [`Score`](super::Score).
    pub score: f32,
    /// What the cheap model made of it.
    pub cheap: Answered,
    /// What the strong model made of it.
    pub strong: Answered,
}

impl HeldOut {
    /// Takes a score and both answers.
    pub const fn new(score: f32, cheap: Answered, strong: Answered) -> Self {
        Self { score, cheap, strong }
    }

    /// Returns what the strong model gains, from -1 to 1.
    pub(super) fn gain(&self) -> f64 {
        self.strong.worth() - self.cheap.worth()
    }

    /// Returns what both answers cost, if that is known.
    pub(super) fn costs(&self) -> Option<(Usd, Usd)> {
        self.cheap.cost.zip(self.strong.cost)
    }
}
