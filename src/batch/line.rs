//! One line of an input file: what is refused before it is made, and its exact bytes.

use std::io;

use bytes::Bytes;
use highway::{HighwayHash, HighwayHasher, Key};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::api::BatchableRequest;
use super::error::InvalidRequest;
use super::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::model::ModelId;
use crate::wire::{RequestView, is_true};

/// Everything of a line but its body: an id and an attempt of at most 10 digits, the URL, the punctuation.
const ENVELOPE: usize = 128;

/// A body that can be a line.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) model: ModelId,
    pub(super) body: Bytes,
    /// How many embedding inputs it counts for.
    pub(super) inputs: u16,
}

/// Checks a body as the server would, since one line that it refuses fails the whole file.
pub(super) fn check(
    endpoint: &Endpoint,
    body: &Bytes,
    policy: &BatchPolicy,
) -> Result<Checked, InvalidRequest> {
    if !endpoint.is_metered() {
        let endpoint = endpoint.clone();
        return Err(InvalidRequest::Endpoint { endpoint });
    }
    // Before it is read: that takes time.
    fits(body.len(), policy)?;
    let unreadable = |reason: String| InvalidRequest::Unreadable { reason };
    std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let view = RequestView::read(body).map_err(|error| unreadable(error.to_string()))?;
    let model = view.model_name().ok_or(InvalidRequest::NoModel)?;
    if view.is_stream() {
        return Err(InvalidRequest::Stream);
    }
    if view.background.is_some_and(is_true) {
        return Err(InvalidRequest::Background);
    }
    let inputs = embedding_inputs(endpoint, &view);
    if inputs > MAX_EMBEDDING_INPUTS {
        let limit = MAX_EMBEDDING_INPUTS;
        return Err(InvalidRequest::TooManyInputs { inputs, limit });
    }
    let model = ModelId::new(model.into_owned());
    Ok(Checked {
        model,
        body: on_one_line(body),
        inputs: u16::try_from(inputs).unwrap_or(u16::MAX),
    })
}

fn fits(body: usize, policy: &BatchPolicy) -> Result<(), InvalidRequest> {
    // A store counts the bytes of a line in 32 bits.
    let (bytes, limit) = (
        body.saturating_add(ENVELOPE),
        policy.max_bytes.min(u32::MAX as usize),
    );
    if bytes > limit {
        return Err(InvalidRequest::TooLarge { bytes, limit });
    }
    Ok(())
}

/// Returns a request's body. No more of it is held than a file may have.
pub(super) fn body<R: BatchableRequest>(request: &R, policy: &BatchPolicy) -> Result<Bytes, InvalidRequest> {
    let mut body = Counted {
        kept: Vec::new(),
        limit: policy.max_bytes,
        len: 0,
    };
    serde_json::to_writer(&mut body, request).map_err(|error| InvalidRequest::Unserialisable {
        reason: error.to_string(),
    })?;
    fits(body.len, policy)?;
    Ok(body.kept.into())
}

/// Keeps what is written up to a limit, and counts all of it.
struct Counted {
    kept: Vec<u8>,
    limit: usize,
    len: usize,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len = self.len.saturating_add(bytes.len());
        if self.len <= self.limit {
            self.kept.extend_from_slice(bytes);
        } else {
            self.kept = Vec::new();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the size of a line, as its first attempt sends it.
pub(super) fn length(endpoint: &Endpoint, body: &[u8]) -> usize {
    ID_END + 2 + AFTER_ID.len() + endpoint.as_str().len() + AFTER_URL.len() + body.len() + 2
}

/// Returns an upper bound of the size of a line in a file, by its size as the first attempt sends it.
pub(super) fn bound(stored: u32) -> usize {
    // A later attempt has more digits.
    stored as usize + 9
}

fn embedding_inputs(endpoint: &Endpoint, view: &RequestView<'_>) -> usize {
    if *endpoint != Endpoint::Embeddings {
        return 0;
    }
    let json = view.input.map_or("", |input| input.get());
    // An array of numbers is one input, as tokens.
    let tokens = |rest: &str| rest.trim_start().starts_with(|c: char| c.is_ascii_digit());
    match json.strip_prefix('[') {
        Some(rest) if !tokens(rest) => elements(json).unwrap_or(1),
        _ => 1,
    }
}

fn elements(json: &str) -> Option<usize> {
    struct Counter;
    impl<'de> Visitor<'de> for Counter {
        type Value = usize;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while seq.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_seq(Counter)
        .ok()
}

/// In valid JSON a raw line break is white space, so that a blank in its place changes nothing.
fn on_one_line(body: &Bytes) -> Bytes {
    let trimmed = body.trim_ascii();
    if memchr::memchr2(b'\n', b'\r', trimmed).is_none() {
        return body.slice_ref(trimmed);
    }
    let blank = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    };
    trimmed.iter().map(blank).collect::<Vec<_>>().into()
}

/// What stands before the attempt in a line, for an id of 26 characters.
const ID_END: usize = HEAD.len() + 26;
const HEAD: &[u8] = b"{\"custom_id\":\"";
const AFTER_ID: &[u8] = b"\",\"method\":\"POST\",\"url\":\"";
const AFTER_URL: &[u8] = b"\",\"body\":";

/// Returns the request that a line's id names, whichever attempt it was.
pub(super) fn request_of(custom_id: &str) -> Option<RequestId> {
    custom_id.split_once('-')?.0.parse().ok()
}

/// Makes a request's line, as its first attempt sends it. Its id is the request's and the attempt's, at most 37 ASCII
/// characters.
pub(super) fn make(id: RequestId, endpoint: &Endpoint, body: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(body.len() + ENVELOPE);
    line.extend_from_slice(HEAD);
    line.extend_from_slice(&id.encode());
    line.extend_from_slice(b"-0");
    line.extend_from_slice(AFTER_ID);
    line.extend_from_slice(endpoint.as_str().as_bytes());
    line.extend_from_slice(AFTER_URL);
    line.extend_from_slice(body);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// Returns the body in a line that was [made](make).
pub(super) fn body_of(line: &Bytes, endpoint: &Endpoint) -> Bytes {
    let start = ID_END + 2 + AFTER_ID.len() + endpoint.as_str().len() + AFTER_URL.len();
    let end = line.len().saturating_sub(2).max(start);
    if end > line.len() {
        return Bytes::new();
    }
    line.slice(start..end)
}

/// Puts a line that was [made](make) at the end of a file, as this attempt sends it.
pub(super) fn write(file: &mut Vec<u8>, line: &[u8], attempt: u32) {
    match line.split_at_checked(ID_END) {
        Some((head, tail)) if attempt > 0 => {
            file.extend_from_slice(head);
            file.extend_from_slice(format!("-{attempt}").as_bytes());
            file.extend_from_slice(tail.get(2..).unwrap_or_default());
        }
        _ => file.extend_from_slice(line),
    }
}

/// Returns how many bytes [`write`] puts for a line of this size.
pub(super) fn written(stored: u32, attempt: u32) -> u64 {
    let digits = attempt.checked_ilog10().unwrap_or(0);
    u64::from(stored) + u64::from(digits)
}

/// Hashes a body, to tell whether a request of the same key is the same one.
pub(super) fn digest(endpoint: &Endpoint, body: &[u8]) -> [u64; 2] {
    // The key need not be secret: the body lies beside the hash.
    let mut hasher = HighwayHasher::new(Key([0x7468_7269, 0x6674_7920, 0x6261_7463, 0x6820_6b65]));
    hasher.append(endpoint.as_str().as_bytes());
    hasher.append(b"\n");
    hasher.append(body);
    hasher.finalize128()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    fn checked(body: &str) -> Result<Checked, InvalidRequest> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        check(&Endpoint::ChatCompletions, &body, &BatchPolicy::default())
    }

    #[test]
    fn says_why_a_line_is_refused_without_quoting_it() {
        for (body, reason) in [
            ("", "cannot be read"),
            ("[\"secret\"]", "not a JSON object"),
            ("{\"model\":\"secret\"", "cannot be read"),
            ("\u{feff}{\"model\":\"secret\"}", "not a JSON object"),
            ("{\"model\":\"gpt-4o\"} secret", "cannot be read"),
            ("{\"secret\":1}", "names no model"),
            ("{\"model\":7}", "names no model"),
            ("{\"model\":\"secret\",\"stream\":true}", "cannot stream"),
            ("{\"model\":\"secret\",\"background\":true}", "background"),
        ] {
            let error = checked(body).unwrap_err().to_string();
            assert!(
                error.contains(reason) && !error.contains("secret"),
                "{body}: {error}"
            );
        }
        let body = Bytes::from_static(b"{\"model\":\"a\",\"x\":\"\xff\"}");
        assert!(check(&Endpoint::Responses, &body, &BatchPolicy::default()).is_err());
        let body = Bytes::from_static(b"{\"model\":\"a\"}");
        let other = check(&Endpoint::from("POST /images"), &body, &BatchPolicy::default());
        assert!(matches!(other, Err(InvalidRequest::Endpoint { .. })));
    }

    #[test]
    fn counts_embedding_inputs() {
        let count = |input: Value| {
            let body = Bytes::from(json!({"model": "e", "input": input}).to_string());
            let checked = check(&Endpoint::Embeddings, &body, &BatchPolicy::default());
            checked.unwrap().inputs
        };
        assert_eq!(count(json!("one")), 1);
        assert_eq!(count(json!([1, 2, 3])), 1);
        assert_eq!(count(json!(["a", "b", "c,d"])), 3);
        assert_eq!(count(json!([[1, 2], [3]])), 2);
        assert_eq!(count(json!([])), 0);
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_that_holds_the_same_json(text in ".{0,60}", pretty in any::<bool>(), attempt: u32) {
            let body = json!({"model": "gpt-4o", "messages": [{"content": text}]});
            let json = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let Checked { body: kept, .. } = checked(&json).unwrap();
            let id = RequestId::new(Timestamp::from_unix_millis(1));
            let made = make(id, &Endpoint::ChatCompletions, &kept);
            prop_assert_eq!(&body_of(&made, &Endpoint::ChatCompletions), &kept);
            prop_assert_eq!(made.len(), length(&Endpoint::ChatCompletions, &kept));
            let mut file = Vec::new();
            write(&mut file, &made, attempt);
            let stored = u32::try_from(made.len()).unwrap();
            prop_assert_eq!(file.len() as u64, written(stored, attempt));
            prop_assert!(file.len() <= bound(stored) && bound(stored) <= kept.len() + ENVELOPE);
            prop_assert_eq!(memchr::memchr_iter(b'\n', &file).count(), 1);
            let line: Value = serde_json::from_slice(&file).unwrap();
            prop_assert_eq!(&line["body"], &body);
            let custom_id = line["custom_id"].as_str().unwrap();
            prop_assert!(custom_id.len() <= 64);
            prop_assert_eq!(custom_id, format!("{id}-{attempt}"));
            prop_assert_eq!(request_of(custom_id), Some(id));
        }
    }
}
