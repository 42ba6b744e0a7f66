//! What the collector, its handles and its driver share, and the few ways in which it changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::Instant;

use super::api::{
    ApiError, BatchApi, BatchGate, BatchItem, BatchObserver, Effect, FasterLane, Outcome, Settled,
};
use super::driver;
use super::error::BatchError;
use super::handle::Slot;
use super::lookout::Lookout;
use super::policy::BatchPolicy;
use super::state::{Place, Progress, Request, Rescue, Row, State};
use super::store::{BatchStore, Content, FlushId, Position, Record, RecoveryReport, StoreError, Verdict};
use crate::clock::{Clock, bounded};
use crate::error::ErrorKind;
use crate::id::RequestId;

/// What the collector, its handles and its driver share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) api: Arc<dyn BatchApi>,
    pub(super) policy: BatchPolicy,
    pub(super) store: Arc<dyn BatchStore>,
    pub(super) faster: Option<Arc<dyn FasterLane>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wake: Notify,
    pub(super) gate: Option<Arc<dyn BatchGate>>,
    /// Told when a flush is closed: others may have waited for its place.
    pub(super) closed: Notify,
    pub(super) lookout: Lookout,
    /// Told when there is another outcome.
    pub(super) settled: Notify,
    pub(super) observer: Option<Arc<dyn BatchObserver>>,
    pub(super) state: Mutex<State>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) loaded: OnceCell<RecoveryReport>,
}

/// An outcome on its way to those who wait.
pub(super) struct Ending<'a> {
    pub(super) outcome: Outcome,
    /// The batch that the request was in.
    pub(super) batch_id: Option<&'a str>,
    /// The request's body, for an observer who is not given its context.
    pub(super) body: Bytes,
    /// What stands after it: its batch has said all of the request.
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another outcome may come from the batch that it is in.
    Stay,
    Release,
}

/// An outcome that is stored. It is told and handed out when this is dropped, whatever else ends then; the lock must be
/// free.
#[must_use]
pub(super) struct Ended<'a> {
    shared: &'a Shared,
    ending: Ending<'a>,
    item: BatchItem,
    slot: Option<Arc<Slot>>,
    attempts: u32,
    superseded: bool,
    parked: Option<(Outcome, Bytes)>,
    place: Place,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the driver on this runtime unless one is at work.
    pub(super) fn ensure_driver(self: &Arc<Self>) -> Result<(), BatchError> {
        let (runtime, generation) = {
            let mut state = self.lock();
            if state.driven {
                return Ok(());
            }
            let runtime = Handle::try_current().map_err(|_| BatchError::NoRuntime)?;
            state.driven = true;
            state.generation += 1;
            (runtime, state.generation)
        };
        // Not under the lock: a runtime that is shutting down drops the driver at once, which takes it.
        runtime.spawn(driver::run(self.clone(), generation));
        Ok(())
    }

    pub(super) fn plan_rescue(&self, state: &mut State, row: Row) {
        let Some(deadline) = state.deadline(row) else {
            return;
        };
        let Some(id) = state.get(row).map(Request::id) else {
            return;
        };
        let left = deadline
            .saturating_since(self.clock.now())
            .saturating_sub(self.policy.slack);
        state.rescues.insert((Instant::now() + bounded(left), id));
    }

    /// Writes records and lets them take effect, both under the lock, so that their order is the same.
    pub(super) fn append(&self, state: &mut State, records: &mut [Record]) -> Result<Position, StoreError> {
        let position = self.write(state, records)?;
        for record in &*records {
            state.apply(record);
        }
        self.publish(state);
        Ok(position)
    }

    /// Writes records, after those that the store had no room for.
    pub(super) fn write(&self, state: &mut State, records: &mut [Record]) -> Result<Position, StoreError> {
        if !state.unwritten.is_empty() {
            let mut older = std::mem::take(&mut state.unwritten);
            if let Err(error) = self.store.append(&mut older) {
                state.unwritten = older;
                return Err(error);
            }
            for record in &older {
                state.stored(record);
            }
        }
        self.store.append(records)
    }

    pub(super) fn publish(&self, state: &State) {
        let new = state.progress();
        self.progress
            .send_if_modified(|old| std::mem::replace(old, new) != new);
    }

    /// Writes a record and waits until it is durable.
    pub(super) async fn commit(&self, record: Record) -> Result<(), StoreError> {
        let position = self.append(&mut self.lock(), &mut [record])?;
        self.store.sync(position).await
    }

    /// Waits until all that was written is durable.
    pub(super) async fn sync(&self) -> Result<(), StoreError> {
        let position = self.write(&mut self.lock(), &mut [])?;
        self.store.sync(position).await
    }

    /// Writes records that take effect even if the store has no room for them; then they are written later.
    pub(super) fn note(&self, state: &mut State, mut records: Vec<Record>) {
        if let Err(error) = self.write(state, &mut records) {
            tracing::error!(%error, "the batch store failed; what happened is stored later");
            state.unwritten.extend(records.iter().cloned());
            // Whoever is at work tries that again.
            self.wake.notify_one();
        }
        for record in &records {
            state.apply(record);
        }
    }

    /// Writes the journal anew. Nothing is enqueued meanwhile.
    pub(super) fn snapshot(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        self.write(&mut state, &mut [])?;
        self.store.replace(&mut state.snapshot())
    }

    /// Makes one file of what is due, and returns its lines; `max_age` zero means everything.
    pub(super) fn seal(
        &self,
        state: &mut State,
        max_age: Duration,
    ) -> Result<Option<Vec<RequestId>>, StoreError> {
        let Some((rows, lines)) = state.due_lines(&self.policy, max_age, Instant::now()) else {
            return Ok(None);
        };
        let flush = FlushId::new(RequestId::new(self.clock.now()).to_string());
        let mut sealed = [Record::Sealed {
            flush: flush.clone(),
            lines,
        }];
        self.write(state, &mut sealed)?;
        state.sealed(&flush, rows);
        self.publish(state);
        let [Record::Sealed { lines, .. }] = sealed else {
            return Ok(Some(Vec::new()));
        };
        Ok(Some(lines))
    }

    /// Closes a flush, once all that its batch said is durable: then the server need not be asked again.
    pub(super) async fn close(&self, flush: &FlushId) -> Result<(), StoreError> {
        self.sync().await?;
        self.append(&mut self.lock(), &mut [Record::Closed { flush: flush.clone() }])?;
        self.closed.notify_waiters();
        self.wake.notify_one();
        Ok(())
    }

    /// Gives a request its outcome: tells the observer, then whoever waits. The first one wins.
    pub(super) fn settle(&self, id: RequestId, ending: Ending<'_>) {
        self.settle_if(id, ending, |_| true);
    }

    /// Does so if the request is as it should be; returns where it was then.
    pub(super) fn settle_if(
        &self,
        id: RequestId,
        ending: Ending<'_>,
        wanted: impl FnOnce(&Request) -> bool,
    ) -> Option<Place> {
        Some(self.end_if(id, ending, wanted)?.place)
    }

    /// Notes an outcome if the request is as it should be; what is returned tells it.
    pub(super) fn end_if<'a>(
        &'a self,
        id: RequestId,
        ending: Ending<'a>,
        wanted: impl FnOnce(&Request) -> bool,
    ) -> Option<Ended<'a>> {
        // Declared before the lock, so that it outlives it whatever happens.
        let ended;
        let mut state = self.lock();
        let row = state.find(id)?;
        state.get(row).filter(|request| wanted(request))?;
        let records = Self::records(&state, row, &ending);
        ended = self.end(&mut state, row, ending)?;
        self.note(&mut state, records);
        Some(ended)
    }

    /// Returns what is stored of an outcome.
    pub(super) fn records(state: &State, row: Row, ending: &Ending<'_>) -> Vec<Record> {
        let Some(request) = state.get(row) else {
            return Vec::new();
        };
        let (id, mut records) = (request.id(), Vec::with_capacity(3));
        let verdict = Verdict::of(&ending.outcome);
        let forgotten = verdict.is_cancelled() || state.is_unwanted(row);
        if !request.is_settled() {
            let verdict = if forgotten {
                Verdict::of(&Err(BatchError::Cancelled))
            } else {
                verdict
            };
            records.push(Record::Settled { id, verdict });
        }
        if ending.then == Then::Release {
            records.push(Record::Released { id });
        }
        if matches!(state.rescue(row), Rescue::Failed(..)) {
            records.push(Record::SendOver { id });
        }
        if !request.is_settled() && forgotten {
            let line = Content::Stored(request.line);
            records.push(Record::Acknowledged {
                id,
                line,
                answer: None,
            });
        }
        records
    }

    /// Gathers what is to be told of an outcome, before its records take effect.
    pub(super) fn end<'a>(&'a self, state: &mut State, row: Row, ending: Ending<'a>) -> Option<Ended<'a>> {
        let item = state.item(row, ending.body.clone())?;
        // What the faster lane has lost may be billed, though the batch has answered now.
        let parked = match state.rescue(row) {
            Rescue::Failed(parked, body) => {
                state.set_rescue(row, Rescue::NotYet);
                Some((parked, body))
            }
            _ => None,
        };
        let request = state.get(row)?;
        let (attempts, superseded, place) = (request.attempts(), request.is_settled(), request.place());
        state.telling += usize::from(!superseded);
        Some(Ended {
            shared: self,
            ending,
            item,
            slot: state.slot_if_any(row),
            attempts,
            superseded,
            parked,
            place,
        })
    }

    fn tell_and_resolve(&self, ended: &mut Ended<'_>) {
        let Ended {
            ending,
            item,
            slot,
            attempts,
            superseded,
            parked,
            ..
        } = ended;
        let (attempts, superseded, batch_id) = (*attempts, *superseded, ending.batch_id);
        let outcome = std::mem::replace(&mut ending.outcome, Err(BatchError::Cancelled));
        let orphaned = !slot.as_ref().is_some_and(|slot| slot.is_awaited());
        if superseded || (orphaned && !matches!(outcome, Err(BatchError::Cancelled))) {
            tracing::debug!(request_id = %item.id, batch_id, superseded, orphaned, "an outcome that nobody waits for");
        }
        let settled = Settled {
            item,
            outcome: &outcome,
            batch_id,
            attempts,
            orphaned,
            superseded,
        };
        self.tell(&settled);
        if let Some((parked, body)) = parked.take() {
            let item = BatchItem { body, ..item.clone() };
            self.tell(&Settled {
                item: &item,
                outcome: &parked,
                batch_id: None,
                superseded: true,
                ..settled
            });
        }
        if !superseded && let Some(slot) = slot {
            slot.resolve(outcome);
        }
        // Nobody learns that nothing is pending before it is booked.
        let mut state = self.lock();
        if !superseded {
            state.telling = state.telling.saturating_sub(1);
            state.deliver(item.id);
        }
        self.publish(&state);
        drop(state);
        self.settled.notify_waiters();
        self.wake.notify_one();
    }

    /// Tells the observer of a request that was being sent on the faster lane when the process ended, or its runtime.
    pub(super) fn tell_of_lost_send(&self, id: RequestId, body: Bytes) {
        let told = {
            let state = self.lock();
            state.find(id).and_then(|row| {
                let (item, attempts) = (state.item(row, body)?, state.get(row)?.attempts());
                Some((item, attempts))
            })
        };
        let Some((item, attempts)) = told else { return };
        tracing::warn!(request_id = %id, "nobody learned what a faster lane answered; it may be billed");
        let lost = ApiError::new(
            ErrorKind::Connection,
            Effect::Unknown,
            "nobody was there for the answer",
        );
        self.tell(&Settled {
            item: &item,
            outcome: &Err(BatchError::FasterLane(Arc::new(lost.with_lost_attempts(1)))),
            batch_id: None,
            attempts,
            orphaned: false,
            superseded: true,
        });
    }

    pub(super) fn tell(&self, settled: &Settled<'_>) {
        let Some(observer) = &self.observer else { return };
        if catch_unwind(AssertUnwindSafe(|| observer.settled(settled))).is_err() {
            tracing::error!(request_id = %settled.item.id, "the batch observer panicked");
        }
    }

    /// Notes that nobody needs the outcome of a request any more; false if none is kept.
    pub(super) fn acknowledge(&self, id: RequestId) -> bool {
        let mut state = self.lock();
        let Some(row) = state.find(id) else { return false };
        let Some(verdict) = state.verdict(row) else {
            return false;
        };
        let answer = verdict.body().and_then(Content::extent).map(Content::Stored);
        let Some(line) = state.get(row).map(|request| request.line) else {
            return false;
        };
        let line = Content::Stored(line);
        self.note(&mut state, vec![Record::Acknowledged { id, line, answer }]);
        true
    }

    /// Notes that a handle gave out the outcome of a request.
    pub(super) fn delivered(&self, id: RequestId) {
        let keyed = {
            let state = self.lock();
            state.find(id).is_none_or(|row| state.has_key(row))
        };
        if !keyed {
            self.acknowledge(id);
        }
    }

    /// Notes that the last handle of a request is gone.
    pub(super) fn left(&self, id: RequestId) {
        let mut state = self.lock();
        if let Some(row) = state.find(id) {
            state.leave_if_unattended(row);
            if state.verdict(row).is_some() {
                state.deliver(id);
                self.settled.notify_waiters();
            }
        }
    }

    /// Takes back a request that nobody waits for, if it was not sent; else its outcome is forgotten once it is there.
    pub(super) fn withdraw(&self, id: RequestId) {
        {
            let mut state = self.lock();
            let Some(row) = state.find(id) else { return };
            if state.has_key(row) || state.is_awaited(row) {
                return;
            }
            state.set_unwanted(row);
        }
        let unsent = |request: &Request| !request.is_settled() && request.place() == Place::Buffered;
        if self
            .settle_if(id, Ending::of(Err(BatchError::Cancelled)), unsent)
            .is_none()
        {
            self.acknowledge(id);
        }
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.shared.tell_and_resolve(self);
    }
}

impl Ending<'_> {
    /// An outcome that came from no batch.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            batch_id: None,
            body: Bytes::new(),
            then: Then::Stay,
        }
    }
}
