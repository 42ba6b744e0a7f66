//! What all clones and scopes of one client share.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::deployments::Deployments;
use super::facts::CurrentFacts;
use super::shadow::Shadows;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::lane::Lane;
use crate::ledger::{CostLedger, HashKey, LedgerEntry, LedgerError, Recorded, Role};
use crate::model::ModelId;
use crate::openai::Sender;
use crate::router::{Rating, RouteOutcome, Router};
use crate::telemetry::Metrics;

/// How many entries wait for a ledger that does not take them; beyond that the oldest is given up and counted.
const MAX_RETAINED: usize = 10_000;

/// How many of them one call offers again: it does so on its own time.
const MAX_OFFERED: usize = 32;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) sender: Sender,
    pub(super) router: Option<Arc<dyn Router>>,
    pub(super) router_timeout: Duration,
    pub(super) ledger: Arc<dyn CostLedger>,
    pub(super) budgets: Budgets,
    pub(super) shadows: Shadows,
    /// The lane of requests that leave it to the project.
    pub(super) project_lane: Lane,
    /// From which patience on a call goes by the flex lane if it rides no batch.
    pub(super) flex_window: Duration,
    /// The ledger's.
    pub(super) hash_key: Option<HashKey>,
    pub(super) facts: CurrentFacts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) asks_for_usage: bool,
    pub(super) deployments: Deployments,
    pub(super) books: Books,
    pub(super) metrics: Metrics,
    pub(super) open: OpenCalls,
}

impl Core {
    /// Writes an entry to the ledger, and tells the router. A ledger that fails never fails the call.
    pub(super) fn record(&self, entry: &Arc<LedgerEntry>) {
        for degradation in &entry.degradations {
            tracing::warn!(
                target: "thrifty",
                op_id = %entry.op_id,
                endpoint = %entry.endpoint,
                model = entry.model().map(ModelId::as_str),
                "{degradation}"
            );
        }
        self.metrics.count(entry);
        self.books.record(&*self.ledger, entry);
        // A rating without a model is of what was handed out, which a shadow never is.
        if let Some(router) = self.router.as_ref().filter(|_| entry.role != Role::Shadow) {
            let outcome = RouteOutcome {
                requested_model: entry.requested_model.as_ref(),
                sent_model: entry.sent_model.as_ref(),
                succeeded: entry.status == crate::ledger::Status::Succeeded,
                usage: entry.usage.as_ref(),
                latency: entry.latency(),
                ..RouteOutcome::new(entry.op_id, &entry.endpoint, &entry.attribution, &entry.cost)
            };
            let told = catch_unwind(AssertUnwindSafe(|| router.observe(&outcome)));
            if told.is_err() {
                tracing::error!(target: "thrifty", "the router panicked while observing an outcome");
            }
        }
    }
}

impl Core {
    /// Tells the router how good an answer was.
    pub(super) fn rate(&self, rating: &Rating) {
        let Some(router) = &self.router else { return };
        if catch_unwind(AssertUnwindSafe(|| router.rate(rating))).is_err() {
            tracing::error!(target: "thrifty", op_id = %rating.op_id, "the router panicked while it was told of a rating");
        }
    }

    /// Makes the ledger durable, with the entries that it has not taken yet.
    ///
    /// A full queue is emptied by a flush only, and may then take no more than its size: they take turns.
    pub(super) async fn flush(&self) -> Result<(), LedgerError> {
        let mut flushed = self.ledger.flush().await;
        loop {
            let waiting = self.books.waiting();
            if waiting == 0 {
                return flushed;
            }
            let taken = self.books.offer_retained(&*self.ledger, waiting);
            if self.books.waiting() >= waiting {
                return flushed.and(taken);
            }
            flushed = flushed.and(self.ledger.flush().await);
        }
    }
}

/// Entries that the ledger has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Books {
    retained: Mutex<VecDeque<Arc<LedgerEntry>>>,
    waiting: AtomicUsize,
    given_up: AtomicUsize,
}

impl Books {
    fn retained(&self) -> MutexGuard<'_, VecDeque<Arc<LedgerEntry>>> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, ledger: &dyn CostLedger, entry: &Arc<LedgerEntry>) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            // Older entries go first; while some wait, this one waits behind them.
            if let Err(error) = self.offer_retained(ledger, MAX_OFFERED) {
                return self.refused(entry, &error);
            }
            if self.waiting.load(Ordering::Acquire) > 0 {
                return self.retain(entry);
            }
        }
        if let Err(error) = offer(ledger, entry) {
            self.refused(entry, &error);
        }
    }

    fn refused(&self, entry: &Arc<LedgerEntry>, error: &LedgerError) {
        tracing::error!(target: "thrifty", %error, entry = %entry.id, "the ledger did not take an entry, it is retained");
        self.retain(entry);
    }

    fn retain(&self, entry: &Arc<LedgerEntry>) {
        let mut retained = self.retained();
        if retained.len() == MAX_RETAINED {
            retained.pop_front();
            self.given_up.fetch_add(1, Ordering::Relaxed);
            tracing::error!(target: "thrifty", "too many retained entries, the oldest is given up");
        }
        retained.push_back(Arc::clone(entry));
        self.waiting.store(retained.len(), Ordering::Release);
    }

    /// Offers so many of the retained entries again, oldest first, until one is refused.
    fn offer_retained(&self, ledger: &dyn CostLedger, most: usize) -> Result<(), LedgerError> {
        let mut retained = self.retained();
        for _ in 0..most {
            let Some(entry) = retained.front() else { break };
            match offer(ledger, entry) {
                // An entry that contradicts a stored one never will be taken; the stored one stands.
                Ok(_) | Err(LedgerError::Conflict { .. }) => drop(retained.pop_front()),
                // Nor will one that cannot be written or came too late, which must not keep all others waiting.
                Err(
                    error @ (LedgerError::TooLong { .. }
                    | LedgerError::TooOld { .. }
                    | LedgerError::Encode { .. }),
                ) => {
                    tracing::error!(target: "thrifty", %error, entry = %entry.id, "an entry is given up");
                    retained.pop_front();
                    self.given_up.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
            self.waiting.store(retained.len(), Ordering::Release);
        }
        Ok(())
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn given_up(&self) -> usize {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// Offers an entry to a ledger that may panic: the answer that it is for has been paid.
fn offer(ledger: &dyn CostLedger, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
    catch_unwind(AssertUnwindSafe(|| ledger.record(entry))).unwrap_or_else(|_| {
        Err(LedgerError::Backend {
            kind: ErrorKind::Storage,
            source: "it panicked".into(),
        })
    })
}

/// Counts the calls under way.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    count: AtomicUsize,
    none_left: Notify,
}

impl OpenCalls {
    pub(super) fn begin(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_waiters();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) async fn drained(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.count() == 0 {
                return;
            }
            none_left.await;
        }
    }
}
