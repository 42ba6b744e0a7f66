//! Whether an answer is what the request's JSON schema says.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;
use crate::wire::{self, RequestView};

/// How many schemas are kept ready; the one that was not used for the longest time is dropped.
const KEPT: usize = 32;

/// Accepts answers that are JSON by the schema that their request asks for, in `response_format` or `text.format`.
///
/// Where a request asks for JSON without a schema, the answer must be an object. Where it asks for text, or the answer
/// calls tools and says nothing, everything is accepted: there is nothing to check. A schema that cannot be read accepts
/// nothing. A schema is read once and kept for the next requests with the same one.
///
/// OpenAI keeps a schema with `strict: true` itself, unless the answer is cut off; this is for schemas without it, and
/// for servers that do not keep them.
#[derive(Clone, Default)]
pub struct MatchesSchema {
    /// The one that was used last is at the end.
    ready: Arc<Mutex<Vec<Ready>>>,
}

/// A schema as JSON, and what checks by it.
type Ready = (Box<str>, Arc<Validator>);

impl fmt::Debug for MatchesSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchesSchema").finish_non_exhaustive()
    }
}

/// What form an answer is asked to have.
enum Asked<'a> {
    Text,
    Json,
    Schema(&'a RawValue),
    Unreadable,
}

/// `response_format`, or `text.format`: chat has the schema one level deeper than responses.
#[derive(Deserialize)]
struct Format<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a RawValue,
    #[serde(borrow, default)]
    json_schema: Option<Named<'a>>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow, default)]
    format: Option<&'a RawValue>,
}

impl<'a> Asked<'a> {
    fn by(request: &RequestView<'a>) -> Self {
        let is_set = |raw: &&RawValue| !wire::is_null(raw);
        let of_text = |text: &'a RawValue| serde_json::from_str::<Text<'a>>(text.get()).ok()?.format;
        let format = request.response_format.filter(is_set);
        let Some(format) = format.or_else(|| request.text.and_then(of_text)).filter(is_set) else {
            return Self::Text;
        };
        let Ok(format) = serde_json::from_str::<Format<'a>>(format.get()) else {
            return Self::Unreadable;
        };
        match wire::string(format.kind).as_deref() {
            Some("json_object") => Self::Json,
            Some("json_schema") => format
                .schema
                .or(format.json_schema.and_then(|named| named.schema))
                .map_or(Self::Json, Self::Schema),
            _ => Self::Text,
        }
    }
}

impl MatchesSchema {
    /// Makes one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what checks by a schema; `None` if it is none.
    fn validator(&self, schema: &str) -> Option<Arc<Validator>> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = ready.iter().position(|(json, _)| **json == *schema) {
            let used = ready.remove(at);
            let validator = Arc::clone(&used.1);
            ready.push(used);
            return Some(validator);
        }
        drop(ready);
        let made = jsonschema::validator_for(&serde_json::from_str(schema).ok()?).ok()?;
        let made = Arc::new(made);
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= KEPT {
            ready.remove(0);
        }
        ready.push((schema.into(), Arc::clone(&made)));
        Some(made)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Verifier for MatchesSchema {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let (Some(request), Some(answer)) = (exchange.request(), exchange.answer()) else {
            return Verdict::Reject("it cannot be read");
        };
        let validator = match Asked::by(request) {
            Asked::Text => return Verdict::Accept,
            Asked::Unreadable => return Verdict::Reject("the format cannot be read"),
            Asked::Json => None,
            Asked::Schema(schema) => match self.validator(schema.get()) {
                Some(validator) => Some(validator),
                None => return Verdict::Reject("the schema cannot be read"),
            },
        };
        let says = answer
            .choices()
            .iter()
            .filter(|choice| choice.tool_calls.is_empty() || !choice.text.is_empty());
        for choice in says {
            let Ok(value) = serde_json::from_str::<Value>(&choice.text) else {
                return Verdict::Reject("it is no JSON");
            };
            let fits = validator
                .as_ref()
                .map_or(value.is_object(), |validator| validator.is_valid(&value));
            if !fits {
                return Verdict::Reject("it is not by the schema");
            }
        }
        Verdict::Accept
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        None
    }
}
