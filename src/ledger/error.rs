//! What can go wrong in a ledger.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::error::ErrorKind;
use crate::id::EntryId;

/// A ledger could not keep or read entries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another entry has the same id.
    #[error("another entry with the id {id} is recorded already")]
    Conflict {
        /// The id that both have.
        id: EntryId,
    },
    /// The entry's id is older than the ledger can tell duplicates.
    #[error("the entry {id} was made too long ago to be recorded now")]
    TooOld {
        /// The id of the entry.
        id: EntryId,
    },
    /// Too many entries wait to be stored.
    #[error("the ledger's queue is full at {capacity} entries")]
    Full {
        /// How many entries can wait.
        capacity: usize,
    },
    /// A file could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, such as `open`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path does not lead to a ledger.
    #[error("{} is not a ledger: {why}", path.display())]
    NotALedger {
        /// The path that was opened, or the file in it that does not belong there.
        path: PathBuf,
        /// What was found instead.
        why: &'static str,
    },
    /// The ledger was written by a newer version of this crate.
    #[error("{} has ledger format {found}, this version reads up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format in its header.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
    /// A line inside a file is damaged.
    #[error("{}:{line} is damaged: {why}", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry is longer than a line may be, which is 64 MiB.
    #[error("an entry of {bytes} bytes is too long for {}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The length of the entry as a line.
        bytes: u64,
    },
    /// An entry could not be written as JSON.
    #[error("the entry could not be written as JSON")]
    Encode {
        /// What the serializer said.
        source: serde_json::Error,
    },
    /// The async runtime ended before the work was done.
    #[error("the runtime ended before the ledger's work was done")]
    Interrupted,
    /// What lies beneath a ledger that is not from this crate failed.
    #[error("the ledger's backend failed")]
    Backend {
        /// What kind of fault it is.
        kind: ErrorKind,
        /// What the backend said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl LedgerError {
    /// Returns what kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. }
            | Self::TooOld { .. }
            | Self::NotALedger { .. }
            | Self::NewerFormat { .. }
            | Self::TooLong { .. }
            | Self::Encode { .. } => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Busy,
            Self::Io { .. } | Self::BadLine { .. } => ErrorKind::Storage,
            Self::Interrupted => ErrorKind::Cancelled,
            Self::Backend { kind, .. } => *kind,
        }
    }
}
