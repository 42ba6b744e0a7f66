//! Answers of the server that are lost or late, and a server that is out of reach.

use std::time::Duration;

use thrifty::ErrorKind;
use thrifty::batch::{BatchCollector, BatchError, BatchPolicy, InMemoryStore};

use super::fake::{Fail, FakeApi};
use super::{Echo, ask, paused, some};

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_create_makes_exactly_one_batch() {
    for hidden_lists in [0, 1, 2] {
        let api = FakeApi::default().losing_create_answers(1, hidden_lists);
        let collector = BatchCollector::builder(api.clone()).build();
        let handles = some(&collector, 3).await;
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.unwrap().echo, n as u64);
        }
        assert_eq!(api.batches(), 1, "shown after {hidden_lists} looks");
        let fenced = api.calls().contains(&"delete".to_owned());
        assert_eq!(fenced, hidden_lists == 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_never_made_is_fenced_before_another_one() {
    let api = FakeApi::default().dropping_creates(1);
    let collector = BatchCollector::builder(api.clone()).build();
    let handle = collector.enqueue(&ask(7)).await.unwrap();
    assert_eq!(handle.await.unwrap(), Echo { echo: 7 });
    assert_eq!(
        api.calls(),
        [
            "upload", "create", "list", "list", "delete", "list", "upload", "create"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_and_a_dead_one_is_an_error() {
    let api = FakeApi::default().refusing_uploads(3);
    let collector = BatchCollector::builder(api.clone()).build();
    assert!(collector.enqueue(&ask(1)).await.unwrap().await.is_ok());
    let api = FakeApi::default().refusing_uploads(usize::MAX);
    let collector = BatchCollector::builder(api).build();
    let begun = tokio::time::Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(matches!(error, BatchError::Api(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    // For as long as a batch can take, not for a few minutes.
    assert!(begun.elapsed() >= Duration::from_secs(25 * 3_600));
}

#[tokio::test(start_paused = true)]
async fn no_outage_makes_a_paid_batch_be_given_up() {
    for (call, times, fail) in [
        ("retrieve", 200, Fail::Status(401)),
        ("retrieve", 200, Fail::Status(503)),
        ("download", 200, Fail::Status(500)),
        ("download", 200, Fail::Status(403)),
        ("list", 200, Fail::Status(403)),
        ("delete", 20, Fail::Status(409)),
        ("retrieve", 3, Fail::Panic),
        ("download", 3, Fail::Panic),
    ] {
        let api = FakeApi::default().failing(call, times, fail);
        let api = match call {
            // The list is late, and the file that would be deleted is in use.
            "delete" => api.losing_create_answers(1, 6),
            "list" => api.losing_create_answers(1, 0),
            _ => api,
        };
        let collector = BatchCollector::builder(api.clone()).build();
        let answer = collector.enqueue(&ask(1)).await.unwrap().await;
        assert!(answer.is_ok(), "{call} {answer:?}");
        assert_eq!(api.batches(), 1, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_gone_is_unreported_after_a_few_looks() {
    let api = FakeApi::default().failing("retrieve", usize::MAX, Fail::Status(404));
    let collector = BatchCollector::builder(api).build();
    let begun = tokio::time::Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(matches!(error, BatchError::Unreported { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn waits_of_forever_are_waited_and_not_a_panic() {
    let policy = BatchPolicy::default()
        .with_max_delay(Duration::MAX)
        .with_report_wait(Duration::MAX)
        .with_patience(Duration::MAX);
    let collector = BatchCollector::builder(FakeApi::default())
        .with_policy(policy)
        .build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(collector.progress().borrow().buffered, 1);
    collector.flush().await.unwrap();
    assert!(handle.await.is_ok());
    assert!(collector.shutdown(Duration::MAX).await.unwrap().is_empty());
}

#[test]
fn a_batch_that_other_credentials_do_not_see_is_not_given_up() {
    let (api, store) = (FakeApi::default(), InMemoryStore::default());
    let collector = || {
        BatchCollector::builder(api.clone())
            .with_store(store.clone())
            .build()
    };
    let id = paused().block_on(async {
        let collector = collector();
        let id = collector.enqueue(&ask(1)).await.unwrap().id();
        collector.flush().await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(api.batches(), 1);
        id
    });
    // Another project's key says that there is no such batch.
    let _ = api.clone().failing("retrieve", 200, Fail::Status(404));
    paused().block_on(async {
        let collector = collector();
        let handle = collector.attach(id).await.unwrap().unwrap();
        assert_eq!(handle.await.unwrap().body, r#"{"echo":1}"#);
    });
    assert_eq!(api.batches(), 1);
}
