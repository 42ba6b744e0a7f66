//! Where a collector keeps its requests, and how to write another place.

mod memory;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use memory::InMemoryStore;

use super::api::{BatchItem, Outcome};
use crate::clock::Timestamp;
use crate::id::RequestId;

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

/// A journal of what happens to requests, from which a collector can go on.
///
/// # Contract
/// 1. `append` fixes the order of records. It may keep them in memory, never waits for a disk, and takes all of them or
///    none.
/// 2. When `sync` returns `Ok`, every record up to that position survives what [`durability`](Self::durability) says.
///    The collector syncs an intent before its effect, and a request before it is promised.
/// 3. `load` returns, in order, at least the records that still matter: of requests that are not settled and of flushes
///    that are not closed. The store may drop the rest.
/// 4. One collector uses a store at a time.
#[async_trait]
pub trait BatchStore: fmt::Debug + Send + Sync + 'static {
    /// Returns what a synced record survives.
    fn durability(&self) -> Durability;

    /// Puts records at the end of the journal and returns the position after them.
    ///
    /// # Errors
    /// If there is no room for them.
    fn append(&self, records: Vec<Record>) -> Result<Position, StoreError>;

    /// Waits until everything before the position is durable.
    ///
    /// # Errors
    /// If it cannot be made so; then nothing is known of the records after the last `Ok`.
    async fn sync(&self, position: Position) -> Result<(), StoreError>;

    /// Reads the records that a new collector needs to go on.
    ///
    /// # Errors
    /// If the journal cannot be read.
    async fn load(&self) -> Result<Vec<Record>, StoreError>;
}

#[async_trait]
impl<T: BatchStore + ?Sized> BatchStore for Arc<T> {
    fn durability(&self) -> Durability {
        (**self).durability()
    }

    fn append(&self, records: Vec<Record>) -> Result<Position, StoreError> {
        (**self).append(records)
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        (**self).sync(position).await
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        (**self).load().await
    }
}

/// A place in a store's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Takes a number that grows with every append.
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Names one sealed set of lines: it is in the file's name and in the batch's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushId(Arc<str>);

impl FlushId {
    /// Takes a name that is unique at the provider's account: ASCII letters and digits, at most 40 of them.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change in the life of a request or of a flush.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Record {
    /// A request was taken; it waits in the buffer of its endpoint and model.
    Enqueued(BatchItem),
    /// Buffered requests were made the lines of a file, in this order.
    Sealed {
        /// The new flush.
        flush: FlushId,
        /// Its lines.
        lines: Vec<RequestId>,
    },
    /// The file is about to be uploaded.
    UploadIntended {
        /// The flush.
        flush: FlushId,
        /// The name it is uploaded under, which no other file has.
        filename: Arc<str>,
    },
    /// The server has the file.
    Uploaded {
        /// The flush.
        flush: FlushId,
        /// The server's id of the file.
        input_file_id: Arc<str>,
    },
    /// The batch is about to be made.
    CreateIntended {
        /// The flush.
        flush: FlushId,
        /// The uploaded file.
        input_file_id: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// The batch certainly does not exist, and its file cannot be used for one any more.
    CreateAbandoned {
        /// The flush.
        flush: FlushId,
    },
    /// The batch is made.
    Submitted {
        /// The flush.
        flush: FlushId,
        /// The server's id of the batch.
        batch_id: Arc<str>,
    },
    /// A line was not answered; its request is back in the buffer.
    Requeued {
        /// The request.
        id: RequestId,
        /// In how many batches it was so far.
        attempts: u32,
    },
    /// A request has its outcome.
    Settled {
        /// The request.
        id: RequestId,
        /// What became of it.
        outcome: Outcome,
    },
    /// Nothing more is expected of this flush.
    Closed {
        /// The flush.
        flush: FlushId,
    },
}

/// Why a store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{context}")]
pub struct StoreError {
    context: Arc<str>,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// Makes an error that says what was being done.
    pub fn new(context: impl Into<Arc<str>>) -> Self {
        Self {
            context: context.into(),
            source: None,
        }
    }

    /// Sets what lies beneath it.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}
