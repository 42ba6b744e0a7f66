//! The way in for the fuzz target `journal`; in no other build.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::BoxStream;

use super::FileStore;
use crate::batch::{ApiError, BatchApi, BatchCollector, BatchStore, Effect, InputFile, NewBatch, Record};
use crate::error::ErrorKind;
use crate::storage::{Disk, MemoryDisk};
use crate::wire::{BatchView, FileView, Page};

const ROOT: &str = "/spool";

/// What came of a spool.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenedSpool {
    /// The records of its journal.
    pub records: Vec<String>,
    /// What is left of each file that was put there, with what was put aside of it.
    pub kept: Vec<Vec<u8>>,
    /// How many torn ends were told.
    pub torn: usize,
}

/// Opens a spool that has these files, and lets a collector take it up; `None` if it is refused. The store is loaded once
/// by itself, before the collector may change anything.
pub fn open_spool(files: &[(&str, &[u8])]) -> Option<OpenedSpool> {
    let disk = MemoryDisk::default();
    for (name, bytes) in files {
        disk.put(&Path::new(ROOT).join(name), bytes);
    }
    let store = FileStore::builder().with_disk(disk.clone()).open(ROOT).ok()?;
    let mut records = Vec::new();
    let mut note = |record: Record| records.push(format!("{record:?}"));
    store.load(&mut note).now_or_never()?.ok()?;
    let opened = OpenedSpool {
        records,
        kept: files.iter().map(|(name, _)| kept(&disk, name)).collect(),
        torn: store.recovery_report().torn.len(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .ok()?;
    runtime.block_on(async {
        let collector = BatchCollector::builder(Refusing).with_store(store).build();
        let _ = collector.recovery_report().await;
        for id in collector.pending().into_iter().take(2) {
            let _ = collector.attach(id).await;
        }
        let _ = collector.flush().await;
        let _ = collector.checkpoint().await;
    });
    Some(opened)
}

fn kept(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let path = Path::new(ROOT).join(name);
    let mut bytes = read(disk, &path);
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let aside = disk.list(&Path::new(ROOT).join("quarantine")).unwrap_or_default();
    for torn in aside {
        if torn.to_string_lossy().contains(&stem) {
            bytes.extend(read(disk, &torn));
        }
    }
    bytes
}

fn read(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut input) = disk.read(path, 0) {
        let _ = std::io::Read::read_to_end(&mut input, &mut bytes);
    }
    bytes
}

/// A server that refuses everything, after which a collector has nothing more to wait for.
#[derive(Debug)]
struct Refusing;

fn refuse<T>() -> Result<T, ApiError> {
    Err(ApiError::new(ErrorKind::Refused, Effect::None, "no").with_status(403))
}

#[async_trait]
impl BatchApi for Refusing {
    async fn upload(&self, _: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        let _ = jsonl.read().await;
        refuse()
    }

    async fn list_files(&self, _: Option<&str>) -> Result<Page<FileView>, ApiError> {
        refuse()
    }

    async fn create(&self, _: &NewBatch) -> Result<BatchView, ApiError> {
        refuse()
    }

    async fn retrieve(&self, _: &str) -> Result<BatchView, ApiError> {
        refuse()
    }

    async fn list(&self, _: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        refuse()
    }

    async fn cancel(&self, _: &str) -> Result<BatchView, ApiError> {
        refuse()
    }

    async fn download(&self, _: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        refuse()
    }

    async fn delete_file(&self, _: &str) -> Result<(), ApiError> {
        refuse()
    }
}
