//! Stories and laws of budgets.

#![cfg(not(thrifty_loom))]

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::attribution::Attribution;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::model::ModelId;
use crate::money::{Usd, UsdSum};
use crate::pricing::{Cost, Rates, UnpricedReason};
use crate::usage::Usage;

/// 2026-11-25, 10:00 UTC.
const NOON: i64 = 1_795_600_800_000;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_unix_millis(NOON))
}

fn budgets(clock: &ManualClock, all: impl IntoIterator<Item = Budget>) -> Budgets {
    let builder = Budgets::builder().with_clock(clock.clone());
    all.into_iter()
        .fold(builder, BudgetsBuilder::with_budget)
        .build()
        .unwrap()
}

fn reject(name: &str, limit: &str) -> Budget {
    Budget::new(name, usd(limit)).with_admission(Admission::Reject)
}

fn call(most: &str) -> Estimate {
    Estimate::of("gpt-4o", Some(usd(most)))
}

fn nobody() -> Attribution {
    Attribution::default()
}

fn user(name: &str) -> Attribution {
    Attribution::default().with_user(name)
}

fn priced(text: &str) -> Cost {
    Cost::Priced(usd(text))
}

async fn status(budgets: &Budgets) -> BudgetStatus {
    budgets.status().await.unwrap().remove(0)
}

async fn refused(budgets: &Budgets, whom: &Attribution, estimate: &Estimate) -> Refusal {
    match budgets.reserve(whom, estimate).await {
        Err(BudgetError::Refused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

/// Makes a call that costs as much as it can.
async fn spend(budgets: &Budgets, whom: &Attribution, amount: &str) {
    let hold = budgets.reserve(whom, &call(amount)).await.unwrap();
    hold.settle(None, &priced(amount), None);
}

#[tokio::test]
async fn a_call_is_refused_that_could_exceed_the_limit() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("all", "1.00").per(Window::month())]);
    let first = budgets.reserve(&nobody(), &call("0.60")).await.unwrap();
    let refusal = refused(&budgets, &nobody(), &call("0.50")).await;
    assert_eq!(
        (refusal.left(), refusal.at_most),
        (usd("0.40").into(), Some(usd("0.50")))
    );
    assert_eq!(
        refusal.to_string(),
        "budget \"all\" has 0.40 of 1.00 USD left until 2026-12-01T00:00:00Z beside 0.60 held for calls under way, \
         and this call can cost up to 0.50; limit its output tokens, wait, or raise the limit"
    );
    first.settle(None, &priced("0.10"), None);
    budgets.reserve(&nobody(), &call("0.90")).await.unwrap().release();
    let status = status(&budgets).await;
    assert_eq!((status.spent, status.held), (usd("0.10").into(), UsdSum::ZERO));
    assert_eq!((status.left, status.refused), (usd("0.90").into(), 1));
}

#[tokio::test]
async fn a_call_is_held_in_all_budgets_or_in_none() {
    let clock = clock();
    let budgets = budgets(
        &clock,
        [reject("wide", "5.00"), reject("narrow", "1.00").for_user("u")],
    );
    assert_eq!(
        &*refused(&budgets, &user("u"), &call("2.00")).await.budget,
        "narrow"
    );
    for status in budgets.status().await.unwrap() {
        assert_eq!(status.held, UsdSum::ZERO, "{}", status.budget);
    }
    let _other = budgets.reserve(&user("v"), &call("2.00")).await.unwrap();
}

#[tokio::test]
async fn conditions_narrow_a_budget_together() {
    let clock = clock();
    let narrow = reject("narrow", "0")
        .for_feature("f")
        .for_user("u")
        .for_tag("team", "a")
        .for_tag("stage", "test")
        .for_model("gpt-4o");
    let budgets = budgets(&clock, [narrow]);
    let all = || {
        nobody()
            .with_feature("f")
            .with_user("u")
            .with_tag("team", "a")
            .with_tag("stage", "test")
    };
    let snapshot = Estimate::of("gpt-4o-2024-08-06", Some(usd("0.01")));
    for estimate in [call("0.01"), snapshot] {
        refused(&budgets, &all(), &estimate).await;
    }
    for (whom, estimate) in [
        (all().with_feature("g"), call("1")),
        (all().with_user("v"), call("1")),
        (all().with_tag("team", "b"), call("1")),
        (all(), Estimate::of("gpt-4o-mini", Some(usd("1")))),
        (nobody(), call("1")),
    ] {
        budgets.reserve(&whom, &estimate).await.unwrap().release();
    }
}

#[tokio::test]
async fn each_user_has_a_limit_and_those_without_a_name_share_one() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("users", "1.00").for_each(Each::User)]);
    let whose = [user("a"), user("b"), nobody()];
    for whom in &whose {
        let hold = budgets.reserve(whom, &call("1.00")).await.unwrap();
        hold.settle(None, &priced("1.00"), None);
        let refusal = refused(&budgets, whom, &call("0.01")).await;
        assert_eq!(refusal.key.as_deref(), whom.user());
    }
    let keys: Vec<_> = budgets
        .status()
        .await
        .unwrap()
        .into_iter()
        .map(|status| status.key)
        .collect();
    assert_eq!(keys, [None, Some("a".into()), Some("b".into())]);
}

#[tokio::test]
async fn each_model_counts_with_its_snapshots_and_holds_its_own_worst_case() {
    let clock = clock();
    let budgets = budgets(
        &clock,
        [
            reject("models", "1.00").for_each(Each::Model),
            reject("all", "9.00"),
        ],
    );
    let either = call("0.90").or("gpt-4o-mini", Some(usd("0.10")));
    let hold = budgets.reserve(&nobody(), &either).await.unwrap();
    let all_held: Vec<_> = budgets
        .status()
        .await
        .unwrap()
        .into_iter()
        .map(|status| status.held)
        .collect();
    assert_eq!(
        all_held,
        [usd("0.90").into(), usd("0.10").into(), usd("0.90").into()]
    );
    hold.settle(Some(&ModelId::new("gpt-4o-mini")), &priced("0.05"), None);
    let spent: Vec<_> = budgets
        .status()
        .await
        .unwrap()
        .into_iter()
        .map(|status| status.spent)
        .collect();
    assert_eq!(spent, [UsdSum::ZERO, usd("0.05").into(), usd("0.05").into()]);
    let snapshot = Estimate::of("gpt-4o-mini-2024-07-18", Some(usd("0.96")));
    assert_eq!(
        refused(&budgets, &nobody(), &snapshot).await.key.as_deref(),
        Some("gpt-4o-mini")
    );
}

#[tokio::test]
async fn a_soft_budget_counts_and_lets_all_through() {
    let clock = clock();
    let budgets = budgets(&clock, [Budget::new("soft", usd("0.01")).soft()]);
    let hold = budgets.reserve(&nobody(), &call("5.00")).await.unwrap();
    hold.settle(None, &priced("4.00"), None);
    budgets
        .reserve(&nobody(), &Estimate::of("unheard-of", None))
        .await
        .unwrap()
        .release();
    let status = status(&budgets).await;
    assert_eq!(
        (status.spent, status.left),
        (usd("4.00").into(), UsdSum::from_pico(-3_990_000_000_000))
    );
}

#[tokio::test]
async fn a_call_without_a_bound_is_refused_unless_the_budget_names_a_rate() {
    let clock = clock();
    let unknown = Estimate::of("unheard-of", None);
    let refusal = refused(&budgets(&clock, [reject("all", "9.00")]), &nobody(), &unknown).await;
    assert_eq!(refusal.at_most, None);
    assert!(
        refusal.to_string().contains("set a price for its model"),
        "{refusal}"
    );

    let each = budgets(
        &clock,
        [reject("all", "9.00").with_unpriced(Unpriced::Each(usd("0.50")))],
    );
    let nothing = Cost::Unpriced(UnpricedReason::UnknownModel);
    each.reserve(&nobody(), &unknown)
        .await
        .unwrap()
        .settle(None, &nothing, None);
    assert_eq!(
        (status(&each).await.spent, status(&each).await.unpriced),
        (usd("0.50").into(), 1)
    );

    let rates = Rates::per_mtok("10", "20").unwrap();
    let at = budgets(&clock, [reject("all", "9.00").with_unpriced(Unpriced::At(rates))]);
    assert_eq!(refused(&at, &nobody(), &unknown).await.at_most, None);
    let bounded = unknown.clone().with_tokens(100_000, 100_000);
    let hold = at.reserve(&nobody(), &bounded).await.unwrap();
    assert_eq!(status(&at).await.held, usd("3.00").into());
    hold.settle(None, &nothing, Some(&Usage::new(50_000, 1_000)));
    assert_eq!(status(&at).await.spent, usd("0.52").into());
}

#[tokio::test]
async fn what_is_only_bounded_counts_with_the_most_and_what_is_unknown_with_the_hold() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("all", "9.00")]);
    let partial = |at_most| Cost::Partial {
        known: usd("0.10"),
        at_most,
        why: crate::pricing::PartialReason::LostAttempt,
    };
    for (cost, counts) in [
        (partial(Some(usd("0.30"))), "0.30"),
        (partial(None), "0.50"),
        (Cost::Unpriced(UnpricedReason::UnknownTier), "0.50"),
    ] {
        let before = status(&budgets).await.spent;
        budgets
            .reserve(&nobody(), &call("0.50"))
            .await
            .unwrap()
            .settle(None, &cost, None);
        let now = status(&budgets).await;
        assert_eq!(now.spent, before + usd(counts), "{cost}");
        assert_eq!(now.held, UsdSum::ZERO);
    }
}

#[tokio::test]
async fn a_cost_beyond_the_hold_is_counted_and_told() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("all", "1.00")]);
    let hold = budgets.reserve(&nobody(), &call("0.50")).await.unwrap();
    hold.settle(None, &priced("1.25"), None);
    let status = status(&budgets).await;
    assert_eq!(
        (status.spent, status.overruns, status.overrun),
        (usd("1.25").into(), 1, usd("0.75").into())
    );
    assert_eq!(status.runs_out, Some(clock.now()));
}

#[tokio::test]
async fn a_dropped_hold_counts_as_spent_and_an_expired_one_until_it_is_settled() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("all", "1.00").for_model("gpt-4o")]);
    drop(budgets.reserve(&nobody(), &call("0.20")).await.unwrap());
    assert_eq!(status(&budgets).await.spent, usd("0.20").into());

    let late = call("0.50").settles_within(Duration::from_secs(60));
    let hold = budgets.reserve(&nobody(), &late).await.unwrap();
    clock.advance(Duration::from_secs(61));
    let expired = status(&budgets).await;
    assert_eq!((expired.spent, expired.held), (usd("0.70").into(), UsdSum::ZERO));
    hold.settle(Some(&ModelId::new("gpt-4o")), &priced("0.10"), None);
    assert_eq!(status(&budgets).await.spent, usd("0.30").into());
    assert_eq!(status(&budgets).await.overruns, 0);
}

#[tokio::test]
async fn a_hold_can_grow_and_stays_as_it_was_if_there_is_no_room() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("all", "1.00")]);
    let hold = budgets.reserve(&nobody(), &call("0.30")).await.unwrap();
    hold.count(None, &priced("0.30"), None);
    hold.cover(&nobody(), &call("0.30")).unwrap();
    assert_eq!(status(&budgets).await.held, usd("0.30").into());
    hold.cover(&nobody(), &call("0.20")).unwrap();
    assert_eq!(status(&budgets).await.held, usd("0.30").into());
    assert!(hold.cover(&nobody(), &call("0.80")).is_err());
    assert_eq!(status(&budgets).await.left, usd("0.40").into());
    hold.settle(None, &priced("0.05"), None);
    assert_eq!(status(&budgets).await.spent, usd("0.35").into());
}

#[tokio::test]
async fn what_nothing_was_held_for_is_counted_too() {
    let clock = clock();
    let each = Unpriced::Each(usd("0.50"));
    let budgets = budgets(
        &clock,
        [
            reject("user", "1.00").for_user("u").with_unpriced(each),
            reject("model", "1.00").for_model("gpt-4o"),
        ],
    );
    let model = ModelId::new("gpt-4o-2024-08-06");
    budgets.spend(&user("u"), Some(&model), &priced("0.20"), None);
    budgets.spend(&user("v"), Some(&model), &priced("0.10"), None);
    budgets.spend(
        &user("u"),
        None,
        &Cost::Unpriced(UnpricedReason::UnknownModel),
        None,
    );
    let all = budgets.status().await.unwrap();
    let told: Vec<_> = all.iter().map(|status| (status.spent, status.overruns)).collect();
    assert_eq!(told, [(usd("0.70").into(), 0), (usd("0.30").into(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_when_others_settle_in_the_order_of_their_coming() {
    let clock = clock();
    let waits = Budget::new("all", usd("1.00")).with_admission(Admission::Wait(Duration::from_secs(60)));
    let budgets = budgets(&clock, [waits]);
    let first = budgets.reserve(&nobody(), &call("0.90")).await.unwrap();
    let order = std::sync::Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (number, most) in ["0.80", "0.05", "0.15", "0.70"].into_iter().enumerate() {
        let (budgets, order) = (budgets.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let hold = budgets.reserve(&nobody(), &call(most)).await.unwrap();
            order.lock().unwrap().push(number);
            tokio::time::sleep(Duration::from_secs(1)).await;
            hold.settle(None, &priced("0.01"), None);
        }));
        tokio::task::yield_now().await;
    }
    // There is room for the second, but the first came before.
    assert_eq!(status(&budgets).await.waiting, 4);
    first.settle(None, &priced("0.01"), None);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    let status = status(&budgets).await;
    assert_eq!(
        (status.spent, status.held, status.waiting),
        (usd("0.05").into(), UsdSum::ZERO, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_help_is_refused_at_once_and_a_useless_one_in_time() {
    let clock = clock();
    let waits = Budget::new("all", usd("1.00")).with_admission(Admission::Wait(Duration::from_secs(60)));
    let budgets = budgets(&clock, [waits]);
    let started = tokio::time::Instant::now();
    refused(&budgets, &nobody(), &call("1.01")).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    let _held = budgets.reserve(&nobody(), &call("0.90")).await.unwrap();
    refused(&budgets, &nobody(), &call("0.20")).await;
    assert_eq!(started.elapsed(), Duration::from_secs(60));
    assert_eq!(status(&budgets).await.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_refused_once_what_was_settled_leaves_no_room() {
    let clock = clock();
    let waits = Budget::new("all", usd("1.00")).with_admission(Admission::Wait(Duration::from_secs(600)));
    let budgets = budgets(&clock, [waits]);
    let held = budgets.reserve(&nobody(), &call("0.90")).await.unwrap();
    let task = tokio::spawn({
        let budgets = budgets.clone();
        async move { refused(&budgets, &nobody(), &call("0.20")).await }
    });
    tokio::task::yield_now().await;
    held.settle(None, &priced("0.85"), None);
    let started = tokio::time::Instant::now();
    assert_eq!(task.await.unwrap().spent, usd("0.85").into());
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_in_the_next_window() {
    // The last second of an hour.
    let clock = ManualClock::new(Timestamp::from_unix_millis(NOON + 3_599_000));
    let waits = Budget::new("all", usd("1.00"))
        .per(Window::hour())
        .with_admission(Admission::Wait(Duration::from_secs(5)));
    let budgets = budgets(&clock, [waits]);
    budgets
        .reserve(&nobody(), &call("1.00"))
        .await
        .unwrap()
        .settle(None, &priced("1.00"), None);
    let task = tokio::spawn({
        let budgets = budgets.clone();
        async move { budgets.reserve(&nobody(), &call("1.00")).await }
    });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    let hold = task.await.unwrap().unwrap();
    assert_eq!(hold.at(), clock.now());
    hold.release();
}

#[tokio::test(start_paused = true)]
async fn one_who_stops_waiting_lets_the_next_go_on() {
    let clock = clock();
    let waits = Budget::new("all", usd("1.00")).with_admission(Admission::Wait(Duration::from_secs(600)));
    let budgets = budgets(&clock, [waits]);
    let _held = budgets.reserve(&nobody(), &call("0.50")).await.unwrap();
    let (whom, large) = (nobody(), call("0.90"));
    let second = {
        let mut first = pin!(budgets.reserve(&whom, &large));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let second = tokio::spawn({
            let budgets = budgets.clone();
            async move { budgets.reserve(&nobody(), &call("0.40")).await.unwrap() }
        });
        tokio::task::yield_now().await;
        assert_eq!(status(&budgets).await.waiting, 2);
        second
    };
    let hold = tokio::time::timeout(Duration::from_secs(1), second).await;
    hold.unwrap().unwrap().release();
}

#[tokio::test]
async fn a_window_is_a_key_and_a_clock_that_jumps_back_finds_what_was_spent() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("day", "1.00").per(Window::day())]);
    spend(&budgets, &nobody(), "0.80").await;
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    spend(&budgets, &nobody(), "0.30").await;
    clock.set(Timestamp::from_unix_millis(NOON));
    assert_eq!(status(&budgets).await.spent, usd("0.80").into());
    refused(&budgets, &nobody(), &call("0.30")).await;
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(status(&budgets).await.spent, usd("0.30").into());
    // A wild leap, and back.
    clock.advance(Duration::from_secs(900 * 86_400));
    spend(&budgets, &nobody(), "0.50").await;
    clock.set(Timestamp::from_unix_millis(NOON + 86_400_000));
    assert_eq!(status(&budgets).await.spent, usd("0.30").into());
}

#[tokio::test]
async fn a_call_belongs_to_the_window_in_which_it_was_let_through() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("hour", "1.00").per(Window::hour())]);
    let hold = budgets.reserve(&nobody(), &call("0.60")).await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(status(&budgets).await.held, UsdSum::ZERO);
    hold.count(None, &priced("0.50"), None);
    hold.cover(&nobody(), &call("0.50")).unwrap();
    hold.settle(None, &priced("0.10"), None);
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    clock.set(Timestamp::from_unix_millis(NOON));
    assert_eq!(status(&budgets).await.spent, usd("0.60").into());
    // Long after its window is gone a hold is settled without harm.
    let old = budgets.reserve(&nobody(), &call("0.40")).await.unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3_600));
        status(&budgets).await;
    }
    old.settle(None, &priced("0.40"), None);
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
}

#[tokio::test]
async fn what_was_spent_leaves_a_rolling_window_when_it_is_as_old_as_that_is_long() {
    let clock = clock();
    let window = Duration::from_secs(640);
    let budgets = budgets(&clock, [reject("burst", "1.00").per(Window::rolling(window))]);
    let hold = budgets.reserve(&nobody(), &call("0.80")).await.unwrap();
    clock.advance(Duration::from_secs(5));
    hold.settle(None, &priced("0.80"), None);
    clock.advance(Duration::from_millis(639_999));
    refused(&budgets, &nobody(), &call("0.30")).await;
    clock.advance(Duration::from_secs(10));
    budgets.reserve(&nobody(), &call("1.00")).await.unwrap().release();
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
}

#[tokio::test]
async fn alerts_are_given_once_for_each_part_and_window() {
    let clock = clock();
    let alerts = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = alerts.clone();
    let budgets = Budgets::builder()
        .with_clock(clock.clone())
        .with_budget(
            reject("day", "1.00")
                .per(Window::day())
                .with_alerts([100, 50, 50]),
        )
        .on_alert(move |alert| {
            seen.lock().unwrap().push(alert.percent);
            assert!(alert.percent != 50, "a callback that panics does no harm");
        })
        .build()
        .unwrap();
    for (amount, given) in [
        ("0.49", vec![]),
        ("0.01", vec![50]),
        ("0.10", vec![]),
        ("0.40", vec![100]),
    ] {
        let hold = budgets.reserve(&nobody(), &call(amount)).await.unwrap();
        hold.settle(None, &priced(amount), None);
        assert_eq!(std::mem::take(&mut *alerts.lock().unwrap()), given, "{amount}");
    }
    clock.advance(Duration::from_secs(86_400));
    let hold = budgets.reserve(&nobody(), &call("1.00")).await.unwrap();
    hold.settle(None, &priced("1.00"), None);
    assert_eq!(*alerts.lock().unwrap(), [50, 100]);
}

#[tokio::test]
async fn the_status_tells_when_the_limit_is_spent_at_this_rate() {
    // At 10:00, a fourth of the day's limit is spent: at this rate it is gone at 40:00, after the day's end.
    let clock = clock();
    let budgets = budgets(&clock, [reject("day", "1.00").per(Window::day())]);
    assert_eq!(status(&budgets).await.runs_out, None);
    for (amount, runs_out) in [("0.25", None), ("0.25", Some(NOON + 10 * 3_600_000))] {
        let hold = budgets.reserve(&nobody(), &call(amount)).await.unwrap();
        hold.settle(None, &priced(amount), None);
        let status = status(&budgets).await;
        assert_eq!(status.runs_out, runs_out.map(Timestamp::from_unix_millis));
    }
}

#[tokio::test]
async fn a_quantile_lets_more_calls_through_once_it_knows_what_they_cost() {
    let clock = clock();
    let wide = reject("all", "100.00").with_hold(HoldSize::Quantile(90));
    let budgets = budgets(&clock, [wide]);
    for _ in 0..100 {
        let hold = budgets.reserve(&nobody(), &call("1.00")).await.unwrap();
        hold.settle(None, &priced("0.10"), None);
    }
    let hold = budgets.reserve(&nobody(), &call("1.00")).await.unwrap();
    let share = status(&budgets).await.held;
    assert!(
        share > usd("0.10").into() && share < usd("0.11").into(),
        "{share}"
    );
    hold.settle(None, &priced("0.50"), None);
    assert_eq!(status(&budgets).await.overruns, 1);
}

#[tokio::test]
async fn a_clock_that_goes_back_in_steps_forgets_nothing() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("hour", "1.00").per(Window::hour())]);
    spend(&budgets, &nobody(), "1.00").await;
    for hours in [2, 1] {
        clock.set(Timestamp::from_unix_millis(NOON - hours * 3_600_000));
        assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    }
    clock.set(Timestamp::from_unix_millis(NOON));
    refused(&budgets, &nobody(), &call("0.01")).await;
}

#[tokio::test]
async fn what_had_left_a_rolling_window_is_in_it_again_when_the_clock_comes_back() {
    let clock = clock();
    let window = Window::rolling(Duration::from_secs(640));
    let budgets = budgets(&clock, [reject("burst", "1.00").per(window)]);
    spend(&budgets, &nobody(), "1.00").await;
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    clock.set(Timestamp::from_unix_millis(NOON + 1));
    assert_eq!(status(&budgets).await.spent, usd("1.00").into());
    refused(&budgets, &nobody(), &call("0.01")).await;
}

#[tokio::test]
async fn spend_that_hovers_around_a_part_of_a_rolling_limit_alerts_once() {
    let clock = clock();
    let given = std::sync::Arc::new(Mutex::new(0));
    let counted = given.clone();
    let window = Window::rolling(Duration::from_secs(64));
    let budgets = Budgets::builder()
        .with_clock(clock.clone())
        .with_budget(reject("burst", "1.00").per(window).with_alerts([50]))
        .on_alert(move |_| *counted.lock().unwrap() += 1)
        .build()
        .unwrap();
    for _ in 0..640 {
        spend(&budgets, &nobody(), "0.0078").await;
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(*given.lock().unwrap(), 1);
    clock.advance(Duration::from_secs(128));
    spend(&budgets, &nobody(), "0.50").await;
    assert_eq!(*given.lock().unwrap(), 2);
}

#[tokio::test]
async fn users_of_a_rolling_window_are_forgotten_when_all_that_they_spent_has_left_it() {
    let clock = clock();
    let window = Window::rolling(Duration::from_secs(64));
    let budgets = budgets(&clock, [reject("users", "1.00").for_each(Each::User).per(window)]);
    for number in 0..5_000 {
        spend(&budgets, &user(&number.to_string()), "0.01").await;
        clock.advance(Duration::from_secs(1));
    }
    assert!(budgets.status().await.unwrap().len() < 1_200);
}

/// A history of a few rows, or one that cannot be read.
#[derive(Debug)]
struct Told(Option<Vec<Spend>>);

#[async_trait::async_trait]
impl SpendHistory for Told {
    async fn spent(
        &self,
        _: &SpendQuestion<'_>,
    ) -> Result<Vec<Spend>, Box<dyn std::error::Error + Send + Sync>> {
        self.0.clone().ok_or_else(|| "it cannot be read".into())
    }
}

#[tokio::test]
async fn a_rolling_window_ages_as_it_would_have_without_a_restart() {
    let clock = clock();
    let hours = |count: u64| Duration::from_secs(count * 3_600);
    let past = [2, 20, 10].map(|ago: i64| Spend {
        until: Some(Timestamp::from_unix_millis(NOON - ago * 3_600_000)),
        at_most: usd("3.00").into(),
        ..Spend::default()
    });
    let budgets = Budgets::builder()
        .with_clock(clock.clone())
        .with_history(Told(Some(past.to_vec())))
        .with_budget(reject("day", "9.00").per(Window::rolling(hours(24))))
        .build()
        .unwrap();
    for (hour, spent) in [(0, "9.00"), (5, "6.00"), (15, "3.00"), (23, "0")] {
        clock.set(Timestamp::from_unix_millis(NOON + hour * 3_600_000));
        assert_eq!(status(&budgets).await.spent, usd(spent).into(), "after {hour} h");
    }
}

#[tokio::test]
async fn a_soft_budget_lets_all_through_though_its_history_cannot_be_read() {
    let (soft, hard) = (Budget::new("all", usd("1.00")).soft(), reject("all", "1.00"));
    for (budget, passes) in [(soft, true), (hard, false)] {
        let budgets = Budgets::builder()
            .with_history(Told(None))
            .with_budget(budget)
            .build()
            .unwrap();
        match budgets.reserve(&nobody(), &call("0.10")).await {
            Ok(hold) => hold.release(),
            Err(error) => assert!(!passes && matches!(error, BudgetError::History(_))),
        }
    }
}

#[tokio::test]
async fn a_cost_whose_model_is_not_told_counts_in_all_that_hold_for_it() {
    let clock = clock();
    let budgets = budgets(
        &clock,
        [
            reject("model", "1.00").for_model("gpt-4o"),
            reject("models", "1.00").for_each(Each::Model),
        ],
    );
    let hold = budgets.reserve(&nobody(), &call("1.00")).await.unwrap();
    hold.settle(None, &priced("0.75"), None);
    let spent: Vec<_> = budgets
        .status()
        .await
        .unwrap()
        .into_iter()
        .map(|status| status.spent)
        .collect();
    assert_eq!(spent, [usd("0.75").into(), usd("0.75").into()]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_whoever_comes_in_the_next_window() {
    let clock = clock();
    let waits = Budget::new("all", usd("1.00"))
        .per(Window::hour())
        .with_admission(Admission::Wait(Duration::from_secs(30)));
    let budgets = budgets(&clock, [waits]);
    let held = budgets.reserve(&nobody(), &call("1.00")).await.unwrap();
    let task = tokio::spawn({
        let budgets = budgets.clone();
        async move { budgets.reserve(&nobody(), &call("0.90")).await }
    });
    tokio::task::yield_now().await;
    // The clock is set forward; no timer knows of that.
    clock.advance(Duration::from_secs(3_600));
    let started = tokio::time::Instant::now();
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    task.await.unwrap().unwrap().release();
    assert_eq!(started.elapsed(), Duration::ZERO);
    held.release();
}

#[test]
fn budgets_that_cannot_be_kept_are_refused() {
    let twice = Budgets::builder()
        .with_budget(reject("a", "1"))
        .with_budget(reject("a", "2"));
    assert!(matches!(twice.build(), Err(InvalidBudget::SameName { .. })));
    for budget in [
        reject("a", "-1"),
        reject("a", "1").with_unpriced(Unpriced::Each(usd("-1"))),
    ] {
        assert!(matches!(
            Budgets::builder().with_budget(budget).build(),
            Err(InvalidBudget::Negative { .. })
        ));
    }
}

/// What may happen to budgets, by number.
#[derive(Debug, Clone)]
enum Event {
    Reserve { user: u8, most: u32, lives: u32 },
    Count { hold: usize, part: u32 },
    Settle { hold: usize, part: u32 },
    Cover { hold: usize, most: u32 },
    Release { hold: usize },
    Drop { hold: usize },
    Wait { seconds: u32 },
    Jump { millis: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    let hold = 0_usize..8;
    prop_oneof![
        4 => (0_u8..3, 0_u32..1_000, 1_u32..10_000).prop_map(|(user, most, lives)| Event::Reserve { user, most, lives }),
        2 => (hold.clone(), 0_u32..=100).prop_map(|(hold, part)| Event::Count { hold, part }),
        3 => (hold.clone(), 0_u32..=100).prop_map(|(hold, part)| Event::Settle { hold, part }),
        1 => (hold.clone(), 0_u32..1_000).prop_map(|(hold, most)| Event::Cover { hold, most }),
        1 => hold.clone().prop_map(|hold| Event::Release { hold }),
        1 => hold.prop_map(|hold| Event::Drop { hold }),
        1 => (0_u32..20_000).prop_map(|seconds| Event::Wait { seconds }),
        1 => (-100_000_000_i64..100_000_000).prop_map(|millis| Event::Jump { millis }),
    ]
}

/// Polls what is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

proptest! {
    /// Whatever happens, no limit is exceeded by calls that cost no more than they can, and in a window of all time
    /// the sum of what was counted is what is spent.
    #[test]
    fn no_order_of_events_exceeds_a_limit(events in prop::collection::vec(event(), 1..120)) {
        let clock = clock();
        let budgets = budgets(&clock, [
            reject("all", "0.000003"),
            reject("users", "0.000002").for_each(Each::User).per(Window::hour()),
            reject("day", "0.0000025").per(Window::day()),
            reject("burst", "0.0000028").per(Window::rolling(Duration::from_secs(6_400))),
        ]);
        // Each with what it can still cost.
        let mut holds: Vec<(Hold, i64, Attribution)> = Vec::new();
        let (mut spent, mut went_back) = (0, false);
        let of = |most: u32| Estimate::of("m", Some(Usd::from_pico(i64::from(most) * 1_000)));
        for event in events {
            let pick = |holds: &Vec<(Hold, i64, Attribution)>, hold: usize| (!holds.is_empty()).then(|| hold % holds.len().max(1));
            match event {
                Event::Reserve { user: name, most, lives } => {
                    let estimate = of(most).settles_within(Duration::from_secs(lives.into()));
                    if let Ok(hold) = now(budgets.reserve(&user(&name.to_string()), &estimate)) {
                        holds.push((hold, i64::from(most) * 1_000, user(&name.to_string())));
                    }
                }
                Event::Count { hold, part } => if let Some(index) = pick(&holds, hold) {
                    let (hold, left, _) = &mut holds[index];
                    let cost = *left * i64::from(part) / 100;
                    hold.count(None, &Cost::Priced(Usd::from_pico(cost)), None);
                    *left -= cost;
                    spent += i128::from(cost);
                },
                Event::Settle { hold, part } => if let Some(index) = pick(&holds, hold) {
                    let (hold, left, _) = holds.swap_remove(index);
                    let cost = left * i64::from(part) / 100;
                    hold.settle(None, &Cost::Priced(Usd::from_pico(cost)), None);
                    spent += i128::from(cost);
                },
                Event::Cover { hold, most } => if let Some(index) = pick(&holds, hold) {
                    let (hold, left, whom) = &mut holds[index];
                    if hold.cover(whom, &of(most)).is_ok() {
                        *left = (*left).max(i64::from(most) * 1_000);
                    }
                },
                Event::Release { hold } => if let Some(index) = pick(&holds, hold) {
                    holds.swap_remove(index).0.release();
                },
                Event::Drop { hold } => if let Some(index) = pick(&holds, hold) {
                    let (hold, left, _) = holds.swap_remove(index);
                    drop(hold);
                    spent += i128::from(left);
                },
                Event::Wait { seconds } => clock.advance(Duration::from_secs(seconds.into())),
                Event::Jump { millis } => {
                    went_back |= millis < 0;
                    clock.set(Timestamp::from_unix_millis(clock.now().as_unix_millis() + millis));
                }
            }
            for status in now(budgets.status()).unwrap() {
                // When the clock goes back, what had left a rolling window is in it beside what came after.
                let may_exceed = went_back && &*status.budget == "burst";
                prop_assert!(status.left >= UsdSum::ZERO || may_exceed, "{status:?}");
                prop_assert!(status.spent >= UsdSum::ZERO && status.held >= UsdSum::ZERO, "{status:?}");
                prop_assert_eq!(status.overruns, 0);
            }
        }
        for (hold, ..) in holds {
            hold.release();
        }
        let all = now(budgets.status()).unwrap().remove(0);
        prop_assert_eq!((all.spent, all.held), (UsdSum::from_pico(spent), UsdSum::ZERO));
    }
}
