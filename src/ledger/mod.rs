//! Ledgers: what was spent, on what, for whom.
//!
//! A [`LedgerEntry`] is written for every model that is called. A [`CostLedger`] keeps the entries and answers
//! questions about them: a [`Query`] says how to split and filter, a [`Summary`] is the answer, and it always says
//! how much of it is known.
//!
//! [`InMemoryLedger`] is the default, [`FileLedger`] survives the process, [`NoopLedger`] keeps nothing.

pub(crate) mod clues;
mod distribution;
mod entry;
mod error;
mod facts;
mod file;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/ledger_format.md")]
pub mod format {}
mod hash;
mod memory;
mod noop;
mod overhead;
mod query;
mod reprice;
mod rollup;
mod tally;
mod totals;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;

use clues::ClueFinder;

pub use clues::{Clue, ClueKind};
pub use distribution::Distribution;
pub use entry::{Adjusted, Baseline, Degradation, LedgerEntry, Role, Status};
pub use error::LedgerError;
pub use file::{DamagedLines, FileLedger, FileLedgerBuilder, Recovery, SyncPolicy, TornTail, Verification};
pub use hash::{BodyHash, HashKey};
pub use memory::InMemoryLedger;
pub use noop::NoopLedger;
pub use overhead::Overhead;
pub use query::{Dimension, Filter, Group, Query, Summary};
pub use reprice::{Repriced, reprice};
pub use tally::Tally;
pub use totals::{Coverage, Savings, Totals};

/// How many entries are compared before other tasks run.
const ENTRIES_A_TURN: u32 = 512;

/// What became of an entry that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recorded {
    /// It is kept, as safely as the ledger keeps anything before a [`flush`](CostLedger::flush).
    Stored,
    /// It waits to be stored; a [`flush`](CostLedger::flush) returns once it is.
    Queued,
    /// The same entry is here already; nothing was changed.
    Duplicate,
}

/// Keeps what calls cost, and answers questions about it.
///
/// # Contract
/// 1. `record` is synchronous and needs no async runtime: it is called from `Drop`, on any thread.
/// 2. `record` never waits for a disk's sync or for a network. A ledger that has to wait queues the entry, up to a
///    bound, and returns [`Recorded::Queued`]; a full queue is [`LedgerError::Full`].
/// 3. `record` is idempotent on `entry.id`: the same entry again is [`Recorded::Duplicate`] and is stored once.
/// 4. The same id with other content is [`LedgerError::Conflict`]; the first entry stays as it is. A ledger may
///    forget the ids of entries long past, and says in its docs after how many.
/// 5. `flush` is the barrier: once it returns, every entry that was recorded before it is stored as safely as the
///    ledger can. Flushing twice is harmless.
/// 6. `query` and `scan`, after a flush, see every entry that was recorded before it, once and unchanged.
/// 7. A summary is a fold of its entries: its groups add up to its total, and it equals a [`Tally`] over a scan with
///    the same filter. Entries that cannot be split any more are told apart in [`Summary::evicted`].
/// 8. `clues`, after a flush, tells of entries that match: all that can be found by comparing them, or a part of it.
///
/// The function `thrifty::conformance::ledger` (feature `conformance`) checks these rules on a ledger of yours.
///
/// # Wrappers
/// A ledger that wraps another forwards every method. `Arc<T>` and `Box<T>` are ledgers if `T` is.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use thrifty::ledger::{CostLedger, Dimension, InMemoryLedger, LedgerEntry, Query};
/// use thrifty::{Attribution, Endpoint, EntryId, OpId, Timestamp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), thrifty::ledger::LedgerError> {
/// let ledger = InMemoryLedger::new();
/// let now = Timestamp::from_unix_millis(1_790_000_000_000);
/// let mut entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::ChatCompletions);
/// entry.attribution = Attribution::default().with_feature("summaries");
/// ledger.record(&Arc::new(entry))?;
/// ledger.flush().await?;
///
/// let summary = ledger.query(&Query::new().group_by(Dimension::Feature)).await?;
/// assert_eq!(summary.groups[0].keys[0].as_deref(), Some("summaries"));
/// assert_eq!(summary.total.calls, 1);
/// assert_eq!(summary.total.coverage.unpriced, 1);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait CostLedger: fmt::Debug + Send + Sync + 'static {
    /// Keeps an entry, without waiting for a disk's sync or a network.
    ///
    /// # Errors
    /// If another entry has its id, or if it cannot be kept or queued; it is then not counted.
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError>;

    /// Returns the key under which the bodies of requests are hashed for its entries, the same for as long as the ledger
    /// keeps them. Without one they are not hashed, which is what a ledger does that does not say otherwise.
    fn hash_key(&self) -> Option<HashKey> {
        None
    }

    /// Waits until everything recorded before is stored as safely as this ledger can.
    ///
    /// # Errors
    /// If something recorded before could not be stored.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing that was recorded, only the knowledge that it is stored.
    async fn flush(&self) -> Result<(), LedgerError>;

    /// Adds up the entries that match the query's filter, in groups.
    ///
    /// # Errors
    /// If the entries cannot be read.
    async fn query(&self, query: &Query) -> Result<Summary, LedgerError>;

    /// Returns the entries that match, as a stream, in the order in which they were recorded as far as it is known.
    ///
    /// An entry that cannot be read is an item that is an error, and ends the stream.
    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>>;

    /// Returns what the calls that match have in common by which they could be cheaper, at least as far as it is known
    /// without much work. What cost most comes first.
    ///
    /// A ledger that does not say otherwise reads the entries by a [`scan`](Self::scan).
    ///
    /// # Errors
    /// If the entries cannot be read.
    async fn clues(&self, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
        let (mut finder, mut entries) = (ClueFinder::default(), self.scan(filter));
        let mut read = 0_u32;
        while let Some(entry) = entries.try_next().await? {
            finder.add(&entry);
            read = read.wrapping_add(1);
            if read.is_multiple_of(ENTRIES_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(finder.finish())
    }
}

macro_rules! forward_to_inner {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: CostLedger + ?Sized> CostLedger for $pointer<T> {
            fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
                (**self).record(entry)
            }

            fn hash_key(&self) -> Option<HashKey> {
                (**self).hash_key()
            }

            async fn flush(&self) -> Result<(), LedgerError> {
                (**self).flush().await
            }

            async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
                (**self).query(query).await
            }

            fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
                (**self).scan(filter)
            }

            async fn clues(&self, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
                (**self).clues(filter).await
            }
        }
    };
}

forward_to_inner!(Arc);
forward_to_inner!(Box);
