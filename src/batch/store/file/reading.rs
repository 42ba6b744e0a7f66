//! Reads lines and answers back, and checks them.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use bytes::Bytes;

use crate::batch::store::error::io_error;
use crate::batch::store::{Extent, StoreError};
use crate::storage::Disk;

/// Where the files are, by number.
pub(super) type Paths = HashMap<u32, PathBuf>;

/// How much room is made before any byte is read: what an extent says of its length may be damaged.
const BELIEVED: usize = 64 << 20;

/// Reads extents one after the other. Those that lie side by side are read at once.
pub(super) fn read(disk: &dyn Disk, paths: &Paths, extents: &[Extent]) -> Result<Bytes, StoreError> {
    let total: usize = extents.iter().map(|extent| extent.len as usize).sum();
    let mut all = Vec::with_capacity(total.min(BELIEVED));
    let mut rest = extents;
    while let Some(first) = rest.first() {
        let (run, after) = rest.split_at(neighbours(rest));
        rest = after;
        let damaged = |extent: &Extent| StoreError::Damaged {
            file: extent.file,
            offset: extent.offset,
        };
        let path = paths.get(&first.file).ok_or_else(|| damaged(first))?;
        let begin = all.len();
        let bytes: u64 = run.iter().map(|extent| u64::from(extent.len)).sum();
        let input = match disk.read(path, first.offset.into()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(first)),
            opened => opened.map_err(io_error("open", path))?,
        };
        input
            .take(bytes)
            .read_to_end(&mut all)
            .map_err(io_error("read", path))?;
        let mut found = all.get(begin..).unwrap_or_default();
        for extent in run {
            let (own, others) = found
                .split_at_checked(extent.len as usize)
                .ok_or_else(|| damaged(extent))?;
            if !extent.matches(own) {
                return Err(damaged(extent));
            }
            found = others;
        }
    }
    Ok(all.into())
}

/// Returns how many extents lie side by side.
fn neighbours(extents: &[Extent]) -> usize {
    let pairs = extents.iter().zip(extents.get(1..).unwrap_or_default());
    let side_by_side =
        |(one, next): &(&Extent, &Extent)| one.file == next.file && one.offset.checked_add(one.len) == Some(next.offset);
    1 + pairs.take_while(side_by_side).count()
}

/// Returns those extents that are damaged or missing. Each file is read once, from its beginning to its end.
pub(super) fn check(
    disk: &dyn Disk,
    paths: &Paths,
    mut extents: Vec<Extent>,
) -> Result<Vec<Extent>, StoreError> {
    extents.sort_unstable();
    let mut damaged = Vec::new();
    let mut buffer = Vec::new();
    for run in extents.chunk_by(|one, next| one.file == next.file) {
        let Some(first) = run.first() else { continue };
        let input = paths
            .get(&first.file)
            .map(|path| (path, disk.read(path, first.offset.into())));
        let Some((path, input)) = input else {
            damaged.extend_from_slice(run);
            continue;
        };
        let input = match input {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                damaged.extend_from_slice(run);
                continue;
            }
            opened => opened.map_err(io_error("open", path))?,
        };
        let mut input = BufReader::with_capacity(256 << 10, input);
        let mut at = u64::from(first.offset);
        for extent in run {
            let skipped = u64::from(extent.offset).saturating_sub(at);
            io::copy(&mut (&mut input).take(skipped), &mut io::sink()).map_err(io_error("read", path))?;
            buffer.clear();
            let mut own = (&mut input).take(extent.len.into());
            own.read_to_end(&mut buffer).map_err(io_error("read", path))?;
            if !extent.matches(&buffer) {
                damaged.push(*extent);
            }
            at = u64::from(extent.offset) + u64::from(extent.len);
        }
    }
    Ok(damaged)
}
