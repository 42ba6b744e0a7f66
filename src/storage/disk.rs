//! The one seam between segments and the disk, so that tests can make it fail.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk. All paths are whole; every call may fail.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Makes a directory and those above it. On Unix only its owner can enter it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that is not there yet, to append to. On Unix only its owner can read it.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read from this byte on.
    fn read(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>>;
    /// Returns how many bytes a file has.
    fn size(&self, path: &Path) -> io::Result<u64>;
    /// Gives a file another name in the same directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes what is in a file survive a loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;
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

/// A lock that is free again once this is dropped.
pub(crate) type Lock = Box<dyn Debug + Send + Sync>;

/// A lock on a file of its own. Dropping it removes the file and frees the lock.
///
/// It is not taken on the segment itself: on Windows that would keep readers out.
#[derive(Debug)]
struct FileLock {
    path: PathBuf,
    _file: File,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A lock file that stays behind is harmless: the next one to look takes it. Elsewhere than on Unix nobody could
        // tell a removed one from the next.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
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

    fn read(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        // Windows syncs only what is open for writing.
        OpenOptions::new().write(true).open(path)?.sync_all()
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
        loop {
            let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
            match file.try_lock() {
                // Who had it before may have removed the file since it was opened here.
                Ok(()) if !is_at(&file, path)? => {}
                Ok(()) => {
                    return Ok(Some(Box::new(FileLock {
                        path: path.to_owned(),
                        _file: file,
                    })));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
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

/// Whether a file is still the one that the path leads to.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let own = file.metadata()?;
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            there => there.map(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(true)
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
