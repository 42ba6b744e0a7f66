//! The journal: which segment is written, what of it is safe, and when it is written anew.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::journal_line::{Edge, EnqueuedLine, JournalLine, LaneLine};
use super::layout::{self, FORMAT, Layout};
use super::packed::{self, Packed};
use crate::batch::store::error::io_error;
use crate::batch::store::{Record, StoreError, StoredRequest};
use crate::clock::Timestamp;
use crate::storage::{DiskFile, SegmentWriter, content};

/// The journal is not written anew before it has grown so much.
const SMALL: u64 = 64 << 20;
/// How many records of a snapshot stand on a line.
pub(super) const RECORDS_A_LINE: usize = 512;

/// The journal of a spool.
#[derive(Debug)]
pub(super) struct Journal {
    writer: SegmentWriter,
    /// Lines that may not be safe, and where each ends.
    tail: VecDeque<(u64, Vec<u8>)>,
    /// Segments that come before, the oldest first.
    older: Vec<PathBuf>,
    older_bytes: u64,
    /// How large it was when it was last written anew.
    snapshot_bytes: u64,
    /// A whole snapshot that may not be safe: a segment that it may turn out to follow takes no more lines.
    abandoned: Option<PathBuf>,
    pub(super) dir_changed: bool,
}

/// A segment that is not safe, and up to where it will be after a sync.
pub(super) struct UnsafeSegment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    bytes: u64,
}

impl Journal {
    /// Begins a segment after those that are there.
    pub(super) fn begin(
        layout: &Layout,
        older: Vec<PathBuf>,
        older_bytes: u64,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let now = layout::after(older.last().map(PathBuf::as_path), now);
        Ok(Self {
            writer: SegmentWriter::create(layout.shared_disk(), &layout.journal(), FORMAT, now)?,
            tail: VecDeque::new(),
            older,
            older_bytes,
            snapshot_bytes: older_bytes,
            abandoned: None,
            dir_changed: true,
        })
    }

    /// Returns all segments, the oldest first.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let own = self.writer.path().to_owned();
        self.older.iter().cloned().chain([own]).collect()
    }

    /// Returns the segments before its own.
    pub(super) fn older(&self) -> &[PathBuf] {
        &self.older
    }

    pub(super) fn append(
        &mut self,
        layout: &Layout,
        line: &JournalLine<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.writer.is_broken() || self.abandoned.is_some() {
            self.write_again(layout, now)?;
        }
        let mut json = encode(line)?;
        self.writer.append(&mut json)?;
        self.tail.push_back((self.writer.bytes(), json));
        Ok(())
    }

    /// Begins a segment that comes after all others.
    fn next(&self, layout: &Layout, now: Timestamp) -> Result<SegmentWriter, StoreError> {
        let last = self.abandoned.as_deref().unwrap_or(self.writer.path());
        let (disk, now) = (layout.shared_disk(), layout::after(Some(last), now));
        Ok(SegmentWriter::create(disk, &layout.journal(), FORMAT, now)?)
    }

    /// Writes what is not safe to a new segment: after a sync that failed, or a write that left a part behind.
    pub(super) fn write_again(&mut self, layout: &Layout, now: Timestamp) -> Result<(), StoreError> {
        let mut new = self.next(layout, now)?;
        self.dir_changed = true;
        let mut tail = VecDeque::with_capacity(self.tail.len());
        for (_, line) in &self.tail {
            let mut json = [content(line.strip_suffix(b"\n").unwrap_or(line)), b"}"].concat();
            if let Err(error) = new.append(&mut json) {
                let _ = layout.disk().remove(new.path());
                return Err(error.into());
            }
            tail.push_back((new.bytes(), json));
        }
        self.tail = tail;
        self.abandoned = None;
        let old = std::mem::replace(&mut self.writer, new);
        let path = old.path().to_owned();
        // What stays behind if this fails says the same once more.
        if let Err(error) = old.abandon() {
            tracing::warn!(?error, "the end of a journal's segment could not be cut off");
        }
        if let Ok(bytes) = layout.disk().size(&path) {
            self.older_bytes += bytes;
            self.older.push(path);
        }
        Ok(())
    }

    pub(super) fn not_safe(&self) -> Option<UnsafeSegment> {
        let unsafe_segment = || UnsafeSegment {
            path: self.writer.path().to_owned(),
            file: self.writer.file(),
            bytes: self.writer.bytes(),
        };
        (!self.writer.is_synced()).then(unsafe_segment)
    }

    pub(super) fn is_safe(&mut self, synced: &UnsafeSegment) {
        if synced.path != self.writer.path() {
            return;
        }
        self.writer.set_synced(synced.bytes);
        while self.tail.front().is_some_and(|(end, _)| *end <= synced.bytes) {
            self.tail.pop_front();
        }
    }

    /// Whether most of what it says does not matter any more.
    pub(super) fn has_grown(&self) -> bool {
        let bytes = self.older_bytes + self.writer.bytes();
        bytes > SMALL.max(self.snapshot_bytes.saturating_mul(2))
    }

    /// Begins a segment with a snapshot, makes it safe, and removes all that came before.
    pub(super) fn replace(
        &mut self,
        layout: &Layout,
        begin: JournalLine<'_>,
        snapshot: &mut dyn Iterator<Item = Record>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut new = self.next(layout, now)?;
        let written = write_snapshot(layout, &mut new, begin, snapshot);
        let is_whole = written.is_ok();
        let is_safe = written.and_then(|()| {
            let (path, dir) = (new.path(), layout.journal());
            new.file().sync().map_err(io_error("sync", path))?;
            layout.disk().sync_dir(&dir).map_err(io_error("sync", &dir))
        });
        if let Err(error) = is_safe {
            // It may be found all the same: nothing takes its removal from the disk before another sync.
            if is_whole {
                self.abandoned = Some(new.path().to_owned());
            }
            let _ = layout.disk().remove(new.path());
            let _ = layout.disk().remove(&layout::packed_beside(new.path()));
            // Not again at once.
            self.snapshot_bytes = self.older_bytes + self.writer.bytes();
            return Err(error);
        }
        new.set_synced(new.bytes());
        let mut gone = self.segments();
        self.snapshot_bytes = new.bytes();
        self.abandoned = None;
        self.writer = new;
        self.tail.clear();
        self.older_bytes = 0;
        // One that stays is passed over by the next opener, as this one says more.
        gone.retain(|path| {
            let _ = layout.disk().remove(&layout::packed_beside(path));
            layout.disk().remove(path).is_err()
        });
        self.older = gone;
        self.dir_changed = true;
        Ok(())
    }
}

fn write_snapshot(
    layout: &Layout,
    to: &mut SegmentWriter,
    mut begin: JournalLine<'_>,
    snapshot: &mut dyn Iterator<Item = Record>,
) -> Result<(), StoreError> {
    begin.snapshot = Some(Edge::Begin);
    to.append(&mut encode(&begin)?)?;
    let path = layout::packed_beside(to.path());
    let mut packed: Option<Arc<dyn DiskFile>> = None;
    let mut bytes = Vec::with_capacity(RECORDS_A_LINE * packed::WIDTH);
    loop {
        let records: Vec<_> = snapshot.take(RECORDS_A_LINE).collect();
        if records.is_empty() {
            break;
        }
        bytes.clear();
        let mut line = JournalLine::default();
        let all_packed = records.iter().try_for_each(|record| {
            let Record::Enqueued(request) = record else {
                return None;
            };
            packed::pack(request, lane_of(request, &begin.lanes)?, &mut bytes)
        });
        let enqueued = |record: &Record| {
            let Record::Enqueued(request) = record else {
                return None;
            };
            Some(EnqueuedLine::of(request, lane_of(request, &begin.lanes)?))
        };
        if all_packed.is_some() {
            if packed.is_none() {
                packed = Some(layout.disk().create(&path).map_err(io_error("create", &path))?);
            }
            if let Some(file) = &packed {
                file.append(&bytes).map_err(io_error("write", &path))?;
            }
            line.packed = Some(Packed {
                count: u32::try_from(records.len()).unwrap_or(u32::MAX),
                crc: crc32c::crc32c(&bytes),
            });
        } else if let Some(enqueued) = records.iter().map(enqueued).collect::<Option<Vec<_>>>() {
            line.enqueued = enqueued;
        } else {
            line.records = Cow::Owned(records);
        }
        to.append(&mut encode(&line)?)?;
    }
    if let Some(file) = packed {
        file.sync().map_err(io_error("sync", &path))?;
    }
    let end = JournalLine {
        snapshot: Some(Edge::End),
        ..JournalLine::default()
    };
    Ok(to.append(&mut encode(&end)?)?)
}

fn lane_of(request: &StoredRequest, lanes: &[LaneLine]) -> Option<u32> {
    let is_its = |lane: &&LaneLine| lane.endpoint == request.endpoint && lane.model == request.model;
    Some(lanes.iter().find(is_its)?.lane)
}

fn encode(line: &JournalLine<'_>) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(line);
    json.map_err(|error| StoreError::with_source("a record could not be written as JSON", error))
}
