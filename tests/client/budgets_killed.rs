//! A program with a budget that is killed by a real signal, and run again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use thrifty::budget::{Budget, Window};
use thrifty::ledger::{CostLedger, FileLedger, Query};
use thrifty::simulator::Simulator;
use thrifty::{UsdSum, budget::Admission};

use super::bounds::short;
use super::client_of;

const CHILD: &str = "THRIFTY_TEST_BUDGET_CHILD";
const LIMIT: &str = "0.10";

/// A child is this test again, told by its environment where its ledger is. It calls until it is refused.
#[tokio::test]
async fn a_child_calls_until_its_budget_is_spent() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let simulator = Simulator::builder()
        .with_latency(Duration::from_millis(2))
        .build();
    let budget = Budget::new("all", LIMIT.parse().unwrap())
        .per(Window::month())
        .with_admission(Admission::Wait(Duration::from_secs(60)));
    let llm = client_of(&simulator)
        .with_ledger(FileLedger::open(dir).unwrap())
        .with_budget(budget)
        .build()
        .unwrap();
    let caller = || async {
        while llm.chat().create(short("gpt-4o")).await.is_ok() {
            // One write a line, which a pipe does not tear.
            std::io::stdout().write_all(b"answered\n").unwrap();
        }
    };
    join_all([caller(), caller(), caller(), caller()]).await;
    std::io::stdout().write_all(b"refused\n").unwrap();
}

/// Runs the program, and kills it after so many answers. Returns how many came, and whether it ended by itself.
fn run(dir: &Path, kill_after: usize) -> (usize, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "budgets_killed::a_child_calls_until_its_budget_is_spent",
            "--nocapture",
        ])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut answered, mut refused) = (0, false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        answered += usize::from(line.ends_with("answered"));
        refused |= line.ends_with("refused");
        if answered == kill_after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (answered, refused)
}

#[tokio::test]
async fn a_killed_program_that_is_run_again_stops_at_the_same_limit() {
    let dir = TempDir::new().unwrap();
    let mut answered = 0;
    for kill_after in [5, 1, 9, 20] {
        let (more, refused) = run(dir.path(), kill_after);
        assert!(more >= kill_after && !refused, "killed after {more}");
        answered += more;
    }
    let (more, refused) = run(dir.path(), usize::MAX);
    assert!(refused && more > 0);
    answered += more;
    assert_eq!(
        run(dir.path(), usize::MAX),
        (0, true),
        "nothing is left for another run"
    );

    let ledger = FileLedger::open(dir.path()).unwrap();
    let spent = ledger.query(&Query::new()).await.unwrap().total;
    // An answer is booked before it is handed on.
    assert!(spent.calls >= answered as u64);
    let limit: UsdSum = LIMIT.parse().unwrap();
    let a_call: UsdSum = "0.0103".parse().unwrap();
    assert!(
        spent.cost <= limit && spent.cost > limit.saturating_sub(a_call),
        "{}",
        spent.cost
    );
}
