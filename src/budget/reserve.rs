//! One call that wants room, and waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::kept::{Blocked, Request, Turn};
use super::{Admission, BudgetError, Budgets, Estimate, Hold};
use crate::attribution::Attribution;
use crate::clock::{Timestamp, bounded};

/// Holds what a call can cost once there is room for it.
///
/// Who is blocked stands in the queue of the account that blocks it, by when it came. The first one looks again when
/// that account changes, and who leaves a queue wakes the next.
pub(super) struct Reserve<'a> {
    budgets: &'a Budgets,
    attribution: &'a Attribution,
    estimate: &'a Estimate,
    /// Since when it waits, its number, and the account that it waits for.
    place: Option<Place>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    came: Instant,
    ticket: u64,
    account: usize,
}

/// What one look at the books came to.
pub(super) enum Look {
    Done(Result<Hold, BudgetError>),
    /// To look again when woken, and at this moment.
    Again(Instant),
}

impl<'a> Reserve<'a> {
    pub(super) const fn new(
        budgets: &'a Budgets,
        attribution: &'a Attribution,
        estimate: &'a Estimate,
    ) -> Self {
        Self {
            budgets,
            attribution,
            estimate,
            place: None,
            timer: None,
        }
    }

    /// Tries to hold it, or takes its place in a queue.
    pub(super) fn look(&mut self, cx: &Context<'_>) -> Look {
        let budgets = self.budgets;
        budgets.change(|books, now, effects| {
            let request = Request {
                attribution: self.attribution,
                estimate: self.estimate,
                expires: now.get().saturating_add(self.estimate.settles_within),
                turn: self.place.map_or(Turn::Comes, |place| Turn::Waits(place.ticket)),
            };
            let blocked = match books.reserve(&request, now, effects) {
                Ok(key) => {
                    if let Some(place) = self.place.take() {
                        books.leave(place.account, place.ticket, effects);
                    }
                    let hold = Hold::new(budgets.clone(), key, now.get());
                    return Look::Done(Ok(hold));
                }
                Err(blocked) => blocked,
            };
            let account = blocked.account;
            let Some((came, until)) = self.waits_until(&blocked, now.get()) else {
                if let Some(place) = self.place.take() {
                    books.leave(place.account, place.ticket, effects);
                }
                books.refuse(account);
                return Look::Done(Err(BudgetError::Refused(blocked.refusal)));
            };
            let place = self.place.get_or_insert_with(|| Place {
                came,
                ticket: books.ticket(),
                account,
            });
            if place.account != account {
                books.leave(place.account, place.ticket, effects);
                place.account = account;
            }
            books.wait(account, place.ticket, cx.waker());
            Look::Again(until)
        })
    }

    /// Returns since when it waits and when to look again; `None` if to wait is not granted, or no help.
    fn waits_until(&self, blocked: &Blocked, now: Timestamp) -> Option<(Instant, Instant)> {
        let refusal = &blocked.refusal;
        let Admission::Wait(patience) = refusal.admission else {
            return None;
        };
        let most = refusal.at_most?;
        let moment = Instant::now();
        let came = self.place.map_or(moment, |place| place.came);
        let end = came + bounded(patience);
        // A timer that fires early must not be set again for no time at all.
        let shortest = Duration::from_millis(1);
        let improves = blocked
            .improves
            .map(|at| moment + bounded(at.saturating_since(now)).max(shortest))
            .filter(|at| *at <= end && most <= refusal.limit);
        match improves {
            _ if moment >= end => None,
            Some(improves) => Some((came, improves)),
            None => refusal.may_pass().then_some((came, end)),
        }
    }
}

impl Future for Reserve<'_> {
    type Output = Result<Hold, BudgetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let until = match self.look(cx) {
                Look::Done(result) => return Poll::Ready(result),
                Look::Again(until) => until,
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            timer.as_mut().reset(until);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.budgets
                .change(|books, _, effects| books.leave(place.account, place.ticket, effects));
        }
    }
}
