//! A ledger in a directory of files.

mod builder;
mod encode;
mod entries;
mod fold;
mod keeper;
mod known_ids;
mod layout;
mod line;
mod opening;
mod recent;
mod sealing;
mod sidecar;
mod view;
mod writing;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::ledger::{
    Clue, CostLedger, Filter, HashKey, LedgerEntry, LedgerError, Query, Recorded, Summary, Tally,
};
use crate::storage::{SegmentWriter, StorageError, Turns};

use self::encode::encode;
use self::entries::Entries;
use self::keeper::{Keeper, Left};
use self::layout::Layout;
use self::view::View;
use self::writing::Writing;

pub use self::builder::{DamagedLines, FileLedgerBuilder, SyncPolicy};
pub use self::opening::{Recovery, TornTail};

/// How many entries a scan reads at a time, off the async threads.
const ENTRIES_A_CHUNK: usize = 512;

/// With more flushes than this at once, a sync waits a moment for those that the last one released: they have the next
/// entry ready, and would else wait for a sync of their own.
const CROWD: usize = 4;
/// That moment, much shorter than a sync of most disks.
const GATHER: Duration = Duration::from_micros(50);

/// Keeps entries as JSON lines in a directory.
///
/// Several processes, and several ledgers in one process, can share the directory: each writes a segment of its own
/// and reads all of them. `jq` reads the lines as they are: `jq -s 'map(.cost) | length' costs/segments/*.jsonl`.
///
/// A segment is sealed when it has 64 MiB, at midnight UTC, and when its writer is gone and the directory is opened
/// again. Beside a sealed segment lie its sums, by quarters of an hour, feature, model, lane and source. A query that
/// asks for no other dimension is answered from them, however many entries there are; any other reads the segments
/// that its stretch of time touches. [Clues](CostLedger::clues) are found by comparing the entries of one segment, and
/// lie there too: of each kind the 50 of the calls that cost most. The format is described in [`format`](crate::ledger::format).
///
/// # Durability
/// What was recorded survives the end of the process, also by `SIGKILL`: a record is one write to the system. What
/// was [flushed](CostLedger::flush) survives a loss of power; what was not is synced by a thread of the ledger's own
/// within a second, or as [`SyncPolicy`] says. If a sync fails, the entries that it should have kept are written again
/// to a new segment, for the system may have dropped them: until a sync succeeds the ledger keeps them in memory.
///
/// # Ids
/// The same id twice is one entry. An id is remembered for a day, at about 30 bytes each, also across openings of the
/// directory; one that is older when it is recorded is refused as [`TooOld`](LedgerError::TooOld). Where two processes
/// record the same id at the same time, the one that is sealed first counts.
///
/// # Runtime
/// Files are read and synced off the async threads if a tokio runtime is there, else on the calling thread. Only the
/// first record of an id from before the opening reads the ids of older segments on its own thread. Dropping the ledger
/// waits for a last sync, and leaves its segment to be sealed by the next that opens the directory. On Unix files can be read by their owner only; elsewhere they have the directory's rights.
pub struct FileLedger {
    // Dropped first: the thread ends before the locks of the segments are let go.
    keeper: OnceLock<Option<Keeper>>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Arc<Layout>,
    settings: FileLedgerBuilder,
    recovery: Recovery,
    hash_key: HashKey,
    writing: Mutex<Writing>,
    view: Mutex<View>,
    turns: Arc<Turns>,
    /// How many records are synced.
    synced: AtomicU64,
    /// How many flushes wait or sync at this moment.
    flushing: AtomicUsize,
    /// The hour, since 1970, in which segments past their time were removed last.
    expired_in: AtomicI64,
}

/// Counts a flush until it ends or is dropped.
struct Flushing<'a>(&'a AtomicUsize);

impl<'a> Flushing<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What [`FileLedger::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Sealed segments that were read again and compared with their sums.
    pub segments: u64,
    /// Entries in them.
    pub entries: u64,
    /// Segments that do not agree with what lies beside them, and why.
    pub differences: Vec<(PathBuf, &'static str)>,
}

impl FileLedger {
    /// Opens the ledger in this directory with the default settings, or begins one if it is empty or not there.
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
        Self::builder().open(dir)
    }

    /// Starts from the default settings.
    pub fn builder() -> FileLedgerBuilder {
        FileLedgerBuilder::new()
    }

    /// Returns what was found when it was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Reads every sealed segment again, and compares it with the sums that lie beside it, to the last pico-dollar.
    ///
    /// # Errors
    /// If a file cannot be read. A difference is no error, but told.
    pub async fn verify(&self) -> Result<Verification, LedgerError> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.verify()).await?
    }

    fn wake_keeper(&self) {
        let SyncPolicy::Interval(interval) = self.inner.settings.sync else {
            return;
        };
        let start = || {
            let keeper = Keeper::start(Arc::downgrade(&self.inner), interval);
            keeper
                .inspect_err(|error| {
                    tracing::error!(target: "thrifty", %error, "the ledger's thread could not be started: only a flush syncs");
                })
                .ok()
        };
        if let Some(keeper) = self.keeper.get_or_init(start) {
            keeper.wake();
        }
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
        let (json, now) = (encode(entry)?, self.inner.settings.clock.now());
        let mut writing = self.inner.writing();
        let was_safe = writing.is_safe_now();
        let recorded = writing.record(entry, json, now)?;
        drop(writing);
        if was_safe && recorded == Recorded::Stored {
            self.wake_keeper();
        }
        Ok(recorded)
    }

    fn hash_key(&self) -> Option<HashKey> {
        Some(self.inner.hash_key)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        let wanted = self.inner.writing().recorded();
        let _flushing = Flushing::begin(&self.inner.flushing);
        let is_synced = || self.inner.synced.load(Ordering::Acquire) >= wanted;
        let Some(turn) = self.inner.turns.take_unless(is_synced).await else {
            return Ok(());
        };
        let inner = Arc::clone(&self.inner);
        // The turn goes with the work, which runs on if this future is dropped.
        off_thread(move || {
            let _turn = turn;
            if inner.flushing.load(Ordering::Relaxed) > CROWD {
                std::thread::sleep(GATHER);
            }
            let result = inner.sync();
            if inner.settings.sync == SyncPolicy::OnFlush {
                inner.tidy();
            }
            result
        })
        .await?
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        let (inner, query) = (Arc::clone(&self.inner), query.clone());
        off_thread(move || inner.query(&query)).await?
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        let (inner, filter) = (Arc::clone(&self.inner), filter.clone());
        let chunks = stream::try_unfold(None, move |entries: Option<Entries>| {
            let (inner, filter) = (Arc::clone(&inner), filter.clone());
            async move {
                off_thread(move || {
                    let mut entries = match entries {
                        Some(entries) => entries,
                        None => inner.entries(&filter)?,
                    };
                    let chunk = entries.chunk(&filter, ENTRIES_A_CHUNK);
                    Ok::<_, LedgerError>((!chunk.is_empty()).then_some((stream::iter(chunk), Some(entries))))
                })
                .await?
            }
        });
        chunks.try_flatten().boxed()
    }

    async fn clues(&self, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
        let (inner, filter) = (Arc::clone(&self.inner), filter.clone());
        off_thread(move || inner.clues(&filter)).await?
    }
}

impl Inner {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Every step leaves the state whole, or the segment broken and known to be.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the view of all that is recorded by now.
    fn view(&self) -> Result<MutexGuard<'_, View>, LedgerError> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        // The own segment is read up to its last whole line, even if a write to it failed half way just now.
        let own = self.writing().own();
        view.refresh(&own)?;
        Ok(view)
    }

    fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        twice_if_stale(|| self.query_once(query))
    }

    fn query_once(&self, query: &Query) -> Result<Summary, LedgerError> {
        let mut tally = Tally::new(query);
        let rest = self.view()?.tally(query, &mut tally)?;
        // Reading happens outside the lock, so that a quick question does not wait for a long one.
        for part in rest.parts {
            entries::tally(&*self.layout.disk(), part, &mut tally)?;
        }
        let mut summary = tally.finish();
        summary.evicted = rest.evicted;
        summary.bad_lines = rest.bad_lines;
        Ok(summary)
    }

    fn clues(&self, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
        twice_if_stale(|| self.clues_once(filter))
    }

    fn clues_once(&self, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
        let (mut clues, parts) = self.view()?.clues(filter)?;
        for part in parts {
            clues.extend(entries::clues(&*self.layout.disk(), part, filter)?);
        }
        clues.sort_by_key(|clue| std::cmp::Reverse(clue.totals.cost));
        Ok(clues)
    }

    fn entries(&self, filter: &Filter) -> Result<Entries, LedgerError> {
        let parts = self.view()?.parts(filter);
        Ok(Entries::new(self.layout.disk(), parts))
    }

    fn verify(&self) -> Result<Verification, LedgerError> {
        let sealed = self.view()?.sealed();
        let mut found = Verification::default();
        for (segment, sidecar, seal) in sealed {
            found.segments += 1;
            found.entries += seal.entries;
            if let Some(why) = view::differences(&self.layout, &segment, &sidecar, &seal)? {
                found.differences.push((segment, why));
            }
        }
        Ok(found)
    }

    /// Syncs all that is recorded. Called by one at a time.
    fn sync(&self) -> Result<(), LedgerError> {
        match self.try_sync() {
            Err(error @ LedgerError::Io { action: "sync", .. }) => {
                tracing::warn!(target: "thrifty", %error, "entries of the ledger are written again");
                self.writing().distrust();
                self.try_sync().inspect_err(|_| self.writing().distrust())
            }
            result => result,
        }
    }

    fn try_sync(&self) -> Result<(), LedgerError> {
        let open = {
            let mut writing = self.writing();
            writing.write_again_if_distrusted(self.settings.clock.now())?;
            writing.not_safe()
        };
        if !open.is_empty() {
            open.sync(&self.layout)?;
            self.writing().is_safe(&open);
            tracing::trace!(target: "thrifty", entries = open.entries(), "the ledger is synced");
            self.synced.store(open.recorded, Ordering::Release);
        }
        Ok(())
    }

    /// Seals segments that are full or of another day, and removes those that are past their time. Returns whether it
    /// did all that it could.
    fn tidy(&self) -> bool {
        let sealed = self.seal_retired();
        let expired = self.expire_if_due();
        match sealed.and(expired) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(target: "thrifty", %error, "the ledger could not seal or remove a segment");
                false
            }
        }
    }

    fn seal_retired(&self) -> Result<(), LedgerError> {
        let retired = self.writing().take_sealable();
        if retired.is_empty() {
            return Ok(());
        }
        let paths: Vec<_> = retired.iter().map(|writer| writer.path().to_owned()).collect();
        let sealed = sealing::seal(&self.layout, &paths, self.settings.damage());
        let disk = self.layout.disk();
        let is_left = |writer: &SegmentWriter| {
            let (segment, sidecar) = (writer.path(), self.layout.sidecar_of(writer.path()));
            disk.size(&sidecar).is_err() && disk.size(segment).is_ok()
        };
        let left = retired.into_iter().filter(is_left).collect();
        self.writing().put_back(left);
        sealed.map(drop)
    }

    fn expire_if_due(&self) -> Result<(), LedgerError> {
        const HOUR_MS: i64 = 3_600_000;
        let now = self.settings.clock.now();
        let hour = now.as_unix_millis().div_euclid(HOUR_MS);
        match self.settings.retention {
            Some(keep) if self.expired_in.swap(hour, Ordering::Relaxed) != hour => {
                sealing::expire(&self.layout, keep, now)
            }
            _ => Ok(()),
        }
    }

    /// What the ledger's thread does.
    fn keep(self: Arc<Self>) -> Left {
        self.writing().retire_if_due(self.settings.clock.now());
        let turn = self.turns.take();
        if let Err(error) = self.sync() {
            tracing::error!(target: "thrifty", %error, "the ledger could not be synced");
        }
        let is_tidy = self.tidy();
        drop(turn);
        // Who recorded while it synced did not wake it. What cannot be sealed waits for the next time.
        let writing = self.writing();
        let is_done = if is_tidy {
            writing.is_safe_and_sealed()
        } else {
            writing.is_safe_now()
        };
        if is_done { Left::Nothing } else { Left::Work }
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

/// Asks again if a segment was removed for its age, or written anew, since it was looked up.
fn twice_if_stale<T>(ask: impl Fn() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    match ask() {
        Err(error) if entries::is_stale(&error) => ask(),
        result => result,
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
mod crash_tests;
#[cfg(test)]
mod sealing_tests;
#[cfg(test)]
mod tests;
