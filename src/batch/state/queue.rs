//! What the server lets be enqueued at once: tokens of a model, and batches an hour.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::PROBE_LINES;
use super::{Flush, LaneState, Phase, Request, Row, State};
use crate::batch::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};
use crate::batch::store::FlushId;
use crate::clock::{Timestamp, bounded};
use crate::id::RequestId;
use crate::model::ModelId;

/// A token is taken for this many bytes of a line: more tokens than most texts have.
const BYTES_A_TOKEN: u64 = 3;
/// The lowest limit that is guessed, in tokens; that of the lowest tier is known to be 90,000.
const LEAST: u64 = 50_000;
/// How long a limit holds that the server has named. It may be raised, and nobody tells.
const NAMED_FOR: Duration = Duration::from_secs(24 * 3_600);
/// How long a limit holds that was guessed.
const GUESSED_FOR: Duration = Duration::from_secs(3_600);
/// In which time the batches are counted that may be made.
const RATE_WINDOW: Duration = Duration::from_secs(3_600);

/// How many tokens of a model may be enqueued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    tokens: u64,
    until: Instant,
}

/// What a file of the lane may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// What follows for a batch that did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::batch) enum Refused {
    /// It is tried again: once others have ended, if there are any of ours.
    Wait { alone: bool },
    /// It is too large; smaller ones may fit.
    Split,
    /// There was no room for a long time, though nothing of ours took any.
    GiveUp,
}

impl State {
    fn model_of(&self, flush: &Flush) -> Option<&ModelId> {
        self.lanes.get(flush.lane as usize).map(|lane| &lane.model)
    }

    fn limit(&self, model: &ModelId, now: Instant) -> Option<u64> {
        let limit = self.limits.get(model)?;
        (limit.until > now).then_some(limit.tokens)
    }

    /// Returns the flushes of a model, without this one.
    fn others<'a>(
        &'a self,
        id: &'a FlushId,
        model: &'a ModelId,
    ) -> impl Iterator<Item = (&'a FlushId, &'a Flush)> {
        let flushes = self.flushes.iter();
        flushes.filter(move |(other, flush)| *other != id && self.model_of(flush) == Some(model))
    }

    fn enqueued_beside(&self, id: &FlushId, model: &ModelId) -> u64 {
        let others = self.others(id, model).filter(|(_, flush)| flush.is_enqueued());
        others.map(|(_, flush)| flush.tokens()).sum()
    }

    /// Returns until when a batch has to wait at the most before it asks again; `None` if it may be made now.
    pub(in crate::batch) fn wait_for_turn(
        &mut self,
        id: &FlushId,
        policy: &BatchPolicy,
        now: Instant,
    ) -> Option<Instant> {
        while self.made.front().is_some_and(|at| *at + RATE_WINDOW <= now) {
            self.made.pop_front();
        }
        if self.made.len() >= policy.max_batches_an_hour {
            return self.made.front().map(|at| *at + RATE_WINDOW);
        }
        let flush = self.flushes.get(id)?;
        let model = self.model_of(flush)?;
        if let Some(limit) = self.limit(model, now) {
            let enqueued = self.enqueued_beside(id, model);
            let urgency = |id: &FlushId, flush: &Flush| (flush.urgency(), id.clone());
            let first = self
                .others(id, model)
                .filter(|(_, flush)| matches!(flush.phase, Phase::Uploaded { .. }))
                .all(|(other, waiting)| urgency(other, waiting) > urgency(id, flush));
            // Alone it is tried though it may be too large: what its tokens are only the server knows.
            if !first || (enqueued > 0 && enqueued + flush.tokens() > limit) {
                return Some(now + policy.pause());
            }
        }
        self.made.push_back(now);
        None
    }

    /// Learns from a batch that the server had no room for, and says what follows.
    pub(in crate::batch) fn refused_for_tokens(
        &mut self,
        id: &FlushId,
        named: Option<u64>,
        policy: &BatchPolicy,
        now: Instant,
    ) -> Refused {
        let known = self
            .flushes
            .get(id)
            .and_then(|flush| Some((flush, self.model_of(flush)?.clone())));
        let Some((flush, model)) = known else {
            return Refused::Wait { alone: true };
        };
        let (own, many) = (flush.tokens(), flush.open > 1);
        let beside = self.enqueued_beside(id, &model);
        let (times, alone_since) = flush.refused.unwrap_or_default();
        let alone_since = alone_since.filter(|_| beside == 0);
        let limit = named.unwrap_or_else(|| beside.max(own / 2).max(LEAST));
        // One that should have fitted shares the limit with others of the account, or has more tokens than it is taken for:
        // up to three times as many, a byte each.
        let denser = beside == 0 && times >= 3 && own > limit / 4;
        let (tokens, holds) = match named {
            _ if denser => ((own - own / 4).min(limit), GUESSED_FOR),
            Some(_) => (limit, NAMED_FOR),
            None => (limit, GUESSED_FOR),
        };
        let lower = self.limit(&model, now).filter(|known| *known <= tokens);
        if lower.is_none() {
            let until = now + holds;
            self.limits.insert(model, Limit { tokens, until });
        }
        if let Some(flush) = self.flushes.get_mut(id) {
            let since = (beside == 0).then(|| alone_since.unwrap_or(now));
            flush.refused = Some((times.saturating_add(1), since));
        }
        let waited = alone_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if many && beside == 0 && own > lower.unwrap_or(tokens) {
            Refused::Split
        } else if waited >= policy.patience {
            Refused::GiveUp
        } else {
            Refused::Wait { alone: beside == 0 }
        }
    }

    /// Returns how long to wait after a refusal: longer each time.
    pub(in crate::batch) fn pause_of_refused(&self, id: &FlushId, policy: &BatchPolicy) -> Duration {
        let refused = self.flushes.get(id).and_then(|flush| flush.refused);
        let times = refused.map_or(0, |(times, _)| times.saturating_sub(1).min(5));
        policy.pause() * (1 << times)
    }

    /// Whether the lines of a lane stay buffered though they are due.
    pub(super) fn is_held(&self, number: usize, lane: &LaneState, now: Instant) -> bool {
        // More files than one that waits would only be uploaded for later, and in the wrong order.
        let waits = |flush: &Flush| flush.lane as usize == number && !flush.is_enqueued();
        lane.breaker.is_held(now)
            || (self.limit(&lane.model, now).is_some() && self.flushes.values().any(waits))
    }

    /// Returns what the next file of a lane may hold.
    pub(super) fn room(&self, lane: &LaneState, policy: &BatchPolicy, now: Instant) -> Room {
        let lines = if lane.breaker.is_closed() {
            policy.max_requests
        } else {
            policy.max_requests.min(PROBE_LINES)
        };
        // Half of the limit, so that one is filled while another runs.
        let limit = self
            .limit(&lane.model, now)
            .map(|tokens| tokens / 2 * BYTES_A_TOKEN);
        let limit = limit.and_then(|bytes| usize::try_from(bytes).ok());
        Room {
            lines,
            bytes: limit.map_or(policy.max_bytes, |bytes| bytes.min(policy.max_bytes)),
        }
    }

    /// Returns the lines of the next file that is due: full, or with a line that is older than `max_age`.
    pub(in crate::batch) fn due_lines(
        &self,
        policy: &BatchPolicy,
        max_age: Duration,
        now: Instant,
    ) -> Option<(Vec<Row>, Vec<RequestId>)> {
        let old = |row: Row| {
            let since = self.rows.get(row).map_or(0, |request| request.since);
            self.moment(since) + bounded(max_age) <= now
        };
        let due = |lane: &LaneState| {
            let (buffer, room) = (&lane.buffer, self.room(lane, policy, now));
            buffer.len >= room.lines
                || buffer.bytes > room.bytes
                || buffer.inputs > MAX_EMBEDDING_INPUTS
                || buffer.oldest().is_some_and(old)
        };
        let numbered = self.lanes.iter().enumerate();
        let mut ready = numbered.filter(|(number, lane)| due(lane) && !self.is_held(*number, lane, now));
        let (_, lane) = ready.next()?;
        let room = self.room(lane, policy, now);
        let (mut bytes, mut inputs) = (0, 0);
        // A line that alone is too large, under a policy that has changed, goes alone.
        let mut first = true;
        let fits = |(_, request): &(Row, &Request)| {
            bytes += crate::batch::line::bound(request.line.len);
            inputs += usize::from(request.inputs);
            std::mem::take(&mut first) || (bytes <= room.bytes && inputs <= MAX_EMBEDDING_INPUTS)
        };
        let oldest = lane.buffer.iter(&self.rows);
        let most = lane.buffer.len.min(room.lines);
        let mut due = (Vec::with_capacity(most), Vec::with_capacity(most));
        let named = |(row, request): (Row, &Request)| (row, request.id());
        // Where not all can go at once, those go first that are needed first.
        if self.limit(&lane.model, now).is_some() {
            let mut lines: Vec<_> = oldest.collect();
            lines.sort_by_key(|(row, _)| urgency(self.deadline(*row)));
            let lines = lines.into_iter().take(room.lines).take_while(fits);
            due.extend(lines.map(named));
        } else {
            due.extend(oldest.take(room.lines).take_while(fits).map(named));
        }
        Some(due)
    }

    /// Returns when the next file is due by its age.
    pub(in crate::batch) fn next_seal(&self, policy: &BatchPolicy, now: Instant) -> Option<Instant> {
        let next = |(number, lane): (usize, &LaneState)| {
            let since = self.rows.get(lane.buffer.oldest()?)?.since;
            let due = self.moment(since) + bounded(policy.max_delay);
            match lane.breaker.until() {
                Some(until) => Some(due.max(until)),
                // It is woken by the batch that it waits for.
                None => (!self.is_held(number, lane, now)).then_some(due),
            }
        };
        self.lanes.iter().enumerate().filter_map(next).min()
    }

    /// Returns how many buffered requests a breaker holds back.
    pub(super) fn held(&self) -> usize {
        let held = self.lanes.iter().filter(|lane| !lane.breaker.is_closed());
        held.map(|lane| lane.buffer.len).sum()
    }

    /// Notes that most of a batch has failed alike; returns for how long its lane is held back.
    pub(in crate::batch) fn trip(
        &mut self,
        id: &FlushId,
        policy: &BatchPolicy,
        now: Instant,
    ) -> Option<Duration> {
        let flush = self.flushes.get_mut(id)?;
        // Its files may be read more than once.
        if std::mem::replace(&mut flush.failed_alike, true) {
            return None;
        }
        let lane = self.lanes.get_mut(flush.lane as usize)?;
        Some(lane.breaker.trip(policy.breaker_wait, now))
    }
}

impl Flush {
    /// Returns how many tokens it is taken for.
    fn tokens(&self) -> u64 {
        self.bytes / BYTES_A_TOKEN
    }

    /// Whether its batch is there, or may be.
    const fn is_enqueued(&self) -> bool {
        matches!(self.phase, Phase::Creating { .. } | Phase::Submitted { .. })
    }

    fn urgency(&self) -> Timestamp {
        urgency(self.deadline)
    }
}

/// Orders by deadline; what has none comes last.
fn urgency(deadline: Option<Timestamp>) -> Timestamp {
    deadline.unwrap_or(Timestamp::from_unix_millis(i64::MAX))
}
