//! Sending with retries: what is tried again, when, and what may have been billed.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::ResponseBuilderExt;
use tokio::time::Instant;

use super::failure::{AttemptError, describe, is_transient, may_have_had_effect, may_hide_success};
use super::transport::Transport;
use crate::clock::{Clock, Timestamp, bounded};
use crate::endpoint::Endpoint;
use crate::wire::ErrorView;

/// When a request is sent again, and how long to wait for its answer.
///
/// Sent again are 408, 409, 429 (unless the quota is used up), 5xx, connections that cannot be made or break, and
/// timeouts. `x-should-retry: true` or `false` of the server decides before that. `POST /batches` is sent again only
/// if it surely had no effect. Other endpoints that thrifty does not price, such as images and fine-tuning jobs, are
/// not paid twice: a POST whose answer was lost is not sent again.
///
/// # Default
/// - 4 attempts in all
/// - full jitter: a random wait up to 0.5 s, doubled at each attempt, capped at 8 s
/// - `retry-after-ms`, or `Retry-After` in seconds or as a date, is obeyed up to 60 s; a longer one ends the retries
/// - 600 s for an attempt: until the whole answer has come, or the headers of one that is streamed or not metered
/// - 1,200 s for all attempts of a call together, fallbacks included
/// - 300 s without a byte end a stream
///
/// # Examples
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use thrifty::RetryPolicy;
///
/// let impatient = RetryPolicy::default()
///     .with_max_attempts(NonZeroU32::MIN)
///     .with_attempt_timeout(Duration::from_secs(20));
/// # let _ = impatient;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: NonZeroU32,
    base_delay: Duration,
    max_delay: Duration,
    max_retry_after: Duration,
    attempt_timeout: Duration,
    total_timeout: Duration,
    idle_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::MIN.saturating_add(3),
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(600),
            total_timeout: Duration::from_secs(1_200),
            idle_timeout: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// Sets how often a request is sent in all. One attempt means no retry.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the longest wait before the first retry, and the cap that its doubling stops at.
    #[must_use]
    pub const fn with_delay(mut self, base: Duration, cap: Duration) -> Self {
        self.base_delay = base;
        self.max_delay = cap;
        self
    }

    /// Sets the longest wait that a server may ask for; if it asks for more, its answer is handed on.
    #[must_use]
    pub const fn with_max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets how long all attempts of a call may take together, waits and fallbacks included.
    #[must_use]
    pub const fn with_total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = timeout;
        self
    }

    /// Sets how long a stream may stay silent.
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    pub(crate) const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// A random wait before the next attempt, `sent` having been made.
    fn backoff(&self, sent: u32) -> Duration {
        let doubled = self
            .base_delay
            .saturating_mul(1_u32.checked_shl(sent - 1).unwrap_or(u32::MAX));
        let most = u64::try_from(doubled.min(self.max_delay).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(fastrand::u64(0..=most))
    }
}

/// What may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Whatever failed in a way that may pass.
    Freely,
    /// Not what was lost on the way: it may have had its effect, and that may be dear.
    UnlessLost,
    /// Only what surely had no effect.
    OnlyWithoutEffect,
}

impl Repeat {
    fn of(request: &reqwest::Request) -> Self {
        let path = request.url().path().trim_end_matches('/');
        if *request.method() != Method::POST {
            return Self::Freely;
        }
        if path.ends_with("/batches") {
            return Self::OnlyWithoutEffect;
        }
        // A file uploaded twice costs nothing, and what is cancelled twice is cancelled once.
        let is_harmless = path.ends_with("/files") || path.ends_with("/cancel");
        if is_harmless || Endpoint::of(request.method().as_str(), path).is_metered() {
            Self::Freely
        } else {
            Self::UnlessLost
        }
    }
}

/// What a success will be, which says when its body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One value of JSON: it is read within the attempt, unless it turns out to be a stream of events.
    Answer,
    /// A stream of events, whatever it calls itself: it is handed on as it comes, unless it turns out to be JSON.
    Stream,
    /// It is not read here.
    Anything,
}

/// An answer. A body that is metered was read within the attempt, so that a broken one is retried.
pub(crate) enum Reply {
    /// The whole answer.
    Whole(http::Response<Bytes>),
    /// An answer whose body is still to be read: a stream, or of an endpoint that is not metered.
    Open(reqwest::Response),
}

impl Reply {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(response) => response.status(),
            Self::Open(response) => response.status(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Whole(response) => response.headers(),
            Self::Open(response) => response.headers(),
        }
    }

    /// Turns it back into what async-openai reads.
    pub(crate) fn into_response(self) -> reqwest::Response {
        match self {
            Self::Open(response) => response,
            Self::Whole(response) => response.into(),
        }
    }
}

/// What happens while a request is sent, told at once: the caller may be dropped before there is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An attempt is about to be made.
    Attempt,
    /// An attempt may have had its effect, but no answer says so, and another is to follow.
    Lost,
    /// An attempt surely had no effect, and another is to follow.
    Failed,
}

/// Sends requests through a transport with retries.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) transport: Transport,
    pub(crate) policy: RetryPolicy,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Sender {
    /// Returns when the attempts of a call that is sent now must have ended.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + bounded(self.policy.total_timeout)
    }

    /// Sends a request. `first` is it, already built; `rebuild` makes it anew for further attempts.
    ///
    /// `end` is that of all attempts together. If `tell` breaks off, no other attempt follows.
    pub(crate) async fn send(
        &self,
        first: reqwest::Request,
        rebuild: &HttpRequestFactory,
        expected: Expected,
        end: Instant,
        mut tell: impl FnMut(Step) -> ControlFlow<()> + Send,
    ) -> Result<Reply, OpenAIError> {
        let repeat = Repeat::of(&first);
        let mut sent = 0_u32;
        let mut next = Some(first);
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => rebuild.build().await?,
            };
            sent += 1;
            // Whether to make it was told before.
            let _ = tell(Step::Attempt);
            let limit = self
                .policy
                .attempt_timeout
                .min(end.saturating_duration_since(Instant::now()));
            let result = match tokio::time::timeout(limit, self.attempt(request, rebuild, expected)).await {
                Ok(result) => result,
                Err(_) => Err(OpenAIError::Boxed(Box::new(AttemptError::TimedOut {
                    after: limit,
                }))),
            };
            let wait = (sent < self.policy.max_attempts.get())
                .then(|| self.wait_after(&result, repeat, sent))
                .flatten();
            let Some(wait) = wait.filter(|wait| Instant::now() + bounded(*wait) < end) else {
                return result;
            };
            match &result {
                Ok(reply) => {
                    tracing::debug!(target: "thrifty", status = reply.status().as_u16(), attempt = sent, ?wait, "retrying");
                }
                Err(error) => {
                    tracing::debug!(target: "thrifty", error = %describe(error), attempt = sent, ?wait, "retrying");
                }
            }
            let step = if was_lost(&result) {
                Step::Lost
            } else {
                Step::Failed
            };
            if tell(step).is_break() {
                return result;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        request: reqwest::Request,
        rebuild: &HttpRequestFactory,
        expected: Expected,
    ) -> Result<Reply, OpenAIError> {
        let mut response = self.transport.send(request, rebuild).await?;
        let is_whole = match expected {
            _ if !response.status().is_success() => true,
            Expected::Answer => !is_of_type(response.headers(), "text/event-stream"),
            Expected::Stream => is_of_type(response.headers(), "application/json"),
            Expected::Anything => false,
        };
        if is_whole {
            let head = head_of(&mut response);
            let body = response.bytes().await.map_err(OpenAIError::Reqwest)?;
            return Ok(Reply::Whole(head.map(|()| body)));
        }
        Ok(Reply::Open(response))
    }

    /// How long to wait before sending again; `None` if that would not help or must not be done.
    fn wait_after(&self, result: &Result<Reply, OpenAIError>, repeat: Repeat, sent: u32) -> Option<Duration> {
        match result {
            Ok(reply) => {
                let (status, headers) = (reply.status(), reply.headers());
                if status.is_success() {
                    return None;
                }
                let asked = headers.get("x-should-retry").map(http::HeaderValue::as_bytes);
                let may_pass = match asked {
                    Some(b"true") => true,
                    Some(b"false") => false,
                    _ => status_may_pass(status, reply),
                };
                let allowed = match repeat {
                    Repeat::Freely => true,
                    Repeat::UnlessLost => !was_lost(result),
                    // A gateway's 5xx says nothing about what the server behind it did; a 503 is also what some
                    // answer when that server's connection broke.
                    Repeat::OnlyWithoutEffect => status == StatusCode::TOO_MANY_REQUESTS,
                };
                if !may_pass || !allowed {
                    return None;
                }
                match retry_after(headers, self.clock.now()) {
                    Some(wait) => (wait <= self.policy.max_retry_after).then_some(wait),
                    None => Some(self.policy.backoff(sent)),
                }
            }
            Err(error) => {
                let allowed = repeat == Repeat::Freely || !may_have_had_effect(error);
                (allowed && is_transient(error)).then(|| self.policy.backoff(sent))
            }
        }
    }
}

/// Whether an attempt that is no success may have had its effect all the same.
fn was_lost(result: &Result<Reply, OpenAIError>) -> bool {
    match result {
        Ok(Reply::Whole(response)) => may_hide_success(response.status(), response.body()),
        Ok(Reply::Open(_)) => false,
        Err(error) => may_have_had_effect(error),
    }
}

/// Takes what an answer has besides its body, so that it can be put around another one.
pub(crate) fn head_of(response: &mut reqwest::Response) -> http::Response<()> {
    let head = http::Response::builder()
        .status(response.status())
        .version(response.version())
        .url(response.url().clone());
    // Nothing here can be refused: it comes from an answer.
    let mut head = head.body(()).unwrap_or_default();
    *head.headers_mut() = std::mem::take(response.headers_mut());
    head
}

fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers
        .get(http::header::CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    content_type
        .get(..expected.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(expected.as_bytes()))
}

/// Whether waiting may turn this status into an answer. A used-up quota is no rate limit, though both are 429.
fn status_may_pass(status: StatusCode, reply: &Reply) -> bool {
    match status.as_u16() {
        408 | 409 | 500.. => true,
        429 => match reply {
            Reply::Whole(response) => !ErrorView::read(response.body()).is_some_and(|error| error.is_quota()),
            Reply::Open(_) => true,
        },
        _ => false,
    }
}

/// Reads `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(millis) = text("retry-after-ms").and_then(whole_part) {
        return Some(Duration::from_millis(millis));
    }
    let value = text("retry-after")?;
    if let Some(seconds) = whole_part(value) {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    Some(Timestamp::from_unix_millis(date.as_millisecond()).saturating_since(now))
}

/// Reads a number that is not negative, rounded up to a whole one; servers also send `1.5`.
fn whole_part(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().ok()?;
    fraction
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| whole.saturating_add(u64::from(fraction.bytes().any(|byte| byte != b'0'))))
}
