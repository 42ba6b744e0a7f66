//! Whether the caller's tools are called as they are declared.

use std::borrow::Cow;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;
use crate::wire::{self, RequestView, ToolCallView};

/// Accepts answers whose calls name tools that were offered, with arguments that are a JSON object and have the members
/// that the tool requires. If a call is required, there must be one.
///
/// The input of a custom tool may be any text. Types of members are not looked at. An answer that calls nothing, where
/// it need not, is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ValidToolCalls;

impl ValidToolCalls {
    /// Makes one.
    pub const fn new() -> Self {
        Self
    }
}

/// A tool, as either API declares it.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default)]
    function: Option<Declared<'a>>,
    #[serde(borrow, default)]
    custom: Option<Declared<'a>>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Declared<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

impl<'a> Tool<'a> {
    fn declared(self) -> Declared<'a> {
        self.function.or(self.custom).unwrap_or(Declared {
            name: self.name,
            parameters: self.parameters,
        })
    }
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow, default)]
    required: Vec<Cow<'a, str>>,
}

/// Returns the tools that a request offers; `None` if they cannot be read.
fn offered<'a>(request: &RequestView<'a>) -> Option<Vec<Declared<'a>>> {
    let read = |raw: Option<&'a RawValue>| raw.filter(|raw| !wire::is_null(raw)).map(RawValue::get);
    let tools: Vec<Tool<'a>> =
        read(request.tools).map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())?;
    let functions: Vec<Declared<'a>> =
        read(request.functions).map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())?;
    Some(tools.into_iter().map(Tool::declared).chain(functions).collect())
}

/// Whether the request leaves no choice but to call a tool.
fn is_required(request: &RequestView<'_>) -> bool {
    let Some(choice) = request.tool_choice.filter(|choice| !wire::is_null(choice)) else {
        return false;
    };
    match wire::string(choice) {
        Some(word) => word == "required",
        // One tool is named; a list of those allowed says for itself whether one must be called.
        None => serde_json::from_str::<Value>(choice.get()).is_ok_and(|choice| {
            let allowed = choice.get("allowed_tools").unwrap_or(&choice);
            let kind = choice.get("type").and_then(Value::as_str);
            let is_callers = matches!(kind, Some("function" | "custom" | "allowed_tools"));
            is_callers && allowed.get("mode").is_none_or(|mode| mode == "required")
        }),
    }
}

fn fault(call: &ToolCallView<'_>, offered: &[Declared<'_>]) -> Option<&'static str> {
    let is_it = |tool: &&Declared<'_>| {
        tool.name
            .and_then(wire::string)
            .is_some_and(|name| name == call.name)
    };
    let Some(tool) = offered.iter().find(is_it) else {
        return Some("it calls a tool that was not offered");
    };
    if !call.is_function {
        return None;
    }
    let Ok(arguments) = serde_json::from_str::<Map<String, Value>>(&call.input) else {
        return Some("it calls a tool with what is no JSON object");
    };
    let parameters = tool.parameters.map(RawValue::get);
    let parameters = parameters.and_then(|json| serde_json::from_str::<Parameters<'_>>(json).ok());
    let required = parameters
        .map(|parameters| parameters.required)
        .unwrap_or_default();
    let lacks = required.iter().any(|name| !arguments.contains_key(&**name));
    lacks.then_some("it calls a tool without an argument that is required")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Verifier for ValidToolCalls {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let (Some(request), Some(answer)) = (exchange.request(), exchange.answer()) else {
            return Verdict::Reject("it cannot be read");
        };
        let must_call = is_required(request);
        if must_call && answer.choices().iter().any(|choice| choice.tool_calls.is_empty()) {
            return Verdict::Reject("it calls no tool");
        }
        let mut calls = answer
            .choices()
            .iter()
            .flat_map(|choice| &choice.tool_calls)
            .peekable();
        if calls.peek().is_none() {
            return Verdict::Accept;
        }
        let Some(offered) = offered(request) else {
            return Verdict::Reject("the tools cannot be read");
        };
        let fault = calls.find_map(|call| fault(call, &offered));
        fault.map_or(Verdict::Accept, Verdict::Reject)
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        None
    }
}
