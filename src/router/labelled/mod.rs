//! A prompt, and how good each model's answer to it was.

mod jsonl;

pub use jsonl::{LineProblem, ReadLabelledError, read_labelled};

use std::collections::BTreeMap;

use serde_json::json;

use super::Quality;
use crate::model::ModelId;

/// A prompt with the quality of each model's answer: what a router is trained, tuned and measured by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Labelled {
    /// The text of the user's message.
    pub prompt: String,
    /// How good each model's answer was. A model that was not asked is missing.
    pub qualities: BTreeMap<ModelId, Quality>,
    /// The tokens of each model's answer, where known.
    pub output_tokens: BTreeMap<ModelId, u64>,
}

impl Labelled {
    /// Takes a prompt of which no answer is known.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            qualities: BTreeMap::new(),
            output_tokens: BTreeMap::new(),
        }
    }

    /// Says how good a model's answer was.
    #[must_use]
    pub fn with_quality(mut self, model: impl Into<ModelId>, quality: impl Into<Quality>) -> Self {
        self.qualities.insert(model.into(), quality.into());
        self
    }

    /// Says how many tokens a model's answer had.
    #[must_use]
    pub fn with_output_tokens(mut self, model: impl Into<ModelId>, tokens: u64) -> Self {
        self.output_tokens.insert(model.into(), tokens);
        self
    }

    /// Returns the prompt as the body of a chat request.
    pub(super) fn as_chat(&self, model: &ModelId) -> Vec<u8> {
        let body = json!({"model": model, "messages": [{"role": "user", "content": self.prompt}]});
        body.to_string().into_bytes()
    }
}
