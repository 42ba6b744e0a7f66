//! What is known only after hours, in virtual time: how many looks a long batch takes, and what deadlines cost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, FuturesUnordered};
use serde_json::json;
use thrifty::batch::{
    ApiError, BatchApi, BatchCollector, BatchError, BatchItem, BatchPolicy, FasterLane, InputFile,
    LineAnswer, NewBatch,
};
use thrifty::wire::{BatchView, FileView, Page};
use thrifty::{Clock, Endpoint, Lane, Timestamp};
use tokio::time::{Instant, sleep};

use crate::server::{number, unused};

const HOUR: Duration = Duration::from_secs(3_600);
const LINES_A_BATCH: usize = 20;

pub(crate) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// A batch of 24 h, alone and among others, and when the end of each is noticed.
pub(crate) fn polls() {
    let day = paused().block_on(watched(vec![24 * HOUR]));
    let many: Vec<_> = (0..100).map(|n| Duration::from_secs(20 + n * n * 8)).collect();
    let crowd = paused().block_on(watched(many));
    println!(
        "goal batch/polls: {} calls for a batch of 24 h (<= 400); noticed {:.1} s or {:.2} % after its end (<= 5 s or 2 %)",
        day.calls, day.latest.0, day.latest.1
    );
    println!(
        "  100 batches of 20 s to 22 h at once: {} calls; noticed {:.1} s or {:.2} % after the end at the latest",
        crowd.calls, crowd.latest.0, crowd.latest.1
    );
}

struct Watched {
    calls: usize,
    /// The lateness that is largest by what is allowed, in seconds and in percent of the run.
    latest: (f64, f64),
}

async fn watched(runs: Vec<Duration>) -> Watched {
    let server = Server::new(runs.clone());
    let policy = BatchPolicy::default()
        .with_max_requests(1.try_into().unwrap())
        .with_max_delay(Duration::ZERO);
    let collector = BatchCollector::builder(server.clone())
        .with_policy(policy)
        .build();
    let waiting = FuturesUnordered::new();
    for n in 0..runs.len() {
        let handle = collector
            .enqueue_raw(Endpoint::ChatCompletions, body(n))
            .await
            .unwrap();
        let server = server.clone();
        waiting.push(async move {
            let answer = handle.await.unwrap();
            let batch: usize = answer
                .batch_id
                .unwrap()
                .rsplit('_')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let (made, run, _) = server.0.lock().unwrap().batches[batch];
            let late = made.elapsed().saturating_sub(run).as_secs_f64();
            (late, late / run.as_secs_f64() * 100.0)
        });
    }
    let late: Vec<_> = waiting.collect().await;
    let calls = server.0.lock().unwrap().looks;
    let excess = |(seconds, percent): &(f64, f64)| (seconds / 5.0).min(percent / 2.0);
    let latest = late.into_iter().max_by(|a, b| excess(a).total_cmp(&excess(b)));
    Watched {
        calls,
        latest: latest.unwrap(),
    }
}

/// A model without flex: each line has a deadline in 8 to 20 hours, and 1 % of the batches take the whole day.
pub(crate) fn deadlines() {
    let ours = paused().block_on(with_deadlines(true));
    let batch = paused().block_on(with_deadlines(false));
    println!(
        "goal batch/deadlines: {:.3} % met (>= 99.9), {:.2} % of the lines at batch price (>= 90), {:.3} of the standard price in all",
        ours.met, ours.at_batch_price, ours.price
    );
    println!(
        "  always batch: {:.3} % met, {:.3} of the standard price; always standard: 100 % met, 1",
        batch.met, batch.price
    );
}

struct Kept {
    met: f64,
    at_batch_price: f64,
    price: f64,
}

async fn with_deadlines(hedged: bool) -> Kept {
    const BATCHES: usize = 1_000;
    let mut random = fastrand::Rng::with_seed(6);
    let mut runs: Vec<_> = (0..BATCHES)
        .map(|n| match n * 100 / BATCHES {
            0..90 => random.u64(60..=3_600),
            90..99 => random.u64(3_600..=6 * 3_600),
            _ => 24 * 3_600 - 60,
        })
        .map(Duration::from_secs)
        .collect();
    random.shuffle(&mut runs);
    let server = Server::new(runs);
    let clock = Virtual(Instant::now());
    let policy = BatchPolicy::default().with_max_requests(LINES_A_BATCH.try_into().unwrap());
    let builder = BatchCollector::builder(server.clone())
        .with_policy(policy)
        .with_clock(clock);
    let standard = Standard::default();
    let builder = if hedged {
        builder.with_faster_lane(standard.clone())
    } else {
        builder
    };
    let collector = builder.build();
    let waiting = FuturesUnordered::new();
    let lines = BATCHES * LINES_A_BATCH;
    for n in 0..lines {
        let within = Duration::from_secs(random.u64(8 * 3_600..=20 * 3_600));
        let deadline = clock.now().saturating_add(within);
        let enqueue = collector.enqueue_raw(Endpoint::ChatCompletions, body(n));
        let handle = enqueue.deadline(deadline).await.unwrap();
        waiting.push(async move {
            let answer = handle.await.unwrap();
            (clock.now() <= deadline, answer.lane)
        });
    }
    let answers: Vec<_> = waiting.collect().await;
    let share = |count: usize| count as f64 / lines as f64 * 100.0;
    let met = answers.iter().filter(|(met, _)| *met).count();
    let by_batch = answers.iter().filter(|(_, lane)| *lane == Lane::Batch).count();
    // Every line ran in a batch too.
    let standard = *standard.0.lock().unwrap();
    Kept {
        met: share(met),
        at_batch_price: share(by_batch),
        price: 0.5 + standard as f64 / lines as f64,
    }
}

fn body(n: usize) -> String {
    json!({"model": "gpt-4o-mini", "n": n}).to_string()
}

#[derive(Debug, Clone, Copy)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_790_000_000_000).saturating_add(self.0.elapsed())
    }
}

/// Answers after some seconds, and counts.
#[derive(Debug, Clone, Default)]
struct Standard(Arc<Mutex<usize>>);

#[async_trait]
impl FasterLane for Standard {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        *self.0.lock().unwrap() += 1;
        sleep(Duration::from_secs(fastrand::u64(2..=30))).await;
        Ok(LineAnswer::new(200, "{}", Lane::Standard))
    }
}

/// A Batch API whose batches take as long as is said.
#[derive(Debug, Clone)]
struct Server(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    runs: Vec<Duration>,
    files: Vec<Bytes>,
    /// When each was made, how long it takes, and its file.
    batches: Vec<(Instant, Duration, usize)>,
    looks: usize,
}

impl Server {
    fn new(runs: Vec<Duration>) -> Self {
        Self(Arc::new(Mutex::new(World {
            runs,
            files: Vec::new(),
            batches: Vec::new(),
            looks: 0,
        })))
    }
}

impl World {
    fn view(&self, batch: usize) -> BatchView {
        let (made, run, file) = self.batches[batch];
        let over = made.elapsed() >= run;
        let view = json!({
            "id": format!("batch_{batch}"), "input_file_id": format!("file_{file}"),
            "status": if over { "completed" } else { "in_progress" },
            "output_file_id": over.then(|| format!("output_{file}")),
        });
        serde_json::from_value(view).unwrap()
    }
}

#[async_trait]
impl BatchApi for Server {
    async fn upload(&self, _: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        let content = jsonl.read().await.unwrap();
        let mut world = self.0.lock().unwrap();
        world.files.push(content);
        Ok(serde_json::from_value(json!({"id": format!("file_{}", world.files.len() - 1)})).unwrap())
    }

    async fn list_files(&self, _: Option<&str>) -> Result<Page<FileView>, ApiError> {
        Err(unused())
    }

    async fn create(&self, new: &NewBatch) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        let batch = world.batches.len();
        let run = world.runs[batch];
        world
            .batches
            .push((Instant::now(), run, number(&new.input_file_id)));
        Ok(world.view(batch))
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        world.looks += 1;
        Ok(world.view(number(batch_id)))
    }

    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        let mut world = self.0.lock().unwrap();
        world.looks += 1;
        let last = after.map_or(world.batches.len(), number);
        let first = last.saturating_sub(100);
        let data: Vec<_> = (first..last).rev().map(|batch| world.view(batch)).collect();
        Ok(serde_json::from_value(json!({"data": data, "has_more": first > 0})).unwrap())
    }

    async fn cancel(&self, _: &str) -> Result<BatchView, ApiError> {
        Err(unused())
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let file = self.0.lock().unwrap().files[number(file_id)].clone();
        let mut output = Vec::new();
        for line in file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            let answer = json!({"custom_id": line["custom_id"], "error": null,
                "response": {"status_code": 200, "request_id": "req", "body": {}}});
            output.extend_from_slice(answer.to_string().as_bytes());
            output.push(b'\n');
        }
        Ok(stream::iter([Ok(Bytes::from(output))]).boxed())
    }

    async fn delete_file(&self, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}
