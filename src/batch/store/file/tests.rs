use std::num::Wrapping;

use bytes::Bytes;
use futures_util::FutureExt;
use tempfile::TempDir;

use super::*;
use crate::attribution::Attribution;
use crate::batch::store::{Content, StoredAnswer, StoredRequest, Verdict};
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::storage::{FaultyDisk, MemoryDisk};

pub(super) const ROOT: &str = "/var/spool";

/// Runs what is ready at once: without a runtime, a store works on the calling thread.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

pub(super) fn id(n: u64) -> RequestId {
    RequestId::from_bytes((u128::from(n) | (7 << 80)).to_be_bytes())
}

pub(super) fn line(n: u64) -> Bytes {
    let noise: String = (0..n * 13 % 90)
        .map(|i| char::from(b'a' + u8::try_from(i * n % 26).unwrap()))
        .collect();
    format!("{{\"custom_id\":\"{n}-0\",\"body\":\"{noise}\"}}\n").into()
}

pub(super) fn enqueued(n: u64) -> Record {
    Record::Enqueued(StoredRequest {
        id: id(n),
        endpoint: Endpoint::ChatCompletions,
        model: ModelId::new(["gpt-4o", "gpt-4o-mini"][usize::from(n.is_multiple_of(3))]),
        line: Content::Bytes(line(n)),
        inputs: 0,
        attribution: Attribution::default(),
        deadline: None,
        key: None,
    })
}

pub(super) fn answered(n: u64) -> Record {
    Record::Settled {
        id: id(n),
        verdict: Verdict::Answered(StoredAnswer {
            status: 200,
            body: Content::Bytes(format!("{{\"answer\":{n}}}").into()),
            request_id: None,
            batch_id: None,
            lane: Lane::Batch,
            lost_attempts: 0,
        }),
    }
}

pub(super) fn extent(record: &Record) -> Extent {
    match record {
        Record::Enqueued(request) => request.line.extent().unwrap(),
        Record::Settled {
            verdict: Verdict::Answered(answer),
            ..
        } => answer.body.extent().unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn acknowledged(n: u64, line: &Record, answer: &Record) -> Record {
    Record::Acknowledged {
        id: id(n),
        line: Content::Stored(extent(line)),
        answer: Some(Content::Stored(extent(answer))),
    }
}

pub(super) fn load(store: &FileStore) -> Vec<Record> {
    let mut records = Vec::new();
    now(store.load(&mut |record| records.push(record))).unwrap();
    records
}

pub(super) fn on(disk: &impl DiskForTests) -> Result<FileStore, StoreError> {
    disk.open(ROOT)
}

pub(super) trait DiskForTests {
    fn open(&self, root: &str) -> Result<FileStore, StoreError>;
}

impl<D: Disk + Clone> DiskForTests for D {
    fn open(&self, root: &str) -> Result<FileStore, StoreError> {
        FileStore::builder().with_disk(self.clone()).open(root)
    }
}

pub(super) fn append(store: &FileStore, record: Record) -> Record {
    let mut records = [record];
    let position = store.append(&mut records).unwrap();
    now(store.sync(position)).unwrap();
    let [record] = records;
    record
}

#[test]
fn the_lines_of_a_lane_lie_in_a_file_as_they_are_uploaded() {
    let dir = TempDir::new().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    load(&store);
    let mut records: Vec<_> = [1, 2, 4, 3, 5].map(enqueued).into();
    store.append(&mut records).unwrap();
    let files = std::fs::read_dir(dir.path().join("lines")).unwrap();
    let mut contents: Vec<_> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    contents.sort_by_key(Vec::len);
    assert_eq!(
        contents,
        [line(3).to_vec(), [line(1), line(2), line(4), line(5)].concat()]
    );
    let journal = std::fs::read_dir(dir.path().join("journal")).unwrap();
    for file in journal {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("custom_id"), "no text of a request: {text}");
    }
}

#[test]
fn a_second_collector_on_one_spool_is_refused_until_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    let second = FileStore::open(dir.path());
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
    drop(store);
    FileStore::open(dir.path()).unwrap();
}

#[test]
fn a_spool_of_a_newer_format_or_none_at_all_is_refused_and_left_alone() {
    for (text, newer) in [
        ("{\"thrifty_batch\":9,\"x\":1}\n", true),
        ("notes of mine\n", false),
    ] {
        let dir = TempDir::new().unwrap();
        let journal = dir.path().join("journal");
        std::fs::create_dir_all(&journal).unwrap();
        let path = journal.join("1-1-000000.jsonl");
        std::fs::write(&path, text).unwrap();
        let error = FileStore::open(dir.path()).unwrap_err();
        match error {
            StoreError::NewerFormat {
                found: 9, known: 1, ..
            } => assert!(newer),
            StoreError::NotASpool { .. } => assert!(!newer),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn requests_of_another_account_are_not_sent_with_these_credentials() {
    let disk = MemoryDisk::default();
    let open = |key: &str| {
        let builder = FileStore::builder().with_disk(disk.clone());
        builder
            .for_account("https://api.openai.com/v1", key)
            .open(ROOT)
            .unwrap()
    };
    let store = open("a");
    load(&store);
    append(&store, enqueued(1));
    drop(store);
    let other = open("b");
    let error = now(other.load(&mut |_| ())).unwrap_err();
    assert!(matches!(&error, StoreError::OtherAccount { .. }), "{error}");
    drop(other);
    let store = open("a");
    load(&store);
    append(&store, answered(1));
    drop(store);
    let other = open("b");
    load(&other);
    append(&other, enqueued(2));
    let lanes = opening::load(
        &other.0.layout,
        &other.0.writing().journal.segments(),
        None,
        &mut |_| (),
    )
    .unwrap()
    .lanes;
    assert_eq!(lanes.len(), 2, "a lane of its own");
}

#[test]
fn a_flipped_bit_is_never_read_as_something_else() {
    let disk = MemoryDisk::default();
    let store = on(&disk).unwrap();
    load(&store);
    let records: Vec<_> = (0..6).map(|n| append(&store, enqueued(n))).collect();
    let segment = store.0.writing().journal.segments()[0].clone();
    let file = store.0.writing().files[&extent(&records[1]).file].path.clone();
    drop(store);
    let whole = on(&disk).unwrap();
    let all = load(&whole);
    drop(whole);
    let (journal, lines) = (disk.get(&segment), disk.get(&file));
    let mut noise = Wrapping(1_u64);
    for flip in 0..300 {
        noise = noise * Wrapping(6_364_136_223_846_793_005) + Wrapping(1);
        let disk = MemoryDisk::default();
        let (mut journal, mut lines) = (journal.clone(), lines.clone());
        let bytes = if flip % 2 == 0 { &mut journal } else { &mut lines };
        let bit = usize::try_from(noise.0 >> 33).unwrap() % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        disk.put(&segment, &journal);
        disk.put(&file, &lines);
        let store = match on(&disk) {
            Err(
                StoreError::BadLine { .. } | StoreError::NewerFormat { .. } | StoreError::NotASpool { .. },
            ) => {
                assert_eq!(flip % 2, 0);
                assert_eq!(disk.get(&segment), journal, "what is refused is left alone");
                continue;
            }
            opened => opened.unwrap(),
        };
        let found = load(&store);
        assert!(all.starts_with(&found), "{flip}: only a torn end may be missing");
        assert_eq!(found.len() < all.len(), !store.recovery_report().torn.is_empty());
        let extents: Vec<_> = found.iter().map(extent).collect();
        let damaged = now(store.check(extents.clone())).unwrap();
        for (n, own) in (0..).zip(extents) {
            match now(store.read(&[own])) {
                Ok(read) => assert_eq!(read, line(n)),
                Err(StoreError::Damaged { .. }) => {
                    assert!(damaged.contains(&own) || own.file != extent(&all[1]).file);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_what_comes_and_takes_it_later() {
    for room in (0..600).step_by(7) {
        let dir = TempDir::new().unwrap();
        let disk = FaultyDisk::new();
        let root = dir.path().join("spool");
        let store = disk.open(root.to_str().unwrap()).unwrap();
        load(&store);
        let first = append(&store, enqueued(1));
        disk.leave_room(room);
        let mut taken = vec![(1, first)];
        let mut refused = Vec::new();
        for n in 2..8 {
            let mut records = [enqueued(n)];
            match store.append(&mut records) {
                Ok(_) => {
                    let [record] = records;
                    taken.push((n, record));
                }
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    assert_eq!(records[0], enqueued(n), "what was not taken is as it was");
                    refused.push(n);
                }
            }
        }
        assert!(!refused.is_empty());
        disk.leave_room(i64::MAX);
        for n in refused {
            taken.push((n, append(&store, enqueued(n))));
        }
        for (n, record) in &taken {
            assert_eq!(
                now(store.read(&[extent(record)])).unwrap(),
                line(*n),
                "room {room}"
            );
        }
        drop(store);
        let store = disk.open(root.to_str().unwrap()).unwrap();
        let wanted: Vec<_> = taken.into_iter().map(|(_, record)| record).collect();
        assert_eq!(load(&store), wanted, "room {room}");
        assert_eq!(store.recovery_report().torn, [], "room {room}");
    }
}

#[test]
fn a_file_goes_once_all_its_requests_are_acknowledged() {
    let disk = MemoryDisk::default();
    let files = |disk: &MemoryDisk| {
        let lines = disk.list(Path::new(ROOT).join("lines").as_path()).unwrap();
        lines.len()
            + disk
                .list(Path::new(ROOT).join("answers").as_path())
                .unwrap()
                .len()
    };
    let mut open = Vec::new();
    for process in 0..3 {
        let store = on(&disk).unwrap();
        load(&store);
        for n in [process * 30 + 1, process * 30 + 2] {
            let line = append(&store, enqueued(n));
            open.push((n, line, append(&store, answered(n))));
        }
    }
    assert_eq!(files(&disk), 6);
    let store = on(&disk).unwrap();
    load(&store);
    let last = open.split_off(4);
    for (n, line, answer) in &open {
        append(&store, acknowledged(*n, line, answer));
    }
    assert_eq!(files(&disk), 2, "those of the third process are needed");
    let kept: Vec<_> = last
        .iter()
        .map(|(n, line, answer)| (*n, extent(line), extent(answer)))
        .collect();
    drop(store);
    let store = on(&disk).unwrap();
    load(&store);
    for (n, own, answer) in kept {
        let both = now(store.read(&[own, answer])).unwrap();
        assert_eq!(
            both,
            [&line(n)[..], format!("{{\"answer\":{n}}}").as_bytes()].concat()
        );
    }
}
