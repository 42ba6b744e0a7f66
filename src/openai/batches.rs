//! The Batch and Files APIs over the user's HTTP stack.
//!
//! Answers are read tolerantly (`wire::batch`), not by async-openai's typed structs: those refuse a listing as a whole
//! for one unknown status or purpose.

use std::ops::ControlFlow;

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::header::HeaderValue;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::{AttemptError, describe, is_transient, may_have_had_effect};
use super::requests::Requests;
use super::retry::{Expected, Reply, Sender, Step, retry_after};
use crate::batch::{ApiError, BatchApi, Effect, InputFile, NewBatch};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::wire::{BatchView, ErrorView, FileView, Page};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer to a request that was sent at once.
#[derive(Debug)]
pub(crate) struct SentNow {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Attempts that got no answer and may have been billed.
    pub(crate) lost: u32,
}

/// A server's Batch and Files APIs.
#[derive(Debug, Clone)]
pub(crate) struct ServerBatches {
    requests: Requests,
    sender: Sender,
}

impl ServerBatches {
    pub(crate) fn new(config: impl Config + 'static, sender: Sender) -> Self {
        Self {
            requests: Requests::new(config),
            sender,
        }
    }

    /// Whether a request has nothing but its body that one made here has not.
    pub(crate) fn makes_alike(&self, endpoint: &Endpoint, request: &reqwest::Request) -> bool {
        self.requests.makes_alike(path_of(endpoint), request)
    }

    /// Sends one request at once, as a batch would have. `may_repeat` says whether another attempt may follow so many
    /// that may have been billed.
    pub(crate) async fn send_now(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        may_repeat: impl Fn(u32) -> bool + Send + Sync,
    ) -> Result<SentNow, ApiError> {
        let path = path_of(endpoint);
        let factory = self.requests.factory(Method::POST, path, &[], Some((JSON, body)));
        let first = factory.build().await.map_err(|error| transport_error(&error))?;
        let mut lost = 0;
        let count = |step| {
            if step == Step::Lost {
                if !may_repeat(lost + 1) {
                    return ControlFlow::Break(());
                }
                lost += 1;
            }
            ControlFlow::Continue(())
        };
        let (expected, end) = (Expected::Answer, self.sender.end());
        let sent = self.sender.send(first, &factory, expected, end, count).await;
        match sent.map_err(|error| transport_error(&error)) {
            Ok(Reply::Whole(response)) => Ok(SentNow {
                status: response.status(),
                body: response.into_body(),
                lost,
            }),
            Ok(Reply::Open(_)) => {
                let streamed = "the server streamed an answer that was not to be streamed";
                Err(protocol(streamed.to_owned()).with_lost_attempts(lost + 1))
            }
            Err(error) => {
                lost += u32::from(error.effect != Effect::None);
                Err(error.with_lost_attempts(lost))
            }
        }
    }

    async fn send(
        &self,
        factory: &HttpRequestFactory,
        expected: Expected,
        tell: fn(Step) -> ControlFlow<()>,
    ) -> Result<Reply, ApiError> {
        let first = factory.build().await.map_err(|error| transport_error(&error))?;
        let end = self.sender.end();
        let sent = self.sender.send(first, factory, expected, end, tell).await;
        sent.map_err(|error| transport_error(&error))
    }

    async fn json<T: DeserializeOwned>(&self, factory: HttpRequestFactory) -> Result<T, ApiError> {
        self.read(self.send(&factory, Expected::Answer, on_any).await?)
    }

    fn read<T: DeserializeOwned>(&self, reply: Reply) -> Result<T, ApiError> {
        match reply {
            Reply::Whole(response) if response.status().is_success() => {
                serde_json::from_slice(response.body()).map_err(|_| {
                    let status = response.status();
                    protocol(format!(
                        "the server answered {status} with a body that is no such object"
                    ))
                })
            }
            refused => Err(self.refusal(&refused)),
        }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> HttpRequestFactory {
        self.requests.factory(Method::GET, path, query, None)
    }

    fn refusal(&self, reply: &Reply) -> ApiError {
        let status = reply.status();
        let error = match reply {
            Reply::Whole(response) => ErrorView::read(response.body()).unwrap_or_default(),
            Reply::Open(_) => ErrorView::default(),
        };
        let kind = match status.as_u16() {
            429 if error.is_quota() => ErrorKind::Refused,
            408 | 409 | 429 | 500.. => ErrorKind::Busy,
            _ => ErrorKind::Refused,
        };
        let said = error
            .message
            .or(error.code)
            .map(|said| format!(": {said}"))
            .unwrap_or_default();
        // A refusal has no effect; a gateway's 5xx says nothing about the server behind it.
        let effect = match status.as_u16() {
            408 | 500.. => Effect::Unknown,
            _ => Effect::None,
        };
        let error = ApiError::new(kind, effect, format!("the server answered {status}{said}"));
        let error = error.with_status(status.as_u16());
        match retry_after(reply.headers(), self.sender.clock.now()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

#[async_trait]
impl BatchApi for ServerBatches {
    async fn upload(&self, filename: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        let (content_type, form) = form(filename, jsonl)?;
        let body = move || form.body();
        let factory = self.requests.upload("/files", content_type, body);
        // The file is looked for before it is sent again: each that is sent stays there.
        let reply = self.send(&factory, Expected::Answer, unless_lost).await?;
        let file: FileView = self.read(reply)?;
        segment(&file.id)?;
        Ok(file)
    }

    async fn list_files(&self, after: Option<&str>) -> Result<Page<FileView>, ApiError> {
        let mut query = vec![("purpose", "batch"), ("order", "desc"), ("limit", "100")];
        query.extend(after.map(|after| ("after", after)));
        self.json(self.get("/files", &query)).await
    }

    async fn create(&self, batch: &NewBatch) -> Result<BatchView, ApiError> {
        let body = serde_json::to_vec(batch).map_err(|error| protocol(error.to_string()))?;
        let batch: BatchView = self
            .json(
                self.requests
                    .factory(Method::POST, "/batches", &[], Some((JSON, body.into()))),
            )
            .await?;
        // A success without an id is some gateway's: the batch may be there all the same.
        segment(&batch.id)?;
        Ok(batch)
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        self.json(self.get(&format!("/batches/{}", segment(batch_id)?), &[]))
            .await
    }

    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        let mut query = vec![("limit", "100")];
        query.extend(after.map(|after| ("after", after)));
        self.json(self.get("/batches", &query)).await
    }

    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let path = format!("/batches/{}/cancel", segment(batch_id)?);
        self.json(self.requests.factory(Method::POST, &path, &[], None))
            .await
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let factory = self.get(&format!("/files/{}/content", segment(file_id)?), &[]);
        match self.send(&factory, Expected::Anything, on_any).await? {
            Reply::Open(response) => {
                let idle = self.sender.policy.idle_timeout();
                let chunks = response.bytes_stream();
                let chunks = futures_util::stream::unfold(chunks, move |mut chunks| async move {
                    let chunk = match tokio::time::timeout(idle, chunks.next()).await {
                        Ok(None) => return None,
                        Ok(Some(chunk)) => {
                            chunk.map_err(|error| transport_error(&OpenAIError::Reqwest(error)))
                        }
                        Err(_) => {
                            let silent = AttemptError::Silent { after: idle };
                            Err(ApiError::new(
                                ErrorKind::Timeout,
                                Effect::None,
                                silent.to_string(),
                            ))
                        }
                    };
                    Some((chunk, chunks))
                });
                Ok(chunks.boxed())
            }
            refused @ Reply::Whole(_) => Err(self.refusal(&refused)),
        }
    }

    async fn delete_file(&self, file_id: &str) -> Result<(), ApiError> {
        let path = format!("/files/{}", segment(file_id)?);
        let factory = self.requests.factory(Method::DELETE, &path, &[], None);
        let reply = self.send(&factory, Expected::Answer, on_any).await?;
        // A file that is not there is deleted.
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        match reply {
            Reply::Whole(response) if response.status().is_success() => says_deleted(response.body()),
            refused => Err(self.refusal(&refused)),
        }
    }
}

/// Lets another attempt follow whatever became of the last.
fn on_any(_: Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Lets none follow that may have had its effect.
fn unless_lost(step: Step) -> ControlFlow<()> {
    match step {
        Step::Lost => ControlFlow::Break(()),
        Step::Attempt | Step::Failed => ControlFlow::Continue(()),
    }
}

/// Returns the path of an endpoint under the base URL.
fn path_of(endpoint: &Endpoint) -> &str {
    endpoint.as_str().strip_prefix("/v1").unwrap_or(endpoint.as_str())
}

/// Whether a success says so: a page of some proxy does not.
fn says_deleted(body: &[u8]) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Deletion {
        deleted: Option<bool>,
    }
    let says = |deletion: Deletion| deletion.deleted != Some(false);
    if body.trim_ascii().is_empty() || serde_json::from_slice(body).is_ok_and(says) {
        return Ok(());
    }
    Err(protocol(
        "the server did not say that the file is deleted".to_owned(),
    ))
}

/// Ids come from a server and go into a path: one that would change the path is refused.
fn segment(id: &str) -> Result<&str, ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if !id.is_empty() && id.bytes().all(plain) && !id.starts_with('.') {
        return Ok(id);
    }
    Err(protocol(
        "the server gave an id that cannot stand in a URL".to_owned(),
    ))
}

/// A multipart form (RFC 7578) with the purpose and the file, which is read from its store for each attempt.
#[derive(Debug, Clone)]
struct Form {
    head: Bytes,
    file: InputFile,
    tail: Bytes,
}

impl Form {
    /// Returns the body and its length: a server may refuse a form that does not say how long it is.
    fn body(&self) -> (reqwest::Body, u64) {
        let len = self.head.len() as u64 + self.file.len() + self.tail.len() as u64;
        let whole = |bytes: &Bytes| stream::iter([Ok(bytes.clone())]);
        let pieces = whole(&self.head)
            .chain(self.file.pieces())
            .chain(whole(&self.tail));
        (reqwest::Body::wrap_stream(pieces), len)
    }
}

fn form(filename: &str, file: InputFile) -> Result<(HeaderValue, Form), ApiError> {
    let boundary = format!("thrifty-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: application/jsonl\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    let content_type = content_type.map_err(|error| protocol(error.to_string()))?;
    let form = Form {
        head: head.into(),
        file,
        tail: tail.into(),
    };
    Ok((content_type, form))
}

fn protocol(message: String) -> ApiError {
    ApiError::new(ErrorKind::Protocol, Effect::Unknown, message)
}

fn transport_error(error: &OpenAIError) -> ApiError {
    let kind = match error {
        OpenAIError::Reqwest(error) if error.is_timeout() => ErrorKind::Timeout,
        OpenAIError::InvalidArgument(_) => ErrorKind::Invalid,
        error if is_transient(error) => ErrorKind::Connection,
        _ => ErrorKind::Invalid,
    };
    let effect = if may_have_had_effect(error) {
        Effect::Unknown
    } else {
        Effect::None
    };
    ApiError::new(kind, effect, describe(error))
}
