//! Spans and metrics of each model that is called, by OpenTelemetry's names for generative AI. Feature `telemetry`;
//! without it there are none, and nothing is computed for them.
//!
//! thrifty binds no exporter. Spans go to the `tracing` subscriber that your service has, for example to
//! `tracing-opentelemetry`. Metrics go to the recorder that it installed for the `metrics` facade.
//!
//! # Spans
//! One span a ledger entry: from before it is sent until its answer, or its stream, has ended. If the answer is judged
//! after that, the time is in no span. Its
//! target is `thrifty`, its level `INFO`, its parent the span in which the call was made; retries and what the transport
//! does are inside it. Only chat completions, responses and embeddings have one. A line of a batch has none: it takes
//! hours, and its caller's span is over.
//!
//! | field | is |
//! |---|---|
//! | `otel.name`, `otel.kind` | `chat gpt-4o-mini`, `client` |
//! | `otel.status_code`, `error.type` | `ERROR`, and the HTTP status or how it ended; only if it failed |
//! | `gen_ai.operation.name` | `chat` or `embeddings` |
//! | `gen_ai.provider.name` | `openai`, whose protocol is spoken |
//! | `gen_ai.request.model`, `gen_ai.response.model` | the model that was asked, and the one that answered |
//! | `gen_ai.request.max_tokens` | the limit on output tokens, if the request has one |
//! | `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens` | totals, if they are known |
//! | `gen_ai.usage.cache_read.input_tokens`, `gen_ai.usage.cache_creation.input_tokens` | parts of the input, if they are known |
//! | `gen_ai.usage.reasoning.output_tokens` | a part of the output, if it is known |
//! | `openai.api.type` | `chat_completions` or `responses` |
//! | `http.response.status_code` | of the answer |
//! | `thrifty.op_id`, `thrifty.role`, `thrifty.feature`, `thrifty.lane`, `thrifty.attempts` | as in the ledger entry |
//! | `thrifty.cost_usd` | what it cost, exactly and as text; only if that is known |
//!
//! No span holds text of a prompt or of an answer, a user or a tag.
//!
//! # Metrics
//! | metric | kind | labels beside the common ones |
//! |---|---|---|
//! | `gen_ai.client.operation.duration` | histogram, seconds from the call until the end of an answer, of batch lines too | `error.type` if it failed |
//! | `gen_ai.client.token.usage` | histogram, tokens | `gen_ai.token.type`: `input` or `output` |
//! | `thrifty.cost` | counter, pico-USD (a millionth of a millionth) | |
//! | `thrifty.cost.unknown` | counter of entries whose cost is not known exactly; what is known of it is in `thrifty.cost` | |
//! | `thrifty.degradations` | counter | `thrifty.degradation`, as in the ledger entry |
//!
//! The common labels are `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, `thrifty.feature` and
//! `thrifty.lane`. Their number is bounded: a client names the first 200 features and the first 200 models that it
//! meets; further ones, and names of more than 200 bytes, are counted under `other`. A user, a tag or an id is never a
//! label. Corrections by [`reprice`](crate::ledger::reprice) are in the ledger alone: a counter cannot go back.
//!
//! Whatever did not go as it should is also one `tracing` event with the target `thrifty`, with and without this feature.
//!
//! Names are those of [OpenTelemetry's semantic conventions for OpenAI] as of 1.37, which are still in development: they
//! change here when they do there, in a release that says so.
//!
//! [OpenTelemetry's semantic conventions for OpenAI]: https://opentelemetry.io/docs/specs/semconv/gen-ai/openai/

use tracing::Span;
use tracing::field::{Empty, display};

use crate::endpoint::Endpoint;
use crate::ledger::{LedgerEntry, Status};
use crate::model::ModelId;

/// The span of a ledger entry, while it is open.
#[derive(Debug)]
pub(crate) struct CallSpan(Span);

impl CallSpan {
    /// Opens it inside the current span.
    pub(crate) fn open(entry: &LedgerEntry) -> Self {
        let Some(operation) = operation_name(&entry.endpoint).filter(|_| cfg!(feature = "telemetry")) else {
            return Self::none();
        };
        let model = entry.sent_model.as_ref().map(ModelId::as_str);
        Self(tracing::info_span!(
            target: "thrifty",
            "call",
            otel.name = format_args!("{operation} {}", model.unwrap_or("unknown")),
            otel.kind = "client",
            otel.status_code = Empty,
            "error.type" = Empty,
            gen_ai.operation.name = operation,
            gen_ai.provider.name = PROVIDER,
            gen_ai.request.model = model,
            gen_ai.request.max_tokens = entry.max_output_tokens,
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.usage.cache_read.input_tokens = Empty,
            gen_ai.usage.cache_creation.input_tokens = Empty,
            gen_ai.usage.reasoning.output_tokens = Empty,
            "openai.api.type" = api_type(&entry.endpoint),
            http.response.status_code = Empty,
            thrifty.op_id = %entry.op_id,
            thrifty.role = entry.role.as_str(),
            thrifty.feature = entry.attribution.feature(),
            thrifty.lane = entry.lane.as_str(),
            thrifty.attempts = Empty,
            thrifty.cost_usd = Empty,
        ))
    }

    /// The span of an entry that has none.
    pub(crate) fn none() -> Self {
        Self(Span::none())
    }

    /// Returns the span, to do in it what is done for the entry.
    pub(crate) const fn span(&self) -> &Span {
        &self.0
    }

    /// Adds what is known in the end, and ends it.
    pub(crate) fn close(&mut self, entry: &LedgerEntry) {
        let span = std::mem::replace(&mut self.0, Span::none());
        if span.is_disabled() {
            return;
        }
        let usage = entry.usage.as_ref();
        tracing::record_all!(
            span,
            // A model or a lane that was refused was replaced.
            gen_ai.request.model = entry.sent_model.as_ref().map(ModelId::as_str),
            thrifty.lane = entry.lane.as_str(),
            gen_ai.response.model = entry.served_model.as_ref().map(ModelId::as_str),
            gen_ai.usage.input_tokens = usage.map(|usage| usage.input_tokens),
            gen_ai.usage.output_tokens = usage.map(|usage| usage.output_tokens),
            gen_ai.usage.cache_read.input_tokens = usage.map(|usage| usage.cache_read_tokens),
            gen_ai.usage.cache_creation.input_tokens = usage.map(|usage| usage.cache_write_tokens),
            gen_ai.usage.reasoning.output_tokens = usage.map(|usage| usage.reasoning_tokens),
            http.response.status_code = entry.http_status,
            thrifty.attempts = entry.attempts,
            thrifty.cost_usd = entry.cost.exact().map(display),
        );
        if let Some(error) = error_type(entry) {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", display(error));
        }
    }
}

const PROVIDER: &str = "openai";

const fn operation_name(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Responses => Some("chat"),
        Endpoint::Embeddings => Some("embeddings"),
        Endpoint::Other(_) => None,
    }
}

const fn api_type(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::ChatCompletions => Some("chat_completions"),
        Endpoint::Responses => Some("responses"),
        Endpoint::Embeddings | Endpoint::Other(_) => None,
    }
}

/// Returns what an entry failed of: the HTTP status, or else how it ended.
fn error_type(entry: &LedgerEntry) -> Option<String> {
    match (entry.status, entry.http_status) {
        (Status::Succeeded, _) => None,
        (Status::Failed, Some(status)) if status >= 400 => Some(status.to_string()),
        (status, _) => Some(status.as_str().to_owned()),
    }
}

#[cfg(feature = "telemetry")]
pub(crate) use metered::Metrics;
#[cfg(feature = "telemetry")]
pub use metered::describe_metrics;

/// What counts entries; nothing does.
#[cfg(not(feature = "telemetry"))]
#[derive(Debug, Default)]
pub(crate) struct Metrics {}

#[cfg(not(feature = "telemetry"))]
impl Metrics {
    #[expect(
        clippy::unused_self,
        reason = "with the feature it knows which names it has met"
    )]
    pub(crate) const fn count(&self, _entry: &LedgerEntry) {}
}

#[cfg(feature = "telemetry")]
mod metered {
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex, PoisonError};

    use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_histogram, histogram};

    use crate::label::{MAX_BYTES, MAX_NAMES, NONE, OTHER};
    use crate::ledger::{Degradation, LedgerEntry};
    use crate::model::ModelId;
    use crate::telemetry::{PROVIDER, error_type, operation_name};

    const DURATION: &str = "gen_ai.client.operation.duration";
    const TOKENS: &str = "gen_ai.client.token.usage";
    const COST: &str = "thrifty.cost";
    const UNKNOWN: &str = "thrifty.cost.unknown";
    const DEGRADATIONS: &str = "thrifty.degradations";

    /// Tells the recorder of the `metrics` facade what the metrics are, and in which units.
    ///
    /// Call it once, after your service has installed its recorder. Metrics are recorded without it too.
    pub fn describe_metrics() {
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "from the call until the end of a model's answer"
        );
        describe_histogram!(TOKENS, Unit::Count, "tokens of one answer");
        describe_counter!(COST, Unit::Count, "what calls cost, in pico-USD");
        describe_counter!(UNKNOWN, Unit::Count, "calls whose cost is not known exactly");
        describe_counter!(DEGRADATIONS, Unit::Count, "what did not go as it should");
    }

    /// Counts entries, under a bounded number of names.
    #[derive(Debug, Default)]
    pub(crate) struct Metrics {
        features: Names,
        models: Names,
    }

    impl Metrics {
        pub(crate) fn count(&self, entry: &LedgerEntry) {
            let Some(operation) = operation_name(&entry.endpoint) else {
                return;
            };
            let (feature, _, _) = entry.attribution.parts();
            let model = entry.sent_model.as_ref().map(ModelId::shared);
            let common = [
                Label::from_static_parts("gen_ai.operation.name", operation),
                Label::from_static_parts("gen_ai.provider.name", PROVIDER),
                Label::new("gen_ai.request.model", self.models.label(model)),
                Label::new("thrifty.feature", self.features.label(feature)),
                Label::from_static_parts("thrifty.lane", entry.lane.as_str()),
            ];
            let and = |key: &'static str, value: SharedString| {
                let mut labels = Vec::with_capacity(common.len() + 1);
                labels.extend_from_slice(&common);
                labels.push(Label::new(key, value));
                labels
            };
            if let Some(latency) = entry.latency() {
                let labels = match error_type(entry) {
                    None => common.to_vec(),
                    Some(error) => and("error.type", error.into()),
                };
                histogram!(DURATION, labels).record(latency);
            }
            if let Some(usage) = &entry.usage {
                for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
                    #[expect(clippy::cast_precision_loss, reason = "no answer has 2^53 tokens")]
                    histogram!(TOKENS, and("gen_ai.token.type", kind.into())).record(tokens as f64);
                }
            }
            if let Some(pico) = entry
                .cost
                .known()
                .and_then(|cost| u64::try_from(cost.as_pico()).ok())
            {
                counter!(COST, common.to_vec()).increment(pico);
            }
            if entry.cost.exact().is_none() {
                counter!(UNKNOWN, common.to_vec()).increment(1);
            }
            for degradation in &entry.degradations {
                let name = Degradation::as_str(*degradation);
                counter!(DEGRADATIONS, and("thrifty.degradation", name.into())).increment(1);
            }
        }
    }

    /// The names that have a label of their own.
    #[derive(Debug, Default)]
    struct Names(Mutex<HashSet<Arc<str>>>);

    impl Names {
        fn label(&self, name: Option<&Arc<str>>) -> SharedString {
            let Some(name) = name else {
                return SharedString::const_str(NONE);
            };
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(name) = known.get(&**name) {
                return SharedString::from_shared(Arc::clone(name));
            }
            if known.len() == MAX_NAMES || name.len() > MAX_BYTES {
                return SharedString::const_str(OTHER);
            }
            known.insert(Arc::clone(name));
            SharedString::from_shared(Arc::clone(name))
        }
    }
}
