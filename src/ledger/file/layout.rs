//! The directory of a file ledger: `segments/` with the lines, `rollups/` with their sums, `quarantine/` with what was
//! cut off.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ledger::file::{sealing, sidecar};
use crate::ledger::{HashKey, LedgerError};
use crate::storage::{self, Damage, Disk, Format, Lock, SegmentWriter, State, StorageError, io_error};

pub(super) const FORMAT: Format = Format {
    key: "thrifty_ledger",
    version: 1,
};

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

#[derive(Debug)]
pub(super) struct Layout {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    segments: PathBuf,
    rollups: PathBuf,
    quarantine: PathBuf,
    /// How many directories above the ledger's have to be synced, since it may have made them.
    new_levels: usize,
}

impl Layout {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        // The nearest one that is there has the name of the first that is made.
        let missing = root.ancestors().skip(1).take_while(|dir| disk.list(dir).is_err());
        let new_levels = missing.count() + 1;
        Self {
            disk,
            new_levels,
            root: root.to_owned(),
            segments: root.join("segments"),
            rollups: root.join("rollups"),
            quarantine: root.join("quarantine"),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Makes the directories if need be, and checks and seals every segment that nobody writes.
    pub(super) fn open(&self, damage: Damage) -> Result<Recovery, LedgerError> {
        match self.disk.list(&self.root) {
            Ok(found) if !found.is_empty() && !found.contains(&self.segments) => {
                return Err(LedgerError::NotALedger {
                    path: self.root.clone(),
                    why: "the directory holds other files",
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(LedgerError::NotALedger {
                    path: self.root.clone(),
                    why: "it is not a directory",
                });
            }
            Err(error) => return Err(io_error("open", &self.root)(error).into()),
        }
        for dir in [&self.segments, &self.rollups] {
            self.disk.create_dir_all(dir).map_err(io_error("create", dir))?;
        }
        let mut recovery = Recovery::default();
        let (mut left, mut locks) = (Vec::new(), Vec::new());
        let sidecars: HashSet<PathBuf> = self.sidecars()?.into_iter().collect();
        for segment in self.segments()? {
            let sidecar = self.sidecar_of(&segment);
            if sidecars.contains(&sidecar) {
                self.check_sealed(&segment, &sidecar)?;
                recovery.sealed_segments += 1;
            } else if let Some(lock) = self.recover(&segment, damage, &mut recovery)? {
                left.push(segment);
                locks.push(lock);
            }
        }
        sealing::seal(self, &left, damage)?;
        Ok(recovery)
    }

    fn check_sealed(&self, segment: &Path, sidecar: &Path) -> Result<(), LedgerError> {
        let seal = sidecar::read_seal(&*self.disk, sidecar)?;
        let bytes = self.disk.size(segment).map_err(io_error("open", segment))?;
        if bytes == seal.bytes {
            return Ok(());
        }
        Err(LedgerError::BadLine {
            path: segment.to_owned(),
            line: seal.lines,
            why: "the segment is not as long as it was when it was sealed",
        })
    }

    /// Checks a segment that is not sealed, and returns its lock if nobody else has it and there is something in it.
    fn recover(
        &self,
        segment: &Path,
        damage: Damage,
        recovery: &mut Recovery,
    ) -> Result<Option<Lock>, LedgerError> {
        let state = storage::recover(&*self.disk, segment, &self.quarantine, FORMAT, damage)?;
        let (tail, lock) = match state {
            State::Live => {
                recovery.live_segments += 1;
                return Ok(None);
            }
            State::Gone { tail } => (tail, None),
            State::Whole { lines, tail, lock } => {
                recovery.entries += lines;
                (tail, Some(lock))
            }
        };
        recovery.checked_segments += 1;
        if let Some(tail) = tail {
            tracing::warn!(
                target: "thrifty",
                segment = %segment.display(),
                bytes = tail.bytes,
                kept_in = %tail.kept_in.display(),
                "the torn end of a ledger's segment was cut off"
            );
            recovery.torn.push(TornTail {
                segment: segment.to_owned(),
                bytes: tail.bytes,
                kept_in: tail.kept_in,
            });
        }
        Ok(lock)
    }

    /// Returns the segments, the oldest first.
    pub(super) fn segments(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.list(&self.segments)
    }

    /// Returns the sidecars of sealed segments, those of the oldest first.
    pub(super) fn sidecars(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.list(&self.rollups)
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
        let mut found = self.disk.list(dir).map_err(io_error("list", dir))?;
        found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        Ok(found)
    }

    pub(super) fn sidecar_of(&self, segment: &Path) -> PathBuf {
        self.rollups.join(segment.file_name().unwrap_or_default())
    }

    pub(super) fn segment_of(&self, sidecar: &Path) -> PathBuf {
        self.segments.join(sidecar.file_name().unwrap_or_default())
    }

    /// Who holds this lock is the one that seals.
    pub(super) fn sealing_lock(&self) -> PathBuf {
        self.rollups.join("sealing.lock")
    }

    /// Copies a damaged line to `quarantine/`. Its segment stays as it is.
    pub(super) fn keep_bad_line(&self, segment: &Path, number: u64, line: &[u8]) -> Result<(), StorageError> {
        let name = segment.file_stem().unwrap_or_default().to_string_lossy();
        let path = self.quarantine.join(format!("{name}-line-{number}.bad"));
        tracing::error!(
            target: "thrifty",
            segment = %segment.display(),
            line = number,
            kept_in = %path.display(),
            "a damaged line of a ledger's segment is left out"
        );
        self.disk
            .create_dir_all(&self.quarantine)
            .map_err(io_error("create", &self.quarantine))?;
        match self.disk.create(&path) {
            // From an attempt to seal that did not end.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => {
                let file = created.map_err(io_error("create", &path))?;
                file.append(line).map_err(io_error("write", &path))
            }
        }
    }

    pub(super) fn begin_segment(&self, now: Timestamp) -> Result<SegmentWriter, StorageError> {
        SegmentWriter::create(Arc::clone(&self.disk), &self.segments, FORMAT, now)
    }

    /// Returns the key of the directory, which is made with it.
    pub(super) fn hash_key(&self) -> Result<HashKey, LedgerError> {
        let (path, lock) = (self.root.join("key"), self.root.join("key.lock"));
        for _ in 0..200 {
            if let Some(key) = self.read_key(&path)? {
                return Ok(key);
            }
            if let Some(_lock) = self.disk.try_lock(&lock).map_err(io_error("lock", &lock))? {
                if let Some(key) = self.read_key(&path)? {
                    return Ok(key);
                }
                self.write_key(&path)?;
            } else {
                // Another is making it at this moment.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Err(LedgerError::NotALedger {
            path,
            why: "it is not a key of 64 hexadecimal digits",
        })
    }

    fn write_key(&self, path: &Path) -> Result<(), StorageError> {
        // What is there is a part, of a process that was killed: nothing was hashed with it.
        let _ = self.disk.remove(path);
        let file = self.disk.create(path).map_err(io_error("create", path))?;
        let [a, b, c, d] = HashKey::random().to_words();
        let text = format!("{a:016x}{b:016x}{c:016x}{d:016x}");
        file.append(text.as_bytes()).map_err(io_error("write", path))?;
        file.sync().map_err(io_error("sync", path))
    }

    /// Returns the key in a file; `None` if it is not there, or not whole.
    fn read_key(&self, path: &Path) -> Result<Option<HashKey>, StorageError> {
        let mut text = String::new();
        let read = self
            .disk
            .read(path, 0)
            .and_then(|mut file| file.read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io_error("read", path))?,
        };
        let word = |at: usize| u64::from_str_radix(text.get(at * 16..at * 16 + 16)?, 16).ok();
        let words = [word(0), word(1), word(2), word(3)];
        let [Some(a), Some(b), Some(c), Some(d)] = words else {
            return Ok(None);
        };
        Ok(Some(HashKey::from_words([a, b, c, d])))
    }

    /// Makes the names of the segments survive a loss of power, and those of the directories above them.
    pub(super) fn sync_dirs(&self) -> Result<(), StorageError> {
        let all = [&*self.segments, &*self.root].into_iter();
        let above = self.root.ancestors().skip(1).take(self.new_levels);
        for dir in all.chain(above) {
            let dir = if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            };
            self.disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        }
        Ok(())
    }
}
