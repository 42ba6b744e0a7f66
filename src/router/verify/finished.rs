//! Whether an answer is there at all.

use async_trait::async_trait;

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;
use crate::wire::{AnswerChoice, Ended};

/// Accepts answers that say something and are whole: not cut off at a limit of length, not held back by a filter, no
/// refusal, not empty. Of several choices each must be so.
///
/// It says nothing about whether they are right: put another one behind it by [`and`](super::VerifierExt::and).
///
/// # Default
/// An answer that was cut off is rejected. A request for one token, such as the letter of a choice, is always cut off:
/// [`with_cut_off`](Self::with_cut_off) accepts that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    may_be_cut_off: bool,
}

impl Finished {
    /// Makes one.
    pub const fn new() -> Self {
        Self {
            may_be_cut_off: false,
        }
    }

    /// Accepts answers that came to a limit of length.
    #[must_use]
    pub const fn with_cut_off(mut self) -> Self {
        self.may_be_cut_off = true;
        self
    }

    fn fault(self, choice: &AnswerChoice<'_>) -> Option<&'static str> {
        match choice.ended {
            _ if choice.is_refusal => return Some("the model refused"),
            Ended::CutOff if !self.may_be_cut_off => return Some("it was cut off"),
            Ended::Filtered => return Some("a filter held it back"),
            Ended::Unknown => return Some("it did not end"),
            Ended::Whole | Ended::CutOff => {}
        }
        choice.says_nothing().then_some("it is empty")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Verifier for Finished {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let Some(answer) = exchange.answer() else {
            return Verdict::Reject("it cannot be read");
        };
        if answer.choices().is_empty() {
            return Verdict::Reject("it is empty");
        }
        let fault = answer.choices().iter().find_map(|choice| self.fault(choice));
        fault.map_or(Verdict::Accept, Verdict::Reject)
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        None
    }
}
