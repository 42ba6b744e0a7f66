//! What happens as deadlines come near.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use thrifty::batch::{BatchCollector, BatchError, BatchItem, BatchPolicy, FasterLane, LineAnswer};
use thrifty::{Clock, Endpoint, Lane, SystemClock, Timestamp};
use tokio::time::Instant;

use super::fake::FakeApi;
use super::{ask, some};

const HOUR: Duration = Duration::from_secs(3_600);

/// Answers after some seconds, and notes when it was asked.
#[derive(Debug, Clone, Default)]
struct Slow(Arc<Mutex<Vec<Instant>>>);

#[async_trait]
impl FasterLane for Slow {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.0.lock().unwrap().push(Instant::now());
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok(LineAnswer::new(200, r#"{"echo":99}"#, Lane::Standard))
    }
}

fn collector(api: &FakeApi, lane: &Slow, policy: BatchPolicy) -> BatchCollector {
    BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_faster_lane(lane.clone())
        .build()
}

fn within(time: Duration) -> Timestamp {
    SystemClock.now().saturating_add(time)
}

#[tokio::test(start_paused = true)]
async fn of_many_with_one_deadline_the_first_leave_so_early_that_the_last_are_in_time() {
    let (api, lane) = (FakeApi::default().with_runs(|_| 24 * HOUR), Slow::default());
    let collector = collector(&api, &lane, BatchPolicy::default());
    let begun = Instant::now();
    let mut handles = Vec::new();
    for n in 0..6_400 {
        let enqueued = collector.enqueue(&ask(n)).deadline(within(5 * HOUR));
        handles.push(enqueued.await.unwrap());
    }
    for handle in handles {
        assert_eq!(handle.await.unwrap().echo, 99);
    }
    let took = begun.elapsed();
    assert!(took < 5 * HOUR, "{took:?}");
    // A hundred rounds of 30 s, and the slack. The first few go by a guess.
    let most = lane.0.lock().unwrap()[200].duration_since(begun);
    assert!(most > 3 * HOUR + HOUR / 2, "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_for_those_who_take_outcomes_as_for_those_who_wait() {
    let (api, lane) = (FakeApi::default().with_runs(|_| 24 * HOUR), Slow::default());
    let collector = collector(&api, &lane, BatchPolicy::default());
    let begun = Instant::now();
    drop(
        collector
            .enqueue(&ask(1))
            .deadline(within(5 * HOUR))
            .await
            .unwrap(),
    );
    let mut outcomes = collector.outcomes("indexer");
    let delivery = outcomes.next().await.unwrap().unwrap();
    assert!(delivery.outcome().is_ok());
    delivery.ack().await.unwrap();
    assert!(begun.elapsed() < 5 * HOUR, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_left_a_file_while_it_waited_for_room_does_not_run_in_it() {
    // Room for one file of a thousand lines at a time.
    let api = FakeApi::default()
        .with_room_for(200_000, true)
        .with_runs(|_| 6 * HOUR);
    let lane = Slow::default();
    let policy = BatchPolicy::default().with_max_requests(1_000.try_into().unwrap());
    let collector = collector(&api, &lane, policy);
    let first = some(&collector, 1_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut second = Vec::new();
    for n in 0..1_000 {
        let enqueue = collector.enqueue(&ask(n));
        let enqueue = if n == 7 {
            enqueue.deadline(within(3 * HOUR))
        } else {
            enqueue
        };
        second.push(enqueue.await.unwrap());
    }
    for (n, handle) in second.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, if n == 7 { 99 } else { n as u64 });
    }
    for handle in first {
        assert!(handle.await.is_ok());
    }
    let ran: usize = api.made().len();
    assert_eq!(ran, 2);
    assert_eq!(api.lines(api.batches() - 1).len(), 999);
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_batches_take_long_is_not_promised_for_short_waits() {
    let api = FakeApi::default().with_pages_of(100).with_runs(|_| 5 * HOUR);
    let policy = BatchPolicy::default().with_max_requests(1.try_into().unwrap());
    let collector = BatchCollector::builder(api.clone()).with_policy(policy).build();
    let window = |model: &str| collector.min_window(&Endpoint::ChatCompletions, &model.into());
    assert_eq!(window("gpt-4o-mini"), 2 * HOUR);
    for handle in some(&collector, 12).await {
        assert!(handle.await.is_ok());
    }
    assert!(window("gpt-4o-mini") > 5 * HOUR);
    assert_eq!(window("gpt-4o"), 2 * HOUR);
}
