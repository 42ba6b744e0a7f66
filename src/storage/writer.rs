//! Writes one segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::storage::disk::{Disk, DiskFile, Lock};
use crate::storage::segment::{Format, LONGEST_LINE, seal};
use crate::storage::{StorageError, io_error};

static SEGMENTS_OF_THIS_PROCESS: AtomicU64 = AtomicU64::new(0);

/// The one writer of a segment. It holds the segment's lock until it is dropped.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    chain: u32,
    bytes: u64,
    synced: u64,
    broken: bool,
    _lock: Lock,
}

/// Returns the path of the lock that belongs to a segment.
pub(crate) fn lock_path(segment: &Path) -> PathBuf {
    segment.with_extension("lock")
}

impl SegmentWriter {
    /// Begins a segment `<start in ms>-<process id>-<count>.jsonl` that is not there yet.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        format: Format,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        loop {
            let count = SEGMENTS_OF_THIS_PROCESS.fetch_add(1, Ordering::Relaxed);
            // Padded, so that names sort as segments were begun.
            let name = format!("{:013}-{}-{count:06}", now.as_unix_millis(), std::process::id());
            let path = dir.join(format!("{name}.jsonl"));
            // The lock comes first: who finds the segment finds it locked.
            let lock_path = lock_path(&path);
            let Some(lock) = disk.try_lock(&lock_path).map_err(io_error("lock", &lock_path))? else {
                continue;
            };
            let file = match disk.create(&path) {
                // Another container with the same process id can have made it in the same millisecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created.map_err(io_error("create", &path))?,
            };
            let mut writer = Self {
                path,
                disk,
                file,
                chain: 0,
                bytes: 0,
                synced: 0,
                broken: false,
                _lock: lock,
            };
            return match writer.append(&mut format.header(&name)) {
                Ok(()) => Ok(writer),
                Err(error) => {
                    // An empty segment holds nothing; if it cannot be removed, the next opener does it.
                    let _ = writer.disk.remove(&writer.path);
                    Err(error)
                }
            };
        }
    }

    /// Seals a JSON object and appends it. On return it survives the end of the process.
    ///
    /// After an error nothing of it is in the segment, or the segment [`is_broken`](Self::is_broken).
    pub(crate) fn append(&mut self, object: &mut Vec<u8>) -> Result<(), StorageError> {
        let chain = seal(object, self.chain);
        if object.len() as u64 >= LONGEST_LINE {
            return Err(StorageError::TooLong {
                path: self.path.clone(),
                bytes: object.len() as u64,
            });
        }
        if let Err(error) = self.file.append(object) {
            // A part of the line may be there. If it cannot be cut off, no line may follow it.
            self.broken = self.disk.cut(&self.path, self.bytes).is_err();
            return Err(io_error("write", &self.path)(error));
        }
        self.chain = chain;
        self.bytes += object.len() as u64;
        Ok(())
    }

    /// Whether it can take no more lines.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes of whole lines it has.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the file, to sync it without holding up the next line.
    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Notes that so many bytes survive a loss of power.
    pub(crate) const fn set_synced(&mut self, bytes: u64) {
        self.synced = bytes;
    }

    /// Whether all lines survive a loss of power.
    pub(crate) const fn is_synced(&self) -> bool {
        self.synced == self.bytes
    }

    /// Gives up the lines that were not synced: their entries are elsewhere now.
    pub(crate) fn abandon(self) -> Result<(), StorageError> {
        if self.synced == 0 {
            return self
                .disk
                .remove(&self.path)
                .map_err(io_error("remove", &self.path));
        }
        let cut = self.disk.cut(&self.path, self.synced);
        cut.map_err(io_error("cut", &self.path))
    }
}
