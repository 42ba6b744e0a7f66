//! A million buffered requests of 1 kB: what they take of memory, and how long a restart takes. Each is measured in a
//! process of its own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use futures_util::stream;

use thrifty::batch::{BatchCollector, FileStore};

use crate::server::Server;
use crate::{ask, collector, directory, policy, runtime};

const MILLION: u64 = 1_000_000;

/// Tells a child what to measure, and the directory.
const CHILD: &str = "THRIFTY_BENCH_BATCH_CHILD";

/// Measures what it is told to, if this process is such a child.
pub(crate) fn is_measured() -> bool {
    let Some(task) = std::env::var_os(CHILD) else {
        return false;
    };
    let task = task.into_string().unwrap();
    let (what, dir) = task.split_once(' ').unwrap();
    match what {
        "memory" => memory(Path::new(dir)),
        _ => restart(Path::new(dir), what),
    }
    true
}

pub(crate) fn run() {
    let dir = directory();
    for what in ["memory", "journal", "checkpoint", "full"] {
        let mut task = std::ffi::OsString::from(format!("{what} "));
        task.push(dir.path());
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.env(CHILD, OsStr::new(&task)).status().unwrap();
        assert!(status.success());
    }
}

/// Returns the resident memory in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
}

fn memory(dir: &Path) {
    runtime(2).block_on(async {
        let empty = resident();
        let collector = collector(&Server::default(), dir);
        let start = Instant::now();
        let enqueues = (0..MILLION).map(|n| collector.enqueue(&ask(n)));
        let ids = collector.enqueue_many(stream::iter(enqueues)).await.unwrap();
        assert_eq!(ids.len() as u64, MILLION);
        drop(ids);
        let seconds = start.elapsed().as_secs_f64();
        let more = resident() - empty;
        println!(
            "goal batch/memory-1m: {more:.0} MiB (<= 80; {:.0} bytes a request; enqueued in {seconds:.1} s)",
            more * 1_048_576.0 / MILLION as f64
        );
    });
}

fn restart(dir: &Path, what: &str) {
    runtime(2).block_on(async {
        let start = Instant::now();
        let mut settings = FileStore::builder();
        if what != "checkpoint" {
            settings = settings.with_full_check();
        }
        let collector = BatchCollector::builder(Server::default())
            .with_policy(policy())
            .with_store(settings.open(dir.join("spool")).unwrap())
            .build();
        let report = collector.recovery_report().await.unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(report.pending as u64, MILLION);
        let (how, limit) = match what {
            "journal" => {
                collector.checkpoint().await.unwrap();
                ("with a full check, from the journal", 2.0)
            }
            "full" => ("with a full check, from a checkpoint", 2.0),
            _ => ("from a checkpoint", 0.3),
        };
        println!("goal batch/restart-1m: {seconds:.2} s {how} (<= {limit})");
    });
}
