//! The same program, killed before a call has its effect, after that and before its answer, and after its answer.

use std::time::Duration;

use tempfile::TempDir;
use thrifty::simulator::{Fault, LineFault, Simulator};

use super::gate::{Call, Death, Gate, Moment};
use super::killed::{REQUESTS, check, child, ended, served};

const MOMENTS: [Moment; 3] = [
    Moment::BeforeTheServerActs,
    Moment::BeforeTheAnswer,
    Moment::AfterTheAnswer,
];

/// Runs the program, kills it at the call, and runs it again to its end. False if it had no such call: how many there are of
/// a kind depends on how fast the machine is, but there is one.
fn dies_at(death: Death) -> bool {
    let dir = TempDir::new().unwrap();
    // A second batch has to be found before it has run.
    let doubles = death.call == Call::Cancel;
    let delay = Duration::from_millis(if doubles { 4_000 } else { 30 });
    let simulator = Simulator::builder().with_batch_delay(delay).build();
    if death.call == Call::DownloadErrors {
        simulator.inject(Fault::line(LineFault::Status(429)).times(3));
    }
    // Several batches are seen by lists, one is looked at by itself.
    let lines = match death.call {
        Call::Retrieve | Call::Cancel => REQUESTS,
        _ => 10,
    };
    let (runtime, server) = served(&simulator);
    let gate = Gate::before(&server.base_url(), death, doubles);
    let mut program = child(usize::MAX, lines, &gate.base_url, dir.path());
    let reached = gate.reached.recv_timeout(Duration::from_secs(60));
    program.kill().unwrap();
    // After the last call's answer the program may have been faster.
    let ran = ended(program);
    let had_none = reached.is_err() && ran && death.nth > 0;
    assert!(reached.is_ok() || had_none, "{death:?} was not reached");
    assert!(
        !ran || had_none || death.moment == Moment::AfterTheAnswer,
        "{death:?}"
    );
    while !dir.path().join("answers").exists() {
        assert!(ended(child(usize::MAX, lines, &gate.base_url, dir.path())));
    }
    let twice = if doubles {
        runtime.block_on(ran_before_it_was_cancelled(&simulator))
    } else {
        0
    };
    check(&simulator, dir.path(), twice);
    !had_none
}

/// How many lines a second batch ran before it was cancelled: on a busy machine it is not found before the first of them.
async fn ran_before_it_was_cancelled(simulator: &Simulator) -> usize {
    let batches = simulator.client().batches().list().await.unwrap();
    let cancelled = batches.data.iter().filter(|batch| batch.cancelled_at.is_some());
    let counts = cancelled.filter_map(|batch| batch.request_counts.as_ref());
    counts.map(|counts| counts.completed as usize).sum()
}

/// `THRIFTY_BATCH_KILLS=1000 cargo test --release --test batch killed` dies at each; by default at the first of each kind.
#[test]
fn a_program_that_is_killed_at_a_call_and_run_again_pays_for_each_line_once() {
    let all = std::env::var_os("THRIFTY_BATCH_KILLS").is_some();
    let calls = [
        (Call::Upload, 3),
        (Call::Create, 3),
        (Call::List, 2),
        (Call::Retrieve, 1),
        (Call::DownloadOutput, 3),
        (Call::DownloadErrors, 1),
        (Call::DeleteFile, 4),
        (Call::Cancel, 1),
    ];
    let mut deaths = 0;
    for (call, times) in calls {
        for nth in 0..if all { times } else { 1 } {
            for moment in MOMENTS {
                deaths += usize::from(dies_at(Death { call, nth, moment }));
            }
        }
    }
    println!("batch/kills-at-calls: {deaths} before, within and after calls; each line billed once");
}
