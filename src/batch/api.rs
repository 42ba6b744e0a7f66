//! What a collector needs from the world: the Batch and Files APIs, a faster lane, and someone who keeps the books.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::BatchError;
use super::input::InputFile;
use super::window::CompletionWindow;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::wire::{BatchView, FileView, Page};

/// The Batch and Files APIs of one account.
///
/// # Contract
/// 1. A call is made at most once on the wire if its error is to say [`Effect::None`]; an implementation that repeats
///    on its own does so only when the effect cannot have happened. `create` is never repeated after bytes were sent.
/// 2. An error whose effect may have happened says [`Effect::Unknown`]: no answer, a broken one, a 5xx of a proxy.
/// 3. Dropping a future may leave its effect done.
#[async_trait]
pub trait BatchApi: fmt::Debug + Send + Sync + 'static {
    /// Uploads an input file with purpose `batch`.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn upload(&self, filename: &str, jsonl: InputFile) -> Result<FileView, ApiError>;

    /// Reads a page of the files with purpose `batch`, the newest first, after the one whose id is given.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached, or has no such list: a status of 404, 405 or 501 says that.
    async fn list_files(&self, after: Option<&str>) -> Result<Page<FileView>, ApiError>;

    /// Makes a batch.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn create(&self, batch: &NewBatch) -> Result<BatchView, ApiError>;

    /// Reads a batch.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError>;

    /// Reads a page of up to 100 batches, after the one whose id is given.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError>;

    /// Asks for a batch to be cancelled; what is done stays done and is paid.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError>;

    /// Reads the content of a file, in pieces of any size.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached; also in the middle of the stream.
    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError>;

    /// Deletes a file.
    ///
    /// # Errors
    /// If the server refuses it or cannot be reached.
    async fn delete_file(&self, file_id: &str) -> Result<(), ApiError>;
}

#[async_trait]
impl<T: BatchApi + ?Sized> BatchApi for Arc<T> {
    async fn upload(&self, filename: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        (**self).upload(filename, jsonl).await
    }

    async fn list_files(&self, after: Option<&str>) -> Result<Page<FileView>, ApiError> {
        (**self).list_files(after).await
    }

    async fn create(&self, batch: &NewBatch) -> Result<BatchView, ApiError> {
        (**self).create(batch).await
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        (**self).retrieve(batch_id).await
    }

    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        (**self).list(after).await
    }

    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        (**self).cancel(batch_id).await
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        (**self).download(file_id).await
    }

    async fn delete_file(&self, file_id: &str) -> Result<(), ApiError> {
        (**self).delete_file(file_id).await
    }
}

/// The body of `POST /batches`; it serialises as OpenAI expects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NewBatch {
    /// The uploaded input file.
    pub input_file_id: String,
    /// The path that every line of the file names, such as `/v1/chat/completions`.
    pub endpoint: Endpoint,
    /// How long the server may take.
    pub completion_window: CompletionWindow,
    /// What is attached to the batch, at most 16 pairs.
    #[serde(serialize_with = "as_map")]
    pub metadata: Vec<(String, String)>,
}

impl NewBatch {
    /// Makes the body for an uploaded file, with OpenAI's window.
    pub fn new(
        input_file_id: impl Into<String>,
        endpoint: Endpoint,
        metadata: Vec<(String, String)>,
    ) -> Self {
        Self {
            input_file_id: input_file_id.into(),
            endpoint,
            completion_window: CompletionWindow::DEFAULT,
            metadata,
        }
    }

    /// Asks for another window.
    #[must_use]
    pub fn with_completion_window(mut self, window: CompletionWindow) -> Self {
        self.completion_window = window;
        self
    }
}

fn as_map<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

/// Whether a call that failed may have done its work all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// The server said no, or was never reached.
    None,
    /// The answer was lost; the effect may have happened.
    Unknown,
}

/// Why a call to the Batch or Files API failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ApiError {
    /// What kind of fault it is.
    pub kind: ErrorKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What happened, without the text of any request.
    pub message: String,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the effect may have happened.
    pub effect: Effect,
    /// How many attempts got no answer and may have been billed.
    pub lost_attempts: u32,
}

impl ApiError {
    /// Makes an error without a status.
    pub fn new(kind: ErrorKind, effect: Effect, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            retry_after: None,
            effect,
            lost_attempts: 0,
        }
    }

    /// Sets how many attempts got no answer and may have been billed.
    #[must_use]
    pub fn with_lost_attempts(mut self, attempts: u32) -> Self {
        self.lost_attempts = attempts;
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets how long the server asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether the same call may well succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Connection
        )
    }
}

/// A request type whose answer can come from a batch. The body is the request as it serialises.
pub trait BatchableRequest: Serialize {
    /// The type that the answer's body is decoded into.
    type Response: DeserializeOwned + Send + 'static;

    /// The part of the API that the request is for.
    fn endpoint() -> Endpoint;
}

/// One request that waits for, or rides, a batch.
#[derive(Clone)]
#[non_exhaustive]
pub struct BatchItem {
    /// Names the request.
    pub id: RequestId,
    /// The part of the API that it is for.
    pub endpoint: Endpoint,
    /// The model in its body.
    pub model: ModelId,
    /// Its JSON body, on one line. It is read from the store for a faster lane, and for an observer if the request was sent
    /// and has no [`context`](Self::context); else it is empty.
    pub body: Bytes,
    /// Whom it is for.
    pub attribution: Attribution,
    /// When its answer is needed at the latest.
    pub deadline: Option<Timestamp>,
    /// The caller's own name for it: the same key and body is the same request.
    pub key: Option<Arc<str>>,
    /// Whatever the caller wants back with the outcome. It lives in memory only and is never stored.
    pub context: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for BatchItem {
    /// Shows the body's size only: bodies are prompts, and this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchItem")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .field("body_bytes", &self.body.len())
            .field("deadline", &self.deadline)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The answer to one request, whichever lane it came by.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Bytes,
    /// The server's id for the request.
    pub request_id: Option<Arc<str>>,
    /// The batch that carried it; absent if another lane did.
    pub batch_id: Option<Arc<str>>,
    /// The lane that answered.
    pub lane: Lane,
    /// How many attempts on another lane got no answer before this one, and may have been billed.
    pub lost_attempts: u32,
}

impl LineAnswer {
    /// Makes an answer that came by another lane than the batch.
    pub fn new(status: u16, body: impl Into<Bytes>, lane: Lane) -> Self {
        Self {
            status,
            body: body.into(),
            request_id: None,
            batch_id: None,
            lane,
            lost_attempts: 0,
        }
    }

    /// Sets how many attempts got no answer before this one, and may have been billed.
    #[must_use]
    pub fn with_lost_attempts(mut self, attempts: u32) -> Self {
        self.lost_attempts = attempts;
        self
    }

    /// Sets the server's id for the request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Debug for LineAnswer {
    /// Shows the body's size only, as bodies are answers of a model.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineAnswer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("request_id", &self.request_id)
            .field("batch_id", &self.batch_id)
            .field("lane", &self.lane)
            .field("lost_attempts", &self.lost_attempts)
            .finish()
    }
}

/// What became of one request.
pub type Outcome = Result<LineAnswer, BatchError>;

/// Sends one request at once, because its deadline is near.
#[async_trait]
pub trait FasterLane: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and reads the whole answer. It is called at most once for a request, unless the runtime
    /// or the process died meanwhile; the observer is told of that. It does its own retries.
    ///
    /// # Errors
    /// If there is no answer. An answer with an error status is an answer.
    async fn send(&self, item: &BatchItem) -> Result<LineAnswer, BatchError>;
}

/// Decides whether a request may be taken, before it is written down.
#[async_trait]
pub trait BatchGate: fmt::Debug + Send + Sync + 'static {
    /// Lets a request in, or not. It may wait, and may put a context of its own around the item's.
    ///
    /// A request of a key that is known already is let in too; its item is then dropped.
    ///
    /// # Errors
    /// If the request must not be sent, as a [`BatchError::NotAdmitted`].
    async fn admit(&self, item: &mut BatchItem) -> Result<(), BatchError>;

    /// Is told of a request that an earlier collector left in the store, before it is sent. It was promised and is not
    /// refused any more.
    fn resumed(&self, item: &mut BatchItem) {
        let _ = item;
    }
}

/// Is told of every settled request, before its handle resolves, so that it can be booked.
///
/// # Contract
/// It is called from any thread, also from a handle's `Drop`, and must not block. Each request is told once with
/// `superseded` false, and once more for each answer that came after that; anew only if the process ended before what it
/// was told of is stored.
pub trait BatchObserver: fmt::Debug + Send + Sync + 'static {
    /// Takes note of one outcome.
    fn settled(&self, settled: &Settled<'_>);
}

/// The outcome of one request, for the books.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Settled<'a> {
    /// The request.
    pub item: &'a BatchItem,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The batch that it was in, also if the outcome is an error.
    pub batch_id: Option<&'a str>,
    /// How many batches it was in that did not answer it.
    pub attempts: u32,
    /// Nobody waits for it: every handle was dropped.
    pub orphaned: bool,
    /// Another outcome came first and was handed out; this one is for the books only.
    pub superseded: bool,
}
