//! A disk in memory that forgets what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::disk::{Disk, DiskFile, Lock};

/// Keeps files and directories in memory. Clones are handles on the same disk.
///
/// A process that is killed leaves everything it wrote. A loss of power leaves the names whose directory was synced,
/// and of each file what was synced, with any beginning of what was appended since.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    safe_names: BTreeMap<PathBuf, Node>,
    locks: BTreeSet<PathBuf>,
    /// Calls that change something until every call fails; `None` is for ever.
    calls_left: Option<u64>,
    /// Calls that change something until one fails.
    calls_to_fault: Option<u64>,
    /// The calls at which there is no room for anything new.
    full: Range<u64>,
    syncs_fail: bool,
    calls: u64,
    syncs: u64,
    /// Counts the processes, so that locks of one that was killed are not let go again by its remains.
    process: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug, Default)]
struct File {
    data: Vec<u8>,
    safe: Vec<u8>,
}

impl MemoryDisk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails every call after so many more that change something, as if the process were gone.
    pub(crate) fn die_after(&self, calls: u64) {
        self.content().calls_left = Some(calls);
    }

    /// Whether every call fails.
    pub(crate) fn is_dead(&self) -> bool {
        self.content().is_alive().is_err()
    }

    /// Fails one call after so many more that change something.
    pub(crate) fn fail_after(&self, calls: u64) {
        self.content().calls_to_fault = Some(calls);
    }

    /// Has no room after so many calls that change something, for so many of them.
    pub(crate) fn fill_after(&self, calls: u64, times: u64) {
        let mut content = self.content();
        let begin = content.calls.saturating_add(calls);
        content.full = begin..begin.saturating_add(times);
    }

    /// Lets every sync fail, or none any more.
    pub(crate) fn set_syncs_fail(&self, fail: bool) {
        self.content().syncs_fail = fail;
    }

    /// Returns how many calls changed something so far.
    pub(crate) fn calls(&self) -> u64 {
        self.content().calls
    }

    /// Returns how many of them were syncs.
    pub(crate) fn syncs(&self) -> u64 {
        self.content().syncs
    }

    /// Puts a file there, with all directories, safe from everything.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut content = self.content();
        for dir in path.ancestors().skip(1) {
            content.names.insert(dir.to_owned(), Node::Dir);
        }
        let file = content.files.len();
        content.files.push(File {
            data: bytes.to_vec(),
            safe: bytes.to_vec(),
        });
        content.names.insert(path.to_owned(), Node::File(file));
        content.safe_names = content.names.clone();
    }

    /// Returns what is in a file.
    pub(crate) fn get(&self, path: &Path) -> Vec<u8> {
        let content = self.content();
        content.files[content.file(path).unwrap()].data.clone()
    }

    /// Ends the process that used the disk: its locks are free, and all it wrote is there.
    pub(crate) fn kill(&self) {
        let mut content = self.content();
        content.process += 1;
        content.locks.clear();
        content.calls_left = None;
        content.calls_to_fault = None;
        content.full = 0..0;
        content.syncs_fail = false;
    }

    /// Loses the power. `torn` chooses how much of what was not synced reached the disk all the same.
    pub(crate) fn lose_power(&self, torn: u64) {
        self.kill();
        let mut content = self.content();
        let mut names = content.safe_names.clone();
        names.retain(|path, _| {
            let above = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
            above
                .clone()
                .all(|dir| dir == Path::new("/") || content.safe_names.contains_key(dir))
        });
        content.names = names;
        for (at, file) in content.files.iter_mut().enumerate() {
            let appended = file.data.strip_prefix(&file.safe[..]).unwrap_or_default();
            let luck = (torn + at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let lucky = usize::try_from(luck % (appended.len() as u64 + 1)).unwrap();
            file.data = [&file.safe[..], &appended[..lucky]].concat();
            file.safe.clone_from(&file.data);
        }
        content.safe_names = content.names.clone();
    }
}

impl Content {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if let Some(left) = &mut self.calls_left {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| io::Error::other("the process is gone"))?;
        }
        match self.calls_to_fault {
            Some(0) => {
                self.calls_to_fault = None;
                return Err(io::Error::other("injected"));
            }
            Some(left) => self.calls_to_fault = Some(left - 1),
            None => {}
        }
        Ok(())
    }

    /// Counts a call that needs room.
    fn grow(&mut self) -> io::Result<()> {
        let is_full = self.full.contains(&self.calls);
        self.call()?;
        if is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.call()?;
        self.syncs += 1;
        if self.syncs_fail {
            return Err(io::Error::other("no sync"));
        }
        let file = &mut self.files[file];
        file.safe.clone_from(&file.data);
        Ok(())
    }

    fn is_alive(&self) -> io::Result<()> {
        match self.calls_left {
            Some(0) => Err(io::Error::other("the process is gone")),
            _ => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut content = self.content();
        if content.names.contains_key(path) {
            return Ok(());
        }
        content.grow()?;
        for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
            content.names.entry(dir.to_owned()).or_insert(Node::Dir);
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut content = self.content();
        content.grow()?;
        if content.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = content.files.len();
        content.files.push(File::default());
        content.names.insert(path.to_owned(), Node::File(file));
        Ok(Arc::new(MemoryFile {
            file,
            process: content.process,
            disk: self.clone(),
        }))
    }

    fn read(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let content = self.content();
        content.is_alive()?;
        let data = &content.files[content.file(path)?].data;
        let from = usize::try_from(from).unwrap().min(data.len());
        Ok(Box::new(io::Cursor::new(data[from..].to_vec())))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let content = self.content();
        content.is_alive()?;
        Ok(content.files[content.file(path)?].data.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut content = self.content();
        content.call()?;
        let file = content.file(from)?;
        content.names.remove(from);
        content.names.insert(to.to_owned(), Node::File(file));
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let file = self.content().file(path)?;
        self.content().sync(file)
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut content = self.content();
        content.call()?;
        let file = content.file(path)?;
        content.files[file].data.truncate(usize::try_from(bytes).unwrap());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let content = self.content();
        content.is_alive()?;
        if !content.names.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let below = content.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(below.cloned().collect())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut content = self.content();
        content.grow()?;
        let free = content.locks.insert(path.to_owned());
        let process = content.process;
        let lock = || -> Lock {
            Box::new(MemoryLock {
                path: path.to_owned(),
                process,
                disk: self.clone(),
            })
        };
        Ok(free.then(lock))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut content = self.content();
        content.call()?;
        content.file(path)?;
        content.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut content = self.content();
        content.call()?;
        content.syncs += 1;
        if content.syncs_fail {
            return Err(io::Error::other("no sync"));
        }
        let is_in = |path: &PathBuf| path.parent() == Some(dir);
        content.safe_names.retain(|path, _| !is_in(path));
        let now: Vec<_> = content
            .names
            .iter()
            .filter(|(path, _)| is_in(path))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        content.safe_names.extend(now);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    file: usize,
    process: u64,
    disk: MemoryDisk,
}

impl DiskFile for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.disk.content();
        if content.process != self.process {
            return Err(io::Error::other("the process is gone"));
        }
        let called = content.grow();
        // Who dies in the middle of a write, or finds no room for it, leaves a part of it.
        let part = if called.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        content.files[self.file].data.extend_from_slice(&bytes[..part]);
        called
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.disk.content();
        if content.process != self.process {
            return Err(io::Error::other("the process is gone"));
        }
        content.sync(self.file)
    }
}

#[derive(Debug)]
struct MemoryLock {
    path: PathBuf,
    process: u64,
    disk: MemoryDisk,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut content = self.disk.content();
        if content.process == self.process {
            content.locks.remove(&self.path);
        }
    }
}
