//! Group commit: many wait, one syncs for all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use crate::batch::store::StoreError;
use crate::batch::store::error::io_error;

/// If more callers than this waited for the last sync, the next one waits for them: they have the next request ready, and
/// would else wait for a sync of their own.
const CROWD: usize = 4;
/// How long it waits before it looks whether more have come, and how often at most.
const MOMENT: Duration = Duration::from_micros(30);
const MOMENTS: usize = 16;

/// Counts a caller for as long as it waits.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn begin(inner: &'a Inner) -> Self {
        inner.waiting.fetch_add(1, Ordering::Relaxed);
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The names that are not safe.
struct Names {
    /// Of files of lines and answers, up to this many begun ones.
    data: Option<u64>,
    /// Of segments.
    journal: bool,
}

/// Waits until everything before the position is safe.
pub(super) async fn sync(inner: &Arc<Inner>, position: u64) -> Result<(), StoreError> {
    let _waiting = Waiting::begin(inner);
    let is_synced = || inner.synced.load(Ordering::Acquire) >= position;
    let Some(turn) = inner.turns.take_unless(is_synced).await else {
        return Ok(());
    };
    let inner = Arc::clone(inner);
    // The turn goes with the work, which runs on if this future is dropped.
    super::off_thread(move || {
        let _turn = turn;
        inner.gather();
        let synced = inner.sync();
        let crowd = inner.waiting.load(Ordering::Relaxed);
        inner.crowd.store(crowd, Ordering::Relaxed);
        synced
    })
    .await?
}

impl Inner {
    /// Waits until those who waited for the last sync wait for this one, or no more of them come.
    fn gather(&self) {
        let crowd = self.crowd.load(Ordering::Relaxed);
        let mut waiting = self.waiting.load(Ordering::Relaxed);
        if crowd.max(waiting) <= CROWD {
            return;
        }
        for _ in 0..MOMENTS {
            if waiting >= crowd {
                return;
            }
            std::thread::sleep(MOMENT);
            let now = self.waiting.load(Ordering::Relaxed);
            if now == waiting {
                return;
            }
            waiting = now;
        }
    }

    /// Makes all that is written safe. Called by one at a time.
    fn sync(&self) -> Result<(), StoreError> {
        self.try_sync().or_else(|error| {
            if error.is_damage() {
                return Err(error);
            }
            tracing::warn!(%error, "a sync of the batch journal failed; what it should have kept is written again");
            self.writing().distrust();
            self.try_sync().inspect_err(|_| self.writing().distrust())
        })
    }

    fn try_sync(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (files, segment, names, removable, position) = {
            let mut writing = self.writing();
            writing.write_again_if_distrusted(now)?;
            let names = Names {
                data: (writing.safe_names < writing.begun).then_some(writing.begun),
                journal: std::mem::take(&mut writing.journal.dir_changed),
            };
            let removable = std::mem::take(&mut writing.removable);
            (
                writing.not_safe(),
                writing.journal.not_safe(),
                names,
                removable,
                writing.position,
            )
        };
        let sync_segment = || match &segment {
            Some(segment) => segment.file.sync().map_err(io_error("sync", &segment.path)),
            None => Ok(()),
        };
        // A record carries the checksum of its line, so that neither has to be safe before the other.
        let synced = std::thread::scope(|scope| {
            let others: Vec<_> = files
                .iter()
                .map(|file| scope.spawn(|| file.file.sync().map_err(io_error("sync", &file.path))))
                .collect();
            let own = sync_segment();
            let joined = others
                .into_iter()
                .map(|other| other.join().unwrap_or(Err(StoreError::Interrupted)));
            joined.fold(own, Result::and)
        });
        let synced = synced.and_then(|()| self.sync_names(&names));
        let mut writing = self.writing();
        if let Err(error) = synced {
            writing.journal.dir_changed |= names.journal;
            writing.removable.extend(removable);
            return Err(error);
        }
        writing.safe_names = names.data.unwrap_or(0).max(writing.safe_names);
        writing.is_safe(&files);
        if let Some(segment) = &segment {
            writing.journal.is_safe(segment);
        }
        self.synced.fetch_max(position, Ordering::Release);
        for number in removable {
            self.remove(&mut writing, number);
        }
        Ok(())
    }

    fn sync_names(&self, names: &Names) -> Result<(), StoreError> {
        if names.data.is_some() {
            self.layout.sync_data_dirs()?;
        }
        if names.journal {
            self.layout.sync_journal_dir()?;
        }
        Ok(())
    }

    /// Removes a file that nobody needs. One that stays is removed when the spool is loaded.
    fn remove(&self, writing: &mut super::writing::Writing, number: u32) {
        let unneeded = writing.files.get(&number).is_some_and(|file| file.needed_by == 0);
        if !unneeded {
            return;
        }
        if let Some(file) = writing.files.remove(&number)
            && let Err(error) = self.layout.disk().remove(&file.path)
        {
            tracing::warn!(%error, path = %file.path.display(), "a file of the spool could not be removed");
        }
    }
}
