//! A store that is full, slow or unreadable for a while: nothing is lost, and nothing is sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thrifty::batch::{BatchCollector, BatchCollectorBuilder, BatchError, BatchObserver, Cancelled, Settled};
use thrifty::{Clock, ErrorKind, SystemClock};

use super::fake::{End, Fail, FakeApi, good};
use super::faster_lane::Direct;
use super::faulty::Faulty;
use super::{Books, Echo, ask, paused, until};

const MINUTE: Duration = Duration::from_secs(60);

fn builder(api: &FakeApi, store: &Faulty) -> BatchCollectorBuilder {
    BatchCollector::builder(api.clone()).with_store(store.clone())
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_not_made_twice_because_the_store_could_not_say_that_it_was_made() {
    // The server lists it only after a while.
    let (api, store) = (FakeApi::default().losing_create_answers(0, 10), Faulty::default());
    let collector = builder(&api, &store).build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    store.refuse("Submitted", 5);
    assert_eq!(handle.await.unwrap(), Echo { echo: 1 });
    assert_eq!((api.batches(), api.deleted().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_full_store_did_not_take_is_stored_once_there_is_room() {
    let (api, store) = (FakeApi::default(), Faulty::default());
    let collector = builder(&api, &store).build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    let id = handle.id();
    store.refuse("", 30);
    assert!(collector.cancel(id).await.is_err());
    assert!(matches!(handle.await, Err(BatchError::Cancelled)));
    tokio::time::sleep(MINUTE).await;
    drop(collector);
    let next = builder(&api, &store).start().await.unwrap();
    assert_eq!(next.cancel(id).await.unwrap(), Cancelled::Unknown);
    assert_eq!(next.recovery_report().await.unwrap().pending, 0);
}

#[test]
fn a_batch_that_cannot_be_given_up_as_the_store_panics_is_found_after_a_restart_and_not_made_again() {
    // Its driver tries ten times.
    let api = FakeApi::default()
        .losing_create_answers(1, 0)
        .failing("list", 10, Fail::Panic);
    let store = Faulty::default();
    let id = paused().block_on(async {
        let collector = builder(&api, &store).with_observer(Books::default()).build();
        let id = collector.enqueue(&ask(1)).await.unwrap().id();
        until("its batch is made", || api.batches() == 1).await;
        store.panic_at_reads(usize::MAX);
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(collector.pending(), [id]);
        id
    });
    store.panic_at_reads(0);
    paused().block_on(async {
        let collector = builder(&api, &store).build();
        let handle = collector.attach(id).await.unwrap().unwrap();
        assert!(handle.await.unwrap().is_success());
    });
    assert_eq!(api.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_durable_or_says_that_it_is_not() {
    let (api, store) = (FakeApi::default(), Faulty::default());
    let collector = builder(&api, &store).build();
    let handle = collector.enqueue(&ask(1)).key("k").await.unwrap();
    let id = handle.id();
    handle.await.unwrap();
    tokio::time::sleep(MINUTE).await;
    store.refuse("Acknowledged", 1_000_000);
    assert!(collector.acknowledge(id));
    let error = collector.shutdown(MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    store.refuse("", 0);
    assert_eq!(collector.shutdown(MINUTE).await.unwrap(), []);
    drop(collector);
    let report = builder(&api, &store).build().recovery_report().await.unwrap();
    assert_eq!(report.unacknowledged, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_for_a_moment_is_not_lost() {
    let (api, store) = (FakeApi::default(), Faulty::default());
    let collector = builder(&api, &store).build();
    let id = collector.enqueue(&ask(1)).await.unwrap().id();
    let keyed = collector.enqueue(&ask(2)).key("k").await.unwrap().id();
    assert_eq!(collector.flush().await.unwrap().len(), 2);
    tokio::time::sleep(MINUTE).await;
    store.hide(4);
    assert!(matches!(collector.attach(id).await, Err(BatchError::Store(_))));
    assert!(matches!(collector.attach(keyed).await, Err(BatchError::Store(_))));
    assert!(collector.enqueue(&ask(2)).key("k").await.is_err());
    let mut outcomes = collector.outcomes("indexer");
    assert!(matches!(outcomes.next().await, Err(BatchError::Store(_))));
    let mut delivered = Vec::new();
    for _ in 0..2 {
        let delivery = outcomes.next().await.unwrap().unwrap();
        assert!(delivery.outcome().is_ok());
        delivered.push(delivery.id());
        delivery.ack().await.unwrap();
    }
    delivered.sort_unstable();
    assert_eq!(delivered, [id, keyed]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_read_for_a_moment_takes_the_faster_lane_a_little_later() {
    let (api, store) = (FakeApi::default(), Faulty::default());
    let collector = builder(&api, &store)
        .with_policy(thrifty::batch::BatchPolicy::default().with_max_delay(5 * 60 * MINUTE))
        .with_faster_lane(Direct::default())
        .build();
    let at = SystemClock.now().saturating_add(60 * MINUTE);
    let handle = collector.enqueue(&ask(1)).deadline(at).await.unwrap();
    store.hide(3);
    let begun = tokio::time::Instant::now();
    assert_eq!(handle.await.unwrap(), Echo { echo: 99 });
    assert!(begun.elapsed() < 51 * MINUTE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_end_before_what_a_faster_lane_answered_is_in_the_books() {
    let (api, store, books) = (FakeApi::default(), Faulty::default(), Books::default());
    let collector = builder(&api, &store)
        .with_faster_lane(Direct::default())
        .with_observer(books.clone())
        .build();
    let at = SystemClock.now().saturating_add(Duration::from_secs(601));
    let handle = collector.enqueue(&ask(1)).deadline(at).await.unwrap();
    store.slow_down(Duration::from_secs(5));
    assert!(collector.shutdown(60 * MINUTE).await.unwrap().is_empty());
    assert_eq!(books.told().len(), 1);
    assert!(handle.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_enqueue_is_dropped_goes_its_way_unless_it_withdraws() {
    for withdraws in [false, true] {
        let (api, store) = (FakeApi::default(), Faulty::default());
        let collector = builder(&api, &store).start().await.unwrap();
        store.slow_down(MINUTE);
        let request = ask(1);
        let enqueue = collector.enqueue(&request);
        let enqueue = if withdraws {
            enqueue.withdraw_on_drop()
        } else {
            enqueue
        };
        let second = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(second, async { drop(enqueue.await) })
                .await
                .is_err()
        );
        assert_eq!(collector.pending().len(), usize::from(!withdraws));
    }
}

#[tokio::test(start_paused = true)]
async fn large_answers_are_stored_a_few_at_a_time() {
    let large = "x".repeat(100_000);
    let api = FakeApi::default().with_plan(move |_, lines| End {
        status: "completed",
        output: lines
            .iter()
            .map(|line| good(line).replace("\"echo\":", &format!("\"text\":\"{large}\",\"echo\":")))
            .collect(),
        ..End::default()
    });
    let store = Faulty::default();
    let collector = builder(&api, &store).build();
    for (n, handle) in super::some(&collector, 64).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    let most = store.most_at_once();
    assert!((1_000_000..3_000_000).contains(&most), "{most} bytes");
}

/// Counts the requests whose body it was told.
#[derive(Debug, Clone, Default)]
struct Bodies(Arc<AtomicUsize>);

impl BatchObserver for Bodies {
    fn settled(&self, settled: &Settled<'_>) {
        let body: serde_json::Value = serde_json::from_slice(&settled.item.body).unwrap();
        assert_eq!(body["model"], "gpt-4o-mini");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_bodies_of_many_lines_are_read_for_the_books_by_a_few_calls() {
    for unreadable in [false, true] {
        let (api, store, told) = (FakeApi::default(), Faulty::default(), Bodies::default());
        paused().block_on(async {
            drop(super::some(&builder(&api, &store).build(), 1_000).await);
        });
        paused().block_on(async {
            let collector = builder(&api, &store).with_observer(told.clone()).build();
            collector.flush().await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            let before = store.reads();
            // Together they cannot be read; each by itself can.
            store.hide(usize::from(unreadable));
            assert!(collector.shutdown(MINUTE).await.unwrap().is_empty());
            let reads = store.reads() - before;
            assert!(reads < if unreadable { 300 } else { 10 }, "{reads} reads");
        });
        assert_eq!(told.0.load(Ordering::Relaxed), 1_000);
    }
}
