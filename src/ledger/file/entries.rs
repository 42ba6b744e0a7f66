//! Reads all entries of a directory, one at a time.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Read, Take};
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::EntryId;
use crate::ledger::file::layout::{FORMAT, Layout};
use crate::ledger::{Filter, LedgerEntry, LedgerError};
use crate::storage::{Disk, LineReader, Next, StorageError, io_error};

type Input = BufReader<Take<Box<dyn Read + Send>>>;

/// The entries of all segments, the oldest segment first, each id once. After an error it ends.
pub(super) struct Entries {
    segments: std::vec::IntoIter<PathBuf>,
    disk: Arc<dyn Disk>,
    /// How many bytes of whole lines the segments have that this ledger writes.
    own: HashMap<PathBuf, u64>,
    current: Option<(PathBuf, LineReader<Input>)>,
    seen: HashSet<EntryId>,
    failed: bool,
}

impl Entries {
    pub(super) fn open(layout: &Layout, own: HashMap<PathBuf, u64>) -> Result<Self, LedgerError> {
        Ok(Self {
            segments: layout.segments()?.into_iter(),
            disk: layout.disk(),
            own,
            current: None,
            seen: HashSet::new(),
            failed: false,
        })
    }

    /// Returns the next entries that match; none at the end.
    pub(super) fn chunk(
        &mut self,
        filter: &Filter,
        most: usize,
    ) -> Vec<Result<Arc<LedgerEntry>, LedgerError>> {
        self.filter(|next| next.as_ref().map_or(true, |entry| filter.matches(entry)))
            .map(|next| next.map(Arc::new))
            .take(most)
            .collect()
    }

    fn read(&mut self) -> Result<Option<LedgerEntry>, LedgerError> {
        loop {
            let Some((path, reader)) = &mut self.current else {
                let Some(path) = self.segments.next() else {
                    return Ok(None);
                };
                let input = match self.disk.read(&path) {
                    // Another ledger that was opened meanwhile found it without a single whole line.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened.map_err(io_error("open", &path))?,
                };
                let input = input.take(self.own.get(&path).copied().unwrap_or(u64::MAX));
                let reader = LineReader::new(BufReader::with_capacity(64 << 10, input));
                self.current = Some((path, reader));
                continue;
            };
            let line = reader.lines() + 1;
            match reader.next().map_err(io_error("read", path))? {
                Next::Line(header) if line == 1 => FORMAT.check_header(path, header)?,
                Next::Line(json) => {
                    let entry: LedgerEntry =
                        serde_json::from_slice(json).map_err(|_| LedgerError::BadLine {
                            path: path.clone(),
                            line,
                            why: "it is not an entry",
                        })?;
                    if self.seen.insert(entry.id) {
                        return Ok(Some(entry));
                    }
                }
                // Its writer is in the middle of a line, or was killed there: that line was never recorded.
                Next::End | Next::Torn(_) => self.current = None,
                Next::Bad(why) => {
                    return Err(StorageError::BadLine {
                        path: path.clone(),
                        line,
                        why,
                    }
                    .into());
                }
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<LedgerEntry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, None | Some(Err(_)));
        next
    }
}
