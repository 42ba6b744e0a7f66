//! The directory of a file ledger: `segments/` with the lines, `rollups/` with their sums, `quarantine/` with what was
//! cut off.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ledger::{HashKey, LedgerError};
use crate::storage::{self, Damage, Disk, Format, SegmentWriter, State, StorageError, io_error};

pub(super) const FORMAT: Format = Format {
    key: "thrifty_ledger",
    version: 1,
};

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
        Self {
            new_levels: storage::new_levels(&*disk, root),
            disk,
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

    /// Checks that the directory is a ledger's, and makes what is missing of it.
    pub(super) fn make(&self) -> Result<(), LedgerError> {
        let not_a_ledger = |why| LedgerError::NotALedger {
            path: self.root.clone(),
            why,
        };
        match self.disk.list(&self.root) {
            Ok(found) if !found.is_empty() && !found.contains(&self.segments) => {
                return Err(not_a_ledger("the directory holds other files"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(not_a_ledger("it is not a directory"));
            }
            Err(error) => return Err(io_error("open", &self.root)(error).into()),
        }
        for dir in [&self.segments, &self.rollups] {
            self.disk.create_dir_all(dir).map_err(io_error("create", dir))?;
        }
        Ok(())
    }

    /// Checks a segment line by line, and cuts off its end if it is torn, unless somebody writes it.
    pub(super) fn recover(&self, segment: &Path, damage: Damage) -> Result<State, StorageError> {
        storage::recover(&*self.disk, segment, &self.quarantine, FORMAT, damage)
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
                file.append(line).map_err(io_error("write", &path))?;
                file.sync().map_err(io_error("sync", &path))
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
        if text.len() < 64 {
            return Ok(None);
        }
        let word = |at: usize| u64::from_str_radix(text.get(at * 16..at * 16 + 16)?, 16).ok();
        let words = [word(0), word(1), word(2), word(3)];
        let [Some(a), Some(b), Some(c), Some(d)] = words else {
            return Err(StorageError::Foreign {
                path: path.to_owned(),
                why: "it is not a key of 64 hexadecimal digits",
            });
        };
        Ok(Some(HashKey::from_words([a, b, c, d])))
    }

    /// Makes the names of the segments survive a loss of power, and those of the directories above them.
    pub(super) fn sync_dirs(&self) -> Result<(), StorageError> {
        let all = [&*self.segments, &*self.root].into_iter();
        let above = self.root.ancestors().skip(1).take(self.new_levels);
        storage::sync_dirs(&*self.disk, &self.root, all.chain(above))
    }
}
