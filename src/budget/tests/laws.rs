//! What holds whatever happens.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

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
