//! A store in memory that is full, slow or unreadable when it is told to be.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thrifty::batch::{BatchStore, Durability, Extent, InMemoryStore, Position, Record, StoreError};

#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty {
    pub(crate) store: InMemoryStore,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Records of this kind are not taken so many times.
    refused: Option<(&'static str, usize)>,
    unreadable: usize,
    panicking: usize,
    slow: Duration,
    most_at_once: usize,
    reads: usize,
}

impl Faulty {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Has no room so many times for a record of a kind; of any kind if none is named.
    pub(crate) fn refuse(&self, kind: &'static str, times: usize) {
        self.plan().refused = Some((kind, times));
    }

    /// Fails to read so many times.
    pub(crate) fn hide(&self, times: usize) {
        self.plan().unreadable = times;
    }

    /// Panics so many times when it is read.
    pub(crate) fn panic_at_reads(&self, times: usize) {
        self.plan().panicking = times;
    }

    /// Takes so long for each sync.
    pub(crate) fn slow_down(&self, sync: Duration) {
        self.plan().slow = sync;
    }

    /// How often it was read.
    pub(crate) fn reads(&self) -> usize {
        self.plan().reads
    }

    /// The most bytes that were put in by one call.
    pub(crate) fn most_at_once(&self) -> usize {
        self.plan().most_at_once
    }
}

fn bytes_in(record: &Record) -> usize {
    // Contents show their size only.
    let told = format!("{record:?}");
    let sizes = told
        .split(" bytes")
        .filter_map(|before| before.rsplit(' ').next()?.parse::<usize>().ok());
    sizes.sum()
}

#[async_trait]
impl BatchStore for Faulty {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        let mut plan = self.plan();
        plan.most_at_once = plan.most_at_once.max(records.iter().map(bytes_in).sum());
        if let Some((kind, times)) = &mut plan.refused
            && *times > 0
            && records
                .iter()
                .any(|record| format!("{record:?}").starts_with(*kind))
        {
            *times -= 1;
            return Err(StoreError::new("no space left"));
        }
        self.store.append(records)
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        let slow = self.plan().slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        self.store.sync(position).await
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        self.store.load(fold).await
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        let panics = {
            let mut plan = self.plan();
            plan.reads += 1;
            if plan.unreadable > 0 {
                plan.unreadable -= 1;
                return Err(StoreError::new("too many open files"));
            }
            let panics = plan.panicking > 0;
            plan.panicking = plan.panicking.saturating_sub(1);
            panics
        };
        assert!(!panics, "the read panics, as it is to");
        self.store.read(extents).await
    }
}
