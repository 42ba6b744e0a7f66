//! The directory of a file ledger: `segments/` with the lines, `quarantine/` with what was cut off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ledger::LedgerError;
use crate::storage::{self, Disk, Format, SegmentWriter, State, StorageError, io_error};

pub(super) const FORMAT: Format = Format {
    key: "thrifty_ledger",
    version: 1,
};

/// What was found when a [`FileLedger`](super::FileLedger) was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Segments that were checked, line by line.
    pub checked_segments: u64,
    /// Segments that another writer has open; they were left alone.
    pub live_segments: u64,
    /// Lines in the checked segments.
    pub entries: u64,
    /// Ends that were torn: at most a few lines each, written by a process that was killed or lost its power.
    pub torn: Vec<TornTail>,
}

/// The end of a segment that was not a whole line, and was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The file in `quarantine/` that has them now.
    pub kept_in: PathBuf,
}

#[derive(Debug)]
pub(super) struct Layout {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    segments: PathBuf,
    quarantine: PathBuf,
}

impl Layout {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            root: root.to_owned(),
            segments: root.join("segments"),
            quarantine: root.join("quarantine"),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Makes the directories if need be, and checks every segment that nobody writes.
    pub(super) fn open(&self) -> Result<Recovery, LedgerError> {
        match self.disk.list(&self.root) {
            Ok(found) if !found.is_empty() && !found.contains(&self.segments) => {
                return Err(LedgerError::NotALedger {
                    path: self.root.clone(),
                    why: "the directory holds other files",
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(LedgerError::NotALedger {
                    path: self.root.clone(),
                    why: "it is not a directory",
                });
            }
            Err(error) => return Err(io_error("open", &self.root)(error).into()),
        }
        self.disk
            .create_dir_all(&self.segments)
            .map_err(io_error("create", &self.segments))?;
        let mut recovery = Recovery::default();
        for segment in self.segments()? {
            match storage::recover(&*self.disk, &segment, &self.quarantine, FORMAT)? {
                State::Live => recovery.live_segments += 1,
                State::Whole { lines } => {
                    recovery.checked_segments += 1;
                    recovery.entries += lines;
                }
                State::Cut { lines, tail } => {
                    tracing::warn!(
                        segment = %segment.display(),
                        bytes = tail.bytes,
                        kept_in = %tail.kept_in.display(),
                        "the torn end of a ledger's segment was cut off"
                    );
                    recovery.checked_segments += 1;
                    recovery.entries += lines;
                    recovery.torn.push(TornTail {
                        segment,
                        bytes: tail.bytes,
                        kept_in: tail.kept_in,
                    });
                }
            }
        }
        Ok(recovery)
    }

    /// Returns the segments, the oldest first.
    pub(super) fn segments(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut found = self
            .disk
            .list(&self.segments)
            .map_err(io_error("list", &self.segments))?;
        found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        Ok(found)
    }

    pub(super) fn begin_segment(&self, now: Timestamp) -> Result<SegmentWriter, StorageError> {
        SegmentWriter::create(Arc::clone(&self.disk), &self.segments, FORMAT, now)
    }

    pub(super) fn sync_dirs(&self) -> Result<(), StorageError> {
        let here = |parent: &Path| parent.as_os_str().is_empty();
        let parent = self
            .root
            .parent()
            .map(|parent| if here(parent) { Path::new(".") } else { parent });
        for dir in parent.into_iter().chain([&*self.root, &*self.segments]) {
            self.disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        }
        Ok(())
    }
}
