//! Stories of the batch collector against a Batch API in memory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    clippy::async_yields_async,
    reason = "handles leave the runtime that made them"
)]

mod bad_days;
mod bad_requests;
mod deadlines;
mod delivery;
mod fake;
mod faster_lane;
mod faulty;
mod gate;
mod intents;
mod killed;
mod killed_calls;
#[cfg(target_os = "linux")]
mod large_request;
mod leftovers;
mod limits;
mod lines;
mod lost_answers;
mod lost_sends;
mod lost_uploads;
mod outcomes;
mod polling;
mod quote;
mod runtimes;
#[cfg(unix)]
#[path = "../client/small_files.rs"]
mod small_files;
mod stale_lines;
mod store_faults;
mod stores;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thrifty::batch::{BatchCollector, BatchHandle, BatchObserver, BatchableRequest, Settled};
use thrifty::{Endpoint, RequestId};

#[derive(Debug, Serialize)]
struct Ask {
    model: &'static str,
    n: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Echo {
    echo: u64,
}

impl BatchableRequest for Ask {
    type Response = Echo;

    fn endpoint() -> Endpoint {
        Endpoint::ChatCompletions
    }
}

/// A runtime whose time is virtual. With it all that runs on it ends.
fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn ask(n: u64) -> Ask {
    Ask {
        model: "gpt-4o-mini",
        n,
    }
}

/// What an observer was told: request, whether it succeeded, orphaned, superseded.
type Told = (RequestId, bool, bool, bool);

#[derive(Debug, Clone, Default)]
struct Books(Arc<Mutex<Vec<Told>>>);

impl BatchObserver for Books {
    fn settled(&self, settled: &Settled<'_>) {
        let told = (
            settled.item.id,
            settled.outcome.is_ok(),
            settled.orphaned,
            settled.superseded,
        );
        self.0.lock().unwrap().push(told);
    }
}

impl Books {
    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }
}

/// Waits in virtual time until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(7 * 86_400);
    while !is_so() {
        assert!(
            tokio::time::Instant::now() < end,
            "within a week it never came so far: {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn some(collector: &BatchCollector, count: u64) -> Vec<BatchHandle<Echo>> {
    let mut handles = Vec::new();
    for n in 0..count {
        handles.push(collector.enqueue(&ask(n)).await.unwrap());
    }
    handles
}
