//! What is written down before it is done, and a store that takes nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thrifty::ErrorKind;
use thrifty::batch::{
    BatchCollector, BatchStore, Durability, Extent, InMemoryStore, Position, Record, StoreError,
};

use super::ask;
use super::fake::FakeApi;
use super::faulty::Faulty;

/// Notes the kind of each record beside the calls that the API has seen by then.
#[derive(Debug)]
struct Watched(InMemoryStore, FakeApi, Arc<Mutex<Vec<(String, usize)>>>);

#[async_trait]
impl BatchStore for Watched {
    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        for record in &*records {
            let name = format!("{record:?}").split([' ', '(']).next().unwrap().to_owned();
            self.2.lock().unwrap().push((name, self.1.calls().len()));
        }
        self.0.append(records)
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        self.0.sync(position).await
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        self.0.load(fold).await
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        self.0.read(extents).await
    }
}

#[tokio::test(start_paused = true)]
async fn every_intent_is_recorded_before_its_effect() {
    let (api, records) = (FakeApi::default(), Arc::default());
    let store = Watched(InMemoryStore::default(), api.clone(), Arc::clone(&records));
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    collector.enqueue(&ask(1)).await.unwrap().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let records = records.lock().unwrap().clone();
    let expected = [
        ("Enqueued", 0),
        ("Sealed", 0),
        ("UploadIntended", 0),
        ("Uploaded", 1),
        ("CreateIntended", 1),
        ("Submitted", 2),
        ("Settled", 2),
        ("Released", 2),
        ("Closed", 2),
        ("Acknowledged", 2),
    ];
    assert_eq!(records, expected.map(|(name, calls)| (name.to_owned(), calls)));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_an_error_of_the_enqueue_and_nothing_is_kept() {
    let store = Faulty::default();
    store.refuse("", usize::MAX);
    let collector = BatchCollector::builder(FakeApi::default())
        .with_store(store)
        .build();
    let error = collector.enqueue(&ask(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(collector.pending().is_empty());
}
