//! Calls that wait for room.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;

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
    let clock = ManualClock::new(Timestamp::from_unix_millis(AT_TEN + 3_599_000));
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
