//! Requests that were being sent on a faster lane when the process ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use thrifty::batch::{
    BatchCollector, BatchCollectorBuilder, BatchError, BatchItem, BatchObserver, BatchPolicy, FasterLane,
    FileStore, LineAnswer, Settled,
};
use thrifty::{Clock, Lane, RequestId, SystemClock};

use super::fake::FakeApi;
use super::faulty::Faulty;
use super::{ask, paused};

const HOUR: Duration = Duration::from_secs(3_600);

/// Answers, or never does.
#[derive(Debug, Clone, Copy)]
enum Lanes {
    Hangs,
    Answers,
}

#[async_trait]
impl FasterLane for Lanes {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        if matches!(self, Self::Hangs) {
            std::future::pending::<()>().await;
        }
        Ok(LineAnswer::new(200, r#"{"echo":99}"#, Lane::Standard))
    }
}

/// What was told: the request, whether it is for the books only, and whether an attempt was lost.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Vec<(RequestId, bool, bool)>>>);

impl BatchObserver for Told {
    fn settled(&self, settled: &Settled<'_>) {
        let lost = matches!(settled.outcome, Err(BatchError::FasterLane(_)));
        let told = (settled.item.id, settled.superseded, lost);
        self.0.lock().unwrap().push(told);
    }
}

fn builder(api: &FakeApi, lane: Lanes, told: &Told) -> BatchCollectorBuilder {
    BatchCollector::builder(api.clone())
        .with_faster_lane(lane)
        .with_observer(told.clone())
}

/// Enqueues a request, sees it sent on the faster lane, and lets everything end before that answers.
fn leave_one_being_sent(api: &FakeApi, told: &Told, store: FileStore, buffered: bool) -> RequestId {
    let delay = if buffered {
        5 * HOUR
    } else {
        Duration::from_secs(60)
    };
    let policy = BatchPolicy::default().with_max_delay(delay);
    let collector = builder(api, Lanes::Hangs, told)
        .with_store(store)
        .with_policy(policy)
        .build();
    let (id, handle) = paused().block_on(async {
        let at = SystemClock.now().saturating_add(3 * HOUR);
        let handle = collector.enqueue(&ask(1)).key("one").deadline(at).await.unwrap();
        let id = handle.id();
        assert!(
            tokio::time::timeout(3 * HOUR, async { drop(handle.await) })
                .await
                .is_err()
        );
        (id, collector)
    });
    drop(handle);
    id
}

#[test]
fn what_was_being_sent_when_the_process_ended_is_told_as_lost_and_sent_once_more() {
    for buffered in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let spool = || FileStore::open(dir.path().join("spool")).unwrap();
        let (api, told) = (FakeApi::default().with_runs(|_| 24 * HOUR), Told::default());
        let id = leave_one_being_sent(&api, &told, spool(), buffered);
        assert_eq!(*told.0.lock().unwrap(), []);
        assert_eq!(api.batches(), usize::from(!buffered));

        let again = builder(&api, Lanes::Answers, &told).with_store(spool()).build();
        paused().block_on(async {
            let at = SystemClock.now().saturating_add(HOUR);
            let handle = again.enqueue(&ask(1)).key("one").deadline(at).await.unwrap();
            assert_eq!(handle.id(), id);
            assert_eq!(handle.await.unwrap().echo, 99);
        });
        assert_eq!(*told.0.lock().unwrap(), [(id, true, true), (id, false, false)]);
        drop(again);

        // What was told is not told again.
        let third = builder(&api, Lanes::Answers, &told).with_store(spool()).build();
        paused().block_on(async {
            let handle = third.enqueue(&ask(1)).key("one").await.unwrap();
            assert_eq!(handle.await.unwrap().echo, 99);
        });
        assert_eq!(told.0.lock().unwrap().len(), 2);
    }
}

#[test]
fn a_checkpoint_does_not_forget_what_is_being_sent() {
    let dir = tempfile::tempdir().unwrap();
    let spool = || FileStore::open(dir.path().join("spool")).unwrap();
    let (api, told) = (FakeApi::default(), Told::default());
    let id = leave_one_being_sent(&api, &told, spool(), true);
    let second = builder(&api, Lanes::Hangs, &told).with_store(spool()).build();
    paused().block_on(second.checkpoint()).unwrap();
    drop(second);
    let third = builder(&api, Lanes::Answers, &told).with_store(spool()).build();
    paused().block_on(async {
        let handle = third.attach(id).await.unwrap().unwrap();
        assert!(handle.await.is_ok());
    });
    assert_eq!(*told.0.lock().unwrap(), [(id, true, true), (id, false, false)]);
}

/// A faster lane after whose answer the store's syncs do not end.
#[derive(Debug)]
struct ThenStalls(Faulty);

#[async_trait]
impl FasterLane for ThenStalls {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.0.slow_down(1_000 * HOUR);
        Ok(LineAnswer::new(200, r#"{"echo":99}"#, Lane::Standard))
    }
}

#[test]
fn an_answer_whose_runtime_dies_while_it_is_made_durable_is_booked_and_handed_out_all_the_same() {
    let (store, told) = (Faulty::default(), Told::default());
    let collector = BatchCollector::builder(FakeApi::default().with_runs(|_| 24 * HOUR))
        .with_faster_lane(ThenStalls(store.clone()))
        .with_observer(told.clone())
        .with_store(store.clone())
        .build();
    let handle = paused().block_on(async {
        let at = SystemClock.now().saturating_add(HOUR);
        let mut handle = collector.enqueue(&ask(1)).deadline(at).await.unwrap();
        let waited = tokio::time::timeout(2 * HOUR, &mut handle).await;
        assert!(waited.is_err(), "it is not safe yet: {waited:?}");
        handle
    });
    store.slow_down(Duration::ZERO);
    let id = handle.id();
    assert_eq!(*told.0.lock().unwrap(), [(id, false, false)]);
    let answer = paused().block_on(async { tokio::time::timeout(HOUR, handle).await });
    assert_eq!(answer.expect("it is handed out").unwrap().echo, 99);
    assert_eq!(*told.0.lock().unwrap(), [(id, false, false)]);
}
