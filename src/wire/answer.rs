//! What an answer says to whoever asked: text, refusals, calls of tools, and why it ended.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::string;
use crate::endpoint::Endpoint;

/// What a chat or a response says: its choices, of which a response has one.
///
/// # Examples
/// ```
/// use thrifty::Endpoint;
/// use thrifty::wire::{AnswerView, Ended};
///
/// let body = br#"{"choices":[{"message":{"content":"Paris"},"finish_reason":"stop"}]}"#;
/// let answer = AnswerView::read(&Endpoint::ChatCompletions, body).ok_or("no answer")?;
/// assert_eq!((&*answer.choices()[0].text, answer.choices()[0].ended), ("Paris", Ended::Whole));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerView<'a> {
    choices: Vec<AnswerChoice<'a>>,
}

/// One of the answers that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerChoice<'a> {
    /// Its text; empty if it has none.
    pub text: Cow<'a, str>,
    /// Whether the model refused to answer.
    pub is_refusal: bool,
    /// Whether it holds something else than text and calls, such as audio.
    pub has_media: bool,
    /// The calls of the caller's tools, in order.
    pub tool_calls: Vec<ToolCallView<'a>>,
    /// Why it ended.
    pub ended: Ended,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// The model had said all.
    Whole,
    /// It came to a limit of length.
    CutOff,
    /// A filter held it back.
    Filtered,
    /// It failed, is not done yet, or does not say.
    Unknown,
}

/// A call of one of the caller's tools.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCallView<'a> {
    /// The tool.
    pub name: Cow<'a, str>,
    /// What it is called with: JSON for a function, any text for a custom tool.
    pub input: Cow<'a, str>,
    /// Whether it is a function.
    pub is_function: bool,
}

impl AnswerChoice<'_> {
    /// Whether it has neither text, calls nor media.
    pub(crate) fn says_nothing(&self) -> bool {
        self.text.trim().is_empty() && self.tool_calls.is_empty() && !self.has_media
    }
}

impl<'a> AnswerView<'a> {
    /// Reads the body of an answer; `None` for other endpoints than chat and responses, and if it is none of their
    /// answers.
    pub fn read(endpoint: &Endpoint, body: &'a [u8]) -> Option<Self> {
        let choices = match endpoint {
            Endpoint::ChatCompletions => {
                let answer: Chat<'a> = super::read(body).ok()?;
                answer.choices.into_iter().map(Choice::view).collect()
            }
            Endpoint::Responses => {
                let answer: Response<'a> = super::read(body).ok()?;
                vec![answer.view()]
            }
            Endpoint::Embeddings | Endpoint::Other(_) => return None,
        };
        Some(Self { choices })
    }

    /// Returns the choices, in order.
    pub fn choices(&self) -> &[AnswerChoice<'a>] {
        &self.choices
    }

    /// Returns the text of the first choice; empty without one.
    pub fn text(&self) -> &str {
        self.choices.first().map_or("", |choice| &choice.text)
    }
}

#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Called<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<Called<'a>>,
    #[serde(borrow, default)]
    custom: Option<Called<'a>>,
}

/// What is called: a function with `arguments`, a custom tool with `input`.
#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

impl<'a> Called<'a> {
    fn view(self, is_function: bool) -> ToolCallView<'a> {
        let text = |raw: Option<&'a RawValue>| raw.and_then(string).unwrap_or_default();
        ToolCallView {
            name: text(self.name),
            input: text(if is_function { self.arguments } else { self.input }),
            is_function,
        }
    }
}

impl<'a> Choice<'a> {
    fn view(self) -> AnswerChoice<'a> {
        let message = self.message.unwrap_or_default();
        let calls = message.tool_calls.into_iter().flatten();
        let calls = calls.filter_map(|call| match (call.function, call.custom) {
            (Some(function), _) => Some(function.view(true)),
            (None, custom) => Some(custom?.view(false)),
        });
        let older = message.function_call.map(|call| call.view(true));
        AnswerChoice {
            text: message.content.map(text_of).unwrap_or_default(),
            is_refusal: says_something(message.refusal),
            has_media: message.audio.is_some(),
            tool_calls: calls.chain(older).collect(),
            ended: match self.finish_reason.and_then(string).as_deref() {
                Some("stop" | "tool_calls" | "function_call") => Ended::Whole,
                Some("length") => Ended::CutOff,
                Some("content_filter") => Ended::Filtered,
                _ => Ended::Unknown,
            },
        }
    }
}

/// Some servers write an empty refusal beside an answer.
fn says_something(refusal: Option<&RawValue>) -> bool {
    refusal
        .and_then(string)
        .is_some_and(|text| !text.trim().is_empty())
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

/// Returns the text of a string, or of all parts that have one.
fn text_of(content: &RawValue) -> Cow<'_, str> {
    if let Some(text) = string(content) {
        return text;
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    let mut texts = parts.iter().filter_map(|part| string(part.text?));
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |all, next| all + next)
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    output: Vec<Item<'a>>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    incomplete_details: Option<Incomplete<'a>>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

impl<'a> Response<'a> {
    fn view(self) -> AnswerChoice<'a> {
        let why = self.incomplete_details.and_then(|details| details.reason);
        let why = why.and_then(string);
        let mut view = AnswerChoice {
            text: Cow::Borrowed(""),
            is_refusal: false,
            has_media: false,
            tool_calls: Vec::new(),
            ended: match (self.status.and_then(string).as_deref(), why.as_deref()) {
                (Some("completed"), _) => Ended::Whole,
                (Some("incomplete"), Some("content_filter")) => Ended::Filtered,
                (Some("incomplete"), _) => Ended::CutOff,
                _ => Ended::Unknown,
            },
        };
        for item in self.output {
            let called = Called {
                name: item.name,
                arguments: item.arguments,
                input: item.input,
            };
            match item.kind.and_then(string).as_deref() {
                Some("message") => {
                    let Some(content) = item.content else { continue };
                    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
                    let is_refusal =
                        |part: &Part<'_>| part.kind.and_then(string).is_some_and(|kind| kind == "refusal");
                    view.is_refusal |= parts.iter().any(is_refusal);
                    view.text += text_of(content);
                }
                Some("function_call") => view.tool_calls.push(called.view(true)),
                Some("custom_tool_call") => view.tool_calls.push(called.view(false)),
                Some("image_generation_call") => view.has_media = true,
                _ => {}
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen<T>(endpoint: &Endpoint, body: &Value, see: impl Fn(&AnswerView<'_>) -> T) -> Option<T> {
        AnswerView::read(endpoint, body.to_string().as_bytes()).map(|view| see(&view))
    }

    #[test]
    fn a_chat_is_read_choice_by_choice() {
        let body = json!({"choices": [
            {"message": {"content": "a \"b\"", "refusal": null}, "finish_reason": "stop"},
            {"message": {"content": null, "refusal": "no"}, "finish_reason": "length"},
            {"message": {"refusal": "", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}],
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "2", "type": "custom", "custom": {"name": "g", "input": "free"}}]},
                "finish_reason": "tool_calls"},
            {"finish_reason": null},
        ]});
        let all = seen(&Endpoint::ChatCompletions, &body, |view| {
            let choices = view.choices().iter();
            choices
                .map(|one| {
                    (
                        one.text.to_string(),
                        one.is_refusal,
                        one.tool_calls.len(),
                        one.ended,
                    )
                })
                .collect::<Vec<_>>()
        });
        let of = |text: &str, refused, calls, ended| (text.to_owned(), refused, calls, ended);
        assert_eq!(
            all.unwrap(),
            [
                of("a \"b\"", false, 0, Ended::Whole),
                of("", true, 0, Ended::CutOff),
                of("cd", false, 2, Ended::Whole),
                of("", false, 0, Ended::Unknown),
            ]
        );
        let calls = seen(&Endpoint::ChatCompletions, &body, |view| {
            let calls = view.choices()[2].tool_calls.iter();
            calls
                .map(|call| format!("{}({})", call.name, call.input))
                .collect::<Vec<_>>()
        });
        assert_eq!(calls.unwrap(), ["f({\"x\":1})", "g(free)"]);
    }

    #[test]
    fn a_response_is_one_choice() {
        let body = json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
        ]});
        let one = seen(&Endpoint::Responses, &body, |view| {
            let one = &view.choices()[0];
            (
                one.text.to_string(),
                one.is_refusal,
                one.tool_calls[0].name.to_string(),
                one.ended,
            )
        });
        assert_eq!(
            one.unwrap(),
            ("a".to_owned(), true, "f".to_owned(), Ended::CutOff)
        );
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for body in [
            json!({}),
            json!([]),
            json!({"choices": 3}),
            json!({"output": "x"}),
        ] {
            for endpoint in [
                Endpoint::ChatCompletions,
                Endpoint::Responses,
                Endpoint::Embeddings,
            ] {
                assert_eq!(seen(&endpoint, &body, |_| ()), None, "{body}");
            }
        }
    }
}
