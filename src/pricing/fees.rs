//! What the provider's own tools cost, by the call.

use crate::money::Usd;
use crate::usage::ToolCalls;

/// A tool that the provider runs and bills by the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tool {
    /// A search of the web.
    WebSearch,
    /// A search of stored files.
    FileSearch,
    /// A container that code runs in: the code interpreter, or a hosted shell.
    Container,
    /// A search that a model makes before each of its answers, without saying so.
    Answer,
}

/// What the calls of each tool cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fees([Option<Fee>; 4]);

/// What a call costs. Where sources or the tool's terms leave it open, it is between two amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fee {
    least: i64,
    most: i64,
    confirmed: bool,
}

impl Fee {
    /// For the generated table: pico-dollars a call, and whether two sources say so.
    pub(super) const fn new(least: i64, most: i64, confirmed: bool) -> Self {
        Self {
            least,
            most,
            confirmed,
        }
    }

    /// Says that it can be more.
    #[cfg(feature = "toml")]
    pub(super) fn up_to(self, most: i64) -> Self {
        Self::new(self.least, most.max(self.least), self.confirmed)
    }

    /// A fee that you state.
    pub(super) const fn own(fee: Usd) -> Self {
        Self::new(fee.as_pico(), fee.as_pico(), true)
    }
}

impl Fees {
    pub(super) const NONE: Self = Self([None; 4]);

    /// For the generated table, in the order of [`Tool`].
    pub(super) const fn new(fees: [Option<Fee>; 4]) -> Self {
        Self(fees)
    }

    pub(super) fn with(mut self, tool: Tool, fee: Fee) -> Self {
        if let Some(place) = self.0.get_mut(tool as usize) {
            *place = Some(fee);
        }
        self
    }

    pub(super) fn has(&self, tool: Tool) -> bool {
        self.0.get(tool as usize).is_some_and(Option::is_some)
    }

    /// Returns what the calls of one answer cost; `None` if that is more than an amount of money can hold.
    pub(super) fn bill(&self, calls: ToolCalls) -> Option<FeeBill> {
        let [web_search, file_search, container, answer] = self.0;
        let mut bill = FeeBill {
            least: Usd::ZERO,
            most: (calls.other == 0).then_some(Usd::ZERO),
            confirmed: true,
        };
        for (count, fee) in [
            (calls.web_search, web_search),
            (calls.file_search, file_search),
            (calls.container, container),
            (u32::from(answer.is_some()), answer),
        ] {
            if count == 0 {
                continue;
            }
            let Some(fee) = fee else {
                bill.most = None;
                continue;
            };
            let times = |pico| Usd::from_pico(pico).checked_mul(count.into());
            bill.least = bill.least.checked_add(times(fee.least)?)?;
            bill.most = match bill.most {
                Some(most) => Some(most.checked_add(times(fee.most)?)?),
                None => None,
            };
            bill.confirmed &= fee.confirmed;
        }
        Some(bill)
    }
}

/// What is known of some tool calls' fees.
pub(super) struct FeeBill {
    pub(super) least: Usd,
    /// `None` without a bound.
    pub(super) most: Option<Usd>,
    /// Whether two sources say each fee.
    pub(super) confirmed: bool,
}
