//! Calls that may wait: the same calls, at half the price.

use std::error::Error;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::AzureConfig;
use async_openai::error::OpenAIError;
use async_openai::traits::RequestOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::join_all;
use thrifty::batch::{BatchError, FileStore};
use thrifty::ledger::{Degradation, LedgerEntry, Role, Status};
use thrifty::pricing::Cost;
use thrifty::router::FixedRouter;
use thrifty::simulator::{Charge, Fault, LineFault, Simulator};
use thrifty::{ErrorKind, Lane, LlmClient, Transport, Usd};

use super::{chat, client_of, only_row, ours, rows, scripted};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Half of $2.50 and $10 a million tokens.
fn gpt_4o_in_a_batch(charge: &Charge) -> Usd {
    let pico = charge.usage.input_tokens * 1_250_000 + charge.usage.output_tokens * 5_000_000;
    Usd::from_pico(pico.try_into().unwrap())
}

fn posts(simulator: &Simulator, path: &str) -> usize {
    let requests = simulator.requests();
    requests
        .iter()
        .filter(|seen| seen.method == "POST" && seen.path == path)
        .count()
}

fn assert_at_once(row: &LedgerEntry, why: &str) {
    assert_eq!((row.lane, row.status), (Lane::Standard, Status::Succeeded));
    assert_eq!(row.degradations, [Degradation::NotBatched]);
    assert_eq!(
        row.reason.as_deref(),
        Some(format!("not batched: {why}").as_str())
    );
}

#[tokio::test(start_paused = true)]
async fn patient_calls_ride_one_batch_at_half_the_price() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.feature("nightly").within(DAY).tracked();
    let calls = ["one", "two", "three"].map(|prompt| {
        let scope = tracked.user(prompt);
        async move { scope.chat().create(chat("gpt-4o", prompt)).await.unwrap() }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.model, "gpt-4o-2024-08-06");
        assert!(answer.choices[0].message.content.is_some());
    }
    assert_eq!(
        (
            posts(&simulator, "/v1/batches"),
            posts(&simulator, "/v1/chat/completions")
        ),
        (1, 0)
    );
    let book = simulator.book();
    let rows = rows(&llm).await;
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(
            (row.lane, row.status, row.attempts),
            (Lane::Batch, Status::Succeeded, 1)
        );
        let charge = book
            .charges()
            .iter()
            .find(|charge| Some(charge.usage) == row.usage)
            .unwrap();
        assert_eq!(row.cost, Cost::Priced(gpt_4o_in_a_batch(charge)));
        let baseline = row.baseline.unwrap();
        assert_eq!(
            (Some(baseline.lane), row.cost.exact()),
            (row.cost.exact(), baseline.cost.checked_sub(baseline.lane))
        );
        assert_eq!(row.batch_id, rows[0].batch_id);
        assert_eq!(row.attribution.feature(), Some("nightly"));
        let receipt = tracked.receipt().await.unwrap();
        assert_eq!(receipt.answer().unwrap().lane, Lane::Batch);
    }
    assert!(rows[0].batch_id.as_ref().unwrap().starts_with("batch_"));
    assert_eq!(tracked.receipt().await, None);
    assert!(llm.shutdown(Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_routed_call_rides_with_its_routed_model_and_both_savings_are_told() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    llm.within(DAY).chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(
        row.served_model.as_ref().unwrap().as_str(),
        "gpt-4o-mini-2024-07-18"
    );
    let baseline = row.baseline.unwrap();
    let usage = row.usage.unwrap();
    let (input, output) = (usage.input_tokens, usage.output_tokens);
    let lane = i64::try_from(input * 75_000 + output * 300_000).unwrap();
    let routing = i64::try_from(input * 2_350_000 + output * 9_400_000).unwrap();
    assert_eq!(
        (baseline.lane.as_pico(), baseline.routing.as_pico()),
        (lane, routing)
    );
    assert_eq!(row.cost, Cost::Priced(Usd::from_pico(lane)));
}

#[tokio::test(start_paused = true)]
async fn a_routed_model_that_its_batch_refuses_is_replaced_by_the_one_asked_for_at_once() {
    for (models, fault) in [
        (vec!["gpt-4o"], None),
        (
            vec!["gpt-4o", "gpt-4o-mini"],
            Some(Fault::line(LineFault::Status(404))),
        ),
    ] {
        let simulator = Simulator::builder().with_models(models).build();
        let llm = client_of(&simulator)
            .with_router(FixedRouter::new("gpt-4o-mini"))
            .build()
            .unwrap();
        if let Some(fault) = fault {
            simulator.inject(fault);
        }
        let tracked = llm.within(DAY).tracked();
        let answer = tracked.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        assert_eq!(answer.model, "gpt-4o-2024-08-06");
        let rows = rows(&llm).await;
        assert_eq!(tracked.receipt().await.unwrap().entries(), rows);
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.role, row.lane, row.status, &*row.degradations))
            .collect();
        assert_eq!(
            told,
            [
                (Role::Primary, Lane::Batch, Status::Failed, [].as_slice()),
                (
                    Role::Fallback,
                    Lane::Standard,
                    Status::Succeeded,
                    [Degradation::RouteRefused].as_slice()
                ),
            ]
        );
        assert_eq!(rows[0].cost, Cost::Priced(Usd::ZERO));
        assert_eq!(rows[1].sent_model, rows[1].requested_model);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_wait_or_cannot_be_a_line_goes_at_once_and_says_why() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    llm.within(Duration::from_secs(60))
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap();
    let scope = llm.within(DAY);
    let stream = scope.chat().create_stream(chat("gpt-4o", "hi")).await.unwrap();
    assert!(stream.count().await > 2);
    let listed = scope.models().list().await.unwrap();
    assert!(!listed.data.is_empty());
    let rows = rows(&llm).await;
    assert_at_once(&rows[0], "it must be answered too soon");
    assert_at_once(&rows[1], "it is streamed");
    assert_at_once(&rows[2], "its endpoint has no batches");
    assert_eq!(
        (
            posts(&simulator, "/v1/batches"),
            posts(&simulator, "/v1/chat/completions")
        ),
        (0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_is_buffered_is_withdrawn() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.within(DAY).tracked();
    let call = tokio::time::timeout(Duration::from_secs(5), async {
        tracked.chat().create(chat("gpt-4o", "hi")).await
    });
    assert!(call.await.is_err());
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.attempts, row.cost),
        (Status::Abandoned, 0, Cost::Priced(Usd::ZERO))
    );
    assert_eq!(tracked.receipt().await.unwrap().entries(), [row]);
    assert!(llm.shutdown(DAY).await.unwrap().is_empty());
    assert_eq!(simulator.request_count(), 0);
}

#[tokio::test]
async fn a_call_dropped_while_its_request_is_made_durable_is_withdrawn() {
    let (simulator, dir) = (Simulator::new(), tempfile::tempdir().unwrap());
    let llm = client_of(&simulator)
        .with_batch_store(FileStore::open(dir.path()).unwrap())
        .build()
        .unwrap();
    llm.flush().await.unwrap();
    for n in 0..20 {
        let scope = llm.within(DAY);
        let chats = scope.chat();
        let mut call = Box::pin(chats.create(chat("gpt-4o", &format!("question {n}"))));
        while llm.collector().pending().is_empty() {
            assert!(futures_util::poll!(&mut call).is_pending());
            tokio::task::yield_now().await;
        }
        drop(call);
        assert!(llm.collector().pending().is_empty());
    }
    assert_eq!(simulator.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_its_upload_or_with_a_key_is_booked_as_orphaned() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let dropped = |scope: LlmClient, after: u64| async move {
        let call = tokio::time::timeout(Duration::from_secs(after), async {
            scope.chat().create(chat("gpt-4o", "hi")).await
        });
        assert!(call.await.is_err());
    };
    dropped(llm.within(DAY).key("job-1"), 5).await;
    dropped(llm.within(DAY), 70).await;
    assert!(llm.shutdown(DAY).await.unwrap().is_empty());
    let rows = rows(&llm).await;
    assert_eq!(rows.len(), 2);
    let billed = simulator.book();
    for (row, charge) in rows.iter().zip(billed.charges()) {
        assert_eq!(
            (row.status, row.cost),
            (Status::Succeeded, Cost::Priced(gpt_4o_in_a_batch(charge)))
        );
        assert_eq!(row.degradations, [Degradation::Orphaned]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_the_same_request_and_another_body_under_it_a_typed_error() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let scope = llm.within(DAY).key("job-1");
    let (one, two) = (scope.tracked(), scope.tracked());
    let (first, second, other) = tokio::join!(
        async { one.chat().create(chat("gpt-4o", "hi")).await },
        async { two.chat().create(chat("gpt-4o", "hi")).await },
        async { scope.chat().create(chat("gpt-4o", "something else")).await },
    );
    assert_eq!(first.unwrap(), second.unwrap());
    let error = other.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Invalid);
    let cause = ours(&error).source().unwrap().downcast_ref::<BatchError>();
    assert!(matches!(cause, Some(BatchError::Conflict { key }) if &**key == "job-1"));
    assert_eq!((rows(&llm).await.len(), simulator.book().charges().len()), (1, 1));
    let paid = gpt_4o_in_a_batch(&simulator.book().charges()[0]);
    assert_eq!(one.receipt().await.unwrap().cost(), Some(paid.into()));
    let joined = two.receipt().await.unwrap();
    assert_eq!(
        (joined.entries().len(), joined.cost()),
        (0, Some(Usd::ZERO.into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_comes_back_as_the_error_of_the_api() {
    let simulator = Simulator::builder().with_models(["gpt-4o"]).build();
    let llm = client_of(&simulator).build().unwrap();
    let mut request = chat("gpt-4o", "hi");
    request.messages.clear();
    let error = llm.within(DAY).chat().create(request).await.unwrap_err();
    let OpenAIError::ApiError(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.api_error.code.as_deref(), Some("empty_array"));
    let row = only_row(&llm).await;
    assert_eq!(
        (row.lane, row.status, row.http_status),
        (Lane::Batch, Status::Failed, Some(400))
    );
    assert_eq!(row.cost, Cost::Priced(Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_made_is_a_typed_error_and_cost_nothing() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::status(401).on("/files").times(100));
    let error = llm
        .within(DAY)
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Refused);
    let row = only_row(&llm).await;
    assert_eq!((row.status, row.cost), (Status::Failed, Cost::Priced(Usd::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn flush_and_shutdown_tell_what_is_pending() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    assert!(llm.flush().await.unwrap().is_empty());
    let scope = llm.within(DAY);
    let call = tokio::spawn(async move { scope.chat().create(chat("gpt-4o", "hi")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pending = llm.flush().await.unwrap();
    assert_eq!((pending.calls, pending.batched.len(), pending.entries), (1, 1, 0));
    let still = llm.shutdown(Duration::from_secs(3)).await.unwrap();
    assert_eq!(still.batched, pending.batched);
    assert!(!call.is_finished() && posts(&simulator, "/v1/batches") == 1);

    let scope = llm.within(DAY);
    scope.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert_at_once(&*only_row(&llm).await, "the collector is shut down");

    assert!(llm.shutdown(Duration::from_secs(60)).await.unwrap().is_empty());
    call.await.unwrap().unwrap();
    assert_eq!(rows(&llm).await[1].lane, Lane::Batch);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_url_has_no_batches_and_the_error_names_the_url_that_has() {
    let azure = AzureConfig::new()
        .with_api_base("https://x.example")
        .with_deployment_id("prod")
        .with_api_version("1")
        .with_api_key("k");
    let simulator = Simulator::new();
    let transport = Transport::service(simulator.service());
    let llm = LlmClient::builder(Client::with_config(azure), transport)
        .build()
        .unwrap();
    let error = llm
        .within(DAY)
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("openai.azure.com/openai/v1"),
        "{error}"
    );
    assert_eq!(simulator.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_is_worthless_never_makes_a_second_batch() {
    for fault in [
        Fault::status(408).after_effect(),
        Fault::status(500).after_effect(),
        Fault::status(503).after_effect(),
        Fault::body("{}"),
        Fault::body("<html>"),
        Fault::connection_reset_after(),
        Fault::truncate_body(),
        Fault::hang(),
    ] {
        let simulator = Simulator::new();
        let told = format!("{fault:?}");
        simulator.inject(fault.on("/batches"));
        let llm = client_of(&simulator).build().unwrap();
        let answer = llm.within(DAY).chat().create(chat("gpt-4o", "hi")).await;
        assert!(answer.is_ok(), "{told} {answer:?}");
        assert_eq!(posts(&simulator, "/v1/batches"), 1, "{told}");
        assert_eq!(simulator.book().charges().len(), 1, "{told}");
        assert_eq!(only_row(&llm).await.lane, Lane::Batch, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_31_years_that_a_server_asks_for_is_no_reason_to_wait_a_day() {
    let simulator = Simulator::new();
    let busy = Fault::status(503).with_retry_after("999999999");
    simulator.inject(busy.on("/files").times(3));
    let llm = client_of(&simulator).build().unwrap();
    let begun = tokio::time::Instant::now();
    llm.within(DAY).chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(600),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stalls_is_begun_again() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::hang().on("/content"));
    simulator.inject(Fault::stall_body().on("/content"));
    simulator.inject(Fault::truncate_body().on("/content"));
    llm.within(DAY).chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let downloads = simulator.requests();
    let downloads = downloads.iter().filter(|seen| seen.path.ends_with("/content"));
    assert!(downloads.count() >= 4);
    assert_eq!(simulator.book().charges().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_headers_a_query_or_a_path_of_its_own_goes_at_once() {
    let simulator = Simulator::new();
    let config = simulator.client().config().clone().with_org_id("org-1");
    let llm = LlmClient::builder(
        Client::with_config(config),
        Transport::service(simulator.service()),
    )
    .build()
    .unwrap();
    let scope = llm.within(DAY);
    let request = || chat("gpt-4o", "hi");
    let with_header = scope.chat().header("x-trace", "7").unwrap();
    with_header.create(request()).await.unwrap();
    let with_query = scope.chat().query(&[("trace", "7")]).unwrap();
    with_query.create(request()).await.unwrap();
    for row in rows(&llm).await {
        assert_at_once(&row, "it has headers or a URL of its own");
    }
    assert_eq!(posts(&simulator, "/v1/chat/completions"), 2);
    // Those of the configuration are those of the batch too.
    scope.chat().create(request()).await.unwrap();
    assert_eq!(rows(&llm).await[2].lane, Lane::Batch);
}

#[tokio::test(start_paused = true)]
async fn where_the_url_names_the_model_what_has_no_batches_anyway_goes_at_once() {
    let azure = AzureConfig::new()
        .with_api_base("https://x.example")
        .with_deployment_id("prod")
        .with_api_version("1")
        .with_api_key("k");
    let transport = scripted([(200, r#"{"object":"list","data":[]}"#)]);
    let llm = LlmClient::builder(Client::with_config(azure), transport)
        .build()
        .unwrap();
    llm.within(DAY).models().list().await.unwrap();
    assert_at_once(&*only_row(&llm).await, "its endpoint has no batches");
}
