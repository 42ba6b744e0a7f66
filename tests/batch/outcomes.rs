//! Outcomes that stay until somebody says that they have been used, in this process or a later one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use serde_json::json;
use tempfile::TempDir;
use thrifty::Endpoint;
use thrifty::batch::{
    BatchCollector, BatchError, BatchStore, Cancelled, FileStore, InMemoryStore, StoreError,
};

use super::fake::{FakeApi, completed};
use super::{Books, Echo, ask, paused};

fn on(api: &FakeApi, store: impl BatchStore) -> BatchCollector {
    BatchCollector::builder(api.clone()).with_store(store).build()
}

fn spool(dir: &TempDir) -> FileStore {
    FileStore::open(dir.path().join("spool")).unwrap()
}

fn body(n: u64) -> String {
    json!({"model": "gpt-4o-mini", "n": n}).to_string()
}

fn files(dir: &TempDir) -> usize {
    let count = |below: &str| {
        std::fs::read_dir(dir.path().join("spool").join(below))
            .unwrap()
            .count()
    };
    count("lines") + count("answers")
}

#[test]
fn an_unchanged_program_gets_the_same_answers_again_until_it_says_that_they_are_used() {
    let (api, dir) = (FakeApi::default(), TempDir::new().unwrap());
    let mut ids = BTreeSet::new();
    for run in 0..3 {
        paused().block_on(async {
            let collector = on(&api, spool(&dir));
            for n in 0..3 {
                let handle = collector.enqueue(&ask(n)).key(format!("doc-{n}")).await.unwrap();
                ids.insert(handle.id());
                let id = handle.id();
                assert_eq!(handle.await.unwrap(), Echo { echo: n });
                if run == 2 {
                    assert!(collector.acknowledge(id));
                    assert!(!collector.acknowledge(id), "once is enough");
                }
            }
            let conflict = collector.enqueue(&ask(7)).key("doc-1").await;
            assert_eq!(run < 2, matches!(conflict, Err(BatchError::Conflict { .. })));
        });
        assert_eq!(ids.len(), 3, "the same requests");
        assert_eq!(api.batches(), 3, "no batch is made for what is answered");
    }
}

#[test]
fn nothing_is_left_of_what_was_answered_and_used() {
    let (api, dir) = (FakeApi::default(), TempDir::new().unwrap());
    paused().block_on(async {
        let collector = on(&api, spool(&dir));
        for n in 0..5 {
            // One that has given out its outcome needs no more.
            assert!(collector.enqueue(&ask(n)).await.unwrap().await.is_ok());
        }
        let cancelled = collector.enqueue(&ask(9)).key("never").await.unwrap();
        assert_eq!(
            collector.cancel(cancelled.id()).await.unwrap(),
            Cancelled::Withdrawn
        );
    });
    paused().block_on(async {
        let collector = on(&api, spool(&dir));
        let report = collector.recovery_report().await.unwrap();
        assert_eq!((report.pending, report.unacknowledged), (0, 0));
        assert_eq!(files(&dir), 0);
        // Its key is free.
        assert!(collector.enqueue(&ask(10)).key("never").await.is_ok());
    });
}

#[test]
fn outcomes_of_an_earlier_process_are_delivered_until_they_are_acknowledged() {
    let (api, dir) = (FakeApi::default(), TempDir::new().unwrap());
    let enqueued: BTreeSet<_> = paused().block_on(async {
        let collector = on(&api, spool(&dir));
        let requests = (0..20).map(|n| collector.enqueue_raw(Endpoint::ChatCompletions, body(n)));
        let ids = collector.enqueue_many(stream::iter(requests)).await.unwrap();
        assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
        ids.into_iter().collect()
    });
    assert_eq!(enqueued.len(), 20);
    let mut left = enqueued.clone();
    for _ in 0..2 {
        paused().block_on(async {
            let collector = on(&api, spool(&dir));
            let mut outcomes = collector.outcomes("indexer");
            for n in 0..10 {
                let delivery = outcomes.next().await.unwrap().unwrap();
                assert!(delivery.outcome().as_ref().unwrap().is_success());
                if n % 2 == 0 {
                    assert!(
                        left.remove(&delivery.id()),
                        "an acknowledged outcome does not come again"
                    );
                    delivery.ack().await.unwrap();
                }
            }
        });
    }
    assert_eq!(left.len(), 10);
    paused().block_on(async {
        let collector = on(&api, spool(&dir));
        let mut outcomes = collector.outcomes("indexer");
        assert_eq!(collector.shutdown(Duration::from_secs(60)).await.unwrap(), []);
        while let Some(delivery) = outcomes.next().await.unwrap() {
            assert!(left.remove(&delivery.id()));
            delivery.ack().await.unwrap();
        }
    });
    assert_eq!((left.len(), api.batches()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_leased_to_one_at_a_time() {
    let collector = on(&FakeApi::default(), InMemoryStore::default());
    let mut first = collector.outcomes("one");
    let mut second = collector.outcomes("two").with_lease(Duration::from_secs(30));
    drop(collector.enqueue(&ask(1)).await.unwrap());
    let delivery = first.next().await.unwrap().unwrap();
    let begun = tokio::time::Instant::now();
    let nothing = tokio::time::timeout(Duration::from_secs(60), second.next()).await;
    assert!(nothing.is_err(), "it is the first one's");
    let id = delivery.id();
    drop(delivery);
    let again = second.next().await.unwrap().unwrap();
    assert_eq!(again.id(), id);
    assert!(begun.elapsed() < Duration::from_secs(61));
    // A lease ends by itself, and when its holder asks anew.
    assert_eq!(first.next().await.unwrap().unwrap().id(), id);
    assert!(begun.elapsed() >= Duration::from_secs(89));
    let held = collector.outcomes("two").next().await.unwrap().unwrap();
    let taken_over = collector.outcomes("two").next().await.unwrap().unwrap();
    assert_eq!((held.id(), taken_over.id()), (id, id));
    taken_over.ack().await.unwrap();
    drop((held, again));
    assert_eq!(collector.shutdown(Duration::from_secs(60)).await.unwrap(), []);
    assert!(first.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_outcome_learns_of_a_shutdown_when_nothing_is_pending() {
    let collector = on(&FakeApi::default(), InMemoryStore::default());
    let mut outcomes = collector.outcomes("indexer");
    let waiting = tokio::spawn(async move { outcomes.next().await.unwrap().is_none() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    assert_eq!(collector.shutdown(Duration::from_secs(60)).await.unwrap(), []);
    let learned = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(learned.expect("it does not wait for ever").unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_request_gets_its_outcome_and_nobody_else() {
    let collector = on(&FakeApi::default(), InMemoryStore::default());
    let mut outcomes = collector.outcomes("rest");
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    let keyed = collector.enqueue(&ask(2)).key("k").await.unwrap();
    let (id, ours) = (keyed.id(), handle.id());
    assert!(handle.await.is_ok() && keyed.await.is_ok());
    let delivery = outcomes.next().await.unwrap().unwrap();
    assert_eq!(delivery.id(), id, "one with a key is delivered all the same");
    delivery.ack().await.unwrap();
    assert!(collector.attach(ours).await.unwrap().is_none());
    assert!(collector.attach(id).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn of_many_requests_those_before_a_wrong_one_are_taken() {
    let collector = on(&FakeApi::default(), InMemoryStore::default());
    let bodies = [body(1), body(2), "{}".to_owned(), body(4)];
    let requests = bodies.map(|body| collector.enqueue_raw(Endpoint::ChatCompletions, body));
    let error = collector.enqueue_many(stream::iter(requests)).await.unwrap_err();
    assert!(matches!(error, BatchError::Invalid(_)));
    assert_eq!(collector.pending().len(), 2);
    let keyed = [1, 2, 1].map(|n| {
        collector
            .enqueue_raw(Endpoint::ChatCompletions, body(n))
            .key(format!("{n}"))
    });
    let ids = collector.enqueue_many(stream::iter(keyed)).await.unwrap();
    assert_eq!(
        (ids[0], collector.pending().len()),
        (ids[2], 4),
        "the same key is the same request"
    );
    let other = [1, 9].map(|n| collector.enqueue_raw(Endpoint::ChatCompletions, body(n)).key("1"));
    let conflict = collector.enqueue_many(stream::iter(other)).await;
    assert!(matches!(conflict, Err(BatchError::Conflict { .. })));
}

#[test]
fn a_restart_tells_the_books_of_no_line_twice() {
    let (dir, books) = (TempDir::new().unwrap(), Books::default());
    let api = FakeApi::default().with_plan(|_, lines| completed(lines));
    for run in 0..3 {
        paused().block_on(async {
            let collector = BatchCollector::builder(api.clone())
                .with_store(spool(&dir))
                .with_observer(books.clone())
                .build();
            if run == 0 {
                let requests = (0..40).map(|n| collector.enqueue_raw(Endpoint::ChatCompletions, body(n)));
                collector.enqueue_many(stream::iter(requests)).await.unwrap();
                return;
            }
            assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
        });
    }
    let told = books.told();
    let ids: BTreeSet<_> = told.iter().map(|(id, ..)| *id).collect();
    assert_eq!((told.len(), ids.len()), (40, 40));
    assert!(
        told.iter()
            .all(|(_, ok, orphaned, superseded)| *ok && *orphaned && !superseded)
    );
}

#[test]
fn a_line_that_is_damaged_on_the_disk_is_reported_and_the_rest_is_sent() {
    let (api, dir) = (FakeApi::default(), TempDir::new().unwrap());
    let lines = |dir: &TempDir| {
        let mut files = std::fs::read_dir(dir.path().join("spool").join("lines")).unwrap();
        files.next().unwrap().unwrap().path()
    };
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let ids = paused().block_on(async {
        let collector = on(&api, spool(&dir));
        let requests = (0..4).map(|n| collector.enqueue_raw(Endpoint::ChatCompletions, body(n)));
        let ids = collector.enqueue_many(stream::iter(requests)).await.unwrap();
        collector.checkpoint().await.unwrap();
        ids
    });
    flip(&lines(&dir), 20);
    paused().block_on(async {
        let store = FileStore::builder().with_full_check();
        let collector = on(&api, store.open(dir.path().join("spool")).unwrap());
        let report = collector.recovery_report().await.unwrap();
        assert_eq!(report.damaged_lines, [ids[0]]);
        assert!(collector.attach(ids[0]).await.unwrap().is_none());
        // Another one goes bad while the spool is open.
        let size = std::fs::metadata(lines(&dir)).unwrap().len();
        flip(&lines(&dir), usize::try_from(size).unwrap() - 4);
        assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
        assert_eq!(api.lines(0).len(), 2);
        let lost = collector
            .attach(ids[3])
            .await
            .unwrap()
            .unwrap()
            .await
            .unwrap_err();
        assert!(
            matches!(lost, BatchError::Store(StoreError::Damaged { .. })),
            "{lost:?}"
        );
        for id in &ids[1..3] {
            assert!(collector.attach(*id).await.unwrap().unwrap().await.is_ok());
        }
    });
}
