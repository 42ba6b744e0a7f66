//! Attempts that nobody saw the end of: what they may have cost is booked.

use std::time::Duration;

use thrifty::ledger::Status;
use thrifty::pricing::{Cost, PartialReason};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{RetryPolicy, Usd};

use super::bounds::{HOUR, billed, most, once, short};
use super::{client_of, only_row, rows};

#[tokio::test(start_paused = true)]
async fn a_gateways_answer_says_nothing_of_what_was_billed_behind_it() {
    for (fault, may_be_billed) in [
        (Fault::gateway(504), true),
        (Fault::gateway(500), true),
        (Fault::status(408), true),
        (Fault::status(502), true),
        (Fault::status(524), true),
        (Fault::status(500), false),
        (Fault::status(503), false),
        (Fault::status(429), false),
    ] {
        let told = format!("{fault:?}");
        let fault = if may_be_billed {
            fault.after_effect()
        } else {
            fault
        };
        let simulator = Simulator::new();
        simulator.inject(fault.clone().times(3));
        let llm = client_of(&simulator).build().unwrap();
        llm.chat().create(short("gpt-4o")).await.unwrap();
        let row = only_row(&llm).await;
        assert_eq!(row.cost.exact().is_none(), may_be_billed, "{told}");
        assert_eq!(row.attempts, 4);
        assert!(billed(&simulator) <= most(&row), "{told} {}", row.cost);

        let simulator = Simulator::new();
        simulator.inject(fault);
        let llm = client_of(&simulator).with_retry(once()).build().unwrap();
        llm.chat().create(short("gpt-4o")).await.unwrap_err();
        let row = only_row(&llm).await;
        assert_eq!(
            (row.status, row.cost.exact().is_none()),
            (Status::Failed, may_be_billed),
            "{told}"
        );
        assert!(billed(&simulator) <= most(&row), "{told} {}", row.cost);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_faster_lane_may_have_been_billed_is_booked_however_it_ends() {
    let streamed = Fault::body("data: {}\n\n").with_header("content-type", "text/event-stream");
    for (fault, attempts) in [
        (Fault::gateway(504).after_effect(), 4),
        (streamed, 1),
        (Fault::connection_reset_after(), 4),
    ] {
        let told = format!("{fault:?}");
        let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
        simulator.inject(fault.on("/chat/completions").times(9));
        let llm = client_of(&simulator).build().unwrap();
        llm.within(3 * HOUR).chat().create(short("gpt-4o")).await.unwrap();
        tokio::time::sleep(3 * HOUR).await;
        let rows = rows(&llm).await;
        assert_eq!(simulator.book().charges().len(), attempts + 1, "{told}");
        let sum = rows.iter().map(|row| most(row).as_pico()).sum();
        assert!(billed(&simulator) <= Usd::from_pico(sum), "{told} {rows:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_to_be_sent_again_owes_only_what_was_sent() {
    let patient = RetryPolicy::default().with_delay(Duration::from_secs(1_000), Duration::from_secs(1_000));
    let dropped = |fault: Fault| async move {
        let simulator = Simulator::new();
        simulator.inject(fault);
        let llm = client_of(&simulator).with_retry(patient).build().unwrap();
        let call = tokio::time::timeout(Duration::from_millis(1), async {
            llm.chat().create(short("gpt-4o")).await
        });
        assert!(call.await.is_err());
        let row = only_row(&llm).await;
        assert_eq!((row.status, row.attempts), (Status::Abandoned, 1));
        row.cost
    };
    let in_flight = dropped(Fault::hang()).await;
    let Cost::Partial {
        at_most: Some(once), ..
    } = in_flight
    else {
        panic!("{in_flight:?}");
    };
    let lost = Cost::Partial {
        known: Usd::ZERO,
        at_most: Some(once),
        why: PartialReason::LostAttempt,
    };
    assert_eq!(dropped(Fault::connection_reset_after()).await, lost);
    let refused = Fault::status(429).with_retry_after("50");
    assert_eq!(dropped(refused).await, Cost::Priced(Usd::ZERO));
}
