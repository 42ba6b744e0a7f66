//! Requests that were being sent on a faster lane when the process ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thrifty::batch::{
    BatchCollector, BatchCollectorBuilder, BatchError, BatchItem, BatchObserver, BatchPolicy, BatchStore,
    Durability, Extent, FasterLane, FileStore, InMemoryStore, LineAnswer, Position, Record, Settled,
    StoreError,
};
use thrifty::{Clock, Lane, RequestId, SystemClock};

use super::fake::FakeApi;
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

/// A store whose syncs do not end once the faster lane was asked, and that lane.
#[derive(Debug, Clone, Default)]
struct Stalling {
    store: InMemoryStore,
    stalls: Arc<AtomicBool>,
}

#[async_trait]
impl FasterLane for Stalling {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.stalls.store(true, Ordering::SeqCst);
        Ok(LineAnswer::new(200, r#"{"echo":99}"#, Lane::Standard))
    }
}

#[async_trait]
impl BatchStore for Stalling {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        self.store.append(records)
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        if self.stalls.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.store.sync(position).await
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        self.store.load(fold).await
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        self.store.read(extents).await
    }
}

#[test]
fn an_answer_whose_runtime_dies_while_it_is_made_durable_is_booked_and_handed_out_all_the_same() {
    let (store, told) = (Stalling::default(), Told::default());
    let collector = BatchCollector::builder(FakeApi::default().with_runs(|_| 24 * HOUR))
        .with_faster_lane(store.clone())
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
    store.stalls.store(false, Ordering::SeqCst);
    let id = handle.id();
    assert_eq!(*told.0.lock().unwrap(), [(id, false, false)]);
    let answer = paused().block_on(async { tokio::time::timeout(HOUR, handle).await });
    assert_eq!(answer.expect("it is handed out").unwrap().echo, 99);
    assert_eq!(*told.0.lock().unwrap(), [(id, false, false)]);
}
