//! Reads entries of segments, one at a time.

use std::io::{BufReader, Read, Take};
use std::path::PathBuf;
use std::sync::Arc;

use crate::ledger::clues::ClueFinder;
use crate::ledger::file::layout::FORMAT;
use crate::ledger::file::line::Line;
use crate::ledger::{Clue, Filter, LedgerEntry, LedgerError, Tally};
use crate::storage::{Disk, LineReader, Next, StorageError, io_error};

const SHORTER: &str = "the segment became shorter while it was read";

/// Whether an error comes from another ledger's work in the directory meanwhile: another look will do.
pub(super) fn is_stale(error: &LedgerError) -> bool {
    match error {
        LedgerError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        LedgerError::BadLine { why, .. } => *why == SHORTER,
        _ => false,
    }
}

/// What is to be read of a segment.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Lines that hold no entry to be counted, sorted and counted from 1.
    pub(super) skipped: Vec<u64>,
}

/// The lines of a part that hold entries.
struct Lines {
    path: PathBuf,
    bytes: u64,
    reader: LineReader<BufReader<Take<Box<dyn Read + Send>>>>,
    skipped: std::iter::Peekable<std::vec::IntoIter<u64>>,
}

impl Lines {
    fn open(disk: &dyn Disk, part: Part) -> Result<Self, LedgerError> {
        let file = disk.read(&part.path, 0).map_err(io_error("open", &part.path))?;
        let input = BufReader::with_capacity(64 << 10, file.take(part.bytes));
        Ok(Self {
            bytes: part.bytes,
            path: part.path,
            reader: LineReader::new(input),
            skipped: part.skipped.into_iter().peekable(),
        })
    }

    /// Hands the next line to `read`; `None` at the end.
    fn next<T>(&mut self, read: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, LedgerError> {
        loop {
            let (number, at) = (self.reader.position().lines + 1, self.reader.position().bytes);
            let is_skipped = self.skipped.next_if_eq(&number).is_some();
            let why = match self.reader.next().map_err(io_error("read", &self.path))? {
                Next::End | Next::Torn(_) if at < self.bytes => SHORTER,
                Next::End | Next::Torn(_) => return Ok(None),
                Next::Line(header) if number == 1 => {
                    FORMAT.check_header(&self.path, header)?;
                    continue;
                }
                Next::Line(_) if is_skipped => continue,
                Next::Line(line) => match read(line) {
                    Some(read) => return Ok(Some(read)),
                    None => "it is not an entry",
                },
                Next::Bad(_) if is_skipped => {
                    self.reader.skip();
                    continue;
                }
                Next::Bad(why) => why,
            };
            return Err(StorageError::BadLine {
                path: self.path.clone(),
                line: number,
                why,
            }
            .into());
        }
    }
}

/// Adds the entries of a part to a tally.
pub(super) fn tally(disk: &dyn Disk, part: Part, tally: &mut Tally) -> Result<(), LedgerError> {
    let mut lines = Lines::open(disk, part)?;
    // The line is borrowed only within the call, so that it is counted there.
    let tally = std::cell::RefCell::new(tally);
    let count = |line: &[u8]| {
        let line = Line::read(line)?;
        let mut tally = tally.borrow_mut();
        line.count(|names, figures, weight| tally.count(names, figures, weight));
        Some(())
    };
    while lines.next(count)?.is_some() {}
    Ok(())
}

/// Compares the entries of a part that match.
pub(super) fn clues(disk: &dyn Disk, part: Part, filter: &Filter) -> Result<Vec<Clue>, LedgerError> {
    let mut lines = Lines::open(disk, part)?;
    let finder = std::cell::RefCell::new(ClueFinder::default());
    let compare = |line: &[u8]| {
        let line = Line::read(line)?;
        let names = line.names();
        if filter.matches_time(names.at) && filter.matches_names(&names) {
            line.compare(&mut finder.borrow_mut());
        }
        Some(())
    };
    while lines.next(compare)?.is_some() {}
    Ok(finder.into_inner().finish())
}

/// The entries of parts, in their order. After an error it ends.
pub(super) struct Entries {
    disk: Arc<dyn Disk>,
    parts: std::vec::IntoIter<Part>,
    current: Option<Lines>,
    failed: bool,
}

impl Entries {
    pub(super) fn new(disk: Arc<dyn Disk>, parts: Vec<Part>) -> Self {
        Self {
            disk,
            parts: parts.into_iter(),
            current: None,
            failed: false,
        }
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
            let Some(lines) = &mut self.current else {
                let Some(part) = self.parts.next() else {
                    return Ok(None);
                };
                self.current = Some(Lines::open(&*self.disk, part)?);
                continue;
            };
            match lines.next(|line| serde_json::from_slice(line).ok())? {
                Some(entry) => return Ok(Some(entry)),
                None => self.current = None,
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
