//! A ledger on a disk that is full, by a real limit on a real file system.

use tempfile::TempDir;
use thrifty::ledger::{CostLedger, FileLedger, Query};
use thrifty::simulator::Simulator;

use super::{chat, client_of, rows, small_files};

/// The child is this test again, in a process whose files may not grow beyond 16 kB until it lifts that limit.
#[tokio::test]
async fn a_disk_that_is_full_costs_no_answer_and_once_there_is_room_no_row() {
    const CHILD: &str = "THRIFTY_TEST_LEDGER_ON_A_FULL_DISK";
    const NAME: &str = "full_disk::a_disk_that_is_full_costs_no_answer_and_once_there_is_room_no_row";
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = TempDir::new().unwrap();
        small_files::run_again(NAME, CHILD, dir.path());
        let ledger = FileLedger::open(dir.path()).unwrap();
        assert!(ledger.recovery().torn.is_empty());
        let summary = ledger.query(&Query::new()).await.unwrap();
        assert_eq!((summary.total.calls, summary.total.coverage.priced), (100, 100));
        return;
    };
    let simulator = Simulator::new();
    let ledger = FileLedger::open(dir).unwrap();
    let llm = client_of(&simulator).with_ledger(ledger).build().unwrap();
    for _ in 0..100 {
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    }
    let error = llm.flush().await.unwrap_err();
    assert!(rows(&llm).await.len() < 100, "{error}");

    small_files::lift();
    assert!(llm.flush().await.unwrap().is_empty());
    assert_eq!(rows(&llm).await.len(), 100);
}
