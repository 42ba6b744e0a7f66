//! Every ledger keeps the contract, as a value and behind a pointer.

use std::sync::Arc;

use tempfile::TempDir;
use thrifty::conformance;
use thrifty::ledger::{CostLedger, FileLedger, InMemoryLedger};

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
