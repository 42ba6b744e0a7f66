//! An outcome as it is stored.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::record::{Content, Extent};
use crate::batch::api::{ApiError, Effect, LineAnswer, Outcome};
use crate::batch::error::BatchError;
use crate::error::ErrorKind;
use crate::lane::Lane;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The server answered.
    Answered(StoredAnswer),
    /// There is no answer, and why.
    Failed(Failure),
}

/// A server's answer, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Content,
    /// The server's id for the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// The batch that carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<Arc<str>>,
    /// The lane that answered.
    pub lane: Lane,
    /// How many attempts before it got no answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_attempts: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A [`BatchError`] as it is stored. What a store gives back of an error of the faster lane is an [`ApiError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The file or the batch could not be made.
    Api(StoredFault),
    /// The faster lane gave no answer.
    FasterLane(StoredFault),
    /// The server refused the batch, or this line of it.
    BatchFailed {
        /// The batch.
        batch_id: Arc<str>,
        /// What kind of fault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Arc<str>>,
        /// What happened, in the server's words.
        message: Arc<str>,
    },
    /// No batch ran it.
    NotRun {
        /// In how many it was.
        attempts: u32,
        /// Why the last one did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Arc<str>>,
    },
    /// The server never said.
    Unreported {
        /// The batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch_id: Option<Arc<str>>,
    },
    /// It was cancelled or withdrawn. Nobody waits for such an outcome: it counts as acknowledged.
    Cancelled,
    /// Its line, or its answer, is damaged in the store.
    Damaged(Extent),
    /// Anything else, in words.
    Other {
        /// What happened.
        message: Arc<str>,
    },
}

/// An [`ApiError`] as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredFault {
    /// The kind of fault, as [`ErrorKind`] prints it.
    pub kind: Arc<str>,
    /// The HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What happened.
    pub message: Arc<str>,
    /// How many attempts may have been billed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_attempts: u32,
}

impl StoredFault {
    fn of(error: &ApiError) -> Self {
        Self {
            kind: error.kind.to_string().into(),
            status: error.status,
            message: error.message.as_str().into(),
            lost_attempts: error.lost_attempts,
        }
    }

    fn back(&self) -> ApiError {
        let known = [
            ErrorKind::Invalid,
            ErrorKind::Refused,
            ErrorKind::Busy,
            ErrorKind::Timeout,
            ErrorKind::Connection,
            ErrorKind::Storage,
            ErrorKind::Cancelled,
        ];
        let named = known.into_iter().find(|kind| kind.to_string() == *self.kind);
        let kind = named.unwrap_or(ErrorKind::Protocol);
        let error = ApiError::new(kind, Effect::Unknown, &*self.message);
        let error = error.with_lost_attempts(self.lost_attempts);
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

impl Verdict {
    /// Takes an outcome; the body of an answer is not stored yet.
    pub(in crate::batch) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(answer) => Self::Answered(StoredAnswer {
                status: answer.status,
                body: Content::Bytes(answer.body.clone()),
                request_id: answer.request_id.clone(),
                batch_id: answer.batch_id.clone(),
                lane: answer.lane,
                lost_attempts: answer.lost_attempts,
            }),
            Err(error) => Self::Failed(Failure::of(error)),
        }
    }

    /// Returns the answer's body, if there is one.
    pub(in crate::batch) const fn body(&self) -> Option<&Content> {
        match self {
            Self::Answered(answer) => Some(&answer.body),
            Self::Failed(_) => None,
        }
    }

    /// Whether nobody is to be told of it.
    pub(in crate::batch) const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed(Failure::Cancelled))
    }

    /// Gives the outcome back, with the body that was read from the store.
    pub(in crate::batch) fn with_body(&self, body: Bytes) -> Outcome {
        match self {
            Self::Answered(answer) => Ok(LineAnswer {
                status: answer.status,
                body,
                request_id: answer.request_id.clone(),
                batch_id: answer.batch_id.clone(),
                lane: answer.lane,
                lost_attempts: answer.lost_attempts,
            }),
            Self::Failed(failure) => Err(failure.back()),
        }
    }
}

impl Failure {
    fn of(error: &BatchError) -> Self {
        match error {
            BatchError::Api(error) => Self::Api(StoredFault::of(error)),
            BatchError::FasterLane(error) => {
                let known = error.downcast_ref::<ApiError>().map(StoredFault::of);
                Self::FasterLane(known.unwrap_or_else(|| StoredFault {
                    kind: ErrorKind::Connection.to_string().into(),
                    status: None,
                    message: error.to_string().into(),
                    // A lane that does not say may have been billed once.
                    lost_attempts: 1,
                }))
            }
            BatchError::BatchFailed {
                batch_id,
                code,
                message,
            } => Self::BatchFailed {
                batch_id: batch_id.clone(),
                code: code.clone(),
                message: message.clone(),
            },
            BatchError::NotRun { attempts, code } => Self::NotRun {
                attempts: *attempts,
                code: code.clone(),
            },
            BatchError::Unreported { batch_id } => Self::Unreported {
                batch_id: batch_id.clone(),
            },
            BatchError::Cancelled => Self::Cancelled,
            BatchError::Store(StoreError::Damaged { file, offset }) => {
                Self::Damaged(Extent::new(*file, *offset, 0, 0))
            }
            other => Self::Other {
                message: other.to_string().into(),
            },
        }
    }

    fn back(&self) -> BatchError {
        match self {
            Self::Api(fault) => BatchError::Api(fault.back()),
            Self::FasterLane(fault) => BatchError::FasterLane(Arc::new(fault.back())),
            Self::BatchFailed {
                batch_id,
                code,
                message,
            } => BatchError::BatchFailed {
                batch_id: batch_id.clone(),
                code: code.clone(),
                message: message.clone(),
            },
            Self::NotRun { attempts, code } => BatchError::NotRun {
                attempts: *attempts,
                code: code.clone(),
            },
            Self::Unreported { batch_id } => BatchError::Unreported {
                batch_id: batch_id.clone(),
            },
            Self::Cancelled => BatchError::Cancelled,
            Self::Damaged(extent) => BatchError::Store(StoreError::Damaged {
                file: extent.file,
                offset: extent.offset,
            }),
            Self::Other { message } => BatchError::Store(StoreError::new(message.clone())),
        }
    }
}
