//! What a request needs of a model.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use serde_json::value::RawValue;

use super::{Feature, Parameter, feature_bit, parameter_bit};
use crate::endpoint::Endpoint;
use crate::wire::{self, RequestView};

/// What a request needs of the model that serves it.
///
/// # Examples
/// ```
/// use thrifty::Endpoint;
/// use thrifty::capability::{Feature, Needs, Parameter};
/// use thrifty::wire::RequestView;
///
/// let body = br#"{"messages":[],"temperature":0.2,"tools":[{"type":"function"}],"stop":null}"#;
/// let needs = Needs::of(&Endpoint::ChatCompletions, &RequestView::read(body)?);
/// assert!(needs.feature(Feature::Tools) && needs.parameter(Parameter::Temperature));
/// assert!(!needs.parameter(Parameter::Stop));
/// # Ok::<(), thrifty::wire::UnreadableBody>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    features: u16,
    parameters: u16,
    input_tokens: u64,
    output_limit: Option<u64>,
}

impl Needs {
    /// Finds what a request needs. A member that is `null`, or has the value that holds without it, needs nothing.
    ///
    /// Images, files and audio are found by the names of their JSON members anywhere in messages or input, without
    /// decoding them: a tool's argument of the same name counts too.
    pub fn of(endpoint: &Endpoint, view: &RequestView<'_>) -> Self {
        let mut needs = Self {
            output_limit: view.output_limit(),
            ..Self::default()
        };
        match endpoint {
            Endpoint::ChatCompletions => needs.need(Feature::ChatCompletions),
            Endpoint::Responses => needs.need(Feature::Responses),
            Endpoint::Embeddings => needs.need(Feature::Embeddings),
            Endpoint::Other(_) => {}
        }
        needs.find_features(view);
        needs.find_parameters(endpoint, view);
        needs
    }

    fn find_features(&mut self, view: &RequestView<'_>) {
        for content in [view.messages, view.input].into_iter().flatten() {
            for (member, feature) in &*CONTENT {
                if member.find(content.get().as_bytes()).is_some() {
                    self.need(*feature);
                }
            }
        }
        if view.modalities.is_some_and(|raw| holds(raw, "\"audio\"")) {
            self.need(Feature::Audio);
        }
        if wire::has_some(view.tools) || wire::has_some(view.functions) {
            self.need(Feature::Tools);
        }
        let by_schema = |raw: Option<&RawValue>| raw.is_some_and(|raw| holds(raw, "\"json_schema\""));
        if by_schema(view.response_format) || by_schema(view.text) {
            self.need(Feature::JsonSchema);
        }
    }

    fn find_parameters(&mut self, endpoint: &Endpoint, view: &RequestView<'_>) {
        let is_chat = *endpoint == Endpoint::ChatCompletions;
        let one = ["1", "1.0"];
        let zero = ["0", "0.0"];
        for (parameter, value, idle) in [
            (Parameter::MaxTokens, view.max_tokens.filter(|_| is_chat), &[][..]),
            (Parameter::Temperature, view.temperature, &one),
            (Parameter::TopP, view.top_p, &one),
            (Parameter::Logprobs, view.logprobs, &["false"]),
            (Parameter::TopLogprobs, view.top_logprobs, &[]),
            (Parameter::Stop, view.stop, &[]),
            (Parameter::PresencePenalty, view.presence_penalty, &zero),
            (Parameter::FrequencyPenalty, view.frequency_penalty, &zero),
            (Parameter::LogitBias, view.logit_bias, &[]),
            (Parameter::ReasoningEffort, view.reasoning_effort, &[]),
            (
                Parameter::ReasoningEffort,
                view.reasoning.filter(|raw| holds(raw, "\"effort\"")),
                &[],
            ),
            (Parameter::Verbosity, view.verbosity, &[]),
            (
                Parameter::Verbosity,
                view.text.filter(|raw| holds(raw, "\"verbosity\"")),
                &[],
            ),
            (
                Parameter::ServiceTier,
                view.service_tier,
                &["\"auto\"", "\"default\""],
            ),
        ] {
            if value.is_some_and(|raw| !wire::is_null(raw) && !idle.contains(&raw.get())) {
                self.parameters |= parameter_bit(parameter);
            }
        }
    }

    /// Sets how many input tokens the request has at least. Default: 0.
    ///
    /// A lower bound, so that only what cannot fit is excluded.
    #[must_use]
    pub const fn with_input_tokens(mut self, at_least: u64) -> Self {
        self.input_tokens = at_least;
        self
    }

    /// Whether the request needs the feature.
    pub const fn feature(&self, feature: Feature) -> bool {
        self.features & feature_bit(feature) != 0
    }

    /// Whether the request has the parameter.
    pub const fn parameter(&self, parameter: Parameter) -> bool {
        self.parameters & parameter_bit(parameter) != 0
    }

    /// Returns how many input tokens the request has at least.
    pub const fn input_tokens(&self) -> u64 {
        self.input_tokens
    }

    /// Returns the limit on output tokens that the request sets.
    pub const fn output_limit(&self) -> Option<u64> {
        self.output_limit
    }

    const fn need(&mut self, feature: Feature) {
        self.features |= feature_bit(feature);
    }
}

/// How the content of messages shows what it holds. The searchers are made once: that takes as long as using them.
static CONTENT: LazyLock<[(Finder<'static>, Feature); 3]> = LazyLock::new(|| {
    [
        (Finder::new("\"image_url\""), Feature::Vision),
        (Finder::new("\"file_"), Feature::Vision),
        (Finder::new("\"input_audio\""), Feature::Audio),
    ]
});

/// Whether raw JSON has a string or member that begins so. A quoted word inside a text does not match: its closing
/// quote is escaped.
fn holds(raw: &RawValue, needle: &str) -> bool {
    memmem::find(raw.get().as_bytes(), needle.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(endpoint: &Endpoint, body: &str) -> Needs {
        Needs::of(endpoint, &RequestView::read(body.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_null_or_as_it_would_be_anyway_needs_nothing() {
        let body = r#"{"messages":[{"role":"user","content":"is \"image_url\" a member?"}],"temperature":1.0,
            "top_p":1,"stop":null,"logprobs":false,"presence_penalty":0,"tools":[],"service_tier":"auto",
            "reasoning":{"summary":"auto"},"text":{"format":{"type":"text"}}}"#;
        let mut plain = Needs::default();
        plain.need(Feature::ChatCompletions);
        assert_eq!(needs(&Endpoint::ChatCompletions, body), plain);
    }

    #[test]
    fn a_response_names_its_needs_in_other_places() {
        let body = r#"{"input":[{"role":"user","content":[{"type":"input_image","file_id":"f"},
            {"type":"input_audio","input_audio":{}}]}],"reasoning":{"effort":"low"},"max_output_tokens":7,
            "text":{"verbosity":"low","format":{"type":"json_schema"}},"service_tier":"flex"}"#;
        let needs = needs(&Endpoint::Responses, body);
        for feature in [
            Feature::Responses,
            Feature::Vision,
            Feature::Audio,
            Feature::JsonSchema,
        ] {
            assert!(needs.feature(feature), "{feature}");
        }
        for parameter in [
            Parameter::ReasoningEffort,
            Parameter::Verbosity,
            Parameter::ServiceTier,
        ] {
            assert!(needs.parameter(parameter), "{parameter}");
        }
        assert!(!needs.feature(Feature::Tools) && !needs.feature(Feature::ChatCompletions));
        assert_eq!(needs.output_limit(), Some(7));
    }

    #[test]
    fn max_tokens_is_a_parameter_of_chat_only() {
        let body = r#"{"max_tokens":7}"#;
        assert!(needs(&Endpoint::ChatCompletions, body).parameter(Parameter::MaxTokens));
        assert!(!needs(&Endpoint::Responses, body).parameter(Parameter::MaxTokens));
    }
}
