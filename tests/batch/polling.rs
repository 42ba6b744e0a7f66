//! How batches are watched: together, seldom, and not for ever.

use std::time::Duration;

use thrifty::batch::{BatchCollector, BatchError, BatchPolicy, InMemoryStore};
use thrifty::{Clock, ManualClock, Timestamp};
use tokio::time::Instant;

use super::fake::{End, Fail, FakeApi, good};
use super::{ask, some};

const HOUR: Duration = Duration::from_secs(3_600);

fn one_line_a_file() -> BatchPolicy {
    BatchPolicy::default().with_max_requests(1.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn many_batches_are_looked_at_by_one_call() {
    let api = FakeApi::default().with_pages_of(100).with_runs(|_| 24 * HOUR);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(one_line_a_file())
        .build();
    for handle in some(&collector, 80).await {
        assert!(handle.await.is_ok());
    }
    let looks = api.looks();
    assert_eq!(api.batches(), 80);
    // A batch alone takes up to 400; they were not made at quite the same moment, and their looks are jittered.
    assert!(looks.len() <= 420, "{} looks", looks.len());
    // The last one is looked at alone, and now and then one whose list stays the same.
    let alone = looks.iter().filter(|(call, _)| *call == "retrieve").count();
    assert!(alone <= 15, "{alone} of {}", looks.len());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_each_batch_is_noticed_in_time_whatever_the_others_do() {
    let runs = [1, 30, 300, 3_000, 40_000, 80_000].map(Duration::from_secs);
    let api = FakeApi::default()
        .with_pages_of(100)
        .with_runs(move |batch| runs[batch]);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(one_line_a_file())
        .build();
    let begun = Instant::now();
    for (handle, run) in some(&collector, 6).await.into_iter().zip(runs) {
        assert!(handle.await.is_ok());
        let late = begun.elapsed().saturating_sub(run);
        assert!(
            late <= (run / 50).max(Duration::from_secs(5)),
            "{late:?} after {run:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_list_lacks_is_looked_at_alone() {
    // One batch a page, the list refused, the list broken for a while.
    for api in [
        FakeApi::default(),
        FakeApi::default().failing("list", usize::MAX, Fail::Status(403)),
        FakeApi::default().failing("list", 20, Fail::Status(503)),
    ] {
        let collector = BatchCollector::builder(api.clone())
            .with_policy(one_line_a_file())
            .build();
        for (n, handle) in some(&collector, 5).await.into_iter().enumerate() {
            assert_eq!(handle.await.unwrap().echo, n as u64);
        }
        assert_eq!(api.batches(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn ours_are_found_among_many_of_others_without_reading_all_of_them() {
    let api = FakeApi::default()
        .with_pages_of(100)
        .with_strangers(5_000)
        .with_runs(|_| 24 * HOUR);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(one_line_a_file())
        .build();
    for handle in some(&collector, 10).await {
        assert!(handle.await.is_ok());
    }
    // Twice what each of them takes alone, at the most.
    let looks = api.looks().len();
    assert!(looks <= 10 * 2 * 400, "{looks} looks");
}

#[tokio::test(start_paused = true)]
async fn a_notice_has_a_batch_looked_at_at_once() {
    let nearly = 5 * HOUR;
    let run = nearly + Duration::from_secs(1);
    let api = FakeApi::default().with_runs(move |_| run);
    let collector = BatchCollector::builder(api.clone()).build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    assert!(!collector.notify("batch-0").await.unwrap());
    collector.flush().await.unwrap();
    let begun = Instant::now();
    tokio::time::sleep(nearly).await;
    assert!(!collector.notify("batch-of-another").await.unwrap());
    // A notice may come a little before what it says can be seen.
    assert!(collector.notify("batch-0").await.unwrap());
    assert!(handle.await.is_ok());
    let late = begun.elapsed().saturating_sub(run);
    assert!(late < Duration::from_secs(4), "{late:?}");
    assert!(!collector.notify("batch-0").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stands_still_for_days_is_cancelled_and_its_lines_ride_another() {
    let api = FakeApi::default().with_runs(|batch| if batch == 0 { 1_000 * HOUR } else { HOUR });
    let collector = BatchCollector::builder(api.clone()).build();
    let begun = Instant::now();
    assert!(collector.enqueue(&ask(1)).await.unwrap().await.is_ok());
    assert_eq!((api.cancels(), api.batches()), (1, 2));
    let took = begun.elapsed();
    assert!(49 * HOUR < took && took < 53 * HOUR, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_ended_is_reported_and_not_watched_for_ever() {
    let api = FakeApi::default().with_runs(|_| 1_000 * HOUR).ignoring_cancels();
    let collector = BatchCollector::builder(api.clone()).build();
    let begun = Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(
        matches!(&error, BatchError::Unreported { batch_id: Some(id) } if &**id == "batch-0"),
        "{error:?}"
    );
    assert!(begun.elapsed() < 53 * HOUR, "{:?}", begun.elapsed());
    assert_eq!((api.cancels(), api.batches()), (1, 1));
    tokio::time::sleep(HOUR).await;
    let looks = api.looks().len();
    tokio::time::sleep(100 * HOUR).await;
    assert_eq!(api.looks().len(), looks);
}

#[test]
fn a_batch_that_an_earlier_process_made_is_as_old_as_the_server_says() {
    let paused = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_790_000_000_000));
    let api = FakeApi::default().with_runs(|_| 24 * HOUR).made_at(clock.now());
    let store = InMemoryStore::default();
    let collector = || {
        let builder = BatchCollector::builder(api.clone()).with_store(store.clone());
        builder.with_clock(clock.clone()).build()
    };
    paused().block_on(async {
        drop(collector().enqueue(&ask(1)).await.unwrap());
        tokio::time::sleep(Duration::from_secs(65)).await;
    });
    clock.advance(20 * HOUR);
    paused().block_on(async {
        let collector = collector();
        collector.flush().await.unwrap();
        let before = api.looks().len();
        tokio::time::sleep(2 * HOUR).await;
        // Young it would be looked at more than 200 times.
        let looks = api.looks().len() - before;
        assert!((4..30).contains(&looks), "{looks} looks");
    });
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_known_is_waited_on() {
    let api = FakeApi::default().with_plan(|_, lines| End {
        status: "SUCCEEDED_SOON",
        output: lines.iter().map(good).collect(),
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    tokio::time::sleep(10 * HOUR).await;
    assert_eq!(collector.progress().borrow().in_flight, 1);
    drop(handle);
}
