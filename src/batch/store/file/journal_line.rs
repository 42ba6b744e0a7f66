//! One line of the journal, without its checksum.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::packed::Packed;
use crate::attribution::Attribution;
use crate::batch::store::{Content, Record, RequestKey, StoredRequest};
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;

/// What one append wrote: all of it takes effect, or none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct JournalLine<'a> {
    /// A snapshot begins or ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<Edge>,
    /// Lanes that are named for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lanes: Vec<LaneLine>,
    /// Requests that were enqueued; they come before the other records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) enqueued: Vec<EnqueuedLine>,
    /// Files and how long they were at a snapshot: what is in them by then is safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<(u32, u64)>,
    /// The next ones of the file of packed requests beside this segment were enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packed: Option<Packed>,
    #[serde(default, skip_serializing_if = "<[Record]>::is_empty")]
    pub(super) records: Cow<'a, [Record]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Edge {
    Begin,
    End,
}

/// What the requests of a lane have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaneLine {
    pub(super) lane: u32,
    pub(super) endpoint: Endpoint,
    pub(super) model: ModelId,
    /// Whose requests they are: base URL and a fingerprint of the credentials, if whoever opened the spool said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Arc<str>>,
}

/// A request that was enqueued, without what its lane says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EnqueuedLine {
    id: RequestId,
    pub(super) lane: u32,
    /// File, first byte, length and CRC-32C.
    line: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attribution: Option<Attribution>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<RequestKey>,
}

impl EnqueuedLine {
    pub(super) fn of(request: &StoredRequest, lane: u32) -> Self {
        Self {
            id: request.id,
            lane,
            line: request.line.clone(),
            inputs: (request.inputs > 0).then_some(request.inputs),
            attribution: Some(&request.attribution)
                .filter(|attribution| **attribution != Attribution::default())
                .cloned(),
            deadline: request.deadline,
            key: request.key.clone(),
        }
    }

    pub(super) fn back(self, lane: &LaneLine) -> StoredRequest {
        StoredRequest {
            id: self.id,
            endpoint: lane.endpoint.clone(),
            model: lane.model.clone(),
            line: self.line,
            inputs: self.inputs.unwrap_or(0),
            attribution: self.attribution.unwrap_or_default(),
            deadline: self.deadline,
            key: self.key,
        }
    }
}
