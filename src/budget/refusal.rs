//! Why a call was not let through.

use std::fmt;
use std::sync::Arc;

use super::Admission;
use crate::clock::Timestamp;
use crate::money::{Usd, UsdSum};

/// A call that a hard budget did not let through, because it could have exceeded the limit. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Which feature, user, model or value of a tag, if the budget has a limit for each; `None` also for calls that name
    /// none.
    pub key: Option<Arc<str>>,
    /// Its limit.
    pub limit: Usd,
    /// What was spent in this window.
    pub spent: UsdSum,
    /// What is held for calls under way.
    pub held: UsdSum,
    /// What this call could cost at most, by this budget's way to hold; `None` if there is no bound or no price.
    pub at_most: Option<Usd>,
    /// When the window ends; `None` for a rolling one and for one without an end.
    pub window_end: Option<Timestamp>,
    pub(super) admission: Admission,
}

impl Refusal {
    /// Returns what is left of the limit.
    pub fn left(&self) -> UsdSum {
        UsdSum::from(self.limit)
            .saturating_sub(self.spent)
            .saturating_sub(self.held)
    }

    /// Whether the budget asks for a cheaper model instead.
    pub fn asks_for_downgrade(&self) -> bool {
        self.admission == Admission::Downgrade
    }

    /// Whether there would be room if all calls under way cost nothing.
    pub(super) fn may_pass(&self) -> bool {
        self.at_most
            .is_some_and(|most| self.spent.saturating_add(most.into()) <= UsdSum::from(self.limit))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "budget {:?}", &*self.budget)?;
        if let Some(key) = &self.key {
            write!(f, " of {key:?}")?;
        }
        write!(f, " has {} of {} USD left", self.left(), self.limit)?;
        if let Some(end) = self.window_end.and_then(written) {
            write!(f, " until {end}")?;
        }
        if self.held > UsdSum::ZERO {
            write!(f, " beside {} held for calls under way", self.held)?;
        }
        match self.at_most {
            Some(most) => write!(
                f,
                ", and this call can cost up to {most}; limit its output tokens, wait, or raise the limit"
            ),
            None => f.write_str(
                ", and it is not known what this call can cost at most; set a price for its model, limit its output tokens, or name an amount for such calls in the budget",
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Writes a moment as RFC 3339.
pub(super) fn written(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    Some(at.to_string())
}

/// Why a call was not let through, or a budget could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// It could have exceeded a limit.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// What was spent before could not be read. The next call tries again.
    #[error("it could not be read what was spent before")]
    History(#[source] Arc<dyn std::error::Error + Send + Sync>),
}
