//! How fast the simulator is, and that it repeats itself: `cargo bench --bench simulator`.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use async_openai::middleware::HttpRequestFactory;
use async_openai::types::batches::{BatchCompletionWindow, BatchEndpoint, BatchRequest, BatchStatus};
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, HeaderValue};
use thrifty::simulator::{Simulator, SimulatorService};
use tower::Service;

fn main() {
    in_process();
    batch_of_50_000();
    determinism();
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

fn factory(body: Bytes) -> HttpRequestFactory {
    let url: reqwest::Url = "http://simulator/v1/chat/completions".parse().unwrap();
    HttpRequestFactory::new(move || {
        let mut request = reqwest::Request::new(reqwest::Method::POST, url.clone());
        let key = HeaderValue::from_static("Bearer k");
        request.headers_mut().insert(AUTHORIZATION, key);
        *request.body_mut() = Some(body.clone().into());
        async move { Ok(request) }
    })
}

fn chat(prompt: &str) -> Bytes {
    let body = serde_json::json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]});
    body.to_string().into()
}

async fn call(mut service: SimulatorService, request: HttpRequestFactory) -> Bytes {
    let answer = service.call(request).await.unwrap();
    answer.bytes().await.unwrap()
}

fn in_process() {
    const CALLS: u32 = 20_000;
    let simulator = Simulator::builder().with_request_log(0).build();
    let service = simulator.service();
    let requests: Vec<_> = (0..64)
        .map(|n| factory(chat(&format!("Which rivers flow through city number {n}?"))))
        .collect();
    let runtime = paused();
    // By the time on the processor, so that what else runs on the machine does not count.
    let round = || {
        let start = cpu_time();
        runtime.block_on(async {
            for request in requests.iter().cycle().take(CALLS as usize) {
                std::hint::black_box(call(service.clone(), request.clone()).await);
            }
        });
        f64::from(CALLS) / cpu_time().saturating_sub(start).as_secs_f64()
    };
    round();
    let mut rates: Vec<f64> = (0..9).map(|_| round()).collect();
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).unwrap();
    println!("goal simulator/in-process: {rate:.0} calls/s (>= 100000 on one core)");
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

fn batch_of_50_000() {
    let mut lines = String::new();
    for n in 0..50_000 {
        let body =
            String::from_utf8(chat(&format!("Which rivers flow through city number {n}?")).to_vec()).unwrap();
        writeln!(
            lines,
            "{{\"custom_id\":\"r{n}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}"
        )
        .unwrap();
    }
    let client = Simulator::new().client();
    let took = paused().block_on(async {
        let start = Instant::now();
        let file = CreateFileRequest {
            file: FileInput::from_bytes("in.jsonl".into(), lines.into()),
            purpose: FilePurpose::Batch,
            expires_after: None,
        };
        let file = client.files().create(file).await.unwrap();
        let batch = BatchRequest {
            input_file_id: file.id,
            endpoint: BatchEndpoint::V1ChatCompletions,
            completion_window: BatchCompletionWindow::W24H,
            metadata: None,
            output_expires_after: None,
        };
        let mut batch = client.batches().create(batch).await.unwrap();
        while batch.status != BatchStatus::Completed {
            tokio::time::sleep(Duration::from_secs(1)).await;
            batch = client.batches().retrieve(&batch.id).await.unwrap();
        }
        let output = client
            .files()
            .content(&batch.output_file_id.unwrap())
            .await
            .unwrap();
        assert_eq!(std::str::from_utf8(&output).unwrap().lines().count(), 50_000);
        start.elapsed()
    });
    println!("goal simulator/batch-50k: {:.2} s (<= 3)", took.as_secs_f64());
}

/// 64 callers at once, each with requests of its own, some of them twice.
fn determinism() {
    let run = |threads: usize| {
        let service = Simulator::builder().with_seed(42).build().service();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let callers = (0..64).map(|caller| {
                let service = service.clone();
                tokio::spawn(async move {
                    let requests =
                        (0..50).map(|n| factory(chat(&format!("caller {caller}, question {}", n / 2))));
                    let answers =
                        futures_util::stream::iter(requests).then(|request| call(service.clone(), request));
                    answers.collect::<Vec<Bytes>>().await
                })
            });
            join_all(callers)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        })
    };
    let (first, second) = (run(2), run(2));
    let equal = first
        .iter()
        .zip(&second)
        .filter(|(first, second)| first == second)
        .count();
    println!("goal simulator/determinism: {equal} of 64 callers got the same bytes again (= 64)");
}
