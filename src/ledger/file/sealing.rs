//! Seals segments that no more lines will be written to, and removes those that are past their time.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ledger::file::fold::Fold;
use crate::ledger::file::known_ids::KnownIds;
use crate::ledger::file::layout::Layout;
use crate::ledger::file::sidecar::{self, Seal};
use crate::ledger::query::DAY_MS;
use crate::ledger::{LedgerError, Totals};
use crate::storage::{Damage, io_error};

/// Seals these segments, whose locks the caller holds. Returns whether it did.
///
/// It does not if another ledger is sealing at this moment: an entry that two segments have counts in the one that is
/// sealed first, so that they must follow each other.
pub(super) fn seal(layout: &Layout, segments: &[PathBuf], damage: Damage) -> Result<bool, LedgerError> {
    if segments.is_empty() {
        return Ok(true);
    }
    let path = layout.sealing_lock();
    let lock = layout.disk().try_lock(&path).map_err(io_error("lock", &path))?;
    let Some(_lock) = lock else {
        return Ok(false);
    };
    // A sidecar says what its segment has: that must not be lost after it.
    layout.sync_dirs()?;
    let mut known = KnownIds::new(layout.disk());
    // One of these segments can be among them, if what followed its sealing failed.
    let sealed = layout.sidecars()?;
    for sidecar in &sealed {
        let seal = sidecar::read_seal(&*layout.disk(), sidecar)?;
        if let Some(ids) = seal.ids {
            known.add(layout.segment_of(sidecar), ids, seal.skipped());
        }
    }
    let mut failed = Ok(true);
    let open = segments
        .iter()
        .filter(|segment| !sealed.contains(&layout.sidecar_of(segment)));
    for segment in open {
        match seal_one(layout, segment, damage, &mut known) {
            Ok(Some(seal)) => {
                if let Some(ids) = seal.ids {
                    known.add(segment.clone(), ids, seal.skipped());
                }
            }
            Ok(None) => {}
            // One that cannot be sealed does not keep the others from it.
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed
}

fn seal_one(
    layout: &Layout,
    segment: &Path,
    damage: Damage,
    known: &mut KnownIds,
) -> Result<Option<Seal>, LedgerError> {
    let disk = layout.disk();
    let mut own = HashSet::new();
    let mut fold = Fold::new();
    fold.advance(&*disk, segment, u64::MAX, damage, |_, id| {
        Ok(own.insert(id) && known.find(id)?.is_none())
    })?;
    if fold.ids.is_none() && fold.bad_lines.is_empty() {
        // Nothing was recorded in it.
        return match disk.remove(segment) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", segment)(error).into())
            }
            _ => Ok(None),
        };
    }
    if disk.size(segment).map_err(io_error("open", segment))? != fold.at.bytes {
        // A part of a line that could not be written, nor cut off then: it was never recorded.
        disk.cut(segment, fold.at.bytes)
            .map_err(io_error("cut", segment))?;
    }
    disk.sync(segment).map_err(io_error("sync", segment))?;
    for (number, line) in &fold.bad_lines {
        layout.keep_bad_line(segment, *number, line)?;
    }
    let seal = Seal {
        lines: fold.at.lines,
        bytes: fold.at.bytes,
        crc: fold.at.chain(),
        ids: fold.ids,
        entries: fold.entries,
        span: fold.rollup.span(),
        bad_lines: fold.bad_lines.iter().map(|(number, _)| *number).collect(),
        repeated_lines: fold.repeated_lines.clone(),
        totals: Totals::default(),
        days: 0,
        clues: 0,
    };
    sidecar::write(&*disk, &layout.sidecar_of(segment), seal, &fold).map(Some)
}

/// Removes sealed segments so long after the day on which their newest entry was made or recorded. Their sidecars stay.
///
/// Whole days go at once, the oldest segment first: a correction does not go before what it corrects.
pub(super) fn expire(layout: &Layout, keep: Duration, now: Timestamp) -> Result<(), LedgerError> {
    const DAY: Duration = Duration::from_millis(DAY_MS.unsigned_abs());
    let disk = layout.disk();
    let segments: HashSet<PathBuf> = layout.segments()?.into_iter().collect();
    for sidecar in layout.sidecars()? {
        let segment = layout.segment_of(&sidecar);
        if !segments.contains(&segment) {
            continue;
        }
        let seal = sidecar::read_seal(&*disk, &sidecar)?;
        let recorded = seal.ids.map(|(_, newest)| newest.timestamp());
        let newest = seal.span.map(|span| span.last).max(recorded);
        let is_over = |newest: Timestamp| {
            let day = newest.as_unix_millis().div_euclid(DAY_MS).saturating_mul(DAY_MS);
            Timestamp::from_unix_millis(day)
                .saturating_add(DAY)
                .saturating_add(keep)
                <= now
        };
        if newest.is_some_and(is_over) {
            match disk.remove(&segment) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(io_error("remove", &segment))?,
            }
        }
    }
    Ok(())
}
