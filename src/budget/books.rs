//! The state of all budgets: who has spent and holds how much. It knows no lock and no time but what it is told.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::account::{Account, Moment};
use super::history::Spend;
use super::kept::{Blocked, Charge, Kept, Part, Request};
use super::limit::{Budget, Each};
use super::status::{Alert, BudgetStatus};
use super::window::Span;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::money::Usd;

#[derive(Debug)]
pub(super) struct Books {
    budgets: Vec<Kept>,
    accounts: Slab<Account>,
    holds: Slab<Open>,
    /// When the next hold expires, or earlier.
    next_expiry: Timestamp,
    tickets: u64,
}

/// A hold.
#[derive(Debug)]
struct Open {
    parts: Vec<Part>,
    expires: Timestamp,
    /// What is left of it counts as spent.
    is_expired: bool,
    /// What the call can cost at most, if that is known.
    worst: Option<i64>,
    charged: i64,
}

/// What is to be done once the lock is free.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Effects {
    pub(super) alerts: Vec<Alert>,
    pub(super) wake: Vec<Waker>,
}

/// What becomes of what is left of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Returns,
    IsSpent,
}

impl Books {
    pub(super) fn new(budgets: Vec<Budget>, now: Timestamp) -> Self {
        Self {
            budgets: budgets
                .into_iter()
                .enumerate()
                .map(|(index, budget)| Kept::new(index, budget, now))
                .collect(),
            accounts: Slab::new(),
            holds: Slab::new(),
            next_expiry: Span::ALL.end,
            tickets: 0,
        }
    }

    /// Holds what a call can cost, in every budget that it counts for or in none.
    pub(super) fn reserve(
        &mut self,
        request: &Request<'_>,
        now: &Moment<'_>,
        effects: &mut Effects,
    ) -> Result<usize, Blocked> {
        self.expire(now, effects);
        let Self {
            budgets, accounts, ..
        } = self;
        let mut parts = Vec::with_capacity(budgets.len());
        let mut held = 0;
        let mut hold_all = || {
            for kept in &mut *budgets {
                kept.parts(request, now, accounts, &mut parts, &mut effects.wake)?;
                for part in parts.iter().skip(held) {
                    kept.admit(part, request.turn, now, accounts)?;
                    if let Some(account) = accounts.get_mut(part.account) {
                        account.held += i128::from(part.left);
                        account.parts += 1;
                    }
                    held += 1;
                }
            }
            Ok(())
        };
        if let Err(blocked) = hold_all() {
            for part in parts.iter().take(held) {
                if let Some(account) = accounts.get_mut(part.account) {
                    account.held -= i128::from(part.left);
                    account.parts -= 1;
                }
            }
            return Err(blocked);
        }
        self.next_expiry = self.next_expiry.min(request.expires);
        Ok(self.holds.insert(Open {
            parts,
            expires: request.expires,
            is_expired: false,
            worst: request.estimate.at_most().map(Usd::as_pico),
            charged: 0,
        }))
    }

    /// Makes a hold cover an estimate again, after a part of it was charged, or grow to a larger one.
    pub(super) fn cover(
        &mut self,
        hold: usize,
        request: &Request<'_>,
        now: &Moment<'_>,
        effects: &mut Effects,
    ) -> Result<(), Blocked> {
        let Self {
            budgets,
            accounts,
            holds,
            ..
        } = self;
        let mut missing = Vec::with_capacity(budgets.len());
        for kept in &mut *budgets {
            kept.parts(request, now, accounts, &mut missing, &mut effects.wake)?;
        }
        let is_same = |one: usize, other: usize| match (accounts.get(one), accounts.get(other)) {
            (Some(one), Some(other)) => (one.budget, &one.key) == (other.budget, &other.key),
            _ => false,
        };
        for part in &mut missing {
            let parts = holds.get(hold).map(|open| &*open.parts).unwrap_or_default();
            // It stays in the window that it was let through in.
            if let Some(old) = parts.iter().find(|old| is_same(old.account, part.account)) {
                part.account = old.account;
                part.left = (part.share - old.left).max(0);
            }
        }
        for part in &missing {
            let budget = accounts.get(part.account).map(|account| account.budget);
            if let Some(kept) = budget.and_then(|budget| budgets.get(budget)) {
                kept.admit(part, request.turn, now, accounts)?;
            }
        }
        let Some(open) = holds.get_mut(hold) else {
            return Ok(());
        };
        for part in missing {
            let Some(account) = accounts.get_mut(part.account) else {
                continue;
            };
            if open.is_expired {
                if let Some(kept) = budgets.get(account.budget) {
                    account.spend(&kept.budget, part.left.into(), now, &mut effects.alerts);
                }
            } else {
                account.held += i128::from(part.left);
            }
            if let Some(old) = open.parts.iter_mut().find(|old| old.account == part.account) {
                old.left += part.left;
                old.share = old.share.max(part.share);
            } else {
                account.parts += 1;
                open.parts.push(part);
            }
        }
        Ok(())
    }

    /// Counts what a call has cost.
    pub(super) fn charge(
        &mut self,
        hold: usize,
        charge: &Charge<'_>,
        now: &Moment<'_>,
        effects: &mut Effects,
    ) {
        let Self {
            budgets,
            accounts,
            holds,
            ..
        } = self;
        let Some(open) = holds.get_mut(hold) else {
            return;
        };
        for part in &mut open.parts {
            let Some(account) = accounts.get_mut(part.account) else {
                continue;
            };
            if let Some(kept) = budgets.get(account.budget) {
                part.count(account, kept, charge, open.is_expired, now, &mut effects.alerts);
                effects.wake_first(account);
            }
        }
        open.note(charge);
    }

    /// Counts what a call has cost that nothing was held for.
    pub(super) fn spend(
        &mut self,
        whom: &Attribution,
        charge: &Charge<'_>,
        now: &Moment<'_>,
        effects: &mut Effects,
    ) {
        let Self {
            budgets, accounts, ..
        } = self;
        for kept in &mut *budgets {
            if !kept.budget.scope.has(whom) {
                continue;
            }
            kept.turn_to(now.get(), accounts, &mut effects.wake);
            let account = kept.account_of(whom, charge.model, now, accounts);
            if let Some(account) = account.and_then(|account| accounts.get_mut(account)) {
                account.catch_up(&kept.budget, now);
                account.unpriced += u64::from(charge.cost.at_most().is_none());
                let amount = kept.budget.charged(charge, kept.budget.unpriced_amount());
                account.spend(&kept.budget, amount.into(), now, &mut effects.alerts);
                effects.wake_first(account);
            }
        }
    }

    /// Forgets a hold, after its last cost is counted, if there is one. What is then left of it is given back, or spent.
    pub(super) fn close(
        &mut self,
        hold: usize,
        charge: Option<&Charge<'_>>,
        rest: Rest,
        now: &Moment<'_>,
        effects: &mut Effects,
    ) {
        let Self {
            budgets,
            accounts,
            holds,
            ..
        } = self;
        let Some(mut open) = holds.try_remove(hold) else {
            return;
        };
        if let Some(charge) = charge {
            open.note(charge);
        }
        for part in &mut open.parts {
            let Some(account) = accounts.get_mut(part.account) else {
                continue;
            };
            let Some(kept) = budgets.get_mut(account.budget) else {
                continue;
            };
            if let Some(charge) = charge {
                part.count(account, kept, charge, open.is_expired, now, &mut effects.alerts);
            }
            let left = i128::from(part.left);
            match (open.is_expired, rest) {
                (false, Rest::Returns) => account.held -= left,
                (true, Rest::Returns) => account.take_back(left),
                (false, Rest::IsSpent) => {
                    account.held -= left;
                    account.spend(&kept.budget, left, now, &mut effects.alerts);
                }
                (true, Rest::IsSpent) => {}
            }
            account.parts -= 1;
            effects.wake_first(account);
            if let (Some(worst), Some(shares)) = (open.worst, &mut kept.shares)
                && open.charged > 0
            {
                shares.count(open.charged, worst);
            }
            if account.is_past && account.parts == 0 {
                accounts.remove(part.account);
            }
        }
    }

    /// Counts holds as spent whose time is over: nobody has told what became of their calls.
    pub(super) fn expire(&mut self, now: &Moment<'_>, effects: &mut Effects) {
        let moment = now.get();
        if moment < self.next_expiry {
            return;
        }
        let Self {
            budgets,
            accounts,
            holds,
            ..
        } = self;
        for (_, open) in holds.iter_mut() {
            if open.is_expired || moment < open.expires {
                continue;
            }
            open.is_expired = true;
            for part in &open.parts {
                let Some(account) = accounts.get_mut(part.account) else {
                    continue;
                };
                account.held -= i128::from(part.left);
                if let Some(kept) = budgets.get(account.budget) {
                    account.spend(&kept.budget, part.left.into(), now, &mut effects.alerts);
                }
            }
        }
        let open = holds.iter().filter(|(_, open)| !open.is_expired);
        self.next_expiry = open.map(|(_, open)| open.expires).min().unwrap_or(Span::ALL.end);
    }

    /// Returns the place in the queue of who comes now.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Lets someone wait for room in an account.
    pub(super) fn wait(&mut self, account: usize, ticket: u64, waker: &Waker) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.waiting.insert(ticket, waker.clone());
        }
    }

    /// Ends a wait. Who is first then looks again.
    pub(super) fn leave(&mut self, account: usize, ticket: u64, effects: &mut Effects) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.waiting.remove(&ticket);
            effects.wake_first(account);
        }
    }

    /// Counts a call that is refused for good.
    pub(super) fn refuse(&mut self, account: usize) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.refused += 1;
        }
    }

    /// Counts what was spent before this process began.
    pub(super) fn recall(
        &mut self,
        index: usize,
        spends: &mut [Spend],
        now: &Moment<'_>,
        effects: &mut Effects,
    ) {
        let Self {
            budgets, accounts, ..
        } = self;
        let Some(kept) = budgets.get_mut(index) else {
            return;
        };
        kept.turn_to(now.get(), accounts, &mut effects.wake);
        // What was spent first leaves a rolling window first.
        spends.sort_by_key(|spend| spend.until);
        for spend in &*spends {
            let model = spend.model.as_ref();
            if !kept.budget.scope.has_model(model) {
                continue;
            }
            let key = match &kept.budget.each {
                Some(each @ Each::Model) => each.key(&Attribution::default(), model).map(Arc::from),
                _ => spend.key.clone(),
            };
            let account = kept.account(key.as_deref(), now, accounts);
            if let Some(account) = accounts.get_mut(account) {
                let at = spend.until.map_or(now.get(), |until| until.min(now.get()));
                account.recall(&kept.budget, kept.budget.recalled(spend), at);
            }
        }
    }

    /// Returns how each limit stands.
    pub(super) fn status(&mut self, now: &Moment<'_>, effects: &mut Effects) -> Vec<BudgetStatus> {
        self.expire(now, effects);
        let Self {
            budgets, accounts, ..
        } = self;
        let mut all = Vec::new();
        for kept in &mut *budgets {
            kept.turn_to(now.get(), accounts, &mut effects.wake);
            if kept.budget.each.is_none() {
                kept.account(None, now, accounts);
            }
            let first = all.len();
            for account in kept.accounts() {
                if let Some(account) = accounts.get_mut(account) {
                    account.catch_up(&kept.budget, now);
                    all.push(account.status(&kept.budget, now.get()));
                }
            }
            if let Some(of_it) = all.get_mut(first..) {
                of_it.sort_by(|a: &BudgetStatus, b| a.key.cmp(&b.key));
            }
        }
        all
    }
}

impl Open {
    /// Notes what the call has cost, to learn from.
    fn note(&mut self, charge: &Charge<'_>) {
        if let Some(cost) = charge.cost.at_most() {
            self.charged = self.charged.saturating_add(cost.as_pico());
        }
    }
}

impl Effects {
    /// Lets who waits first for an account look again.
    fn wake_first(&mut self, account: &Account) {
        if let Some((_, waker)) = account.waiting.first_key_value() {
            self.wake.push(waker.clone());
        }
    }
}
