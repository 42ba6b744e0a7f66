//! Wrong input and bad days: a clear error, or the answer with a row that says what is unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_openai::error::OpenAIError;
use thrifty::ledger::{Degradation, LedgerEntry, Query, Status};
use thrifty::pricing::{Cost, PartialReason, PriceBook, UnpricedReason};
use thrifty::router::{FixedRouter, TokenCountRouter};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, ErrorKind, LlmClient, Usd};

use super::bounds::short;
use super::{chat, client_of, only_row, ours, rows, scripted};

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_the_servers_refusal_and_cost_nothing() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let error = llm.chat().create(chat("gpt-9000", "hi")).await.unwrap_err();
    let OpenAIError::ApiError(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.api_error.code.as_deref(), Some("model_not_found"));
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.http_status, row.cost),
        (Status::Failed, Some(404), Cost::Priced(Usd::ZERO))
    );
    assert_eq!(row.requested_model.as_ref().unwrap().as_str(), "gpt-9000");
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_booked_unpriced_and_never_as_zero() {
    let simulator = Simulator::builder().with_models(["house-model"]).build();
    let llm = client_of(&simulator).build().unwrap();
    llm.chat().create(chat("house-model", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.cost, Cost::Unpriced(UnpricedReason::UnknownModel));
    assert_eq!(row.degradations, [Degradation::PriceUnknown]);
    assert!(row.usage.is_some() && row.baseline.is_none());
    let spend = llm.ledger().query(&Query::new()).await.unwrap();
    assert_eq!((spend.total.coverage.unpriced, spend.total.at_most()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn no_messages_and_no_model_are_the_servers_to_refuse() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let mut empty = chat("gpt-4o", "hi");
    empty.messages.clear();
    llm.chat().create(empty).await.unwrap_err();
    llm.chat().create(chat("", "hi")).await.unwrap_err();
    for row in rows(&llm).await {
        assert_eq!((row.status, row.http_status), (Status::Failed, Some(400)));
    }
    assert_eq!(simulator.request_count(), 2);
}

#[tokio::test]
async fn a_prompt_of_5_mb_passes_and_is_routed_within_its_bounds() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .build()
        .unwrap();
    llm.chat()
        .create(chat("gpt-4o", &"word ".repeat(1_000_000)))
        .await
        .unwrap();
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, &row.sent_model),
        (Status::Succeeded, &row.requested_model)
    );
    assert_eq!(row.usage, Some(simulator.book().charges()[0].usage));
    assert!(row.cost.exact().is_some());
}

/// Makes one call that is answered so, and returns its row.
async fn answered(body: &str) -> Arc<LedgerEntry> {
    let llm = LlmClient::builder(Simulator::new().client(), scripted([(200, body)]))
        .build()
        .unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    only_row(&llm).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_usage_is_booked_with_bounds() {
    let row =
        answered(r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[]}"#).await;
    assert_eq!((row.status, row.usage), (Status::Succeeded, None));
    assert_eq!(row.degradations, [Degradation::UsageMissing]);
    let Cost::Partial {
        known: Usd::ZERO,
        at_most: Some(most),
        why: PartialReason::NoUsage,
    } = row.cost
    else {
        panic!("{:?}", row.cost);
    };
    // 16,384 tokens of output are the most that gpt-4o gives.
    assert!(most >= Usd::from_pico(16_384 * 10_000_000));
}

#[tokio::test(start_paused = true)]
async fn usage_with_fields_never_seen_is_read() {
    let row = answered(
        r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[],"x":[{}],"usage":{"prompt_tokens":4,
        "completion_tokens":2,"total_tokens":6,"thoughts":{"deep":1},"prompt_tokens_details":{"cached_tokens":2,"warm":7}}}"#,
    )
    .await;
    assert_eq!(
        row.cost,
        Cost::Priced(Usd::from_pico(2 * 2_500_000 + 2 * 1_250_000 + 2 * 10_000_000))
    );
    assert_eq!(row.degradations, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_async_openai_cannot_decode_is_booked_all_the_same() {
    let body = r#"{"id":"c","model":"gpt-4o","service_tier":"turbo","choices":[],
        "usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#;
    for (body, cost, degradations) in [
        (
            body,
            Cost::Unpriced(UnpricedReason::UnknownTier),
            vec![Degradation::UnknownTier],
        ),
        (
            "<html>hello from a proxy</html>",
            Cost::Partial {
                known: Usd::ZERO,
                at_most: None,
                why: PartialReason::NoUsage,
            },
            vec![Degradation::UnreadableResponse, Degradation::UsageMissing],
        ),
    ] {
        let llm = LlmClient::builder(Simulator::new().client(), scripted([(200, body)]))
            .build()
            .unwrap();
        let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
        assert!(matches!(error, OpenAIError::JSONDeserialize(_, text) if text == body));
        let row = only_row(&llm).await;
        assert_eq!(
            (row.status, &row.degradations),
            (Status::Succeeded, &degradations)
        );
        match (row.cost, cost) {
            // What it can have been at most is known from the request.
            (Cost::Partial { known, why, at_most }, Cost::Partial { known: k, why: w, .. }) => {
                assert_eq!((known, why, at_most.is_some()), (k, w, true));
            }
            (booked, expected) => assert_eq!(booked, expected),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_price_book_leaves_bounds_open_and_calls_alone() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_prices(PriceBook::empty())
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    simulator.inject(Fault::connection_reset_after());
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.cost, Cost::Unpriced(UnpricedReason::UnknownModel));
    assert_eq!(
        row.degradations,
        [Degradation::PriceUnknown, Degradation::Retried]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_flight_is_a_row_with_a_bound() {
    let simulator = Simulator::builder().with_latency(Duration::from_secs(10)).build();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.tracked();
    tokio::select! {
        _ = async { tracked.chat().create(chat("gpt-4o", "hi")).await } => panic!("it is slow"),
        () = tokio::time::sleep(Duration::from_secs(2)) => {}
    }
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.attempts, row.latency_ms),
        (Status::Abandoned, 1, Some(2_000))
    );
    let usage = simulator.book().charges()[0].usage;
    let billed = usage.input_tokens * 2_500_000 + usage.output_tokens * 10_000_000;
    let Cost::Partial {
        known: Usd::ZERO,
        at_most: Some(most),
        why: PartialReason::Abandoned,
    } = row.cost
    else {
        panic!("{:?}", row.cost);
    };
    assert!(most >= Usd::from_pico(i64::try_from(billed).unwrap()));
    assert_eq!(tracked.receipt().await.unwrap().entries(), [row]);
    assert_eq!(llm.flush().await.unwrap().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_ends_in_a_typed_timeout() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::hang().times(9));
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Timeout);
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.endpoint.clone()),
        (Status::Unanswered, Endpoint::ChatCompletions)
    );
    assert_eq!(row.latency_ms, Some(1_200_000));
}

#[tokio::test(start_paused = true)]
async fn a_name_of_a_megabyte_makes_no_row_of_a_megabyte() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let name = "é".repeat(500_000);
    assert!(llm.chat().create(chat(&name, "hi")).await.is_err());
    assert!(simulator.requests()[0].body.len() > 1_000_000);
    let row = only_row(&llm).await;
    let kept = row.requested_model.as_ref().unwrap().as_str();
    assert!(kept.len() <= 256 && name.starts_with(kept), "{}", kept.len());
}

#[tokio::test(start_paused = true)]
async fn a_total_that_contradicts_its_parts_makes_no_exact_cost() {
    for (total, known) in [(1_000, 30_000_000), (5, 0)] {
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[],
            "usage":{{"prompt_tokens":4,"completion_tokens":2,"total_tokens":{total}}}}}"#
        );
        let llm = LlmClient::builder(Simulator::new().client(), scripted([(200, &body)]))
            .build()
            .unwrap();
        llm.chat().create(short("gpt-4o")).await.unwrap();
        let row = only_row(&llm).await;
        assert_eq!(row.degradations, [Degradation::UsageUnreadable]);
        let Cost::Partial {
            known: told,
            at_most: Some(most),
            why: PartialReason::InconsistentUsage,
        } = row.cost
        else {
            panic!("{:?}", row.cost);
        };
        assert_eq!(told, Usd::from_pico(known));
        assert!(most >= Usd::from_pico(1_000 * 10_000_000));
    }
}

#[test]
fn a_large_body_is_read_off_the_async_threads() {
    let threads = Arc::new(AtomicUsize::new(0));
    let started = Arc::clone(&threads);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_start(move || {
            started.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[],
        "usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#;
    for (words, expected) in [(1_000, 0), (100_000, 1)] {
        let transport = scripted([(200, answer)]);
        let llm = LlmClient::builder(Simulator::new().client(), transport)
            .build()
            .unwrap();
        let request = chat("gpt-4o", &"word ".repeat(words));
        runtime.block_on(llm.chat().create(request)).unwrap();
        assert_eq!(threads.load(Ordering::Relaxed), expected, "{words} words");
    }
}
