//! Files that are there whole or not at all.

use std::path::Path;

use super::{Disk, StorageError, io_error, sync_dirs};

/// Puts a file in its place so that it is there whole or not at all, also after a loss of power. It is written as `fresh`
/// first, which lies in the same directory; two that write at the same time must not share it.
pub(crate) fn replace(
    disk: &dyn Disk,
    fresh: &Path,
    path: &Path,
    content: &[u8],
) -> Result<(), StorageError> {
    // One that is there is from an attempt that did not end.
    let _ = disk.remove(fresh);
    let written = write(disk, fresh, path, content);
    if written.is_err() {
        // The first error says what went wrong.
        let _ = disk.remove(fresh);
    }
    written
}

fn write(disk: &dyn Disk, fresh: &Path, path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let file = disk.create(fresh).map_err(io_error("create", fresh))?;
    file.append(content).map_err(io_error("write", fresh))?;
    file.sync().map_err(io_error("sync", fresh))?;
    disk.rename(fresh, path).map_err(io_error("replace", path))?;
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    sync_dirs(disk, dir, [dir])
}
