//! The ledger against the bill: many calls of every kind, priced once by thrifty and once by a table of this test's own
//! from what the simulator billed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_openai::types::chat::{CreateChatCompletionRequest, ServiceTier};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tempfile::TempDir;
use thrifty::ledger::{Dimension, FileLedger, Query, Totals};
use thrifty::router::TokenCountRouter;
use thrifty::simulator::{Book, Fault, Simulator};
use thrifty::{Lane, LlmClient, RetryPolicy, UsdSum};

use super::{chat, client_of};

/// Pico-dollars a token of fresh input, cached input and output, written down by hand.
fn rates(model: &str, lane: Lane) -> (u64, u64, u64) {
    match (model, lane) {
        ("gpt-4o-2024-08-06", Lane::Standard) => (2_500_000, 1_250_000, 10_000_000),
        ("gpt-4o-2024-08-06", Lane::Batch) => (1_250_000, 1_250_000, 5_000_000),
        ("gpt-4o-mini-2024-07-18", Lane::Standard) => (150_000, 75_000, 600_000),
        ("gpt-4o-mini-2024-07-18", Lane::Batch) => (75_000, 75_000, 300_000),
        ("gpt-5-mini-2025-08-07", Lane::Flex) => (125_000, 12_500, 1_000_000),
        ("gpt-4.1-2025-04-14", Lane::Standard) => (2_000_000, 500_000, 8_000_000),
        ("gpt-4.1-mini-2025-04-14", Lane::Standard) => (400_000, 100_000, 1_600_000),
        ("text-embedding-3-small", Lane::Standard) => (20_000, 20_000, 0),
        other => panic!("{other:?} was not to be asked"),
    }
}

/// Returns what the simulator's bill comes to, by model and lane.
fn bill(book: &Book) -> BTreeMap<(String, String), i128> {
    let mut bill = BTreeMap::new();
    for charge in book.charges() {
        let (fresh, cached, output) = rates(charge.model.as_str(), charge.lane);
        let usage = charge.usage;
        let pico = (usage.input_tokens - usage.cache_read_tokens) * fresh
            + usage.cache_read_tokens * cached
            + usage.output_tokens * output;
        let key = (charge.model.to_string(), charge.lane.as_str().to_owned());
        *bill.entry(key).or_default() += i128::from(pico);
    }
    bill
}

/// Says whether a call's answer, and so its usage, arrives for certain.
fn is_lossy(model: &str) -> bool {
    model.starts_with("gpt-4.1")
}

/// A prompt that is long enough to be cached, and begins as others do.
fn long(number: usize) -> String {
    format!(
        "{} Which one is number {number}?",
        "A river flows to the sea. ".repeat(260)
    )
}

async fn ask(llm: &LlmClient, request: CreateChatCompletionRequest) {
    // A call that is lost is booked too: that is what this is about.
    let _ = llm.chat().create(request).await;
}

/// Reads a stream to its end, or only so far.
async fn stream(llm: &LlmClient, request: CreateChatCompletionRequest, most: usize) {
    if let Ok(mut stream) = llm.chat().create_stream(request).await {
        for _ in 0..most {
            if stream.next().await.is_none() {
                break;
            }
        }
    }
}

async fn call(llm: LlmClient, number: usize) {
    let prompt = format!("Which river is number {number}?");
    match number % 20 {
        0..3 => ask(&llm, chat("gpt-4o", &prompt)).await,
        3..5 => ask(&llm.pinned(), chat("gpt-4o", &long(number))).await,
        5..7 => stream(&llm, chat("gpt-4o-mini", &prompt), usize::MAX).await,
        7..11 => ask(&llm.within(Duration::from_secs(86_400)), chat("gpt-4o", &prompt)).await,
        11 => {
            let patient = llm.within(Duration::from_secs(86_400)).pinned();
            ask(&patient, chat("gpt-4o", &prompt)).await;
        }
        12..14 => {
            let mut request = chat("gpt-5-mini", &prompt);
            request.service_tier = Some(ServiceTier::Flex);
            ask(&llm, request).await;
        }
        14 => {
            let request = CreateEmbeddingRequestArgs::default()
                .model("text-embedding-3-small")
                .input(prompt)
                .build();
            let _ = llm.embeddings().create(request.unwrap()).await;
        }
        15..17 => ask(&llm, chat("gpt-4.1", &format!("lossy {prompt}"))).await,
        17 => stream(&llm, chat("gpt-4.1-mini", &format!("lossy {prompt}")), usize::MAX).await,
        18 => stream(&llm, chat("gpt-4.1-mini", &format!("lossy {prompt}")), number % 7).await,
        _ => {
            let lossy = chat("gpt-4.1", &format!("lossy slow {prompt}"));
            let _ = tokio::time::timeout(Duration::from_millis(30), ask(&llm, lossy)).await;
        }
    }
}

/// `THRIFTY_MIXED_CALLS=100000 cargo test --release --test client billed` makes as many calls as it says; by default
/// 2,000.
#[tokio::test(start_paused = true)]
async fn the_ledger_says_what_the_bill_says() {
    let calls = std::env::var("THRIFTY_MIXED_CALLS").map_or(2_000, |calls| calls.parse().unwrap());
    let simulator = Simulator::builder()
        .with_seed(11)
        .with_request_log(0)
        .with_latency(Duration::from_millis(5))
        .build();
    for fault in [
        Fault::status(429).with_probability(0.05),
        Fault::status(503).with_probability(0.02),
        Fault::connection_reset_before().with_probability(0.01),
        Fault::connection_reset_after()
            .containing("lossy")
            .with_probability(0.1),
        Fault::gateway(504)
            .after_effect()
            .containing("lossy")
            .with_probability(0.05),
        Fault::truncate_body().containing("lossy").with_probability(0.1),
        Fault::body("{\"id\": \"no usage\"}")
            .containing("lossy")
            .with_probability(0.02),
        Fault::delay(Duration::from_millis(60))
            .containing("slow")
            .with_probability(0.5),
    ] {
        simulator.inject(fault.on("/completions"));
    }
    let dir = TempDir::new().unwrap();
    let moment = Duration::from_millis(20);
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .with_ledger(FileLedger::open(dir.path().join("costs")).unwrap())
        .with_retry(
            RetryPolicy::default()
                .with_max_attempts(12.try_into().unwrap())
                .with_delay(moment, moment),
        )
        .build()
        .unwrap();
    for first in (0..calls).step_by(500) {
        join_all((first..calls.min(first + 500)).map(|number| call(llm.clone(), number))).await;
    }
    assert!(llm.shutdown(Duration::from_secs(600)).await.unwrap().is_empty());
    drop(llm);

    let ledger = FileLedger::open(dir.path().join("costs")).unwrap();
    let query = Query::new().group_by(Dimension::Model).group_by(Dimension::Lane);
    let summary = thrifty::ledger::CostLedger::query(&ledger, &query).await.unwrap();
    let (mut known, mut lossy) = (BTreeMap::new(), Totals::default());
    for group in &summary.groups {
        let key = |at: usize| group.keys[at].as_deref().unwrap_or_default().to_owned();
        if is_lossy(&key(0)) {
            lossy.merge(&group.totals);
        } else if group.totals.cost != UsdSum::ZERO {
            assert_eq!(group.totals.coverage.priced, group.totals.calls, "{group:?}");
            known.insert((key(0), key(1)), group.totals.cost.as_pico());
        }
    }
    let (of_lossy, billed): (BTreeMap<_, _>, BTreeMap<_, _>) = bill(&simulator.book())
        .into_iter()
        .partition(|((model, _), _)| is_lossy(model));
    assert_eq!(known, billed, "where usage arrived, the ledger is the bill");

    let of_lossy = UsdSum::from_pico(of_lossy.values().sum());
    let most = lossy.at_most().unwrap();
    assert!(
        lossy.cost < of_lossy && of_lossy <= most,
        "{} <= {of_lossy} <= {most}",
        lossy.cost
    );
    assert!(
        lossy.coverage.partial > 0 && lossy.abandoned > 0 && lossy.cut_short > 0,
        "{lossy:?}"
    );
    let exact = UsdSum::from_pico(billed.values().sum());
    println!(
        "goal ledger/bill: {calls} calls (100000), {exact} USD to the pico-dollar; lost ones {of_lossy} within {} to {most}",
        lossy.cost
    );
}
