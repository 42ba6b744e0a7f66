//! The body of a request: its top-level members, and how to change some without touching the rest.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The top-level members of a request's JSON body that matter for routing, pricing and batching.
///
/// A member that is `null` is present. Values are the bytes as they stand in the body.
///
/// # Examples
/// ```
/// use thrifty::wire::RequestView;
///
/// let body = br#"{"messages":[{"role":"user","content":"{\"model\": 1}"}],"model":"gpt-4o","stream":true}"#;
/// let view = RequestView::read(body)?;
/// assert_eq!(view.model_name().as_deref(), Some("gpt-4o"));
/// assert!(view.is_stream());
/// # Ok::<(), thrifty::wire::UnreadableBody>(())
/// ```
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[non_exhaustive]
pub struct RequestView<'a> {
    /// The model asked for.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub model: Option<&'a RawValue>,
    /// Chat: the messages.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub messages: Option<&'a RawValue>,
    /// Responses and embeddings: the input.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub input: Option<&'a RawValue>,
    /// Responses: the system prompt.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub instructions: Option<&'a RawValue>,
    /// Whether the answer is to be streamed.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub stream: Option<&'a RawValue>,
    /// Options of the stream.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub stream_options: Option<&'a RawValue>,
    /// The tier asked for.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub service_tier: Option<&'a RawValue>,
    /// Chat: how many choices.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub n: Option<&'a RawValue>,
    /// Chat: the older limit on output tokens.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub max_tokens: Option<&'a RawValue>,
    /// Chat: the limit on output tokens.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub max_completion_tokens: Option<&'a RawValue>,
    /// Responses: the limit on output tokens.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub max_output_tokens: Option<&'a RawValue>,
    /// The tools that the model may call.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub tools: Option<&'a RawValue>,
    /// The older form of `tools`.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub functions: Option<&'a RawValue>,
    /// Which tool is to be called.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub tool_choice: Option<&'a RawValue>,
    /// Chat: text, JSON or JSON by a schema.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub response_format: Option<&'a RawValue>,
    /// Responses: the format of the text.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub text: Option<&'a RawValue>,
    /// Sampling temperature.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub temperature: Option<&'a RawValue>,
    /// Nucleus sampling.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub top_p: Option<&'a RawValue>,
    /// Chat: whether log probabilities are asked for.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub logprobs: Option<&'a RawValue>,
    /// How many log probabilities.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub top_logprobs: Option<&'a RawValue>,
    /// Stop sequences.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub stop: Option<&'a RawValue>,
    /// Penalty on tokens already present.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub presence_penalty: Option<&'a RawValue>,
    /// Penalty on frequent tokens.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub frequency_penalty: Option<&'a RawValue>,
    /// Bias on tokens.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub logit_bias: Option<&'a RawValue>,
    /// Chat: how much to reason.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub reasoning_effort: Option<&'a RawValue>,
    /// Responses: how to reason.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub reasoning: Option<&'a RawValue>,
    /// Chat: how long the answer is to be.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub verbosity: Option<&'a RawValue>,
    /// Chat: text, audio or both.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub modalities: Option<&'a RawValue>,
    /// Chat: the voice and format of audio output.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub audio: Option<&'a RawValue>,
    /// Chat: options of the web search.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub web_search_options: Option<&'a RawValue>,
    /// Responses: whether to answer later.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub background: Option<&'a RawValue>,
    /// Responses: the conversation to go on with.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub previous_response_id: Option<&'a RawValue>,
    /// Responses: the conversation to go on with.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub conversation: Option<&'a RawValue>,
    /// Responses: a prompt that the provider has stored.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub prompt: Option<&'a RawValue>,
    /// Responses: when to shorten what the model has read, and go on.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub context_management: Option<&'a RawValue>,
    /// Responses: whether several agents answer.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub multi_agent: Option<&'a RawValue>,
    /// Chat: what the answer is expected to be.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub prediction: Option<&'a RawValue>,
    /// How the input is kept in the provider's prompt cache.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub prompt_cache_options: Option<&'a RawValue>,
    /// Embeddings: the length of a vector.
    #[serde(borrow, default, deserialize_with = "super::present")]
    pub dimensions: Option<&'a RawValue>,
}

/// A body that is not read: it is passed on as it is, and never routed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableBody {
    /// The body is valid JSON of another kind than an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// The body is not JSON, or has one of the members above twice.
    #[error("the body is not read: {reason}")]
    Json {
        /// What the JSON reader said; it never quotes the body.
        reason: String,
    },
}

impl<'a> RequestView<'a> {
    /// Reads the top-level members in one pass; nested values are skipped, not decoded.
    ///
    /// # Errors
    /// If the body is not a JSON object, or has one of the members above twice.
    pub fn read(body: &'a [u8]) -> Result<Self, UnreadableBody> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(UnreadableBody::NotAnObject);
        }
        super::read(body).map_err(|error| UnreadableBody::Json {
            reason: describe(&error),
        })
    }

    /// Returns the model asked for, if it is a string.
    pub fn model_name(&self) -> Option<Cow<'a, str>> {
        self.model.and_then(super::string)
    }

    /// Whether a streamed answer is asked for.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some_and(super::is_true)
    }

    /// Whether the caller asked for the usage of a streamed chat answer.
    pub fn includes_usage(&self) -> bool {
        #[derive(Deserialize)]
        struct Options {
            #[serde(default)]
            include_usage: Option<bool>,
        }
        let options = self
            .stream_options
            .and_then(|raw| serde_json::from_str::<Options>(raw.get()).ok());
        options.and_then(|options| options.include_usage) == Some(true)
    }

    /// Returns the limit on output tokens, by whichever of its three names it is given.
    pub fn output_limit(&self) -> Option<u64> {
        [
            self.max_completion_tokens,
            self.max_output_tokens,
            self.max_tokens,
        ]
        .into_iter()
        .flatten()
        .find_map(super::count)
    }

    /// Whether a part of the input is to be kept in the provider's prompt cache for 12 hours.
    ///
    /// A text that is nothing but `12h` may look so.
    pub fn caches_for_12h(&self) -> bool {
        let has = |json: &RawValue, text: &[u8]| memmem::find(json.get().as_bytes(), text).is_some();
        let parts = [self.messages, self.input, self.instructions, self.tools];
        let by_part = parts
            .into_iter()
            .flatten()
            .any(|json| has(json, b"\"prompt_cache_breakpoint\"") && has(json, b"\"12h\""));
        by_part
            || self
                .prompt_cache_options
                .is_some_and(|json| has(json, b"\"12h\""))
    }

    /// Returns how many choices are asked for: 1 unless said otherwise.
    pub fn choices(&self) -> u64 {
        self.n.and_then(super::count).unwrap_or(1).max(1)
    }
}

/// The reader's words for what is wrong, without the position's line noise.
fn describe(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("not JSON at line {} column {}", error.line(), error.column()),
    }
}

/// One change of a body's top-level members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Puts JSON where a value stood.
    Replace {
        /// The bytes of the old value in the body.
        at: Range<usize>,
        /// The new value, as JSON.
        json: String,
    },
    /// Adds a member that was not there.
    Insert {
        /// The member's name; it must need no escapes.
        name: &'static str,
        /// The value, as JSON.
        json: String,
    },
}

impl Edit {
    /// Sets a member: replaces `old`, a value of `body`, or inserts the member if there is none.
    pub fn set(body: &[u8], old: Option<&RawValue>, name: &'static str, json: String) -> Self {
        match old {
            None => Self::Insert { name, json },
            Some(old) => {
                let start = old.get().as_ptr().addr().wrapping_sub(body.as_ptr().addr());
                Self::Replace {
                    at: start..start.saturating_add(old.get().len()),
                    json,
                }
            }
        }
    }
}

/// Applies edits to a body that [`RequestView::read`] accepted. Every other byte stays as it was.
///
/// An edit whose range is not inside the body is left out.
pub fn splice(body: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    let start = |edit: &Edit| match edit {
        Edit::Replace { at, .. } => at.start,
        Edit::Insert { .. } => 0,
    };
    edits.sort_by_key(start);
    let added: usize = edits
        .iter()
        .map(|edit| match edit {
            Edit::Replace { json, .. } => json.len(),
            Edit::Insert { name, json } => name.len() + json.len() + 4,
        })
        .sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let open = memchr::memchr(b'{', body).map_or(0, |brace| brace + 1);
    let empty = body
        .get(open..)
        .is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'}'));
    let mut done = open;
    out.extend_from_slice(body.get(..open).unwrap_or_default());
    let mut inserted = false;
    for edit in &edits {
        match edit {
            Edit::Insert { name, json } => {
                if inserted && empty {
                    out.push(b',');
                }
                out.extend_from_slice(format!("\"{name}\":{json}").as_bytes());
                if !empty {
                    out.push(b',');
                }
                inserted = true;
            }
            Edit::Replace { at, json } => {
                let Some(kept) = body.get(done..at.start).filter(|_| at.end <= body.len()) else {
                    continue;
                };
                out.extend_from_slice(kept);
                out.extend_from_slice(json.as_bytes());
                done = at.end;
            }
        }
    }
    out.extend_from_slice(body.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn with_model(body: &str, model: &str) -> String {
        let view = RequestView::read(body.as_bytes()).unwrap();
        let edit = Edit::set(body.as_bytes(), view.model, "model", format!("\"{model}\""));
        String::from_utf8(splice(body.as_bytes(), vec![edit])).unwrap()
    }

    #[test]
    fn replaces_the_top_level_model_and_no_other() {
        let body = r#"{ "tools":[{"model":"a"}], "messages":[{"content":"\"model\":\"b\"","model":"c"}] ,
            "mod\u0065l" : "gpt-4o" , "x":1.50e1}"#;
        let expected = body.replace("\"gpt-4o\"", "\"gpt-4o-mini\"");
        assert_eq!(with_model(body, "gpt-4o-mini"), expected);
    }

    #[test]
    fn inserts_a_member_that_is_missing() {
        let stream_options = || Edit::Insert {
            name: "stream_options",
            json: "{}".into(),
        };
        let tier = || Edit::Insert {
            name: "service_tier",
            json: "\"flex\"".into(),
        };
        let both =
            |body: &str| String::from_utf8(splice(body.as_bytes(), vec![stream_options(), tier()])).unwrap();
        assert_eq!(
            both(" {\"a\":1}"),
            " {\"stream_options\":{},\"service_tier\":\"flex\",\"a\":1}"
        );
        assert_eq!(both("{ }"), "{\"stream_options\":{},\"service_tier\":\"flex\" }");
    }

    #[test]
    fn a_member_that_is_null_is_present() {
        let view = RequestView::read(br#"{"stream_options": null, "model": null}"#).unwrap();
        assert!(view.stream_options.is_some_and(super::super::is_null));
        assert_eq!(view.model_name(), None);
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused_without_quoting_it() {
        for body in [
            "",
            "[]",
            "\"secret\"",
            "[\"gpt-4o\"]",
            "{\"model\":\"secret\"",
            "{\"model\":\"a\",\"model\":\"b\"}",
        ] {
            let error = RequestView::read(body.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn only_the_model_changes(
            before in "[a-z\"\\\\{}\\[\\]:, é]{0,40}", after in "[a-z\"\\\\{}\\[\\]:, é]{0,40}", pretty in any::<bool>(),
        ) {
            let body = json!({"a": before, "model": "gpt-4o", "z": {"model": after}});
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let changed: Value = serde_json::from_str(&with_model(&text, "o3")).unwrap();
            let mut expected = body;
            expected["model"] = json!("o3");
            prop_assert_eq!(changed, expected);
        }
    }
}
