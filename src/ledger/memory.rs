//! A ledger in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::id::EntryId;
use crate::ledger::{CostLedger, Filter, LedgerEntry, LedgerError, Query, Recorded, Summary, Tally, Totals};

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// How many entries a query adds up before it lets other tasks run: about a quarter of a millisecond.
const ENTRIES_A_TURN: usize = 2_048;

/// Keeps the newest entries in memory, and the sum of all older ones. Nothing survives the process.
///
/// # Default
/// It keeps 100,000 entries, at about 0.5 kB each. What is recorded beyond that pushes out the one with the oldest id,
/// which is then counted only in [`Summary::evicted`]: spend in all stays exact, but cannot be split or filtered any more. The ids
/// of entries that were pushed out are forgotten.
#[derive(Debug)]
pub struct InMemoryLedger {
    capacity: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Ids sort by time: what is new goes to the end of the tree, what is old leaves from its beginning.
    entries: BTreeMap<EntryId, Arc<LedgerEntry>>,
    evicted: Totals,
}

impl State {
    fn kept(&self) -> Vec<Arc<LedgerEntry>> {
        self.entries.values().cloned().collect()
    }
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
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole at every step that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CostLedger for InMemoryLedger {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        let mut state = self.state();
        match state.entries.entry(entry.id) {
            Entry::Occupied(known) if known.get() == entry => return Ok(Recorded::Duplicate),
            Entry::Occupied(_) => return Err(LedgerError::Conflict { id: entry.id }),
            Entry::Vacant(free) => free.insert(Arc::clone(entry)),
        };
        if state.entries.len() > self.capacity.get()
            && let Some((_, oldest)) = state.entries.pop_first()
        {
            state.evicted.add(&oldest);
        }
        Ok(Recorded::Stored)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        // Adding up happens outside the lock, so that `record` does not wait for a query.
        let (entries, evicted) = {
            let state = self.state();
            (state.kept(), state.evicted)
        };
        let mut tally = Tally::new(query);
        for (index, entry) in entries.iter().enumerate() {
            if index % ENTRIES_A_TURN == ENTRIES_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            tally.add(entry);
        }
        let mut summary = tally.finish();
        summary.evicted = evicted;
        Ok(summary)
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        let filter = filter.clone();
        let entries = self.state().kept();
        let matching = entries.into_iter().filter(move |entry| filter.matches(entry));
        Box::pin(futures_util::stream::iter(matching.map(Ok)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::endpoint::Endpoint;
    use crate::id::OpId;
    use crate::ledger::Dimension;
    use crate::money::Usd;
    use crate::pricing::Cost;

    fn entry(pico: i64) -> Arc<LedgerEntry> {
        let at = Timestamp::from_unix_millis(1_790_000_000_000);
        let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Embeddings);
        entry.cost = Cost::Priced(Usd::from_pico(pico));
        Arc::new(entry)
    }

    #[tokio::test]
    async fn what_is_pushed_out_stays_in_the_sum() {
        let ledger = InMemoryLedger::with_capacity(NonZeroUsize::new(2).unwrap());
        for pico in [1, 10, 100, 1_000] {
            ledger.record(&entry(pico)).unwrap();
        }
        let query = Query::new().group_by(Dimension::Endpoint);
        let summary = ledger.query(&query).await.unwrap();
        assert_eq!((summary.total.calls, summary.total.cost.as_pico()), (2, 1_100));
        assert_eq!((summary.evicted.calls, summary.evicted.cost.as_pico()), (2, 11));
    }

    #[test]
    fn a_conflict_leaves_the_first_entry() {
        let ledger = InMemoryLedger::new();
        let first = entry(5);
        let mut second = (*first).clone();
        second.cost = Cost::Priced(Usd::from_pico(6));
        assert_eq!(ledger.record(&first).unwrap(), Recorded::Stored);
        assert_eq!(ledger.record(&first).unwrap(), Recorded::Duplicate);
        let error = ledger.record(&Arc::new(second)).unwrap_err();
        assert!(matches!(error, LedgerError::Conflict { id } if id == first.id));
        assert_eq!(ledger.state().entries.len(), 1);
    }
}
