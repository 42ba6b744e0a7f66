//! What enqueuing, flushing, restarting and reading results cost: `cargo bench --bench batch`. It needs 3 GB of disk.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run stops"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more digits than it prints"
)]

mod enqueue;
mod lost_answer;
mod million;
mod results;
mod server;
mod time;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;
use thrifty::Endpoint;
use thrifty::batch::{BatchCollector, BatchPolicy, BatchableRequest, FileStore};

use server::Server;

fn main() {
    if million::is_measured() {
        return;
    }
    // `-- enqueue results million`, or all of them.
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|own| own == name);
    if is_wanted("enqueue") {
        enqueue::by_64_callers();
        enqueue::many();
    }
    if is_wanted("results") {
        results::flush();
        results::ingest();
    }
    if is_wanted("million") {
        million::run();
    }
    if is_wanted("time") {
        lost_answer::run();
        time::polls();
        time::deadlines();
    }
}

/// A chat request whose body has 1 kB.
#[derive(Debug, Serialize)]
struct Ask {
    model: &'static str,
    messages: [Message; 1],
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: String,
}

impl BatchableRequest for Ask {
    type Response = serde_json::Value;

    fn endpoint() -> Endpoint {
        Endpoint::ChatCompletions
    }
}

fn ask(n: u64) -> Ask {
    let content = format!("{n:08} {}", "Say what this is about. ".repeat(38));
    Ask {
        model: "gpt-4o-mini",
        messages: [Message {
            role: "user",
            content,
        }],
    }
}

/// A directory on the disk that the build is on: the system's temporary files may be in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Nothing is sent before it is told to be.
fn policy() -> BatchPolicy {
    BatchPolicy::default()
        .with_max_requests(2_000_000.try_into().unwrap())
        .with_max_bytes((8 << 30).try_into().unwrap())
        .with_max_delay(Duration::MAX)
        .with_poll(Duration::from_millis(1), Duration::from_millis(1))
}

fn collector(server: &Server, dir: &Path) -> BatchCollector {
    BatchCollector::builder(server.clone())
        .with_policy(policy())
        .with_store(FileStore::open(dir.join("spool")).unwrap())
        .build()
}

fn runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the median of one sync after 1 kB was appended, in seconds.
fn one_sync(dir: &Path) -> f64 {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(dir.join("sync"));
    let mut file = file.unwrap();
    let times = (0..101).map(|_| {
        file.write_all(&[b'x'; 1_024]).unwrap();
        let start = Instant::now();
        file.sync_data().unwrap();
        start.elapsed().as_secs_f64()
    });
    median(times.collect())
}
