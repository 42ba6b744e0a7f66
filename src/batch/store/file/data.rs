//! A file of lines or of answers: what is appended, and what of it is safe.

use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::store::error::{StoreError, io_error};
use crate::storage::{Disk, DiskFile};

/// A file that is being written. Nothing but the bytes that were given to it is in it.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// How many bytes survive a loss of power.
    synced: u64,
    /// What was appended since, in case a sync fails.
    tail: Vec<u8>,
    /// A part of a write may be at its end, so that nothing can follow.
    broken: bool,
}

/// The most that an emptied tail keeps for the next bytes.
const KEPT: usize = 1 << 20;

impl DataFile {
    pub(super) fn create(disk: &dyn Disk, number: u32, path: PathBuf) -> Result<Self, StoreError> {
        let file = disk.create(&path).map_err(io_error("create", &path))?;
        Ok(Self {
            number,
            path,
            file,
            synced: 0,
            tail: Vec::new(),
            broken: false,
        })
    }

    /// Returns how many bytes it has.
    pub(super) fn len(&self) -> u64 {
        self.synced + self.tail.len() as u64
    }

    pub(super) fn is_synced(&self) -> bool {
        self.tail.is_empty()
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn handle(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Gathers bytes that [`write`](Self::write) will put at the end, and returns where they will be.
    pub(super) fn gather(&mut self, bytes: &[u8]) -> u64 {
        let at = self.len();
        self.tail.extend_from_slice(bytes);
        at
    }

    /// Writes what was gathered since the file had this length.
    pub(super) fn write(&mut self, from: u64) -> Result<(), StoreError> {
        let gathered = self.tail.get(self.in_tail(from)..).unwrap_or_default();
        self.file.append(gathered).map_err(io_error("write", &self.path))
    }

    /// Takes back what was gathered or written since the file had this length.
    pub(super) fn take_back(&mut self, disk: &dyn Disk, to: u64) {
        let len = self.in_tail(to);
        self.tail.truncate(len);
        self.broken |= disk.cut(&self.path, to).is_err();
    }

    fn in_tail(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.synced)).unwrap_or(usize::MAX)
    }

    /// Notes that so many bytes survive a loss of power.
    pub(super) fn set_synced(&mut self, bytes: u64) {
        let safe = self.in_tail(bytes).min(self.tail.len());
        self.tail.drain(..safe);
        self.synced = self.synced.max(bytes);
        if self.tail.is_empty() && self.tail.capacity() > KEPT {
            self.tail = Vec::new();
        }
    }

    /// Writes again what is not safe: after a sync that failed the system may have dropped it.
    pub(super) fn write_again(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        disk.cut(&self.path, self.synced)
            .map_err(io_error("cut", &self.path))?;
        self.file
            .append(&self.tail)
            .map_err(io_error("write", &self.path))
    }
}
