//! The background task: makes files of what is due, works on every flush, and looks after deadlines.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::select_biased;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::api::{ApiError, Effect, FasterLane, LineAnswer, Outcome};
use super::error::BatchError;
use super::flush;
use super::shared::{Ending, Shared};
use super::state::{MAX_RESCUES, Place, Request, Rescue, State};
use super::store::{FlushId, Record, StoreError};
use crate::error::ErrorKind;
use crate::id::RequestId;

/// How long to wait when there is nothing to wait for but a wake-up.
const IDLE: Duration = Duration::from_secs(3_600);

/// Makes the task that works until nothing is left to do; the guard is in it before it is first polled, as a runtime may
/// die before that. Everything runs inside this one task, so that it stops as a whole.
pub(super) fn run(shared: Arc<Shared>, generation: u64) -> impl Future<Output = ()> + Send {
    work(Alive { shared, generation })
}

async fn work(alive: Alive) {
    let (shared, generation) = (&alive.shared, alive.generation);
    alive.take_over().await;
    let mut work = FuturesUnordered::<BoxFuture<'static, ()>>::new();
    loop {
        if shared.store.wants_snapshot() {
            let shared = shared.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || shared.snapshot()).await {
                tracing::warn!(%error, "the batch journal could not be written anew; it goes on growing");
            }
        }
        let due = shared.due(generation);
        for flush in due.flushes {
            work.push(flush::drive(shared.clone(), flush).boxed());
        }
        for (id, lane) in due.rescues {
            work.push(rescue(shared.clone(), lane, id).boxed());
        }
        if work.is_empty() && alive.retire() {
            return;
        }
        let next = due.next.unwrap_or_else(|| Instant::now() + IDLE);
        select_biased! {
            // An empty set answers `None` at once; then only time or a wake-up brings work.
            done = work.next() => if done.is_none() {
                select_biased! {
                    () = shared.wake.notified().fuse() => {}
                    () = sleep_until(next).fuse() => {}
                }
            },
            () = shared.wake.notified().fuse() => {}
            () = sleep_until(next).fuse() => {}
        }
    }
}

impl Shared {
    /// Plans a request anew that was not sent on a faster lane because the store failed.
    fn rescue_later(&self, id: RequestId, error: &StoreError) {
        tracing::error!(%error, request_id = %id, "the batch store failed; it is sent on a faster lane later");
        let mut state = self.lock();
        state.rescuing = state.rescuing.saturating_sub(1);
        // If the record is there all the same, a restart takes the request for sent: it then costs more in the books.
        if let Some(row) = state.find(id) {
            state.set_rescue(row, Rescue::NotYet);
            state.forget_if_over(row);
        }
        state.rescues.insert((Instant::now() + self.policy.min_poll, id));
    }
}

/// What is to be begun now, and when to look again.
struct Due {
    flushes: Vec<FlushId>,
    rescues: Vec<(RequestId, Arc<dyn FasterLane>)>,
    next: Option<Instant>,
}

impl Shared {
    /// Writes what the store had no room for, and makes files of what is due.
    fn seal_due(&self, state: &mut State) -> Result<(), StoreError> {
        if !state.unwritten.is_empty() {
            self.write(state, &mut [])?;
        }
        while self.seal(state, self.policy.max_delay)?.is_some() {}
        Ok(())
    }

    fn due(&self, generation: u64) -> Due {
        let mut state = self.lock();
        let now = Instant::now();
        let retry = self.seal_due(&mut state).err().map(|error| {
            tracing::error!(%error, "the batch store failed; it is tried again");
            now + self.policy.min_poll
        });
        let mut rescues = Vec::new();
        let crowded = self.faster.is_some() && state.is_crowded(self.policy.slack, now);
        let is_due = |(at, _): &(Instant, RequestId)| *at <= now || crowded;
        while state.rescuing < MAX_RESCUES
            && let Some((_, id)) = state.rescues.first().copied().filter(is_due)
        {
            state.rescues.pop_first();
            let Some(lane) = &self.faster else { continue };
            let Some(row) = state.find(id) else { continue };
            let settled = state.get(row).is_none_or(Request::is_settled);
            if settled || !matches!(state.rescue(row), Rescue::NotYet) {
                continue;
            }
            // Nobody waits, so nothing is lost by the batch's own pace.
            if !state.is_wanted(row) {
                state.take_back(row);
                continue;
            }
            tracing::debug!(request_id = %id, "the deadline is near; sent on a faster lane");
            state.set_rescue(row, Rescue::Sending(generation));
            rescues.push((id, lane.clone()));
            state.rescuing += 1;
            state.leave_buffer(row, Place::Nowhere);
        }
        let mut flushes = Vec::new();
        for (id, flush) in &mut state.flushes {
            if flush.runner != generation {
                flush.runner = generation;
                flushes.push(id.clone());
            }
        }
        // When all places are taken, one that gets free is the wake-up.
        let rescue = state.rescues.first().filter(|_| state.rescuing < MAX_RESCUES);
        let next = [retry, rescue.map(|(at, _)| *at), state.next_look_at_crowd()];
        let seal = if retry.is_some() {
            None
        } else {
            state.next_seal(&self.policy, now)
        };
        Due {
            flushes,
            rescues,
            next: next.into_iter().flatten().chain(seal).min(),
        }
    }
}

/// Sends a request on the faster lane; the first valid answer wins.
async fn rescue(shared: Arc<Shared>, lane: Arc<dyn FasterLane>, id: RequestId) {
    let begun = Instant::now();
    let body = match shared.body(id).await {
        Err(error) if !error.is_damage() => return shared.rescue_later(id, &error),
        body => body,
    };
    if let Err(error) = shared.commit(Record::SendIntended { id }).await {
        return shared.rescue_later(id, &error);
    }
    let (outcome, body) = match body {
        Ok(body) => (send(&shared, &*lane, id, &body).await, body),
        Err(error) => (Err(error.into()), Bytes::new()),
    };
    let valid = outcome.as_ref().is_ok_and(LineAnswer::is_success);
    {
        let mut state = shared.lock();
        state.rescuing = state.rescuing.saturating_sub(1);
        state.rescue_took(begun.elapsed());
        let Some(row) = state.find(id) else { return };
        let in_batch =
            |request: &Request| !request.is_settled() && matches!(request.place(), Place::InFlush(_));
        if !valid && state.get(row).is_some_and(in_batch) {
            tracing::warn!(request_id = %id, "the faster lane did not help; the batch may");
            state.set_rescue(row, Rescue::Failed(outcome, body));
            return;
        }
    }
    let ending = Ending {
        body,
        ..Ending::of(outcome)
    };
    let Some(ended) = shared.end_if(id, ending, |_| true) else {
        return;
    };
    // Unlike a batch, this lane does not keep its answer for another reading.
    if let Err(error) = shared.sync().await {
        tracing::error!(%error, request_id = %id, "the batch store failed; an answer may be lost with the power");
    }
    // Not before: an answer that the power takes until then was never handed out, and its request is sent again.
    shared.note(&mut shared.lock(), vec![Record::SendOver { id }]);
    drop(ended);
}

async fn send(shared: &Shared, lane: &dyn FasterLane, id: RequestId, body: &Bytes) -> Outcome {
    let item = {
        let state = shared.lock();
        state.find(id).and_then(|row| state.item(row, body.clone()))
    };
    let Some(item) = item else {
        return Err(BatchError::Cancelled);
    };
    let sent = AssertUnwindSafe(lane.send(&item)).catch_unwind().await;
    sent.unwrap_or_else(|_| {
        let panicked = ApiError::new(ErrorKind::Protocol, Effect::Unknown, "the faster lane panicked");
        Err(BatchError::FasterLane(Arc::new(panicked)))
    })
}

/// Notices when the runtime drops the driver, so that whoever waits can start another one.
struct Alive {
    shared: Arc<Shared>,
    generation: u64,
}

impl Alive {
    /// Tells of what an earlier driver was sending when its runtime or its process died, and plans it again.
    async fn take_over(&self) {
        let lost: Vec<_> = {
            let mut state = self.shared.lock();
            state.rescuing = 0;
            let sending = state.rescues_under_way().into_iter();
            let lost = sending.filter(|(_, by)| *by != self.generation);
            lost.filter_map(|(row, _)| state.get(row).map(Request::id))
                .collect()
        };
        for id in lost {
            let over = Record::SendOver { id };
            let is_answered = {
                let mut state = self.shared.lock();
                let settled = |row| state.get(row).is_some_and(Request::is_settled);
                let is_answered = state.find(id).is_some_and(settled);
                if is_answered {
                    // It was told of and handed out when its runtime dropped it.
                    self.shared.note(&mut state, vec![over.clone()]);
                }
                is_answered
            };
            if is_answered {
                continue;
            }
            let body = self.shared.body(id).await.unwrap_or_default();
            self.shared.tell_of_lost_send(id, body);
            let mut state = self.shared.lock();
            let records = state.lost_send(id).into_iter().chain([over]);
            self.shared.note(&mut state, records.collect());
            state.rescues.insert((Instant::now(), id));
        }
    }

    /// Ends this driver if there is nothing to do; the next request starts another one.
    fn retire(&self) -> bool {
        let mut state = self.shared.lock();
        let idle = state.is_idle() && state.generation == self.generation;
        if idle {
            state.rescues.clear();
            state.driven = false;
        }
        idle
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.lock();
            if state.generation != self.generation {
                return;
            }
            state.driven = false;
            state.slots()
        };
        for slot in waiting {
            slot.wake();
        }
    }
}
