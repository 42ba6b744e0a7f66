//! The ledger in files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tempfile::TempDir;
use thrifty::ledger::{
    CostLedger, Dimension, FileLedger, FileLedgerBuilder, Filter, LedgerEntry, Query, SyncPolicy,
};
use thrifty::{Clock, ManualClock, SystemClock, Timestamp};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

use crate::samples::entry;

const MILLION: u64 = 1_000_000;

pub(crate) fn run(ten_million: bool) {
    record();
    flush();
    let dir = filled(MILLION);
    queries(dir.path(), "1m", "1");
    scan(dir.path());
    bytes(dir.path());
    drop(dir);
    if ten_million {
        let dir = filled(10 * MILLION);
        open(dir.path());
        queries(dir.path(), "10m", "20");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

/// A directory on the disk that the build is on: the system's temporary files may be in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Recording, and writing the same lines that are ready, in turn.
fn record() {
    const ENTRIES: u64 = 20_000;
    let (mut recorded, mut written) = (Vec::new(), Vec::new());
    for round in 0..11 {
        let dir = directory();
        let ledger = FileLedger::open(dir.path().join("costs")).unwrap();
        let now = SystemClock.now();
        let entries: Vec<_> = (0..ENTRIES).map(|n| entry(n, now)).collect();
        let start = Instant::now();
        for entry in &entries {
            ledger.record(entry).unwrap();
        }
        let took = start.elapsed();
        drop(ledger);
        let lines = lines_of(&dir.path().join("costs"));
        let file = dir.path().join("lines");
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        let start = Instant::now();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            file.write_all(line).unwrap();
        }
        // The first round finds everything cold.
        if round > 0 {
            recorded.push(took.as_nanos() as f64 / ENTRIES as f64);
            written.push(start.elapsed().as_nanos() as f64 / ENTRIES as f64);
        }
    }
    let ratio = median(
        recorded
            .iter()
            .zip(&written)
            .map(|(record, write)| write / record)
            .collect(),
    );
    let (record, write) = (median(recorded) / 1e3, median(written) / 1e3);
    println!("goal ledger/record-file: {record:.2} us (<= 5)");
    println!("goal ledger/record-file-vs-write: {ratio:.2} (>= 0.6; one write {write:.2} us)");
}

fn lines_of(ledger: &Path) -> Vec<u8> {
    let segments = fs::read_dir(ledger.join("segments")).unwrap();
    let paths = segments.map(|segment| segment.unwrap().path());
    paths.flat_map(|path| fs::read(path).unwrap()).collect()
}

/// 64 tasks record and flush, again and again; the ledger's own events tell how often it synced for them.
fn flush() {
    const TASKS: u64 = 64;
    const ROUNDS: u64 = 100;
    let shares = (0..9).map(|_| {
        let dir = directory();
        let settings = FileLedger::builder().with_sync(SyncPolicy::OnFlush);
        let ledger = Arc::new(settings.open(dir.path().join("costs")).unwrap());
        let syncs = Syncs::default();
        let counted = tracing_subscriber::registry().with(syncs.clone());
        let start = Instant::now();
        let dispatch = tracing::Dispatch::new(counted);
        let threads = dispatch.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&threads)))
            .build()
            .unwrap();
        runtime.block_on(async {
            join_all((0..TASKS).map(|task| {
                let ledger = Arc::clone(&ledger);
                tokio::spawn(async move {
                    for round in 0..ROUNDS {
                        let entry = entry(task * ROUNDS + round, SystemClock.now());
                        ledger.record(&entry).unwrap();
                        ledger.flush().await.unwrap();
                    }
                })
            }))
            .await
        });
        let flushed = (TASKS * ROUNDS) as f64;
        (flushed / syncs.count(), flushed / start.elapsed().as_secs_f64())
    });
    let (records, rates): (Vec<_>, Vec<_>) = shares.unzip();
    let records = median(records);
    println!(
        "goal ledger/flush-64: {:.2} x 64 records a sync (>= 0.7; {records:.1} records, {:.0} flushed a second)",
        records / TASKS as f64,
        median(rates)
    );
}

/// Counts the syncs that a ledger tells of.
#[derive(Clone, Default)]
struct Syncs(Arc<AtomicU64>);

impl Syncs {
    fn count(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }
}

impl<S: tracing::Subscriber> Layer<S> for Syncs {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().fields().field("entries").is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn settings(clock: &ManualClock) -> FileLedgerBuilder {
    FileLedger::builder()
        .with_clock(clock.clone())
        .with_sync(SyncPolicy::OnFlush)
}

/// A ledger of so many entries of the last thirty days.
fn filled(entries: u64) -> TempDir {
    let dir = directory();
    let month = Duration::from_secs(30 * 86_400);
    let start = Timestamp::from_unix_millis(1_790_000_000_000);
    let clock = ManualClock::new(start);
    let ledger = settings(&clock).open(dir.path().join("costs")).unwrap();
    let began = Instant::now();
    for n in 0..entries {
        if n.is_multiple_of(50) {
            let share = u32::try_from(n * 1_000_000 / entries).unwrap();
            clock.set(start.saturating_add(month / 1_000_000 * share));
        }
        ledger.record(&entry(n, clock.now())).unwrap();
        if n.is_multiple_of(50_000) {
            runtime_free(ledger.flush()).unwrap();
        }
    }
    runtime_free(ledger.flush()).unwrap();
    println!(
        "{entries} entries recorded in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    dir
}

/// Without a runtime, a ledger works on the calling thread.
fn runtime_free<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).unwrap()
}

fn open(dir: &Path) {
    let open = || {
        let start = Instant::now();
        drop(FileLedger::open(dir.join("costs")).unwrap());
        start.elapsed().as_secs_f64()
    };
    // The first finds the segment that its writer left open, checks it and seals it.
    let first = open();
    let rest = median((0..9).map(|_| open()).collect());
    println!("goal ledger/open-10m: {first:.3} s (<= 0.5, with a segment to seal; {rest:.4} without)");
}

fn queries(dir: &Path, name: &str, limit: &str) {
    let ledger = FileLedger::open(dir.join("costs")).unwrap();
    let query = Query::new()
        .group_by(Dimension::Feature)
        .group_by(Dimension::Model)
        .group_by(Dimension::Day);
    let ask = || {
        let start = Instant::now();
        let summary = runtime_free(ledger.query(&query)).unwrap();
        assert!(summary.total.calls >= MILLION);
        start.elapsed().as_secs_f64() * 1e3
    };
    let first = ask();
    let ms = median((0..25).map(|_| ask()).collect());
    println!("goal ledger/query-{name}: {ms:.2} ms (<= {limit}; the first after opening {first:.1} ms)");
}

fn scan(dir: &Path) {
    let ledger = FileLedger::open(dir.join("costs")).unwrap();
    let query = Query::new().group_by(Dimension::User);
    let filter = Filter::default().with_user("user-7");
    let times = (0..9).map(|_| {
        let start = Instant::now();
        runtime_free(ledger.query(&query)).unwrap();
        start.elapsed().as_secs_f64()
    });
    let all = median(times.collect());
    let start = Instant::now();
    let found: Vec<Arc<LedgerEntry>> =
        runtime_free(futures_util::TryStreamExt::try_collect(ledger.scan(&filter))).unwrap();
    let filtered = start.elapsed().as_secs_f64();
    println!(
        "goal ledger/scan-1m: {all:.2} s (<= 1.2 by user; {} entries of one user in {filtered:.2} s)",
        found.len()
    );
}

fn bytes(dir: &Path) {
    let size = |dir: &str, of: &Path| -> u64 {
        let files = fs::read_dir(of.join("costs").join(dir)).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let (lines, sums) = (size("segments", dir), size("rollups", dir));
    println!(
        "goal ledger/bytes-per-entry: {} on disk (<= 550; {} of them sums)",
        (lines + sums) / MILLION,
        sums / MILLION
    );
}
