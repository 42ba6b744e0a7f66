//! The ids of sealed segments, read from the segments when one has to be looked up.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::EntryId;
use crate::ledger::LedgerError;
use crate::ledger::file::line::id_of;
use crate::storage::{Disk, LineReader, Next, content, io_error};

/// Looks ids up. Most are told apart by the smallest and the largest id of each segment.
#[derive(Debug)]
pub(super) struct KnownIds {
    disk: Arc<dyn Disk>,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    ids: (EntryId, EntryId),
    /// Lines whose entry is counted elsewhere, or not at all.
    skipped: Vec<u64>,
    /// Sorted, each with a digest of its entry.
    read: Option<Vec<(EntryId, u32)>>,
}

/// Returns a digest of an entry as it was written, without the checksum or the closing brace that may follow.
pub(super) fn digest(content: &[u8]) -> u32 {
    crc32c::crc32c(content)
}

impl KnownIds {
    pub(super) const fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            segments: Vec::new(),
        }
    }

    /// Adds a segment that no more lines will be written to, without the entries that it does not count.
    pub(super) fn add(&mut self, path: PathBuf, ids: (EntryId, EntryId), skipped: Vec<u64>) {
        self.segments.push(Segment {
            path,
            ids,
            skipped,
            read: None,
        });
    }

    /// Adds the entries that a segment has by now.
    pub(super) fn add_open(&mut self, path: PathBuf) -> Result<(), LedgerError> {
        let read = read_ids(&*self.disk, &path, &[])?;
        if let (Some((first, _)), Some((last, _))) = (read.first(), read.last()) {
            self.segments.push(Segment {
                ids: (*first, *last),
                skipped: Vec::new(),
                path,
                read: Some(read),
            });
        }
        Ok(())
    }

    /// Returns the digest of the entry with this id, if a segment has it.
    pub(super) fn find(&mut self, id: EntryId) -> Result<Option<u32>, LedgerError> {
        for segment in &mut self.segments {
            let (first, last) = segment.ids;
            if id < first || id > last {
                continue;
            }
            let ids = match &segment.read {
                Some(ids) => ids,
                None => segment
                    .read
                    .insert(read_ids(&*self.disk, &segment.path, &segment.skipped)?),
            };
            if let Some((_, digest)) = ids
                .binary_search_by_key(&id, |(id, _)| *id)
                .ok()
                .and_then(|at| ids.get(at))
            {
                return Ok(Some(*digest));
            }
        }
        Ok(None)
    }
}

/// Reads the ids of a segment up to its last whole line. One that is gone has none, and damaged lines have none.
fn read_ids(disk: &dyn Disk, path: &Path, skipped: &[u64]) -> Result<Vec<(EntryId, u32)>, LedgerError> {
    let file = match disk.read(path, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(io_error("open", path))?,
    };
    let mut reader = LineReader::new(BufReader::with_capacity(64 << 10, file));
    let mut ids = Vec::new();
    loop {
        let number = reader.position().lines + 1;
        match reader.next().map_err(io_error("read", path))? {
            Next::Line(_) if skipped.binary_search(&number).is_ok() => {}
            Next::Line(line) => ids.extend(id_of(line).map(|id| (id, digest(content(line))))),
            Next::Bad(_) => reader.skip(),
            Next::End | Next::Torn(_) => break,
        }
    }
    ids.sort_unstable();
    Ok(ids)
}
