//! What a verifier says of an answer.

use crate::router::Quality;

/// What a verifier says of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It will do.
    Accept,
    /// It will not do, and why: words of the verifier's own, which are stored with the ledger entry.
    Reject(&'static str),
    /// It will do by so much: whoever asks knows from which number on that is enough.
    Unsure(Quality),
    /// It depends on what the model of [`second_opinion`](super::Verifier::second_opinion) answers. Said again when that
    /// answer is there, or for want of such a model, it accepts nothing.
    AskSecond,
}

impl Verdict {
    /// Whether it accepts the answer, if a quality from this one on will do.
    pub fn accepts_from(self, least: Quality) -> bool {
        match self {
            Self::Accept => true,
            Self::Unsure(quality) => quality >= least,
            Self::Reject(_) | Self::AskSecond => false,
        }
    }

    /// Returns it as a number: 1 for accepted, 0 for rejected; `None` if it depends on another answer.
    pub const fn quality(self) -> Option<Quality> {
        match self {
            Self::Accept => Some(Quality::GOOD),
            Self::Reject(_) => Some(Quality::BAD),
            Self::Unsure(quality) => Some(quality),
            Self::AskSecond => None,
        }
    }
}
