//! How a budget stands.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::money::{Usd, UsdSum};

/// How a limit stands in its current window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Which feature, user, model or value of a tag, if the budget has a limit for each; `None` also for calls that name
    /// none.
    pub key: Option<Arc<str>>,
    /// Which calls count, as far as features tell them apart.
    pub calls: LimitedCalls,
    /// The limit.
    pub limit: Usd,
    /// What was spent. A call of which only bounds are known counts with the most that it can have cost.
    pub spent: UsdSum,
    /// What is held for calls under way.
    pub held: UsdSum,
    /// What is neither spent nor held; negative if the limit is exceeded.
    pub left: UsdSum,
    /// When the window began; `None` for a rolling one and for one of all time.
    pub window_start: Option<Timestamp>,
    /// When the window ends; `None` for a rolling one and for one of all time.
    pub window_end: Option<Timestamp>,
    /// When the limit will be spent if spending goes on as it did in this window so far; `None` if it lasts until the
    /// window ends, or if nothing was spent yet.
    pub runs_out: Option<Timestamp>,
    /// How many calls wait for room.
    pub waiting: usize,
    /// How many calls were refused in this window, by this process.
    pub refused: u64,
    /// How many calls of unknown cost were let through in this window, by this process.
    pub unpriced: u64,
    /// How often a call cost more than was held for it in this window, in this process.
    pub overruns: u64,
    /// By how much in all.
    pub overrun: UsdSum,
}

/// Which calls count for a limit, as far as features tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitedCalls {
    /// All calls.
    All,
    /// Those of one feature; `None` for those that name none.
    OfFeature(Option<Arc<str>>),
    /// Some of a user, a model or a tag.
    Others,
}

/// A limit of which a certain part is spent. There is one for each percentage and window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Which feature, user, model or value of a tag, if the budget has a limit for each.
    pub key: Option<Arc<str>>,
    /// The percentage that was reached.
    pub percent: u8,
    /// What was spent.
    pub spent: UsdSum,
    /// The limit.
    pub limit: Usd,
    /// When the window ends; `None` for a rolling one and for one of all time.
    pub window_end: Option<Timestamp>,
}
