//! The body of an answer: who served it and what was used.

use std::borrow::Cow;

use super::members::{Rest, members, once, text};
use super::tools::tool_calls;
use crate::lane::Lane;
use crate::usage::{Usage, UsageError};

/// The members of an answer's JSON body, or of one event of a stream, that matter for metering.
#[derive(Debug, Default, Clone, Copy)]
pub struct ResponseView<'a> {
    id: Option<&'a [u8]>,
    model: Option<&'a [u8]>,
    service_tier: Option<&'a [u8]>,
    usage: Option<UsageReading>,
    error: Option<&'a [u8]>,
    pub(super) kind: Option<&'a [u8]>,
    pub(super) response: Option<&'a [u8]>,
    pub(super) choices: Option<&'a [u8]>,
    output: Option<&'a [u8]>,
    tool_usage: Option<&'a [u8]>,
    tools: Option<&'a [u8]>,
}

impl<'a> ResponseView<'a> {
    /// Reads an answer's body; `None` if it is not a JSON object, or has one of its members twice.
    ///
    /// What is inside the members, except for the usage, is looked at when it is asked for, not before.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut view = Self::default();
        members(body, |name, rest| {
            let member = match name {
                b"id" => &mut view.id,
                b"model" => &mut view.model,
                b"service_tier" => &mut view.service_tier,
                b"usage" => return view.usage.replace(usage_next(rest)?).is_none().then_some(()),
                b"error" => &mut view.error,
                b"type" => &mut view.kind,
                b"response" => &mut view.response,
                b"choices" => &mut view.choices,
                b"output" => &mut view.output,
                b"tool_usage" => &mut view.tool_usage,
                b"tools" => &mut view.tools,
                _ => return rest.value().map(drop),
            };
            once(member, rest.value()?)
        })?;
        Some(view)
    }

    /// Returns the answer's id.
    pub fn id(&self) -> Option<Cow<'a, str>> {
        self.id.and_then(text)
    }

    /// Returns the model that answered.
    pub fn model_name(&self) -> Option<Cow<'a, str>> {
        self.model.and_then(text)
    }

    /// Returns the tier that answered, as the provider names it.
    pub fn service_tier_name(&self) -> Option<Cow<'a, str>> {
        self.service_tier.and_then(text)
    }

    /// Returns the lane that answered: `Ok(None)` if no tier is named, `Err` with the name of one that is unknown.
    ///
    /// `auto` names none: it is what was asked for, in the events of a stream before the last one.
    ///
    /// # Errors
    /// The name of a tier that this crate does not know.
    pub fn lane(&self) -> Result<Option<Lane>, Cow<'a, str>> {
        self.service_tier_name()
            .filter(|tier| tier != "auto")
            .map(|tier| Lane::from_service_tier(&tier).ok_or(tier))
            .transpose()
    }

    /// Returns the token counts, and how often the provider ran its own tools.
    pub fn usage(&self) -> UsageReading {
        let mut reading = self.usage.unwrap_or(UsageReading::Missing);
        if let UsageReading::Read(usage)
        | UsageReading::Inconsistent(usage, _)
        | UsageReading::WrongTotal(usage, _) = &mut reading
        {
            usage.tool_calls = tool_calls(self.output, self.tool_usage, self.tools);
        }
        reading
    }

    /// Whether an error is reported that is not `null`.
    pub(super) fn has_error(&self) -> bool {
        self.error.is_some_and(|error| error != b"null")
    }

    /// Whether token counts are there, right or wrong.
    pub(super) fn has_usage(&self) -> bool {
        self.usage.is_some_and(|usage| usage != UsageReading::Missing)
    }
}

/// What an answer says of its token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageReading {
    /// Counts that can be trusted.
    Read(Usage),
    /// There are none, or `null`.
    Missing,
    /// Some are there, but not as whole numbers, or the totals are missing.
    Unreadable,
    /// They contradict each other; kept as they are.
    Inconsistent(Usage, UsageError),
    /// Their total is not the sum of input and output; kept as they are.
    WrongTotal(Usage, u64),
}

/// Reads a `usage` object of chat completions, responses or embeddings.
pub fn read_usage(json: &[u8]) -> UsageReading {
    let mut rest = Rest(json);
    let usage = usage_next(&mut rest).filter(|_| rest.end().is_some());
    usage.unwrap_or(UsageReading::Unreadable)
}

/// Takes a value that should be a `usage` object; `None` if it is no value at all.
fn usage_next(rest: &mut Rest<'_>) -> Option<UsageReading> {
    let mut ahead = *rest;
    if let Some(counts) = Counts::next(&mut ahead) {
        *rest = ahead;
        return Some(counts.reading());
    }
    Some(match rest.value()? {
        b"null" => UsageReading::Missing,
        _ => UsageReading::Unreadable,
    })
}

/// The counts as they are on the wire, by whichever of its names each is given.
#[derive(Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    audio_input: Option<u64>,
    reasoning: Option<u64>,
    audio_output: Option<u64>,
    cache_write_12h: Option<u64>,
    image_input: Option<u64>,
    image_output: Option<u64>,
}

impl Counts {
    /// Takes an object; `None` if there is none, or if one of its counts is no count, or is there twice.
    fn next(rest: &mut Rest<'_>) -> Option<Self> {
        let mut counts = Self::default();
        rest.members(|name, rest| match name {
            b"prompt_tokens" | b"input_tokens" => set(&mut counts.input, rest),
            b"completion_tokens" | b"output_tokens" => set(&mut counts.output, rest),
            b"total_tokens" => set(&mut counts.total, rest),
            b"prompt_tokens_details" | b"input_tokens_details" => details(rest, |name, rest| match name {
                b"cached_tokens" => set(&mut counts.cache_read, rest),
                b"cache_write_tokens" => set(&mut counts.cache_write, rest),
                b"cache_write_12h_tokens" => set(&mut counts.cache_write_12h, rest),
                b"audio_tokens" => set(&mut counts.audio_input, rest),
                b"image_tokens" => set(&mut counts.image_input, rest),
                _ => rest.value().map(drop),
            }),
            b"completion_tokens_details" | b"output_tokens_details" => {
                details(rest, |name, rest| match name {
                    b"reasoning_tokens" => set(&mut counts.reasoning, rest),
                    b"audio_tokens" => set(&mut counts.audio_output, rest),
                    b"image_tokens" => set(&mut counts.image_output, rest),
                    _ => rest.value().map(drop),
                })
            }
            _ => rest.value().map(drop),
        })?;
        Some(counts)
    }

    fn reading(&self) -> UsageReading {
        let Some(input) = self.input else {
            return UsageReading::Unreadable;
        };
        // Embeddings report no output; anything else without its two totals is not understood.
        let output = match (self.output, self.total) {
            (Some(output), _) => output,
            (None, Some(total)) if total == input => 0,
            _ => return UsageReading::Unreadable,
        };
        let mut usage = Usage::new(input, output);
        usage.cache_read_tokens = self.cache_read.unwrap_or(0);
        usage.cache_write_tokens = self.cache_write.unwrap_or(0);
        usage.audio_input_tokens = self.audio_input.unwrap_or(0);
        usage.reasoning_tokens = self.reasoning.unwrap_or(0);
        usage.audio_output_tokens = self.audio_output.unwrap_or(0);
        usage.cache_write_12h_tokens = self.cache_write_12h.unwrap_or(0);
        usage.image_input_tokens = self.image_input.unwrap_or(0);
        usage.image_output_tokens = self.image_output.unwrap_or(0);
        match usage.meters() {
            Ok(_) => match self.total {
                Some(total) if total != input.saturating_add(output) => {
                    UsageReading::WrongTotal(usage, total)
                }
                _ => UsageReading::Read(usage),
            },
            Err(error) => UsageReading::Inconsistent(usage, error),
        }
    }
}

fn details<'a>(rest: &mut Rest<'a>, each: impl FnMut(&'a [u8], &mut Rest<'a>) -> Option<()>) -> Option<()> {
    match rest.peek()? {
        b'{' => rest.members(each),
        _ => (rest.value()? == b"null").then_some(()),
    }
}

/// Sets a count; `null` leaves it as it is.
fn set(count: &mut Option<u64>, rest: &mut Rest<'_>) -> Option<()> {
    match rest.value()? {
        b"null" => Some(()),
        value => count.replace(token_count(value)?).is_none().then_some(()),
    }
}

/// A token count on the wire: servers send integers and integral floats.
///
/// No call has a trillion tokens; such a count is a fault, and would overflow a price.
pub(super) fn token_count(value: &[u8]) -> Option<u64> {
    const MOST: u64 = 1_000_000_000_000;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let point = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
    let (whole, fraction) = value.split_at(point);
    let is_whole = match fraction {
        [] => !whole.is_empty(),
        [_, zeros @ ..] => !whole.is_empty() && !zeros.is_empty() && zeros.iter().all(|zero| *zero == b'0'),
    };
    let count = whole.iter().try_fold(0_u64, |count, byte| {
        Some(count * 10 + digit(byte)?).filter(|count| *count <= MOST)
    });
    count.filter(|_| is_whole)
}

/// The `error` of an answer, in OpenAI's shape or one of its dialects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorView {
    /// `error.type`, such as `insufficient_quota`.
    pub kind: Option<String>,
    /// `error.code`; a number is kept as its digits.
    pub code: Option<String>,
    /// `error.param`, the parameter that was refused.
    pub param: Option<String>,
    /// `error.message`.
    pub message: Option<String>,
}

impl ErrorView {
    /// Reads the `error` member of an answer's body; `None` if there is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        let raw = ResponseView::read(body)?.error?;
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match serde_json::from_slice(raw).ok()? {
            serde_json::Value::Object(error) => Some(Self {
                kind: error.get("type").and_then(text),
                code: error.get("code").and_then(text),
                param: error.get("param").and_then(text),
                message: error.get("message").and_then(text),
            }),
            serde_json::Value::String(message) => Some(Self {
                message: Some(message),
                ..Self::default()
            }),
            _ => None,
        }
    }

    /// Whether the account's money or quota is used up, which waiting does not mend.
    pub fn is_quota(&self) -> bool {
        const QUOTA: &str = "insufficient_quota";
        self.kind.as_deref() == Some(QUOTA) || self.code.as_deref() == Some(QUOTA)
    }

    /// Whether the model or a parameter of the request was refused, which asking another model may mend.
    pub fn blames_model_or_parameter(&self) -> bool {
        self.param.is_some()
            || self.code.as_deref().is_some_and(|code| {
                matches!(
                    code,
                    "model_not_found"
                        | "unsupported_parameter"
                        | "unsupported_value"
                        | "context_length_exceeded"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> UsageReading {
        read_usage(json.as_bytes())
    }

    #[test]
    fn reads_chat_responses_and_embeddings() {
        let mut expected = Usage::new(100, 20);
        expected.cache_read_tokens = 64;
        expected.reasoning_tokens = 8;
        let chat = r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"new_field":{"x":[1]},
            "prompt_tokens_details":{"cached_tokens":64,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":8}}"#;
        let responses = r#"{"input_tokens":100.0,"output_tokens":20,"total_tokens":120,
            "input_tokens_details":{"cached_tokens":64},"output_tokens_details":{"reasoning_tokens":8}}"#;
        assert_eq!(usage(chat), UsageReading::Read(expected));
        assert_eq!(usage(responses), UsageReading::Read(expected));
        assert_eq!(
            usage(r#"{"prompt_tokens":7,"total_tokens":7}"#),
            UsageReading::Read(Usage::new(7, 0))
        );
    }

    #[test]
    fn special_kinds_of_tokens_are_read() {
        let json = r#"{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cache_write_tokens":50,
            "cache_write_12h_tokens":30,"image_tokens":20},"completion_tokens_details":{"image_tokens":7}}"#;
        let UsageReading::Read(usage) = usage(json) else {
            panic!("{:?}", usage(json))
        };
        assert_eq!((usage.cache_write_tokens, usage.cache_write_12h_tokens), (50, 30));
        assert_eq!((usage.image_input_tokens, usage.image_output_tokens), (20, 7));
    }

    #[test]
    fn nonsense_is_unreadable_and_never_zero() {
        for json in [
            "{}",
            "[]",
            "3",
            "{\"prompt_tokens\":-1,\"completion_tokens\":2}",
            "{\"prompt_tokens\":\"7\",\"completion_tokens\":2}",
            "{\"prompt_tokens\":1.5,\"completion_tokens\":2}",
            "{\"prompt_tokens\":7}",
            "{\"completion_tokens\":7}",
            "{\"prompt_tokens\":99999999999999,\"completion_tokens\":2}",
            "{\"prompt_tokens\":{},\"completion_tokens\":[1]}",
            "{\"prompt_tokens\":1e400,\"completion_tokens\":2}",
        ] {
            assert_eq!(usage(json), UsageReading::Unreadable, "{json}");
        }
        assert_eq!(usage("null"), UsageReading::Missing);
    }

    #[test]
    fn parts_larger_than_the_whole_are_kept_and_said() {
        let json =
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":11}}"#;
        assert!(matches!(usage(json), UsageReading::Inconsistent(usage, _) if usage.cache_read_tokens == 11));
    }

    #[test]
    fn a_total_that_is_not_the_sum_is_said() {
        let json = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1000}"#;
        assert_eq!(usage(json), UsageReading::WrongTotal(Usage::new(10, 5), 1000));
        let json = r#"{"prompt_tokens":10,"completion_tokens":5}"#;
        assert_eq!(usage(json), UsageReading::Read(Usage::new(10, 5)));
    }

    #[test]
    fn an_error_is_read_in_every_dialect() {
        let numeric = ErrorView::read(br#"{"error":{"message":"slow down","code":429}}"#).unwrap();
        assert_eq!(numeric.code.as_deref(), Some("429"));
        assert!(
            ErrorView::read(br#"{"error":{"code":"insufficient_quota"}}"#)
                .unwrap()
                .is_quota()
        );
        assert!(
            ErrorView::read(br#"{"error":{"type":"insufficient_quota"}}"#)
                .unwrap()
                .is_quota()
        );
        assert_eq!(
            ErrorView::read(br#"{"error":"busy"}"#)
                .unwrap()
                .message
                .as_deref(),
            Some("busy")
        );
        assert_eq!(ErrorView::read(b"<html>"), None);
        assert!(
            ErrorView::read(br#"{"error":{"code":"model_not_found","param":null}}"#)
                .unwrap()
                .blames_model_or_parameter()
        );
    }
}
