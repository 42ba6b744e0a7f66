//! What a collector knows: the fold of its journal's records.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::api::{BatchItem, Outcome};
use super::handle::Slot;
use super::line;
use super::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};
use super::store::{FlushId, Record};
use crate::clock::{Timestamp, bounded};
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;

/// How many requests are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Progress {
    /// Waiting for a file.
    pub buffered: usize,
    /// In a file whose batch is not made yet.
    pub uploading: usize,
    /// In a batch, or on a faster lane.
    pub in_flight: usize,
    /// Settled since the collector was made.
    pub done: u64,
}

impl Progress {
    /// Returns how many requests are not settled.
    pub fn pending(&self) -> usize {
        self.buffered + self.uploading + self.in_flight
    }
}

type LaneKey = (Endpoint, ModelId);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: HashMap<RequestId, Entry>,
    pub(super) keys: HashMap<Arc<str>, RequestId>,
    pub(super) flushes: BTreeMap<FlushId, Flush>,
    /// When to send which request on the faster lane, and how many of them are under way.
    pub(super) rescues: BTreeSet<(Instant, RequestId)>,
    pub(super) rescuing: usize,
    pub(super) shut: bool,
    /// Whether a driver is at work.
    pub(super) driven: bool,
    /// Counts the drivers: work that an earlier one began is nobody's.
    pub(super) generation: u64,
    buffers: BTreeMap<LaneKey, Buffer>,
    open: usize,
    done: u64,
}

/// One request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) item: BatchItem,
    pub(super) slot: Arc<Slot>,
    pub(super) place: Place,
    pub(super) attempts: u32,
    pub(super) settled: bool,
    pub(super) rescue: Rescue,
    since: Instant,
    inputs: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Buffered,
    InFlush(FlushId),
    /// In no batch: on the faster lane only, or over.
    Nowhere,
}

#[derive(Debug)]
pub(super) enum Rescue {
    NotYet,
    /// By the driver of this generation.
    Sending(u64),
    /// It did not help; the batch may still.
    Failed(Outcome),
}

#[derive(Debug, Default)]
struct Buffer {
    /// The oldest first.
    waiting: BTreeSet<(Instant, RequestId)>,
    bytes: usize,
    inputs: usize,
}

/// One file and its batch.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) lines: Vec<RequestId>,
    /// The lines of which nothing is known yet.
    pub(super) open: HashSet<RequestId>,
    pub(super) phase: Phase,
    pub(super) uploads: u32,
    /// Its input file was deleted to keep a lost batch from running.
    pub(super) fenced: bool,
    /// The generation of the driver that works on it.
    pub(super) runner: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Sealed,
    Uploaded { file_id: Arc<str> },
    Creating { file_id: Arc<str>, at: Timestamp },
    Submitted { batch_id: Arc<str>, file_id: Arc<str> },
}

impl State {
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Enqueued(item) => self.enqueued(item),
            Record::Sealed { flush, lines } => {
                for id in lines {
                    // A store may have forgotten that it was requeued out of an earlier one.
                    self.leave_flush(*id);
                    self.leave_buffer(*id, Place::InFlush(flush.clone()));
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.place = Place::InFlush(flush.clone());
                    }
                }
                let open = lines
                    .iter()
                    .filter(|id| self.entries.contains_key(*id))
                    .copied()
                    .collect();
                let flush_state = Flush {
                    lines: lines.clone(),
                    open,
                    phase: Phase::Sealed,
                    uploads: 0,
                    fenced: false,
                    runner: 0,
                };
                self.flushes.insert(flush.clone(), flush_state);
            }
            Record::UploadIntended { flush, .. } => self.change(flush, |flush| flush.uploads += 1),
            Record::Uploaded { flush, input_file_id } => self.change(flush, |flush| {
                flush.phase = Phase::Uploaded {
                    file_id: input_file_id.clone(),
                };
            }),
            Record::CreateIntended {
                flush,
                input_file_id,
                at,
            } => self.change(flush, |flush| {
                flush.phase = Phase::Creating {
                    file_id: input_file_id.clone(),
                    at: *at,
                };
            }),
            Record::CreateAbandoned { flush } => self.change(flush, |flush| flush.phase = Phase::Sealed),
            Record::Submitted { flush, batch_id } => self.change(flush, |flush| {
                if let Phase::Creating { file_id, .. } = &flush.phase {
                    flush.phase = Phase::Submitted {
                        batch_id: batch_id.clone(),
                        file_id: file_id.clone(),
                    };
                }
            }),
            Record::Requeued { id, attempts } => {
                self.leave_flush(*id);
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.attempts = *attempts;
                    entry.place = Place::Buffered;
                }
                self.enter_buffer(*id);
            }
            Record::Settled { id, .. } => self.settled(*id),
            Record::Closed { flush } => {
                let closed = self.flushes.remove(flush);
                for id in closed.into_iter().flat_map(|flush| flush.open) {
                    self.leave_flush(id);
                }
            }
        }
    }

    fn change(&mut self, flush: &FlushId, change: impl FnOnce(&mut Flush)) {
        if let Some(flush) = self.flushes.get_mut(flush) {
            change(flush);
        }
    }

    fn enqueued(&mut self, item: &BatchItem) {
        let entry = Entry {
            inputs: line::inputs(&item.endpoint, &item.body),
            item: item.clone(),
            slot: Arc::default(),
            place: Place::Buffered,
            attempts: 0,
            settled: false,
            rescue: Rescue::NotYet,
            since: Instant::now(),
        };
        if self.entries.insert(item.id, entry).is_none() {
            self.open += 1;
        }
        if let Some(key) = &item.key {
            self.keys.insert(key.clone(), item.id);
        }
        self.enter_buffer(item.id);
    }

    fn settled(&mut self, id: RequestId) {
        self.leave_buffer(id, Place::Nowhere);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.settled) else {
            return;
        };
        entry.settled = true;
        self.open = self.open.saturating_sub(1);
        self.done += 1;
        if let Some(key) = &entry.item.key {
            self.keys.remove(key);
        }
        self.forget_if_over(id);
    }

    /// Forgets a request that has its outcome and of which no second one can come.
    pub(super) fn forget_if_over(&mut self, id: RequestId) {
        let over = |entry: &Entry| {
            entry.settled && entry.place == Place::Nowhere && !matches!(entry.rescue, Rescue::Sending(_))
        };
        if self.entries.get(&id).is_some_and(over) {
            self.entries.remove(&id);
        }
    }

    fn enter_buffer(&mut self, id: RequestId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let key = (entry.item.endpoint.clone(), entry.item.model.clone());
        let buffer = self.buffers.entry(key).or_default();
        if buffer.waiting.insert((entry.since, id)) {
            buffer.bytes += line::size(&entry.item.body);
            buffer.inputs += entry.inputs;
        }
    }

    /// Takes a request out of its buffer; does nothing if it is in none.
    pub(super) fn leave_buffer(&mut self, id: RequestId, to: Place) {
        let Some(entry) = self
            .entries
            .get_mut(&id)
            .filter(|entry| entry.place == Place::Buffered)
        else {
            return;
        };
        entry.place = to;
        let key = (entry.item.endpoint.clone(), entry.item.model.clone());
        if let Some(buffer) = self.buffers.get_mut(&key)
            && buffer.waiting.remove(&(entry.since, id))
        {
            buffer.bytes = buffer.bytes.saturating_sub(line::size(&entry.item.body));
            buffer.inputs = buffer.inputs.saturating_sub(entry.inputs);
            if buffer.waiting.is_empty() {
                self.buffers.remove(&key);
            }
        }
    }

    /// Takes a request out of its flush, in whichever it is.
    pub(super) fn leave_flush(&mut self, id: RequestId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Place::InFlush(flush) = &entry.place {
            if let Some(flush) = self.flushes.get_mut(flush) {
                flush.open.remove(&id);
            }
            entry.place = Place::Nowhere;
        }
        self.forget_if_over(id);
    }

    /// Returns the lines of the next file that is due: full, or with a line that is older than `max_age`.
    pub(super) fn due_lines(
        &self,
        policy: &BatchPolicy,
        max_age: Duration,
        now: Instant,
    ) -> Option<Vec<RequestId>> {
        let due = |buffer: &&Buffer| {
            buffer.waiting.len() >= policy.max_requests
                || buffer.bytes > policy.max_bytes
                || buffer.inputs > MAX_EMBEDDING_INPUTS
                || buffer
                    .waiting
                    .first()
                    .is_some_and(|(since, _)| *since + bounded(max_age) <= now)
        };
        let buffer = self.buffers.values().find(due)?;
        let (mut bytes, mut inputs) = (0, 0);
        // A line that alone is too large, under a policy that has changed, goes alone.
        let mut first = true;
        let fits = |id: &RequestId| {
            let entry = self.entries.get(id);
            bytes += entry.map_or(0, |entry| line::size(&entry.item.body));
            inputs += entry.map_or(0, |entry| entry.inputs);
            std::mem::take(&mut first) || (bytes <= policy.max_bytes && inputs <= MAX_EMBEDDING_INPUTS)
        };
        let oldest = buffer.waiting.iter().map(|(_, id)| *id);
        Some(oldest.take(policy.max_requests).take_while(fits).collect())
    }

    /// Returns when the next file is due by its age.
    pub(super) fn next_seal(&self, policy: &BatchPolicy) -> Option<Instant> {
        let oldest = self.buffers.values().filter_map(|buffer| buffer.waiting.first());
        oldest.map(|(since, _)| *since + bounded(policy.max_delay)).min()
    }

    /// Whether there is nothing to do, now or later.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.flushes.is_empty()
    }

    pub(super) fn pending(&self) -> Vec<RequestId> {
        let open = self.entries.iter().filter(|(_, entry)| !entry.settled);
        let mut ids: Vec<_> = open.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn progress(&self) -> Progress {
        let buffered = self.buffers.values().map(|buffer| buffer.waiting.len()).sum();
        let unsent = |flush: &&Flush| !matches!(flush.phase, Phase::Submitted { .. });
        let uploading: usize = self
            .flushes
            .values()
            .filter(unsent)
            .map(|flush| flush.open.len())
            .sum();
        let uploading = uploading.min(self.open.saturating_sub(buffered));
        let in_flight = self.open.saturating_sub(buffered + uploading);
        Progress {
            buffered,
            uploading,
            in_flight,
            done: self.done,
        }
    }
}
