//! Requests that leave their batch for a faster lane, and what the batch says of them later.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use thrifty::batch::{
    BatchCollector, BatchError, BatchHandle, BatchItem, BatchPolicy, FasterLane, InvalidRequest, LineAnswer,
};
use thrifty::{Clock, Lane, ManualClock, RequestId, Timestamp};

use super::fake::{Fail, FakeApi};
use super::{Books, Echo, ask};

#[derive(Debug, Clone, Default)]
pub(crate) struct Direct {
    sent: Arc<Mutex<Vec<RequestId>>>,
    fails: bool,
}

#[async_trait]
impl FasterLane for Direct {
    async fn send(&self, item: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.sent.lock().unwrap().push(item.id);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let status = if self.fails { 503 } else { 200 };
        Ok(LineAnswer::new(status, r#"{"echo":99}"#, Lane::Standard))
    }
}

fn in_an_hour(clock: &ManualClock) -> Timestamp {
    clock.now().saturating_add(Duration::from_secs(3_600))
}

async fn due_in_an_hour(collector: &BatchCollector, clock: &ManualClock) -> BatchHandle<Echo> {
    let enqueue = collector.enqueue(&ask(1));
    enqueue.deadline(in_an_hour(clock)).await.unwrap()
}

/// A collector whose batches hang until `batch_done`, and requests that are due in an hour.
fn hurried(fails: bool) -> (FakeApi, Books, Direct, ManualClock, BatchCollector) {
    let (api, books) = (FakeApi::default(), Books::default());
    let direct = Direct {
        fails,
        ..Direct::default()
    };
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_790_000_000_000));
    // Buffered so long that the deadline comes first.
    let policy = BatchPolicy::default().with_max_delay(Duration::from_secs(2 * 3_600));
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_observer(books.clone())
        .with_faster_lane(direct.clone())
        .with_clock(clock.clone())
        .build();
    (api, books, direct, clock, collector)
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_requests_are_on_the_faster_lane_at_once() {
    let (_, _, direct, clock, collector) = hurried(false);
    let mut handles = Vec::new();
    for n in 0..200 {
        handles.push(
            collector
                .enqueue(&ask(n))
                .deadline(in_an_hour(&clock))
                .await
                .unwrap(),
        );
    }
    tokio::time::sleep(Duration::from_secs(3_600 - 600 + 1)).await;
    assert_eq!(direct.sent.lock().unwrap().len(), 64);
    for handle in handles {
        assert!(handle.await.is_ok());
    }
    assert_eq!(direct.sent.lock().unwrap().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_buffered_line_takes_the_faster_lane_when_its_deadline_is_near() {
    let (api, books, direct, clock, collector) = hurried(false);
    let begun = tokio::time::Instant::now();
    let handle = due_in_an_hour(&collector, &clock).await;
    let id = handle.id();
    assert_eq!(handle.await.unwrap(), Echo { echo: 99 });
    assert_eq!(begun.elapsed().as_secs(), 3_600 - 600 + 2);
    assert_eq!(
        (api.batches(), direct.sent.lock().unwrap().clone()),
        (0, vec![id])
    );
    assert_eq!(books.told(), [(id, true, false, false)]);
    let past = collector.enqueue(&ask(1)).deadline(clock.now()).await;
    assert!(matches!(
        past,
        Err(BatchError::Invalid(InvalidRequest::DeadlinePassed))
    ));
}

#[tokio::test(start_paused = true)]
async fn of_batch_and_faster_lane_the_first_answer_wins_and_both_are_booked() {
    let (_, books, _, clock, collector) = hurried(false);
    let handle = due_in_an_hour(&collector, &clock).await;
    tokio::time::sleep(Duration::from_secs(3_600 - 605)).await;
    collector.flush().await.unwrap();
    let id = handle.id();
    assert_eq!(handle.await.unwrap(), Echo { echo: 99 });
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(books.told(), [(id, true, false, false), (id, true, true, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_faster_lane_that_fails_leaves_the_batch_to_answer() {
    let (api, books, direct, clock, collector) = hurried(true);
    let handle = due_in_an_hour(&collector, &clock).await;
    tokio::time::sleep(Duration::from_secs(3_600 - 605)).await;
    collector.flush().await.unwrap();
    assert_eq!(handle.await.unwrap(), Echo { echo: 1 });
    assert_eq!(
        (
            api.batches(),
            direct.sent.lock().unwrap().len(),
            books.told().len()
        ),
        // The batch's answer, and the call that may have been billed for nothing.
        (1, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waited_for_at_its_deadline_is_rescued_once_somebody_does() {
    let (_, _, direct, clock, collector) = hurried(false);
    let handle = due_in_an_hour(&collector, &clock).await;
    let id = handle.id();
    drop(handle);
    let nearly = Duration::from_secs(3_600 - 60);
    tokio::time::sleep(nearly).await;
    clock.advance(nearly);
    assert!(direct.sent.lock().unwrap().is_empty());
    let handle = collector.attach(id).await.unwrap().unwrap();
    let begun = tokio::time::Instant::now();
    assert!(handle.await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(direct.sent.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_overtaken_and_never_reports_is_in_the_books() {
    let (api, books, _, clock, collector) = hurried(false);
    let _ = api.clone().failing("retrieve", usize::MAX, Fail::Status(404));
    let handle = due_in_an_hour(&collector, &clock).await;
    let id = handle.id();
    tokio::time::sleep(Duration::from_secs(3_600 - 601)).await;
    collector.flush().await.unwrap();
    assert!(handle.await.is_ok());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(books.told(), [(id, true, false, false), (id, false, true, true)]);
}
