//! When a new request is work for the driver.

use super::{Buffer, Row, State};
use crate::batch::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};

/// Whether a buffer fills a file.
fn is_full(buffer: &Buffer, policy: &BatchPolicy) -> bool {
    buffer.len >= policy.max_requests
        || buffer.bytes > policy.max_bytes
        || buffer.inputs > MAX_EMBEDDING_INPUTS
}

impl State {
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
}
