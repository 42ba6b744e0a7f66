//! Adds up the lines of a segment, as far as they go, and goes on from there later.

use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::id::EntryId;
use crate::ledger::LedgerError;
use crate::ledger::clues::ClueFinder;
use crate::ledger::file::layout::FORMAT;
use crate::ledger::file::line::{Line, id_of};
use crate::ledger::rollup::{Rollup, Width};
use crate::storage::{Damage, Disk, LineReader, Next, Position, StorageError, io_error};

/// The sums of a segment's lines up to a position.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) at: Position,
    pub(super) rollup: Rollup,
    pub(super) clues: ClueFinder,
    /// The smallest and the largest id that was read.
    pub(super) ids: Option<(EntryId, EntryId)>,
    /// Entries that were counted.
    pub(super) entries: u64,
    /// Lines whose entry was counted elsewhere, counted from 1.
    pub(super) repeated_lines: Vec<u64>,
    /// Damaged lines with what is there, counted from 1.
    pub(super) bad_lines: Vec<(u64, Vec<u8>)>,
}

impl Fold {
    pub(super) fn new() -> Self {
        Self {
            at: Position::default(),
            rollup: Rollup::new(Width::Quarter),
            clues: ClueFinder::default(),
            ids: None,
            entries: 0,
            repeated_lines: Vec::new(),
            bad_lines: Vec::new(),
        }
    }

    /// Reads on, up to the last whole line within `limit` bytes. `is_new` says whether an entry on a line counts.
    pub(super) fn advance(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        limit: u64,
        damage: Damage,
        mut is_new: impl FnMut(u64, EntryId) -> Result<bool, LedgerError>,
    ) -> Result<(), LedgerError> {
        let file = match disk.read(path, self.at.bytes) {
            // Another ledger that was opened meanwhile found it without a single whole line.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(io_error("open", path))?,
        };
        let file = file.take(limit.saturating_sub(self.at.bytes));
        let mut reader = LineReader::resume(BufReader::with_capacity(64 << 10, file), self.at);
        loop {
            let number = reader.position().lines + 1;
            let why = match reader.next().map_err(io_error("read", path))? {
                Next::Line(header) if number == 1 => {
                    FORMAT.check_header(path, header)?;
                    None
                }
                Next::Line(line) => match id_of(line).zip(Line::read(line)) {
                    Some((id, line)) => {
                        let (least, most) = self.ids.unwrap_or((id, id));
                        self.ids = Some((least.min(id), most.max(id)));
                        if is_new(number, id)? {
                            self.entries += 1;
                            line.count(|names, figures, weight| self.rollup.count(names, figures, weight));
                            line.compare(&mut self.clues);
                        } else {
                            self.repeated_lines.push(number);
                        }
                        None
                    }
                    None => Some("it is not an entry"),
                },
                // Its writer is in the middle of a line, or was killed there: that line was never recorded.
                Next::End | Next::Torn(_) => return Ok(()),
                Next::Bad(why) => {
                    reader.skip();
                    Some(why)
                }
            };
            if let Some(why) = why {
                if damage == Damage::Refuse {
                    return Err(StorageError::BadLine {
                        path: path.to_owned(),
                        line: number,
                        why,
                    }
                    .into());
                }
                self.bad_lines.push((number, reader.line().to_vec()));
            }
            self.at = reader.position();
        }
    }

    /// Lines that hold no entry to be counted, sorted.
    pub(super) fn skipped(&self) -> Vec<u64> {
        let bad = self.bad_lines.iter().map(|(line, _)| *line);
        let mut skipped: Vec<u64> = self.repeated_lines.iter().copied().chain(bad).collect();
        skipped.sort_unstable();
        skipped
    }
}
