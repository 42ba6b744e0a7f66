//! Runtimes that end, that are not there, and collectors that follow one another on a store.

use std::time::Duration;

use thrifty::batch::{BatchCollector, BatchError, BatchStore, InMemoryStore, Record};

use super::fake::FakeApi;
use super::{Echo, ask, paused, until};

#[test]
fn a_driver_whose_runtime_died_starts_again_where_it_stopped() {
    let api = FakeApi::default().hanging_creates(1);
    let collector = BatchCollector::builder(api.clone()).build();
    let first = paused();
    let handle = first.block_on(async {
        let handle = collector.enqueue(&ask(1)).await.unwrap();
        collector.flush().await.unwrap();
        until("a batch is made", || api.batches() > 0).await;
        handle
    });
    drop(first);
    assert_eq!(paused().block_on(handle).unwrap(), Echo { echo: 1 });
    assert_eq!(api.batches(), 1);
}

#[test]
fn a_handle_that_waits_elsewhere_goes_on_when_the_drivers_runtime_dies() {
    let collector = BatchCollector::builder(FakeApi::default()).build();
    let first = paused();
    let handle = first.block_on(async { collector.enqueue(&ask(1)).await.unwrap() });
    let (polled, seen) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        paused().block_on(async {
            let mut handle = handle;
            assert!(futures_util::poll!(&mut handle).is_pending());
            polled.send(()).unwrap();
            handle.await
        })
    });
    seen.recv_timeout(Duration::from_secs(60))
        .expect("the handle is polled");
    drop(first);
    assert_eq!(waiting.join().unwrap().unwrap(), Echo { echo: 1 });
}

#[test]
fn without_a_runtime_enqueue_says_so() {
    let collector = BatchCollector::builder(FakeApi::default()).build();
    let outcome = futures_util::FutureExt::now_or_never(std::future::IntoFuture::into_future(
        collector.enqueue(&ask(1)),
    ));
    assert!(matches!(outcome, Some(Err(BatchError::NoRuntime))));
}

#[test]
fn a_second_collector_goes_on_with_what_the_store_holds() {
    for hanging in [0, 1] {
        let (api, store) = (
            FakeApi::default().hanging_creates(hanging),
            InMemoryStore::default(),
        );
        let first = paused();
        let collector = BatchCollector::builder(api.clone())
            .with_store(store.clone())
            .build();
        let (sent, buffered) = first.block_on(async {
            let sent = collector.enqueue(&ask(1)).await.unwrap().id();
            collector.flush().await.unwrap();
            until("a batch is made", || api.batches() > 0).await;
            (sent, collector.enqueue(&ask(2)).key("k").await.unwrap().id())
        });
        drop((first, collector));
        paused().block_on(async {
            let collector = BatchCollector::builder(api.clone())
                .with_store(store.clone())
                .build();
            let again = collector.enqueue(&ask(2)).key("k").await.unwrap();
            assert_eq!(again.id(), buffered);
            let sent = collector.attach(sent).await.unwrap().unwrap();
            assert_eq!(sent.await.unwrap().body, r#"{"echo":1}"#);
            assert_eq!(again.await.unwrap(), Echo { echo: 2 });
            assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
        });
        assert_eq!(api.batches(), 2);
        // The answer to the one with a key stays until it is said to be used.
        let mut left = Vec::new();
        let mut keep = |record| left.push(record);
        let loaded = futures_util::FutureExt::now_or_never(store.load(&mut keep));
        loaded.unwrap().unwrap();
        assert!(
            matches!(&left[..], [Record::Enqueued(_), Record::Settled { id, .. }, Record::Released { .. }] if *id == buffered),
            "{left:?}"
        );
    }
}
