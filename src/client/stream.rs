//! A streamed answer: handed on as it comes, metered as it goes by.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use tokio::time::{Instant, Sleep};

use super::row::Row;
use crate::clock::bounded;
use crate::openai::{AttemptError, head_of};
use crate::wire::SseReader;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Puts a meter around the body of a streamed answer.
pub(super) fn metered(mut response: reqwest::Response, row: Row, hides_usage: bool) -> reqwest::Response {
    let mut head = head_of(&mut response);
    // The length no longer holds once a chunk is hidden.
    head.headers_mut().remove(http::header::CONTENT_LENGTH);
    let idle = row.idle_timeout();
    let reader = if hides_usage {
        SseReader::new().hiding_usage()
    } else {
        SseReader::new()
    };
    let body = MeteredBody {
        inner: Some(Box::pin(response.bytes_stream())),
        reader,
        row: Some(row),
        idle,
        silent_since: None,
        timer: None,
    };
    head.map(|()| reqwest::Body::wrap_stream(body)).into()
}

struct MeteredBody {
    /// Gone once it has ended.
    inner: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    reader: SseReader,
    /// Gone once it is settled.
    row: Option<Row>,
    idle: Duration,
    silent_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl MeteredBody {
    fn take(&mut self, chunk: Bytes) -> Bytes {
        self.silent_since = None;
        if let Some(row) = &mut self.row {
            row.first_byte();
        }
        let shown = self.reader.feed(chunk);
        // async-openai reads no further than the end that the server declares.
        if self.reader.facts().done {
            self.settle();
        }
        shown
    }

    fn settle(&mut self) {
        if let Some(row) = self.row.take() {
            row.streamed(self.reader.facts());
        }
    }

    /// Ends a stream that stays silent. The timer is armed at the first silence, and moved on only when it fires.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<AttemptError> {
        let end = *self.silent_since.get_or_insert_with(Instant::now) + bounded(self.idle);
        loop {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= end {
                return Poll::Ready(AttemptError::Silent { after: self.idle });
            }
            timer.as_mut().reset(end);
        }
    }
}

impl Stream for MeteredBody {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            match inner.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    let shown = self.take(chunk);
                    if !shown.is_empty() {
                        return Poll::Ready(Some(Ok(shown)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.inner = None;
                    self.settle();
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(None) => {
                    self.inner = None;
                    let rest = self.reader.finish();
                    self.settle();
                    return Poll::Ready((!rest.is_empty()).then_some(Ok(rest)));
                }
                Poll::Pending => match self.poll_silence(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(error) => {
                        self.inner = None;
                        self.settle();
                        return Poll::Ready(Some(Err(error.into())));
                    }
                },
            }
        }
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            row.stream_dropped(self.reader.facts());
        }
    }
}
