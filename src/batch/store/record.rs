//! What a journal is made of.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::verdict::Verdict;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;

/// A place in a store's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Takes a number that grows with every append.
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Where a store keeps some bytes, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Extent {
    /// The file, by the store's own number.
    pub file: u32,
    /// The first byte.
    pub offset: u32,
    /// How many bytes there are.
    pub len: u32,
    /// Their CRC-32C.
    pub crc: u32,
}

impl Extent {
    /// Puts the four together.
    pub const fn new(file: u32, offset: u32, len: u32, crc: u32) -> Self {
        Self {
            file,
            offset,
            len,
            crc,
        }
    }

    /// Whether these are the bytes that were stored.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len as usize && crc32c::crc32c(bytes) == self.crc
    }
}

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.file, self.offset, self.len, self.crc).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (file, offset, len, crc) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(file, offset, len, crc))
    }
}

/// The bytes of a line or of an answer: on their way into a store, or where they are.
///
/// Only what is stored can be serialised.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Not stored yet.
    Bytes(Bytes),
    /// Kept by the store.
    Stored(Extent),
}

impl Content {
    /// Returns where the bytes are stored, if they are.
    pub const fn extent(&self) -> Option<Extent> {
        match self {
            Self::Bytes(_) => None,
            Self::Stored(extent) => Some(*extent),
        }
    }
}

impl fmt::Debug for Content {
    /// Shows the size only: these are prompts and answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stored(extent) => extent.fmt(f),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(_) => Err(S::Error::custom("the bytes are not stored yet")),
            Self::Stored(extent) => extent.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Extent::deserialize(deserializer).map(Self::Stored)
    }
}

/// Names one sealed set of lines: it is in the file's name and in the batch's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlushId(Arc<str>);

impl FlushId {
    /// Takes a name that is unique at the provider's account: ASCII letters and digits, at most 40 of them.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredRequest {
    /// Names the request.
    pub id: RequestId,
    /// The part of the API that it is for.
    pub endpoint: Endpoint,
    /// The model in its body.
    pub model: ModelId,
    /// Its line of an input file, as the first attempt sends it, with its line break.
    pub line: Content,
    /// How many embedding inputs it counts for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inputs: u16,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "is_nobody")]
    pub attribution: Attribution,
    /// When its answer is needed at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RequestKey>,
}

/// A caller's name for a request, and what tells whether another request is the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestKey {
    /// The name.
    pub name: Arc<str>,
    /// A 128-bit hash of the body.
    pub digest: [u64; 2],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(inputs: &u16) -> bool {
    *inputs == 0
}

fn is_nobody(attribution: &Attribution) -> bool {
    *attribution == Attribution::default()
}

/// One change in the life of a request or of a flush.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// A request was taken; it waits in the buffer of its endpoint and model.
    Enqueued(StoredRequest),
    /// Buffered requests were made the lines of a file, in this order.
    Sealed {
        /// The new flush.
        flush: FlushId,
        /// Its lines.
        #[serde(with = "super::packed_ids")]
        lines: Vec<RequestId>,
    },
    /// The file is about to be uploaded, under a name that its flush and the count of its uploads give.
    UploadIntended {
        /// The flush.
        flush: FlushId,
        /// Lines that no longer need this batch and are not in the file.
        #[serde(default, with = "super::packed_ids", skip_serializing_if = "Vec::is_empty")]
        without: Vec<RequestId>,
    },
    /// The server has the file.
    Uploaded {
        /// The flush.
        flush: FlushId,
        /// The server's id of the file.
        input_file_id: Arc<str>,
    },
    /// The batch is about to be made.
    CreateIntended {
        /// The flush.
        flush: FlushId,
        /// The uploaded file.
        input_file_id: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// The batch certainly does not exist, and none is made of a file that was uploaded before.
    CreateAbandoned {
        /// The flush.
        flush: FlushId,
    },
    /// The batch is made.
    Submitted {
        /// The flush.
        flush: FlushId,
        /// The server's id of the batch.
        batch_id: Arc<str>,
    },
    /// A line was not answered, or its answer was lost; its request is back in the buffer.
    Requeued {
        /// The request.
        id: RequestId,
        /// In how many batches it was so far.
        attempts: u32,
    },
    /// A request is about to be sent on a faster lane.
    SendIntended {
        /// The request.
        id: RequestId,
    },
    /// What became of that is safe; whoever asked for it is told next, if not already.
    SendOver {
        /// The request.
        id: RequestId,
    },
    /// A request has its outcome.
    Settled {
        /// The request.
        id: RequestId,
        /// What became of it.
        verdict: Verdict,
    },
    /// Its batch has said all that it will say of a request.
    Released {
        /// The request.
        id: RequestId,
    },
    /// Nobody needs the outcome of a request any more: the store may forget it, its line and its answer.
    Acknowledged {
        /// The request.
        id: RequestId,
        /// Its line.
        line: Content,
        /// Its answer, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Content>,
    },
    /// Nothing more is expected of this flush.
    Closed {
        /// The flush.
        flush: FlushId,
    },
}
