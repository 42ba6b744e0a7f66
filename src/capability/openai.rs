//! What is known of OpenAI's models, as of 2026-11-24.
//!
//! Limits and features are those that the `litellm` 1.109.1 price map and `genai-prices` 0.2.1 (both under the MIT
//! licence) state; where they differ, the wider one, for a limit here excludes, and bounds what a call can cost. Rejected
//! parameters are from OpenAI's guides to reasoning models. From gpt-5.1 on, sampling parameters are taken with the
//! effort `none` only; they count as rejected.

use super::{Capabilities, Feature, Parameter};

/// A chat model of the given context window and longest answer, in tokens.
const fn plain(context_window: u64, max_output: u64) -> Capabilities {
    Capabilities::unlimited()
        .with_context_window(context_window)
        .with_max_output(max_output)
        .without(Feature::Embeddings)
        .without(Feature::Audio)
        .rejecting(Parameter::ReasoningEffort)
        .rejecting(Parameter::Verbosity)
}

/// A model from before structured outputs, images and service tiers.
const fn early(context_window: u64) -> Capabilities {
    plain(context_window, 4_096)
        .without(Feature::Vision)
        .without(Feature::JsonSchema)
        .rejecting(Parameter::ServiceTier)
}

/// A chat model that takes no sampling parameters.
const fn reasoning(context_window: u64, max_output: u64) -> Capabilities {
    Capabilities::unlimited()
        .with_context_window(context_window)
        .with_max_output(max_output)
        .without(Feature::Embeddings)
        .without(Feature::Audio)
        .rejecting(Parameter::MaxTokens)
        .rejecting(Parameter::Temperature)
        .rejecting(Parameter::TopP)
        .rejecting(Parameter::Logprobs)
        .rejecting(Parameter::TopLogprobs)
        .rejecting(Parameter::PresencePenalty)
        .rejecting(Parameter::FrequencyPenalty)
        .rejecting(Parameter::LogitBias)
}

const O_SERIES: Capabilities = reasoning(200_000, 100_000).rejecting(Parameter::Verbosity);
const GPT_5: Capabilities = reasoning(400_000, 128_000).rejecting(Parameter::Stop);
const GPT_5_LONG: Capabilities = reasoning(1_050_000, 128_000).rejecting(Parameter::Stop);
const GPT_4O: Capabilities = plain(128_000, 16_384);
const GPT_4_1: Capabilities = plain(1_047_576, 32_768);
/// Without its window of 8,192 tokens, which holds for each text of a request by itself.
const EMBEDDING: Capabilities = Capabilities::unlimited()
    .without(Feature::ChatCompletions)
    .without(Feature::Responses);

/// Returns what is known of exactly this id.
pub(super) fn capabilities(id: &str) -> Option<Capabilities> {
    let responses_only = |capabilities: Capabilities| capabilities.without(Feature::ChatCompletions);
    Some(match id {
        "gpt-3.5-turbo" | "gpt-3.5-turbo-0125" | "gpt-3.5-turbo-1106" | "gpt-3.5-turbo-16k" => early(16_385),
        "gpt-4" | "gpt-4-0613" => early(8_192),
        "gpt-4-1106-preview" => early(128_000),
        "gpt-4-turbo" => plain(128_000, 4_096)
            .without(Feature::JsonSchema)
            .rejecting(Parameter::ServiceTier),
        "gpt-4o-2024-05-13" => plain(128_000, 4_096).without(Feature::JsonSchema),
        "gpt-4o" | "gpt-4o-mini" | "gpt-4o-search-preview" | "gpt-4o-mini-search-preview" => GPT_4O,
        "gpt-4.1" | "gpt-4.1-mini" | "gpt-4.1-nano" => GPT_4_1,
        "o1" => O_SERIES.rejecting(Parameter::ServiceTier),
        "o3-mini" => O_SERIES
            .without(Feature::Vision)
            .rejecting(Parameter::ServiceTier),
        "o3" | "o4-mini" => O_SERIES.rejecting(Parameter::Stop),
        "o1-pro" => responses_only(O_SERIES),
        "o3-pro" => responses_only(O_SERIES.rejecting(Parameter::Stop)),
        "o3-deep-research" | "o4-mini-deep-research" => {
            responses_only(O_SERIES.rejecting(Parameter::Stop)).without(Feature::JsonSchema)
        }
        "gpt-5" | "gpt-5-mini" | "gpt-5-nano" | "gpt-5.1" | "gpt-5.2" | "gpt-5.4-mini" | "gpt-5.4-nano" => {
            GPT_5
        }
        "gpt-5-codex" | "gpt-5.1-codex" | "gpt-5.1-codex-mini" | "gpt-5.1-codex-max" | "gpt-5.2-codex"
        | "gpt-5.3-codex" | "gpt-5.2-pro" => responses_only(GPT_5),
        "gpt-5-pro" => responses_only(GPT_5).with_max_output(272_000),
        "gpt-5.4" | "gpt-5.5" | "gpt-5.6" | "gpt-5.6-sol" | "gpt-5.6-terra" | "gpt-5.6-luna"
        | "gpt-6-astra" | "gpt-6-sol" | "gpt-6-luna" | "gpt-6.1-sol" | "gpt-6.1-terra" => GPT_5_LONG,
        "gpt-5.4-pro" | "gpt-5.5-pro" => responses_only(GPT_5_LONG).without(Feature::JsonSchema),
        "text-embedding-3-small" | "text-embedding-3-large" | "text-embedding-ada-002" => EMBEDDING,
        _ => return None,
    })
}
