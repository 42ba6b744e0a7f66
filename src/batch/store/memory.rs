//! A store that lives as long as the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{BatchStore, Durability, FlushId, Position, Record, StoreError};
use crate::id::RequestId;

/// Keeps requests in memory until they are settled. Clones share what is stored.
///
/// A second collector on a clone goes on where the first one, which must be gone, left off.
#[derive(Debug, Clone, Default)]
pub struct InMemoryStore(Arc<Mutex<Journal>>);

#[derive(Debug, Default)]
struct Journal {
    next: u64,
    records: BTreeMap<u64, Record>,
    of_request: HashMap<RequestId, Vec<u64>>,
    of_flush: HashMap<FlushId, Vec<u64>>,
}

impl Journal {
    fn push(&mut self, record: Record) {
        let at = self.next;
        self.next += 1;
        match &record {
            Record::Enqueued(item) => self.of_request.entry(item.id).or_default().push(at),
            Record::Requeued { id, .. } => {
                let places = self.of_request.entry(*id).or_default();
                // Only the last return to the buffer matters.
                for old in places.split_off(places.len().min(1)) {
                    self.records.remove(&old);
                }
                places.push(at);
            }
            Record::Settled { id, .. } => {
                let gone = self.of_request.remove(id);
                gone.into_iter().flatten().for_each(|old| {
                    self.records.remove(&old);
                });
                return;
            }
            Record::Closed { flush } => {
                let gone = self.of_flush.remove(flush);
                gone.into_iter().flatten().for_each(|old| {
                    self.records.remove(&old);
                });
                return;
            }
            Record::Sealed { flush, .. }
            | Record::UploadIntended { flush, .. }
            | Record::Uploaded { flush, .. }
            | Record::CreateIntended { flush, .. }
            | Record::CreateAbandoned { flush }
            | Record::Submitted { flush, .. } => self.of_flush.entry(flush.clone()).or_default().push(at),
        }
        self.records.insert(at, record);
    }
}

#[async_trait]
impl BatchStore for InMemoryStore {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn append(&self, records: Vec<Record>) -> Result<Position, StoreError> {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            journal.push(record);
        }
        Ok(Position::new(journal.next))
    }

    async fn sync(&self, _position: Position) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        let journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(journal.records.values().cloned().collect())
    }
}
