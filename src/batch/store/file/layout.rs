//! The files of a spool.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::store::error::{StoreError, io_error};
use crate::clock::Timestamp;
use crate::storage::{Disk, Format, sync_dirs};

/// The header of a journal's segment.
pub(super) const FORMAT: Format = Format {
    key: "thrifty_batch",
    version: 1,
};

/// Where things are in a spool.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Layout {
    pub(super) fn new(root: &Path, disk: Arc<dyn Disk>) -> Self {
        let root = root.to_owned();
        Self { root, disk }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn shared_disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("spool.lock")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(super) fn lines(&self) -> PathBuf {
        self.root.join("lines")
    }

    pub(super) fn answers(&self) -> PathBuf {
        self.root.join("answers")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Returns the path of a file of lines: `lines/<lane>-<number>.jsonl`.
    pub(super) fn lines_file(&self, lane: u32, number: u32) -> PathBuf {
        self.lines().join(format!("{lane:05}-{number:010}.jsonl"))
    }

    /// Returns the path of a file of answers: `answers/<number>.bodies`.
    pub(super) fn answers_file(&self, number: u32) -> PathBuf {
        self.answers().join(format!("{number:010}.bodies"))
    }

    pub(super) fn make_dirs(&self) -> Result<(), StoreError> {
        let dirs = [self.journal(), self.lines(), self.answers()];
        // A segment is begun once the directories are safe.
        let are_there = dirs.iter().all(|dir| self.disk.list(dir).is_ok());
        if are_there && !self.list(&self.journal(), "jsonl")?.is_empty() {
            return Ok(());
        }
        for dir in dirs {
            self.disk.create_dir_all(&dir).map_err(io_error("create", &dir))?;
        }
        // Whoever made one of these may have ended before it was safe.
        Ok(sync_dirs(&*self.disk, &self.root, self.root.ancestors())?)
    }

    /// Makes the names of files of lines and answers survive a loss of power.
    pub(super) fn sync_data_dirs(&self) -> Result<(), StoreError> {
        for dir in [self.lines(), self.answers()] {
            self.disk.sync_dir(&dir).map_err(io_error("sync", &dir))?;
        }
        Ok(())
    }

    /// Makes the names of segments survive a loss of power.
    pub(super) fn sync_journal_dir(&self) -> Result<(), StoreError> {
        let dir = self.journal();
        self.disk.sync_dir(&dir).map_err(io_error("sync", &dir))
    }

    /// Returns the files of a directory that have this extension, sorted.
    pub(super) fn list(&self, dir: &Path, extension: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = self.disk.list(dir).map_err(io_error("list", dir))?;
        paths.retain(|path| path.extension().is_some_and(|own| own == extension));
        Ok(paths)
    }

    /// Returns the files of lines and of answers with their numbers.
    pub(super) fn data_files(&self) -> Result<Vec<(u32, PathBuf)>, StoreError> {
        let mut files = self.list(&self.lines(), "jsonl")?;
        files.extend(self.list(&self.answers(), "bodies")?);
        let numbered = |path: PathBuf| Some((number_of(&path)?, path));
        Ok(files.into_iter().filter_map(numbered).collect())
    }
}

fn number_of(path: &Path) -> Option<u32> {
    let name = path.file_stem()?.to_str()?;
    name.rsplit('-').next()?.parse().ok()
}

/// Returns the path of the packed requests of a segment's snapshot.
pub(super) fn packed_beside(segment: &Path) -> PathBuf {
    segment.with_extension("packed")
}

/// Returns a moment that names a segment which comes after this one, even if the clock was set back.
pub(super) fn after(segment: Option<&Path>, now: Timestamp) -> Timestamp {
    let began = segment
        .and_then(|path| path.file_name()?.to_str()?.split('-').next()?.parse::<i64>().ok())
        .map_or(i64::MIN, |began| began.saturating_add(1));
    Timestamp::from_unix_millis(now.as_unix_millis().max(began))
}
