//! The collector: where requests come in.

use std::any::Any;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, OnceCell, watch};

use super::admission::Prepared;
use super::api::{BatchApi, BatchGate, BatchObserver, BatchableRequest, FasterLane, LineAnswer};
use super::error::{BatchError, InvalidRequest};
use super::handle::{BatchHandle, typed};
use super::line;
use super::lookout::Lookout;
use super::outcomes::Outcomes;
use super::policy::BatchPolicy;
use super::shared::{Ending, Shared};
use super::state::{Place, Progress, Request};
use super::store::{
    BatchStore, Content, InMemoryStore, RecoveryReport, RequestKey, StoreError, StoredRequest,
};
use crate::attribution::Attribution;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;

/// Collects requests that can wait, sends them in batches and hands out the answers.
///
/// Clones are cheap and share everything. Making one needs no runtime; the work is done by one task on the tokio
/// runtime of the first [`enqueue`](Self::enqueue), which starts again elsewhere if that runtime is gone and ends when
/// nothing is left to do.
#[derive(Debug, Clone)]
pub struct BatchCollector(Arc<Shared>);

/// Makes a [`BatchCollector`].
#[derive(Debug)]
#[must_use]
pub struct BatchCollectorBuilder {
    api: Arc<dyn BatchApi>,
    policy: BatchPolicy,
    store: Arc<dyn BatchStore>,
    gate: Option<Arc<dyn BatchGate>>,
    observer: Option<Arc<dyn BatchObserver>>,
    faster: Option<Arc<dyn FasterLane>>,
    clock: Arc<dyn Clock>,
}

impl BatchCollectorBuilder {
    /// Sets when to flush, poll and give up.
    pub fn with_policy(mut self, policy: BatchPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets where requests are kept; in memory by default. What is in the store is taken up on the first use.
    pub fn with_store(mut self, store: impl BatchStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Sets who decides whether a request may be taken; by default all are that can be batched.
    pub fn with_gate(mut self, gate: impl BatchGate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Sets who is told of outcomes.
    pub fn with_observer(mut self, observer: impl BatchObserver) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets how requests are sent whose deadline is near; without it they go on waiting for their batch.
    pub fn with_faster_lane(mut self, lane: impl FasterLane) -> Self {
        self.faster = Some(Arc::new(lane));
        self
    }

    /// Sets the clock that deadlines are told by; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the collector, and goes on with what the store holds at once: without this it does on the first use.
    ///
    /// # Errors
    /// If the store cannot be read, or there is no tokio runtime.
    pub async fn start(self) -> Result<BatchCollector, BatchError> {
        let collector = self.build();
        collector.0.load().await?;
        collector.0.ensure_driver()?;
        Ok(collector)
    }

    /// Makes the collector.
    pub fn build(self) -> BatchCollector {
        BatchCollector(Arc::new(Shared {
            api: self.api,
            policy: self.policy,
            store: self.store,
            gate: self.gate,
            observer: self.observer,
            faster: self.faster,
            clock: self.clock,
            state: Mutex::default(),
            wake: Notify::new(),
            closed: Notify::new(),
            lookout: Lookout::default(),
            progress: watch::Sender::new(Progress::default()),
            settled: Notify::new(),
            loaded: OnceCell::new(),
        }))
    }
}

/// What became of an attempt to cancel a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancelled {
    /// It was still buffered: it is never sent.
    Withdrawn,
    /// Its handles resolve as cancelled, but it may run, and is booked if it does.
    TooLate,
    /// No such request is pending.
    Unknown,
}

impl BatchCollector {
    /// Starts to make a collector that speaks to `api`.
    pub fn builder(api: impl BatchApi) -> BatchCollectorBuilder {
        BatchCollectorBuilder {
            api: Arc::new(api),
            policy: BatchPolicy::default(),
            store: Arc::new(InMemoryStore::default()),
            gate: None,
            observer: None,
            faster: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &BatchPolicy {
        &self.0.policy
    }

    /// Returns the shortest wait for which a call of this kind rides a batch: the policy's, or longer if more than half of
    /// the last batches would have come too late. Such a call would be paid twice as often as not, and cost more than one
    /// that goes at once.
    pub fn min_window(&self, endpoint: &Endpoint, model: &ModelId) -> Duration {
        let policy = &self.0.policy;
        let learned = self.0.lock().learned_turnaround(endpoint, model);
        let around = policy.max_delay.saturating_add(policy.slack);
        let needed = learned.map(|expected| expected.saturating_add(around));
        needed.unwrap_or_default().max(policy.min_window)
    }

    /// Takes a request; await what is returned to get its [`BatchHandle`].
    pub fn enqueue<R: BatchableRequest>(&self, request: &R) -> Enqueue<R::Response> {
        Enqueue::new(self, R::endpoint(), line::body(request, &self.0.policy), typed)
    }

    /// Takes a request as JSON; its handle gives the answer whatever its status is.
    pub fn enqueue_raw(&self, endpoint: Endpoint, body: impl Into<Bytes>) -> Enqueue<LineAnswer> {
        Enqueue::new(self, endpoint, Ok(body.into()), Ok)
    }

    /// Returns another handle of a request, also of one that an earlier collector left in the store; `None` if it is not
    /// known, or its outcome was acknowledged.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn attach(&self, id: RequestId) -> Result<Option<BatchHandle<LineAnswer>>, BatchError> {
        self.0.load().await?;
        let (handle, settled) = {
            let mut state = self.0.lock();
            let row = state.find(id);
            let known = row.and_then(|row| Some((row, state.get(row)?.is_settled())));
            let Some((row, settled)) =
                known.filter(|(row, settled)| !settled || state.verdict(*row).is_some())
            else {
                return Ok(None);
            };
            // While nobody waited, its deadline may have been let pass.
            self.0.plan_rescue(&mut state, row);
            (BatchHandle::new(id, state.sit(row), self.0.clone(), Ok), settled)
        };
        if settled {
            let Some(outcome) = self.0.outcome(id).await? else {
                return Ok(None);
            };
            handle.resolve(outcome);
        } else {
            self.0.ensure_driver()?;
        }
        self.0.wake.notify_one();
        Ok(Some(handle))
    }

    /// Says that the outcome of a request is not needed any more: its line and its answer are forgotten, and its key is
    /// free. Returns false if there is no outcome to forget, or the store was not taken up yet.
    ///
    /// That is durable with the next sync: after a [`shutdown`](Self::shutdown), for instance. If the power is lost before
    /// that, the outcome is there again.
    pub fn acknowledge(&self, id: RequestId) -> bool {
        self.0.acknowledge(id)
    }

    /// Returns what was found in the store when it was taken up, beyond what should have been there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn recovery_report(&self) -> Result<RecoveryReport, BatchError> {
        Ok(self.0.load().await?.clone())
    }

    /// Returns the outcomes that nobody has acknowledged, one by one, for whoever uses them under this name.
    pub fn outcomes(&self, name: impl Into<Arc<str>>) -> Outcomes {
        Outcomes::new(self.0.clone(), name.into())
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Writes the journal anew, as it does by itself when it has grown: a collector that is made on the store later starts
    /// faster. Nothing is enqueued meanwhile.
    ///
    /// # Errors
    /// If the store fails; then its journal is as it was.
    pub async fn checkpoint(&self) -> Result<(), BatchError> {
        self.0.load().await?;
        let shared = self.0.clone();
        let written = tokio::task::spawn_blocking(move || shared.snapshot()).await;
        Ok(written.map_err(|_| StoreError::Interrupted)??)
    }

    /// Makes files of everything that is buffered, starts to send them, and returns what is pending.
    ///
    /// # Errors
    /// If the store fails, or there is no tokio runtime.
    pub async fn flush(&self) -> Result<Vec<RequestId>, BatchError> {
        self.0.load().await?;
        let mut pending = {
            let mut state = self.0.lock();
            let mut sealed = Vec::new();
            while let Some(mut lines) = self.0.seal(&mut state, Duration::ZERO)? {
                if sealed.is_empty() {
                    sealed = lines;
                } else {
                    sealed.append(&mut lines);
                }
            }
            state.pending_with(sealed)
        };
        self.0.ensure_driver()?;
        self.0.wake.notify_one();
        // The driver goes first: what is pending can be sorted while the file is sent.
        tokio::task::yield_now().await;
        pending.sort_unstable();
        Ok(pending)
    }

    /// Has a batch looked at now, for instance because a webhook has named it; false if it is none of those that run.
    ///
    /// What the server then says of the batch counts, not the notice.
    ///
    /// # Errors
    /// If the store cannot be read, or there is no tokio runtime.
    pub async fn notify(&self, batch_id: &str) -> Result<bool, BatchError> {
        self.0.load().await?;
        let ours = self.0.lock().has_batch(batch_id);
        if ours {
            self.0.ensure_driver()?;
            self.0.lookout.hurry(batch_id);
            self.0.wake.notify_one();
        }
        Ok(ours)
    }

    /// Takes no more requests, flushes, and waits until all are settled or the time is over; returns what is pending. What
    /// has happened by then is durable.
    ///
    /// What is pending goes on for as long as the runtime lives.
    ///
    /// # Errors
    /// If the store fails, or there is no tokio runtime.
    pub async fn shutdown(&self, timeout: Duration) -> Result<Vec<RequestId>, BatchError> {
        self.0.lock().shut = true;
        // Whoever waits for another outcome may learn that there is none.
        self.0.settled.notify_waiters();
        self.flush().await?;
        let mut progress = self.progress();
        let settled = progress.wait_for(|progress| progress.pending() == 0);
        // Whether by time or by the last outcome, what is pending says which.
        let _ = tokio::time::timeout(timeout, settled).await;
        self.0.sync().await?;
        Ok(self.pending())
    }

    /// Gives up a request, and waits until that is durable.
    ///
    /// # Errors
    /// If the store fails. It is given up all the same, but may be there again after a restart.
    pub async fn cancel(&self, id: RequestId) -> Result<Cancelled, BatchError> {
        self.0.load().await?;
        let pending = |request: &Request| !request.is_settled();
        let place = self
            .0
            .settle_if(id, Ending::of(Err(BatchError::Cancelled)), pending);
        let Some(place) = place else {
            return Ok(Cancelled::Unknown);
        };
        self.0.sync().await?;
        Ok(if place == Place::Buffered {
            Cancelled::Withdrawn
        } else {
            Cancelled::TooLate
        })
    }

    /// Returns the counts of requests, and a way to wait for their change. What is in the store counts once it was taken up.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.0.progress.subscribe()
    }

    /// Whether a request of this key is known, so that another one attaches to it.
    pub(crate) fn knows_key(&self, key: &Arc<str>) -> bool {
        self.0.lock().by_key(key).is_some()
    }

    /// Returns the requests that are not settled, the oldest first. Those in the store are among them once it was taken up.
    pub fn pending(&self) -> Vec<RequestId> {
        let mut pending = self.0.lock().pending();
        pending.sort_unstable();
        pending
    }
}

/// A request on its way into a collector. Await it to get its handle; nothing happens before.
///
/// # Cancellation
/// Dropped while it is awaited, the request may be taken all the same, and goes its way. See
/// [`withdraw_on_drop`](Self::withdraw_on_drop).
///
/// # Errors
/// If the request cannot be batched, its key names another one, the store fails, the collector is shut down or there is
/// no tokio runtime.
#[must_use = "nothing is enqueued until this is awaited"]
#[derive(Debug)]
pub struct Enqueue<T> {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    body: Result<Bytes, InvalidRequest>,
    attribution: Attribution,
    deadline: Option<Timestamp>,
    key: Option<Arc<str>>,
    context: Option<Arc<dyn Any + Send + Sync>>,
    withdraw: bool,
    decode: fn(LineAnswer) -> Result<T, BatchError>,
}

impl<T> Enqueue<T> {
    fn new(
        collector: &BatchCollector,
        endpoint: Endpoint,
        body: Result<Bytes, InvalidRequest>,
        decode: fn(LineAnswer) -> Result<T, BatchError>,
    ) -> Self {
        let shared = collector.0.clone();
        let attribution = Attribution::default();
        Self {
            shared,
            endpoint,
            body,
            attribution,
            deadline: None,
            key: None,
            context: None,
            withdraw: false,
            decode,
        }
    }

    /// Names the request: until its outcome is acknowledged, in this process or a later one, the same key and body is
    /// the same request, with the deadline that it had at first.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets when the answer is needed at the latest.
    pub fn deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whom the request is for.
    pub fn attributed_to(mut self, attribution: Attribution) -> Self {
        self.attribution = attribution;
        self
    }

    /// Attaches what the observer and the faster lane get back as [`BatchItem::context`](super::BatchItem::context).
    pub fn context(mut self, context: Arc<dyn Any + Send + Sync>) -> Self {
        self.context = Some(context);
        self
    }

    /// Withdraws the request as [`BatchHandle::withdraw_on_drop`] does, also if this is dropped while it is awaited.
    pub fn withdraw_on_drop(mut self) -> Self {
        self.withdraw = true;
        self
    }

    /// Makes what is stored of the request, and gives back its context.
    pub(super) fn prepare(self) -> Result<Prepared, BatchError> {
        let now = self.shared.clock.now();
        let line::Checked { model, body, inputs } =
            line::check(&self.endpoint, &self.body?, &self.shared.policy)?;
        let id = RequestId::new(now);
        let with_digest = |name| RequestKey {
            name,
            digest: line::digest(&self.endpoint, &body),
        };
        let request = StoredRequest {
            id,
            line: Content::Bytes(line::make(id, &self.endpoint, &body)),
            model,
            inputs,
            attribution: self.attribution,
            deadline: self.deadline,
            key: self.key.map(with_digest),
            endpoint: self.endpoint,
        };
        Ok((request, self.context))
    }

    async fn run(self) -> Result<BatchHandle<T>, BatchError> {
        let (shared, decode, withdraw) = (self.shared.clone(), self.decode, self.withdraw);
        let mut prepared = self.prepare()?;
        shared.load().await?;
        loop {
            let (request, context) = shared.let_in(prepared.0, prepared.1).await?;
            shared.ensure_driver()?;
            let admitted = shared.admit(request, context)?;
            let id = admitted.id;
            // Made before anything is awaited, so that a dropped future is a dropped handle.
            let mut handle = BatchHandle::new(id, admitted.seat, shared.clone(), decode);
            if withdraw {
                handle = handle.withdraw_on_drop();
            }
            if admitted.calls_for_driver {
                shared.ensure_driver()?;
                shared.wake.notify_one();
            }
            if let Err(error) = shared.store.sync(admitted.position).await {
                // It is not promised, so that it must not be sent; if it was sealed meanwhile it is as if cancelled too late.
                if admitted.again.is_none() {
                    shared.settle(id, Ending::of(Err(BatchError::Cancelled)));
                }
                return Err(error.into());
            }
            if admitted.is_settled {
                match (shared.outcome(id).await?, admitted.again) {
                    (Some(outcome), _) => handle.resolve(outcome),
                    // It was acknowledged meanwhile, so that this is a new one.
                    (None, Some(again)) => {
                        prepared = again;
                        continue;
                    }
                    (None, None) => {}
                }
            }
            return Ok(handle);
        }
    }
}

impl<T: 'static> IntoFuture for Enqueue<T> {
    type Output = Result<BatchHandle<T>, BatchError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
