//! What a call can have cost at most, where no answer says what it cost.

use std::num::NonZeroU32;
use std::time::Duration;

use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{CreateChatCompletionRequest, ServiceTier};
use async_openai::types::responses::CreateResponse;
use serde_json::{Value, json};
use thrifty::capability::{Capabilities, CapabilityBook};
use thrifty::ledger::{Degradation, LedgerEntry, Status};
use thrifty::pricing::{Cost, PartialReason, Price, PriceBook};
use thrifty::router::FixedRouter;
use thrifty::simulator::{Charge, Fault, LineFault, Simulator};
use thrifty::{Lane, LlmClient, LlmClientBuilder, RetryPolicy, Timestamp, Transport, Usd};
use tower::ServiceExt;

use super::{chat, client_of, only_row, rows};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn once() -> RetryPolicy {
    RetryPolicy::default().with_max_attempts(NonZeroU32::MIN)
}

/// A chat whose answer has a limit, so that its cost has one.
pub(super) fn short(model: &str) -> CreateChatCompletionRequest {
    let mut request = chat(model, "Name a river.");
    request.max_completion_tokens = Some(1_000);
    request
}

/// What the simulator has billed, by the built-in prices.
pub(super) fn billed(simulator: &Simulator) -> Usd {
    let (prices, book) = (PriceBook::builtin(), simulator.book());
    let cost = |charge: &Charge| {
        let at = Timestamp::from_unix_millis(charge.at * 1_000);
        let cost = prices.cost(&charge.model, charge.lane, &charge.usage, at);
        cost.exact().unwrap().as_pico()
    };
    Usd::from_pico(book.charges().iter().map(cost).sum())
}

/// The most that a row can have cost.
pub(super) fn most(row: &LedgerEntry) -> Usd {
    match row.cost {
        Cost::Priced(cost) => cost,
        Cost::Partial {
            at_most: Some(most), ..
        } => most,
        other => panic!("{other:?}"),
    }
}

/// A transport to the simulator that loses the usage of every answer.
fn without_usage(simulator: &Simulator) -> Transport {
    let service = simulator.service();
    Transport::service(tower::service_fn(move |request: HttpRequestFactory| {
        let service = service.clone();
        async move {
            let answer = service.oneshot(request).await?.text().await?;
            Ok::<_, OpenAIError>(http::Response::new(answer.replace("\"usage\"", "\"used\"")).into())
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_request_enqueued_directly_is_bounded_as_a_call_is() {
    for (is_missing, why, degradation) in [
        (true, PartialReason::LostAttempt, Degradation::Unreported),
        (false, PartialReason::NoUsage, Degradation::UsageMissing),
    ] {
        let simulator = Simulator::new();
        let transport = if is_missing {
            simulator.inject(Fault::line(LineFault::Missing));
            Transport::service(simulator.service())
        } else {
            without_usage(&simulator)
        };
        let llm = LlmClient::builder(simulator.client(), transport).build().unwrap();
        let handle = llm.collector().enqueue(&short("gpt-4o")).await.unwrap();
        assert_eq!(handle.await.is_err(), is_missing);
        let row = only_row(&llm).await;
        assert_eq!(row.degradations, [degradation]);
        let Cost::Partial { known, why: told, .. } = row.cost else {
            panic!("{:?}", row.cost);
        };
        assert_eq!((known, told), (Usd::ZERO, why));
        let billed = billed(&simulator);
        assert!(
            billed > Usd::ZERO && billed <= most(&row),
            "{billed} {}",
            row.cost
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_bounded_by_the_table_of_the_model_that_is_asked() {
    let request = |model: &str| -> CreateChatCompletionRequest {
        let image = serde_json::json!({"type": "image_url", "image_url": {"url": "https://x.example/y.png", "detail": "high"}});
        let message =
            serde_json::json!({"role": "user", "content": [{"type": "text", "text": "what?"}, image]});
        let body = serde_json::json!({"model": model, "max_completion_tokens": 10, "messages": [message]});
        serde_json::from_value(body).unwrap()
    };
    let mut bounds = Vec::new();
    for (route, asked) in [
        (Some("gpt-4o-mini"), "gpt-4o"),
        (None, "gpt-4o-mini"),
        (None, "gpt-4o"),
    ] {
        let simulator = Simulator::new();
        simulator.inject(Fault::connection_reset_after());
        let mut builder = client_of(&simulator).with_retry(once());
        if let Some(model) = route {
            builder = builder.with_router(FixedRouter::new(model));
        }
        let llm = builder.build().unwrap();
        llm.chat().create(request(asked)).await.unwrap_err();
        bounds.push(most(&*only_row(&llm).await));
    }
    assert_eq!(bounds[0], bounds[1]);
    // Eight tiles and the base of each table, 10 tokens of output, and the text by its bytes.
    assert!(bounds[0] >= Usd::from_pico((2_833 + 8 * 5_667) * 150_000));
    assert!(bounds[2] < Usd::from_pico((85 + 8 * 170 + 1_000) * 2_500_000));
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_is_bounded_by_the_model_that_it_asked() {
    let simulator = Simulator::new();
    simulator.inject(Fault::hang());
    simulator.inject(Fault::status(404));
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("o1"))
        .with_capabilities(CapabilityBook::empty())
        .build()
        .unwrap();
    llm.chat().create(short("gpt-4o-mini")).await.unwrap();
    // The lost attempt may have been billed: it is a row of the model that it asked.
    let rows = rows(&llm).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.sent_model.as_ref().unwrap().as_str(),
                row.attempts,
                row.status,
            )
        })
        .collect();
    assert_eq!(
        told,
        [("o1", 2, Status::Failed), ("gpt-4o-mini", 1, Status::Succeeded)]
    );
    assert_eq!(simulator.book().charges().len(), 2);
    assert!(rows[1].cost.exact().is_some());
    let all = most(&rows[0]).checked_add(most(&rows[1])).unwrap();
    assert!(billed(&simulator) <= all, "{} {all}", billed(&simulator));
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_is_bounded_on_the_lane_that_it_asked_for() {
    let simulator = Simulator::new();
    simulator.inject(Fault::connection_reset_after());
    simulator.inject(Fault::change(|answer| answer["service_tier"] = "default".into()));
    let llm = client_of(&simulator).build().unwrap();
    let mut request = short("gpt-4o");
    request.service_tier = Some(ServiceTier::Priority);
    llm.chat().create(request.clone()).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.lane, Lane::Standard);
    // A thousand tokens of output at the priority rate, and not at the standard one.
    let Cost::Partial { known, .. } = row.cost else {
        panic!("{:?}", row.cost);
    };
    let lost = most(&row).checked_sub(known).unwrap();
    assert!(lost >= Usd::from_pico(1_000 * 17_000_000), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_line_lost_on_the_faster_lane_is_bounded_on_the_lane_that_its_body_asks_for() {
    let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
    simulator.inject(Fault::hang().on("/chat/completions").times(9));
    let llm = client_of(&simulator).with_retry(once()).build().unwrap();
    let mut request = short("gpt-4o");
    request.service_tier = Some(ServiceTier::Priority);
    llm.within(3 * HOUR).chat().create(request).await.unwrap();
    let rows = rows(&llm).await;
    let lost = rows.iter().find(|row| row.status == Status::Unanswered).unwrap();
    assert_eq!(lost.lane, Lane::Priority);
    assert!(most(lost) >= Usd::from_pico(1_000 * 17_000_000), "{}", lost.cost);
}

/// The most that a request can cost whose answer is lost.
async fn bound(llm: LlmClientBuilder<OpenAIConfig>, body: Value) -> Option<Usd> {
    let llm = llm.with_retry(once()).build().unwrap();
    if body.get("messages").is_some() {
        let request: CreateChatCompletionRequest = serde_json::from_value(body).unwrap();
        llm.chat().create(request).await.unwrap_err();
    } else {
        let request: CreateResponse = serde_json::from_value(body).unwrap();
        llm.responses().create(request).await.unwrap_err();
    }
    match only_row(&llm).await.cost {
        Cost::Partial { known, at_most, .. } => {
            assert_eq!(known, Usd::ZERO);
            at_most
        }
        other => panic!("{other:?}"),
    }
}

/// As [`bound`], with what is built in.
async fn builtin_bound(body: Value) -> Option<Usd> {
    let simulator = Simulator::new();
    simulator.inject(Fault::connection_reset_after());
    bound(client_of(&simulator), body).await
}

fn response(model: &str, members: &Value) -> Value {
    let mut body = json!({"model": model, "input": "Name a river.", "max_output_tokens": 1_000});
    let members = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}

/// So many millionths of a dollar.
fn millionths(count: i64) -> Usd {
    Usd::from_pico(count * 1_000_000)
}

#[tokio::test(start_paused = true)]
async fn input_that_only_the_provider_sees_is_bounded_by_the_context_window() {
    // 400,000 x 1.25 + 1,000 x 10.
    let window = Some(millionths(510_000));
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]);
    for members in [
        json!({"previous_response_id": "resp_1"}),
        json!({"conversation": "conv_1"}),
        json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
        json!({"input": file}),
        json!({"tools": [{"type": "local_shell"}]}),
        json!({"tools": [{"type": "web_search"}], "tool_choice": "none"}),
    ] {
        assert_eq!(
            builtin_bound(response("gpt-5", &members)).await,
            window,
            "{members}"
        );
    }
    assert!(builtin_bound(response("gpt-5", &json!({}))).await < Some(millionths(11_000)));
    // 4,000,000 bytes of text are more than a model reads.
    let long = json!({"input": "x ".repeat(2_000_000)});
    assert_eq!(builtin_bound(response("gpt-5", &long)).await, window);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_may_run_more_than_once_has_no_bound() {
    for members in [
        json!({"tools": [{"type": "web_search"}]}),
        json!({"tools": [{"type": "web_search"}], "max_tool_calls": 1}),
        json!({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}], "tool_choice": "none"}),
        json!({"context_management": [{"type": "compaction", "compact_threshold": 1_000}]}),
        json!({"prompt": {"id": "pmpt_1"}}),
    ] {
        assert_eq!(
            builtin_bound(response("gpt-5", &members)).await,
            None,
            "{members}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_model_is_bounded_by_two_runs_and_a_search() {
    let ask = |model: &str| {
        let mut body = serde_json::to_value(short(model)).unwrap();
        body["web_search_options"] = json!({});
        body
    };
    // 2 x (128,000 x 2.50 + 1,000 x 10), and 25,000 for the search.
    assert_eq!(
        builtin_bound(ask("gpt-4o-search-preview")).await,
        Some(millionths(685_000))
    );
    assert_eq!(builtin_bound(ask("gpt-4o")).await, None);
}

#[tokio::test(start_paused = true)]
async fn cache_writes_kept_for_12_hours_are_bounded_where_they_have_a_price() {
    let kept = |model: &str| {
        let text = json!({"type": "input_text", "text": "x".repeat(10_000),
            "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}});
        response(model, &json!({"input": [{"role": "user", "content": [text]}]}))
    };
    let plain = response("gpt-5.6-sol", &json!({"input": "x".repeat(10_000)}));
    // 10 and 5 millionths a token; the output is 20.
    let (long, short) = (
        builtin_bound(kept("gpt-5.6-sol")).await,
        builtin_bound(plain).await,
    );
    assert!(long >= Some(millionths(10_000 * 10 + 20_000)) && long < Some(millionths(11_000 * 10 + 20_000)));
    assert!(short >= Some(millionths(10_000 * 5 + 20_000)) && short < Some(millionths(11_000 * 5 + 20_000)));
    assert_eq!(builtin_bound(kept("gpt-5")).await, None);
    // 1,050,000 x 20 + 1,000 x 30: an earlier turn may have asked for it.
    let next = response("gpt-5.6-sol", &json!({"previous_response_id": "resp_1"}));
    assert_eq!(builtin_bound(next).await, Some(millionths(21_030_000)));
}

#[tokio::test(start_paused = true)]
async fn choices_are_billed_as_output_and_predictions_up_to_the_window() {
    let with = |member: &str, value: Value| {
        let mut body = serde_json::to_value(short("gpt-4o")).unwrap();
        body[member] = value;
        body
    };
    let one = builtin_bound(with("n", json!(1))).await.unwrap();
    let three = builtin_bound(with("n", json!(3))).await.unwrap();
    // 2 x 1,000 x 10.
    assert_eq!(three.checked_sub(one), Some(millionths(20_000)));
    let prediction = json!({"type": "content", "content": "The Elbe."});
    // 128,000 x 2.50 + 128,000 x 10.
    assert_eq!(
        builtin_bound(with("prediction", prediction)).await,
        Some(millionths(1_600_000))
    );
}

#[tokio::test(start_paused = true)]
async fn audio_is_bounded_where_it_has_a_price() {
    let ask = |model: &str| {
        let audio =
            json!({"type": "input_audio", "input_audio": {"data": "x".repeat(100_000), "format": "wav"}});
        json!({"model": model, "max_completion_tokens": 100, "messages": [{"role": "user", "content": [audio]}]})
    };
    // 1,000 tokens at most for each 100,000 bytes, at 32; 100 x 64.
    let heard = builtin_bound(ask("gpt-audio")).await;
    assert!(heard >= Some(millionths(1_000 * 32 + 6_400)) && heard < Some(millionths(1_100 * 32 + 6_400)));
    assert_eq!(builtin_bound(ask("gpt-4o")).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_stated_bounds_input_and_output() {
    let simulator = Simulator::new();
    simulator.inject(Fault::connection_reset_after());
    let llm = client_of(&simulator)
        .with_prices(PriceBook::empty().with_price("gpt-5", Price::per_mtok("1", "2").unwrap()))
        .with_capabilities(
            CapabilityBook::empty().with_model("gpt-5", Capabilities::unlimited().with_context_window(1_000)),
        );
    let body = json!({"model": "gpt-5", "input": "?", "previous_response_id": "resp_1"});
    assert_eq!(bound(llm, body).await, Some(millionths(3_000)));
}
