//! Every store keeps the contract, as a value and behind a pointer.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use thrifty::batch::{BatchStore, FileStore, InMemoryStore};
use thrifty::conformance;

#[tokio::test]
async fn a_store_in_memory_keeps_the_contract() {
    conformance::batch_store(async || InMemoryStore::default(), async |store| store).await;
}

#[tokio::test]
async fn a_store_behind_a_pointer_keeps_the_contract() {
    let boxed = || Box::new(InMemoryStore::default()) as Box<dyn BatchStore>;
    conformance::batch_store(async || boxed(), async |store| store).await;
    let shared = || Arc::new(InMemoryStore::default()) as Arc<dyn BatchStore>;
    conformance::batch_store(async || shared(), async |store| store).await;
}

/// Makes spools, and opens the last one anew.
struct Spools(TempDir, std::cell::Cell<u32>);

impl Spools {
    fn new() -> Self {
        Self(TempDir::new().unwrap(), std::cell::Cell::new(0))
    }

    fn next(&self) -> FileStore {
        self.1.set(self.1.get() + 1);
        self.open()
    }

    fn open(&self) -> FileStore {
        let dir: PathBuf = self.0.path().join(self.1.get().to_string());
        FileStore::open(dir).unwrap()
    }
}

#[tokio::test]
async fn a_store_in_files_keeps_the_contract() {
    let spools = Spools::new();
    let reopen = async |store: FileStore| {
        drop(store);
        spools.open()
    };
    conformance::batch_store(async || spools.next(), reopen).await;
    let reopen = async |store: Box<dyn BatchStore>| {
        drop(store);
        Box::new(spools.open()) as Box<dyn BatchStore>
    };
    conformance::batch_store(async || Box::new(spools.next()) as Box<dyn BatchStore>, reopen).await;
    let reopen = async |store: Arc<dyn BatchStore>| {
        drop(store);
        Arc::new(spools.open()) as Arc<dyn BatchStore>
    };
    conformance::batch_store(async || Arc::new(spools.next()) as Arc<dyn BatchStore>, reopen).await;
}

#[test]
fn a_store_works_without_a_runtime_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let dir = TempDir::new().unwrap();
    let spool = dir.path().join("spool");
    let now = |future| futures_util::FutureExt::now_or_never(future).unwrap();
    let store = FileStore::open(&spool).unwrap();
    now(store.load(&mut |_| ())).unwrap();
    let mut paths = vec![spool.clone()];
    while let Some(path) = paths.pop() {
        let meta = std::fs::metadata(&path).unwrap();
        let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(meta.permissions().mode() & 0o777, wanted, "{}", path.display());
        if meta.is_dir() {
            paths.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
}
