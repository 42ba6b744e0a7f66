//! What is done when a spool is opened, and how its journal is read.

use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal::Journal;
use super::journal_line::{Edge, JournalLine, LaneLine};
use super::layout::{FORMAT, Layout};
use super::writing::{File, Writing};
use crate::batch::store::error::io_error;
use crate::batch::store::{Record, StoreError};
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

/// Reads the whole journal, and tells the lanes that it names.
pub(super) fn load(
    layout: &Layout,
    segments: &[PathBuf],
    account: Option<&Arc<str>>,
    fold: &mut dyn FnMut(Record),
) -> Result<Vec<LaneLine>, StoreError> {
    let mut lanes: Vec<LaneLine> = Vec::new();
    // Requests of another account that are not settled.
    let mut others: HashSet<RequestId> = HashSet::new();
    let mut found: Option<Arc<str>> = None;
    let mut strange = None;
    for path in segments {
        read(layout, path, &mut |line| {
            for lane in line.lanes {
                if !lanes.iter().any(|known| known.lane == lane.lane) {
                    lanes.push(lane);
                }
            }
            for request in line.enqueued {
                let number = request.lane;
                let in_place = lanes.get(number as usize).filter(|lane| lane.lane == number);
                let Some(lane) = in_place.or_else(|| lanes.iter().find(|lane| lane.lane == number)) else {
                    strange = Some(path.clone());
                    return false;
                };
                let request = request.back(lane);
                if lane.account.is_some() && account.is_some() && lane.account.as_ref() != account {
                    found.clone_from(&lane.account);
                    others.insert(request.id);
                }
                fold(Record::Enqueued(request));
            }
            for record in line.records.into_owned() {
                if let Record::Settled { id, .. } | Record::Acknowledged { id, .. } = &record {
                    others.remove(id);
                }
                fold(record);
            }
            true
        })?;
    }
    if let Some(path) = strange {
        let why = "it names a lane that it does not describe";
        return Err(StoreError::NotASpool { path, why });
    }
    match (found, account) {
        (Some(found), Some(wanted)) if !others.is_empty() => Err(StoreError::OtherAccount {
            found,
            wanted: wanted.clone(),
        }),
        _ => Ok(lanes),
    }
}
