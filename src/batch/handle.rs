//! What a caller holds while a request is under way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::de::DeserializeOwned;

use super::api::{LineAnswer, Outcome};
use super::error::BatchError;
use super::shared::Shared;
use crate::id::RequestId;

/// A request that is under way: a future of its answer, and a printable id.
///
/// Several handles may wait for the same request. Polling one starts the collector's work again if the runtime that it
/// ran on is gone.
///
/// An outcome that a handle has given out is acknowledged by that, unless the request has a key: then it stays in the
/// store, and the same key gives it again, until [`acknowledge`](super::BatchCollector::acknowledge) says that it has been
/// used. Whoever must not lose an answer between its delivery and its use gives a key.
///
/// # Cancellation
/// Dropping a handle cancels nothing: the request goes its way and is booked. See
/// [`withdraw_on_drop`](Self::withdraw_on_drop).
///
/// # Errors
/// The future fails with the [`BatchError`] that says why there is no answer.
#[must_use = "dropping a handle cancels nothing, but nobody gets the answer"]
pub struct BatchHandle<T> {
    id: RequestId,
    seat: Seat,
    shared: Arc<Shared>,
    withdraw: bool,
    decode: fn(LineAnswer) -> Result<T, BatchError>,
}

impl<T> BatchHandle<T> {
    pub(super) fn new(
        id: RequestId,
        seat: Seat,
        shared: Arc<Shared>,
        decode: fn(LineAnswer) -> Result<T, BatchError>,
    ) -> Self {
        Self {
            id,
            seat,
            shared,
            withdraw: false,
            decode,
        }
    }

    /// Hands an outcome to everybody who waits for the request.
    pub(super) fn resolve(&self, outcome: Outcome) {
        self.seat.slot.resolve(outcome);
    }

    /// Returns the request's id.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Withdraws the request when this handle is the last one to be dropped, unless it has a key: if it is still buffered
    /// it is never sent, else its outcome is booked and forgotten.
    pub fn withdraw_on_drop(mut self) -> Self {
        self.withdraw = true;
        self
    }
}

impl<T> Future for BatchHandle<T> {
    type Output = Result<T, BatchError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.seat.poll(cx) {
            self.shared.delivered(self.id);
            return Poll::Ready(outcome.and_then(self.decode));
        }
        // Without a runtime here somebody else must go on; this handle waits.
        let _ = self.shared.ensure_driver();
        Poll::Pending
    }
}

impl<T> Drop for BatchHandle<T> {
    fn drop(&mut self) {
        if self.seat.leave() == 0 {
            if self.withdraw {
                self.shared.withdraw(self.id);
            }
            self.shared.left(self.id);
        }
    }
}

impl<T> fmt::Debug for BatchHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Decodes the body of a successful answer.
pub(super) fn typed<T: DeserializeOwned>(answer: LineAnswer) -> Result<T, BatchError> {
    if !answer.is_success() {
        return Err(BatchError::Status(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|source| BatchError::Decode {
        answer,
        source: Arc::new(source),
    })
}

/// Where an outcome is put, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    outcome: Option<Outcome>,
    seats: Vec<Option<Waker>>,
    handles: usize,
}

/// The place of one handle among those who wait. It is taken under the lock of the collector's state: a slot where nobody
/// sits may be given up at any time.
#[derive(Debug)]
pub(super) struct Seat {
    slot: Arc<Slot>,
    number: usize,
}

impl Seat {
    fn poll(&self, cx: &Context<'_>) -> Option<Outcome> {
        let mut waiting = self.slot.lock();
        if waiting.outcome.is_none()
            && let Some(waker) = waiting.seats.get_mut(self.number)
        {
            *waker = Some(cx.waker().clone());
        }
        waiting.outcome.clone()
    }

    /// Leaves it, and returns how many still wait.
    fn leave(&self) -> usize {
        let mut waiting = self.slot.lock();
        if let Some(waker) = waiting.seats.get_mut(self.number) {
            *waker = None;
        }
        waiting.handles = waiting.handles.saturating_sub(1);
        waiting.handles
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place among those who wait.
    pub(super) fn sit(self: &Arc<Self>) -> Seat {
        let mut waiting = self.lock();
        waiting.handles += 1;
        waiting.seats.push(None);
        Seat {
            slot: self.clone(),
            number: waiting.seats.len() - 1,
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.lock().handles > 0
    }

    /// Hands the outcome to everybody who waits.
    pub(super) fn resolve(&self, outcome: Outcome) {
        self.lock().outcome = Some(outcome);
        self.wake();
    }

    /// Makes everybody who waits look again.
    pub(super) fn wake(&self) {
        let wakers: Vec<_> = self.lock().seats.iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
