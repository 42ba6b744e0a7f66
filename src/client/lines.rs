//! Budgets and batches: what is held for a line until it is booked.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::asked::Asked;
use super::batching::Passenger;
use super::bound::{Bound, Lost};
use super::budgeting::with_tokens;
use super::core::Core;
use super::row::Row;
use crate::batch::{BatchError, BatchGate, BatchItem};
use crate::budget::{BudgetError, Estimate, Hold};
use crate::lane::Lane;
use crate::ledger::LedgerEntry;
use crate::router::Facts;
use crate::wire::RequestView;

/// After this time nobody will tell any more what became of a line: three batches of a day.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(72 * 3_600);

/// What the client remembers of a request that was given to the collector directly, if there are budgets.
#[derive(Debug)]
pub(super) struct WalkIn {
    /// Until its line is booked.
    hold: Option<Hold>,
    pub(super) facts: Arc<Facts>,
    pub(super) bound: Bound,
    pub(super) asked: Asked,
    /// The context that its caller gave.
    inner: Option<Arc<dyn Any + Send + Sync>>,
}

impl WalkIn {
    /// Becomes the context of a request.
    fn takes_the_place_of(mut self, item: &mut BatchItem, hold: Option<Hold>) {
        self.hold = hold;
        self.inner = item.context.take();
        item.context = Some(Arc::new(self));
    }
}

impl Drop for WalkIn {
    fn drop(&mut self) {
        // What it has cost was counted when it was booked.
        if let Some(hold) = self.hold.take() {
            hold.release();
        }
    }
}

/// The row of a line whose answer is to be judged, from when the line is booked until its caller takes it.
#[derive(Debug, Default)]
pub(super) struct Undecided(Mutex<Option<Row>>);

impl Undecided {
    pub(super) fn put(&self, row: Row) {
        let before = self.lock().replace(row);
        // The lock is not held while a row is written.
        drop(before);
    }

    pub(super) fn take(&self) -> Option<Row> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is held for a line, and what bounds its cost.
pub(super) struct Held<'a> {
    pub(super) hold: &'a Hold,
    facts: &'a Facts,
    bound: &'a Bound,
}

impl<'a> Held<'a> {
    pub(super) fn of(item: &'a BatchItem) -> Option<Self> {
        if let Some(Passenger { operation, bound, .. }) = context(item) {
            let (hold, facts) = (operation.hold.get()?, &*operation.facts);
            return Some(Self { hold, facts, bound });
        }
        let WalkIn {
            hold, facts, bound, ..
        } = context(item)?;
        let hold = hold.as_ref()?;
        Some(Self { hold, facts, bound })
    }

    pub(super) fn count(&self, entry: &LedgerEntry) {
        let model = entry.sent_model.as_ref();
        self.hold.count(model, &entry.cost, entry.usage.as_ref());
    }

    /// Makes the hold cover so many attempts on a faster lane, beside the line in its batch.
    pub(super) fn cover(&self, item: &BatchItem, lane: Lane, attempts: u32) -> Result<(), BudgetError> {
        let cost = |lane| {
            let at = self.hold.at();
            self.bound.cost(self.facts, &item.endpoint, &item.model, lane, at)
        };
        let all = Lost::NONE.and(1, cost(Lane::Batch)).and(attempts, cost(lane));
        let estimate = Estimate::of(&item.model, all.at_most()).of_attempts(all.attempts());
        self.hold.cover(&item.attribution, &estimate)
    }
}

/// Returns what the client attached to a request.
pub(super) fn context<T: 'static>(item: &BatchItem) -> Option<&T> {
    (item.context.as_deref()? as &dyn Any).downcast_ref()
}

/// Lets requests into batches for which the budgets have room. A call that rides one has its hold already.
#[derive(Debug)]
pub(super) struct BudgetGate {
    core: Arc<Core>,
}

impl BudgetGate {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl BatchGate for BudgetGate {
    async fn admit(&self, item: &mut BatchItem) -> Result<(), BatchError> {
        if context::<Passenger>(item).is_some() {
            return Ok(());
        }
        let (walk_in, estimate) = self.walk_in(item);
        let hold = self.core.budgets.reserve(&item.attribution, &estimate).await;
        let hold = hold.map_err(|error| BatchError::NotAdmitted(Arc::new(error)))?;
        walk_in.takes_the_place_of(item, Some(hold));
        Ok(())
    }

    fn resumed(&self, item: &mut BatchItem) {
        let (walk_in, estimate) = self.walk_in(item);
        let hold = self.core.budgets.hold_promised(&item.attribution, &estimate);
        walk_in.takes_the_place_of(item, hold);
    }
}

impl BudgetGate {
    /// Reads a request, and says what its line can cost at most.
    fn walk_in(&self, item: &BatchItem) -> (WalkIn, Estimate) {
        let facts = self.core.facts.get();
        let (bound, asked) = read(&self.core, &facts, item);
        let at = self.core.clock.now();
        let at_most = bound.cost(&facts, &item.endpoint, &item.model, Lane::Batch, at);
        let most = bound.tokens(&facts, &item.endpoint, &item.model);
        let estimate = with_tokens(Estimate::of(&item.model, at_most), most).settles_within(BATCH_TIME);
        let walk_in = WalkIn {
            hold: None,
            facts,
            bound,
            asked,
            inner: None,
        };
        (walk_in, estimate)
    }
}

/// Reads what bounds a request's cost, and what its entry keeps of it.
pub(super) fn read(core: &Core, facts: &Facts, item: &BatchItem) -> (Bound, Asked) {
    RequestView::read(&item.body).map_or_else(
        |_| (Bound::unknown(), Asked::default()),
        |view| {
            let bound = Bound::of(facts, &item.endpoint, &view);
            (bound, Asked::of(core.hash_key, &item.body, &view))
        },
    )
}
