//! Real processes, ended by a real SIGKILL.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tempfile::TempDir;
use thrifty::ledger::{CostLedger, Dimension, FileLedger, Filter, LedgerEntry, Query};
use thrifty::{Attribution, Clock, Endpoint, EntryId, OpId, SystemClock};

/// Tells a child of this test what to do: the directory, how many threads, how many entries each.
const CHILD: &str = "THRIFTY_TEST_LEDGER_CHILD";

/// A child is this test again, told by its environment to record.
#[test]
fn a_child_records_what_it_is_told() {
    let Some(task) = std::env::var_os(CHILD) else {
        return;
    };
    let task = task.into_string().unwrap();
    let mut task = task.splitn(3, ' ');
    let (threads, entries): (usize, usize) = (
        task.next().unwrap().parse().unwrap(),
        task.next().unwrap().parse().unwrap(),
    );
    let ledger = FileLedger::open(task.next().unwrap()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..entries {
                    let now = SystemClock.now();
                    let mut entry =
                        LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::Responses);
                    entry.attribution = Attribution::default().with_feature(std::process::id().to_string());
                    let id = entry.id;
                    ledger.record(&Arc::new(entry)).unwrap();
                    // One write a line, which a pipe does not tear.
                    let line = format!("recorded {id}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn child(dir: &Path, threads: usize, entries: usize) -> Child {
    let mut task = std::ffi::OsString::from(format!("{threads} {entries} "));
    task.push(dir);
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::a_child_records_what_it_is_told",
            "--nocapture",
        ])
        .env(CHILD, OsStr::new(&task))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns the ids that a child acknowledged, after `killed_after` of them also by its end.
fn acknowledged(mut child: Child, killed_after: usize) -> Vec<EntryId> {
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let id = |line: String| line.split_once("recorded ").map(|(_, id)| id.parse().unwrap());
    let mut ids: Vec<EntryId> = lines.by_ref().filter_map(id).take(killed_after).collect();
    if killed_after < usize::MAX {
        child.kill().unwrap();
    }
    // What it had acknowledged before it died is in the pipe still.
    ids.extend(lines.filter_map(id));
    child.wait().unwrap();
    ids
}

/// Checks that a directory has these entries, that each counts once, and that its sums are those of its entries.
async fn has(dir: &Path, acknowledged: &HashSet<EntryId>) -> u64 {
    let ledger = FileLedger::open(dir).unwrap();
    let entries: Vec<_> = ledger.scan(&Filter::default()).try_collect().await.unwrap();
    let found: HashSet<_> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(found.len(), entries.len(), "each entry once");
    let lost = acknowledged.difference(&found).count();
    assert_eq!(lost, 0, "of {} acknowledged entries", acknowledged.len());
    let summary = ledger
        .query(&Query::new().group_by(Dimension::Feature))
        .await
        .unwrap();
    assert_eq!(summary.total.calls, entries.len() as u64);
    let verified = ledger.verify().await.unwrap();
    assert_eq!(verified.differences, []);
    ledger.recovery().torn.len() as u64
}

/// `THRIFTY_KILLS=2000 cargo test --release --test ledger killed` kills as often as it says; by default 12 times.
#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    let kills = super::times("THRIFTY_KILLS", 12);
    let (mut torn, mut all) = (0, 0);
    let mut dir = TempDir::new().unwrap();
    let mut kept = HashSet::new();
    for kill in 0..kills {
        if kill % 10 == 9 {
            dir = TempDir::new().unwrap();
            kept.clear();
        }
        let ids = acknowledged(child(dir.path(), 16, 100_000), 1 + kill * 37 % 1_500);
        assert!(!ids.is_empty());
        all += ids.len();
        kept.extend(ids);
        torn += has(dir.path(), &kept).await;
    }
    println!(
        "goal ledger/kills: {kills} (2000), {all} acknowledged entries, none lost; {torn} torn ends were cut off"
    );
}

#[tokio::test]
async fn four_processes_share_a_ledger_and_one_of_them_is_killed() {
    let dir = TempDir::new().unwrap();
    let ledger = FileLedger::open(dir.path()).unwrap();
    let children = [400, 400, 400, 100_000].map(|entries| child(dir.path(), 4, entries));
    let [one, two, three, killed] = children;
    let killed = std::thread::spawn(move || acknowledged(killed, 300));
    let others = [one, two, three].map(|child| std::thread::spawn(move || acknowledged(child, usize::MAX)));
    while others.iter().any(|other| !other.is_finished()) {
        let by_process = ledger
            .query(&Query::new().group_by(Dimension::Feature))
            .await
            .unwrap();
        assert!(by_process.groups.len() <= 4);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut kept: HashSet<EntryId> = killed.join().unwrap().into_iter().collect();
    for other in others {
        let ids = other.join().unwrap();
        assert_eq!(ids.len(), 1_600);
        kept.extend(ids);
    }
    let total = ledger.query(&Query::new()).await.unwrap().total.calls;
    assert!(total >= kept.len() as u64);
    drop(ledger);
    has(dir.path(), &kept).await;
}
