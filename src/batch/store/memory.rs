//! A store that lives as long as the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{BatchStore, Content, Durability, Extent, FlushId, Position, Record, StoreError, Verdict};
use crate::id::RequestId;

/// Keeps requests in memory until they are acknowledged. Clones share what is stored.
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
    contents: HashMap<(u32, u32), Bytes>,
    stored: u64,
}

impl Journal {
    fn push(&mut self, record: &mut Record) {
        let at = self.next;
        self.next += 1;
        match record {
            Record::Enqueued(request) => {
                self.keep(&mut request.line);
                self.of_request.entry(request.id).or_default().push(at);
            }
            Record::Requeued { id, .. } => {
                // Only the last return to the buffer matters, and with it what was released before.
                self.forget_after_the_first(*id);
                self.of_request.entry(*id).or_default().push(at);
            }
            Record::Released { id } | Record::SendIntended { id } | Record::SendOver { id } => {
                self.of_request.entry(*id).or_default().push(at);
            }
            Record::Settled { id, verdict } => {
                if let Verdict::Answered(answer) = verdict {
                    self.keep(&mut answer.body);
                }
                self.of_request.entry(*id).or_default().push(at);
            }
            Record::Acknowledged { id, line, answer } => {
                let gone = self.of_request.remove(id);
                for old in gone.into_iter().flatten() {
                    self.records.remove(&old);
                }
                for content in [Some(&*line), answer.as_ref()].into_iter().flatten() {
                    if let Some(extent) = content.extent() {
                        self.contents.remove(&(extent.file, extent.offset));
                    }
                }
                return;
            }
            Record::Closed { flush } => {
                let gone = self.of_flush.remove(flush);
                for old in gone.into_iter().flatten() {
                    self.records.remove(&old);
                }
                return;
            }
            Record::Sealed { flush, .. }
            | Record::UploadIntended { flush, .. }
            | Record::Uploaded { flush, .. }
            | Record::CreateIntended { flush, .. }
            | Record::CreateAbandoned { flush }
            | Record::Submitted { flush, .. } => self.of_flush.entry(flush.clone()).or_default().push(at),
        }
        self.records.insert(at, record.clone());
    }

    fn forget_after_the_first(&mut self, id: RequestId) {
        let places = self.of_request.entry(id).or_default();
        for old in places.split_off(places.len().min(1)) {
            self.records.remove(&old);
        }
    }

    fn keep(&mut self, content: &mut Content) {
        let Content::Bytes(bytes) = &*content else { return };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number of 64 bits in two of 32; a body has far less than 4 GiB"
        )]
        let extent = Extent::new(
            (self.stored >> 32) as u32,
            self.stored as u32,
            bytes.len() as u32,
            crc32c::crc32c(bytes),
        );
        self.stored += 1;
        self.contents.insert((extent.file, extent.offset), bytes.clone());
        *content = Content::Stored(extent);
    }
}

impl InMemoryStore {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BatchStore for InMemoryStore {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        let mut journal = self.journal();
        for record in records {
            journal.push(record);
        }
        Ok(Position::new(journal.next))
    }

    async fn sync(&self, _position: Position) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        let records: Vec<Record> = self.journal().records.values().cloned().collect();
        records.into_iter().for_each(fold);
        Ok(())
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        let journal = self.journal();
        let content = |extent: &Extent| {
            let (file, offset) = (extent.file, extent.offset);
            let content = journal.contents.get(&(file, offset));
            content.ok_or(StoreError::Damaged { file, offset })
        };
        if let [one] = extents {
            return content(one).cloned();
        }
        let mut all = Vec::new();
        for extent in extents {
            all.extend_from_slice(content(extent)?);
        }
        Ok(all.into())
    }
}
