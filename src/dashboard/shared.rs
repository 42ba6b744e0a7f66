//! One report at a time, for all who ask.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::budget::{BudgetError, Budgets};
use crate::ledger::{CostLedger, LedgerError};
use crate::report::{Report, ReportBuilder};

/// How long a report answers further requests.
const FRESH: Duration = Duration::from_secs(1);

/// How long a request waits for one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unavailable {
    Failed,
    Slow,
}

#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("the ledger could not be read")]
    Ledger(#[from] LedgerError),
    #[error("the budgets could not be read")]
    Budgets(#[from] BudgetError),
}

/// A report, and what it looks like as far as somebody asked for that.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) report: Report,
    pub(super) tag: String,
    rendered: [OnceLock<Bytes>; 4],
}

impl Made {
    fn new(report: Report) -> Self {
        Self {
            tag: report.fingerprint(),
            report,
            rendered: Default::default(),
        }
    }

    /// Returns the text of a place, which is made once.
    pub(super) fn rendered(&self, place: usize, make: impl FnOnce(&Report) -> String) -> Bytes {
        let make = || Bytes::from(make(&self.report));
        self.rendered
            .get(place)
            .map_or_else(Bytes::new, |kept| kept.get_or_init(make).clone())
    }
}

type Outcome = Result<Arc<Made>, Unavailable>;

#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Box<dyn CostLedger>,
    budgets: Option<Budgets>,
    report: ReportBuilder,
    /// Locked while a report is made.
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
}

impl Shared {
    pub(super) fn new(ledger: Box<dyn CostLedger>, budgets: Option<Budgets>, report: ReportBuilder) -> Self {
        Self(Arc::new(Inner {
            ledger,
            budgets,
            report,
            last: Arc::default(),
        }))
    }

    /// Returns a report that is fresh, or makes one.
    ///
    /// # Cancellation
    /// A report that is being made is finished for those who come after.
    pub(super) async fn report(&self) -> Outcome {
        timeout(PATIENCE, self.newest()).await.unwrap_or_else(|_| {
            tracing::warn!(target: "thrifty", "the dashboard waited 30 s for the ledger, and gave a request up");
            Err(Unavailable::Slow)
        })
    }

    async fn newest(&self) -> Outcome {
        let mut last = Arc::clone(&self.0.last).lock_owned().await;
        if let Some((made, outcome)) = &*last
            && made.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let inner = Arc::clone(&self.0);
        // A task of its own has the lock until the ledger has answered, whoever goes away meanwhile.
        let making = tokio::spawn(async move {
            let outcome = inner.make().await.map_err(|error| {
                let causes = std::iter::successors(error.source(), |&cause| cause.source());
                let cause = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
                tracing::error!(target: "thrifty", %error, cause, "the dashboard has no report");
                Unavailable::Failed
            });
            *last = Some((Instant::now(), outcome.clone()));
            outcome
        });
        // A ledger that panics has said so by the panic hook.
        making.await.unwrap_or(Err(Unavailable::Failed))
    }
}

impl Inner {
    async fn make(&self) -> Result<Arc<Made>, MakeError> {
        let mut report = self.report.clone().of(&*self.ledger).await?;
        if let Some(budgets) = &self.budgets {
            report = report.with_budgets(budgets.status().await?);
        }
        Ok(Arc::new(Made::new(report)))
    }
}
