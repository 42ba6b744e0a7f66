//! Requests find their answers: each once, by handle or key, and to the books.

use std::time::Duration;

use futures_util::stream;
use serde_json::json;
use thrifty::batch::{BatchCollector, BatchError, BatchPolicy, Cancelled, InMemoryStore, InvalidRequest};
use thrifty::{Clock, Endpoint, ManualClock, Timestamp};

use super::fake::FakeApi;
use super::{Books, ask, paused, some};

#[tokio::test(start_paused = true)]
async fn a_thousand_lines_over_several_flushes_are_each_answered_and_booked_once() {
    let (api, books) = (FakeApi::default(), Books::default());
    let policy = BatchPolicy::default().with_max_requests(300.try_into().unwrap());
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_observer(books.clone())
        .build();
    let handles = some(&collector, 1_000).await;
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert_eq!(api.batches(), 4);
    assert_eq!((0..4).map(|batch| api.lines(batch).len()).sum::<usize>(), 1_000);
    let told = books.told();
    assert_eq!(told.len(), 1_000);
    assert!(
        told.iter()
            .all(|(_, ok, orphaned, superseded)| *ok && !orphaned && !superseded)
    );
    let progress = *collector.progress().borrow();
    assert_eq!((progress.pending(), progress.done), (0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn each_model_and_endpoint_has_a_file_of_its_own() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    for (endpoint, model) in [
        (Endpoint::ChatCompletions, "a"),
        (Endpoint::ChatCompletions, "b"),
        (Endpoint::Embeddings, "a"),
        (Endpoint::ChatCompletions, "a"),
    ] {
        let body = json!({"model": model, "input": "x"}).to_string();
        drop(collector.enqueue_raw(endpoint, body).await.unwrap());
    }
    assert_eq!(collector.flush().await.unwrap().len(), 4);
    assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
    assert_eq!(api.batches(), 3);
    let after = collector.enqueue(&ask(1)).await;
    assert!(matches!(after, Err(BatchError::ShutDown)));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_and_body_is_the_same_request_and_another_body_a_conflict() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    let first = collector.enqueue(&ask(1)).key("doc").await.unwrap();
    let second = collector.enqueue(&ask(1)).key("doc").await.unwrap();
    assert_eq!(first.id(), second.id());
    let conflict = collector.enqueue(&ask(2)).key("doc").await;
    assert!(matches!(conflict, Err(BatchError::Conflict { key }) if &*key == "doc"));
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(api.lines(0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_handle_cancels_nothing_unless_it_withdraws() {
    let (api, books) = (FakeApi::default(), Books::default());
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    let kept = collector.enqueue(&ask(1)).await.unwrap();
    let kept = (kept.id(), drop(kept)).0;
    let withdrawn = collector.enqueue(&ask(2)).await.unwrap().withdraw_on_drop();
    let withdrawn = (withdrawn.id(), drop(withdrawn)).0;
    let keyed = collector
        .enqueue(&ask(3))
        .key("k")
        .await
        .unwrap()
        .withdraw_on_drop();
    let keyed = (keyed.id(), drop(keyed)).0;
    assert_eq!(books.told(), [(withdrawn, false, true, false)]);
    assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
    assert_eq!(api.lines(0).len(), 2);
    let mut told = books.told().split_off(1);
    told.sort_unstable();
    assert_eq!(told, [(kept, true, true, false), (keyed, true, true, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_cancelled_too_late_is_booked_when_it_ran() {
    let (api, books) = (FakeApi::default(), Books::default());
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    let buffered = collector.enqueue(&ask(1)).await.unwrap();
    assert_eq!(
        collector.cancel(buffered.id()).await.unwrap(),
        Cancelled::Withdrawn
    );
    assert!(matches!(buffered.await, Err(BatchError::Cancelled)));
    let sent = collector.enqueue(&ask(2)).await.unwrap();
    collector.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(collector.cancel(sent.id()).await.unwrap(), Cancelled::TooLate);
    let id = sent.id();
    assert!(matches!(sent.await, Err(BatchError::Cancelled)));
    assert_eq!(collector.cancel(id).await.unwrap(), Cancelled::Unknown);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        books.told()[1..],
        [(id, false, false, false), (id, true, true, true)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_program_that_is_run_after_its_deadline_gets_the_answer_that_is_there() {
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_790_000_000_000));
    let (api, store) = (FakeApi::default(), InMemoryStore::default());
    let collector = || {
        let builder = BatchCollector::builder(api.clone()).with_store(store.clone());
        builder.with_clock(clock.clone()).build()
    };
    let deadline = clock.now().saturating_add(Duration::from_secs(5 * 3_600));
    let (first, request) = (collector(), ask(1));
    let program = |collector: &BatchCollector| collector.enqueue(&request).key("doc").deadline(deadline);
    let id = program(&first).await.unwrap().id();
    first.flush().await.unwrap();
    drop(first);
    clock.advance(Duration::from_secs(6 * 3_600));
    let second = collector();
    // Also if the answer has not come yet.
    let early = program(&second).await.unwrap();
    assert_eq!((early.id(), early.await.unwrap().echo), (id, 1));
    assert_eq!(program(&second).await.unwrap().await.unwrap().echo, 1);
    let many = second.enqueue_many(stream::iter([program(&second)])).await;
    assert_eq!(many.unwrap(), [id]);
    let new = second.enqueue(&ask(2)).key("new").deadline(deadline).await;
    assert!(matches!(
        new,
        Err(BatchError::Invalid(InvalidRequest::DeadlinePassed))
    ));
    assert_eq!(api.batches(), 1);
}

#[test]
fn a_collector_that_is_started_goes_on_by_itself() {
    let (api, store) = (FakeApi::default(), InMemoryStore::default());
    let builder = || BatchCollector::builder(api.clone()).with_store(store.clone());
    let id = paused().block_on(async { builder().build().enqueue(&ask(1)).await.unwrap().id() });
    paused().block_on(async {
        assert_eq!(
            builder().build().pending(),
            [],
            "it knows nothing before its first use"
        );
        let collector = builder().start().await.unwrap();
        assert_eq!(collector.pending(), [id]);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((collector.pending(), api.batches()), (vec![], 1));
    });
    paused().block_on(async {
        let collector = builder().build();
        assert!(!collector.acknowledge(id), "the store is not taken up");
        assert_eq!(
            collector.cancel(id).await.unwrap(),
            Cancelled::Unknown,
            "it is settled"
        );
        assert!(collector.acknowledge(id));
    });
}
