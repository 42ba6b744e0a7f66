//! The body of an answer: who served it and what was used.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::lane::Lane;
use crate::usage::{Usage, UsageError};

/// The members of an answer's JSON body that matter for metering.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[non_exhaustive]
pub struct ResponseView<'a> {
    /// The answer's id.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// The model that answered.
    #[serde(borrow, default)]
    pub model: Option<&'a RawValue>,
    /// The tier that answered.
    #[serde(borrow, default)]
    pub service_tier: Option<&'a RawValue>,
    /// The token counts.
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
    /// What went wrong.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    /// Responses: `completed`, `failed`, `incomplete` and others.
    #[serde(borrow, default)]
    pub status: Option<&'a RawValue>,
}

impl<'a> ResponseView<'a> {
    /// Reads an answer's body; `None` if it is not a JSON object.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        (body.trim_ascii_start().first() == Some(&b'{'))
            .then(|| serde_json::from_slice(body).ok())
            .flatten()
    }

    /// Returns the model that answered.
    pub fn model_name(&self) -> Option<Cow<'a, str>> {
        self.model.and_then(super::string)
    }

    /// Returns the tier that answered, as the provider names it.
    pub fn service_tier_name(&self) -> Option<Cow<'a, str>> {
        self.service_tier.and_then(super::string)
    }

    /// Returns the lane that answered: `Ok(None)` if no tier is named, `Err` with the name of one that is unknown.
    ///
    /// # Errors
    /// The name of a tier that this crate does not know.
    pub fn lane(&self) -> Result<Option<Lane>, Cow<'a, str>> {
        self.service_tier_name()
            .map(|tier| Lane::from_service_tier(&tier).ok_or(tier))
            .transpose()
    }

    /// Reads the token counts.
    pub fn usage(&self) -> UsageReading {
        self.usage
            .map_or(UsageReading::Missing, |usage| read_usage(usage.get()))
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
}

/// Reads a `usage` object of chat completions, responses or embeddings.
pub fn read_usage(json: &str) -> UsageReading {
    if json == "null" {
        return UsageReading::Missing;
    }
    let Some(wire) = json
        .starts_with('{')
        .then(|| serde_json::from_str::<WireUsage>(json).ok())
        .flatten()
    else {
        return UsageReading::Unreadable;
    };
    let input = wire.prompt_tokens.or(wire.input_tokens);
    let output = wire.completion_tokens.or(wire.output_tokens);
    let details_in = wire
        .prompt_tokens_details
        .or(wire.input_tokens_details)
        .unwrap_or_default();
    let details_out = wire
        .completion_tokens_details
        .or(wire.output_tokens_details)
        .unwrap_or_default();
    let all = [input, output, wire.total_tokens]
        .into_iter()
        .chain([
            details_in.cached_tokens,
            details_in.cache_write_tokens,
            details_in.audio_tokens,
        ])
        .chain([details_out.reasoning_tokens, details_out.audio_tokens]);
    if all.into_iter().any(|count| count == Count::Unreadable) {
        return UsageReading::Unreadable;
    }
    // Embeddings report no output; anything else without its two totals is not understood.
    let (Some(input), total) = (input.get(), wire.total_tokens.get()) else {
        return UsageReading::Unreadable;
    };
    let output = match (output.get(), total) {
        (Some(output), _) => output,
        (None, Some(total)) if total == input => 0,
        _ => return UsageReading::Unreadable,
    };
    let mut usage = Usage::new(input, output);
    usage.cache_read_tokens = details_in.cached_tokens.get().unwrap_or(0);
    usage.cache_write_tokens = details_in.cache_write_tokens.get().unwrap_or(0);
    usage.audio_input_tokens = details_in.audio_tokens.get().unwrap_or(0);
    usage.reasoning_tokens = details_out.reasoning_tokens.get().unwrap_or(0);
    usage.audio_output_tokens = details_out.audio_tokens.get().unwrap_or(0);
    match usage.meters() {
        Ok(_) => UsageReading::Read(usage),
        Err(error) => UsageReading::Inconsistent(usage, error),
    }
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    completion_tokens_details: Option<OutputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Count,
    #[serde(default)]
    audio_tokens: Count,
}

/// A token count on the wire: servers send integers, integral floats, `null` and worse.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Count {
    #[default]
    Absent,
    Is(u64),
    Unreadable,
}

impl Count {
    fn get(self) -> Option<u64> {
        match self {
            Self::Is(count) => Some(count),
            Self::Absent | Self::Unreadable => None,
        }
    }

    fn or(self, other: Self) -> Self {
        if self == Self::Absent { other } else { self }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token count")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                // No call has a trillion tokens; such a count is a fault, and would overflow a price.
                Ok(if count <= 1_000_000_000_000 {
                    Count::Is(count)
                } else {
                    Count::Unreadable
                })
            }

            fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
                Ok(Count::Unreadable)
            }

            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                let digits = format!("{count:.0}");
                let whole = digits
                    .parse::<u64>()
                    .ok()
                    .filter(|whole| *whole <= 1_000_000_000_000);
                #[expect(clippy::float_cmp, reason = "exactly a whole number, or not")]
                let integral = count.trunc() == count;
                Ok(whole.filter(|_| integral).map_or(Count::Unreadable, Count::Is))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count::Unreadable)
            }

            fn visit_str<E>(self, _: &str) -> Result<Count, E> {
                Ok(Count::Unreadable)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count::Unreadable)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count::Unreadable)
            }
        }

        deserializer.deserialize_any(CountVisitor)
    }
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
        match serde_json::from_str(raw.get()).ok()? {
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
        read_usage(json)
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
