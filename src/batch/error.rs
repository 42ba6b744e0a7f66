//! Why a request was not answered by a batch.

use std::sync::Arc;

use super::api::{ApiError, LineAnswer};
use super::store::StoreError;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;

/// Why a request is not taken into a batch: one such line would fail the whole file at the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The request does not serialise.
    #[error("the request does not serialise: {reason}")]
    Unserialisable {
        /// What the serialiser said.
        reason: String,
    },
    /// The body is not UTF-8, not JSON, or not an object.
    #[error("the body cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it; it never quotes the body.
        reason: String,
    },
    /// The body names no model as a string.
    #[error("the body names no model")]
    NoModel,
    /// The body asks for a stream.
    #[error("a batch cannot stream")]
    Stream,
    /// The body asks to be answered in the background.
    #[error("a batch cannot run a background response")]
    Background,
    /// The Batch API does not serve this endpoint, or this crate does not read it.
    #[error("{endpoint} cannot be batched")]
    Endpoint {
        /// The endpoint asked for.
        endpoint: Endpoint,
    },
    /// The line alone is larger than a file may be.
    #[error("the line has {bytes} bytes, a file may have {limit}")]
    TooLarge {
        /// The line's size.
        bytes: usize,
        /// The largest file.
        limit: usize,
    },
    /// The request has more embedding inputs than a file may have.
    #[error("the request has {inputs} embedding inputs, a file may have {limit}")]
    TooManyInputs {
        /// How many the request has.
        inputs: usize,
        /// How many a file may have.
        limit: usize,
    },
    /// The deadline has passed already.
    #[error("the deadline has passed")]
    DeadlinePassed,
}

/// Why a request was not answered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The request was not taken.
    #[error("the request cannot be batched")]
    Invalid(#[source] InvalidRequest),
    /// The request was not let in, such as by a budget.
    #[error("the request was not let in")]
    NotAdmitted(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Another request is known under the same key.
    #[error("another request is known under the key {key:?}")]
    Conflict {
        /// The key.
        key: Arc<str>,
    },
    /// Uploading the file or making the batch failed for good.
    #[error("the batch could not be made")]
    Api(#[source] ApiError),
    /// The server refused the whole batch, or this line of it.
    #[error("the server refused the batch: {message}")]
    BatchFailed {
        /// The batch.
        batch_id: Arc<str>,
        /// What kind of fault, such as `invalid_json_line`.
        code: Option<Arc<str>>,
        /// What happened, in the server's words.
        message: Arc<str>,
    },
    /// The server answered with an error status.
    #[error("the server answered with status {}", .0.status)]
    Status(LineAnswer),
    /// The answer is not of the type that was asked for; the raw answer is kept, as it was paid for.
    #[error("the answer could not be decoded")]
    Decode {
        /// The answer.
        answer: LineAnswer,
        /// What the decoder said.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// Every batch that the request was in left it unanswered, for instance because it expired.
    #[error("the request was not run in {attempts} batches")]
    NotRun {
        /// In how many batches it was.
        attempts: u32,
        /// Why the last one did not run it, such as `batch_expired`.
        code: Option<Arc<str>>,
    },
    /// The server never said what became of the request. It may have run, and may have been billed.
    #[error("the server did not say what became of the request")]
    Unreported {
        /// The batch, if it is known.
        batch_id: Option<Arc<str>>,
    },
    /// The faster lane gave no answer.
    #[error("the faster lane gave no answer")]
    FasterLane(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The request was cancelled or withdrawn.
    #[error("the request was cancelled")]
    Cancelled,
    /// The collector was shut down and takes no more requests.
    #[error("the collector is shut down")]
    ShutDown,
    /// There is no tokio runtime to work on.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// The store failed.
    #[error("the batch store failed")]
    Store(#[source] StoreError),
}

impl BatchError {
    /// Returns what kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Conflict { .. } | Self::NoRuntime => ErrorKind::Invalid,
            Self::NotAdmitted(_) => ErrorKind::Budget,
            Self::Api(error) => error.kind,
            Self::BatchFailed { .. } => ErrorKind::Refused,
            Self::Status(answer) => match answer.status {
                408 => ErrorKind::Timeout,
                409 | 429 | 500.. => ErrorKind::Busy,
                _ => ErrorKind::Refused,
            },
            Self::Decode { .. } | Self::Unreported { .. } => ErrorKind::Protocol,
            Self::NotRun { .. } => ErrorKind::Timeout,
            Self::FasterLane(error) => {
                let known = error.downcast_ref::<ApiError>();
                known.map_or(ErrorKind::Connection, |error| error.kind)
            }
            Self::Cancelled | Self::ShutDown => ErrorKind::Cancelled,
            Self::Store(_) => ErrorKind::Storage,
        }
    }
}

impl From<InvalidRequest> for BatchError {
    fn from(fault: InvalidRequest) -> Self {
        Self::Invalid(fault)
    }
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
