//! What a subscriber and a recorder of metrics are told of calls.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use futures_util::{StreamExt, TryStreamExt};
use thrifty::ledger::{Degradation, Filter, LedgerEntry};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{LlmClient, Transport};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

const SECRET: &str = "Rumpelstilzchen";

/// A span or an event, as it was told.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps all that it is told of the target `thrifty`, and of a caller's own spans.
#[derive(Debug, Clone, Default)]
struct Listener {
    spans: Arc<Mutex<Vec<(u64, Told)>>>,
    events: Arc<Mutex<Vec<Told>>>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent());
        let mut told = Told {
            name: attributes.metadata().name(),
            parent: parent.map(|parent| parent.name()),
            ..Told::default()
        };
        attributes.record(&mut told);
        self.spans.lock().unwrap().push((id.into_u64(), told));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _context: Context<'_, S>) {
        self.of_span(id, |told| values.record(told));
    }

    fn on_close(&self, id: Id, _context: Context<'_, S>) {
        self.of_span(&id, |told| told.closed = true);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Told {
            name: event.metadata().name(),
            parent: context.event_span(event).map(|span| span.name()),
            ..Told::default()
        };
        event.record(&mut told);
        self.events.lock().unwrap().push(told);
    }
}

impl Listener {
    fn listen() -> (Self, DefaultGuard) {
        let listener = Self::default();
        let guard = tracing::subscriber::set_default(Registry::default().with(listener.clone()));
        (listener, guard)
    }

    /// An id is given again once its span is closed.
    fn of_span(&self, id: &Id, note: impl FnOnce(&mut Told)) {
        let mut spans = self.spans.lock().unwrap();
        let mut newest_first = spans.iter_mut().rev();
        let (_, told) = newest_first.find(|(span, _)| *span == id.into_u64()).unwrap();
        note(told);
    }

    /// The spans of calls.
    fn calls(&self) -> Vec<Told> {
        let spans = self.spans.lock().unwrap();
        let calls = spans.iter().filter(|(_, told)| told.name == "call");
        calls.map(|(_, told)| told.clone()).collect()
    }
}

async fn rows(llm: &LlmClient) -> Vec<Arc<LedgerEntry>> {
    llm.ledger().scan(&Filter::default()).try_collect().await.unwrap()
}

fn client(simulator: &Simulator) -> LlmClient {
    LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
        .build()
        .unwrap()
}

fn request(model: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from(format!("Who is {SECRET}?")).into()])
        .max_completion_tokens(50_u32)
        .build()
        .unwrap()
}

#[cfg(not(feature = "telemetry"))]
#[tokio::test]
async fn without_the_feature_a_call_has_no_span() {
    let (listener, _guard) = Listener::listen();
    client(&Simulator::new())
        .chat()
        .create(request("gpt-4o"))
        .await
        .unwrap();
    assert_eq!(listener.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn whatever_did_not_go_as_it_should_is_one_event() {
    let (listener, _guard) = Listener::listen();
    let simulator = Simulator::new();
    simulator.inject(Fault::status(503));
    let llm = client(&simulator);
    let patient = llm.within(Duration::from_secs(86_400));
    let stream = patient.chat().create_stream(request("gpt-4o")).await.unwrap();
    stream.for_each(async |chunk| drop(chunk.unwrap())).await;
    let row = &rows(&llm).await[0];
    assert!(
        row.degradations.contains(&Degradation::NotBatched)
            && row.degradations.contains(&Degradation::Retried)
    );
    let events = listener.events.lock().unwrap();
    for degradation in &row.degradations {
        let told = events
            .iter()
            .filter(|event| event.fields["message"] == degradation.to_string());
        assert_eq!(told.count(), 1, "{degradation} in {events:?}");
    }
}

#[cfg(feature = "telemetry")]
mod on {
    use metrics_util::MetricKind;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
    use thrifty::router::CascadeRouter;
    use thrifty::router::verify::{Exchange, Verdict, verifier_fn};
    use tracing::Instrument;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_a_span_by_the_names_of_open_telemetry() {
        let (listener, _guard) = Listener::listen();
        let simulator = Simulator::new();
        simulator.inject(Fault::status(503));
        let llm = client(&simulator);
        let scope = llm.feature("tales").user("ada").tag("team", "fables");
        let call = async { scope.chat().create(request("gpt-4o-mini")).await.unwrap() };
        call.instrument(tracing::info_span!("handler")).await;

        let row = &rows(&llm).await[0];
        let usage = row.usage.unwrap();
        let calls = listener.calls();
        assert_eq!(calls.len(), 1);
        let told = &calls[0];
        assert_eq!((told.parent, told.closed), (Some("handler"), true));
        let expected = [
            ("gen_ai.operation.name", "chat".to_owned()),
            ("gen_ai.provider.name", "openai".to_owned()),
            ("gen_ai.request.max_tokens", "50".to_owned()),
            ("gen_ai.request.model", "gpt-4o-mini".to_owned()),
            ("gen_ai.response.model", "gpt-4o-mini-2024-07-18".to_owned()),
            ("gen_ai.usage.cache_creation.input_tokens", "0".to_owned()),
            ("gen_ai.usage.cache_read.input_tokens", "0".to_owned()),
            ("gen_ai.usage.input_tokens", usage.input_tokens.to_string()),
            ("gen_ai.usage.output_tokens", usage.output_tokens.to_string()),
            ("gen_ai.usage.reasoning.output_tokens", "0".to_owned()),
            ("http.response.status_code", "200".to_owned()),
            ("openai.api.type", "chat_completions".to_owned()),
            ("otel.kind", "client".to_owned()),
            ("otel.name", "chat gpt-4o-mini".to_owned()),
            ("thrifty.attempts", "2".to_owned()),
            ("thrifty.cost_usd", row.cost.exact().unwrap().to_string()),
            ("thrifty.feature", "tales".to_owned()),
            ("thrifty.lane", "standard".to_owned()),
            ("thrifty.op_id", row.op_id.to_string()),
            ("thrifty.role", "primary".to_owned()),
        ];
        assert_eq!(told.fields, BTreeMap::from(expected));
        let events = listener.events.lock().unwrap();
        let retried = events
            .iter()
            .find(|event| event.fields["message"] == "retrying")
            .unwrap();
        assert_eq!(retried.parent, Some("call"));
        let all = format!("{listener:?} {events:?}");
        for private in [SECRET, "ada", "fables"] {
            assert!(!all.contains(private), "{private} in {all}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_says_of_what_it_failed() {
        let (listener, _guard) = Listener::listen();
        let llm = client(&Simulator::new());
        llm.chat().create(request("no-such-model")).await.unwrap_err();
        let told = &listener.calls()[0];
        assert_eq!(
            (&*told.fields["error.type"], &*told.fields["otel.status_code"]),
            ("404", "ERROR")
        );
        assert_eq!(told.fields.get("gen_ai.usage.input_tokens"), None);

        let simulator = Simulator::new();
        simulator.inject(Fault::hang());
        let scope = client(&simulator).feature("hasty");
        let call = scope.chat();
        let pending = call.create(request("gpt-4o"));
        tokio::time::timeout(Duration::from_secs(1), pending)
            .await
            .unwrap_err();
        let told = &listener.calls()[1];
        assert_eq!((&*told.fields["error.type"], told.closed), ("abandoned", true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_span_of_a_stream_lasts_as_long_as_the_stream() {
        let (listener, _guard) = Listener::listen();
        let simulator = Simulator::new();
        simulator.inject(Fault::stall_body());
        let llm = client(&simulator);
        let mut stalled = llm.chat().create_stream(request("gpt-4o")).await.unwrap();
        stalled.next().await.unwrap().unwrap();
        assert!(!listener.calls()[0].closed);
        drop(stalled);
        let stream = llm.chat().create_stream(request("gpt-4o")).await.unwrap();
        stream.for_each(async |chunk| drop(chunk.unwrap())).await;

        // The task that async-openai reads streams with takes notice.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (calls, rows) = (listener.calls(), rows(&llm).await);
        assert!(calls[0].closed && calls[1].closed);
        assert_eq!(calls[0].fields["error.type"], "abandoned");
        let usage = rows[1].usage.unwrap();
        assert_eq!(
            calls[1].fields["gen_ai.usage.output_tokens"],
            usage.output_tokens.to_string()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_span_of_an_answer_that_is_judged_ends_when_it_has_come() {
        let (listener, _guard) = Listener::listen();
        let told = listener.clone();
        let sees = move |_: &Exchange<'_>| {
            let calls = told.calls();
            assert_eq!(calls.len(), 1);
            if calls[0].closed {
                Verdict::Reject("never")
            } else {
                Verdict::Accept
            }
        };
        let router = CascadeRouter::new("gpt-4o-mini", verifier_fn(sees), "gpt-4o");
        let simulator = Simulator::new();
        let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
            .with_router(router)
            .build()
            .unwrap();
        llm.chat().create(request("gpt-4o")).await.unwrap();
        let calls = listener.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert!(
            calls
                .iter()
                .all(|call| call.closed && call.fields.contains_key("thrifty.cost_usd"))
        );
    }

    type Labels = BTreeMap<String, String>;

    /// The labels and values of a metric.
    fn of(snapshotter: &Snapshotter) -> Vec<(MetricKind, String, Labels, DebugValue)> {
        let metrics = snapshotter.snapshot().into_vec().into_iter();
        let read = metrics.map(|(key, _, _, value)| {
            let (kind, key) = key.into_parts();
            let labels = key
                .labels()
                .map(|label| (label.key().to_owned(), label.value().to_owned()));
            (kind, key.name().to_owned(), labels.collect(), value)
        });
        read.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_calls_cost_is_counted_to_the_pico_dollar() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _guard = metrics::set_default_local_recorder(&recorder);
        thrifty::telemetry::describe_metrics();
        let llm = client(&Simulator::new());
        for _ in 0..3 {
            llm.feature("tales")
                .user("ada")
                .chat()
                .create(request("gpt-4o-mini"))
                .await
                .unwrap();
        }
        llm.feature("tales")
            .chat()
            .create(request("no-such-model"))
            .await
            .unwrap_err();

        let rows = rows(&llm).await;
        let cost: i64 = rows
            .iter()
            .filter_map(|row| row.cost.exact())
            .map(thrifty::Usd::as_pico)
            .sum();
        let counted = of(&snapshotter);
        let labels = |model: &str, more: &[(&str, &str)]| -> Labels {
            let common = [
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.provider.name", "openai"),
                ("gen_ai.request.model", model),
                ("thrifty.feature", "tales"),
                ("thrifty.lane", "standard"),
            ];
            let all = common.iter().chain(more);
            all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let value = |name: &str, labels: &Labels| {
            let found = counted
                .iter()
                .find(|(_, of, with, _)| of == name && with == labels);
            found.map(|(_, _, _, value)| value)
        };
        let mini = labels("gpt-4o-mini", &[]);
        assert_eq!(
            value("thrifty.cost", &mini),
            Some(&DebugValue::Counter(u64::try_from(cost).unwrap()))
        );
        assert_eq!(value("thrifty.cost.unknown", &mini), None);
        for (kind, more) in [
            ("gen_ai.client.token.usage", ("gen_ai.token.type", "input")),
            ("gen_ai.client.token.usage", ("gen_ai.token.type", "output")),
        ] {
            let Some(DebugValue::Histogram(tokens)) = value(kind, &labels("gpt-4o-mini", &[more])) else {
                panic!("{counted:?}");
            };
            assert_eq!(tokens.len(), 3);
        }
        let failed = labels("no-such-model", &[("error.type", "404")]);
        assert!(matches!(
            value("gen_ai.client.operation.duration", &failed),
            Some(DebugValue::Histogram(_))
        ));
        assert!(!format!("{counted:?}").contains("ada"));
    }

    #[tokio::test]
    async fn more_features_than_labels_are_counted_together() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let llm = client(&Simulator::new());
        for n in 0..250 {
            llm.feature(format!("feature {n}"))
                .chat()
                .create(request("gpt-4o-mini"))
                .await
                .unwrap();
        }
        llm.feature("long".repeat(100))
            .chat()
            .create(request("gpt-4o-mini"))
            .await
            .unwrap();
        let costs: Vec<_> = of(&snapshotter)
            .into_iter()
            .filter(|(_, name, _, _)| name == "thrifty.cost")
            .collect();
        assert_eq!(costs.len(), 201);
        let row = &rows(&llm).await[0];
        let one = u64::try_from(row.cost.exact().unwrap().as_pico()).unwrap();
        let other = costs
            .iter()
            .find(|(_, _, labels, _)| labels["thrifty.feature"] == "other")
            .unwrap();
        assert_eq!(other.3, DebugValue::Counter(51 * one));
    }
}
