//! The one seam between segments and the disk, so that tests can make it fail.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk. All paths are whole; every call may fail.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Makes a directory and those above it. On Unix only its owner can enter it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that is not there yet, to append to. On Unix only its owner can read it.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read.
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Cuts a file to this many bytes.
    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Lists a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Takes a lock that ends with this process at the latest; `None` if another has it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Lock>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory survive a loss of power.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Appends all bytes, by one system call if the system takes them at once.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended survive a loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// A lock on a file of its own. Dropping it removes the file and frees the lock.
///
/// It is not taken on the segment itself: on Windows that would keep readers out.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock file that stays behind is harmless: the next one to look takes it and removes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The real disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StdDisk;

impl Disk for StdDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = private(OpenOptions::new().append(true).create_new(true)).open(path)?;
        Ok(Arc::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock {
                path: path.to_owned(),
                _file: file,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only Unix can open a directory as a file; elsewhere names are the file system's own care.
        if cfg!(unix) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
pub(crate) use faults::FaultyDisk;

#[cfg(test)]
mod faults {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

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

        fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
            self.call()?;
            StdDisk.read(path)
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
}
