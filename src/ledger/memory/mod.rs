//! A ledger in memory.

mod cells;
mod chunk;
mod codes;
mod figures;
mod names;
mod packing;
mod row;
mod short_text;
mod state;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use self::state::State;
use crate::ledger::{
    CostLedger, Filter, HashKey, LedgerEntry, LedgerError, Query, Recorded, Summary, Tally, Totals,
};

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// How many sums without kept entries there are at most.
const MOST_IDLE_CELLS: usize = 20_000;
/// How many sums, of some hundred figures each, a query adds up before it lets other tasks run.
const CELLS_A_TURN: usize = 256;

/// Keeps the newest entries in memory, and sums of all. Nothing survives the process.
///
/// The sums are kept by quarters of an hour, feature, model, lane and source. A query that asks for no other dimension
/// is answered from them, however many entries there are.
///
/// # Default
/// It keeps 100,000 entries, at about 0.1 kB each beside the names in them, which are kept once. What is recorded
/// beyond that pushes out the one with the oldest id; its id is forgotten.
///
/// What was pushed out stays in the sums. Split or filtered by a user, a tag, an endpoint, a status or a role, or by a
/// moment inside a quarter of an hour, it cannot be told: what can match of it, by all that the sums know, is then in
/// [`Summary::evicted`]. Sums without a kept entry are at most 20,000, at about 2 kB each; beyond that the oldest are
/// added up to one, which is only ever in [`Summary::evicted`].
pub struct InMemoryLedger {
    capacity: NonZeroUsize,
    hash_key: HashKey,
    state: Mutex<State>,
}

impl Default for InMemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl InMemoryLedger {
    /// Makes an empty ledger that keeps 100,000 entries.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// Makes an empty ledger that keeps this many entries.
    pub fn with_capacity(entries: NonZeroUsize) -> Self {
        Self {
            capacity: entries,
            hash_key: HashKey::random(),
            state: Mutex::new(State::new(entries.get(), MOST_IDLE_CELLS)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole at every step that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for InMemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryLedger")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CostLedger for InMemoryLedger {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        self.state().record(entry)
    }

    fn hash_key(&self) -> Option<HashKey> {
        Some(self.hash_key)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        // Adding up happens outside the lock, so that `record` does not wait for a query.
        let (answer, rows) = self.state().answer(query);
        let mut tally = Tally::new(query);
        let mut turn = 0;
        for cell in &answer.whole {
            tally.merge(cell);
            turn += 1;
            if turn % CELLS_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        // What is in the parts and not among the rows was pushed out.
        let (mut evicted, mut kept) = (answer.given_up, Totals::default());
        answer.parts.iter().for_each(|cell| evicted.merge(&cell.totals));
        for entries in rows.chunks(&answer.wanted) {
            for entry in entries {
                tally.add(&entry);
                kept.add(&entry);
            }
            tokio::task::yield_now().await;
        }
        evicted.take_back(&kept);
        let mut summary = tally.finish();
        summary.evicted = evicted;
        Ok(summary)
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        let filter = filter.clone();
        let entries = self.state().rows().into_entries();
        let matching = entries.filter(move |entry| filter.matches(entry));
        Box::pin(futures_util::stream::iter(matching.map(Arc::new).map(Ok)))
    }
}

#[cfg(test)]
mod row_tests;
#[cfg(test)]
mod tests;
