//! What is held for a call under way.

use std::fmt;

use super::books::Rest;
use super::budgets::Budgets;
use super::kept::{Charge, Request, Turn};
use super::{BudgetError, Estimate};
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::model::ModelId;
use crate::pricing::Cost;
use crate::usage::Usage;

/// What is held for a call until its cost is known, in every budget that it counts for.
///
/// Settle it with what the call has cost, or release it if nothing was sent. Dropped without either, it settles at what
/// is held: the money was probably spent. If its time is over before ([`Estimate::settles_within`]), it counts as spent
/// until it is settled all the same.
///
/// A cost of which only bounds are known counts with the most that it can be, an unknown one with what was held.
#[must_use = "dropped at once, it counts as spent"]
pub struct Hold {
    budgets: Budgets,
    /// Until it is settled or released.
    key: Option<usize>,
    at: Timestamp,
}

impl Hold {
    pub(super) const fn new(budgets: Budgets, key: usize, at: Timestamp) -> Self {
        Self {
            budgets,
            key: Some(key),
            at,
        }
    }

    /// Returns when the call was let through, which says what windows it belongs to.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Counts what the call has cost, and gives back the rest. A cost beyond the hold is counted too, see
    /// [`BudgetStatus::overruns`](super::BudgetStatus).
    pub fn settle(mut self, model: Option<&ModelId>, cost: &Cost, usage: Option<&Usage>) {
        let Some(key) = self.key.take() else { return };
        let charge = Charge { model, cost, usage };
        self.budgets.change(|books, now, effects| {
            books.close(key, Some(&charge), Rest::Returns, now, effects);
        });
    }

    /// Gives all of it back: nothing was sent.
    pub fn release(mut self) {
        self.close(Rest::Returns);
    }

    /// Counts what one model has cost, of several that are asked for the call.
    pub fn count(&self, model: Option<&ModelId>, cost: &Cost, usage: Option<&Usage>) {
        let Some(key) = self.key else { return };
        let charge = Charge { model, cost, usage };
        self.budgets
            .change(|books, now, effects| books.charge(key, &charge, now, effects));
    }

    /// Makes it cover an estimate in full, after a part of it was counted or because the call has become dearer. It does
    /// not wait. The attribution is the one that it was reserved for.
    ///
    /// # Errors
    /// If there is no room for that; the hold stays as it was.
    pub fn cover(&self, attribution: &Attribution, estimate: &Estimate) -> Result<(), BudgetError> {
        let Some(key) = self.key else { return Ok(()) };
        self.budgets.change(|books, now, effects| {
            let request = Request {
                attribution,
                estimate,
                expires: now.get(),
                turn: Turn::Holds,
            };
            books
                .cover(key, &request, now, effects)
                .map_err(|blocked| BudgetError::Refused(blocked.refusal))
        })
    }

    fn close(&mut self, rest: Rest) {
        if let Some(key) = self.key.take() {
            self.budgets
                .change(|books, now, effects| books.close(key, None, rest, now, effects));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.close(Rest::IsSpent);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("at", &self.at)
            .field("is_open", &self.key.is_some())
            .finish_non_exhaustive()
    }
}
