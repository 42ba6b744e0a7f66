//! What a ledger has read of its directory: sums of sealed segments, and of open ones as far as they go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::EntryId;
use crate::ledger::file::entries::Part;
use crate::ledger::file::fold::Fold;
use crate::ledger::file::known_ids::KnownIds;
use crate::ledger::file::layout::Layout;
use crate::ledger::file::sidecar::{self, Days, Seal};
use crate::ledger::rollup::{Cell, Span, Width};
use crate::ledger::{Clue, Filter, LedgerError, Query, Tally, Totals};
use crate::storage::Damage;

#[derive(Debug)]
pub(super) struct View {
    layout: Arc<Layout>,
    damage: Damage,
    /// By sidecar, which sort as the segments were begun.
    sealed: BTreeMap<PathBuf, Sealed>,
    /// By segment.
    open: BTreeMap<PathBuf, Fold>,
    /// The ids of open segments.
    seen: HashSet<EntryId>,
    known: KnownIds,
}

#[derive(Debug)]
struct Sealed {
    seal: Seal,
    /// `None` once it was removed for its age.
    segment: Option<PathBuf>,
    days: Option<Days>,
}

impl Sealed {
    /// Returns the sums by day and the clues, which are read once.
    fn days(&mut self, layout: &Layout, sidecar: &Path) -> Result<&Days, LedgerError> {
        match &mut self.days {
            Some(days) => Ok(days),
            unread => Ok(unread.insert(sidecar::read_days(&*layout.disk(), sidecar)?)),
        }
    }
}

/// What is left to do for a query: parts of segments to read.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) parts: Vec<Part>,
    /// The sums of what matches in time but can neither be split as asked nor read any more.
    pub(super) evicted: Totals,
    pub(super) bad_lines: u64,
}

impl View {
    pub(super) fn new(layout: Arc<Layout>, damage: Damage) -> Self {
        let known = KnownIds::new(layout.disk());
        Self {
            layout,
            damage,
            sealed: BTreeMap::new(),
            open: BTreeMap::new(),
            seen: HashSet::new(),
            known,
        }
    }

    /// Brings the view up to date. `own` has how many bytes of whole lines the segments have that this ledger writes.
    pub(super) fn refresh(&mut self, own: &HashMap<PathBuf, u64>) -> Result<(), LedgerError> {
        let disk = self.layout.disk();
        // In this order: a segment that is sealed in between is read as open, and not missed.
        let segments: HashSet<PathBuf> = self.layout.segments()?.into_iter().collect();
        let sidecars = self.layout.sidecars()?;
        let before = self.sealed.len();
        self.sealed.retain(|path, _| sidecars.binary_search(path).is_ok());
        let mut changed = self.sealed.len() != before;
        for path in sidecars {
            let segment = Some(self.layout.segment_of(&path)).filter(|segment| segments.contains(segment));
            if let Some(sealed) = self.sealed.get_mut(&path) {
                sealed.segment = segment;
                continue;
            }
            changed = true;
            let seal = sidecar::read_seal(&*disk, &path)?;
            let sealed = Sealed {
                seal,
                segment,
                days: None,
            };
            self.sealed.insert(path, sealed);
        }
        if changed || self.has_shrunk(&segments) {
            self.begin_again();
        }
        let open = segments
            .into_iter()
            .filter(|segment| !self.sealed.contains_key(&self.layout.sidecar_of(segment)));
        let mut open: Vec<PathBuf> = open.collect();
        open.sort_unstable();
        self.open.retain(|path, _| open.binary_search(path).is_ok());
        for path in open {
            let limit = own.get(&path).copied().unwrap_or(u64::MAX);
            let (seen, known) = (&mut self.seen, &mut self.known);
            let fold = self.open.entry(path.clone()).or_insert_with(Fold::new);
            fold.advance(&*disk, &path, limit, self.damage, |_, id| {
                Ok(known.find(id)?.is_none() && seen.insert(id))
            })?;
        }
        Ok(())
    }

    /// Whether a segment lost lines that were counted: after a sync that failed, its entries are in another one.
    fn has_shrunk(&self, segments: &HashSet<PathBuf>) -> bool {
        let disk = self.layout.disk();
        self.open.iter().any(|(path, fold)| {
            !segments.contains(path) || disk.size(path).is_ok_and(|bytes| bytes < fold.at.bytes)
        })
    }

    /// Which open entries count depends on what is sealed: after a change there they are read again.
    fn begin_again(&mut self) {
        self.open.clear();
        self.seen.clear();
        self.known = KnownIds::new(self.layout.disk());
        for sealed in self.sealed.values() {
            if let (Some(segment), Some(ids)) = (&sealed.segment, sealed.seal.ids) {
                self.known.add(segment.clone(), ids, sealed.seal.skipped());
            }
        }
    }

    /// Adds to a tally what is known in sums, and returns what has to be read for the rest.
    pub(super) fn tally(&mut self, query: &Query, tally: &mut Tally) -> Result<Rest, LedgerError> {
        let mut rest = Rest {
            parts: Vec::new(),
            evicted: Totals::default(),
            bad_lines: self.bad_lines(),
        };
        let filter = &query.filter;
        for (sidecar, sealed) in &mut self.sealed {
            let Some(span) = sealed.seal.span.filter(|span| !span.is_missed_by(filter)) else {
                continue;
            };
            match (Width::for_query(query, span), &sealed.segment) {
                (Some(Width::Day), _) => {
                    let days = sealed.days(&self.layout, sidecar)?;
                    merge(&days.cells, span, filter, tally);
                }
                (Some(Width::Quarter), _) => {
                    let cells = sidecar::read_quarters(&*self.layout.disk(), sidecar)?;
                    merge(&cells, span, filter, tally);
                }
                (None, Some(segment)) => rest.parts.push(part_of_sealed(segment, &sealed.seal)),
                (None, None) => rest.evicted.merge(&sealed.seal.totals),
            }
        }
        for (path, fold) in &self.open {
            let Some(span) = fold.rollup.span().filter(|span| !span.is_missed_by(filter)) else {
                continue;
            };
            match Width::for_query(query, span) {
                Some(_) => merge(fold.rollup.cells(), span, filter, tally),
                None => rest.parts.push(part_of_open(path, fold)),
            }
        }
        Ok(rest)
    }

    /// Returns the clues that match by whole days, and the parts of segments to be read for the rest.
    pub(super) fn clues(&mut self, filter: &Filter) -> Result<(Vec<Clue>, Vec<Part>), LedgerError> {
        let (mut clues, mut parts) = (Vec::new(), Vec::new());
        let query = Query::new().with_filter(filter.clone());
        let is_by_day = |span| Width::for_query(&query, span) == Some(Width::Day);
        let matches =
            |clue: &Clue, span: Span| span.has(clue.day, filter) && filter.matches_names(&clue.names());
        for (sidecar, sealed) in &mut self.sealed {
            let Some(span) = sealed.seal.span.filter(|span| !span.is_missed_by(filter)) else {
                continue;
            };
            match &sealed.segment {
                _ if is_by_day(span) => {
                    let days = sealed.days(&self.layout, sidecar)?;
                    clues.extend(days.clues.iter().filter(|clue| matches(clue, span)).cloned());
                }
                Some(segment) => parts.push(part_of_sealed(segment, &sealed.seal)),
                None => {}
            }
        }
        for (path, fold) in &self.open {
            let Some(span) = fold.rollup.span().filter(|span| !span.is_missed_by(filter)) else {
                continue;
            };
            if is_by_day(span) {
                clues.extend(fold.clues.finish().into_iter().filter(|clue| matches(clue, span)));
            } else {
                parts.push(part_of_open(path, fold));
            }
        }
        Ok((clues, parts))
    }

    /// Returns the parts of segments that have entries of a filter's stretch of time, the oldest segment first.
    pub(super) fn parts(&self, filter: &Filter) -> Vec<Part> {
        let matches = |span: Option<Span>| span.is_some_and(|span| !span.is_missed_by(filter));
        let sealed = self.sealed.values().filter_map(|sealed| {
            let segment = sealed.segment.as_ref().filter(|_| matches(sealed.seal.span))?;
            Some(part_of_sealed(segment, &sealed.seal))
        });
        let open = self.open.iter().filter(|(_, fold)| matches(fold.rollup.span()));
        let mut parts: Vec<Part> = sealed
            .chain(open.map(|(path, fold)| part_of_open(path, fold)))
            .collect();
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        parts
    }

    /// Returns the sealed segments that are still there, with their sidecars.
    pub(super) fn sealed(&self) -> Vec<(PathBuf, PathBuf, Seal)> {
        let all = self.sealed.iter();
        all.filter_map(|(sidecar, sealed)| {
            Some((sealed.segment.clone()?, sidecar.clone(), sealed.seal.clone()))
        })
        .collect()
    }

    fn bad_lines(&self) -> u64 {
        let sealed = self.sealed.values().map(|sealed| sealed.seal.bad_lines.len());
        let open = self.open.values().map(|fold| fold.bad_lines.len());
        sealed.chain(open).map(|lines| lines as u64).sum()
    }
}

fn merge(cells: &[Cell], span: Span, filter: &Filter, tally: &mut Tally) {
    cells
        .iter()
        .filter(|cell| span.has(cell.at, filter))
        .for_each(|cell| tally.merge(cell));
}

fn part_of_sealed(segment: &Path, seal: &Seal) -> Part {
    Part {
        path: segment.to_owned(),
        bytes: seal.bytes,
        skipped: seal.skipped(),
    }
}

fn part_of_open(path: &Path, fold: &Fold) -> Part {
    Part {
        path: path.to_owned(),
        bytes: fold.at.bytes,
        skipped: fold.skipped(),
    }
}

/// Whether sealing the same lines again gives the same sums.
pub(super) fn differences(
    layout: &Layout,
    segment: &Path,
    sidecar: &Path,
    seal: &Seal,
) -> Result<Option<&'static str>, LedgerError> {
    let disk = layout.disk();
    if disk
        .size(segment)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        // It was removed for its age a moment ago.
        return Ok(None);
    }
    let mut fold = Fold::new();
    let repeated: HashSet<u64> = seal.repeated_lines.iter().copied().collect();
    fold.advance(&*disk, segment, u64::MAX, Damage::PassOver, |number, _| {
        Ok(!repeated.contains(&number))
    })?;
    let bad: Vec<u64> = fold.bad_lines.iter().map(|(number, _)| *number).collect();
    let mut days = Days::of(&fold);
    if seal.clues == 0 {
        // Older versions of this crate looked for none.
        days.clues.clear();
    }
    let days_agree = days == sidecar::read_days(&*disk, sidecar)?;
    let quarters_agree = fold.rollup.widened(Width::Quarter) == sidecar::read_quarters(&*disk, sidecar)?;
    let mut totals = Totals::default();
    for cell in fold.rollup.cells() {
        totals.merge(&cell.totals);
    }
    Ok(if (fold.at.lines, fold.at.bytes) != (seal.lines, seal.bytes) {
        Some("its length is not that of its sidecar")
    } else if bad != seal.bad_lines {
        Some("lines were damaged after it was sealed")
    } else if fold.at.chain() != seal.crc {
        Some("its last checksum is not that of its sidecar")
    } else if (fold.entries, fold.ids, fold.rollup.span()) != (seal.entries, seal.ids, seal.span) {
        Some("its entries are not those of its sidecar")
    } else if totals != seal.totals || !days_agree || !quarters_agree {
        Some("its entries do not add up to its sidecar's sums")
    } else {
        None
    })
}
