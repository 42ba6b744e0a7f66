//! Batches that are late: the call goes on alone, and both answers are booked.

use std::time::Duration;

use thrifty::ledger::{Degradation, Query, Role, Status};
use thrifty::simulator::Simulator;
use thrifty::{Lane, UsdSum};

use super::bounds::{HOUR, billed, short};
use super::{chat, client_of, rows};

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_slow_is_overtaken_before_the_deadline_and_both_are_booked() {
    let hours = |count: u64| Duration::from_secs(count * 3_600);
    let simulator = Simulator::builder().with_batch_delay(hours(5)).build();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.within(hours(3)).tracked();
    let begun = tokio::time::Instant::now();
    let answer = tracked.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert!(answer.choices[0].message.content.is_some());
    assert!(begun.elapsed() < hours(3), "{:?}", begun.elapsed());

    tokio::time::sleep(hours(3)).await;
    let rows = rows(&llm).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.role, row.lane, row.status, &*row.degradations))
        .collect();
    assert_eq!(
        told,
        [
            (
                Role::Hedge,
                Lane::Standard,
                Status::Succeeded,
                [Degradation::LaneChanged].as_slice()
            ),
            (
                Role::Primary,
                Lane::Batch,
                Status::Succeeded,
                [Degradation::Orphaned].as_slice()
            ),
        ]
    );
    assert_eq!(rows[0].op_id, rows[1].op_id);
    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(receipt.cost(), Some(billed(&simulator).into()));
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_batch_saves_what_the_receipts_say_and_not_its_price_again() {
    let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.within(3 * HOUR).tracked();
    tracked.chat().create(short("gpt-4o")).await.unwrap();
    tokio::time::sleep(3 * HOUR).await;
    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(receipt.cost(), Some(billed(&simulator).into()));
    assert_eq!(receipt.answer().unwrap().lane, Lane::Standard);
    let total = llm.ledger().query(&Query::new()).await.unwrap().total;
    assert_eq!(Some(total.savings.total()), receipt.savings());
    // The answer cost what it would have cost anyway; the line came on top.
    let line = rows(&llm).await[1].cost.exact().unwrap();
    assert_eq!(receipt.savings(), Some(UsdSum::ZERO.saturating_sub(line.into())));
    assert_eq!(total.savings.lane, UsdSum::ZERO.saturating_sub(line.into()));
}

#[tokio::test(start_paused = true)]
async fn the_receipt_of_an_overtaken_batch_can_be_asked_for_without_waiting() {
    let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.within(3 * HOUR).tracked();
    tracked.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert_eq!(tracked.try_receipt(), None);
    tokio::time::sleep(3 * HOUR).await;
    assert_eq!(tracked.try_receipt().unwrap().entries().len(), 2);
    assert_eq!(tracked.try_receipt(), None);
}
