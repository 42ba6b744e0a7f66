//! What was sent on the faster lane.

use bytes::Bytes;

use super::{Place, Row, State};
use crate::batch::api::Outcome;
use crate::batch::store::Record;
use crate::id::RequestId;

/// The generation of no driver: an earlier process was sending.
const NOBODY: u64 = 0;

#[derive(Debug, Clone)]
pub(in crate::batch) enum Rescue {
    NotYet,
    /// By the driver of this generation.
    Sending(u64),
    /// It did not help; the batch may still. The body is for the observer, who is told of it later.
    Failed(Outcome, Bytes),
}

impl State {
    pub(super) fn send_intended(&mut self, id: RequestId) {
        if let Some(row) = self.find(id) {
            self.leave_buffer(row, Place::Nowhere);
            self.rescue.entry(row).or_insert(Rescue::Sending(NOBODY));
        }
    }

    pub(super) fn send_over(&mut self, id: RequestId) {
        if let Some(row) = self.find(id) {
            self.set_rescue(row, Rescue::NotYet);
            self.forget_if_over(row);
        }
    }

    /// Says of a request in the buffer whose send is lost that it is there: the journal may have an answer to it that was lost
    /// too.
    pub(in crate::batch) fn lost_send(&self, id: RequestId) -> Option<Record> {
        let request = self.get(self.find(id)?)?;
        (request.place() == Place::Buffered).then(|| Record::Requeued {
            id,
            attempts: request.attempts(),
        })
    }

    pub(in crate::batch) fn rescue(&self, row: Row) -> Rescue {
        self.rescue.get(&row).cloned().unwrap_or(Rescue::NotYet)
    }

    pub(in crate::batch) fn is_being_sent(&self, row: Row) -> bool {
        matches!(self.rescue.get(&row), Some(Rescue::Sending(_)))
    }

    pub(in crate::batch) fn set_rescue(&mut self, row: Row, rescue: Rescue) {
        match rescue {
            Rescue::NotYet => self.rescue.remove(&row),
            rescue => self.rescue.insert(row, rescue),
        };
    }

    /// Returns the requests that are being sent on the faster lane.
    pub(in crate::batch) fn rescues_under_way(&self) -> Vec<(Row, u64)> {
        let sending = self.rescue.iter().filter_map(|(row, rescue)| match rescue {
            Rescue::Sending(by) => Some((*row, *by)),
            _ => None,
        });
        sending.collect()
    }
}
