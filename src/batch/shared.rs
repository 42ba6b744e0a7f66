//! What the collector, its handles and its driver share, and the few ways in which it changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::Instant;

use super::api::{BatchApi, BatchGate, BatchItem, BatchObserver, FasterLane, Outcome, Settled};
use super::driver;
use super::error::BatchError;
use super::handle::Slot;
use super::policy::BatchPolicy;
use super::state::{Entry, Place, Progress, Rescue, State};
use super::store::{BatchStore, FlushId, Position, Record, StoreError};
use crate::clock::{Clock, bounded};
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
    pub(super) observer: Option<Arc<dyn BatchObserver>>,
    pub(super) state: Mutex<State>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) loaded: OnceCell<()>,
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

    /// Takes up what the store holds, once.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let load = || async {
            let records = self.store.load().await?;
            let mut state = self.lock();
            for record in &records {
                state.apply(record);
                if let Record::Enqueued(item) = record {
                    self.plan_rescue(&mut state, item);
                }
            }
            self.publish(&state);
            Ok(())
        };
        self.loaded.get_or_try_init(load).await.copied()
    }

    pub(super) fn admit(&self, item: BatchItem) -> Result<(RequestId, Arc<Slot>, Position), BatchError> {
        let mut state = self.lock();
        if state.shut {
            return Err(BatchError::ShutDown);
        }
        let known = item.key.as_ref().and_then(|key| state.keys.get(key));
        if let Some(entry) = known.and_then(|id| state.entries.get(id)) {
            let old = &entry.item;
            if (&old.endpoint, &old.body) != (&item.endpoint, &item.body) {
                let key = item.key.unwrap_or_default();
                return Err(BatchError::Conflict { key });
            }
            let (id, slot) = (old.id, entry.slot.clone());
            // Nothing new is written; what is waited for is the first one's record.
            return Ok((id, slot, self.store.append(Vec::new())?));
        }
        let id = item.id;
        let position = self.append(&mut state, &[Record::Enqueued(item.clone())])?;
        self.plan_rescue(&mut state, &item);
        let slot = state
            .entries
            .get(&id)
            .map(|entry| entry.slot.clone())
            .unwrap_or_default();
        Ok((id, slot, position))
    }

    pub(super) fn plan_rescue(&self, state: &mut State, item: &BatchItem) {
        if let Some(deadline) = item.deadline {
            let left = deadline
                .saturating_since(self.clock.now())
                .saturating_sub(self.policy.slack);
            state.rescues.insert((Instant::now() + bounded(left), item.id));
        }
    }

    /// Writes records and lets them take effect, both under the lock, so that their order is the same.
    fn append(&self, state: &mut State, records: &[Record]) -> Result<Position, StoreError> {
        let position = self.store.append(records.to_vec())?;
        for record in records {
            state.apply(record);
        }
        self.publish(state);
        Ok(position)
    }

    fn publish(&self, state: &State) {
        let new = state.progress();
        self.progress
            .send_if_modified(|old| std::mem::replace(old, new) != new);
    }

    /// Writes a record and waits until it is durable.
    pub(super) async fn commit(&self, record: Record) -> Result<(), StoreError> {
        let position = self.append(&mut self.lock(), &[record])?;
        self.store.sync(position).await
    }

    /// Writes a record whose loss in a crash only repeats work. It takes effect even if the store fails.
    fn note(&self, state: &mut State, record: &Record) {
        self.write(state, record);
        self.publish(state);
    }

    fn write(&self, state: &mut State, record: &Record) {
        if let Err(error) = self.store.append(vec![record.clone()]) {
            tracing::error!(%error, "the batch store failed; a restart may repeat work");
        }
        state.apply(record);
    }

    /// Makes one file of what is due; `max_age` zero means everything.
    pub(super) fn seal(&self, state: &mut State, max_age: Duration) -> Result<bool, StoreError> {
        let Some(lines) = state.due_lines(&self.policy, max_age, Instant::now()) else {
            return Ok(false);
        };
        let flush = FlushId::new(RequestId::new(self.clock.now()).to_string());
        self.append(state, &[Record::Sealed { flush, lines }])?;
        Ok(true)
    }

    pub(super) fn close(&self, flush: &FlushId) {
        self.note(&mut self.lock(), &Record::Closed { flush: flush.clone() });
    }

    pub(super) fn requeue(&self, state: &mut State, id: RequestId, attempts: u32) {
        self.note(state, &Record::Requeued { id, attempts });
    }

    /// Gives a request its outcome: tells the observer, then whoever waits. The first one wins.
    pub(super) fn settle(&self, id: RequestId, outcome: Outcome, batch_id: Option<&str>) {
        self.settle_if(id, outcome, batch_id, |_| true);
    }

    /// Does so if the request is as it should be; returns where it was then.
    pub(super) fn settle_if(
        &self,
        id: RequestId,
        outcome: Outcome,
        batch_id: Option<&str>,
        wanted: impl FnOnce(&Entry) -> bool,
    ) -> Option<Place> {
        let (item, slot, attempts, superseded, place, parked) = {
            let mut state = self.lock();
            let entry = state.entries.get_mut(&id).filter(|entry| wanted(entry))?;
            // What the faster lane has lost may be billed, though the batch has answered now.
            let parked = match std::mem::replace(&mut entry.rescue, Rescue::NotYet) {
                Rescue::Failed(parked) => Some(parked),
                other => {
                    entry.rescue = other;
                    None
                }
            };
            let told = (
                entry.item.clone(),
                entry.slot.clone(),
                entry.attempts,
                entry.settled,
                entry.place.clone(),
                parked,
            );
            if !entry.settled {
                let outcome = outcome.clone();
                self.write(&mut state, &Record::Settled { id, outcome });
            }
            told
        };
        let orphaned = !slot.is_awaited();
        if superseded || (orphaned && !matches!(outcome, Err(BatchError::Cancelled))) {
            tracing::debug!(request_id = %id, batch_id, superseded, orphaned, "an outcome that nobody waits for");
        }
        let settled = Settled {
            item: &item,
            outcome: &outcome,
            batch_id,
            attempts,
            orphaned,
            superseded,
        };
        self.tell(&settled);
        if let Some(parked) = &parked {
            self.tell(&Settled {
                outcome: parked,
                batch_id: None,
                superseded: true,
                ..settled
            });
        }
        if !superseded {
            slot.resolve(outcome);
        }
        // Nobody learns that nothing is pending before it is booked.
        self.publish(&self.lock());
        self.wake.notify_one();
        Some(place)
    }

    fn tell(&self, settled: &Settled<'_>) {
        let Some(observer) = &self.observer else { return };
        if catch_unwind(AssertUnwindSafe(|| observer.settled(settled))).is_err() {
            tracing::error!(request_id = %settled.item.id, "the batch observer panicked");
        }
    }

    /// Takes back a request that nobody waits for, if it was not sent.
    pub(super) fn withdraw(&self, id: RequestId) {
        let unsent =
            |entry: &Entry| !entry.settled && entry.place == Place::Buffered && entry.item.key.is_none();
        self.settle_if(id, Err(BatchError::Cancelled), None, unsent);
    }
}
