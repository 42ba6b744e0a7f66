//! What models can do, and what a request needs of them.
//!
//! Only what is known to be impossible excludes a model: one that the book does not know, and a limit that is not
//! stated, exclude nothing. A filter that is wrong in doubt would cost money in silence; a request that is refused says
//! so.

mod needs;
mod openai;

pub use needs::Needs;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::ModelId;

/// Something a model can or cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// Answers `/chat/completions`.
    ChatCompletions,
    /// Answers `/responses`.
    Responses,
    /// Answers `/embeddings`.
    Embeddings,
    /// Reads images, or files, whose pages are read as images.
    Vision,
    /// Hears or speaks.
    Audio,
    /// Calls tools.
    Tools,
    /// Answers by a JSON schema.
    JsonSchema,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChatCompletions => "chat completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Vision => "vision",
            Self::Audio => "audio",
            Self::Tools => "tools",
            Self::JsonSchema => "JSON schema",
        })
    }
}

/// A member of a request that some models reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Parameter {
    /// `max_tokens` of a chat completion.
    MaxTokens,
    /// `temperature` other than 1.
    Temperature,
    /// `top_p` other than 1.
    TopP,
    /// `logprobs`, unless `false`.
    Logprobs,
    /// `top_logprobs`.
    TopLogprobs,
    /// `stop`.
    Stop,
    /// `presence_penalty` other than 0.
    PresencePenalty,
    /// `frequency_penalty` other than 0.
    FrequencyPenalty,
    /// `logit_bias`.
    LogitBias,
    /// `reasoning_effort`, or `effort` in `reasoning`.
    ReasoningEffort,
    /// `verbosity`, also in `text`.
    Verbosity,
    /// `service_tier` other than `auto` and `default`.
    ServiceTier,
}

impl Parameter {
    const ALL: [Self; 12] = [
        Self::MaxTokens,
        Self::Temperature,
        Self::TopP,
        Self::Logprobs,
        Self::TopLogprobs,
        Self::Stop,
        Self::PresencePenalty,
        Self::FrequencyPenalty,
        Self::LogitBias,
        Self::ReasoningEffort,
        Self::Verbosity,
        Self::ServiceTier,
    ];

    /// Returns the parameter's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::Logprobs => "logprobs",
            Self::TopLogprobs => "top_logprobs",
            Self::Stop => "stop",
            Self::PresencePenalty => "presence_penalty",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::LogitBias => "logit_bias",
            Self::ReasoningEffort => "reasoning_effort",
            Self::Verbosity => "verbosity",
            Self::ServiceTier => "service_tier",
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Feature {
    const ALL: [Self; 7] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Embeddings,
        Self::Vision,
        Self::Audio,
        Self::Tools,
        Self::JsonSchema,
    ];
}

const fn feature_bit(feature: Feature) -> u16 {
    1 << feature as u16
}

const fn parameter_bit(parameter: Parameter) -> u16 {
    1 << parameter as u16
}

/// What is known of a model: its limits, what it lacks, which parameters it rejects.
///
/// # Examples
/// ```
/// use thrifty::capability::{Capabilities, CapabilityBook, Feature, Parameter};
///
/// let local = Capabilities::unlimited()
///     .with_context_window(32_768)
///     .without(Feature::Vision)
///     .rejecting(Parameter::LogitBias);
/// let book = CapabilityBook::builtin().with_model("local", local);
/// assert_eq!(book.of(&"local".into()), Some(local));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities {
    context_window: Option<u64>,
    max_output: Option<u64>,
    lacks: u16,
    rejects: u16,
}

impl Capabilities {
    /// Nothing is known to be impossible.
    pub const fn unlimited() -> Self {
        Self {
            context_window: None,
            max_output: None,
            lacks: 0,
            rejects: 0,
        }
    }

    /// Sets how many tokens input and output can have together. Default: not known.
    #[must_use]
    pub const fn with_context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// Sets how many tokens an answer can have. Default: not known.
    #[must_use]
    pub const fn with_max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// Says that the model lacks a feature.
    #[must_use]
    pub const fn without(mut self, feature: Feature) -> Self {
        self.lacks |= feature_bit(feature);
        self
    }

    /// Says that the model refuses requests with a parameter.
    #[must_use]
    pub const fn rejecting(mut self, parameter: Parameter) -> Self {
        self.rejects |= parameter_bit(parameter);
        self
    }

    /// Returns how many tokens input and output can have together.
    pub const fn context_window(&self) -> Option<u64> {
        self.context_window
    }

    /// Returns how many tokens an answer can have: what a request without a limit can cost at most.
    pub const fn max_output(&self) -> Option<u64> {
        self.max_output
    }

    /// Whether the model may have the feature.
    pub const fn has(&self, feature: Feature) -> bool {
        self.lacks & feature_bit(feature) == 0
    }

    /// Whether the model is known to refuse requests with the parameter.
    pub const fn rejects(&self, parameter: Parameter) -> bool {
        self.rejects & parameter_bit(parameter) != 0
    }

    /// Tells whether the model can serve a request.
    ///
    /// # Errors
    /// The first thing that is known to be in the way.
    pub fn fits(&self, needs: &Needs) -> Result<(), Unfit> {
        let lacking = |feature: &Feature| !self.has(*feature) && needs.feature(*feature);
        if let Some(feature) = Feature::ALL.into_iter().find(lacking) {
            return Err(Unfit::Lacks(feature));
        }
        let rejected = |parameter: &Parameter| self.rejects(*parameter) && needs.parameter(*parameter);
        if let Some(parameter) = Parameter::ALL.into_iter().find(rejected) {
            return Err(Unfit::Rejects(parameter));
        }
        let (input, output) = (needs.input_tokens(), needs.output_limit().unwrap_or(0));
        match (self.context_window, self.max_output) {
            (Some(window), _) if input.saturating_add(output) > window => Err(Unfit::ContextWindow(window)),
            (_, Some(most)) if output > most => Err(Unfit::MaxOutput(most)),
            _ => Ok(()),
        }
    }
}

/// Why a model cannot serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The request needs a feature that the model lacks.
    #[error("no {0}")]
    Lacks(Feature),
    /// The request has a parameter that the model rejects.
    #[error("rejects `{0}`")]
    Rejects(Parameter),
    /// Input and output limit are together more than the context window, in tokens.
    #[error("context window of {0} tokens")]
    ContextWindow(u64),
    /// The output limit is more than the model can give, in tokens.
    #[error("output of at most {0} tokens")]
    MaxOutput(u64),
}

/// What is known of models, by id. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CapabilityBook {
    builtin: bool,
    models: Arc<BTreeMap<ModelId, Capabilities>>,
}

impl CapabilityBook {
    /// Returns what is known of OpenAI's models as of this release.
    pub fn builtin() -> Self {
        Self {
            builtin: true,
            models: Arc::default(),
        }
    }

    /// Returns a book that knows no model.
    pub fn empty() -> Self {
        Self {
            builtin: false,
            models: Arc::default(),
        }
    }

    /// Sets what is known of a model, whatever the book says.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<ModelId>, capabilities: Capabilities) -> Self {
        Arc::make_mut(&mut self.models).insert(model.into(), capabilities);
        self
    }

    /// Returns what is known of a model: by its exact id, else by the id before its `-YYYY-MM-DD` suffix, else by the
    /// base it was fine-tuned from. `None` if nothing is.
    pub fn of(&self, model: &ModelId) -> Option<Capabilities> {
        self.exact(model.as_str())
            .or_else(|| self.exact(model.without_date()?))
            .or_else(|| self.of(&ModelId::new(model.fine_tuned_from()?)))
    }

    fn exact(&self, id: &str) -> Option<Capabilities> {
        let own = self.models.get(id).copied();
        own.or_else(|| {
            if self.builtin {
                openai::capabilities(id)
            } else {
                None
            }
        })
    }
}

impl Default for CapabilityBook {
    /// The built-in facts.
    fn default() -> Self {
        Self::builtin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::wire::RequestView;

    fn fits(model: &str, endpoint: &Endpoint, body: &str, input_tokens: u64) -> Result<(), Unfit> {
        let view = RequestView::read(body.as_bytes()).unwrap();
        let needs = Needs::of(endpoint, &view).with_input_tokens(input_tokens);
        let known = CapabilityBook::builtin().of(&model.into());
        known.expect(model).fits(&needs)
    }

    fn chat(model: &str, body: &str) -> Result<(), Unfit> {
        fits(model, &Endpoint::ChatCompletions, body, 0)
    }

    #[test]
    fn a_reasoning_model_rejects_what_a_plain_one_takes_and_the_other_way_round() {
        for (body, parameter) in [
            (r#"{"max_tokens":5}"#, Parameter::MaxTokens),
            (r#"{"temperature":0}"#, Parameter::Temperature),
            (r#"{"top_p":0.5}"#, Parameter::TopP),
            (r#"{"logprobs":true}"#, Parameter::Logprobs),
            (r#"{"stop":"x"}"#, Parameter::Stop),
            (r#"{"presence_penalty":0.1}"#, Parameter::PresencePenalty),
            (r#"{"logit_bias":{"1":1}}"#, Parameter::LogitBias),
        ] {
            assert_eq!(chat("gpt-5-mini", body), Err(Unfit::Rejects(parameter)), "{body}");
            assert_eq!(chat("o4-mini", body), Err(Unfit::Rejects(parameter)), "{body}");
            assert_eq!(chat("gpt-4o-mini", body), Ok(()), "{body}");
        }
        let effort = r#"{"reasoning_effort":"low"}"#;
        assert_eq!(
            chat("gpt-4o", effort),
            Err(Unfit::Rejects(Parameter::ReasoningEffort))
        );
        assert_eq!(chat("gpt-5", effort), Ok(()));
    }

    #[test]
    fn a_limit_excludes_only_what_is_above_it() {
        let endpoint = Endpoint::ChatCompletions;
        let body = r#"{"max_completion_tokens":16384}"#;
        let window = Err(Unfit::ContextWindow(128_000));
        assert_eq!(fits("gpt-4o", &endpoint, body, 128_000 - 16_384), Ok(()));
        assert_eq!(fits("gpt-4o", &endpoint, body, 128_001 - 16_384), window);
        let more = r#"{"max_completion_tokens":16385}"#;
        assert_eq!(chat("gpt-4o", more), Err(Unfit::MaxOutput(16_384)));
    }

    #[test]
    fn many_texts_to_embed_are_not_one_long_one() {
        let input = r#"{"input":["a","b"]}"#;
        let embedding = "text-embedding-3-small";
        assert_eq!(fits(embedding, &Endpoint::Embeddings, input, 100_000), Ok(()));
    }

    #[test]
    fn what_a_model_lacks_excludes_it() {
        let image = r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert_eq!(chat("o3-mini", image), Err(Unfit::Lacks(Feature::Vision)));
        assert_eq!(chat("gpt-4o-mini", image), Ok(()));
        let not_chat = Err(Unfit::Lacks(Feature::ChatCompletions));
        assert_eq!(chat("text-embedding-3-small", "{}"), not_chat);
        assert_eq!(chat("o3-pro", "{}"), not_chat);
        let no_embeddings = Err(Unfit::Lacks(Feature::Embeddings));
        assert_eq!(fits("gpt-4o", &Endpoint::Embeddings, "{}", 0), no_embeddings);
        let schema = r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#;
        assert_eq!(
            chat("gpt-4o-2024-05-13", schema),
            Err(Unfit::Lacks(Feature::JsonSchema))
        );
    }

    #[test]
    fn a_snapshot_and_a_fine_tuned_model_can_do_what_their_base_can() {
        let book = CapabilityBook::builtin();
        let of = |id: &str| book.of(&id.into());
        assert!(of("gpt-4o-mini").is_some());
        assert_eq!(of("gpt-4o-mini-2024-07-18"), of("gpt-4o-mini"));
        assert_eq!(of("ft:gpt-4o-mini-2024-07-18:acme::x"), of("gpt-4o-mini"));
        assert_ne!(of("gpt-4o-2024-05-13"), of("gpt-4o"));
        assert_eq!(of("gpt-4o-mini-unheard-of"), None);
        assert_eq!(CapabilityBook::empty().of(&"gpt-4o".into()), None);
    }

    #[test]
    fn an_obstacle_reads_as_a_fragment() {
        assert_eq!(Unfit::Lacks(Feature::Vision).to_string(), "no vision");
        assert_eq!(
            Unfit::Rejects(Parameter::Temperature).to_string(),
            "rejects `temperature`"
        );
        assert_eq!(
            Unfit::ContextWindow(128_000).to_string(),
            "context window of 128000 tokens"
        );
    }
}
