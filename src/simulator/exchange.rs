//! What goes into the simulator's core and what comes out, whichever face it came through.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::json;

/// A request that has arrived in full.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Incoming {
    /// Returns a parameter of the query, its percent escapes undone.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&');
        let value = pairs
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))?;
        percent_encoding(value)
    }
}

fn percent_encoding(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What the core decided.
#[derive(Debug)]
pub(super) enum Reply {
    /// An answer, perhaps one that breaks off.
    Answer(Outgoing),
    /// The connection is lost before anything was received.
    Refused,
    /// The connection is lost while the answer is awaited.
    Reset,
    /// No answer ever.
    Hang,
}

/// An answer's status, headers and body.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Payload,
    /// How much later it comes.
    pub(super) delay: Duration,
}

/// An answer's body.
#[derive(Debug)]
pub(super) enum Payload {
    /// Sent at once, with its length.
    Whole(Bytes),
    /// Sent piece by piece, without a length.
    Pieces(Vec<Bytes>),
    /// Sent piece by piece, and not to its end.
    Broken(Vec<Bytes>, Break),
}

/// How a body stops before its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Break {
    /// The connection is lost.
    Reset,
    /// Nothing comes any more.
    Silence,
}

impl Outgoing {
    pub(super) fn json(value: &impl Serialize) -> Self {
        // The simulator's own values hold no maps with keys that are not strings.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::new("application/json", Payload::Whole(body.into()))
    }

    pub(super) fn events(events: Vec<Bytes>) -> Self {
        Self::new("text/event-stream; charset=utf-8", Payload::Pieces(events))
    }

    pub(super) fn new(kind: &'static str, body: Payload) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]),
            body,
            delay: Duration::ZERO,
        }
    }

    #[must_use]
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a header; a value that no header can hold is left out.
    #[must_use]
    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Sets a header unless there is one of this name.
    #[must_use]
    pub(super) fn with_default_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
        self
    }
}

/// A refusal in the words of the real API.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<&'static str>,
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    /// A 400 of type `invalid_request_error`.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A refusal of type `invalid_request_error`.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind: "invalid_request_error",
            param: None,
            code: None,
        }
    }

    #[must_use]
    pub(super) fn about(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    #[must_use]
    pub(super) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

impl From<Refusal> for Outgoing {
    fn from(refusal: Refusal) -> Self {
        let body = json!({"error": {
            "message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code,
        }});
        Self::json(&body).with_status(refusal.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_parameter_is_read_with_its_escapes_undone() {
        let incoming = |query: &str| Incoming {
            method: Method::GET,
            path: "/v1/files".into(),
            query: Some(query.into()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let read = |query: &str| incoming(query).parameter("after");
        assert_eq!(read("limit=2&after=a%2Fb+c").as_deref(), Some("a/b c"));
        assert_eq!(read("limit=2"), None);
        assert_eq!(read("after=%zz"), None);
    }
}
