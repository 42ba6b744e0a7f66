//! Why a store failed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A call to the disk failed; a full disk is one, see [`is_full`](Self::is_full).
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another collector uses the spool.
    #[error("the spool {} is in use: shut the other collector down first, or open another directory", path.display())]
    InUse {
        /// The spool.
        path: PathBuf,
    },
    /// The spool was written by a newer version.
    #[error("{} is of format {found}, this version reads up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
    },
    /// What is in the directory is no spool.
    #[error("{} is not a batch spool: {why}", path.display())]
    NotASpool {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line inside the journal is damaged, and whole ones follow: no crash leaves that behind.
    #[error("line {line} of {} is damaged: {why}; restore it from a copy, or move it away", path.display())]
    BadLine {
        /// The journal's segment.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bytes that were stored are not there any more as they were.
    #[error("what was stored in file {file} at byte {offset} is damaged or missing")]
    Damaged {
        /// The file's number.
        file: u32,
        /// Where in it.
        offset: u32,
    },
    /// The spool holds requests that were to be sent with other credentials, or elsewhere.
    #[error(
        "the spool holds requests of the account {found}, not of {wanted}: finish them with that account first"
    )]
    OtherAccount {
        /// Whose requests it holds.
        found: Arc<str>,
        /// Who opened it.
        wanted: Arc<str>,
    },
    /// The work was cut off because its runtime ended.
    #[error("the work of the store was cut off")]
    Interrupted,
    /// Something else, in the words of the store.
    #[error("{context}")]
    Other {
        /// What was being done.
        context: Arc<str>,
        /// What lies beneath it.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Makes an error that says what was being done.
    pub fn new(context: impl Into<Arc<str>>) -> Self {
        let context = context.into();
        Self::Other {
            context,
            source: None,
        }
    }

    /// Makes an error that says what was being done and what lies beneath it.
    pub fn with_source(
        context: impl Into<Arc<str>>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let (context, source) = (context.into(), Arc::new(source));
        Self::Other {
            context,
            source: Some(source),
        }
    }

    /// Whether there was no room: the same call can succeed once there is.
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    /// Whether stored bytes are damaged or missing, which waiting does not mend.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::BadLine { .. })
    }
}

/// Names what was tried and the file, for `map_err`.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source: Arc::new(source),
    }
}
