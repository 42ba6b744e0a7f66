//! OpenAI's JSON as it is on the wire, read tolerantly: unknown fields and values are no error.
//!
//! Everything here borrows from the bytes it is given and decodes only what is asked for. The typed structs of
//! async-openai decode the same bytes a second time for the caller; what they refuse is metered here first.

mod answer;
mod batch;
mod members;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use members::{members, text};

pub use answer::{AnswerChoice, AnswerView, Ended, ToolCallView};
pub use batch::{BatchErrors, BatchLine, BatchView, FileView, LineError, LineOutcome, Page, RequestCounts};
pub use request::{Edit, RequestView, UnreadableBody, splice};
pub use response::{ErrorView, ResponseView, UsageReading, read_usage};
pub use stream::{SseReader, StreamFacts};

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Returns the text of a JSON string, without a copy unless it holds escapes; `None` for any other value.
pub fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned)
}

/// Reads JSON from bytes. One look over all of them spares `serde_json` a look at each string whether it is UTF-8.
fn read<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// Returns a whole number that is not negative; `None` for any other value.
pub fn count(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

/// Returns whether the value is `true`.
pub fn is_true(value: &RawValue) -> bool {
    value.get() == "true"
}

/// Returns whether the value is `null`.
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Whether there is a list that is not empty.
pub(crate) fn has_some(list: Option<&RawValue>) -> bool {
    list.is_some_and(|list| !matches!(list.get(), "null" | "[]"))
}

/// Returns at most so many bytes of a text's beginning, cut between characters.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Reads a member that counts as present even if it is `null`; serde would drop it.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}
