//! Every interleaving of two tasks over three budgets, explored by loom.
//!
//! `RUSTFLAGS="--cfg thrifty_loom" cargo test --lib interleavings`

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use loom::thread;

use super::reserve::{Look, Reserve};
use super::*;
use crate::attribution::Attribution;
use crate::clock::{ManualClock, Timestamp};
use crate::money::{Usd, UsdSum};
use crate::pricing::Cost;

/// Amounts are in pico-dollars.
const LIMIT: i64 = 10;

fn three(admission: Admission) -> (Budgets, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_795_600_800_000));
    let budget = |name| Budget::new(name, Usd::from_pico(LIMIT)).with_admission(admission);
    let budgets = Budgets::builder()
        .with_clock(clock.clone())
        .with_budget(budget("all"))
        .with_budget(budget("users").for_each(Each::User).per(Window::hour()))
        .with_budget(budget("model").for_model("m"))
        .build()
        .unwrap();
    (budgets, clock)
}

fn estimate(most: i64) -> Estimate {
    Estimate::of("m", Some(Usd::from_pico(most))).settles_within(Duration::from_secs(1))
}

fn whom() -> Attribution {
    Attribution::default().with_user("u")
}

/// Waits for room as a client does, but for the time.
fn reserve(budgets: &Budgets, most: i64) -> Result<Hold, BudgetError> {
    let (whom, estimate) = (whom(), estimate(most));
    let mut reserve = Reserve::new(budgets, &whom, &estimate);
    loom::future::block_on(poll_fn(|cx| match reserve.look(cx) {
        Look::Done(result) => Poll::Ready(result),
        Look::Again(_) => Poll::Pending,
    }))
}

fn cost(pico: i64) -> Cost {
    Cost::Priced(Usd::from_pico(pico))
}

/// No limit is exceeded, now.
fn holds(budgets: &Budgets) {
    let all = budgets.change(|books, now, effects| books.status(now, effects));
    for status in all {
        assert!(status.left >= UsdSum::ZERO, "{status:?}");
        assert!(
            status.spent >= UsdSum::ZERO && status.held >= UsdSum::ZERO,
            "{status:?}"
        );
    }
}

fn end(budgets: &Budgets, spent: impl Fn(i128) -> bool) {
    let all = budgets.change(|books, now, effects| books.status(now, effects));
    for status in all {
        assert_eq!((status.held, status.waiting), (UsdSum::ZERO, 0), "{status:?}");
        assert!(spent(status.spent.as_pico()), "{status:?}");
    }
}

#[test]
fn two_calls_that_fit_only_one_by_one_are_never_both_held() {
    loom::model(|| {
        let (budgets, _) = three(Admission::Reject);
        let call = |budgets: Budgets| {
            move || {
                let hold = reserve(&budgets, 7);
                holds(&budgets);
                if let Ok(hold) = hold {
                    hold.settle(None, &cost(4), None);
                }
                holds(&budgets);
            }
        };
        let other = thread::spawn(call(budgets.clone()));
        call(budgets.clone())();
        other.join().unwrap();
        // The model's budget counts only calls that name it.
        end(&budgets, |spent| matches!(spent, 0 | 4));
    });
}

#[test]
fn drops_and_releases_leave_no_hold_behind() {
    loom::model(|| {
        let (budgets, _) = three(Admission::Reject);
        let other = thread::spawn({
            let budgets = budgets.clone();
            move || {
                // Dropped: it counts as spent.
                drop(reserve(&budgets, 5));
                holds(&budgets);
            }
        });
        if let Ok(hold) = reserve(&budgets, 5) {
            let _ = hold.cover(&whom(), &estimate(6));
            holds(&budgets);
            hold.release();
        }
        other.join().unwrap();
        // It was refused if the other one had grown by then.
        end(&budgets, |spent| matches!(spent, 0 | 5));
    });
}

#[test]
fn an_expired_hold_is_settled_once_whoever_comes_first() {
    loom::model(|| {
        let (budgets, clock) = three(Admission::Reject);
        let hold = reserve(&budgets, 6).unwrap();
        let other = thread::spawn({
            let budgets = budgets.clone();
            move || {
                clock.advance(Duration::from_secs(2));
                holds(&budgets);
                // There is room for this only once the first one has given back what it did not use.
                if let Ok(hold) = reserve(&budgets, 7) {
                    hold.settle(Some(&"m".into()), &cost(7), None);
                }
                holds(&budgets);
            }
        });
        hold.settle(Some(&"m".into()), &cost(3), None);
        holds(&budgets);
        other.join().unwrap();
        end(&budgets, |spent| matches!(spent, 3 | 10));
    });
}

#[test]
fn who_waits_is_woken_and_nobody_waits_for_ever() {
    loom::model(|| {
        let (budgets, _) = three(Admission::Wait(Duration::MAX));
        let call = |budgets: Budgets, most: i64| {
            move || {
                let hold = reserve(&budgets, most).unwrap();
                holds(&budgets);
                hold.settle(Some(&"m".into()), &cost(1), None);
            }
        };
        let others = [6, 7].map(|most| thread::spawn(call(budgets.clone(), most)));
        for other in others {
            other.join().unwrap();
        }
        end(&budgets, |spent| spent == 2);
    });
}

#[test]
fn one_who_stops_waiting_hands_its_turn_on() {
    loom::model(|| {
        let (budgets, _) = three(Admission::Wait(Duration::MAX));
        let held = reserve(&budgets, 6).unwrap();
        let waiting = thread::spawn({
            let budgets = budgets.clone();
            move || reserve(&budgets, 4).unwrap().release()
        });
        {
            // It comes, finds no room, and goes.
            let (whom, estimate) = (whom(), estimate(9));
            let mut leaver = Reserve::new(&budgets, &whom, &estimate);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            if let Look::Done(hold) = leaver.look(&mut cx) {
                hold.unwrap().release();
            }
        }
        waiting.join().unwrap();
        held.release();
        end(&budgets, |spent| spent == 0);
    });
}
