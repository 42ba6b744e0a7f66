//! The writing side of a file ledger: one segment at a time, and what of it is not safe yet.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::EntryId;
use crate::ledger::file::encode::encode;
use crate::ledger::file::known_ids::{KnownIds, digest};
use crate::ledger::file::layout::Layout;
use crate::ledger::file::recent::{Recent, WINDOW};
use crate::ledger::file::sidecar;
use crate::ledger::query::DAY_MS;
use crate::ledger::{LedgerEntry, LedgerError, Recorded};
use crate::storage::{DiskFile, SegmentWriter, StorageError};

#[derive(Debug)]
pub(super) struct Writing {
    layout: Arc<Layout>,
    /// A segment is sealed once it has so many bytes.
    segment_bytes: u64,
    opened_at: Timestamp,
    current: Option<Current>,
    /// Segments that nothing will be written to any more, and that are not sealed yet.
    retired: Vec<SegmentWriter>,
    /// Segments that could not be synced. What they hold beyond what is safe was, or will be, written again.
    distrusted: Vec<SegmentWriter>,
    /// Entries that would be lost with the power now.
    unsynced: Vec<Arc<LedgerEntry>>,
    recorded: u64,
    /// How many segments were begun, and of how many the name survives a loss of power.
    begun: u64,
    names_synced: u64,
    recent: Recent,
    /// The ids from before this ledger was opened, once one of them is asked for.
    earlier: Option<KnownIds>,
}

#[derive(Debug)]
struct Current {
    writer: SegmentWriter,
    /// The day it was begun, since 1970 in UTC.
    day: i64,
}

/// What has to be synced for everything recorded until now to be safe.
#[derive(Debug)]
pub(super) struct Unsafe {
    pub(super) recorded: u64,
    entries: usize,
    /// How many segments were begun, if the name of one is not safe.
    names: Option<u64>,
    files: Vec<(PathBuf, Arc<dyn DiskFile>, u64)>,
}

impl Writing {
    pub(super) fn new(layout: Arc<Layout>, segment_bytes: u64, opened_at: Timestamp) -> Self {
        Self {
            layout,
            segment_bytes,
            opened_at,
            current: None,
            retired: Vec::new(),
            distrusted: Vec::new(),
            unsynced: Vec::new(),
            recorded: 0,
            begun: 0,
            names_synced: 0,
            recent: Recent::default(),
            earlier: None,
        }
    }

    /// Appends an entry, which `json` is, unless it is here already.
    pub(super) fn record(
        &mut self,
        entry: &Arc<LedgerEntry>,
        mut json: Vec<u8>,
        now: Timestamp,
    ) -> Result<Recorded, LedgerError> {
        let content = json.split_last().map_or(&[][..], |(_, content)| content);
        let digest = digest(content);
        match self.known(entry.id)? {
            Some(known) if known == digest => return Ok(Recorded::Duplicate),
            Some(_) => return Err(LedgerError::Conflict { id: entry.id }),
            None => {}
        }
        if entry.id.timestamp().saturating_add(WINDOW) < now {
            return Err(LedgerError::TooOld { id: entry.id });
        }
        self.append(&mut json, now)?;
        self.recent.insert(entry.id, digest, now);
        self.unsynced.push(Arc::clone(entry));
        self.recorded += 1;
        Ok(Recorded::Stored)
    }

    fn known(&mut self, id: EntryId) -> Result<Option<u32>, LedgerError> {
        if let Some(known) = self.recent.get(id) {
            return Ok(Some(known));
        }
        if id.timestamp() >= self.opened_at {
            return Ok(None);
        }
        let earlier = match &mut self.earlier {
            Some(earlier) => earlier,
            unread => unread.insert(earlier_ids(&self.layout)?),
        };
        earlier.find(id)
    }

    /// Appends a line to the current segment, which begins with its first line.
    pub(super) fn append(&mut self, json: &mut Vec<u8>, now: Timestamp) -> Result<(), StorageError> {
        self.retire_if_due(now);
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let writer = self.layout.begin_segment(now)?;
                self.begun += 1;
                none.insert(Current {
                    writer,
                    day: day_of(now),
                })
            }
        };
        current.writer.append(json)
    }

    /// Ends the current segment if it is full, of another day or cannot be written to.
    pub(super) fn retire_if_due(&mut self, now: Timestamp) {
        let is_due = |current: &mut Current| {
            let full = current.writer.bytes() >= self.segment_bytes;
            full || current.day != day_of(now) || current.writer.is_broken()
        };
        self.retired
            .extend(self.current.take_if(is_due).map(|current| current.writer));
    }

    /// Returns the segments that this ledger writes, with how many bytes of whole lines they have.
    pub(super) fn own(&self) -> HashMap<PathBuf, u64> {
        let all = self.distrusted.iter().chain(&self.retired);
        all.chain(self.current.as_ref().map(|current| &current.writer))
            .map(|writer| (writer.path().to_owned(), writer.bytes()))
            .collect()
    }

    pub(super) const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Whether nothing is left to sync.
    pub(super) fn is_safe_now(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Whether nothing is left to sync or to seal.
    pub(super) fn is_safe_and_sealed(&self) -> bool {
        self.is_safe_now() && self.retired.is_empty()
    }

    pub(super) fn not_safe(&self) -> Unsafe {
        let all = self.retired.iter();
        let all = all.chain(self.current.as_ref().map(|current| &current.writer));
        Unsafe {
            recorded: self.recorded,
            entries: self.unsynced.len(),
            names: (self.names_synced < self.begun).then_some(self.begun),
            files: all
                .filter(|writer| !writer.is_synced())
                .map(|writer| (writer.path().to_owned(), writer.file(), writer.bytes()))
                .collect(),
        }
    }

    /// Notes what was synced.
    pub(super) fn is_safe(&mut self, synced: &Unsafe) {
        let current = self.current.as_mut().map(|current| &mut current.writer);
        for writer in self.retired.iter_mut().chain(current) {
            if let Some((_, _, bytes)) = synced.files.iter().find(|(path, ..)| path == writer.path()) {
                writer.set_synced(*bytes);
            }
        }
        self.unsynced.drain(..synced.entries.min(self.unsynced.len()));
        self.names_synced = synced.names.unwrap_or(self.names_synced);
    }

    /// Notes that a sync failed. The system may have dropped what it could not sync, so that another try would prove
    /// nothing.
    pub(super) fn distrust(&mut self) {
        let failed = self.retired.extract_if(.., |writer| !writer.is_synced());
        self.distrusted.extend(failed);
        self.distrusted
            .extend(self.current.take().map(|current| current.writer));
    }

    /// After a failed sync, writes all entries that are not safe to a new segment.
    pub(super) fn write_again_if_distrusted(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        if self.distrusted.is_empty() {
            return Ok(());
        }
        // What an earlier try wrote again may be a part.
        self.distrust();
        for entry in self.unsynced.clone() {
            self.append(&mut encode(&entry)?, now)?;
        }
        // The system has all of it again, as safely as before: what could not be synced is not needed any more.
        for writer in self.distrusted.drain(..) {
            // What stays behind is not counted twice: each id counts once.
            if let Err(error) = writer.abandon() {
                tracing::warn!(target: "thrifty", ?error, "a segment that could not be synced stays behind");
            }
        }
        Ok(())
    }

    /// Takes the segments that can be sealed.
    pub(super) fn take_sealable(&mut self) -> Vec<SegmentWriter> {
        self.retired.extract_if(.., |writer| writer.is_synced()).collect()
    }

    /// Puts segments back that could not be sealed now.
    pub(super) fn put_back(&mut self, segments: Vec<SegmentWriter>) {
        self.retired.extend(segments);
    }
}

impl Unsafe {
    pub(super) const fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0 && self.files.is_empty()
    }

    /// Syncs it, without holding up those who record meanwhile.
    pub(super) fn sync(&self, layout: &Layout) -> Result<(), StorageError> {
        // The directories first: without its name in them, a synced file is lost all the same.
        if self.names.is_some() {
            layout.sync_dirs()?;
        }
        for (path, file, _) in &self.files {
            file.sync().map_err(crate::storage::io_error("sync", path))?;
        }
        Ok(())
    }
}

fn day_of(now: Timestamp) -> i64 {
    now.as_unix_millis().div_euclid(DAY_MS)
}

fn earlier_ids(layout: &Layout) -> Result<KnownIds, LedgerError> {
    let mut earlier = KnownIds::new(layout.disk());
    let sidecars = layout.sidecars()?;
    for path in &sidecars {
        let seal = sidecar::read_seal(&*layout.disk(), path)?;
        if let Some(ids) = seal.ids {
            earlier.add(layout.segment_of(path), ids, seal.skipped());
        }
    }
    for segment in layout.segments()? {
        if sidecars.binary_search(&layout.sidecar_of(&segment)).is_err() {
            earlier.add_open(segment)?;
        }
    }
    Ok(earlier)
}
