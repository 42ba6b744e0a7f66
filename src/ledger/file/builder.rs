//! Settings of a file ledger.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::ledger::LedgerError;
use crate::ledger::file::layout::Layout;
use crate::ledger::file::recent::WINDOW;
use crate::ledger::file::view::View;
use crate::ledger::file::writing::Writing;
use crate::ledger::file::{FileLedger, Inner, opening, sealing};
use crate::storage::{Damage, Disk, StdDisk};

/// When entries become safe from a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// Within this time after they were recorded, by a thread of the ledger's own, and at each flush.
    Interval(Duration),
    /// At each flush only. The ledger keeps what is not synced in memory too, and seals segments when it is flushed.
    OnFlush,
}

/// What to do about a damaged line inside a segment. A torn end, which any crash can leave, is no such line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamagedLines {
    /// The ledger cannot be opened, and an error names file and line.
    Refuse,
    /// The line is copied to `quarantine/` and left out; every summary and report says how many there are.
    Quarantine,
}

/// Settings of a [`FileLedger`].
///
/// # Default
/// - sync: within a second
/// - damaged lines: refused
/// - segments: sealed at 64 MiB
/// - retention: for ever
/// - clock: the system's
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use thrifty::ledger::{DamagedLines, FileLedger};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let ledger = FileLedger::builder()
///     .with_damaged_lines(DamagedLines::Quarantine)
///     .with_retention(Duration::from_secs(90 * 86_400))
///     .open(dir.path().join("costs"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FileLedgerBuilder {
    pub(super) sync: SyncPolicy,
    pub(super) retention: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    damaged_lines: DamagedLines,
    segment_bytes: NonZeroU64,
    disk: Arc<dyn Disk>,
}

const SEGMENT_BYTES: NonZeroU64 = NonZeroU64::new(64 << 20).unwrap();

impl FileLedgerBuilder {
    pub(super) fn new() -> Self {
        Self {
            sync: SyncPolicy::Interval(Duration::from_secs(1)),
            retention: None,
            clock: Arc::new(SystemClock),
            damaged_lines: DamagedLines::Refuse,
            segment_bytes: SEGMENT_BYTES,
            disk: Arc::new(StdDisk),
        }
    }

    /// Sets when entries become safe from a loss of power.
    pub const fn with_sync(mut self, policy: SyncPolicy) -> Self {
        self.sync = policy;
        self
    }

    /// Sets what to do about damaged lines.
    pub const fn with_damaged_lines(mut self, damaged_lines: DamagedLines) -> Self {
        self.damaged_lines = damaged_lines;
        self
    }

    /// Seals a segment once it has so many bytes.
    pub const fn with_segment_bytes(mut self, bytes: NonZeroU64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Removes a sealed segment so long after the day of its newest entry, at least two days. Its sums stay, so that spend by
    /// feature, model, lane, source and time stays exact; what needs the entries is then only in
    /// [`Summary::evicted`](crate::ledger::Summary::evicted).
    pub fn with_retention(mut self, keep: Duration) -> Self {
        self.retention = Some(keep.max(WINDOW * 2));
        self
    }

    /// Takes the time from this clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    #[cfg(test)]
    pub(super) fn with_disk(mut self, disk: impl Disk) -> Self {
        self.disk = Arc::new(disk);
        self
    }

    pub(super) fn damage(&self) -> Damage {
        match self.damaged_lines {
            DamagedLines::Refuse => Damage::Refuse,
            DamagedLines::Quarantine => Damage::PassOver,
        }
    }

    /// Opens the ledger in this directory, or begins one if it is empty or not there.
    ///
    /// # Errors
    /// As [`FileLedger::open`].
    pub fn open(self, dir: impl AsRef<Path>) -> Result<FileLedger, LedgerError> {
        let layout = Arc::new(Layout::new(Arc::clone(&self.disk), dir.as_ref()));
        let recovery = opening::open(&layout, self.damage())?;
        let hash_key = layout.hash_key()?;
        let now = self.clock.now();
        if let Some(keep) = self.retention {
            sealing::expire(&layout, keep, now)?;
        }
        let writing = Writing::new(Arc::clone(&layout), self.segment_bytes.get(), now);
        let view = View::new(Arc::clone(&layout), self.damage());
        Ok(FileLedger {
            keeper: OnceLock::new(),
            inner: Arc::new(Inner {
                layout,
                recovery,
                hash_key,
                writing: Mutex::new(writing),
                view: Mutex::new(view),
                turns: Arc::default(),
                synced: AtomicU64::new(0),
                flushing: AtomicUsize::new(0),
                expired_in: AtomicI64::new(i64::MIN),
                settings: self,
            }),
        })
    }
}
