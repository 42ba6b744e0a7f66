//! `POST /responses`, plain and streamed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Simulator;
use super::ask::{Ask, Draft, Shape, shape};
use super::exchange::{Outgoing, Refusal};
use super::models;
use super::text::pieces;
use crate::endpoint::Endpoint;
use crate::usage::Usage;
use crate::wire;

impl Simulator {
    pub(super) fn response(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let ask = self.response_ask(body, false)?;
        let answer = self.respond(&ask, body);
        if ask.view.is_stream() {
            return Ok(Outgoing::events(answer.events()));
        }
        Ok(Outgoing::json(&answer.finished()))
    }

    /// Answers a line of a batch.
    pub(super) fn response_line(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        let ask = self.response_ask(body, true)?;
        Ok(Outgoing::json(&self.respond(&ask, body).finished()))
    }

    fn response_ask<'a>(&self, body: &'a Bytes, in_batch: bool) -> Result<Ask<'a>, Refusal> {
        let view = super::ask::read(body)?;
        let model = self.model_of(&view)?;
        if view.input.is_none_or(|raw| matches!(raw.get(), "null" | "[]")) {
            let refusal = Refusal::bad_request("Missing required parameter: 'input'.");
            return Err(refusal.about("input").with_code("missing_required_parameter"));
        }
        self.ask(Endpoint::Responses, &view, model, in_batch)
    }

    fn respond(&self, ask: &Ask<'_>, body: &Bytes) -> Answer {
        let unique = self.core.fresh(body);
        let id = format!("resp_{unique:016x}");
        let draft = self.draft(ask, &response_shape(ask), 0);
        let usage = self.bill(&id, ask, std::slice::from_ref(&draft));
        let now = self.core.now();
        let parsed = |raw: Option<&serde_json::value::RawValue>| {
            raw.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
        };
        // What a stream says first; the end adds output, status and usage.
        let base = json!({
            "id": id, "object": "response", "created_at": now, "status": "in_progress", "background": false,
            "error": null, "incomplete_details": null, "instructions": parsed(ask.view.instructions),
            "max_output_tokens": ask.view.output_limit(), "model": models::served(&ask.model), "output": [],
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "service_tier": ask.tier, "store": true,
            "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
            "top_p": 1.0, "truncation": "disabled", "usage": null, "user": null, "metadata": {},
        });
        Answer {
            unique,
            draft,
            usage,
            base,
            now,
        }
    }
}

fn response_shape(ask: &Ask<'_>) -> Shape {
    let parsed = |raw: &serde_json::value::RawValue| serde_json::from_str::<Value>(raw.get()).ok();
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
struct Answer {
    unique: u64,
    draft: Draft,
    usage: Usage,
    base: Value,
    now: i64,
}

impl Answer {
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
