//! Makes a segment whole again after its writer is gone.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::storage::disk::{Disk, Lock};
use crate::storage::segment::{Format, LineReader, Next};
use crate::storage::writer::lock_path;
use crate::storage::{StorageError, io_error};

/// How a segment was found.
#[derive(Debug)]
pub(crate) enum State {
    /// It is being written by someone else, and was left alone.
    Live,
    /// Nothing is left of it.
    Gone { tail: Option<TornTail> },
    /// It is whole, now that its end was cut off if that was torn.
    Whole {
        /// Lines after the header, damaged ones included.
        lines: u64,
        tail: Option<TornTail>,
        /// Nobody else can take it for abandoned while this is held.
        lock: Lock,
    },
}

/// What to do about a damaged line inside a segment, which no crash can leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Refuse,
    PassOver,
}

/// What was cut off the end of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) bytes: u64,
    pub(crate) kept_in: PathBuf,
}

/// Checks a segment and, if its end is torn, moves that end to `quarantine`.
///
/// The end is torn if no whole line comes after the damage: what a killed process or a loss of power leaves behind.
pub(crate) fn recover(
    disk: &dyn Disk,
    segment: &Path,
    quarantine: &Path,
    format: Format,
    damage: Damage,
) -> Result<State, StorageError> {
    let lock_path = lock_path(segment);
    let Some(lock) = disk.try_lock(&lock_path).map_err(io_error("lock", &lock_path))? else {
        return Ok(State::Live);
    };
    let input = match disk.read(segment, 0) {
        // Who had the lock before found it empty, and removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Gone { tail: None }),
        opened => opened.map_err(io_error("open", segment))?,
    };
    let mut reader = LineReader::new(BufReader::with_capacity(64 << 10, input));
    loop {
        let (first, lines) = (reader.position().lines == 0, reader.position().lines);
        let why = match reader.next().map_err(io_error("read", segment))? {
            Next::Line(line) => {
                if first {
                    format.check_header(segment, line)?;
                }
                continue;
            }
            Next::End if first => "it is empty",
            Next::End => {
                return Ok(State::Whole {
                    lines: lines - 1,
                    tail: None,
                    lock,
                });
            }
            Next::Torn(header) if first && !format.may_begin(header) => {
                return Err(StorageError::Foreign {
                    path: segment.to_owned(),
                    why: "it does not begin with a header",
                });
            }
            Next::Torn(_) => "it is torn",
            Next::Bad(why) => why,
        };
        // The header is looked at before its checksum counts: a newer format may have another one.
        if first && why != "it is empty" && why != "it is torn" {
            format.check_header(segment, reader.line())?;
        }
        let valid = reader.position().bytes;
        // Zeros are what a loss of power leaves of a page that was not synced, and then nothing after it was either.
        let is_hole = memchr::memchr(0, reader.line()).is_some();
        if !is_hole && reader.whole_line_follows().map_err(io_error("read", segment))? {
            if damage == Damage::PassOver {
                continue;
            }
            return Err(StorageError::BadLine {
                path: segment.to_owned(),
                line: lines + 1,
                why,
            });
        }
        let tail = Some(cut(disk, segment, valid, quarantine)?);
        return Ok(match lines.checked_sub(1) {
            None => State::Gone { tail },
            Some(lines) => State::Whole { lines, tail, lock },
        });
    }
}

/// Copies what follows the first `valid` bytes to a file of its own, and only then cuts it off.
fn cut(disk: &dyn Disk, segment: &Path, valid: u64, quarantine: &Path) -> Result<TornTail, StorageError> {
    disk.create_dir_all(quarantine)
        .map_err(io_error("create", quarantine))?;
    let name = segment.file_stem().unwrap_or_default().to_string_lossy();
    let kept_in = quarantine.join(format!("{name}-{valid}.torn"));
    // One that is there already is from an attempt that ended before the cut: the segment still has it all.
    let _ = disk.remove(&kept_in);
    let kept = disk.create(&kept_in).map_err(io_error("create", &kept_in))?;
    let mut input = disk.read(segment, valid).map_err(io_error("open", segment))?;
    let (mut bytes, mut chunk) = (0, vec![0; 64 << 10]);
    loop {
        let read = input.read(&mut chunk).map_err(io_error("read", segment))?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else {
            break;
        };
        kept.append(part).map_err(io_error("write", &kept_in))?;
        bytes += read as u64;
    }
    kept.sync().map_err(io_error("sync", &kept_in))?;
    disk.sync_dir(quarantine).map_err(io_error("sync", quarantine))?;
    if valid == 0 {
        disk.remove(segment).map_err(io_error("remove", segment))?;
    } else {
        disk.cut(segment, valid).map_err(io_error("cut", segment))?;
    }
    Ok(TornTail { bytes, kept_in })
}
