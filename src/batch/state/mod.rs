//! What a collector knows: the fold of its journal's records.

mod breaker;
mod buffer;
mod crowd;
mod due;
mod flushes;
mod live;
mod lost_answers;
mod queue;
mod rescue;
mod rows;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcomes::Deliveries;
use super::store::{FlushId, Record, StoredRequest, Verdict};
use super::turnaround::Turnaround;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;

use breaker::Breaker;
pub(super) use breaker::is_most;
use buffer::Buffer;
use crowd::Crowd;
pub(super) use crowd::MAX_RESCUES;
pub(super) use flushes::{Flush, Phase};
pub(super) use live::Live;
use queue::Limit;
pub(super) use queue::Refused;
pub(super) use rescue::Rescue;
use rows::Rows;
pub(super) use rows::{Place, Request, Row};

/// How many requests are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Progress {
    /// Waiting for a file.
    pub buffered: usize,
    /// Of those, the ones that wait because most of an earlier batch of theirs has failed alike.
    pub held: usize,
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

/// What a request's age is counted in.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) flushes: BTreeMap<FlushId, Flush>,
    /// When to send which request on the faster lane, and how many of them are under way.
    pub(super) rescues: BTreeSet<(Instant, RequestId)>,
    pub(super) rescuing: usize,
    pub(super) shut: bool,
    /// Whether a driver is at work.
    pub(super) driven: bool,
    /// Counts the drivers: work that an earlier one began is nobody's.
    pub(super) generation: u64,
    /// Records that took effect but that the store had no room for. They come before any other.
    pub(super) unwritten: Vec<Record>,
    pub(super) deliveries: Deliveries,
    /// How many requests are settled whose outcome is not told yet.
    pub(super) telling: usize,
    rows: Rows,
    keys: HashMap<Arc<str>, Row>,
    extras: HashMap<Row, Extra>,
    live: HashMap<Row, Live>,
    rescue: HashMap<Row, Rescue>,
    verdicts: HashMap<Row, Verdict>,
    lanes: Vec<LaneState>,
    lane_numbers: HashMap<(Endpoint, ModelId), u32>,
    flush_ids: HashMap<u32, FlushId>,
    next_flush: u32,
    crowd: Crowd,
    limits: HashMap<ModelId, Limit>,
    /// When batches were made, within the last hour.
    made: VecDeque<Instant>,
    began: Option<Instant>,
    /// The time that counts for what an earlier collector left.
    loading: Option<Instant>,
    open: usize,
    done: u64,
}

/// The requests of one endpoint and model.
#[derive(Debug)]
pub(super) struct LaneState {
    endpoint: Endpoint,
    model: ModelId,
    buffer: Buffer,
    breaker: Breaker,
    pub(super) turnaround: Turnaround,
    /// How many files in a row the server has refused as a whole.
    pub(super) refused: u32,
}

/// What only some requests have.
#[derive(Debug, Clone)]
struct Extra {
    attribution: Attribution,
    deadline: Option<Timestamp>,
    key: Option<super::store::RequestKey>,
}

impl State {
    /// Lets a stored record take effect.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Enqueued(request) => {
                self.enqueued(request);
            }
            Record::Sealed { flush, lines } => {
                // It is there already if its record came twice. What is over is forgotten then, and no line any more.
                self.closed(flush);
                let rows = lines.iter().filter_map(|id| self.find(*id)).collect();
                self.sealed(flush, rows);
            }
            Record::UploadIntended { flush, without } => {
                self.change(flush, |flush| {
                    flush.uploads += 1;
                    flush.phase = Phase::Uploading;
                    flush.fenced = false;
                });
                for row in without.iter().filter_map(|id| self.find(*id)).collect::<Vec<_>>() {
                    self.leave_flush(row);
                }
                // A server names lines by their number in the file.
                self.forget_left_lines(flush);
            }
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
                if let Some(row) = self.find(*id) {
                    self.unsettle(row);
                    self.leave_flush(row);
                    self.requeued(row, *attempts);
                }
            }
            Record::SendIntended { id } => self.send_intended(*id),
            Record::SendOver { id } => self.send_over(*id),
            Record::Settled { id, verdict } => {
                if let Some(row) = self.find(*id) {
                    // If it was settled before, that answer was lost.
                    self.unsettle(row);
                    self.settled(row, verdict.clone());
                }
            }
            Record::Released { id } => {
                if let Some(row) = self.find(*id) {
                    self.leave_flush(row);
                }
            }
            Record::Acknowledged { id, .. } => {
                if let Some(row) = self.find(*id) {
                    self.acknowledged(row);
                }
            }
            Record::Closed { flush } => self.closed(flush),
        }
    }

    pub(super) fn find(&self, id: RequestId) -> Option<Row> {
        self.rows.find(id)
    }

    pub(super) fn get(&self, row: Row) -> Option<&Request> {
        self.rows.get(row)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<Row> {
        self.keys.get(key).copied()
    }

    /// Returns whether the key of a request is for a body of this digest.
    pub(super) fn has_digest(&self, row: Row, digest: [u64; 2]) -> bool {
        let key = self.extras.get(&row).and_then(|extra| extra.key.as_ref());
        key.is_some_and(|key| key.digest == digest)
    }

    pub(super) fn has_key(&self, row: Row) -> bool {
        self.extras.get(&row).is_some_and(|extra| extra.key.is_some())
    }

    pub(super) fn deadline(&self, row: Row) -> Option<Timestamp> {
        self.extras.get(&row)?.deadline
    }

    /// Returns the requests that have a deadline.
    pub(super) fn with_deadline(&self) -> Vec<Row> {
        let with = self.extras.iter().filter(|(_, extra)| extra.deadline.is_some());
        with.map(|(row, _)| *row).collect()
    }

    /// Returns by when half of the last batches of an endpoint and model have ended, if there were enough.
    pub(super) fn learned_turnaround(&self, endpoint: &Endpoint, model: &ModelId) -> Option<Duration> {
        let number = self.lane_numbers.get(&(endpoint.clone(), model.clone()))?;
        let lane = self.lanes.get(*number as usize)?;
        lane.turnaround.learned()
    }

    /// Returns by when half of the batches of an endpoint and model are supposed to end.
    pub(super) fn expected_turnaround(&self, endpoint: &Endpoint, model: &ModelId) -> Duration {
        let number = self.lane_numbers.get(&(endpoint.clone(), model.clone()));
        let lane = number.and_then(|number| self.lanes.get(*number as usize));
        lane.map_or_else(
            || Turnaround::default().expected(),
            |lane| lane.turnaround.expected(),
        )
    }

    /// Returns the lane of a flush.
    pub(super) fn lane_of(&mut self, flush: &FlushId) -> Option<&mut LaneState> {
        let lane = self.flushes.get(flush)?.lane;
        self.lanes.get_mut(lane as usize)
    }

    pub(super) fn endpoint(&self, row: Row) -> Option<Endpoint> {
        let lane = self.rows.get(row)?.lane;
        Some(self.lanes.get(lane as usize)?.endpoint.clone())
    }

    pub(super) fn verdict(&self, row: Row) -> Option<&Verdict> {
        self.verdicts.get(&row)
    }

    pub(super) fn replace_verdict(&mut self, row: Row, verdict: Verdict) {
        self.verdicts.insert(row, verdict);
    }

    /// Returns how many outcomes are not acknowledged.
    pub(super) fn verdicts(&self) -> usize {
        self.verdicts.len()
    }

    /// Takes what comes until it begins as of now.
    pub(super) fn loading() -> Self {
        Self {
            loading: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// Counts from now on what this collector does.
    pub(super) fn begin(&mut self) {
        self.done = 0;
        self.loading = None;
    }

    fn lane(&mut self, endpoint: &Endpoint, model: &ModelId) -> u32 {
        let last = self.lanes.last();
        if last.is_some_and(|lane| lane.endpoint == *endpoint && lane.model == *model) {
            return u32::try_from(self.lanes.len() - 1).unwrap_or(u32::MAX);
        }
        let next = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let number = *self
            .lane_numbers
            .entry((endpoint.clone(), model.clone()))
            .or_insert(next);
        if number == next {
            self.lanes.push(LaneState {
                endpoint: endpoint.clone(),
                model: model.clone(),
                buffer: Buffer::default(),
                breaker: Breaker::default(),
                turnaround: Turnaround::default(),
                refused: 0,
            });
        }
        number
    }

    fn ticks(&mut self) -> u32 {
        let now = self.loading.unwrap_or_else(Instant::now);
        let since = now.saturating_duration_since(*self.began.get_or_insert(now));
        u32::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    fn moment(&self, ticks: u32) -> Instant {
        self.began.unwrap_or_else(Instant::now) + TICK * ticks
    }

    /// Takes in a request that is stored. One that is known already stays as it is.
    pub(super) fn enqueued(&mut self, request: &StoredRequest) -> Option<Row> {
        let extent = request.line.extent()?;
        if let Some(known) = self.find(request.id) {
            return Some(known);
        }
        let (lane, since) = (self.lane(&request.endpoint, &request.model), self.ticks());
        let row = Request::new(request.id, extent, lane, since, request.inputs);
        let row = self.rows.insert(row);
        let plain = Attribution::default();
        if request.key.is_some() || request.deadline.is_some() || request.attribution != plain {
            let extra = Extra {
                attribution: request.attribution.clone(),
                deadline: request.deadline,
                key: request.key.clone(),
            };
            self.extras.insert(row, extra);
        }
        if let Some(key) = &request.key {
            self.keys.insert(key.name.clone(), row);
        }
        self.open += 1;
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.buffer.push_back(&mut self.rows, row);
        }
        Some(row)
    }

    pub(super) fn requeued(&mut self, row: Row, attempts: u32) {
        let Some(request) = self.rows.get_mut(row) else {
            return;
        };
        request.set_attempts(attempts);
        if request.place() != Place::Nowhere || request.is_settled() {
            return;
        }
        let lane = request.lane as usize;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.buffer.push_front(&mut self.rows, row);
        }
    }

    /// Puts what was on a faster lane only when the last collector died back into the buffer.
    pub(super) fn take_back_what_is_nowhere(&mut self) {
        let lost = |request: &Request| !request.is_settled() && request.place() == Place::Nowhere;
        let rows = self.rows.iter().filter(|(_, request)| lost(request));
        let rows: Vec<_> = rows.map(|(row, _)| row).collect();
        for row in rows {
            self.take_back(row);
        }
    }

    /// Puts a request that is in no batch, and not over, back into the buffer.
    pub(super) fn take_back(&mut self, row: Row) {
        if let Some(attempts) = self.rows.get(row).map(Request::attempts) {
            self.requeued(row, attempts);
        }
    }

    pub(super) fn settled(&mut self, row: Row, verdict: Verdict) {
        self.leave_buffer(row, Place::Nowhere);
        let Some(request) = self.rows.get_mut(row).filter(|request| !request.is_settled()) else {
            return;
        };
        request.flags.settled = true;
        self.open = self.open.saturating_sub(1);
        self.done += 1;
        self.verdicts.insert(row, verdict);
        self.forget_if_over(row);
    }

    /// Replaces a verdict by the same one, whose answer is stored now.
    pub(super) fn stored(&mut self, record: &Record) {
        if let Record::Settled { id, verdict } = record
            && let Some(row) = self.find(*id)
            && let Some(known) = self.verdicts.get_mut(&row)
        {
            known.clone_from(verdict);
        }
    }

    pub(super) fn acknowledged(&mut self, row: Row) {
        let Some(request) = self.rows.get_mut(row) else {
            return;
        };
        request.flags.acknowledged = true;
        self.verdicts.remove(&row);
        let key = self.extras.get_mut(&row).and_then(|extra| extra.key.take());
        if let Some(key) = key
            && self.keys.get(&key.name) == Some(&row)
        {
            self.keys.remove(&key.name);
        }
        self.forget_if_over(row);
    }

    /// Forgets of a request what is for its outcomes, once no more can come, and all of it once nobody needs the one that
    /// came.
    pub(super) fn forget_if_over(&mut self, row: Row) {
        let over = |request: &&Request| request.is_settled() && request.place() == Place::Nowhere;
        let Some(request) = self.rows.get(row).filter(over) else {
            return;
        };
        if matches!(self.rescue.get(&row), Some(Rescue::Sending(_))) {
            return;
        }
        if request.flags.acknowledged {
            self.extras.remove(&row);
            self.live.remove(&row);
            self.rescue.remove(&row);
            self.verdicts.remove(&row);
            self.rows.remove(row);
        } else {
            self.drop_context(row);
        }
    }

    /// Takes a request out of its buffer; does nothing if it is in none.
    pub(super) fn leave_buffer(&mut self, row: Row, to: Place) {
        let buffered = |request: &&Request| request.place() == Place::Buffered;
        let Some(lane) = self.rows.get(row).filter(buffered).map(|request| request.lane) else {
            return;
        };
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.buffer.remove(&mut self.rows, row, to);
        }
    }

    /// Whether there is nothing to do, now or later.
    pub(super) fn is_idle(&self) -> bool {
        self.open == 0 && self.flushes.is_empty() && self.rescuing == 0 && self.unwritten.is_empty()
    }

    pub(super) fn pending(&self) -> Vec<RequestId> {
        let open = self.rows.iter().filter(|(_, request)| !request.is_settled());
        let mut pending = Vec::with_capacity(self.open);
        pending.extend(open.map(|(_, request)| request.id()));
        pending
    }

    /// Returns what is pending, of which these are a part; they are all of it after most flushes.
    pub(super) fn pending_with(&self, sealed: Vec<RequestId>) -> Vec<RequestId> {
        if sealed.len() == self.open {
            return sealed;
        }
        self.pending()
    }

    /// Returns every request.
    pub(super) fn requests(&self) -> impl Iterator<Item = (Row, &Request)> {
        self.rows.iter()
    }
}
