//! Windows, clocks that jump, what was spent before, and alerts.

use std::sync::Mutex;
use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_window_is_a_key_and_a_clock_that_jumps_back_finds_what_was_spent() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("day", "1.00").per(Window::day())]);
    spend(&budgets, &nobody(), "0.80").await;
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    spend(&budgets, &nobody(), "0.30").await;
    clock.set(Timestamp::from_unix_millis(AT_TEN));
    assert_eq!(status(&budgets).await.spent, usd("0.80").into());
    refused(&budgets, &nobody(), &call("0.30")).await;
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(status(&budgets).await.spent, usd("0.30").into());
    // A wild leap, and back.
    clock.advance(Duration::from_secs(900 * 86_400));
    spend(&budgets, &nobody(), "0.50").await;
    clock.set(Timestamp::from_unix_millis(AT_TEN + 86_400_000));
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
    clock.set(Timestamp::from_unix_millis(AT_TEN));
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
    for (amount, runs_out) in [("0.25", None), ("0.25", Some(AT_TEN + 10 * 3_600_000))] {
        let hold = budgets.reserve(&nobody(), &call(amount)).await.unwrap();
        hold.settle(None, &priced(amount), None);
        let status = status(&budgets).await;
        assert_eq!(status.runs_out, runs_out.map(Timestamp::from_unix_millis));
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_in_steps_forgets_nothing() {
    let clock = clock();
    let budgets = budgets(&clock, [reject("hour", "1.00").per(Window::hour())]);
    spend(&budgets, &nobody(), "1.00").await;
    for hours in [2, 1] {
        clock.set(Timestamp::from_unix_millis(AT_TEN - hours * 3_600_000));
        assert_eq!(status(&budgets).await.spent, UsdSum::ZERO);
    }
    clock.set(Timestamp::from_unix_millis(AT_TEN));
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
    clock.set(Timestamp::from_unix_millis(AT_TEN + 1));
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
        until: Some(Timestamp::from_unix_millis(AT_TEN - ago * 3_600_000)),
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
        clock.set(Timestamp::from_unix_millis(AT_TEN + hour * 3_600_000));
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
