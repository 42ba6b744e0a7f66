//! Bad days, by script or by chance: each fault strikes requests, lines of batches, or batches.

mod effect;
mod refusal;
mod strike;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::exchange::Break;

pub(super) use self::strike::{Faults, Target};

/// Something that goes wrong for the next matching request.
///
/// A fault strikes once, whatever comes, unless told otherwise. Of several that match, the one injected first does.
///
/// A status and [`connection_reset_before`](Self::connection_reset_before) come *before* the effect: nothing is done and
/// nothing billed. All others come *after* it: an answer is generated and billed, a batch or file is created, and only
/// the news of it suffers. [`after_effect`](Self::after_effect) makes a status one of those.
///
/// # Examples
/// ```
/// use thrifty::simulator::{BatchFault, Fault, LineFault, Simulator};
///
/// let simulator = Simulator::new();
/// simulator.inject(Fault::status(429).with_retry_after("2").on("/chat/completions").times(3));
/// simulator.inject(Fault::connection_reset_after().on("/batches"));
/// simulator.inject(Fault::status(503).with_probability(0.1));
/// simulator.inject(Fault::line(LineFault::Missing).containing("lose me"));
/// simulator.inject(Fault::batch(BatchFault::NoFiles));
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    action: Action,
    headers: HeaderMap,
    path: Option<String>,
    text: Option<String>,
    times: usize,
    probability: Option<f64>,
}

/// What goes wrong with a line of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// It is not run, and its answer in the error file has this status.
    Status(u16),
    /// It is not run, and its answer has the status 0, as was seen on the real API.
    StatusZero,
    /// It is run and billed, but in no file, and counted as failed, as was recorded of the real API.
    Missing,
    /// It is run and billed once, and there twice.
    Twice,
    /// It is run and billed, but its answer has another `custom_id`.
    Stranger,
    /// It is run and billed, and its answer's `body` is a string of JSON instead of an object.
    BodyAsString,
}

/// What goes wrong with a batch as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchFault {
    /// It fails at its validation, with this code and no line.
    Fails(&'static str),
    /// It never leaves `finalizing`.
    Stuck,
    /// It ends without ids of its files.
    NoFiles,
    /// The ids of its files come so long after its end.
    LateFiles(Duration),
    /// The ids of its files are there from `finalizing` on.
    EarlyFiles,
    /// It says that it has this status, such as one that nobody knows, in the place of `in_progress` and `finalizing`.
    Status(&'static str),
}

/// What an answer says when no request is left for this minute.
const RATE_LIMIT: [(&str, &str); 3] = [
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "120ms"),
];

#[derive(Clone)]
enum Action {
    Status {
        status: StatusCode,
        body: Bytes,
        after: bool,
    },
    ResetBefore,
    ResetAfter,
    Hang,
    Delay(Duration),
    BreakBody(Break),
    CutStream(usize),
    Event(usize, EventFault),
    Body(Bytes),
    Change(Arc<dyn Fn(&mut Value) + Send + Sync>),
    Line(LineFault),
    Batch(BatchFault),
}

/// What goes wrong with one event of a stream.
#[derive(Debug, Clone, Copy)]
enum EventFault {
    Garbled,
    Swapped,
    Twice,
    Missing,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, after, .. } => write!(f, "Status({status}, after: {after})"),
            Self::ResetBefore => f.write_str("ResetBefore"),
            Self::ResetAfter => f.write_str("ResetAfter"),
            Self::Hang => f.write_str("Hang"),
            Self::Delay(delay) => write!(f, "Delay({delay:?})"),
            Self::BreakBody(how) => write!(f, "BreakBody({how:?})"),
            Self::CutStream(events) => write!(f, "CutStream({events})"),
            Self::Event(events, fault) => write!(f, "Event({events}, {fault:?})"),
            Self::Body(body) => write!(f, "Body({} bytes)", body.len()),
            Self::Change(_) => f.write_str("Change"),
            Self::Line(fault) => fault.fmt(f),
            Self::Batch(fault) => fault.fmt(f),
        }
    }
}

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            headers: HeaderMap::new(),
            path: None,
            text: None,
            times: 1,
            probability: None,
        }
    }

    /// Answers with a status and the error body that the real API sends with it; a 429 has the `x-ratelimit-*` headers
    /// of a limit on requests that is used up.
    ///
    /// A number that is no status becomes 500.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut fault = Self::new(Action::Status {
            status,
            body: status_body(status.as_u16()),
            after: false,
        });
        if status == StatusCode::TOO_MANY_REQUESTS {
            fault.headers = RATE_LIMIT
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .into_iter()
                .collect();
        }
        fault
    }

    /// Answers 429 as for an account whose quota is used up, which waiting does not mend.
    pub fn quota() -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        let mut fault = Self::status(429).with_error("insufficient_quota", message);
        fault.headers.clear();
        fault
    }

    /// Answers with a status and a page of HTML, as a gateway before the API does.
    pub fn gateway(status: u16) -> Self {
        let page =
            format!("<html><head><title>{status}</title></head><body><center>nginx</center></body></html>");
        Self::status(status)
            .with_body(page)
            .with_header(CONTENT_TYPE.as_str(), "text/html")
    }

    /// Answers so much later, in tokio's time, and then as ever.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Action::Delay(delay))
    }

    /// Changes the answer's JSON, or that of each event of a stream: a tier that nobody knows, no usage, a new status.
    ///
    /// What is no JSON stays as it is. An event of a response is named after the `type` that it then has.
    pub fn change(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::new(Action::Change(Arc::new(change)))
    }

    /// Strikes lines of batches instead of requests; [`on`](Self::on) and [`containing`](Self::containing) then mean
    /// the line's `url` and `body`.
    pub fn line(fault: LineFault) -> Self {
        Self::new(Action::Line(fault))
    }

    /// Strikes a batch when it is created; [`containing`](Self::containing) then means its input file.
    pub fn batch(fault: BatchFault) -> Self {
        Self::new(Action::Batch(fault))
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
        Self::new(Action::BreakBody(Break::Reset))
    }

    /// Sends the first half of the answer's body, and then nothing, without an end.
    pub fn stall_body() -> Self {
        Self::new(Action::BreakBody(Break::Silence))
    }

    /// Loses the connection after so many events of a stream; a plain body is lost as a whole.
    pub fn cut_stream_after(events: usize) -> Self {
        Self::new(Action::CutStream(events))
    }

    /// Makes the event after so many of a stream one that is not JSON; the others stay as they are.
    pub fn garble_stream_after(events: usize) -> Self {
        Self::new(Action::Event(events, EventFault::Garbled))
    }

    /// Swaps the two events after so many of a stream; without effect if there is one only.
    pub fn swap_stream_after(events: usize) -> Self {
        Self::new(Action::Event(events, EventFault::Swapped))
    }

    /// Sends the event after so many of a stream twice.
    pub fn repeat_stream_after(events: usize) -> Self {
        Self::new(Action::Event(events, EventFault::Twice))
    }

    /// Leaves out the event after so many of a stream.
    pub fn skip_stream_after(events: usize) -> Self {
        Self::new(Action::Event(events, EventFault::Missing))
    }

    /// Lets the model of a chat or a response refuse, plain or streamed: the text of the answer becomes its `refusal`.
    pub fn refusal() -> Self {
        Self::change(refusal::refuse)
    }

    /// Ends the choices of a chat, plain or streamed, for this reason, such as `content_filter`.
    pub fn finish_reason(reason: &'static str) -> Self {
        Self::change(move |answer| {
            for choice in choices(answer) {
                if let Some(ended) = choice.get_mut("finish_reason").filter(|ended| ended.is_string()) {
                    *ended = json!(reason);
                }
            }
        })
    }

    /// Puts these bytes in the place of the answer's body, which keeps its status and headers.
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::new(Action::Body(body.into()))
    }

    /// Sets `code` and `message` of the error body; without effect on anything but a [`status`](Self::status).
    #[must_use]
    pub fn with_error(mut self, code: &str, message: &str) -> Self {
        if let Action::Status { status, body, .. } = &mut self.action {
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

    /// Sets the whole body of a [`status`](Self::status); without effect on anything else.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        if let Action::Status { body, .. } = &mut self.action {
            *body = bytes.into();
        }
        self
    }

    /// Lets the effect happen before a [`status`](Self::status) says that it failed: a batch is there, though its
    /// creation was answered with a 500.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        if let Action::Status { after, .. } = &mut self.action {
            *after = true;
        }
        self
    }

    /// Adds a `Retry-After` header: seconds or an HTTP date, as it stands. The third form, OpenAI's own, is
    /// `with_header("retry-after-ms", "1500")`.
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

    /// Strikes only requests whose path ends so, such as `/chat/completions`; with a `*` at the end, those whose path
    /// has this in it and more behind, such as `/batches/*`.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Strikes only requests whose body has this text in it, as it stands in the JSON.
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Strikes so many times instead of once; 0 is never.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Strikes by chance, 0 to 1, and without an end unless [`times`](Self::times) follows.
    ///
    /// The chance comes from the simulator's seed and the request's bytes, and how often these came: the same for each
    /// caller, whoever else asks meanwhile.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self.times = usize::MAX;
        self
    }
}

/// The body of an error, as the real API writes it for a status.
pub(super) fn status_body(status: u16) -> Bytes {
    let (message, kind, code) = match status {
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
    error_body(message, kind, code)
}

fn error_body(message: &str, kind: &str, code: Option<&str>) -> Bytes {
    let error = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    error.to_string().into()
}

fn choices(answer: &mut Value) -> impl Iterator<Item = &mut Value> {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    choices.into_iter().flatten()
}
