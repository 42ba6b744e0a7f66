//! Append-only files of checksummed JSON lines: what the file ledger and the batch journal are made of.
//!
//! A *segment* is a file with one writer. It begins with a header line; every line carries a checksum that is chained
//! with the line before, so that a damaged, deleted or moved line is found. One writer a segment means that processes
//! can share a directory without a lock on every line.

#[cfg(test)]
mod crash_points;
mod disk;
#[cfg(test)]
mod faulty_disk;
#[cfg(fuzzing)]
mod fuzzing;
#[cfg(test)]
mod memory_disk;
#[cfg(all(fuzzing, not(test)))]
#[allow(dead_code, reason = "tests use all of it")]
mod memory_disk;
mod recovery;
mod replace;
mod segment;
mod turns;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(crate) use crash_points::{End, at_crash_points};
pub(crate) use disk::{Disk, DiskFile, Lock, StdDisk};
#[cfg(test)]
pub(crate) use faulty_disk::FaultyDisk;
#[cfg(fuzzing)]
pub use fuzzing::segment_lines;
#[cfg(any(test, fuzzing))]
pub(crate) use memory_disk::MemoryDisk;
pub(crate) use recovery::{Damage, State, recover};
pub(crate) use replace::replace;
pub(crate) use segment::{Format, LineReader, Next, Position, content, seal};
pub(crate) use turns::Turns;
pub(crate) use writer::SegmentWriter;

/// What can be wrong with segments. Each family turns it into its own error.
#[derive(Debug)]
pub(crate) enum StorageError {
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    Foreign {
        path: PathBuf,
        why: &'static str,
    },
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    BadLine {
        path: PathBuf,
        line: u64,
        why: &'static str,
    },
    TooLong {
        path: PathBuf,
        bytes: u64,
    },
}

/// Makes names in these directories survive a loss of power. Those above `root` may be others': who may not read one did
/// not make a name in it either.
pub(crate) fn sync_dirs<'a>(
    disk: &dyn Disk,
    root: &Path,
    dirs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), StorageError> {
    for dir in dirs {
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        match disk.sync_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && dir != root => {}
            synced => synced.map_err(io_error("sync the directory", dir))?,
        }
    }
    Ok(())
}

/// Returns how many directories above this one have to be synced once it is made: those that are missing, and the nearest
/// one that is there, for it gets the name of the first that is made.
pub(crate) fn new_levels(disk: &dyn Disk, dir: &Path) -> usize {
    let is_missing = |dir: &&Path| {
        let listed = disk.list(dir);
        listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    dir.ancestors().skip(1).take_while(is_missing).count() + 1
}

/// Names what was tried and the file, for `map_err`.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}
