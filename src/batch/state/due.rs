//! When the buffered requests of a lane make a file.

use std::time::Duration;

use tokio::time::Instant;

use super::{Buffer, Row, State};
use crate::batch::line;
use crate::batch::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};
use crate::clock::bounded;

/// Whether a buffer fills a file.
fn is_full(buffer: &Buffer, policy: &BatchPolicy) -> bool {
    buffer.len >= policy.max_requests
        || buffer.bytes > policy.max_bytes
        || buffer.inputs > MAX_EMBEDDING_INPUTS
}

impl State {
    /// Returns the lines of the next file that is due: full, or with a line that is older than `max_age`.
    pub(in crate::batch) fn due_lines(
        &self,
        policy: &BatchPolicy,
        max_age: Duration,
        now: Instant,
    ) -> Option<Vec<Row>> {
        let old = |row: Row| {
            let since = self.rows.get(row).map_or(0, |request| request.since);
            self.moment(since) + bounded(max_age) <= now
        };
        let due = |buffer: &&Buffer| is_full(buffer, policy) || buffer.oldest().is_some_and(old);
        let buffer = self.lanes.iter().map(|lane| &lane.buffer).find(due)?;
        let (mut bytes, mut inputs) = (0, 0);
        // A line that alone is too large, under a policy that has changed, goes alone.
        let mut first = true;
        let fits = |row: &Row| {
            let request = self.rows.get(*row);
            bytes += request.map_or(0, |request| line::bound(request.line.len));
            inputs += request.map_or(0, |request| usize::from(request.inputs));
            std::mem::take(&mut first) || (bytes <= policy.max_bytes && inputs <= MAX_EMBEDDING_INPUTS)
        };
        let oldest = buffer.iter(&self.rows);
        Some(oldest.take(policy.max_requests).take_while(fits).collect())
    }

    /// Whether the driver has to look at a lane again because of a request that was just put into its buffer: it is the first
    /// one, or fills a file.
    pub(in crate::batch) fn calls_for_driver(&self, row: Row, policy: &BatchPolicy) -> bool {
        let lane = self.rows.get(row).map_or(0, |request| request.lane);
        let full = |buffer: &Buffer| buffer.len <= 1 || is_full(buffer, policy);
        let deadline = self.deadline(row).is_some();
        deadline
            || self
                .lanes
                .get(lane as usize)
                .is_none_or(|lane| full(&lane.buffer))
    }

    /// Returns when the next file is due by its age.
    pub(in crate::batch) fn next_seal(&self, policy: &BatchPolicy) -> Option<Instant> {
        let oldest = self.lanes.iter().filter_map(|lane| lane.buffer.oldest());
        let since = oldest.filter_map(|row| Some(self.rows.get(row)?.since)).min()?;
        Some(self.moment(since) + bounded(policy.max_delay))
    }
}
