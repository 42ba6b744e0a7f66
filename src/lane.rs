//! The ways a request can take, each with its own price and speed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way a request can take to its answer. OpenAI prices each of them separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lane {
    /// The ordinary synchronous call (`service_tier: "default"`).
    Standard,
    /// Synchronous, at about half the price, slower and sometimes refused for want of capacity.
    Flex,
    /// Synchronous, faster and dearer.
    Priority,
    /// The Batch API: half the price, answered within 24 hours.
    Batch,
}

impl Lane {
    /// All lanes, in declaration order.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Flex, Self::Priority, Self::Batch];

    /// Returns the lane's name in reports and ledgers: `standard`, `flex`, `priority`, `batch`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Batch => "batch",
        }
    }

    /// Reads a `service_tier` of an answer. `None` for a tier this crate has no price for, such as `scale`.
    ///
    /// `fast` is billed at priority rates; `auto` is a wish, never what was served.
    pub fn from_service_tier(tier: &str) -> Option<Self> {
        match tier {
            "default" | "standard" => Some(Self::Standard),
            "flex" => Some(Self::Flex),
            "priority" | "fast" => Some(Self::Priority),
            "batch" => Some(Self::Batch),
            _ => None,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
