//! What is kept only of requests that this process enqueued or waits for.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::{Flush, Phase, Progress, Row, State};
use crate::batch::api::BatchItem;
use crate::batch::handle::{Seat, Slot};

/// Who waits for a request, and what its caller wants back with it.
#[derive(Debug, Default)]
pub(in crate::batch) struct Live {
    pub(in crate::batch) slot: Arc<Slot>,
    context: Option<Arc<dyn Any + Send + Sync>>,
}

impl State {
    /// Takes a place among those who wait for the outcome of a request.
    pub(in crate::batch) fn sit(&mut self, row: Row) -> Seat {
        self.live.entry(row).or_default().slot.sit()
    }

    /// Returns it if anybody may be there.
    pub(in crate::batch) fn slot_if_any(&self, row: Row) -> Option<Arc<Slot>> {
        self.live.get(&row).map(|live| live.slot.clone())
    }

    pub(in crate::batch) fn slots(&self) -> Vec<Arc<Slot>> {
        self.live.values().map(|live| live.slot.clone()).collect()
    }

    pub(in crate::batch) fn is_awaited(&self, row: Row) -> bool {
        self.live.get(&row).is_some_and(|live| live.slot.is_awaited())
    }

    /// Whether anybody is there to whom it matters when the outcome comes.
    pub(in crate::batch) fn is_wanted(&self, row: Row) -> bool {
        self.is_awaited(row) || (self.deliveries.is_asked() && !self.is_unwanted(row))
    }

    pub(in crate::batch) fn set_context(&mut self, row: Row, context: Arc<dyn Any + Send + Sync>) {
        self.live.entry(row).or_default().context = Some(context);
    }

    /// Lets go of what the caller gave: no more outcomes come that it could be told with.
    pub(super) fn drop_context(&mut self, row: Row) {
        if let Some(live) = self.live.get_mut(&row) {
            live.context = None;
        }
        self.leave_if_unattended(row);
    }

    pub(in crate::batch) fn has_context(&self, row: Row) -> bool {
        self.live.get(&row).is_some_and(|live| live.context.is_some())
    }

    /// Drops what is kept for those that wait, once nobody does.
    pub(in crate::batch) fn leave_if_unattended(&mut self, row: Row) {
        let left = |live: &Live| live.context.is_none() && !live.slot.is_awaited();
        if self.live.get(&row).is_some_and(left) {
            self.live.remove(&row);
        }
    }

    /// Notes that the outcome is not wanted once it is there.
    pub(in crate::batch) fn set_unwanted(&mut self, row: Row) {
        if let Some(request) = self.rows.get_mut(row) {
            request.flags.unwanted = true;
        }
    }

    pub(in crate::batch) fn is_unwanted(&self, row: Row) -> bool {
        self.rows.get(row).is_some_and(|request| request.flags.unwanted)
    }

    /// Describes a request to those outside; the body is what is known of it.
    pub(in crate::batch) fn item(&self, row: Row, body: Bytes) -> Option<BatchItem> {
        let request = self.rows.get(row)?;
        let lane = self.lanes.get(request.lane as usize)?;
        let extra = self.extras.get(&row);
        Some(BatchItem {
            id: request.id(),
            endpoint: lane.endpoint.clone(),
            model: lane.model.clone(),
            body,
            attribution: extra.map(|extra| extra.attribution.clone()).unwrap_or_default(),
            deadline: extra.and_then(|extra| extra.deadline),
            key: extra.and_then(|extra| extra.key.as_ref().map(|key| key.name.clone())),
            context: self.live.get(&row).and_then(|live| live.context.clone()),
        })
    }

    /// Counts the requests by where they are.
    pub(in crate::batch) fn progress(&self) -> Progress {
        let buffered = self.lanes.iter().map(|lane| lane.buffer.len).sum();
        let unsent = |flush: &&Flush| !matches!(flush.phase, Phase::Submitted { .. });
        let uploading: usize = self.flushes.values().filter(unsent).map(|flush| flush.open).sum();
        let uploading = uploading.min(self.open.saturating_sub(buffered));
        // An outcome counts once its books know of it.
        let in_flight = self.open.saturating_sub(buffered + uploading) + self.telling;
        Progress {
            buffered,
            held: self.held(),
            uploading,
            in_flight,
            done: self.done.saturating_sub(self.telling as u64),
        }
    }
}
