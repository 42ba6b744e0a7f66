//! How an input file is checked before its first line runs: one bad line stops the whole batch.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::simulator::Simulator;
use crate::wire::RequestView;

/// Lines that one file may hold.
const MAX_LINES: usize = 50_000;

/// Bytes that one file may have.
const MAX_BYTES: usize = 200_000_000;

/// What a file holds, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) lines: Vec<Line>,
    pub(super) model: Option<String>,
    /// Tokens of all prompts, if there is a limit to them.
    pub(super) tokens: u64,
    pub(super) errors: Vec<Complaint>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) custom_id: String,
    /// Where the body is in the input file.
    pub(super) body: Range<usize>,
}

/// Why a whole batch fails; without a line if it is not one line's fault.
#[derive(Debug)]
pub(super) struct Complaint {
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    line: Option<usize>,
}

impl Complaint {
    pub(super) fn of_all(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            line: None,
        }
    }

    pub(super) fn describe(&self) -> Value {
        json!({"code": self.code, "message": self.message, "param": self.param, "line": self.line})
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    custom_id: Option<String>,
    method: Option<String>,
    url: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// Checks a file as the real API does.
pub(super) fn check(simulator: &Simulator, input: &Bytes, endpoint: &Endpoint) -> Checked {
    let mut checked = Checked::default();
    if input.len() > MAX_BYTES {
        let message = format!("The input file is larger than {MAX_BYTES} bytes.");
        checked.errors.push(Complaint::of_all("file_too_large", message));
        return checked;
    }
    let mut ids = HashSet::new();
    let lines = input.split(|byte| *byte == b'\n').zip(1..);
    for (text, number) in lines.filter(|(text, _)| !text.trim_ascii().is_empty()) {
        let mut fault = |code, message: String, param| {
            checked.errors.push(Complaint {
                code,
                message,
                param,
                line: Some(number),
            });
        };
        let Ok(wire) = serde_json::from_slice::<Wire<'_>>(text) else {
            let message = "This line is not parseable as valid JSON.";
            fault("invalid_json_line", message.into(), None);
            continue;
        };
        let (Some(custom_id), Some(body)) = (wire.custom_id, wire.body) else {
            let message = "Missing required parameter: 'custom_id' or 'body'.";
            fault("missing_required_parameter", message.into(), Some("custom_id"));
            continue;
        };
        if wire.method.as_deref() != Some("POST") {
            let message = "The method of a batch request must be POST.";
            fault("invalid_method", message.into(), Some("method"));
        }
        if wire.url.as_deref() != Some(endpoint.as_str()) {
            let message = "The URL provided for this request does not prefix-match the batch endpoint.";
            fault("invalid_url", message.into(), Some("url"));
        }
        if !ids.insert(custom_id.clone()) {
            let message = format!(
                "The custom_id '{custom_id}' for this request is a duplicate of another request. The custom_id \
                 parameter must be unique for each request in a batch."
            );
            fault("duplicate_custom_id", message, Some("custom_id"));
        }
        let view = RequestView::read(body.get().as_bytes()).unwrap_or_default();
        if view.is_stream() {
            let message = "Streaming is not supported in a batch.";
            fault("streaming_unsupported", message.into(), Some("body.stream"));
        }
        let model = view.model_name().unwrap_or_default().into_owned();
        if checked.model.as_ref().is_some_and(|first| *first != model) {
            let message = format!("The provided model '{model}' does not match the rest of the batch.");
            fault("mismatched_model", message, Some("body.model"));
        } else if simulator.known_model(&model).is_err() {
            let message = format!("The provided model '{model}' is not supported by the Batch API.");
            fault("model_not_found", message, Some("body.model"));
        }
        if simulator.core.enqueued_tokens.is_some() {
            checked.tokens += simulator.core.counter.count_request(endpoint, &view).tokens;
        }
        checked.model.get_or_insert(model);
        let start = body.get().as_ptr().addr() - input.as_ptr().addr();
        checked.lines.push(Line {
            custom_id,
            body: start..start + body.get().len(),
        });
    }
    if checked.lines.is_empty() && checked.errors.is_empty() {
        let empty = Complaint::of_all("empty_file", "The input file is empty.");
        checked.errors.push(empty);
    } else if checked.lines.len() > MAX_LINES {
        let message = format!("The input file has more than {MAX_LINES} requests.");
        checked
            .errors
            .push(Complaint::of_all("too_many_requests", message));
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(input: impl Into<Bytes>) -> Vec<(&'static str, Option<usize>)> {
        let checked = check(&Simulator::new(), &input.into(), &Endpoint::ChatCompletions);
        let told = checked.errors.iter();
        told.map(|complaint| (complaint.code, complaint.line)).collect()
    }

    fn line(id: usize) -> Value {
        json!({"custom_id": id.to_string(), "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}})
    }

    #[test]
    fn each_rule_names_its_line() {
        let mut cases = Vec::new();
        for (member, value, code) in [
            ("/custom_id", json!(null), "missing_required_parameter"),
            ("/body", json!(null), "missing_required_parameter"),
            ("/method", json!("GET"), "invalid_method"),
            ("/url", json!("/v1/embeddings"), "invalid_url"),
            ("/custom_id", json!("0"), "duplicate_custom_id"),
            ("/body/stream", json!(true), "streaming_unsupported"),
            ("/body/model", json!("gpt-4o-mini"), "mismatched_model"),
        ] {
            let mut bad = line(1);
            let (parent, name) = member.rsplit_once('/').unwrap();
            bad.pointer_mut(parent).unwrap()[name] = value;
            cases.push((bad.to_string(), code));
        }
        cases.push(("[1, 2".to_owned(), "invalid_json_line"));
        for (bad, code) in cases {
            assert_eq!(
                complaints(format!("{}\n\n{bad}\n", line(0))),
                [(code, Some(3))],
                "{bad}"
            );
        }
        let mut unknown = line(0);
        unknown["body"]["model"] = json!("nobody");
        assert_eq!(complaints(unknown.to_string()), [("model_not_found", Some(1))]);
        assert_eq!(complaints(line(0).to_string()), []);
        let bad_utf_8 = [line(0).to_string().as_bytes(), b"\n\xff\xfe\n"].concat();
        assert_eq!(complaints(bad_utf_8), [("invalid_json_line", Some(2))]);
    }

    #[test]
    fn a_file_that_is_empty_or_too_long_or_too_large_fails_as_a_whole() {
        assert_eq!(complaints("\n \n"), [("empty_file", None)]);
        let lines = |count: usize| {
            (0..count)
                .map(|id| line(id).to_string())
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(complaints(lines(MAX_LINES)), []);
        assert_eq!(complaints(lines(MAX_LINES + 1)), [("too_many_requests", None)]);
        assert_eq!(complaints(vec![0; MAX_BYTES + 1]), [("file_too_large", None)]);
    }
}
