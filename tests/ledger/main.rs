//! Every ledger keeps the contract, as a value and behind a pointer; what is in files survives its process; sums are
//! exact.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod exact;
mod killed;
mod repriced;

use std::sync::Arc;

use tempfile::TempDir;
use thrifty::conformance;
use thrifty::ledger::{CostLedger, FileLedger, InMemoryLedger};

/// Returns how often a long test runs its body: what the variable says, or fewer in the ordinary run.
fn times(variable: &str, ordinary: usize) -> usize {
    std::env::var(variable).map_or(ordinary, |times| times.parse().unwrap())
}

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
