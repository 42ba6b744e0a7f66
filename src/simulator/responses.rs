//! Responses: creation, plain and streamed, retrieval and deletion.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value, json};

use super::Simulator;
use super::ask::{Ask, Draft, Shape, shape};
use super::exchange::{Incoming, Outgoing, Refusal};
use super::models;
use super::text::pieces;
use crate::endpoint::Endpoint;
use crate::usage::Usage;
use crate::wire;

/// How many responses can be asked for again; the oldest makes room.
const KEPT: usize = 1_000;

/// Members of a request that are told back. One of another type is refused, before anything is generated.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Echo {
    store: Option<bool>,
    metadata: Option<BTreeMap<String, String>>,
    user: Option<String>,
    previous_response_id: Option<String>,
    temperature: Option<Number>,
    top_p: Option<Number>,
    text: Option<Map<String, Value>>,
    tools: Option<Vec<Map<String, Value>>>,
    tool_choice: Option<Value>,
}

impl Simulator {
    pub(super) fn response(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let ask = self.response_ask(body, false)?;
        let answer = self.respond(&ask, body)?;
        let outgoing = answer.outgoing(ask.view.is_stream());
        if answer.is_kept {
            let mut kept = self.core.responses();
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(answer);
        }
        Ok(outgoing)
    }

    pub(super) fn retrieve_response(&self, id: &str, request: &Incoming) -> Result<Outgoing, Refusal> {
        let kept = self.core.responses();
        let answer = kept.iter().find(|answer| answer.id() == id);
        let is_stream = request.parameter("stream").as_deref() == Some("true");
        Ok(answer.ok_or_else(|| no_response(id))?.outgoing(is_stream))
    }

    pub(super) fn delete_response(&self, id: &str) -> Result<Outgoing, Refusal> {
        let mut kept = self.core.responses();
        let at = kept.iter().position(|answer| answer.id() == id);
        kept.remove(at.ok_or_else(|| no_response(id))?);
        Ok(Outgoing::json(
            &json!({"id": id, "object": "response", "deleted": true}),
        ))
    }

    /// Answers a line of a batch.
    pub(super) fn response_line(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let ask = self.response_ask(body, true)?;
        Ok(self.respond(&ask, body)?.outgoing(false))
    }

    fn response_ask<'a>(&self, body: &'a Bytes, in_batch: bool) -> Result<Ask<'a>, Refusal> {
        let view = super::ask::read(body)?;
        let model = self.model_of(&view)?;
        if view.input.is_none_or(|raw| matches!(raw.get(), "null" | "[]")) {
            let refusal = Refusal::bad_request("Missing required parameter: 'input'.");
            return Err(refusal.about("input").with_code("missing_required_parameter"));
        }
        let context = view.previous_response_id.filter(|raw| !wire::is_null(raw));
        let context = context.map_or(Ok(0), |id| self.context(&wire::string(id).unwrap_or_default()))?;
        let mut ask = self.ask(Endpoint::Responses, &view, model, in_batch)?;
        ask.input_tokens += context;
        Ok(ask)
    }

    /// Returns the tokens of a conversation up to a response: what it was told and what it said.
    fn context(&self, id: &str) -> Result<u64, Refusal> {
        let kept = self.core.responses();
        let usage = kept
            .iter()
            .find(|answer| answer.id() == id)
            .map(|answer| answer.usage);
        let usage = usage.ok_or_else(|| {
            let message = format!("Previous response with id '{id}' not found.");
            let refusal = Refusal::bad_request(message).about("previous_response_id");
            refusal.with_code("previous_response_not_found")
        })?;
        Ok(usage.input_tokens + usage.output_tokens - usage.reasoning_tokens)
    }

    fn respond(&self, ask: &Ask<'_>, body: &Bytes) -> Result<Answer, Refusal> {
        let echo: Echo = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(error.to_string()).with_code("invalid_type"))?;
        let unique = self.core.fresh(body);
        let draft = self.draft(ask, &response_shape(ask), 0);
        let usage = self.bill(&response_id(unique), ask, std::slice::from_ref(&draft));
        let now = self.core.now();
        let is_kept = echo.store.unwrap_or(true);
        let mut text = echo.text.unwrap_or_default();
        text.entry("format").or_insert_with(|| json!({"type": "text"}));
        let view = &ask.view;
        // What a stream says first; the end adds output, status and usage.
        let base = json!({
            "id": response_id(unique), "object": "response", "created_at": now, "status": "in_progress",
            "background": false, "error": null, "incomplete_details": null,
            "instructions": view.instructions.and_then(parsed), "max_output_tokens": view.output_limit(),
            "model": models::served(&ask.model), "output": [], "parallel_tool_calls": true,
            "previous_response_id": echo.previous_response_id,
            "reasoning": {"effort": null, "summary": null}, "service_tier": ask.tier, "store": is_kept,
            "temperature": echo.temperature.unwrap_or_else(|| 1.into()), "text": text,
            "tool_choice": echo.tool_choice.unwrap_or_else(|| json!("auto")), "tools": echo.tools.unwrap_or_default(),
            "top_p": echo.top_p.unwrap_or_else(|| 1.into()), "truncation": "disabled", "usage": null, "user": echo.user,
            "metadata": echo.metadata.unwrap_or_default(),
        });
        Ok(Answer {
            unique,
            draft,
            usage,
            base,
            now,
            is_kept,
        })
    }
}

fn response_id(unique: u64) -> String {
    format!("resp_{unique:016x}")
}

fn no_response(id: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("Response with id '{id}' not found."),
    )
}

fn parsed(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

fn response_shape(ask: &Ask<'_>) -> Shape {
    let view = &ask.view;
    let tools = view.tools.and_then(parsed);
    let functions = tools
        .iter()
        .flat_map(|tools| tools.as_array().into_iter().flatten())
        .cloned()
        .collect();
    let text = view.text.and_then(parsed);
    let format = text.as_ref().and_then(|text| text.get("format"));
    let choice = view.tool_choice.and_then(parsed).unwrap_or_default();
    let input = view
        .input
        .filter(|raw| wire::string(raw).is_none())
        .and_then(parsed);
    let last = input
        .as_ref()
        .and_then(Value::as_array)
        .and_then(|items| items.last());
    let after_tool = last
        .and_then(|item| item.get("type"))
        .is_some_and(|kind| kind == "function_call_output");
    shape(format, functions, &choice, after_tool)
}

/// A response, before it is written out whole or as events.
#[derive(Debug)]
pub(super) struct Answer {
    unique: u64,
    draft: Draft,
    usage: Usage,
    base: Value,
    now: i64,
    /// Whether it can be asked for again.
    is_kept: bool,
}

impl Answer {
    fn id(&self) -> String {
        response_id(self.unique)
    }

    fn outgoing(&self, is_stream: bool) -> Outgoing {
        if is_stream {
            Outgoing::events(self.events())
        } else {
            Outgoing::json(&self.finished())
        }
    }

    fn status(&self) -> &'static str {
        if self.draft.is_cut {
            "incomplete"
        } else {
            "completed"
        }
    }

    fn item_id(&self) -> String {
        let kind = if self.draft.call.is_some() { "fc" } else { "msg" };
        format!("{kind}_{:016x}", self.unique)
    }

    /// The message or the call, with this much of its text.
    fn item(&self, status: &str, text: Option<&str>) -> Value {
        match &self.draft.call {
            Some(name) => json!({
                "id": self.item_id(), "type": "function_call", "status": status, "name": name,
                "call_id": format!("call_{:016x}", self.unique), "arguments": text.unwrap_or_default(),
            }),
            None => json!({
                "id": self.item_id(), "type": "message", "status": status, "role": "assistant",
                "content": text.map(part).into_iter().collect::<Vec<_>>(),
            }),
        }
    }

    fn reasoning(&self) -> Option<Value> {
        let item = json!({"id": format!("rs_{:016x}", self.unique), "type": "reasoning", "summary": []});
        (self.draft.reasoning_tokens > 0).then_some(item)
    }

    fn finished(&self) -> Value {
        let mut answer = self.base.clone();
        let message = self.item(self.status(), Some(&self.draft.text));
        let output: Vec<Value> = self.reasoning().into_iter().chain([message]).collect();
        let reason = self.draft.is_cut.then(|| json!({"reason": "max_output_tokens"}));
        let usage = json!({
            "input_tokens": self.usage.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.usage.cache_read_tokens, "cache_write_tokens": self.usage.cache_write_tokens,
            },
            "output_tokens": self.usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.usage.reasoning_tokens},
            "total_tokens": self.usage.input_tokens + self.usage.output_tokens,
        });
        if let Some(members) = answer.as_object_mut() {
            members.extend([
                ("status".to_owned(), json!(self.status())),
                (
                    "completed_at".to_owned(),
                    json!((!self.draft.is_cut).then_some(self.now)),
                ),
                ("incomplete_details".to_owned(), json!(reason)),
                ("output".to_owned(), json!(output)),
                ("usage".to_owned(), usage),
            ]);
        }
        answer
    }

    fn events(&self) -> Vec<Bytes> {
        let mut events = Events::default();
        let item_id = self.item_id();
        events.push("response.created", json!({"response": self.base}));
        events.push("response.in_progress", json!({"response": self.base}));
        let reasoning = self.reasoning();
        let index = usize::from(reasoning.is_some());
        if let Some(item) = reasoning {
            events.push(
                "response.output_item.added",
                json!({"output_index": 0, "item": item}),
            );
            events.push(
                "response.output_item.done",
                json!({"output_index": 0, "item": item}),
            );
        }
        let place = |more: Value| {
            let mut place = json!({"item_id": item_id, "output_index": index});
            if let (Some(place), Value::Object(more)) = (place.as_object_mut(), more) {
                place.extend(more);
            }
            place
        };
        let text = &self.draft.text;
        let begun = self.item("in_progress", None);
        events.push(
            "response.output_item.added",
            json!({"output_index": index, "item": begun}),
        );
        if let Some(name) = &self.draft.call {
            for piece in pieces(text) {
                events.push(
                    "response.function_call_arguments.delta",
                    place(json!({"delta": piece})),
                );
            }
            let done = place(json!({"name": name, "arguments": text}));
            events.push("response.function_call_arguments.done", done);
        } else {
            let empty = json!({"content_index": 0, "part": part("")});
            events.push("response.content_part.added", place(empty));
            for piece in pieces(text) {
                let delta = json!({"content_index": 0, "delta": piece, "logprobs": []});
                events.push("response.output_text.delta", place(delta));
            }
            let done = json!({"content_index": 0, "text": text, "logprobs": []});
            events.push("response.output_text.done", place(done));
            events.push(
                "response.content_part.done",
                place(json!({"content_index": 0, "part": part(text)})),
            );
        }
        let item = self.item(self.status(), Some(text));
        events.push(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
        let last = if self.draft.is_cut {
            "response.incomplete"
        } else {
            "response.completed"
        };
        events.push(last, json!({"response": self.finished()}));
        events.0
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

#[derive(Default)]
struct Events(Vec<Bytes>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value) {
        if let Some(members) = data.as_object_mut() {
            members.insert("type".to_owned(), json!(kind));
            members.insert("sequence_number".to_owned(), json!(self.0.len()));
        }
        self.0.push(format!("event: {kind}\ndata: {data}\n\n").into());
    }
}
