//! Calls within budgets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_openai::types::chat::{CreateChatCompletionRequest, ServiceTier};
use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tempfile::TempDir;
use thrifty::batch::FileStore;
use thrifty::budget::{Admission, Budget, BudgetStatus, Each, Refusal, Unpriced, Window};
use thrifty::ledger::{
    CostLedger, Degradation, FileLedger, Filter, InMemoryLedger, LedgerEntry, LedgerError, Query, Recorded,
    Role, Status, Summary,
};
use thrifty::router::{FixedRouter, Route, TokenCountRouter, router_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{ErrorKind, Lane, LlmClient, RetryPolicy, Transport, Usd, UsdSum};

use super::bounds::{HOUR, billed, once, short};
use super::{client_of, only_row, ours, rows};

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn hard(limit: &str) -> Budget {
    Budget::new("all", usd(limit)).with_admission(Admission::Reject)
}

async fn status(llm: &LlmClient) -> BudgetStatus {
    llm.budgets().status().await.unwrap().remove(0)
}

/// Makes a call that is refused.
async fn refused(llm: &LlmClient, request: CreateChatCompletionRequest) -> Refusal {
    let error = llm.chat().create(request).await.unwrap_err();
    let error = ours(&error);
    assert_eq!(error.kind(), ErrorKind::Budget, "{error:?}");
    error.refusal().unwrap().clone()
}

/// The most that `short` to gpt-4o can cost: 1,000 tokens of output, and no more input than its JSON has bytes.
const SHORT_OUTPUT: &str = "0.01";

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_budget_what_is_left_and_what_the_call_could_cost() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_budget(hard("0.005").per(Window::month()))
        .build()
        .unwrap();
    let refusal = refused(&llm, short("gpt-4o")).await;
    assert_eq!((&*refusal.budget, refusal.left()), ("all", usd("0.005").into()));
    let most = refusal.at_most.unwrap();
    assert!(most > usd(SHORT_OUTPUT) && most < usd("0.0115"), "{most}");
    assert!(refusal.window_end.is_some());
    assert_eq!((simulator.request_count(), rows(&llm).await.len()), (0, 0));
    assert_eq!(status(&llm).await.refused, 1);
    // A cheaper model's worst case fits.
    llm.chat().create(short("gpt-4o-mini")).await.unwrap();
    let spent = status(&llm).await;
    assert_eq!(
        (spent.spent, spent.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );
}

/// `cargo test --release --test client many_callers -- --nocapture` prints how close they came.
#[tokio::test(start_paused = true)]
async fn many_callers_at_once_never_spend_more_than_the_limit() {
    let simulator = Simulator::builder()
        .with_latency(Duration::from_millis(20))
        .build();
    let limit = usd("1.00");
    let llm = client_of(&simulator)
        .with_budget(Budget::new("all", limit))
        .with_budget(Budget::new("flex", usd("0.10")).for_feature("flex"))
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o").with_max_input(4))
        .build()
        .unwrap();
    let call = |number: u64| {
        let llm = llm.feature(if number % 5 == 3 { "flex" } else { "now" });
        async move {
            for _ in 0..4 {
                match number % 5 {
                    0 => drop(llm.chat().create(short("gpt-4o")).await),
                    1 => {
                        let Ok(mut stream) = llm.chat().create_stream(short("gpt-4o")).await else {
                            continue;
                        };
                        for _ in 0..number % 7 {
                            let _ = stream.next().await;
                        }
                    }
                    2 => drop(llm.within(3 * HOUR).chat().create(short("gpt-4o")).await),
                    3 => {
                        let mut request = short("gpt-5-mini");
                        request.service_tier = Some(ServiceTier::Flex);
                        let _ = llm.chat().create(request).await;
                    }
                    _ => {
                        let call = llm.pinned();
                        let chat = call.chat();
                        let _ = tokio::time::timeout(
                            Duration::from_millis(number % 40),
                            chat.create(short("gpt-4o")),
                        )
                        .await;
                    }
                }
            }
        }
    };
    join_all((0..512).map(call)).await;
    let status = status(&llm).await;
    assert_eq!(
        (status.held, status.overruns, status.waiting),
        (UsdSum::ZERO, 0, 0)
    );
    assert!(
        status.spent <= limit.into() && status.spent >= billed(&simulator).into(),
        "{status:?}"
    );
    assert!(status.spent > usd("0.60").into(), "{status:?}");
    println!(
        "goal budget/stress-512: {} USD overshoot (0), {} of {limit} counted, {} of it billed",
        UsdSum::from(billed(&simulator))
            .saturating_sub(limit.into())
            .max(UsdSum::ZERO),
        status.spent,
        billed(&simulator)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_until_it_ends_or_is_dropped() {
    let simulator = Simulator::builder()
        .with_chunk_delay(Duration::from_millis(5))
        .build();
    let llm = client_of(&simulator).with_budget(hard("1.00")).build().unwrap();
    let mut stream = llm.chat().create_stream(short("gpt-4o")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(status(&llm).await.held > usd(SHORT_OUTPUT).into());
    while stream.next().await.is_some() {}
    let ended = status(&llm).await;
    assert_eq!(
        (ended.spent, ended.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );

    let mut dropped = llm.chat().create_stream(short("gpt-4o")).await.unwrap();
    dropped.next().await.unwrap().unwrap();
    let held = status(&llm).await.held;
    drop(dropped);
    // The task of async-openai that reads it has to notice.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let dropped = status(&llm).await;
    assert_eq!(dropped.held, UsdSum::ZERO);
    // What it was billed is not known: the most counts.
    assert_eq!(dropped.spent, ended.spent.saturating_add(held));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_may_have_been_billed_is_repeated_only_if_there_is_room_for_both() {
    for (limit, attempts) in [("0.015", 1), ("0.025", 2)] {
        let simulator = Simulator::new();
        simulator.inject(Fault::gateway(504).after_effect().times(1));
        let llm = client_of(&simulator).with_budget(hard(limit)).build().unwrap();
        let answer = llm.chat().create(short("gpt-4o")).await;
        assert_eq!(answer.is_ok(), attempts == 2, "{answer:?}");
        let row = only_row(&llm).await;
        assert_eq!(row.attempts, attempts);
        assert_eq!(row.degradations.contains(&Degradation::NotRetried), attempts == 1);
        let status = status(&llm).await;
        assert_eq!((status.held, status.overruns), (UsdSum::ZERO, 0));
        assert!(status.spent <= usd(limit).into() && status.spent >= billed(&simulator).into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_asked_only_if_there_is_room_for_it() {
    let router = || router_fn(|_| Route::to("gpt-4o").with_fallback("gpt-4.1").because("both"));
    for (limit, answers) in [("0.015", false), ("0.025", true)] {
        let simulator = Simulator::new();
        simulator.inject(Fault::gateway(504).after_effect().times(1));
        let llm = client_of(&simulator)
            .with_router(router())
            .with_retry(once())
            .with_budget(hard(limit))
            .build()
            .unwrap();
        assert_eq!(llm.chat().create(short("gpt-4o")).await.is_ok(), answers);
        assert_eq!(rows(&llm).await.len(), if answers { 2 } else { 1 });
        let status = status(&llm).await;
        assert!(
            status.spent <= usd(limit).into() && status.held == UsdSum::ZERO,
            "{status:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_route_is_sent_as_it_was_asked_only_if_there_is_room_beside_what_was_lost() {
    for (limit, answers) in [("0.0172", false), ("0.03", true)] {
        let simulator = Simulator::new();
        simulator.inject(Fault::gateway(504).after_effect().times(1));
        simulator.inject(Fault::status(400).times(1));
        let llm = client_of(&simulator)
            .with_router(FixedRouter::new("gpt-4.1"))
            .with_budget(hard(limit))
            .with_budget(Budget::new("routed", usd("1")).for_model("gpt-4.1").soft())
            .build()
            .unwrap();
        assert_eq!(llm.chat().create(short("gpt-4o")).await.is_ok(), answers);
        let all = llm.budgets().status().await.unwrap();
        assert!(
            all[0].spent <= usd(limit).into() && all[0].spent >= billed(&simulator).into(),
            "{all:?}"
        );
        assert_eq!((all[0].held, all[0].overruns), (UsdSum::ZERO, 0));
        // The lost attempt was one of the routed model.
        assert!(all[1].spent > usd("0.008").into(), "{all:?}");
        assert_eq!(rows(&llm).await.len(), if answers { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_for_unpriced_calls_counts_for_each_attempt_that_may_be_billed() {
    let simulator = Simulator::builder().with_models(["my-own-model"]).build();
    simulator.inject(Fault::gateway(504).after_effect().times(3));
    let each = hard("0.035").with_unpriced(Unpriced::Each(usd("0.01")));
    let llm = client_of(&simulator).with_budget(each).build().unwrap();
    llm.chat().create(short("my-own-model")).await.unwrap_err();
    let status = status(&llm).await;
    assert_eq!((status.spent, status.held), (usd("0.03").into(), UsdSum::ZERO));
    assert_eq!(simulator.book().charges().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cheap_route_does_not_hold_for_the_dear_model_if_a_budget_has_no_room_for_that() {
    let simulator = Simulator::new();
    let down = Budget::new("all", usd("0.005")).with_admission(Admission::Downgrade);
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .with_budget(down)
        .build()
        .unwrap();
    llm.chat().create(short("gpt-4o")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.sent_model.as_ref().unwrap().as_str(), "gpt-4o-mini");
    assert!(row.degradations.is_empty(), "{:?}", row.degradations);
}

#[tokio::test(start_paused = true)]
async fn a_models_budget_counts_the_same_after_a_restart_whatever_snapshot_served_it() {
    let simulator = Simulator::new();
    let ledger = Arc::new(InMemoryLedger::new());
    let spent = async |calls: usize| {
        let llm = client_of(&simulator)
            .with_ledger(Arc::clone(&ledger))
            .with_budget(Budget::new("one", usd("9")).for_model("gpt-4"))
            .with_budget(Budget::new("each", usd("9")).for_each(Each::Model))
            .build()
            .unwrap();
        for _ in 0..calls {
            llm.chat().create(short("gpt-4")).await.unwrap();
        }
        let all = llm.budgets().status().await.unwrap();
        all.into_iter()
            .map(|status| (status.key, status.spent))
            .collect::<Vec<_>>()
    };
    let before = spent(2).await;
    assert!(before.len() == 2 && before.iter().all(|(_, spent)| *spent > UsdSum::ZERO));
    assert_eq!(spent(0).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_budget_may_ask_for_a_cheaper_candidate_of_the_router() {
    let simulator = Simulator::new();
    let down = Budget::new("all", usd("0.005")).with_admission(Admission::Downgrade);
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o").with_max_input(1))
        .with_budget(down)
        .build()
        .unwrap();
    llm.chat().create(short("gpt-4o")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(
        row.served_model.as_ref().unwrap().as_str(),
        "gpt-4o-mini-2024-07-18"
    );
    assert!(row.degradations.contains(&Degradation::Downgraded));
    let reason = row.reason.as_deref().unwrap();
    assert!(
        reason.ends_with("; budget \"all\" has no room for more"),
        "{reason}"
    );
    // These are not its to replace.
    refused(&llm.pinned(), short("gpt-4o")).await;
    refused(&llm, short("gpt-4o-2024-08-06")).await;
    refused(&llm, short("gpt-4.1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_downgraded_call_that_is_refused_is_not_sent_as_it_was_asked() {
    let simulator = Simulator::builder().with_models(["gpt-4o"]).build();
    let down = Budget::new("all", usd("0.005")).with_admission(Admission::Downgrade);
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o").with_max_input(1))
        .with_budget(down)
        .build()
        .unwrap();
    llm.chat().create(short("gpt-4o")).await.unwrap_err();
    assert_eq!(
        only_row(&llm).await.sent_model.as_ref().unwrap().as_str(),
        "gpt-4o-mini"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batched_call_is_held_at_the_price_of_a_batch_until_its_line_comes() {
    let simulator = Simulator::builder().with_batch_delay(HOUR).build();
    let llm = client_of(&simulator).with_budget(hard("1.00")).build().unwrap();
    let patient = llm.within(12 * HOUR);
    let call = patient.chat();
    let answer = call.create(short("gpt-4o"));
    let watch = async {
        tokio::time::sleep(HOUR / 2).await;
        let held = status(&llm).await.held;
        assert!(held > usd("0.005").into() && held < usd("0.006").into(), "{held}");
    };
    let (answer, ()) = futures_util::join!(answer, watch);
    answer.unwrap();
    let status = status(&llm).await;
    assert_eq!(
        (status.spent, status.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_line_is_overtaken_only_if_there_is_room_for_both() {
    for (limit, overtakes) in [("0.010", false), ("0.020", true)] {
        let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
        let llm = client_of(&simulator).with_budget(hard(limit)).build().unwrap();
        let begun = tokio::time::Instant::now();
        llm.within(3 * HOUR).chat().create(short("gpt-4o")).await.unwrap();
        assert_eq!(begun.elapsed() < 3 * HOUR, overtakes, "{:?}", begun.elapsed());
        tokio::time::sleep(6 * HOUR).await;
        let rows = rows(&llm).await;
        assert_eq!(rows.iter().any(|row| row.role == Role::Hedge), overtakes);
        let status = status(&llm).await;
        assert_eq!(
            (status.spent, status.held),
            (billed(&simulator).into(), UsdSum::ZERO)
        );
        assert_eq!(status.overruns, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_enqueued_directly_is_held_too() {
    let simulator = Simulator::builder().with_batch_delay(HOUR).build();
    let llm = client_of(&simulator).with_budget(hard("0.012")).build().unwrap();
    let collector = llm.collector();
    let first = collector.enqueue(&short("gpt-4o")).key("a").await.unwrap();
    // The same request again is no second one.
    drop(collector.enqueue(&short("gpt-4o")).key("a").await.unwrap());
    let _second = collector.enqueue(&short("gpt-4o")).await.unwrap();
    let error = collector.enqueue(&short("gpt-4o")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget);
    assert!(thrifty::Error::from(error).refusal().is_some());
    first.await.unwrap();
    tokio::time::sleep(HOUR).await;
    let status = status(&llm).await;
    assert_eq!(
        (status.spent, status.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_known_needs_no_room() {
    let simulator = Simulator::builder().with_batch_delay(HOUR).build();
    let llm = client_of(&simulator).with_budget(hard("0.006")).build().unwrap();
    let first = llm.collector().enqueue(&short("gpt-4o")).key("a").await.unwrap();
    drop(llm.collector().enqueue(&short("gpt-4o")).key("a").await.unwrap());
    let patient = llm.within(12 * HOUR).key("b");
    let calls = patient.chat();
    assert!(
        calls.create(short("gpt-4o")).await.is_err(),
        "there is room for one line"
    );
    first.await.unwrap();
    let both = [calls.create(short("gpt-4o")), calls.create(short("gpt-4o"))];
    for answer in join_all(both).await {
        answer.unwrap();
    }
    let status = status(&llm).await;
    assert_eq!(
        (status.spent, status.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );
}

#[test]
fn what_an_earlier_program_left_in_a_spool_is_held_before_it_is_sent() {
    let dir = TempDir::new().unwrap();
    let simulator = Simulator::builder().with_batch_delay(HOUR).build();
    let client = |limit| {
        client_of(&simulator)
            .with_batch_store(FileStore::open(dir.path().join("spool")).unwrap())
            .with_budget(hard(limit))
            .build()
            .unwrap()
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    // With its runtime all that it does ends.
    runtime().block_on(async {
        let llm = client("1.00");
        for key in ["a", "b", "c"] {
            drop(llm.collector().enqueue(&short("gpt-4o")).key(key).await.unwrap());
        }
    });
    assert_eq!(simulator.book().charges().len(), 0);
    runtime().block_on(async {
        let llm = client("0.012");
        assert_eq!(llm.collector().flush().await.unwrap().len(), 3);
        // It is more than the limit, but promised.
        let held = status(&llm).await;
        assert!(
            held.held > usd("0.015").into() && held.left < UsdSum::ZERO,
            "{held:?}"
        );
        assert!(llm.collector().enqueue(&short("gpt-4o")).await.is_err());
        tokio::time::sleep(3 * HOUR).await;
        let status = status(&llm).await;
        assert_eq!(
            (status.spent, status.held),
            (billed(&simulator).into(), UsdSum::ZERO)
        );
        assert_eq!(simulator.book().charges().len(), 3);
        let rows = rows(&llm).await;
        assert!(rows.len() == 3 && rows.iter().all(|row| row.body_hash.is_some()));
    });
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_refuses_its_model_gives_its_hold_back() {
    let simulator = Simulator::builder().with_models(["gpt-4o"]).build();
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .with_budget(hard("1.00"))
        .build()
        .unwrap();
    llm.within(12 * HOUR)
        .chat()
        .create(short("gpt-4o"))
        .await
        .unwrap();
    let status = status(&llm).await;
    assert_eq!(
        (status.spent, status.held),
        (billed(&simulator).into(), UsdSum::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn calls_that_cost_nothing_pass_and_those_without_a_price_are_refused() {
    let simulator = Simulator::builder().with_models(["my-own-model"]).build();
    let llm = client_of(&simulator).with_budget(hard("1.00")).build().unwrap();
    llm.models().list().await.unwrap();
    llm.batches().list().await.unwrap();
    let unpriced = |llm: &LlmClient| {
        let llm = llm.clone();
        async move { llm.chat().create(short("my-own-model")).await }
    };
    assert_eq!(refused(&llm, short("my-own-model")).await.at_most, None);
    let each = hard("0.10").with_unpriced(Unpriced::Each(usd("0.04")));
    let llm = client_of(&simulator).with_budget(each).build().unwrap();
    for _ in 0..2 {
        unpriced(&llm).await.unwrap();
    }
    unpriced(&llm).await.unwrap_err();
    assert_eq!(status(&llm).await.spent, usd("0.08").into());
}

#[tokio::test(start_paused = true)]
async fn the_projects_lane_is_held_where_a_request_leaves_it_open() {
    let simulator = Simulator::new();
    let held = |lane: Lane| {
        let llm = client_of(&simulator)
            .with_project_lane(lane)
            .with_budget(hard("0.0001"))
            .build()
            .unwrap();
        async move { refused(&llm, short("gpt-4o")).await.at_most.unwrap() }
    };
    let (standard, priority) = (held(Lane::Standard).await, held(Lane::Priority).await);
    assert_eq!(priority.as_pico() * 10, standard.as_pico() * 17);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_run_again_stops_at_the_same_limit() {
    let dir = TempDir::new().unwrap();
    let simulator = Simulator::new();
    let alerts = Arc::new(Mutex::new(Vec::new()));
    let run = async |calls: usize| {
        let seen = Arc::clone(&alerts);
        let llm = client_of(&simulator)
            .with_ledger(FileLedger::open(dir.path()).unwrap())
            .with_budget(hard("0.0305").per(Window::day()))
            .with_budget(
                Budget::new("users", usd("0.02"))
                    .for_each(Each::User)
                    .per(Window::month())
                    .soft(),
            )
            .with_budget(Budget::new("models", usd("0.03")).for_model("gpt-4o").soft())
            .with_budget(
                Budget::new("burst", usd("0.03"))
                    .per(Window::rolling(HOUR))
                    .soft(),
            )
            .with_budget_alert(move |alert| {
                let key = alert.key.as_deref().unwrap_or_default();
                seen.lock()
                    .unwrap()
                    .push(format!("{}{key} {}", alert.budget, alert.percent));
            })
            .build()
            .unwrap();
        let mut answered = 0;
        for _ in 0..calls {
            match llm.user("u").chat().create(short("gpt-4o")).await {
                Ok(_) => answered += 1,
                Err(error) => assert_eq!(ours(&error).kind(), ErrorKind::Budget),
            }
        }
        let status = llm.budgets().status().await.unwrap();
        llm.flush().await.unwrap();
        (
            answered,
            status.into_iter().map(|status| status.spent).collect::<Vec<_>>(),
        )
    };
    let (first, spent) = run(10).await;
    assert_eq!(first, 10);
    let billed_first = billed(&simulator);
    let (second, again) = run(1_000).await;
    assert!(second > 0 && second < 1_000, "{second}");
    let all = billed(&simulator);
    assert!(all <= usd("0.0305") && all > usd("0.019"), "{all}");
    assert_eq!(spent, vec![UsdSum::from(billed_first); 4]);
    assert_eq!(again, vec![UsdSum::from(all); 4]);
    // A third run finds no room at all, and alerts nobody again.
    assert_eq!(run(3).await.0, 0);
    let mut given = alerts.lock().unwrap().clone();
    given.sort();
    let mut once = given.clone();
    once.dedup();
    assert_eq!(given, once);
    assert!(
        given.contains(&"all 50".to_owned()) && given.contains(&"usersu 80".to_owned()),
        "{given:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn unpriced_calls_of_an_earlier_run_count_at_the_budgets_rate() {
    let simulator = Simulator::builder().with_models(["my-own-model"]).build();
    let ledger = Arc::new(InMemoryLedger::new());
    let spent = async |calls: usize| {
        let llm = client_of(&simulator)
            .with_ledger(Arc::clone(&ledger))
            .with_budget(hard("1.00").with_unpriced(Unpriced::Each(usd("0.04"))))
            .build()
            .unwrap();
        llm.models().list().await.unwrap();
        for _ in 0..calls {
            llm.chat().create(short("my-own-model")).await.unwrap();
        }
        status(&llm).await.spent
    };
    assert_eq!(spent(3).await, usd("0.12").into());
    assert_eq!(spent(0).await, usd("0.12").into());
}

/// A ledger that takes all and tells nothing.
#[derive(Debug)]
struct Unreadable;

#[async_trait]
impl CostLedger for Unreadable {
    fn record(&self, _: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        Ok(Recorded::Stored)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn query(&self, _: &Query) -> Result<Summary, LedgerError> {
        Err(LedgerError::Backend {
            kind: ErrorKind::Storage,
            source: "it cannot be read".into(),
        })
    }

    fn scan(&self, _: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        futures_util::stream::empty().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_read_lets_nothing_through_a_hard_budget() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_ledger(Unreadable)
        .with_budget(hard("1.00"))
        .build()
        .unwrap();
    let error = llm.chat().create(short("gpt-4o")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Storage);
    assert_eq!(simulator.request_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_room_is_answered_when_others_are() {
    let simulator = Simulator::builder().with_latency(Duration::from_secs(1)).build();
    let llm = client_of(&simulator)
        .with_budget(Budget::new("all", usd("0.015")))
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let call = || async { llm.chat().create(short("gpt-4o")).await.unwrap() };
    join_all([call(), call(), call()]).await;
    // One after the other: there is room for one at a time.
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(rows(&llm).await.iter().all(|row| row.status == Status::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_stops_waiting_has_sent_and_held_nothing() {
    let simulator = Simulator::builder().with_latency(Duration::from_secs(10)).build();
    let llm = client_of(&simulator)
        .with_budget(Budget::new("all", usd("0.015")))
        .build()
        .unwrap();
    let first = tokio::spawn({
        let llm = llm.clone();
        async move { llm.chat().create(short("gpt-4o")).await.unwrap() }
    });
    tokio::task::yield_now().await;
    let chat = llm.chat();
    let waits = tokio::time::timeout(Duration::from_secs(1), chat.create(short("gpt-4o")));
    assert!(waits.await.is_err());
    assert_eq!(status(&llm).await.waiting, 0);
    first.await.unwrap();
    let status = status(&llm).await;
    assert_eq!(
        (status.held, status.spent),
        (UsdSum::ZERO, billed(&simulator).into())
    );
    assert_eq!(simulator.request_count(), 1);
}

#[tokio::test]
async fn two_budgets_of_one_name_are_refused_when_the_client_is_made() {
    let simulator = Simulator::new();
    let transport = Transport::service(simulator.service());
    let twice = LlmClient::builder(simulator.client(), transport)
        .with_retry(RetryPolicy::default())
        .with_budget(hard("1"))
        .with_budget(hard("2"));
    assert_eq!(twice.build().unwrap_err().kind(), ErrorKind::Invalid);
}
