//! What is sent again, when, and what that does to the books.

use std::num::NonZeroU32;
use std::time::Duration;

use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::batches::{BatchCompletionWindow, BatchEndpoint, BatchRequest};
use thrifty::ledger::{Degradation, LedgerEntry, Status};
use thrifty::pricing::{Cost, PartialReason};
use thrifty::router::{Route, router_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{ErrorKind, LlmClient, ManualClock, RetryPolicy, Timestamp, Usd};
use tokio::time::Instant;

use super::{chat, client_of, only_row, ours, scripted};

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[],
    "usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#;

/// Makes a call that the fault strikes, and returns how long it took and its row.
async fn after(fault: Fault) -> (Duration, LedgerEntry) {
    let simulator = Simulator::new();
    let clock = ManualClock::new(Timestamp::from_unix_millis(784_111_777_000));
    let llm = client_of(&simulator).with_clock(clock).build().unwrap();
    simulator.inject(fault);
    let begun = Instant::now();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    (begun.elapsed(), (*only_row(&llm).await).clone())
}

/// Asserts that the row has so many attempts, and a cost up to what the simulator billed for all of them.
fn assert_lost(row: &LedgerEntry, simulator: &Simulator) {
    let book = simulator.book();
    let billed: u64 = book
        .charges()
        .iter()
        .map(|charge| charge.usage.input_tokens * 2_500_000 + charge.usage.output_tokens * 10_000_000)
        .sum();
    assert_eq!(book.charges().len(), 2);
    let Cost::Partial {
        known,
        at_most: Some(most),
        why: PartialReason::LostAttempt,
    } = row.cost
    else {
        panic!("{:?}", row.cost);
    };
    let billed = Usd::from_pico(billed.try_into().unwrap());
    assert!(known < billed && billed <= most, "{known} {billed} {most}");
    assert_eq!(row.baseline, None);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asks_for_is_kept_to_the_millisecond() {
    let limited = || Fault::status(429);
    for (fault, wait) in [
        (limited().with_retry_after("7"), Duration::from_secs(7)),
        (limited().with_retry_after("0"), Duration::ZERO),
        (
            limited().with_header("retry-after-ms", "1500"),
            Duration::from_millis(1_500),
        ),
        (
            limited()
                .with_header("retry-after-ms", "20")
                .with_retry_after("9"),
            Duration::from_millis(20),
        ),
        // 42 s after the clock's time, as in RFC 9110.
        (
            limited().with_retry_after("Sun, 06 Nov 1994 08:50:19 GMT"),
            Duration::from_secs(42),
        ),
        (
            limited().with_retry_after("Sun, 06 Nov 1994 08:49:00 GMT"),
            Duration::ZERO,
        ),
    ] {
        let (elapsed, row) = after(fault).await;
        assert!(
            (wait..=wait + Duration::from_millis(2)).contains(&elapsed),
            "{wait:?} {elapsed:?}"
        );
        assert_eq!((row.attempts, row.status), (2, Status::Succeeded));
        assert_eq!(row.degradations, [Degradation::Retried]);
        assert!(row.cost.exact().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_the_callers_to_keep() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::status(429).with_retry_after("61"));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert_eq!((simulator.request_count(), only_row(&llm).await.attempts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn busy_statuses_are_tried_again_and_refusals_are_not() {
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        let (elapsed, row) = after(Fault::status(status)).await;
        assert!(elapsed <= Duration::from_millis(501), "{elapsed:?}");
        assert_eq!((row.attempts, row.http_status), (2, Some(200)), "{status}");
    }
    for status in [400, 401, 403, 404, 422] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator).build().unwrap();
        simulator.inject(Fault::status(status));
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
        assert_eq!(
            (simulator.request_count(), only_row(&llm).await.http_status),
            (1, Some(status))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_advice_decides_first() {
    let (_, row) = after(Fault::status(400).with_header("x-should-retry", "true")).await;
    assert_eq!(row.attempts, 2);
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::status(500).with_header("x-should-retry", "false"));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert_eq!(simulator.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_told_from_a_rate_by_its_type_or_its_code() {
    for refusal in [
        r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":null}}"#,
        r#"{"error":{"message":"m","type":"x","param":null,"code":"insufficient_quota"}}"#,
    ] {
        let llm = LlmClient::builder(Simulator::new().client(), scripted([(429, refusal)]))
            .build()
            .unwrap();
        let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
        assert!(error.to_string().contains('m'));
        let row = only_row(&llm).await;
        assert_eq!((row.attempts, row.cost), (1, Cost::Priced(Usd::ZERO)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_with_a_numeric_code_or_no_json_is_tried_again() {
    for limit in [r#"{"error":{"message":"slow down","code":429}}"#, "<html>", ""] {
        let transport = scripted([(429, limit), (200, ANSWER)]);
        let llm = LlmClient::builder(Simulator::new().client(), transport)
            .build()
            .unwrap();
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        let row = only_row(&llm).await;
        assert_eq!(
            (row.attempts, row.cost),
            (2, Cost::Priced(Usd::from_pico(30_000_000)))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn all_attempts_are_one_row_and_the_last_answer_is_the_callers() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::status(503).times(10));
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert!(error.to_string().contains("overloaded"), "{error}");
    let row = only_row(&llm).await;
    assert_eq!((simulator.request_count(), row.attempts), (4, 4));
    assert_eq!(
        (row.status, row.http_status, row.cost),
        (Status::Failed, Some(503), Cost::Priced(Usd::ZERO))
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_could_not_be_made_leaves_the_cost_exact() {
    let (_, row) = after(Fault::connection_reset_before()).await;
    assert_eq!((row.attempts, row.status), (2, Status::Succeeded));
    assert!(row.cost.exact().is_some() && row.baseline.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_lost_after_it_was_sent_may_have_been_billed() {
    for fault in [
        Fault::connection_reset_after(),
        Fault::truncate_body(),
        Fault::hang(),
    ] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator).build().unwrap();
        simulator.inject(fault);
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        let row = only_row(&llm).await;
        assert_eq!((row.attempts, row.status), (2, Status::Succeeded));
        assert_lost(&row, &simulator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_a_lost_attempt_is_bounded_by_both() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::connection_reset_after());
    simulator.inject(Fault::hang());
    let scope = llm.feature("impatient");
    let call = tokio::time::timeout(Duration::from_secs(30), async {
        scope.chat().create(chat("gpt-4o", "hi")).await
    });
    assert!(call.await.is_err());
    let row = only_row(&llm).await;
    assert_eq!((row.attempts, row.status), (2, Status::Abandoned));
    assert_lost(&row, &simulator);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_together_end_at_the_total_timeout() {
    let simulator = Simulator::new();
    let retry = RetryPolicy::default()
        .with_attempt_timeout(Duration::from_secs(30))
        .with_total_timeout(Duration::from_secs(50));
    let llm = client_of(&simulator).with_retry(retry).build().unwrap();
    simulator.inject(Fault::hang().times(9));
    let begun = Instant::now();
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    let end = Duration::from_secs(50);
    assert!(
        (end..end + Duration::from_millis(5)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (ours(&error).kind(), ours(&error).is_retryable()),
        (ErrorKind::Timeout, true)
    );
    let row = only_row(&llm).await;
    assert_eq!(
        (row.attempts, row.status, row.http_status),
        (2, Status::Unanswered, None)
    );
    assert_lost(&row, &simulator);
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_forever_are_no_timeouts() {
    let simulator = Simulator::new();
    let retry = RetryPolicy::default()
        .with_attempt_timeout(Duration::MAX)
        .with_total_timeout(Duration::MAX)
        .with_idle_timeout(Duration::MAX);
    let llm = client_of(&simulator).with_retry(retry).build().unwrap();
    simulator.inject(Fault::status(503));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert_eq!(only_row(&llm).await.attempts, 2);
    let stream = llm.chat().create_stream(chat("gpt-4o", "hi")).await.unwrap();
    let items: Vec<_> = futures_util::StreamExt::collect(stream).await;
    assert!(items.iter().all(Result::is_ok));
    assert!(llm.shutdown(Duration::MAX).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_attempt_means_no_retry() {
    let simulator = Simulator::new();
    let retry = RetryPolicy::default().with_max_attempts(NonZeroU32::MIN);
    let llm = client_of(&simulator).with_retry(retry).build().unwrap();
    simulator.inject(Fault::status(500));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    let row = only_row(&llm).await;
    assert_eq!(
        (simulator.request_count(), row.attempts, row.degradations.len()),
        (1, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_making_of_a_batch_is_repeated_only_if_it_surely_had_no_effect() {
    let new_batch = || BatchRequest {
        input_file_id: "file-1".into(),
        endpoint: BatchEndpoint::V1ChatCompletions,
        completion_window: BatchCompletionWindow::W24H,
        metadata: None,
        output_expires_after: None,
    };
    for (fault, seen) in [
        (Fault::status(500), 1),
        (Fault::status(500).with_header("x-should-retry", "true"), 1),
        (Fault::status(503), 1),
        (Fault::status(504), 1),
        (Fault::status(409), 1),
        (Fault::connection_reset_after(), 1),
        (Fault::hang(), 1),
        (Fault::status(429), 2),
        // The one before the connection was made is not seen.
        (Fault::connection_reset_before().times(2), 1),
    ] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator).build().unwrap();
        simulator.inject(fault.clone());
        llm.batches().create(new_batch()).await.unwrap_err();
        assert_eq!(simulator.request_count(), seen, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_is_that_of_all_models_together() {
    let simulator = Simulator::new();
    let retry = RetryPolicy::default()
        .with_attempt_timeout(Duration::from_secs(30))
        .with_total_timeout(Duration::from_secs(50));
    let route = router_fn(|_| {
        Route::to("gpt-4o-mini")
            .with_fallback("gpt-4.1")
            .with_fallback("gpt-4o")
    });
    let llm = client_of(&simulator)
        .with_router(route)
        .with_retry(retry)
        .build()
        .unwrap();
    simulator.inject(Fault::hang().times(20));
    let begun = Instant::now();
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Timeout);
    let end = Duration::from_secs(50);
    assert!(
        (end..end + Duration::from_millis(5)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    // Nothing is sent that could not be waited for.
    assert_eq!((simulator.request_count(), only_row(&llm).await.attempts), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_priced_is_repeated_only_if_it_surely_had_no_effect() {
    for (fault, path, seen) in [
        (Fault::hang(), "/images/generations", 1),
        (Fault::connection_reset_after(), "/images/generations", 1),
        (Fault::gateway(504), "/images/generations", 1),
        (Fault::status(500), "/images/generations", 2),
        (Fault::status(429), "/images/generations", 2),
        (Fault::hang(), "/files", 2),
        (Fault::hang(), "/batches/batch_1/cancel", 2),
    ] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator).build().unwrap();
        simulator.inject(fault.clone());
        let images = llm.chat().path(path).unwrap();
        images.create(chat("gpt-4o", "hi")).await.unwrap_err();
        assert_eq!(simulator.request_count(), seen, "{fault:?} {path}");
    }
}
