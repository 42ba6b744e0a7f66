//! A ledger in a directory of files.

mod entries;
mod layout;
mod recent;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::clock::{Clock, SystemClock};
use crate::ledger::{CostLedger, Filter, LedgerEntry, LedgerError, Query, Recorded, Summary, Tally};
use crate::storage::{Disk, DiskFile, SegmentWriter, StdDisk, StorageError, io_error};

use self::entries::Entries;
use self::layout::Layout;
use self::recent::Recent;

pub use self::layout::{Recovery, TornTail};

/// How many entries a scan reads at a time, off the async threads.
const ENTRIES_A_CHUNK: usize = 512;

/// Keeps entries as JSON lines in a directory.
///
/// Several processes, and several ledgers in one process, can share the directory: each writes a segment of its own
/// and reads all of them. `jq` reads the lines as they are:
/// `jq -s 'map(select(.cost)) | length' costs/segments/*.jsonl`.
///
/// # Durability
/// What was recorded survives the end of the process, also by `SIGKILL`: a record is one write to the system. What
/// was [flushed](CostLedger::flush) survives a loss of power. Nothing is synced without a flush. If a sync fails, what
/// it should have kept may be gone, so that flushes of this ledger keep failing from then on; entries recorded
/// later go to a new segment.
///
/// # Defaults and limits
/// The newest 65,536 ids that this ledger recorded are remembered to tell duplicates at once; an older or a foreign
/// one is told when entries are read, and the first one counts. Reading remembers every id, at about 50 bytes each. On
/// Unix files can be read by their owner only; elsewhere they have the directory's rights.
///
/// # Runtime
/// Files are read and synced off the async threads if a tokio runtime is there, else on the calling thread.
pub struct FileLedger(Arc<Inner>);

struct Inner {
    layout: Layout,
    clock: Arc<dyn Clock>,
    recovery: Recovery,
    state: Mutex<State>,
    /// Held by the one flush that syncs, so that those who wait find their entries synced too.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many records are synced.
    synced: AtomicU64,
}

#[derive(Default)]
struct State {
    writer: Option<SegmentWriter>,
    /// Segments with lines that are not synced, and that nothing will be written to any more.
    unsynced: Vec<SegmentWriter>,
    recent: Recent,
    recorded: u64,
    /// The segment whose sync failed.
    poisoned: Option<PathBuf>,
}

impl FileLedger {
    /// Opens the ledger in this directory, or begins one if it is empty or not there.
    ///
    /// Segments whose writer is gone are checked, line by line. A torn end, as a killed process or a loss of power
    /// leaves it, is moved to `quarantine/` and told by [`recovery`](Self::recovery) and a `tracing` event.
    ///
    /// # Errors
    /// If the path is no directory or the directory holds something else, if a newer version of this crate wrote it,
    /// if a line inside a segment is damaged, or if a file cannot be read or written.
    ///
    /// # Examples
    /// ```
    /// use thrifty::ledger::FileLedger;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// let ledger = FileLedger::open(dir.path().join("costs"))?;
    /// assert_eq!(ledger.recovery().torn.len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_on(Arc::new(StdDisk), dir.as_ref(), Arc::new(SystemClock))
    }

    fn open_on(disk: Arc<dyn Disk>, dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let layout = Layout::new(disk, dir);
        let recovery = layout.open()?;
        Ok(Self(Arc::new(Inner {
            layout,
            clock,
            recovery,
            state: Mutex::default(),
            turn: Arc::default(),
            synced: AtomicU64::new(0),
        })))
    }

    /// Returns what was found when it was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.0.layout.root()
    }
}

impl fmt::Debug for FileLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLedger")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CostLedger for FileLedger {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        let mut json = Vec::with_capacity(768);
        serde_json::to_writer(&mut json, entry).map_err(|source| LedgerError::Encode { source })?;
        let content = recent::content_of(&json);

        let mut state = self.0.state();
        match state.recent.get(entry.id) {
            Some(known) if known == content => return Ok(Recorded::Duplicate),
            Some(_) => return Err(LedgerError::Conflict { id: entry.id }),
            None => {}
        }
        state.append(&self.0, &mut json)?;
        state.recent.insert(entry.id, content);
        Ok(Recorded::Stored)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        let wanted = self.0.state().recorded;
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        // While this one waited for its turn, another may have synced its entries.
        let poisoned = self.0.state().poisoned.is_some();
        if self.0.synced.load(Ordering::Acquire) >= wanted && !poisoned {
            return Ok(());
        }
        let inner = Arc::clone(&self.0);
        // The turn goes with the work, which runs on if this future is dropped.
        off_thread(move || {
            let result = inner.sync();
            drop(turn);
            result
        })
        .await?
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        let (inner, mut tally) = (Arc::clone(&self.0), Tally::new(query));
        off_thread(move || {
            for entry in inner.entries()? {
                tally.add(&entry?);
            }
            Ok::<_, LedgerError>(tally.finish())
        })
        .await?
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        let (inner, filter) = (Arc::clone(&self.0), filter.clone());
        let chunks = stream::try_unfold(None, move |entries: Option<Entries>| {
            let (inner, filter) = (Arc::clone(&inner), filter.clone());
            async move {
                off_thread(move || {
                    let mut entries = match entries {
                        Some(entries) => entries,
                        None => inner.entries()?,
                    };
                    let chunk = entries.chunk(&filter, ENTRIES_A_CHUNK);
                    Ok::<_, LedgerError>((!chunk.is_empty()).then_some((stream::iter(chunk), Some(entries))))
                })
                .await?
            }
        });
        chunks.try_flatten().boxed()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state whole, or the segment broken and known to be.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> Result<Entries, LedgerError> {
        // The own segment is read up to its last whole line, even if a write to it failed half way just now.
        let own = {
            let state = self.state();
            let all = state.unsynced.iter().chain(&state.writer);
            all.map(|writer| (writer.path().to_owned(), writer.bytes()))
                .collect()
        };
        Entries::open(&self.layout, own)
    }

    /// Syncs all that is recorded. Called by one flush at a time.
    fn sync(&self) -> Result<(), LedgerError> {
        let (recorded, files, closed) = {
            let mut state = self.state();
            if let Some(path) = &state.poisoned {
                let source = std::io::Error::other("an earlier sync of this file failed");
                return Err(LedgerError::Io {
                    action: "sync",
                    path: path.clone(),
                    source,
                });
            }
            let closed = std::mem::take(&mut state.unsynced);
            let files: Vec<_> = closed
                .iter()
                .chain(&state.writer)
                .map(|writer| (writer.path().to_owned(), writer.file()))
                .collect();
            (state.recorded, files, closed)
        };
        // The directories first: without its name in them, a synced file is lost all the same.
        let synced = self.layout.sync_dirs().and_then(|()| {
            files
                .iter()
                .try_for_each(|(path, file)| self.sync_file(path, &**file))
        });
        if let Err(error) = synced {
            self.state().unsynced.extend(closed);
            return Err(error.into());
        }
        self.synced.store(recorded, Ordering::Release);
        Ok(())
    }

    fn sync_file(&self, path: &Path, file: &dyn DiskFile) -> Result<(), StorageError> {
        file.sync().map_err(|source| {
            // The system may have dropped what it could not write: another try would prove nothing.
            let mut state = self.state();
            state.poisoned = Some(path.to_owned());
            state.retire_writer();
            io_error("sync", path)(source)
        })
    }
}

impl State {
    /// Appends a line to the segment of this ledger, which begins with its first line.
    fn append(&mut self, inner: &Inner, json: &mut Vec<u8>) -> Result<(), StorageError> {
        if self.writer.as_ref().is_some_and(SegmentWriter::is_broken) {
            self.retire_writer();
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(inner.layout.begin_segment(inner.clock.now())?),
        };
        writer.append(json)?;
        self.recorded += 1;
        Ok(())
    }

    fn retire_writer(&mut self) {
        self.unsynced.extend(self.writer.take());
    }
}

impl From<StorageError> for LedgerError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io { action, path, source } => Self::Io { action, path, source },
            StorageError::Foreign { path, why } => Self::NotALedger { path, why },
            StorageError::Newer { path, found, known } => Self::NewerFormat { path, found, known },
            StorageError::BadLine { path, line, why } => Self::BadLine { path, line, why },
            StorageError::TooLong { path, bytes } => Self::TooLong { path, bytes },
        }
    }
}

/// Runs what blocks on a thread that may, if there is a runtime that has one.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LedgerError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(work)
            .await
            .map_err(|_| LedgerError::Interrupted),
        Err(_) => Ok(work()),
    }
}

#[cfg(test)]
mod tests;
