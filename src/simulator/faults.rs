//! Bad days, by script: each fault strikes the next request that it is meant for.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::exchange::{Incoming, Outgoing, Payload, Reply};

/// Something that goes wrong for the next matching request.
///
/// A fault strikes once, on any endpoint, unless told otherwise. Of several that match, the one injected first does.
///
/// A status and [`connection_reset_before`](Self::connection_reset_before) come *before* the effect: nothing is done and
/// nothing billed. All others come *after* it: an answer is generated and billed, a batch or file is created, and only
/// the news of it suffers.
///
/// # Examples
/// ```
/// use thrifty::simulator::{Fault, Simulator};
///
/// let simulator = Simulator::new();
/// simulator.inject(Fault::status(429).with_retry_after("2").on("/chat/completions").times(3));
/// simulator.inject(Fault::connection_reset_after().on("/batches"));
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    action: Action,
    headers: HeaderMap,
    suffix: Option<String>,
    times: usize,
}

#[derive(Debug, Clone)]
enum Action {
    Status { status: StatusCode, body: Bytes },
    ResetBefore,
    ResetAfter,
    Hang,
    TruncateBody,
    CutStream(usize),
    Body(Bytes),
}

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            headers: HeaderMap::new(),
            suffix: None,
            times: 1,
        }
    }

    /// Answers with a status and the error body that the real API sends with it.
    ///
    /// A number that is no status becomes 500.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (message, kind, code) = match status.as_u16() {
            401 => (
                "Incorrect API key provided.",
                "invalid_request_error",
                Some("invalid_api_key"),
            ),
            429 => (
                "Rate limit reached for requests per minute. Please try again later.",
                "requests",
                Some("rate_limit_exceeded"),
            ),
            503 => (
                "The engine is currently overloaded, please try again later.",
                "server_error",
                None,
            ),
            400..=499 => ("The request was refused.", "invalid_request_error", None),
            _ => (
                "The server had an error while processing your request. Sorry about that!",
                "server_error",
                None,
            ),
        };
        Self::new(Action::Status {
            status,
            body: error_body(message, kind, code),
        })
    }

    /// Loses the connection before the request arrives: no effect, nothing billed, nothing seen.
    ///
    /// In process this is a connect error of reqwest's.
    pub fn connection_reset_before() -> Self {
        Self::new(Action::ResetBefore)
    }

    /// Loses the connection after the effect and before the answer.
    ///
    /// In process this is an `OpenAIError::Boxed` that holds a [`std::io::Error`] of kind `ConnectionReset`, since a
    /// reqwest error of this kind cannot be made without a socket. Over TCP it is reqwest's own.
    pub fn connection_reset_after() -> Self {
        Self::new(Action::ResetAfter)
    }

    /// Never answers, though the effect happens.
    pub fn hang() -> Self {
        Self::new(Action::Hang)
    }

    /// Loses the connection in the middle of the answer's body.
    pub fn truncate_body() -> Self {
        Self::new(Action::TruncateBody)
    }

    /// Loses the connection after so many events of a stream; a plain body is lost as a whole.
    pub fn cut_stream_after(events: usize) -> Self {
        Self::new(Action::CutStream(events))
    }

    /// Puts these bytes in the place of the answer's body, which keeps its status and headers.
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::new(Action::Body(body.into()))
    }

    /// Sets `code` and `message` of the error body; without effect on anything but a [`status`](Self::status).
    #[must_use]
    pub fn with_error(mut self, code: &str, message: &str) -> Self {
        if let Action::Status { status, body } = &mut self.action {
            let kind = match (status.as_u16(), code) {
                (_, "insufficient_quota") => "insufficient_quota",
                (429, _) => "requests",
                (400..=499, _) => "invalid_request_error",
                _ => "server_error",
            };
            *body = error_body(message, kind, Some(code));
        }
        self
    }

    /// Adds a `Retry-After` header: seconds or an HTTP date, as it stands.
    #[must_use]
    pub fn with_retry_after(self, value: &str) -> Self {
        self.with_header(RETRY_AFTER.as_str(), value)
    }

    /// Adds a header to the answer; a name or value that no header can have is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Strikes only requests whose path ends so, such as `/chat/completions`.
    #[must_use]
    pub fn on(mut self, path_suffix: impl Into<String>) -> Self {
        self.suffix = Some(path_suffix.into());
        self
    }

    /// Strikes so many times instead of once; 0 is never.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn is_for(&self, request: &Incoming) -> bool {
        self.suffix
            .as_ref()
            .is_none_or(|suffix| request.path.ends_with(suffix.as_str()))
    }

    /// Returns what happens instead of the effect, if this fault comes before it.
    pub(super) fn before(&self) -> Option<Reply> {
        match &self.action {
            Action::ResetBefore => Some(Reply::Refused),
            Action::Status { status, body } => {
                let answer =
                    Outgoing::new("application/json", Payload::Whole(body.clone())).with_status(*status);
                Some(Reply::Answer(self.with_headers_on(answer)))
            }
            _ => None,
        }
    }

    /// Returns what becomes of the answer, if this fault comes after the effect.
    pub(super) fn after(&self, answer: Outgoing) -> Reply {
        let mut answer = self.with_headers_on(answer);
        match &self.action {
            Action::ResetBefore | Action::Status { .. } => {}
            Action::ResetAfter => return Reply::Reset,
            Action::Hang => return Reply::Hang,
            Action::Body(bytes) => answer.body = Payload::Whole(bytes.clone()),
            Action::TruncateBody => answer.body = Payload::Broken(first_half(answer.body)),
            Action::CutStream(events) => {
                let pieces = match answer.body {
                    Payload::Whole(_) => Vec::new(),
                    Payload::Pieces(pieces) | Payload::Broken(pieces) => pieces,
                };
                answer.body = Payload::Broken(pieces.into_iter().take(*events).collect());
            }
        }
        Reply::Answer(answer)
    }

    fn with_headers_on(&self, mut answer: Outgoing) -> Outgoing {
        answer.headers.extend(self.headers.clone());
        answer
    }
}

/// Takes the first fault that is meant for the request, and forgets it once it has struck its times.
pub(super) fn strike(faults: &mut Vec<Fault>, request: &Incoming) -> Option<Fault> {
    faults.retain(|fault| fault.times > 0);
    let fault = faults.iter_mut().find(|fault| fault.is_for(request))?;
    fault.times -= 1;
    Some(fault.clone())
}

fn error_body(message: &str, kind: &str, code: Option<&str>) -> Bytes {
    let error = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    error.to_string().into()
}

fn first_half(body: Payload) -> Vec<Bytes> {
    let pieces = match body {
        Payload::Whole(bytes) => vec![bytes],
        Payload::Pieces(pieces) | Payload::Broken(pieces) => pieces,
    };
    let mut left = pieces.iter().map(Bytes::len).sum::<usize>() / 2;
    let mut kept = Vec::new();
    for mut piece in pieces {
        piece.truncate(left);
        left -= piece.len();
        if piece.is_empty() {
            break;
        }
        kept.push(piece);
    }
    kept
}
