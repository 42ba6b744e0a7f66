//! Why a router that goes by numbers chose as it did.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::capability::Unfit;
use crate::model::ModelId;

/// Why a model was chosen: the cause, what each candidate was thought worth, and who could not be asked.
///
/// Printed, it is one line, which is what the ledger keeps as the entry's reason. It is made of names of models and numbers,
/// and quotes no prompt; but of [another router](Cause::Fallback) it has that router's own reason, as it is. What the call would have cost at [`baseline`](Self::baseline) is the entry's
/// [`baseline`](crate::ledger::LedgerEntry::baseline).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// What decided.
    pub cause: Cause,
    /// How probable a good answer of each candidate is, the cheapest first; empty if nobody judged.
    pub judged: Vec<Judged>,
    /// The candidates that were wanted and could not be asked.
    pub excluded: Vec<Excluded>,
    /// The version of the model that judged.
    #[serde(serialize_with = "hex")]
    pub policy: Option<u32>,
    /// The model that would have been asked without a router.
    pub baseline: Option<ModelId>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The cheapest candidate over which no dearer one gains as much as this line.
    Learned {
        /// How much it takes.
        line: f32,
    },
    /// A candidate was drawn by lot, to learn of what is seldom chosen.
    Explored {
        /// How probable it was that this candidate would be asked.
        propensity: f32,
    },
    /// A score on or above the line, or no score, wants the strong model.
    Scored {
        /// The score; `None` if the request has none.
        score: Option<f32>,
        /// Where the line is.
        line: f32,
    },
    /// Another router decided.
    Fallback {
        /// Why not the learned one.
        because: NotLearned,
        /// What the other router said. It is for that router to put no prompt text into it.
        said: Option<Arc<str>>,
    },
}

/// Why what was learned did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotLearned {
    /// Nothing was learned yet.
    Untrained,
    /// It was not shown to be better yet.
    Shadow,
    /// The request has no text to judge.
    NoText,
}

impl fmt::Display for NotLearned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrained => "untrained",
            Self::Shadow => "in shadow",
            Self::NoText => "no user text to judge",
        })
    }
}

/// What a candidate was thought worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Judged {
    /// The candidate.
    pub model: ModelId,
    /// How probable it is that its answer is good enough.
    pub probability: f32,
}

/// A candidate that was wanted and could not be asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Excluded {
    /// The candidate.
    pub model: ModelId,
    /// Why it could not.
    pub why: Exclusion,
}

/// Why a candidate could not be asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Exclusion {
    /// It cannot serve the request.
    Unfit(Unfit),
    /// It may cost more than the model that was asked for.
    Dearer,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::Dearer => f.write_str("may cost more than asked for"),
        }
    }
}

impl Serialize for Exclusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Exclusion::Unfit(_) => write!(f, "{}: {}", self.model, self.why),
            Exclusion::Dearer => write!(f, "{} {}", self.model, self.why),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Learned { line } => write!(f, "learned: gain of {line:.3} or more wanted")?,
            Cause::Explored { propensity } => write!(f, "explored, propensity {propensity:.3}")?,
            Cause::Scored {
                score: Some(score),
                line,
            } => write!(f, "score {score:.3}, strong from {line:.3}")?,
            Cause::Scored { score: None, .. } => f.write_str("no score")?,
            Cause::Fallback { because, said } => {
                write!(f, "fallback, {because}")?;
                if let Some(said) = said {
                    write!(f, ": {said}")?;
                }
            }
        }
        for (place, judged) in self.judged.iter().enumerate() {
            let begin = if place == 0 { "; good answers: " } else { ", " };
            write!(f, "{begin}{} {:.3}", judged.model, judged.probability)?;
        }
        for excluded in &self.excluded {
            write!(f, "; {excluded}")?;
        }
        match self.policy {
            Some(policy) => write!(f, "; policy {policy:08x}"),
            None => Ok(()),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    reason = "serde calls it with a reference"
)]
fn hex<S: Serializer>(policy: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match policy {
        Some(policy) => serializer.collect_str(&format_args!("{policy:08x}")),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line_and_json() {
        let mut why = Why {
            cause: Cause::Learned { line: 0.125 },
            judged: vec![Judged {
                model: "gpt-4o".into(),
                probability: 0.75,
            }],
            excluded: vec![Excluded {
                model: "o3".into(),
                why: Exclusion::Dearer,
            }],
            policy: Some(0x1a),
            baseline: Some("gpt-4o".into()),
        };
        assert_eq!(
            why.to_string(),
            "learned: gain of 0.125 or more wanted; good answers: gpt-4o 0.750; o3 may cost more than asked for; policy 0000001a"
        );
        assert_eq!(
            serde_json::to_string(&why).unwrap(),
            r#"{"cause":{"learned":{"line":0.125}},"judged":[{"model":"gpt-4o","probability":0.75}],"excluded":[{"model":"o3","why":"may cost more than asked for"}],"policy":"0000001a","baseline":"gpt-4o"}"#
        );
        (why.judged, why.excluded, why.policy) = (Vec::new(), Vec::new(), None);
        why.cause = Cause::Fallback {
            because: NotLearned::Shadow,
            said: Some("short".into()),
        };
        assert_eq!(why.to_string(), "fallback, in shadow: short");
    }
}
