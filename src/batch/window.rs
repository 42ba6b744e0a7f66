//! How long a server may take for a batch.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How long a server may take for a batch, in the words of the API: `24h`, or `7d`.
///
/// OpenAI knows only `24h`; others have longer ones, and some shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompletionWindow(Count);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Count {
    Hours(u32),
    Days(u32),
}

impl CompletionWindow {
    /// The window of OpenAI's Batch API: `24h`.
    pub const DEFAULT: Self = Self(Count::Hours(24));

    /// The longest window that others offer: `7d`.
    pub(super) const WEEK: Self = Self(Count::Days(7));

    /// Takes a number of hours, such as `24h`.
    pub const fn hours(hours: NonZeroU32) -> Self {
        Self(Count::Hours(hours.get()))
    }

    /// Takes a number of days, such as `7d`.
    pub const fn days(days: NonZeroU32) -> Self {
        Self(Count::Days(days.get()))
    }

    /// Returns how long it is.
    pub fn duration(self) -> Duration {
        let hours = match self.0 {
            Count::Hours(hours) => u64::from(hours),
            Count::Days(days) => u64::from(days) * 24,
        };
        Duration::from_secs(hours * 3_600)
    }
}

impl fmt::Display for CompletionWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Count::Hours(hours) => write!(f, "{hours}h"),
            Count::Days(days) => write!(f, "{days}d"),
        }
    }
}

impl Serialize for CompletionWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
