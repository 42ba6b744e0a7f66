//! What is kept of a sealed segment beside it: its sums, and what a reader has to know of its lines.
//!
//! A sidecar is a file of checksummed lines as a segment is: a header, a [`Seal`], the cells of days, clues, then the
//! cells of quarters of an hour.

use std::collections::HashMap;
use std::io::BufReader;
use std::mem::discriminant;
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::id::EntryId;
use crate::ledger::file::fold::Fold;
use crate::ledger::rollup::{Cell, Span, Width};
use crate::ledger::{Clue, LedgerError, Totals};
use crate::storage::{self, Disk, Format, LineReader, Next, StorageError, io_error};

pub(super) const FORMAT: Format = Format {
    key: "thrifty_rollup",
    version: 1,
};

/// How many clues of each kind are kept of a segment: those of the calls that cost most. All long input is one kind.
const MOST_OF_A_KIND: usize = 50;

/// What a sealed segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    /// Lines, the header included.
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// The checksum of the last line.
    pub(super) crc: u32,
    /// Entries that are counted.
    pub(super) entries: u64,
    /// The smallest and the largest id in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ids: Option<(EntryId, EntryId)>,
    /// When the counted entries were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<Span>,
    /// Lines whose entry is counted elsewhere already, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) repeated_lines: Vec<u64>,
    /// Lines that are damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bad_lines: Vec<u64>,
    /// The sum of all cells.
    pub(super) totals: Totals,
    /// How many cells of days follow.
    pub(super) days: usize,
    /// How many clues follow them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) clues: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Cells of days, and clues.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) cells: Vec<Cell>,
    pub(super) clues: Vec<Clue>,
}

impl Days {
    pub(super) fn of(fold: &Fold) -> Self {
        let mut clues = fold.clues.finish();
        let mut kinds = HashMap::<_, usize>::new();
        clues.retain(|clue| {
            let kept = kinds.entry(discriminant(&clue.kind)).or_default();
            *kept += 1;
            *kept <= MOST_OF_A_KIND
        });
        Self {
            cells: fold.rollup.widened(Width::Day),
            clues,
        }
    }
}

impl Seal {
    /// Lines that hold no entry of their own, sorted.
    pub(super) fn skipped(&self) -> Vec<u64> {
        let mut skipped = [&self.repeated_lines[..], &self.bad_lines].concat();
        skipped.sort_unstable();
        skipped
    }
}

/// Writes a sidecar so that it is there whole or not at all, also after a loss of power.
pub(super) fn write(disk: &dyn Disk, path: &Path, mut seal: Seal, fold: &Fold) -> Result<Seal, LedgerError> {
    let days = Days::of(fold);
    (seal.days, seal.clues) = (days.cells.len(), days.clues.len());
    for cell in &days.cells {
        seal.totals.merge(&cell.totals);
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut lines = Lines::default();
    lines.add(FORMAT.header(&name));
    lines.add_json(&Wrapped { seal: &seal })?;
    for cell in &days.cells {
        lines.add_json(cell)?;
    }
    for clue in &days.clues {
        lines.add_json(clue)?;
    }
    for cell in &fold.rollup.widened(Width::Quarter) {
        lines.add_json(cell)?;
    }
    let unfinished = path.with_extension("tmp");
    storage::replace(disk, &unfinished, path, &lines.bytes)?;
    Ok(seal)
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    chain: u32,
}

impl Lines {
    fn add(&mut self, mut object: Vec<u8>) {
        self.chain = storage::seal(&mut object, self.chain);
        self.bytes.extend_from_slice(&object);
    }

    fn add_json(&mut self, value: &impl Serialize) -> Result<(), LedgerError> {
        let object = serde_json::to_vec(value).map_err(|source| LedgerError::Encode { source })?;
        self.add(object);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Wrapped<S> {
    seal: S,
}

/// Reads what stands before the cells.
pub(super) fn read_seal(disk: &dyn Disk, path: &Path) -> Result<Seal, LedgerError> {
    Reader::open(disk, path, 4 << 10).map(|(_, seal)| seal)
}

/// Reads the cells of days, and the clues.
pub(super) fn read_days(disk: &dyn Disk, path: &Path) -> Result<Days, LedgerError> {
    let (mut reader, seal) = Reader::open(disk, path, 64 << 10)?;
    let mut days = Days::default();
    for _ in 0..seal.days {
        days.cells.push(reader.require()?);
    }
    for _ in 0..seal.clues {
        days.clues.push(reader.require()?);
    }
    Ok(days)
}

/// Reads the cells of quarters of an hour.
pub(super) fn read_quarters(disk: &dyn Disk, path: &Path) -> Result<Vec<Cell>, LedgerError> {
    let (mut reader, seal) = Reader::open(disk, path, 64 << 10)?;
    for _ in 0..seal.days.saturating_add(seal.clues) {
        reader.require::<IgnoredAny>()?;
    }
    let mut cells = Vec::new();
    while let Some(cell) = reader.next()? {
        cells.push(cell);
    }
    Ok(cells)
}

struct Reader<'a> {
    path: &'a Path,
    lines: LineReader<BufReader<Box<dyn std::io::Read + Send>>>,
}

impl<'a> Reader<'a> {
    fn open(disk: &dyn Disk, path: &'a Path, buffer: usize) -> Result<(Self, Seal), LedgerError> {
        let file = disk.read(path, 0).map_err(io_error("open", path))?;
        let mut lines = LineReader::new(BufReader::with_capacity(buffer, file));
        match lines.next().map_err(io_error("read", path))? {
            Next::Line(header) => FORMAT.check_header(path, header)?,
            Next::End | Next::Torn(_) | Next::Bad(_) => FORMAT.check_header(path, lines.line())?,
        }
        let mut reader = Self { path, lines };
        let seal = reader.require::<Wrapped<Seal>>()?.seal;
        Ok((reader, seal))
    }

    fn require<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, LedgerError> {
        self.next()?.ok_or_else(|| self.bad("it ends too early"))
    }

    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, LedgerError> {
        let why = match self.lines.next().map_err(io_error("read", self.path))? {
            Next::Line(line) => match serde_json::from_slice(line) {
                Ok(value) => return Ok(Some(value)),
                Err(_) => return Err(self.bad("it is not of a roll-up")),
            },
            Next::End => return Ok(None),
            Next::Torn(_) => "it is torn",
            Next::Bad(why) => why,
        };
        let mut error = self.bad(why);
        if let LedgerError::BadLine { line, .. } = &mut error {
            *line += 1;
        }
        Err(error)
    }

    /// Blames the line that was read last.
    fn bad(&self, why: &'static str) -> LedgerError {
        LedgerError::from(StorageError::BadLine {
            path: self.path.to_owned(),
            line: self.lines.position().lines,
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::endpoint::Endpoint;
    use crate::id::OpId;
    use crate::ledger::{ClueKind, LedgerEntry, Status};
    use crate::usage::Usage;

    #[test]
    fn many_steps_of_long_input_leave_room_for_other_kinds() {
        let mut fold = Fold::new();
        let at = Timestamp::from_unix_millis(1_790_000_000_000);
        let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
        entry.status = Status::Succeeded;
        for step in 0..300 {
            entry.usage = Some(Usage::new(100_000 + step * 8_000, 10));
            fold.clues.add(&entry);
        }
        (entry.usage, entry.max_output_tokens) = (Some(Usage::new(10, 10)), Some(4_096));
        fold.clues.add(&entry);
        let kinds: Vec<_> = Days::of(&fold).clues.iter().map(|clue| clue.kind).collect();
        assert_eq!(kinds.len(), MOST_OF_A_KIND + 1);
        assert!(kinds.contains(&ClueKind::UnusedOutput));
    }
}
