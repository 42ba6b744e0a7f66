//! The real disk, made to fail.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::storage::disk::{Disk, DiskFile, Lock, StdDisk};

/// A disk that fails: at the nth call that changes something, or when it is full.
#[derive(Debug, Clone)]
pub(crate) struct FaultyDisk {
    calls_left: Arc<AtomicI64>,
    bytes_left: Arc<AtomicI64>,
}

impl FaultyDisk {
    /// Works until told otherwise.
    pub(crate) fn new() -> Self {
        Self {
            calls_left: Arc::new(AtomicI64::new(i64::MAX)),
            bytes_left: Arc::new(AtomicI64::new(i64::MAX)),
        }
    }

    /// Fails once, after this many more calls that change something.
    pub(crate) fn fail_after(&self, calls: i64) {
        self.calls_left.store(calls, Ordering::SeqCst);
    }

    /// Has room for this many more bytes.
    pub(crate) fn leave_room(&self, bytes: i64) {
        self.bytes_left.store(bytes, Ordering::SeqCst);
    }

    fn call(&self) -> io::Result<()> {
        match self.calls_left.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        StdDisk.create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        let (file, disk) = (StdDisk.create(path)?, self.clone());
        Ok(Arc::new(FaultyFile { file, disk }))
    }

    fn read(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        self.call()?;
        StdDisk.read(path, from)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.call()?;
        StdDisk.size(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        StdDisk.rename(from, to)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        StdDisk.sync(path)
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.call()?;
        StdDisk.cut(path, bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.call()?;
        StdDisk.list(dir)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.call()?;
        StdDisk.try_lock(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        StdDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call()?;
        StdDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    disk: FaultyDisk,
}

impl DiskFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.call()?;
        let wanted = i64::try_from(bytes.len()).unwrap();
        let room = self.disk.bytes_left.fetch_sub(wanted, Ordering::SeqCst).max(0);
        if room >= wanted {
            return self.file.append(bytes);
        }
        self.disk.leave_room(0);
        self.file.append(&bytes[..usize::try_from(room).unwrap()])?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call()?;
        self.file.sync()
    }
}
