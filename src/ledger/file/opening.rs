//! What happens when a directory is opened: what others left behind is checked and sealed.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::LedgerError;
use crate::ledger::file::layout::Layout;
use crate::ledger::file::{sealing, sidecar};
use crate::storage::{Damage, Lock, State, io_error};

/// What was found when a [`FileLedger`](super::FileLedger) was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Segments that are sealed; only their length was checked.
    pub sealed_segments: u64,
    /// Segments that were checked, line by line, and sealed: their writer is gone.
    pub checked_segments: u64,
    /// Segments that another writer has open; they were left alone.
    pub live_segments: u64,
    /// Lines in the checked segments.
    pub entries: u64,
    /// Ends that were torn: at most a few lines each, written by a process that was killed or lost its power.
    pub torn: Vec<TornTail>,
}

/// The end of a segment that was not a whole line, and was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The file in `quarantine/` that has them now.
    pub kept_in: PathBuf,
}

/// Makes the directories if need be, and checks and seals every segment that nobody writes.
pub(super) fn open(layout: &Layout, damage: Damage) -> Result<Recovery, LedgerError> {
    layout.make()?;
    let mut recovery = Recovery::default();
    let (mut left, mut locks) = (Vec::new(), Vec::new());
    let sidecars: HashSet<PathBuf> = layout.sidecars()?.into_iter().collect();
    for segment in layout.segments()? {
        let sidecar = layout.sidecar_of(&segment);
        if sidecars.contains(&sidecar) {
            check_sealed(layout, &segment, &sidecar)?;
            recovery.sealed_segments += 1;
        } else if let Some(lock) = recovery.add(layout, &segment, damage)? {
            left.push(segment);
            locks.push(lock);
        }
    }
    sealing::seal(layout, &left, damage)?;
    Ok(recovery)
}

fn check_sealed(layout: &Layout, segment: &Path, sidecar: &Path) -> Result<(), LedgerError> {
    let disk = layout.disk();
    let seal = sidecar::read_seal(&*disk, sidecar)?;
    let bytes = match disk.size(segment) {
        // Another ledger removed it for its age a moment ago.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        size => size.map_err(io_error("open", segment))?,
    };
    if bytes == seal.bytes {
        return Ok(());
    }
    Err(LedgerError::BadLine {
        path: segment.to_owned(),
        line: seal.lines,
        why: "the segment is not as long as it was when it was sealed",
    })
}

impl Recovery {
    /// Checks a segment that is not sealed, and returns its lock if nobody else has it and there is something in it.
    fn add(&mut self, layout: &Layout, segment: &Path, damage: Damage) -> Result<Option<Lock>, LedgerError> {
        let (tail, lock) = match layout.recover(segment, damage)? {
            State::Live => {
                self.live_segments += 1;
                return Ok(None);
            }
            State::Gone { tail } => (tail, None),
            State::Whole { lines, tail, lock } => {
                self.entries += lines;
                (tail, Some(lock))
            }
        };
        self.checked_segments += 1;
        if let Some(tail) = tail {
            tracing::warn!(
                target: "thrifty",
                segment = %segment.display(),
                bytes = tail.bytes,
                kept_in = %tail.kept_in.display(),
                "the torn end of a ledger's segment was cut off"
            );
            self.torn.push(TornTail {
                segment: segment.to_owned(),
                bytes: tail.bytes,
                kept_in: tail.kept_in,
            });
        }
        Ok(lock)
    }
}
