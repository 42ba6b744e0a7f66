//! Files and their batches, and which requests are in them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Place, Request, Row, State};
use crate::batch::store::FlushId;
use crate::clock::Timestamp;

/// One file and its batch.
#[derive(Debug)]
pub(in crate::batch) struct Flush {
    /// Tells its lines from those that have left it.
    number: u32,
    /// A row may belong to another request by now.
    lines: Vec<Row>,
    /// How many lines nothing is known of yet.
    pub(super) open: usize,
    pub(in crate::batch) phase: Phase,
    pub(in crate::batch) uploads: u32,
    /// Its input file was deleted to keep a lost batch from running.
    pub(in crate::batch) fenced: bool,
    /// Its input file was gone when its batch was to be made, and another one is uploaded.
    pub(in crate::batch) uploaded_anew: bool,
    /// The generation of the driver that works on it.
    pub(in crate::batch) runner: u64,
    /// The generation of the driver that has uploaded its file; 0 for an earlier process.
    pub(in crate::batch) uploaded_by: u64,
    pub(super) lane: u32,
    /// The size of its lines.
    pub(super) bytes: u64,
    /// The earliest of its lines.
    pub(super) deadline: Option<Timestamp>,
    /// When its batch was made, if this process has made it.
    pub(in crate::batch) made_at: Option<Instant>,
    /// How often its batch did not fit, and since when though no other of ours was there.
    pub(super) refused: Option<(u32, Option<Instant>)>,
    /// Most of its lines have failed in the same way.
    pub(super) failed_alike: bool,
}

impl Flush {
    pub(in crate::batch) const fn open(&self) -> usize {
        self.open
    }
}

#[derive(Debug, Clone)]
pub(in crate::batch) enum Phase {
    Sealed,
    /// Its file was about to be sent; whether the server has it is not known.
    Uploading,
    Uploaded {
        file_id: Arc<str>,
    },
    Creating {
        file_id: Arc<str>,
        at: Timestamp,
    },
    Submitted {
        batch_id: Arc<str>,
        file_id: Arc<str>,
    },
}

impl Phase {
    /// Returns the input file, if the server has it.
    pub(in crate::batch) const fn file_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::Sealed | Self::Uploading => None,
            Self::Uploaded { file_id } | Self::Creating { file_id, .. } | Self::Submitted { file_id, .. } => {
                Some(file_id)
            }
        }
    }
}

impl State {
    /// Makes buffered requests the lines of a file.
    pub(in crate::batch) fn sealed(&mut self, id: &FlushId, lines: Vec<Row>) {
        self.next_flush += 1;
        let number = self.next_flush;
        let (place, mut sum) = (Place::InFlush(number), Sum::default());
        let first = lines.first().and_then(|row| self.rows.get(*row));
        let mut lane = first.map_or(0, |request| request.lane);
        // Most files are made of what has waited for the longest time.
        let oldest = self.lanes.get_mut(lane as usize).map_or(0, |lane| {
            let extras = &self.extras;
            let each = |row, request: &mut Request| {
                sum.add(request, extras.get(&row).and_then(|extra| extra.deadline));
            };
            lane.buffer.take_oldest(&mut self.rows, &lines, place, each)
        });
        for row in lines.get(oldest..).unwrap_or_default() {
            match self.rows.get(*row).map(Request::place) {
                Some(Place::Buffered) => self.leave_buffer(*row, place),
                Some(Place::InFlush(_)) => self.leave_flush(*row),
                Some(Place::Nowhere) | None => {}
            }
            let deadline = self.deadline(*row);
            // One that is settled keeps its place in the order of the lines only.
            let request = self.rows.get_mut(*row);
            if let Some(request) = request.filter(|request| !request.is_settled()) {
                request.set_place(place);
                lane = request.lane;
                sum.add(request, deadline);
            }
        }
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.breaker.sealed();
        }
        let flush = Flush {
            number,
            lines,
            open: sum.open,
            phase: Phase::Sealed,
            uploads: 0,
            fenced: false,
            uploaded_anew: false,
            runner: 0,
            uploaded_by: 0,
            lane,
            bytes: sum.bytes,
            deadline: sum.deadline,
            made_at: None,
            refused: None,
            failed_alike: false,
        };
        self.flushes.insert(id.clone(), flush);
        self.flush_ids.insert(number, id.clone());
    }

    /// Returns the flush that a request is in.
    pub(in crate::batch) fn flush_of(&self, request: &Request) -> Option<&Flush> {
        let Place::InFlush(number) = request.place() else {
            return None;
        };
        self.flushes.get(self.flush_ids.get(&number)?)
    }

    pub(super) fn change(&mut self, flush: &FlushId, change: impl FnOnce(&mut Flush)) {
        if let Some(flush) = self.flushes.get_mut(flush) {
            change(flush);
        }
    }

    /// Returns the rows of a flush that are still in it, in the order of their lines; `None` for one that has left.
    pub(in crate::batch) fn lines_of(&self, flush: &FlushId) -> impl ExactSizeIterator<Item = Option<Row>> {
        let flush = self.flushes.get(flush);
        let place = flush.map(|flush| Place::InFlush(flush.number));
        let lines = flush.map(|flush| &*flush.lines).unwrap_or_default();
        let still = move |row: &Row| self.rows.get(*row).map(Request::place) == place;
        lines.iter().map(move |row| still(row).then_some(*row))
    }

    /// Returns the input file of a flush, if the server has it.
    pub(in crate::batch) fn input_file(&self, flush: &FlushId) -> Option<Arc<str>> {
        self.flushes.get(flush)?.phase.file_id().cloned()
    }

    /// Returns how often a flush was about to be uploaded.
    pub(in crate::batch) fn uploads(&self, flush: &FlushId) -> u32 {
        self.flushes.get(flush).map_or(0, |flush| flush.uploads)
    }

    /// Returns the rows of a flush of which nothing is known yet.
    pub(in crate::batch) fn open_lines(&self, flush: &FlushId) -> Vec<Row> {
        let lines = self.lines_of(flush).flatten();
        let open = |row: &Row| self.rows.get(*row).is_some_and(|request| request.flags.open);
        lines.filter(open).collect()
    }

    /// Keeps only those lines that are still in a flush, as they are in its file.
    pub(super) fn forget_left_lines(&mut self, id: &FlushId) {
        let all_are_open = |flush: &Flush| flush.open == flush.lines.len();
        if self.flushes.get(id).is_none_or(all_are_open) {
            return;
        }
        let kept = self.lines_of(id).flatten().collect();
        self.change(id, |flush| flush.lines = kept);
    }

    /// Takes a line off those that are open; its request stays known until it is released.
    pub(in crate::batch) fn take(&mut self, id: &FlushId, row: Row) -> bool {
        let Some(flush) = self.flushes.get_mut(id) else {
            return false;
        };
        let place = Place::InFlush(flush.number);
        let request = self.rows.get_mut(row);
        let open = request.filter(|request| request.place() == place && request.flags.open);
        let Some(request) = open else { return false };
        request.flags.open = false;
        flush.open = flush.open.saturating_sub(1);
        true
    }

    /// Whether a batch is one of those that run.
    pub(in crate::batch) fn has_batch(&self, batch: &str) -> bool {
        self.flush_of_batch(batch).is_some()
    }

    pub(super) fn flush_of_batch(&self, batch: &str) -> Option<FlushId> {
        let is_of =
            |flush: &Flush| matches!(&flush.phase, Phase::Submitted { batch_id, .. } if **batch_id == *batch);
        let mut flushes = self.flushes.iter();
        flushes.find(|(_, flush)| is_of(flush)).map(|(id, _)| id.clone())
    }

    /// Puts a line back into its flush, as if nothing were known of it.
    pub(super) fn return_to(&mut self, id: &FlushId, row: Row) {
        self.leave_flush(row);
        let Some(flush) = self.flushes.get_mut(id) else {
            return;
        };
        if let Some(request) = self.rows.get_mut(row) {
            request.set_place(Place::InFlush(flush.number));
            request.flags.open = true;
            flush.open += 1;
        }
    }

    /// Puts a line back that was taken, as its outcome could not be stored.
    pub(in crate::batch) fn put_back(&mut self, id: &FlushId, row: Row) {
        let Some(flush) = self.flushes.get_mut(id) else {
            return;
        };
        let place = Place::InFlush(flush.number);
        let request = self.rows.get_mut(row);
        if let Some(request) = request.filter(|request| request.place() == place && !request.flags.open) {
            request.flags.open = true;
            flush.open += 1;
        }
    }

    /// Takes a request out of its flush, in whichever it is.
    pub(in crate::batch) fn leave_flush(&mut self, row: Row) {
        let Some(request) = self.rows.get_mut(row) else {
            return;
        };
        if let Place::InFlush(number) = request.place() {
            let was_open = std::mem::take(&mut request.flags.open);
            request.set_place(Place::Nowhere);
            let flush = self.flush_ids.get(&number);
            if was_open && let Some(flush) = flush.and_then(|id| self.flushes.get_mut(id)) {
                flush.open = flush.open.saturating_sub(1);
            }
        }
        self.forget_if_over(row);
    }

    pub(super) fn closed(&mut self, id: &FlushId) {
        let lines: Vec<_> = self.lines_of(id).flatten().collect();
        let Some(flush) = self.flushes.remove(id) else {
            return;
        };
        self.flush_ids.remove(&flush.number);
        let lane = self.lanes.get_mut(flush.lane as usize);
        if let Some(lane) = lane.filter(|_| !flush.failed_alike) {
            lane.breaker.ended();
        }
        for row in lines {
            self.leave_flush(row);
        }
    }
}

/// What the lines of a flush come to.
#[derive(Debug, Default)]
struct Sum {
    open: usize,
    bytes: u64,
    deadline: Option<Timestamp>,
}

impl Sum {
    fn add(&mut self, request: &mut Request, deadline: Option<Timestamp>) {
        request.flags.open = true;
        self.open += 1;
        self.bytes += u64::from(request.line.len);
        self.deadline = earlier(self.deadline, deadline);
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
