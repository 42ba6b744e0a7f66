//! Calls that may wait and ride no batch go by the flex lane, at the same price.

use std::time::Duration;

use async_openai::types::chat::ServiceTier;
use futures_util::StreamExt;
use thrifty::budget::{Admission, Budget};
use thrifty::ledger::{Degradation, Status};
use thrifty::router::{Route, router_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Lane, UsdSum};

use super::bounds::{billed, short};
use super::{client_of, only_row, rows};

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

const MINUTES: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_call_that_may_take_a_quarter_of_an_hour_goes_by_flex() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    llm.within(15 * MINUTES)
        .chat()
        .create(short("gpt-5-mini"))
        .await
        .unwrap();
    let row = only_row(&llm).await;
    assert_eq!((row.lane, row.status), (Lane::Flex, Status::Succeeded));
    assert_eq!(row.degradations, [Degradation::NotBatched]);
    assert_eq!(
        row.reason.as_deref(),
        Some("not batched: it must be answered too soon; flex, since it may wait")
    );
    assert_eq!(row.cost.exact(), Some(billed(&simulator)));
    let baseline = row.baseline.unwrap();
    assert_eq!(Some(baseline.lane), row.cost.exact());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_wait_goes_by_flex() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let mut stream = llm
        .within(600 * MINUTES)
        .chat()
        .create_stream(short("gpt-5-mini"))
        .await
        .unwrap();
    while stream.next().await.is_some() {}
    let row = only_row(&llm).await;
    assert_eq!(
        (row.lane, row.cost.exact()),
        (Lane::Flex, Some(billed(&simulator)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_keeps_its_lane_that_names_it_or_cannot_wait_or_has_no_price_there() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let patient = llm.within(30 * MINUTES);
    let mut named = short("gpt-5-mini");
    named.service_tier = Some(ServiceTier::Default);
    patient.chat().create(named).await.unwrap();
    llm.within(14 * MINUTES)
        .chat()
        .create(short("gpt-5-mini"))
        .await
        .unwrap();
    patient.chat().create(short("gpt-4o")).await.unwrap();
    let both = router_fn(|_| Route::to("gpt-5-mini").with_fallback("gpt-4o").because("both"));
    let routed = client_of(&simulator).with_router(both).build().unwrap();
    routed
        .within(30 * MINUTES)
        .chat()
        .create(short("gpt-5-mini"))
        .await
        .unwrap();
    let never = client_of(&simulator)
        .with_flex_window(Duration::MAX)
        .build()
        .unwrap();
    never
        .within(30 * MINUTES)
        .chat()
        .create(short("gpt-5-mini"))
        .await
        .unwrap();
    for llm in [llm, routed, never] {
        assert!(rows(&llm).await.iter().all(|row| row.lane == Lane::Standard));
    }
    let seen = simulator.requests();
    assert!(seen.iter().all(|seen| !text(&seen.body).contains("flex")));
}

#[tokio::test(start_paused = true)]
async fn where_flex_is_busy_or_closed_the_call_goes_on_without_it() {
    for (fault, attempts) in [(Fault::status(429).times(4), 5), (Fault::status(400).times(1), 2)] {
        let simulator = Simulator::new();
        simulator.inject(fault);
        let llm = client_of(&simulator)
            .with_budget(Budget::new("all", "1".parse().unwrap()))
            .build()
            .unwrap();
        llm.within(15 * MINUTES)
            .chat()
            .create(short("gpt-5-mini"))
            .await
            .unwrap();
        let row = only_row(&llm).await;
        assert_eq!((row.lane, row.attempts), (Lane::Standard, attempts));
        assert!(
            row.degradations.contains(&Degradation::LaneChanged),
            "{:?}",
            row.degradations
        );
        assert_eq!(row.degradations.contains(&Degradation::Retried), attempts == 5);
        assert_eq!(row.cost.exact(), Some(billed(&simulator)));
        let last = simulator.requests().pop().unwrap();
        assert!(!text(&last.body).contains("service_tier"));
        let status = llm.budgets().status().await.unwrap().remove(0);
        assert_eq!(
            (status.spent, status.held),
            (billed(&simulator).into(), UsdSum::ZERO)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_flex_lane_is_left_only_if_the_budget_has_room_for_another() {
    let simulator = Simulator::new();
    simulator.inject(Fault::status(429).times(4));
    let budget = Budget::new("all", "0.0015".parse().unwrap()).with_admission(Admission::Reject);
    let llm = client_of(&simulator).with_budget(budget).build().unwrap();
    llm.within(15 * MINUTES)
        .chat()
        .create(short("gpt-5-mini"))
        .await
        .unwrap_err();
    let row = only_row(&llm).await;
    assert_eq!(
        (row.lane, row.status, row.http_status),
        (Lane::Flex, Status::Failed, Some(429))
    );
    let status = llm.budgets().status().await.unwrap().remove(0);
    assert_eq!((status.spent, status.held), (UsdSum::ZERO, UsdSum::ZERO));
}
