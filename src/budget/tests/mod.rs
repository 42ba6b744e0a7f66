//! Stories and laws of budgets.

#![cfg(not(thrifty_loom))]

mod laws;
mod time;
mod waiting;

use std::time::Duration;

use super::*;
use crate::attribution::Attribution;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::model::ModelId;
use crate::money::{Usd, UsdSum};
use crate::pricing::{Cost, Rates, UnpricedReason};
use crate::usage::Usage;

/// 2026-11-25, 10:00 UTC.
const AT_TEN: i64 = 1_795_600_800_000;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_unix_millis(AT_TEN))
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
