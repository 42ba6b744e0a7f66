//! What a page costs: `cargo bench --bench report`. The ledger has a million entries of 30 days;
//! with `-- 10m` it has ten million, which takes some minutes to write, and 8 GB of disk.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

#[path = "ledger/samples.rs"]
mod samples;

use std::path::Path;
use std::time::{Duration, Instant};

use thrifty::budget::TimeZone;
use thrifty::ledger::{CostLedger, FileLedger, SyncPolicy};
use thrifty::report::Report;
use thrifty::{Clock, ManualClock, Timestamp};

const MILLION: u64 = 1_000_000;

fn main() {
    let ten_million = std::env::args().any(|arg| arg == "10m");
    let (entries, name) = if ten_million {
        (10 * MILLION, "10m")
    } else {
        (MILLION, "1m")
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("costs");
    fill(&path, entries);
    // The first to open it seals the segment that its writer left open.
    drop(FileLedger::open(&path).unwrap());

    let page = dir.path().join("page.html");
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let start = Instant::now();
        let ledger = FileLedger::open(&path).unwrap();
        let report = now(Report::of(&ledger)).unwrap();
        report.write_html(&page).unwrap();
        cold.push(start.elapsed());
        assert_eq!(report.total().calls, entries);
        let start = Instant::now();
        let bytes = now(Report::of(&ledger)).unwrap().to_html().len();
        warm.push(start.elapsed());
        assert!(bytes > 10_000);
    }
    println!(
        "goal report/html-{name}: {:.0} ms (<= 300; opening the ledger and writing the file included; {:.0} ms once it \
         is open)",
        millis(cold),
        millis(warm)
    );
    let ledger = FileLedger::open(&path).unwrap();
    for zone in ["Europe/Berlin", "Asia/Kolkata"] {
        let start = Instant::now();
        let in_zone = Report::builder().with_time_zone(TimeZone::named(zone).unwrap());
        let report = now(in_zone.of(&ledger)).unwrap();
        let took = start.elapsed();
        assert_eq!(report.total().calls, entries);
        println!("with days of {zone}: {:.0} ms", took.as_secs_f64() * 1e3);
    }
}

fn millis(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).unwrap().as_secs_f64() * 1e3
}

/// Without a runtime, a ledger works on the calling thread.
fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).unwrap()
}

/// A ledger of so many entries of thirty days.
fn fill(path: &Path, entries: u64) {
    let month = Duration::from_secs(30 * 86_400);
    let start = Timestamp::from_unix_millis(1_790_000_000_000);
    let clock = ManualClock::new(start);
    let settings = FileLedger::builder()
        .with_clock(clock.clone())
        .with_sync(SyncPolicy::OnFlush);
    let ledger = settings.open(path).unwrap();
    for n in 0..entries {
        if n.is_multiple_of(50) {
            let share = u32::try_from(n * 1_000_000 / entries).unwrap();
            clock.set(start.saturating_add(month / 1_000_000 * share));
        }
        ledger.record(&samples::entry(n, clock.now())).unwrap();
        if n.is_multiple_of(50_000) {
            now(ledger.flush()).unwrap();
        }
    }
    now(ledger.flush()).unwrap();
}
