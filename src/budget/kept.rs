//! A budget with its accounts, window by window.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::account::{Account, Moment};
use super::estimate::{Candidate, Estimate};
use super::history::Spend;
use super::limit::{Budget, Each, HoldSize, Unpriced};
use super::quantile::Shares;
use super::refusal::Refusal;
use super::status::Alert;
use super::window::Span;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::model::ModelId;
use crate::money::{Usd, UsdSum};
use crate::pricing::Cost;
use crate::usage::Usage;

/// A budget and its accounts. Those of the window before stay for a clock that jumps back.
#[derive(Debug)]
pub(super) struct Kept {
    /// Its number among the budgets.
    index: usize,
    pub(super) budget: Budget,
    /// Unless it holds worst cases.
    pub(super) shares: Option<Shares>,
    current: Page,
    previous: Option<Page>,
}

/// The accounts of a budget in one window.
#[derive(Debug)]
struct Page {
    span: Span,
    /// The one of calls without a key.
    common: Option<usize>,
    by_key: HashMap<Arc<str>, usize>,
    /// At how many of them to look for some that can go.
    sweep_at: usize,
}

/// Fewer accounts than this may be left without anything in them.
const SWEEP_FROM: usize = 1_024;

/// What a hold has in one account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) account: usize,
    /// What is to be held for the call.
    pub(super) share: i64,
    /// What is not charged yet.
    pub(super) left: i64,
}

/// For whom, and how long, something is to be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) attribution: &'a Attribution,
    pub(super) estimate: &'a Estimate,
    pub(super) expires: Timestamp,
    pub(super) turn: Turn,
}

/// Who may be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// One who comes now, and is behind all who wait.
    Comes,
    /// One who has waited since it had this number.
    Waits(u64),
    /// One who holds something already, and waits for nobody.
    Holds,
    /// One who is promised: there need be no room.
    IsPromised,
}

/// Why there was no room.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) account: usize,
    pub(super) refusal: Box<Refusal>,
    /// When there will be more room, whatever becomes of the calls under way.
    pub(super) improves: Option<Timestamp>,
}

/// What a call has cost, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge<'a> {
    pub(super) model: Option<&'a ModelId>,
    pub(super) cost: &'a Cost,
    pub(super) usage: Option<&'a Usage>,
}

impl Kept {
    pub(super) fn new(index: usize, budget: Budget, now: Timestamp) -> Self {
        Self {
            index,
            shares: match budget.hold {
                HoldSize::WorstCase => None,
                HoldSize::Quantile(percent) => Some(Shares::of(percent)),
            },
            current: Page::new(budget.window.around(now)),
            previous: None,
            budget,
        }
    }

    /// Turns to the window that a moment is in, and wakes who waits for the end of the one before.
    #[inline]
    pub(super) fn turn_to(&mut self, now: Timestamp, accounts: &mut Slab<Account>, woken: &mut Vec<Waker>) {
        if self.current.span.has(now) {
            return;
        }
        let span = self.budget.window.around(now);
        if span == self.current.span {
            return;
        }
        let page = match self.previous.take() {
            Some(previous) if previous.span == span => previous,
            other => {
                // The later one of the two stays: the clock comes back to it.
                if let Some(mut other) = other {
                    if other.span.start > self.current.span.start {
                        std::mem::swap(&mut other, &mut self.current);
                    }
                    other.close(accounts);
                }
                Page::new(span)
            }
        };
        let before = std::mem::replace(&mut self.current, page);
        for index in before.accounts() {
            if let Some(account) = accounts.get_mut(index) {
                // They find room in the new window, or look for it.
                woken.extend(std::mem::take(&mut account.waiting).into_values());
            }
        }
        self.previous = Some(before);
    }

    /// Finds the accounts that a call counts for, and how much it can cost each.
    #[inline]
    pub(super) fn parts(
        &mut self,
        request: &Request<'_>,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
        parts: &mut Vec<Part>,
        woken: &mut Vec<Waker>,
    ) -> Result<(), Blocked> {
        if !self.budget.scope.has(request.attribution) {
            return Ok(());
        }
        self.turn_to(now.get(), accounts, woken);
        let (estimate, first) = (request.estimate, parts.len());
        for candidate in estimate.beside().chain(estimate.instead()) {
            self.add_part(request, candidate, first, now, accounts, parts)?;
        }
        Ok(())
    }

    /// Finds the account that a call to a model counts for.
    #[inline]
    pub(super) fn account_of(
        &mut self,
        whom: &Attribution,
        model: Option<&ModelId>,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
    ) -> Option<usize> {
        if !self.budget.scope.has_model(model) {
            return None;
        }
        Some(match (&self.budget.each, self.current.common) {
            (None, Some(account)) => account,
            (each, _) => {
                let key = each.as_ref().and_then(|each| each.key(whom, model));
                self.current.account(self.index, key, &self.budget, now, accounts)
            }
        })
    }

    /// Finds the account that a candidate counts for. Parts from `first` on are of this budget.
    #[inline]
    fn add_part(
        &mut self,
        request: &Request<'_>,
        candidate: &Candidate,
        first: usize,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
        parts: &mut Vec<Part>,
    ) -> Result<(), Blocked> {
        let Some(account) = self.account_of(request.attribution, candidate.model.as_ref(), now, accounts)
        else {
            return Ok(());
        };
        let share = match self.share(candidate, request.estimate.attempts) {
            Some(share) => share,
            None if !self.budget.is_hard || request.turn == Turn::IsPromised => 0,
            None => return Err(self.blocked(account, None, accounts)),
        };
        let mut of_budget = parts.iter_mut().skip(first);
        match of_budget.find(|part| part.account == account) {
            // Those beside the first one come before those instead of it.
            Some(part) if candidate.is_beside => {
                let both = part.share.saturating_add(share);
                (part.share, part.left) = (both, both);
            }
            Some(part) if part.share >= share => {}
            Some(part) => (part.share, part.left) = (share, share),
            None => parts.push(Part {
                account,
                share,
                left: share,
            }),
        }
        Ok(())
    }

    /// Checks that there is room in an account, and that nobody waits for it who came earlier.
    #[inline]
    pub(super) fn admit(
        &self,
        part: &Part,
        turn: Turn,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
    ) -> Result<(), Blocked> {
        let Some(account) = accounts.get_mut(part.account) else {
            return Ok(());
        };
        account.catch_up(&self.budget, now);
        if !self.budget.is_hard || turn == Turn::IsPromised {
            return Ok(());
        }
        let first = account.waiting.first_key_value().map(|(first, _)| *first);
        let is_behind = first.is_some_and(|first| match turn {
            Turn::Comes => true,
            Turn::Waits(ticket) => first < ticket,
            Turn::Holds | Turn::IsPromised => false,
        });
        let limit = i128::from(self.budget.limit.as_pico());
        let is_full = part.left > 0 && account.spent + account.held + i128::from(part.left) > limit;
        if is_behind || is_full {
            return Err(self.blocked(part.account, Some(Usd::from_pico(part.share)), accounts));
        }
        Ok(())
    }

    /// Returns the account of a key; the common one for none.
    pub(super) fn account(
        &mut self,
        key: Option<&str>,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
    ) -> usize {
        self.current.account(self.index, key, &self.budget, now, accounts)
    }

    /// Returns all accounts of the window.
    pub(super) fn accounts(&self) -> impl Iterator<Item = usize> {
        self.current.accounts()
    }

    /// Returns what to hold for a call; `None` if that is not known.
    #[inline]
    fn share(&self, candidate: &Candidate, attempts: u32) -> Option<i64> {
        let share = self.shares.as_ref().map_or(1_024, Shares::share);
        self.budget.share(candidate, share, attempts)
    }

    /// Whether a call to a model counts in an account; one to a model that is not told counts in all that hold for it.
    #[inline]
    fn counts(&self, account: &Account, model: Option<&ModelId>) -> bool {
        if model.is_none() {
            return true;
        }
        let is_of_key = match &self.budget.each {
            Some(each @ Each::Model) => each.key(&Attribution::default(), model) == account.key.as_deref(),
            _ => true,
        };
        is_of_key && self.budget.scope.has_model(model)
    }

    fn blocked(&self, account: usize, at_most: Option<Usd>, accounts: &Slab<Account>) -> Blocked {
        let found = accounts.get(account);
        let refusal = Box::new(Refusal {
            budget: Arc::clone(&self.budget.name),
            key: found.and_then(|account| account.key.clone()),
            limit: self.budget.limit,
            spent: UsdSum::from_pico(found.map_or(0, |account| account.spent)),
            held: UsdSum::from_pico(found.map_or(0, |account| account.held)),
            at_most,
            window_end: found.and_then(|account| account.span.ends()),
            admission: self.budget.admission,
        });
        Blocked {
            account,
            refusal,
            improves: found.and_then(Account::improves),
        }
    }
}

impl Part {
    /// Counts what a call has cost, if it is of a model that counts in this account.
    #[inline]
    pub(super) fn count(
        &mut self,
        account: &mut Account,
        kept: &Kept,
        charge: &Charge<'_>,
        is_expired: bool,
        now: &Moment<'_>,
        alerts: &mut Vec<Alert>,
    ) {
        if !kept.counts(account, charge.model) {
            return;
        }
        account.catch_up(&kept.budget, now);
        let amount = kept.budget.charged(charge, self.share);
        account.unpriced += u64::from(charge.cost.at_most().is_none());
        let of_hold = amount.min(self.left);
        self.left -= of_hold;
        let (new, of_hold) = (i128::from(amount), i128::from(of_hold));
        let added = if is_expired {
            new - of_hold
        } else {
            account.held -= of_hold;
            new
        };
        if new > of_hold {
            account.overruns += 1;
            account.overrun += new - of_hold;
        }
        account.spend(&kept.budget, added, now, alerts);
    }
}

impl Page {
    /// Returns all accounts.
    fn accounts(&self) -> impl Iterator<Item = usize> {
        self.common.into_iter().chain(self.by_key.values().copied())
    }

    fn new(span: Span) -> Self {
        Self {
            span,
            common: None,
            by_key: HashMap::new(),
            sweep_at: SWEEP_FROM,
        }
    }

    fn account(
        &mut self,
        index: usize,
        key: Option<&str>,
        budget: &Budget,
        now: &Moment<'_>,
        accounts: &mut Slab<Account>,
    ) -> usize {
        let known = match key {
            Some(key) => self.by_key.get(key).copied(),
            None => self.common,
        };
        known.unwrap_or_else(|| {
            if self.by_key.len() >= self.sweep_at {
                self.sweep(budget, now, accounts);
            }
            let key = key.map(Arc::<str>::from);
            let account = accounts.insert(Account::new(index, budget, key.clone(), self.span));
            match key {
                Some(key) => drop(self.by_key.insert(key, account)),
                None => self.common = Some(account),
            }
            account
        })
    }

    /// Gives up accounts in which there is nothing, as all that was spent has left a rolling window.
    fn sweep(&mut self, budget: &Budget, now: &Moment<'_>, accounts: &mut Slab<Account>) {
        self.by_key.retain(|_, index| {
            let is_used = accounts.get_mut(*index).is_some_and(|account| {
                account.catch_up(budget, now);
                account.is_used()
            });
            if !is_used {
                accounts.try_remove(*index);
            }
            is_used
        });
        self.sweep_at = (2 * self.by_key.len()).max(SWEEP_FROM);
    }

    /// Gives up the accounts of a window that is long over; those with holds stay until these are settled.
    fn close(self, accounts: &mut Slab<Account>) {
        for index in self.accounts() {
            match accounts.get_mut(index) {
                Some(account) if account.parts > 0 => account.is_past = true,
                Some(_) => drop(accounts.remove(index)),
                None => {}
            }
        }
    }
}

impl Budget {
    /// Returns what to count for a call in all; one of unknown cost counts with what was to be held for it.
    pub(super) fn charged(&self, charge: &Charge<'_>, share: i64) -> i64 {
        match (charge.cost.at_most(), self.unpriced, charge.usage) {
            (Some(cost), ..) => cost.as_pico(),
            (None, Unpriced::At(rates), Some(usage)) => rates
                .at_most(&Usage::new(usage.input_tokens, usage.output_tokens))
                .map_or(share, Usd::as_pico),
            (None, ..) => share,
        }
    }

    /// Returns what to count for earlier calls.
    pub(super) fn recalled(&self, spend: &Spend) -> i128 {
        let unpriced = match self.unpriced {
            Unpriced::Refuse => 0,
            Unpriced::Each(amount) => i128::from(amount.as_pico()) * i128::from(spend.unpriced),
            Unpriced::At(rates) => {
                let (input, output) = spend.unpriced_tokens;
                rates
                    .at_most(&Usage::new(input, output))
                    .unwrap_or(Usd::MAX)
                    .as_pico()
                    .into()
            }
        };
        spend.at_most.as_pico().saturating_add(unpriced)
    }
}
