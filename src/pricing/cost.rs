//! What a call cost, as far as it is known.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::Usd;

/// What a call cost. There is no default: what is not known is said, never booked as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cost {
    /// Exactly this much, by the price book.
    Priced(Usd),
    /// At least `known`, and more that is not known.
    Partial {
        /// What is known to have been billed.
        known: Usd,
        /// What it can have been at most, if there is such a bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<Usd>,
        /// What is not known.
        why: PartialReason,
    },
    /// Nothing is known.
    Unpriced(UnpricedReason),
}

impl Cost {
    /// Returns the exact cost; `None` unless it is [`Priced`](Self::Priced).
    pub const fn exact(&self) -> Option<Usd> {
        match self {
            Self::Priced(usd) => Some(*usd),
            Self::Partial { .. } | Self::Unpriced(_) => None,
        }
    }

    /// Returns what is known to have been billed; `None` if nothing is known.
    pub const fn known(&self) -> Option<Usd> {
        match self {
            Self::Priced(usd) | Self::Partial { known: usd, .. } => Some(*usd),
            Self::Unpriced(_) => None,
        }
    }

    /// Returns the most that it can have been; `None` if that is not known.
    pub const fn at_most(&self) -> Option<Usd> {
        match self {
            Self::Priced(usd) => Some(*usd),
            Self::Partial { at_most, .. } => *at_most,
            Self::Unpriced(_) => None,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priced(usd) => write!(f, "${usd}"),
            Self::Partial {
                known,
                at_most: Some(most),
                why,
            } => write!(f, "${known} to ${most} ({why})"),
            Self::Partial {
                known,
                at_most: None,
                why,
            } => write!(f, "at least ${known} ({why})"),
            Self::Unpriced(why) => write!(f, "unpriced ({why})"),
        }
    }
}

/// Why only a part of a cost is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartialReason {
    /// A kind of token has no price, such as audio of this model.
    UnpricedMeter,
    /// A tool that the provider ran has no fee, or one that is not known for certain.
    ToolFee,
    /// Some of what was written to the provider's cache is kept for 12 hours at a higher price, and the answer does not
    /// say how much.
    CacheLifetime,
    /// An attempt timed out or broke after it was sent: it may have been billed too.
    LostAttempt,
    /// The caller went away before the answer was read: it may have been billed.
    Abandoned,
    /// The answer ended before its token counts came.
    CutShort,
    /// The token counts contradict each other.
    InconsistentUsage,
    /// The answer carried no token counts, or none that can be read.
    NoUsage,
}

impl fmt::Display for PartialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnpricedMeter => "a kind of token has no price",
            Self::ToolFee => "a tool's fee is not known",
            Self::CacheLifetime => "it is not told how long cache writes are kept",
            Self::LostAttempt => "an attempt was lost and may have been billed",
            Self::Abandoned => "abandoned by its caller, may have been billed",
            Self::CutShort => "ended before its token counts",
            Self::InconsistentUsage => "token counts contradict each other",
            Self::NoUsage => "no readable token counts",
        })
    }
}

/// Why nothing is known of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnpricedReason {
    /// The price book does not know the model.
    UnknownModel,
    /// The model has no price for the lane that served it.
    UnpricedLane,
    /// The provider named a tier that this crate does not know.
    UnknownTier,
    /// The endpoint's answers are not read.
    UnmeteredEndpoint,
    /// The price is known, but the cost does not fit into an amount of money.
    Overflow,
    /// A cost that is yet to come has no bound: a kind of token or a tool that it can be for has no price.
    Unbounded,
}

impl fmt::Display for UnpricedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownModel => "the price book does not know the model",
            Self::UnpricedLane => "the model has no price for this lane",
            Self::UnknownTier => "the provider named an unknown tier",
            Self::UnmeteredEndpoint => "the endpoint is not metered",
            Self::Overflow => "the cost is too large to be money",
            Self::Unbounded => "nothing bounds the cost",
        })
    }
}
