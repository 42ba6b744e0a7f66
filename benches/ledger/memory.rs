//! The ledger in memory.

use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use thrifty::Timestamp;
use thrifty::ledger::{CostLedger, Dimension, InMemoryLedger, LedgerEntry, Query};

use crate::samples::entry;

/// What the ledger keeps by default.
const CAPACITY: u64 = 100_000;
/// How this program is called by itself, to measure a ledger of that capacity.
const MEASURED: &str = "--bytes-of=";

pub(crate) fn run() {
    let ledger = record();
    query(&ledger);
    drop(ledger);
    bytes();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

/// One call a second: 100,000 are 28 hours.
fn called(n: u64) -> Arc<LedgerEntry> {
    let start = Timestamp::from_unix_millis(1_790_000_000_000);
    entry(n, start.saturating_add(Duration::from_secs(n)))
}

/// Recording until the ledger is full, and from then on.
fn record() -> InMemoryLedger {
    // As in a service, where an entry is in the processor's cache when it is recorded: it was just made.
    const A_TIME: u64 = 500;
    let mut last = InMemoryLedger::new();
    let (mut filling, mut full) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let ledger = InMemoryLedger::new();
        for from in (0..2 * CAPACITY).step_by(500) {
            let entries: Vec<_> = (from..from + A_TIME).map(called).collect();
            let start = Instant::now();
            for entry in &entries {
                ledger.record(entry).unwrap();
            }
            let took = start.elapsed().as_nanos() as f64 / A_TIME as f64;
            if from < CAPACITY { &mut filling } else { &mut full }.push(took);
        }
        last = ledger;
    }
    println!(
        "goal ledger/record-memory: {:.0} ns (<= 500, sums included; {:.0} ns once it is full)",
        median(filling),
        median(full)
    );
    last
}

fn query(ledger: &InMemoryLedger) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |dimensions: &[Dimension]| {
        let query = dimensions.iter().cloned().fold(Query::new(), Query::group_by);
        let times = (0..9).map(|_| {
            let start = Instant::now();
            let summary = runtime.block_on(ledger.query(&query)).unwrap();
            assert_eq!(summary.total.calls + summary.evicted.calls, 2 * CAPACITY);
            start.elapsed().as_secs_f64() * 1e3
        });
        median(times.collect())
    };
    let by_sums = ask(&[Dimension::Feature, Dimension::Model, Dimension::Day]);
    let by_entries = ask(&[Dimension::User]);
    println!("ledger/query-memory: {by_sums:.1} ms by feature, model and day; {by_entries:.1} ms by user");
}

/// What a full ledger takes, by the memory of a process that has nothing else.
fn bytes() {
    let measure = |capacity: u64| {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .arg(format!("{MEASURED}{capacity}"))
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.trim().parse::<u64>().ok()
    };
    // A ledger of one entry has the sums of all.
    let Some((all, sums)) = measure(CAPACITY).zip(measure(1)) else {
        return println!("ledger/bytes-per-entry-memory: not told by this system");
    };
    println!(
        "goal ledger/bytes-per-entry-memory: {} (<= 96; {} more of sums, by quarters of an hour)",
        (all - sums) / CAPACITY,
        sums / CAPACITY
    );
}

/// Whether this process was called to be measured; it prints how many bytes it needs for a ledger.
pub(crate) fn is_measured() -> bool {
    let mut args = std::env::args();
    let Some(capacity) = args.find_map(|arg| Some(arg.strip_prefix(MEASURED)?.parse().unwrap())) else {
        return false;
    };
    // What is freed here is used again for the entries that are recorded.
    drop((0..100).map(called).collect::<Vec<_>>());
    let ledger = InMemoryLedger::with_capacity(NonZeroUsize::new(capacity).unwrap());
    ledger.record(&called(0)).unwrap();
    if let Some(before) = resident() {
        for n in 1..=CAPACITY {
            ledger.record(&called(n)).unwrap();
        }
        println!("{}", resident().unwrap() - before);
    }
    ledger.flush().now_or_never().unwrap().unwrap();
    true
}

/// Bytes of memory that this process has and that no file backs.
fn resident() -> Option<u64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}
