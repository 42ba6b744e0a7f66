//! Makes a segment whole again after its writer is gone.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::storage::disk::Disk;
use crate::storage::segment::{Format, LineReader, Next};
use crate::storage::writer::lock_path;
use crate::storage::{StorageError, io_error};

/// How a segment was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being written by someone else, and was left alone.
    Live,
    /// It is whole, and has this many lines after its header.
    Whole { lines: u64 },
    /// Its end was torn and has been cut off; this many lines are left.
    Cut { lines: u64, tail: TornTail },
}

/// What was cut off the end of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) bytes: u64,
    pub(crate) kept_in: PathBuf,
}

/// Checks a segment and, if its end is torn, moves that end to `quarantine`. A damaged line inside is an error.
///
/// The end is torn if no whole line comes after the damage: what a killed process or a loss of power leaves behind.
pub(crate) fn recover(
    disk: &dyn Disk,
    segment: &Path,
    quarantine: &Path,
    format: Format,
) -> Result<State, StorageError> {
    let lock_path = lock_path(segment);
    let Some(_lock) = disk.try_lock(&lock_path).map_err(io_error("lock", &lock_path))? else {
        return Ok(State::Live);
    };
    let input = match disk.read(segment) {
        // Who had the lock before found it empty, and removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Whole { lines: 0 }),
        opened => opened.map_err(io_error("open", segment))?,
    };
    let mut reader = LineReader::new(BufReader::with_capacity(64 << 10, input));
    loop {
        let (first, lines) = (reader.lines() == 0, reader.lines());
        let why = match reader.next().map_err(io_error("read", segment))? {
            Next::Line(line) => {
                if first {
                    format.check_header(segment, line)?;
                }
                continue;
            }
            Next::End if first => "it is empty",
            Next::End => return Ok(State::Whole { lines: lines - 1 }),
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
        let valid = reader.bytes();
        if reader.whole_line_follows().map_err(io_error("read", segment))? {
            return Err(StorageError::BadLine {
                path: segment.to_owned(),
                line: lines + 1,
                why,
            });
        }
        let tail = cut(disk, segment, valid, quarantine)?;
        let lines = lines.saturating_sub(1);
        return Ok(State::Cut { lines, tail });
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
    let mut input = disk.read(segment).map_err(io_error("open", segment))?;
    io::copy(&mut input.by_ref().take(valid), &mut io::sink()).map_err(io_error("read", segment))?;
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
    if valid == 0 {
        disk.remove(segment).map_err(io_error("remove", segment))?;
    } else {
        disk.cut(segment, valid).map_err(io_error("cut", segment))?;
    }
    Ok(TornTail { bytes, kept_in })
}
