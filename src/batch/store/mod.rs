//! Where a collector keeps its requests, and how to write another place.

mod error;
mod file;
mod memory;
mod packed_ids;
mod record;
mod verdict;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::StoreError;
pub use file::{FileStore, FileStoreBuilder};
#[cfg(fuzzing)]
pub use file::{OpenedSpool, open_spool};
pub use memory::InMemoryStore;
pub use record::{Content, Extent, FlushId, Position, Record, RequestKey, StoredRequest};
pub use verdict::{Failure, StoredAnswer, StoredFault, Verdict};

/// What a stored request survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing beyond the store itself: it is gone with the process.
    Process,
    /// The end of the process by any means, `SIGKILL` included.
    Crash,
    /// A crash of the machine.
    PowerLoss,
}

/// A journal of what happens to requests, from which a collector can go on, and the bytes that its records name.
///
/// # Contract
/// 1. `append` fixes the order of records, never waits for a sync, and takes all of them or none. The
///    [`Content::Bytes`] in what it took have become [`Content::Stored`], and can be read at once.
/// 2. When `sync` returns `Ok`, every record up to that position, and the bytes that they name, survive what
///    [`durability`](Self::durability) says. The collector syncs an intent before its effect, and a request before it is
///    promised.
/// 3. `load` comes before the first `append`. It gives back, in order, at least the records that still matter: of requests that are not acknowledged and
///    of flushes that are not closed. The store may drop the rest. A record may come twice, if all that followed it comes
///    twice too.
/// 4. `read` gives the bytes that were stored, or [`StoreError::Damaged`]; never others.
/// 5. Bytes stay readable until [`Record::Acknowledged`] names their request, or a settled request's line until then.
/// 6. After an `append` that failed the store goes on: a later one succeeds once there is room.
/// 7. One collector uses a store at a time.
///
/// # Wrappers
/// A store that wraps another one forwards every method, also those with a default.
#[async_trait]
pub trait BatchStore: fmt::Debug + Send + Sync + 'static {
    /// Returns what a synced record survives.
    fn durability(&self) -> Durability;

    /// Puts records at the end of the journal and returns the position after them.
    ///
    /// # Errors
    /// If there is no room for them.
    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError>;

    /// Waits until everything before the position is durable.
    ///
    /// # Errors
    /// If it cannot be made so; then nothing is known of the records after the last `Ok`.
    async fn sync(&self, position: Position) -> Result<(), StoreError>;

    /// Gives the records that a new collector needs to go on, one by one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError>;

    /// Reads stored bytes, of all extents one after the other.
    ///
    /// # Errors
    /// If they cannot be read, or are not those that were stored.
    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError>;

    /// Checks stored bytes after a restart and returns those that are damaged or missing. The order is any.
    ///
    /// # Errors
    /// If nothing can be said of them.
    async fn check(&self, extents: Vec<Extent>) -> Result<Vec<Extent>, StoreError> {
        let mut damaged = Vec::new();
        for extent in extents {
            match self.read(&[extent]).await {
                Ok(_) => {}
                Err(error) if error.is_damage() => damaged.push(extent),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    /// Whether the journal has grown so much beyond what still matters that it should be written anew.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Replaces the journal by these records, from which the same follows as from all that was appended so far. Nothing
    /// is appended meanwhile.
    ///
    /// # Errors
    /// If there is no room for them; then the journal is as it was.
    fn replace(&self, snapshot: &mut dyn Iterator<Item = Record>) -> Result<(), StoreError> {
        let _ = snapshot;
        Ok(())
    }

    /// Returns what was found in the journal when it was opened.
    fn recovery_report(&self) -> RecoveryReport {
        RecoveryReport::default()
    }
}

/// What a store, or a collector on it, found when it was opened, beyond what it should have found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Torn ends of files that were cut off: the file, how many bytes, and where they are kept.
    pub torn: Vec<(std::path::PathBuf, u64, std::path::PathBuf)>,
    /// Requests that were not settled.
    pub pending: usize,
    /// Requests whose outcome is not acknowledged.
    pub unacknowledged: usize,
    /// Requests whose line was damaged or missing when the store was taken up. Such a request was never promised if the power
    /// was lost while it was enqueued. It is forgotten and never sent; its key is free.
    pub damaged_lines: Vec<crate::id::RequestId>,
    /// Requests whose stored answer was damaged or missing, and is read from the server again if that can be.
    pub damaged_answers: Vec<crate::id::RequestId>,
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: BatchStore + ?Sized> BatchStore for $pointer<T> {
            fn durability(&self) -> Durability {
                (**self).durability()
            }

            fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
                (**self).append(records)
            }

            async fn sync(&self, position: Position) -> Result<(), StoreError> {
                (**self).sync(position).await
            }

            async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
                (**self).load(fold).await
            }

            async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
                (**self).read(extents).await
            }

            async fn check(&self, extents: Vec<Extent>) -> Result<Vec<Extent>, StoreError> {
                (**self).check(extents).await
            }

            fn wants_snapshot(&self) -> bool {
                (**self).wants_snapshot()
            }

            fn replace(&self, snapshot: &mut dyn Iterator<Item = Record>) -> Result<(), StoreError> {
                (**self).replace(snapshot)
            }

            fn recovery_report(&self) -> RecoveryReport {
                (**self).recovery_report()
            }
        }
    };
}

forward!(Arc);
forward!(Box);
