//! Every ledger keeps the contract, as a value and behind a pointer.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::TryStreamExt;
use tempfile::TempDir;
use thrifty::ledger::{CostLedger, FileLedger, Filter, InMemoryLedger, LedgerEntry};
use thrifty::{Clock, Endpoint, EntryId, OpId, SystemClock, conformance};

#[tokio::test]
async fn a_ledger_in_memory_keeps_the_contract() {
    conformance::ledger(async || InMemoryLedger::new()).await;
}

#[tokio::test]
async fn a_ledger_behind_a_pointer_keeps_the_contract() {
    conformance::ledger(async || Arc::new(InMemoryLedger::new()) as Arc<dyn CostLedger>).await;
    conformance::ledger(async || Box::new(InMemoryLedger::new()) as Box<dyn CostLedger>).await;
}

#[tokio::test]
async fn a_ledger_in_files_keeps_the_contract() {
    let dir = TempDir::new().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::ledger(async || {
        count.set(count.get() + 1);
        FileLedger::open(dir.path().join(count.get().to_string())).unwrap()
    })
    .await;
}

/// The child is this test again, told by its environment to record until it is killed.
#[tokio::test]
async fn what_was_recorded_survives_a_killed_process() {
    const CHILD: &str = "THRIFTY_TEST_LEDGER_OF_CHILD";
    if let Some(dir) = std::env::var_os(CHILD) {
        let ledger = FileLedger::open(dir).unwrap();
        loop {
            let now = SystemClock.now();
            let entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::Responses);
            let id = entry.id;
            ledger.record(&Arc::new(entry)).unwrap();
            println!("recorded {id}");
        }
    }
    let dir = TempDir::new().unwrap();
    for acknowledged in [1, 50, 400] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "what_was_recorded_survives_a_killed_process",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let recorded =
            said.filter_map(|line| line.split_once("recorded ").map(|(_, id)| id.parse().unwrap()));
        let ids: Vec<EntryId> = recorded.take(acknowledged).collect();
        child.kill().unwrap();
        child.wait().unwrap();

        let ledger = FileLedger::open(dir.path()).unwrap();
        let entries: Vec<_> = ledger.scan(&Filter::default()).try_collect().await.unwrap();
        let found: HashSet<_> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), acknowledged);
        assert!(ids.iter().all(|id| found.contains(id)));
    }
}
