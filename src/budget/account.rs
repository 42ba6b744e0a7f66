//! What was spent and what is held of one limit in one window.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::Budget;
use super::status::{Alert, BudgetStatus};
use super::window::Span;
use crate::clock::{Clock, Timestamp};
use crate::money::UsdSum;

/// The present; the clock is read when it is asked for first.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    clock: &'a dyn Clock,
    at: OnceCell<Timestamp>,
}

impl<'a> Moment<'a> {
    pub(super) const fn of(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            at: OnceCell::new(),
        }
    }

    pub(super) fn get(&self) -> Timestamp {
        *self.at.get_or_init(|| self.clock.now())
    }
}

/// Amounts in pico-dollars. They are sums of 64-bit amounts and cannot overflow.
#[derive(Debug)]
pub(super) struct Account {
    /// Which budget it belongs to.
    pub(super) budget: usize,
    pub(super) key: Option<Arc<str>>,
    pub(super) span: Span,
    pub(super) spent: i128,
    pub(super) held: i128,
    /// How many holds have a part in it.
    pub(super) parts: usize,
    /// Its window is over: it goes when its last hold goes.
    pub(super) is_past: bool,
    /// Who waits for room, by when they came.
    pub(super) waiting: BTreeMap<u64, Waker>,
    pub(super) refused: u64,
    pub(super) overruns: u64,
    pub(super) overrun: i128,
    pub(super) unpriced: u64,
    rolling: Option<Rolling>,
    /// When something was spent for the first time.
    since: Option<Timestamp>,
    /// How many of the budget's alerts have been given.
    alerted: usize,
}

impl Account {
    pub(super) fn new(index: usize, budget: &Budget, key: Option<Arc<str>>, span: Span) -> Self {
        Self {
            budget: index,
            key,
            span,
            spent: 0,
            held: 0,
            parts: 0,
            is_past: false,
            waiting: BTreeMap::new(),
            refused: 0,
            overruns: 0,
            overrun: 0,
            unpriced: 0,
            rolling: budget.window.rolls().map(Rolling::new),
            since: None,
            alerted: 0,
        }
    }

    /// Lets what was spent too long ago leave a rolling window.
    #[inline]
    pub(super) fn catch_up(&mut self, budget: &Budget, now: &Moment<'_>) {
        if let Some(rolling) = &mut self.rolling {
            let change = rolling.turn_to(now.get());
            if change != 0 {
                self.spent += change;
                // Spend that hovers around a part of the limit alerts once, until it has fallen below half of that.
                let has_fallen = |percent: &u8| !self.has_reached(budget, percent.div_ceil(2));
                let given = budget.alerts.get(..self.alerted).unwrap_or_default();
                self.alerted -= given
                    .iter()
                    .rev()
                    .take_while(|percent| has_fallen(percent))
                    .count();
            }
        }
    }

    /// Counts what was spent, and gives the alerts that this calls for.
    #[inline]
    pub(super) fn spend(&mut self, budget: &Budget, amount: i128, now: &Moment<'_>, alerts: &mut Vec<Alert>) {
        self.add(amount, || now.get());
        while let Some(percent) = budget.alerts.get(self.alerted).copied()
            && self.has_reached(budget, percent)
        {
            self.alerted += 1;
            alerts.push(self.alert(budget, percent));
        }
    }

    /// Counts what was spent before: alerts were given then.
    pub(super) fn recall(&mut self, budget: &Budget, amount: i128, at: Timestamp) {
        self.add(amount, || at);
        self.since = self.since.map(|since| since.min(at));
        self.alerted = self.reached(budget);
    }

    #[inline]
    fn add(&mut self, amount: i128, at: impl Fn() -> Timestamp) {
        self.spent += amount;
        if self.since.is_none() && amount != 0 {
            self.since = Some(at());
        }
        if let Some(rolling) = &mut self.rolling {
            rolling.enter(at(), amount);
        }
    }

    /// Whether there is anything in it.
    pub(super) fn is_used(&self) -> bool {
        self.spent != 0 || self.parts > 0 || !self.waiting.is_empty()
    }

    /// Takes back what was counted for a hold that had expired. What leaves a rolling window later stays counted, since
    /// it cannot be told when it was.
    pub(super) fn take_back(&mut self, amount: i128) {
        if self.rolling.is_none() {
            self.spent -= amount;
        }
    }

    /// Returns when something that was spent leaves the window.
    pub(super) fn improves(&self) -> Option<Timestamp> {
        match &self.rolling {
            Some(rolling) => rolling.next_leaves(),
            None => self.span.ends(),
        }
    }

    /// Returns how many of the budget's alerts the spend has reached.
    fn reached(&self, budget: &Budget) -> usize {
        let is_reached = |percent: &&u8| self.has_reached(budget, **percent);
        budget.alerts.iter().take_while(is_reached).count()
    }

    #[inline]
    fn has_reached(&self, budget: &Budget, percent: u8) -> bool {
        let limit = i128::from(budget.limit.as_pico());
        self.spent > 0 && self.spent * 100 >= limit * i128::from(percent)
    }

    fn alert(&self, budget: &Budget, percent: u8) -> Alert {
        Alert {
            budget: Arc::clone(&budget.name),
            key: self.key.clone(),
            percent,
            spent: UsdSum::from_pico(self.spent),
            limit: budget.limit,
            window_end: self.span.ends(),
        }
    }

    pub(super) fn status(&self, budget: &Budget, now: Timestamp) -> BudgetStatus {
        let (spent, held) = (UsdSum::from_pico(self.spent), UsdSum::from_pico(self.held));
        BudgetStatus {
            budget: Arc::clone(&budget.name),
            key: self.key.clone(),
            calls: budget.calls(self.key.as_ref()),
            limit: budget.limit,
            spent,
            held,
            left: UsdSum::from(budget.limit)
                .saturating_sub(spent)
                .saturating_sub(held),
            window_start: (self.span != Span::ALL).then_some(self.span.start),
            window_end: self.span.ends(),
            runs_out: self.runs_out(budget, now),
            waiting: self.waiting.len(),
            refused: self.refused,
            unpriced: self.unpriced,
            overruns: self.overruns,
            overrun: UsdSum::from_pico(self.overrun),
        }
    }

    /// Returns when the limit is spent if spending goes on as it did in this window so far.
    fn runs_out(&self, budget: &Budget, now: Timestamp) -> Option<Timestamp> {
        let left = i128::from(budget.limit.as_pico()) - self.spent;
        if left <= 0 {
            return Some(now);
        }
        let began = self.since?;
        let since = match budget.window.rolls() {
            Some(length) => now.saturating_since(began).min(length),
            None if self.span == Span::ALL => now.saturating_since(began),
            None => now.saturating_since(self.span.start),
        };
        let elapsed = i128::try_from(since.as_millis()).ok()?.max(1);
        let wait = left.checked_mul(elapsed)?.checked_div(self.spent)?;
        let wait = Duration::from_millis(u64::try_from(wait).ok()?);
        let at = now.saturating_add(wait);
        (at < self.span.end).then_some(at)
    }
}

/// What was spent in a rolling window, in slots of a 64th of its length.
#[derive(Debug)]
struct Rolling {
    length: i64,
    step: i64,
    /// The beginning and the amount of each slot, the oldest first.
    slots: VecDeque<(i64, i128)>,
    /// Those that have left last, for a clock that jumps back.
    past: VecDeque<(i64, i128)>,
}

/// How many slots are kept that have left.
const KEPT_SLOTS: usize = 65;

impl Rolling {
    fn new(length: Duration) -> Self {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            length,
            step: (length / 64).max(1),
            slots: VecDeque::new(),
            past: VecDeque::new(),
        }
    }

    fn enter(&mut self, at: Timestamp, amount: i128) {
        let start = at
            .as_unix_millis()
            .div_euclid(self.step)
            .saturating_mul(self.step);
        match self.slots.back_mut() {
            // If the clock went back, it leaves with what was spent before.
            Some((last, sum)) if *last >= start => *sum += amount,
            _ => self.slots.push_back((start, amount)),
        }
    }

    /// Lets slots leave that are too old at a moment, and come back if they are not after all. Returns what that adds.
    fn turn_to(&mut self, now: Timestamp) -> i128 {
        let mut change = 0;
        while self.next_leaves().is_some_and(|at| at <= now)
            && let Some(slot) = self.slots.pop_front()
        {
            change -= slot.1;
            self.past.push_back(slot);
        }
        while let Some(slot) = self.past.back().copied()
            && self.leaves(slot.0) > now
        {
            self.past.pop_back();
            change += slot.1;
            self.slots.push_front(slot);
        }
        let extra = self.past.len().saturating_sub(KEPT_SLOTS);
        self.past.drain(..extra);
        change
    }

    /// Returns when the oldest slot leaves: when the last of it is as old as the window is long.
    fn next_leaves(&self) -> Option<Timestamp> {
        self.slots.front().map(|(start, _)| self.leaves(*start))
    }

    fn leaves(&self, start: i64) -> Timestamp {
        Timestamp::from_unix_millis(start.saturating_add(self.step).saturating_add(self.length))
    }
}
