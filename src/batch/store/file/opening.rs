//! What is done when a spool is opened, and how its journal is read.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal::Journal;
use super::journal_line::{Edge, JournalLine, LaneLine};
use super::layout::{self, FORMAT, Layout};
use super::packed;
use super::writing::{File, Writing};
use crate::batch::store::error::io_error;
use crate::batch::store::{Record, StoreError, StoredRequest};
use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::storage::{Damage, LineReader, Lock, Next, State, recover};

/// What was cut off a file: the file, how many bytes, and where they are kept.
pub(super) type Torn = (PathBuf, u64, PathBuf);

/// Takes the spool's lock, makes its journal whole, and begins a segment.
pub(super) fn open(
    layout: &Layout,
    account: Option<Arc<str>>,
    now: Timestamp,
) -> Result<(Writing, Lock, Vec<Torn>), StoreError> {
    let (disk, root) = (layout.disk(), layout.root());
    disk.create_dir_all(root).map_err(io_error("create", root))?;
    let path = layout.lock();
    let lock = disk.try_lock(&path).map_err(io_error("lock", &path))?;
    let lock = lock.ok_or_else(|| StoreError::InUse {
        path: root.to_owned(),
    })?;
    layout.make_dirs()?;
    let mut torn = Vec::new();
    let mut segments = Vec::new();
    for path in layout.list(&layout.journal(), "jsonl")? {
        let tail = match recover(disk, &path, &layout.quarantine(), FORMAT, Damage::Refuse)? {
            State::Live => {
                return Err(StoreError::InUse {
                    path: root.to_owned(),
                });
            }
            State::Gone { tail } => tail,
            State::Whole { lines: 0, tail, .. } => {
                disk.remove(&path).map_err(io_error("remove", &path))?;
                tail
            }
            State::Whole { tail, .. } => {
                segments.push(path.clone());
                tail
            }
        };
        torn.extend(tail.map(|tail| (path, tail.bytes, tail.kept_in)));
    }
    let segments = since_the_snapshot(layout, segments)?;
    let mut bytes = 0;
    for path in &segments {
        bytes += disk.size(path).map_err(io_error("look at", path))?;
    }
    let files = layout.data_files()?.into_iter();
    let files = files.map(|(number, path)| (number, File { path, needed_by: 0 }));
    let files: HashMap<_, _> = files.collect();
    let journal = Journal::begin(layout, segments, bytes, now)?;
    let writing = Writing::new(layout.clone(), account, journal, files);
    Ok((writing, lock, torn))
}

/// Removes the segments before the last whole snapshot, and the beginning of one that did not get whole.
fn since_the_snapshot(layout: &Layout, mut segments: Vec<PathBuf>) -> Result<Vec<PathBuf>, StoreError> {
    let remove = |path: &Path| layout.disk().remove(path).map_err(io_error("remove", path));
    let mut at = segments.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        let Some(path) = segments.get(at) else { break };
        match snapshot_of(layout, path)? {
            Snapshot::None => {}
            Snapshot::Part => {
                remove(path)?;
                segments.remove(at);
            }
            Snapshot::Whole => {
                for old in segments.drain(..at) {
                    remove(&old)?;
                }
                break;
            }
        }
    }
    for path in layout.list(&layout.journal(), "packed")? {
        if !segments
            .iter()
            .any(|segment| layout::packed_beside(segment) == path)
        {
            remove(&path)?;
        }
    }
    Ok(segments)
}

enum Snapshot {
    None,
    Part,
    Whole,
}

fn snapshot_of(layout: &Layout, path: &Path) -> Result<Snapshot, StoreError> {
    let mut found = Snapshot::None;
    let mut first = true;
    read(layout, path, &mut |line| {
        match line.snapshot {
            Some(Edge::Begin) => found = Snapshot::Part,
            Some(Edge::End) => found = Snapshot::Whole,
            None => {}
        }
        // One that does not begin with a snapshot has none.
        let goes_on = !std::mem::take(&mut first) || !matches!(found, Snapshot::None);
        goes_on && !matches!(found, Snapshot::Whole)
    })?;
    Ok(found)
}

/// Reads a segment line by line, for as long as `each` says so.
fn read(
    layout: &Layout,
    path: &Path,
    each: &mut dyn FnMut(JournalLine<'_>) -> bool,
) -> Result<(), StoreError> {
    let input = layout.disk().read(path, 0).map_err(io_error("open", path))?;
    let mut reader = LineReader::new(BufReader::with_capacity(256 << 10, input));
    loop {
        let line = reader.position().lines + 1;
        let bad = |why| StoreError::BadLine {
            path: path.to_owned(),
            line,
            why,
        };
        match reader.next().map_err(io_error("read", path))? {
            // The header.
            Next::Line(_) if line == 1 => {}
            Next::Line(json) => {
                let parsed = serde_json::from_slice(json);
                let parsed = parsed.map_err(|_| bad("it is no line of a journal that this version knows"))?;
                if !each(parsed) {
                    return Ok(());
                }
            }
            Next::End => return Ok(()),
            // Recovered when it was opened: somebody else writes to it.
            Next::Torn(_) => return Err(bad("it is torn")),
            Next::Bad(why) => return Err(bad(why)),
        }
    }
}

/// What a journal says beside its records.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) lanes: Vec<LaneLine>,
    /// Files and how long they were at the last snapshot.
    pub(super) safe: HashMap<u32, u64>,
    /// Requests of another account that are not settled.
    others: HashSet<RequestId>,
    found: Option<Arc<str>>,
}

/// Reads the whole journal.
pub(super) fn load(
    layout: &Layout,
    segments: &[PathBuf],
    account: Option<&Arc<str>>,
    fold: &mut dyn FnMut(Record),
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    for path in segments {
        let mut packed = None;
        let mut failed = None;
        read(layout, path, &mut |line| {
            let taken = loaded.take(layout, path, &mut packed, account, line, fold);
            failed = taken.err();
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    match (loaded.found.take(), account) {
        (Some(found), Some(wanted)) if !loaded.others.is_empty() => Err(StoreError::OtherAccount {
            found,
            wanted: wanted.clone(),
        }),
        _ => Ok(loaded),
    }
}

/// How many bytes a run of packed requests has at most, as they are written.
const RUN: usize = 512 * packed::WIDTH;

impl Loaded {
    fn take(
        &mut self,
        layout: &Layout,
        path: &Path,
        packed: &mut Option<Box<dyn Read + Send>>,
        account: Option<&Arc<str>>,
        said: JournalLine<'_>,
        fold: &mut dyn FnMut(Record),
    ) -> Result<(), StoreError> {
        for lane in said.lanes {
            if !self.lanes.iter().any(|known| known.lane == lane.lane) {
                self.lanes.push(lane);
            }
        }
        self.safe.extend(said.files);
        let strange = |why| StoreError::NotASpool {
            path: path.to_owned(),
            why,
        };
        let unknown_lane = || strange("it names a lane that it does not describe");
        if let Some(run) = said.packed {
            let file = layout::packed_beside(path);
            if packed.is_none() {
                let opened = layout.disk().read(&file, 0).map_err(io_error("open", &file))?;
                *packed = Some(opened);
            }
            let length = u64::from(run.count) * packed::WIDTH as u64;
            // The count may be damaged: it does not decide how much room is made.
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(RUN).min(RUN));
            if let Some(input) = packed {
                let mut own = input.take(length);
                own.read_to_end(&mut bytes).map_err(io_error("read", &file))?;
            }
            if crc32c::crc32c(&bytes) != run.crc {
                return Err(strange("the packed requests beside it are damaged"));
            }
            for bytes in bytes.chunks_exact(packed::WIDTH) {
                let (request, lane) = packed::unpack(bytes, &self.lanes).ok_or_else(unknown_lane)?;
                let other = other_than(account, lane);
                self.enqueued(request, other, fold);
            }
        }
        for request in said.enqueued {
            let number = request.lane;
            let in_place = self.lanes.get(number as usize).filter(|lane| lane.lane == number);
            let lane = in_place.or_else(|| self.lanes.iter().find(|lane| lane.lane == number));
            let lane = lane.ok_or_else(unknown_lane)?;
            let other = other_than(account, lane);
            self.enqueued(request.back(lane), other, fold);
        }
        for record in said.records.into_owned() {
            if let Record::Settled { id, .. } | Record::Acknowledged { id, .. } = &record {
                self.others.remove(id);
            }
            fold(record);
        }
        Ok(())
    }

    fn enqueued(&mut self, request: StoredRequest, other: Option<Arc<str>>, fold: &mut dyn FnMut(Record)) {
        if other.is_some() {
            self.found = other;
            self.others.insert(request.id);
        }
        fold(Record::Enqueued(request));
    }
}

/// Returns whose lane it is, if it is not that of this account.
fn other_than(account: Option<&Arc<str>>, lane: &LaneLine) -> Option<Arc<str>> {
    let other = lane
        .account
        .as_ref()
        .zip(account)
        .filter(|(own, wanted)| own != wanted);
    other.map(|(own, _)| own.clone())
}
