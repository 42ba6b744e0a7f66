//! One line of an input file: what is refused before it is made, and its exact bytes.

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::api::BatchItem;
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
    let (bytes, limit) = (size(body), policy.max_bytes);
    if bytes > limit {
        return Err(InvalidRequest::TooLarge { bytes, limit });
    }
    let model = ModelId::new(model.into_owned());
    Ok(Checked {
        model,
        body: on_one_line(body),
    })
}

/// Returns an upper bound of the size of a body's line, whatever its id and attempt.
pub(super) fn size(body: &Bytes) -> usize {
    body.len() + ENVELOPE
}

/// Returns how many embedding inputs a checked body counts for.
pub(super) fn inputs(endpoint: &Endpoint, body: &[u8]) -> usize {
    if *endpoint == Endpoint::Embeddings {
        RequestView::read(body).map_or(1, |view| embedding_inputs(endpoint, &view))
    } else {
        0
    }
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

/// Returns the id that a line carries: the request's and the attempt's, at most 37 ASCII characters.
pub(super) fn custom_id(id: RequestId, attempt: u32) -> String {
    format!("{id}-{attempt}")
}

/// Returns the request that a line's id names, whichever attempt it was.
pub(super) fn request_of(custom_id: &str) -> Option<RequestId> {
    custom_id.split_once('-')?.0.parse().ok()
}

/// Puts a request's line at the end of a file.
pub(super) fn write(file: &mut Vec<u8>, item: &BatchItem, attempt: u32) {
    file.extend_from_slice(b"{\"custom_id\":\"");
    file.extend_from_slice(custom_id(item.id, attempt).as_bytes());
    file.extend_from_slice(b"\",\"method\":\"POST\",\"url\":\"");
    file.extend_from_slice(item.endpoint.as_str().as_bytes());
    file.extend_from_slice(b"\",\"body\":");
    file.extend_from_slice(&item.body);
    file.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::attribution::Attribution;
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
            let body = json!({"model": "e", "input": input}).to_string();
            inputs(&Endpoint::Embeddings, body.as_bytes())
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
            let Checked { model, body: kept } = checked(&json).unwrap();
            let item = BatchItem {
                id: RequestId::new(Timestamp::from_unix_millis(1)),
                endpoint: Endpoint::ChatCompletions,
                model,
                body: kept,
                attribution: Attribution::default(),
                deadline: None,
                key: None,
                context: None,
            };
            let mut file = Vec::new();
            write(&mut file, &item, attempt);
            prop_assert!(file.len() <= size(&item.body));
            prop_assert_eq!(memchr::memchr_iter(b'\n', &file).count(), 1);
            let line: Value = serde_json::from_slice(&file).unwrap();
            prop_assert_eq!(&line["body"], &body);
            let custom_id = line["custom_id"].as_str().unwrap();
            prop_assert!(custom_id.len() <= 64);
            prop_assert_eq!(request_of(custom_id), Some(item.id));
        }
    }
}
