//! Outcomes for whoever uses them, also those of requests that an earlier process enqueued.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::api::{BatchItem, Outcome};
use super::error::BatchError;
use super::shared::Shared;
use super::state::{Row, State};
use crate::clock::bounded;
use crate::id::RequestId;

/// How long an outcome is nobody else's after it was given out.
const LEASE: Duration = Duration::from_secs(600);

/// The outcomes that nobody has acknowledged, one by one, the oldest first.
///
/// Each is leased: it is given to nobody else until its lease ends, which is when its [`Delivery`] is dropped, after 10
/// minutes by default, or when somebody of the same name asks anew. It comes again until it is acknowledged, in a later
/// process too, so that each comes at least once. A request whose handle waits for it is not among them, unless it has a
/// key.
#[derive(Debug)]
#[must_use]
pub struct Outcomes {
    shared: Arc<Shared>,
    name: Arc<str>,
    /// The name, until it has asked.
    asked: Option<Arc<str>>,
    lease: Duration,
}

/// An outcome, and the right to use it.
#[derive(Debug)]
pub struct Delivery {
    item: BatchItem,
    outcome: Outcome,
    lease: u64,
    shared: Arc<Shared>,
}

/// Who has which outcome, and which nobody has.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Whether anybody has asked: before that nothing is kept.
    is_asked: bool,
    waiting: VecDeque<RequestId>,
    leases: HashMap<RequestId, Lease>,
    next: u64,
}

#[derive(Debug)]
struct Lease {
    number: u64,
    name: Arc<str>,
    until: Instant,
}

impl Outcomes {
    pub(super) fn new(shared: Arc<Shared>, name: Arc<str>) -> Self {
        Self {
            shared,
            asked: Some(name.clone()),
            name,
            lease: LEASE,
        }
    }

    /// Sets how long an outcome is nobody else's after it was given out.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    fn ask(&self, name: &str) {
        let mut state = self.shared.lock();
        if !state.ask_for_outcomes(name) {
            return;
        }
        // While nobody waited, deadlines may have been let pass.
        let open = state.requests().filter(|(_, request)| !request.is_settled());
        let open: Vec<_> = open.map(|(row, _)| row).collect();
        for row in open {
            self.shared.plan_rescue(&mut state, row);
        }
        self.shared.wake.notify_one();
    }

    /// Waits for the next outcome; `None` once the collector is shut down and none is left.
    ///
    /// # Errors
    /// If the store cannot be read, or there is no tokio runtime.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: what it had taken comes again.
    pub async fn next(&mut self) -> Result<Option<Delivery>, BatchError> {
        self.shared.load().await?;
        if let Some(name) = self.asked.take() {
            self.ask(&name);
        }
        loop {
            let mut more = pin!(self.shared.settled.notified());
            more.as_mut().enable();
            let (taken, until, is_over) = {
                let mut state = self.shared.lock();
                let taken = state.lease(&self.name, Instant::now() + bounded(self.lease));
                let is_over = state.shut && state.progress().pending() == 0;
                (taken, state.deliveries.next_end(), is_over)
            };
            if let Some((item, lease)) = taken {
                let id = item.id;
                let mut delivery = Delivery {
                    item,
                    outcome: Err(BatchError::Cancelled),
                    lease,
                    shared: self.shared.clone(),
                };
                if let Some(outcome) = self.shared.outcome(id).await? {
                    delivery.outcome = outcome;
                    return Ok(Some(delivery));
                }
                continue;
            }
            if is_over && until.is_none() {
                return Ok(None);
            }
            self.shared.ensure_driver()?;
            match until {
                Some(until) => {
                    let _ = tokio::time::timeout_at(until, more).await;
                }
                None => more.await,
            }
        }
    }
}

impl Delivery {
    /// Returns the request's id.
    pub fn id(&self) -> RequestId {
        self.item.id
    }

    /// Returns what is known of the request but its body.
    pub fn item(&self) -> &BatchItem {
        &self.item
    }

    /// Returns what became of it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Says that the outcome has been used, and waits until that is durable: it never comes again.
    ///
    /// # Errors
    /// If the store fails; then it may come again.
    pub async fn ack(self) -> Result<(), BatchError> {
        self.shared.acknowledge(self.item.id);
        Ok(self.shared.sync().await?)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.deliveries.end(self.item.id, self.lease) {
            state.deliver(self.item.id);
            drop(state);
            self.shared.settled.notify_waiters();
        }
    }
}

impl Deliveries {
    /// Whether anybody takes outcomes.
    pub(super) const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Ends a lease, if it is still this one.
    fn end(&mut self, id: RequestId, number: u64) -> bool {
        let is_own = self.leases.get(&id).is_some_and(|lease| lease.number == number);
        is_own && self.leases.remove(&id).is_some()
    }

    fn next_end(&self) -> Option<Instant> {
        self.leases.values().map(|lease| lease.until).min()
    }

    /// Gives back what is leased for too long, or by one who asks anew.
    fn take_back(&mut self, over: impl Fn(&Lease) -> bool) {
        let ended = self.leases.extract_if(|_, lease| over(lease));
        self.waiting.extend(ended.map(|(id, _)| id));
    }
}

impl State {
    /// Begins to keep outcomes for those who ask, and gives back what one of this name had; true if it is the first.
    pub(super) fn ask_for_outcomes(&mut self, name: &str) -> bool {
        if std::mem::replace(&mut self.deliveries.is_asked, true) {
            self.deliveries.take_back(|lease| *lease.name == *name);
            return false;
        }
        let mut ids: Vec<_> = self
            .requests()
            .filter(|(row, _)| self.is_for_those_who_ask(*row))
            .map(|(_, request)| request.id())
            .collect();
        ids.sort_unstable();
        self.deliveries.waiting.extend(ids);
        true
    }

    fn is_for_those_who_ask(&self, row: Row) -> bool {
        self.verdict(row).is_some() && (self.has_key(row) || !self.is_awaited(row))
    }

    /// Offers an outcome to those who ask.
    pub(super) fn deliver(&mut self, id: RequestId) {
        let wanted = self.find(id).is_some_and(|row| self.is_for_those_who_ask(row));
        if self.deliveries.is_asked && wanted {
            self.deliveries.waiting.push_back(id);
        }
    }

    fn lease(&mut self, name: &Arc<str>, until: Instant) -> Option<(BatchItem, u64)> {
        let now = Instant::now();
        self.deliveries.take_back(|lease| lease.until <= now);
        while let Some(id) = self.deliveries.waiting.pop_front() {
            let row = self.find(id).filter(|row| self.is_for_those_who_ask(*row));
            let Some(item) = row.and_then(|row| self.item(row, bytes::Bytes::new())) else {
                continue;
            };
            if self.deliveries.leases.contains_key(&id) {
                continue;
            }
            self.deliveries.next += 1;
            let number = self.deliveries.next;
            let name = name.clone();
            self.deliveries.leases.insert(id, Lease { number, name, until });
            return Some((item, number));
        }
        None
    }
}
