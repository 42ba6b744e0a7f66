//! How many batches do not fail for each creation whose answer is lost, in virtual time. One that fails is not billed.

use std::time::Duration;

use async_openai::config::OpenAIConfig;
use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::batches::BatchStatus;
use thrifty::batch::BatchPolicy;
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, LlmClient, Transport};

use crate::time::paused;

/// Batches of each run, of which every creation loses its answer once.
const BATCHES: usize = 40;
const SEEDS: u64 = 5;
/// How late a list shows a batch, in seconds; the collector waits 30 between its looks.
const LAGS: [u64; 4] = [0, 10, 45, 120];

pub(crate) fn run() {
    let (mut ran, mut lost, mut all_failed, mut fenced) = (0, 0, 0, Vec::new());
    for lag in LAGS {
        let mut failed = 0;
        for seed in 0..SEEDS {
            for fault in [
                Fault::connection_reset_after(),
                Fault::status(500).after_effect(),
                Fault::hang(),
            ] {
                let batches = paused().block_on(one(seed, Duration::from_secs(lag), fault));
                ran += batches.ran;
                lost += BATCHES;
                failed += batches.failed;
            }
        }
        all_failed += failed;
        fenced.push(format!("{failed} at {lag} s"));
    }
    let each = ran as f64 / lost as f64;
    let made = (ran + all_failed) as f64 / lost as f64;
    println!(
        "goal batch/lost-answer: {each:.3} (1; batches that did not fail per lost create answer, of {made:.3} made)"
    );
    println!(
        "  {ran} batches did not fail after {lost} lost answers, lists late by 0 to 120 s; others failed: {}",
        fenced.join(", ")
    );
}

struct Batches {
    ran: usize,
    failed: usize,
}

/// Loses the answer to each creation once, and looks at what batches there are in the end.
async fn one(seed: u64, lag: Duration, fault: Fault) -> Batches {
    let simulator = Simulator::builder()
        .with_seed(seed)
        .with_list_lag(lag)
        .with_shuffled_lists()
        .with_batch_delay(Duration::from_secs(900))
        .build();
    simulator.inject(fault.on("/batches").containing("input_file_id").times(BATCHES));
    let llm = client(&simulator);
    let collector = llm.collector();
    let mut handles = Vec::new();
    for n in 0..BATCHES {
        let body =
            format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"question {n}"}}]}}"#);
        handles.push(
            collector
                .enqueue_raw(Endpoint::ChatCompletions, body)
                .await
                .unwrap(),
        );
    }
    for handle in handles {
        handle.await.unwrap();
    }
    assert_eq!(
        simulator.book().charges().len(),
        BATCHES,
        "each line is billed once"
    );
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let mut batches = Batches { ran: 0, failed: 0 };
    let api = simulator.client();
    let mut after = None;
    loop {
        let mut query = vec![("limit", "100".to_owned())];
        query.extend(after.take().map(|id| ("after", id)));
        let page = api.batches().query(&query).unwrap().list().await.unwrap();
        for batch in &page.data {
            match batch.status {
                BatchStatus::Failed => batches.failed += 1,
                _ => batches.ran += 1,
            }
        }
        match page.data.last() {
            Some(last) if page.has_more => after = Some(last.id.clone()),
            _ => return batches,
        }
    }
}

fn client(simulator: &Simulator) -> LlmClient<OpenAIConfig> {
    let policy = BatchPolicy::default().with_max_requests(1.try_into().unwrap());
    LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
        .with_batch_policy(policy)
        .build()
        .unwrap()
}
