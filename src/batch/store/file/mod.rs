//! A store on disk: what is enqueued survives the process and a loss of power.

mod data;
#[cfg(fuzzing)]
mod fuzzing;
mod journal;
mod journal_line;
mod layout;
mod needs;
mod opening;
mod packed;
mod reading;
mod syncing;
mod writing;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{BatchStore, Durability, Extent, Position, Record, RecoveryReport, StoreError};
use crate::clock::{Clock, SystemClock};
use crate::storage::{Disk, Lock, StdDisk, StorageError, Turns};

#[cfg(fuzzing)]
pub use fuzzing::{OpenedSpool, open_spool};
use layout::Layout;
use opening::Torn;
use writing::Writing;

/// Keeps requests in a directory, the *spool*, until their outcomes are acknowledged.
///
/// The lines of a file lie in it as they are uploaded, so that a flush copies nothing. A request whose enqueue returned
/// `Ok` survives the end of the process by any means and a loss of power. Many callers share a sync.
///
/// One collector uses a spool at a time. Prompts and answers lie in it until they are acknowledged: on Unix its files can
/// be read by their owner alone. Credentials never do.
///
/// # Examples
/// ```no_run
/// use thrifty::batch::{BatchApi, BatchCollector, FileStore, StoreError};
///
/// fn resume(api: impl BatchApi) -> Result<BatchCollector, StoreError> {
///     Ok(BatchCollector::builder(api).with_store(FileStore::open("spool")?).build())
/// }
/// ```
pub struct FileStore(Arc<Inner>);

/// Opens a [`FileStore`] that is not as by default.
#[derive(Debug, Clone)]
#[must_use]
pub struct FileStoreBuilder {
    account: Option<Arc<str>>,
    checks_all: bool,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
}

/// How many records are handed over at once when a journal is read.
const HANDFUL: usize = 2_048;

#[derive(Debug)]
struct Inner {
    layout: Layout,
    account: Option<Arc<str>>,
    checks_all: bool,
    clock: Arc<dyn Clock>,
    torn: Vec<Torn>,
    writing: Mutex<Writing>,
    loaded: AtomicBool,
    /// Held by whoever loads: one that was given up goes on.
    loading: Mutex<()>,
    /// The position up to which everything is safe.
    synced: AtomicU64,
    turns: Arc<Turns>,
    waiting: AtomicUsize,
    /// How many waited for the last sync.
    crowd: AtomicUsize,
    _lock: Lock,
}

impl FileStoreBuilder {
    /// Says whose requests these are: the server's base URL and a name of the credentials, which must not be the
    /// credentials themselves. A spool that holds unfinished requests of another account is then refused.
    pub fn for_account(mut self, base_url: &str, credentials: &str) -> Self {
        self.account = Some(format!("{base_url} {credentials}").into());
        self
    }

    /// Checks every line and answer when the spool is taken up, also those that were safe before the journal was last written
    /// anew. Whatever is read is checked in any case.
    pub fn with_full_check(mut self) -> Self {
        self.checks_all = true;
        self
    }

    /// Sets the clock that files are named by; the system's by default.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn with_disk(mut self, disk: impl Disk) -> Self {
        self.disk = Arc::new(disk);
        self
    }

    /// Opens the spool in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// If another collector uses it, it is of a newer format, its journal is damaged, or the disk fails.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<FileStore, StoreError> {
        let layout = Layout::new(dir.as_ref(), self.disk);
        let (writing, lock, torn) = opening::open(&layout, self.account.clone(), self.clock.now())?;
        for (path, bytes, kept_in) in &torn {
            tracing::warn!(path = %path.display(), bytes, kept_in = %kept_in.display(), "the torn end of a batch journal was cut off");
        }
        Ok(FileStore(Arc::new(Inner {
            layout,
            account: self.account,
            checks_all: self.checks_all,
            clock: self.clock,
            torn,
            writing: Mutex::new(writing),
            loaded: AtomicBool::new(false),
            loading: Mutex::default(),
            synced: AtomicU64::new(0),
            turns: Arc::default(),
            waiting: AtomicUsize::new(0),
            crowd: AtomicUsize::new(0),
            _lock: lock,
        })))
    }
}

impl FileStore {
    /// Opens the spool in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// If another collector uses it, it is of a newer format, its journal is damaged, or the disk fails.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(dir)
    }

    /// Starts from the default settings.
    pub fn builder() -> FileStoreBuilder {
        FileStoreBuilder {
            account: None,
            checks_all: false,
            clock: Arc::new(SystemClock),
            disk: Arc::new(StdDisk),
        }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.0.layout.root()
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Every step leaves what is written whole, or known to be broken.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paths(&self, extents: &[Extent]) -> reading::Paths {
        let writing = self.writing();
        let mut paths = reading::Paths::new();
        for extent in extents {
            if !paths.contains_key(&extent.file)
                && let Some(file) = writing.files.get(&extent.file)
            {
                paths.insert(extent.file, file.path.clone());
            }
        }
        paths
    }

    /// Leaves out what was safe when the journal was last written anew.
    fn since_the_snapshot(&self, mut extents: Vec<Extent>) -> Vec<Extent> {
        let writing = self.writing();
        extents.retain(|extent| {
            let end = u64::from(extent.offset) + u64::from(extent.len);
            writing.safe.get(&extent.file).is_none_or(|safe| end > *safe)
        });
        extents
    }

    /// Reads the journal from its beginning. Nothing is appended meanwhile.
    fn load(&self, fold: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = self.writing().journal.segments();
        // What is counted by half must not be acted on.
        self.loaded.store(false, Ordering::Release);
        self.writing().begin_to_count();
        let read = opening::load(&self.layout, &segments, self.account.as_ref(), &mut |record| {
            self.writing().count(std::slice::from_ref(&record));
            fold(record);
        })?;
        let mut writing = self.writing();
        let mut lanes = read.lanes;
        lanes.sort_by_key(|lane| lane.lane);
        for lane in lanes {
            writing.know_lane(lane);
        }
        read.safe.keys().for_each(|number| writing.has_named(*number));
        writing.safe = read.safe;
        writing.tidy()?;
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }
}

#[async_trait]
impl BatchStore for FileStore {
    fn durability(&self) -> Durability {
        Durability::PowerLoss
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        let mut writing = self.0.writing();
        if !self.0.loaded.load(Ordering::Acquire) && !records.is_empty() {
            return Err(StoreError::new(
                "a spool has to be loaded before anything is appended",
            ));
        }
        writing.append(records, self.0.clock.now())?;
        Ok(Position::new(writing.position))
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        syncing::sync(&self.0, position.get()).await
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return self.0.load(fold);
        }
        let (send, mut receive) = tokio::sync::mpsc::channel(4);
        let inner = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let mut records = Vec::with_capacity(HANDFUL);
            let loaded = inner.load(&mut |record| {
                records.push(record);
                if records.len() == HANDFUL {
                    // Whoever does not take them any more does not wait for the end either.
                    let _ = send.blocking_send(std::mem::replace(&mut records, Vec::with_capacity(HANDFUL)));
                }
            });
            let _ = send.blocking_send(records);
            loaded
        });
        while let Some(records) = receive.recv().await {
            records.into_iter().for_each(&mut *fold);
        }
        reading.await.map_err(|_| StoreError::Interrupted)?
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        let (inner, extents) = (Arc::clone(&self.0), extents.to_vec());
        let paths = inner.paths(&extents);
        off_thread(move || {
            let read = reading::read(inner.layout.disk(), &paths, &extents);
            if let Err(StoreError::Damaged { file, .. }) = &read {
                // Whoever asks now which of its lines are whole does not hear what was so once.
                inner.writing().safe.remove(file);
            }
            read
        })
        .await?
    }

    async fn check(&self, extents: Vec<Extent>) -> Result<Vec<Extent>, StoreError> {
        let inner = Arc::clone(&self.0);
        let extents = if inner.checks_all {
            extents
        } else {
            inner.since_the_snapshot(extents)
        };
        let paths = inner.paths(&extents);
        off_thread(move || reading::check(inner.layout.disk(), &paths, extents)).await?
    }

    fn wants_snapshot(&self) -> bool {
        self.0.writing().journal.has_grown()
    }

    fn replace(&self, snapshot: &mut dyn Iterator<Item = Record>) -> Result<(), StoreError> {
        self.0.writing().replace(snapshot, self.0.clock.now())
    }

    fn recovery_report(&self) -> RecoveryReport {
        RecoveryReport {
            torn: self.0.torn.clone(),
            ..RecoveryReport::default()
        }
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io { action, path, source } => Self::Io {
                action,
                path,
                source: Arc::new(source),
            },
            StorageError::Foreign { path, why } => Self::NotASpool { path, why },
            StorageError::Newer { path, found, known } => Self::NewerFormat { path, found, known },
            StorageError::BadLine { path, line, why } => Self::BadLine { path, line, why },
            StorageError::TooLong { path, bytes } => Self::new(format!(
                "a line of {bytes} bytes is too long for {}",
                path.display()
            )),
        }
    }
}

/// Runs what blocks on a thread that may, if there is a runtime that has one.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(work)
            .await
            .map_err(|_| StoreError::Interrupted),
        Err(_) => Ok(work()),
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
