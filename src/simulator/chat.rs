//! `POST /chat/completions`, plain and streamed.

use std::fmt::Write;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Simulator;
use super::ask::{Ask, Draft, Shape, shape};
use super::exchange::{Outgoing, Refusal};
use super::models;
use super::text::pieces;
use crate::endpoint::Endpoint;
use crate::usage::Usage;
use crate::wire;

/// The older models tell none.
fn fingerprint(model: &str) -> Option<&'static str> {
    (!model.starts_with("gpt-3.5")).then_some("fp_7d1ef70c3a")
}

/// More choices than this are refused, as by the real API.
const MAX_CHOICES: u64 = 128;

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: ChatUsage,
    service_tier: &'static str,
    system_fingerprint: Option<&'static str>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
    refusal: Option<()>,
    annotations: [(); 0],
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: String,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// Token counts in the words of chat completions.
#[derive(Debug, Serialize)]
struct ChatUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "named as on the wire")]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl From<Usage> for ChatUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cache_read_tokens,
                audio_tokens: usage.audio_input_tokens,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning_tokens,
                audio_tokens: usage.audio_output_tokens,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}

impl Simulator {
    pub(super) fn chat_completion(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let (ask, shape) = self.chat_ask(body, false)?;
        let (id, drafts, usage) = self.complete(&ask, &shape, body);
        if ask.view.is_stream() {
            return Ok(Outgoing::events(self.chunks(&ask, &id, &drafts, usage)));
        }
        Ok(Outgoing::json(&self.completion(&ask, &id, &drafts, usage)))
    }

    /// Answers a line of a batch.
    pub(super) fn chat_line(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let (ask, shape) = self.chat_ask(body, true)?;
        let (id, drafts, usage) = self.complete(&ask, &shape, body);
        Ok(Outgoing::json(&self.completion(&ask, &id, &drafts, usage)))
    }

    fn chat_ask<'a>(&self, body: &'a Bytes, in_batch: bool) -> Result<(Ask<'a>, Shape), Refusal> {
        let view = super::ask::read(body)?;
        let model = self.model_of(&view)?;
        check_messages(&view)?;
        let ask = self.ask(Endpoint::ChatCompletions, &view, model, in_batch)?;
        let shape = chat_shape(&ask);
        Ok((ask, shape))
    }

    fn complete(&self, ask: &Ask<'_>, shape: &Shape, body: &Bytes) -> (String, Vec<Draft>, Usage) {
        let id = format!("chatcmpl-{:016x}", self.core.fresh(body));
        let drafts: Vec<Draft> = (0..ask.view.choices())
            .map(|index| self.draft(ask, shape, index))
            .collect();
        let usage = self.bill(&id, ask, &drafts);
        (id, drafts, usage)
    }

    fn completion<'a>(
        &self,
        ask: &'a Ask<'_>,
        id: &'a str,
        drafts: &'a [Draft],
        usage: Usage,
    ) -> Completion<'a> {
        let choice = |(index, draft): (usize, &'a Draft)| Choice {
            index,
            message: Message {
                role: "assistant",
                content: draft.call.is_none().then_some(&draft.text),
                tool_calls: draft.call.as_deref().map(|name| {
                    [ToolCall {
                        id: call_id(id, index),
                        r#type: "function",
                        function: Function {
                            name,
                            arguments: &draft.text,
                        },
                    }]
                }),
                refusal: None,
                annotations: [],
            },
            logprobs: None,
            finish_reason: finish_reason(draft),
        };
        Completion {
            id,
            object: "chat.completion",
            created: self.core.now(),
            model: models::served(&ask.model),
            choices: drafts.iter().enumerate().map(choice).collect(),
            usage: usage.into(),
            service_tier: ask.tier,
            system_fingerprint: fingerprint(&ask.model),
        }
    }

    /// Writes the events of a streamed answer.
    fn chunks(&self, ask: &Ask<'_>, id: &str, drafts: &[Draft], usage: Usage) -> Vec<Bytes> {
        let head = format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\
             \"service_tier\":\"{}\",\"system_fingerprint\":{},\"choices\":",
            self.core.now(),
            json!(models::served(&ask.model)),
            ask.tier,
            json!(fingerprint(&ask.model)),
        );
        let includes_usage = ask.view.includes_usage();
        let tail = if includes_usage {
            ",\"usage\":null}\n\n"
        } else {
            "}\n\n"
        };
        let mut events = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let mut push = |delta: &str, finish_reason: &str| {
                let mut event = String::with_capacity(head.len() + delta.len() + 96);
                let written = write!(
                    event,
                    "{head}[{{\"index\":{index},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish_reason}}}]{tail}"
                );
                debug_assert!(written.is_ok(), "writing to a string does not fail");
                events.push(Bytes::from(event));
            };
            match &draft.call {
                None => {
                    push(
                        "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}",
                        "null",
                    );
                    for piece in pieces(&draft.text) {
                        push(&json!({"content": piece}).to_string(), "null");
                    }
                }
                Some(name) => {
                    let call = json!({"index": 0, "id": call_id(id, index), "type": "function",
                        "function": {"name": name, "arguments": ""}});
                    push(
                        &json!({"role": "assistant", "content": null, "tool_calls": [call]}).to_string(),
                        "null",
                    );
                    for piece in pieces(&draft.text) {
                        let call = json!({"index": 0, "function": {"arguments": piece}});
                        push(&json!({"tool_calls": [call]}).to_string(), "null");
                    }
                }
            }
            push("{}", &format!("\"{}\"", finish_reason(draft)));
        }
        if includes_usage {
            let usage = json!(ChatUsage::from(usage));
            events.push(format!("{head}[],\"usage\":{usage}}}\n\n").into());
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }
}

fn check_messages(view: &wire::RequestView<'_>) -> Result<(), Refusal> {
    let messages = view.messages.filter(|raw| !wire::is_null(raw));
    let Some(messages) = messages else {
        let refusal = Refusal::bad_request("Missing required parameter: 'messages'.");
        return Err(refusal.about("messages").with_code("missing_required_parameter"));
    };
    match messages.get().strip_prefix('[').map(str::trim_start) {
        None => {
            let message = "Invalid type for 'messages': expected an array of objects.";
            return Err(Refusal::bad_request(message)
                .about("messages")
                .with_code("invalid_type"));
        }
        Some(rest) if rest.starts_with(']') => {
            let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty \
                array instead.";
            return Err(Refusal::bad_request(message)
                .about("messages")
                .with_code("empty_array"));
        }
        Some(_) => {}
    }
    check_choices(view)?;
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| !wire::is_null(raw));
    if given(view.stream_options) && !view.is_stream() {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::bad_request(message).about("stream_options"));
    }
    Ok(())
}

fn check_choices(view: &wire::RequestView<'_>) -> Result<(), Refusal> {
    let Some(n) = view.n.filter(|raw| !wire::is_null(raw)) else {
        return Ok(());
    };
    let (code, wanted) = match wire::count(n) {
        None => ("invalid_type", "an integer".to_owned()),
        Some(0) => ("integer_below_min_value", "a value >= 1".to_owned()),
        Some(n) if n > MAX_CHOICES => ("integer_above_max_value", format!("a value <= {MAX_CHOICES}")),
        Some(_) => return Ok(()),
    };
    let message = format!("Invalid 'n': expected {wanted}.");
    Err(Refusal::bad_request(message).about("n").with_code(code))
}

fn chat_shape(ask: &Ask<'_>) -> Shape {
    #[derive(Deserialize)]
    struct Role<'a> {
        #[serde(borrow, default)]
        role: Option<std::borrow::Cow<'a, str>>,
    }
    #[derive(Deserialize)]
    struct Tool {
        #[serde(default)]
        function: Value,
    }
    let view = &ask.view;
    let parsed = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    let tools = view
        .tools
        .and_then(|raw| serde_json::from_str::<Vec<Tool>>(raw.get()).ok())
        .unwrap_or_default();
    let format = view.response_format.and_then(parsed);
    if tools.is_empty() && format.is_none() {
        return Shape::Text;
    }
    let messages = view
        .messages
        .and_then(|raw| serde_json::from_str::<Vec<Role<'_>>>(raw.get()).ok());
    let last = messages
        .and_then(|mut messages| messages.pop())
        .and_then(|message| message.role);
    let choice = view.tool_choice.and_then(parsed).unwrap_or_default();
    let functions = tools.into_iter().map(|tool| tool.function).collect();
    shape(
        format.as_ref(),
        functions,
        &choice,
        last.as_deref() == Some("tool"),
    )
}

fn finish_reason(draft: &Draft) -> &'static str {
    match draft {
        Draft { is_cut: true, .. } => "length",
        Draft { call: Some(_), .. } => "tool_calls",
        _ => "stop",
    }
}

fn call_id(id: &str, index: usize) -> String {
    let unique = id.trim_start_matches("chatcmpl-");
    format!("call_{unique}{index}")
}
