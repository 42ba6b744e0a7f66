//! What chat and responses have in common: reading a request, refusing it, and drafting an answer.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Simulator;
use super::book::Charge;
use super::exchange::Refusal;
use super::models;
use super::text::{hash, instance, prose};
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::usage::Usage;
use crate::wire::{self, RequestView};

/// A request to generate text that has passed all checks.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) view: RequestView<'a>,
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    pub(super) lane: Lane,
    /// The tier that the answer says it was served in.
    pub(super) tier: &'static str,
    pub(super) input_tokens: u64,
    /// Those of the input that are audio.
    pub(super) audio_tokens: u64,
    pub(super) cached_tokens: u64,
    /// What the text is derived from: the prompt and the shape asked for, not how the answer is delivered.
    seed: u64,
}

/// What an answer is to look like.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    Json(Value),
    Call { name: String, parameters: Value },
}

/// An answer, before it is put into the words of an endpoint.
#[derive(Debug)]
pub(super) struct Draft {
    /// The text, or the arguments of the call.
    pub(super) text: String,
    /// The function to call, if it is a call.
    pub(super) call: Option<String>,
    pub(super) reasoning_tokens: u64,
    /// All output tokens, reasoning included.
    pub(super) output_tokens: u64,
    /// Whether the limit on output tokens cut it.
    pub(super) is_cut: bool,
}

impl Simulator {
    /// Checks the parts that chat and responses share, and counts the input.
    pub(super) fn ask<'a>(
        &self,
        endpoint: Endpoint,
        view: &RequestView<'a>,
        model: String,
        in_batch: bool,
    ) -> Result<Ask<'a>, Refusal> {
        if models::dimensions(&model).is_some() {
            let message = "You are not allowed to sample from this model";
            return Err(Refusal::new(http::StatusCode::FORBIDDEN, message));
        }
        if models::reasons(&model) {
            refuse_unsupported(view)?;
        }
        let (mut lane, tier) = tier(view)?;
        if in_batch {
            lane = Lane::Batch;
        }
        let raw = |part: Option<&'a RawValue>| part.map_or("", RawValue::get);
        let prompt = [
            raw(view.tools),
            raw(view.instructions),
            raw(view.messages.or(view.input)),
        ];
        let audio_tokens = view.messages.or(view.input).map_or(0, audio_tokens);
        let input_tokens = self.core.counter.count_request(&endpoint, view).tokens + audio_tokens;
        let served = models::served(&model);
        let cached_tokens = if in_batch {
            0
        } else {
            self.core.cached(served, prompt, input_tokens)
        };
        let shape = [
            raw(view.response_format),
            raw(view.text),
            raw(view.tool_choice),
            &model,
        ];
        let parts = prompt.iter().chain(&shape);
        let seed = parts.fold(self.core.seed, |seed, part| hash(seed, part.as_bytes()));
        Ok(Ask {
            view: *view,
            endpoint,
            model,
            lane,
            tier,
            input_tokens,
            audio_tokens,
            cached_tokens,
            seed,
        })
    }

    /// Returns the model asked for, if there is one and it is known.
    pub(super) fn model_of(&self, view: &RequestView<'_>) -> Result<String, Refusal> {
        let model = view.model_name().filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| Refusal::bad_request("you must provide a model parameter"))?;
        self.known_model(&model)?;
        Ok(model.into_owned())
    }

    /// Drafts the answer's `index`th choice.
    pub(super) fn draft(&self, ask: &Ask<'_>, shape: &Shape, index: u64) -> Draft {
        let mut rng = fastrand::Rng::with_seed(hash(ask.seed, &index.to_le_bytes()));
        let limit = ask.view.output_limit().unwrap_or(u64::MAX);
        let wanted = if models::reasons(&ask.model) {
            reasoning_tokens(&mut rng, &ask.view)
        } else {
            0
        };
        let reasoning_tokens = wanted.min(limit);
        let room = limit - reasoning_tokens;
        let (text, tokens, call) = match shape {
            Shape::Text => {
                let wanted = rng.u64(20..=180);
                let text = prose(&mut rng, wanted.min(room));
                (text, wanted, None)
            }
            Shape::Json(schema) => {
                let text = instance(&mut rng, schema).to_string();
                let tokens = self.core.counter.count_text(&ask.model, &text).tokens;
                (text, tokens, None)
            }
            Shape::Call { name, parameters } => {
                let text = instance(&mut rng, parameters).to_string();
                let spoken = format!("{name} {text}");
                let tokens = self.core.counter.count_text(&ask.model, &spoken).tokens;
                (text, tokens, Some(name.clone()))
            }
        };
        let is_cut = wanted > limit || tokens > room;
        let text = if tokens > room && !matches!(shape, Shape::Text) {
            cut(text, room, tokens)
        } else {
            text
        };
        Draft {
            text,
            call,
            reasoning_tokens,
            output_tokens: reasoning_tokens + tokens.min(room),
            is_cut,
        }
    }

    /// Bills an answer and returns what was metered.
    pub(super) fn bill(&self, id: &str, ask: &Ask<'_>, drafts: &[Draft]) -> Usage {
        let mut usage = Usage::new(
            ask.input_tokens,
            drafts.iter().map(|draft| draft.output_tokens).sum(),
        );
        usage.cache_read_tokens = ask.cached_tokens;
        usage.audio_input_tokens = ask.audio_tokens;
        usage.reasoning_tokens = drafts.iter().map(|draft| draft.reasoning_tokens).sum();
        self.core.charge(Charge {
            id: id.to_owned(),
            model: ModelId::from(models::served(&ask.model)),
            lane: ask.lane,
            endpoint: ask.endpoint.clone(),
            usage,
            at: self.core.now(),
        });
        usage
    }
}

/// Counts the tokens of the audio in messages: one for 100 ms of 16-bit samples at 16 kHz.
fn audio_tokens(messages: &RawValue) -> u64 {
    const BYTES_A_TOKEN: u64 = 3_200;
    if memchr::memmem::find(messages.get().as_bytes(), b"input_audio").is_none() {
        return 0;
    }
    let mut open: Vec<Value> = serde_json::from_str(messages.get()).unwrap_or_default();
    let mut tokens = 0;
    while let Some(value) = open.pop() {
        if let Some(data) = value.pointer("/input_audio/data").and_then(Value::as_str) {
            let bytes = data.trim_end_matches('=').len() as u64 * 3 / 4;
            tokens += bytes.div_ceil(BYTES_A_TOKEN);
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    tokens
}

/// Reads a body, or refuses it in the real API's words.
pub(super) fn read(body: &[u8]) -> Result<RequestView<'_>, Refusal> {
    RequestView::read(body).map_err(|_| {
        Refusal::bad_request(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    })
}

/// Tells from the schema or tools asked for what the answer is to look like.
///
/// `format` is what holds `type` and `schema`; `functions` are objects with `name` and `parameters`.
pub(super) fn shape(
    format: Option<&Value>,
    functions: Vec<Value>,
    choice: &Value,
    after_tool: bool,
) -> Shape {
    let named = choice.pointer("/function/name").or_else(|| choice.get("name"));
    let must = named.is_some() || choice == "required";
    if choice != "none" && (must || !after_tool) {
        let mut functions = functions
            .into_iter()
            .filter(|function| function.get("name").is_some());
        let picked = functions.find(|function| named.is_none_or(|name| function.get("name") == Some(name)));
        if let Some(function) = picked {
            return Shape::Call {
                name: function
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                parameters: function.get("parameters").cloned().unwrap_or_else(|| json!({})),
            };
        }
    }
    let kind = format
        .and_then(|format| format.get("type"))
        .and_then(Value::as_str);
    match kind {
        Some("json_schema") => {
            let schema = format.and_then(|format| {
                format
                    .pointer("/json_schema/schema")
                    .or_else(|| format.get("schema"))
            });
            Shape::Json(schema.cloned().unwrap_or_else(|| json!({})))
        }
        Some("json_object") => Shape::Json(json!({"properties": {"answer": {"type": "string"}}})),
        _ => Shape::Text,
    }
}

fn reasoning_tokens(rng: &mut fastrand::Rng, view: &RequestView<'_>) -> u64 {
    let effort = view
        .reasoning_effort
        .and_then(wire::string)
        .map(String::from)
        .or_else(|| {
            let reasoning: Value = serde_json::from_str(view.reasoning?.get()).ok()?;
            reasoning.get("effort")?.as_str().map(str::to_owned)
        });
    // The real API reports multiples of 64.
    let steps = rng.u64(1..=6);
    64 * match effort.as_deref() {
        Some("none" | "minimal") => 0,
        Some("low") => steps.div_ceil(3),
        Some("high" | "xhigh") => steps * 3,
        _ => steps,
    }
}

/// Keeps about as much of a text as so many of its tokens.
fn cut(mut text: String, room: u64, tokens: u64) -> String {
    let kept = text.len() as u64 * room / tokens.max(1);
    let mut at = usize::try_from(kept).unwrap_or(0).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.truncate(at);
    text
}

fn tier(view: &RequestView<'_>) -> Result<(Lane, &'static str), Refusal> {
    let asked = view.service_tier.filter(|raw| !wire::is_null(raw));
    let Some(asked) = asked else {
        return Ok((Lane::Standard, "default"));
    };
    match wire::string(asked).as_deref() {
        Some("auto" | "default") => Ok((Lane::Standard, "default")),
        Some("flex") => Ok((Lane::Flex, "flex")),
        Some("priority" | "fast") => Ok((Lane::Priority, "priority")),
        _ => {
            let message = format!(
                "Invalid value: '{}'. Supported values are: 'auto', 'default', 'flex', and 'priority'.",
                asked.get().trim_matches('"')
            );
            Err(Refusal::bad_request(message)
                .about("service_tier")
                .with_code("invalid_value"))
        }
    }
}

/// Refuses what reasoning models do not take.
fn refuse_unsupported(view: &RequestView<'_>) -> Result<(), Refusal> {
    if view.max_tokens.is_some_and(|raw| !wire::is_null(raw)) {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
            'max_completion_tokens' instead.";
        return Err(Refusal::bad_request(message)
            .about("max_tokens")
            .with_code("unsupported_parameter"));
    }
    let values = [
        ("temperature", view.temperature, "1"),
        ("top_p", view.top_p, "1"),
        ("presence_penalty", view.presence_penalty, "0"),
        ("frequency_penalty", view.frequency_penalty, "0"),
    ];
    let number = |json: &str| json.parse::<f64>().ok();
    for (name, value, default) in values {
        let Some(value) = value.filter(|raw| !wire::is_null(raw) && number(raw.get()) != number(default))
        else {
            continue;
        };
        let message = format!(
            "Unsupported value: '{name}' does not support {} with this model. Only the default ({default}) value is \
             supported.",
            value.get()
        );
        return Err(Refusal::bad_request(message)
            .about(name)
            .with_code("unsupported_value"));
    }
    let given = |value: Option<&RawValue>| value.is_some_and(|raw| !matches!(raw.get(), "null" | "false"));
    for (name, value) in [
        ("logprobs", view.logprobs),
        ("stop", view.stop),
        ("logit_bias", view.logit_bias),
    ] {
        if given(value) {
            let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
            return Err(Refusal::bad_request(message)
                .about(name)
                .with_code("unsupported_parameter"));
        }
    }
    Ok(())
}
