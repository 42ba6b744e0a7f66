//! `POST /embeddings`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Simulator;
use super::book::Charge;
use super::exchange::{Outgoing, Refusal};
use super::models;
use super::text::hash;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::usage::Usage;

/// Texts that one request may bring, as with the real API.
const MAX_INPUTS: usize = 2_048;

#[derive(Deserialize)]
struct Ask {
    #[serde(default)]
    input: Value,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

impl Simulator {
    pub(super) fn embeddings(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        self.embed(body, Lane::Standard)
    }

    /// Embeds in a lane; a batch is the only other one than the standard.
    pub(super) fn embed(&self, body: &Bytes, lane: Lane) -> Result<Outgoing, Refusal> {
        let view = super::ask::read(body)?;
        let model = self.model_of(&view)?;
        let Some(full) = models::dimensions(&model) else {
            let message = "You are not allowed to generate embeddings from this model";
            return Err(Refusal::new(http::StatusCode::FORBIDDEN, message));
        };
        let ask: Ask = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(error.to_string()).with_code("invalid_type"))?;
        let inputs = inputs(ask.input)?;
        if inputs.len() > MAX_INPUTS {
            let message = format!("'input' must not be an array of more than {MAX_INPUTS} items.");
            return Err(Refusal::bad_request(message).about("input"));
        }
        let dimensions = ask.dimensions.unwrap_or(full);
        if dimensions == 0 || dimensions > full {
            let message =
                format!("Invalid value for 'dimensions' = {dimensions}. Must be between 1 and {full}.");
            return Err(Refusal::bad_request(message).about("dimensions"));
        }
        let tokens = self
            .core
            .counter
            .count_request(&Endpoint::Embeddings, &view)
            .tokens;
        let as_base64 = ask.encoding_format.as_deref() == Some("base64");
        let data: Vec<Item> = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let seed = hash(self.core.seed, model.as_bytes());
                let vector = unit_vector(hash(seed, input.to_string().as_bytes()), dimensions);
                let embedding = if as_base64 {
                    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                    Vector::Base64(STANDARD.encode(bytes))
                } else {
                    Vector::Floats(vector)
                };
                Item {
                    object: "embedding",
                    index,
                    embedding,
                }
            })
            .collect();
        self.core.charge(Charge {
            id: format!("embd-{:016x}", self.core.fresh(body)),
            model: ModelId::from(models::served(&model)),
            lane,
            endpoint: Endpoint::Embeddings,
            usage: Usage::new(tokens, 0),
            at: self.core.now(),
        });
        Ok(Outgoing::json(&json!({
            "object": "list", "data": data, "model": models::served(&model),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })))
    }
}

/// Splits the four forms of `input` into one value per text.
fn inputs(input: Value) -> Result<Vec<Value>, Refusal> {
    let invalid = || {
        let message =
            "'input' must be a string, an array of strings, or an array of tokens, and not be empty.";
        Refusal::bad_request(message).about("input")
    };
    match input {
        Value::String(ref text) if !text.is_empty() => Ok(vec![input]),
        Value::Array(ref items) => match items.first() {
            Some(Value::Number(_)) => Ok(vec![input]),
            Some(Value::String(_) | Value::Array(_)) => Ok(items.clone()),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

fn unit_vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let raw: Vec<f32> = (0..dimensions).map(|_| rng.f32() - 0.5).collect();
    let length = raw
        .iter()
        .map(|x| x * x)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}
