use std::fs;

use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::ledger::Totals;
use crate::money::Usd;
use crate::pricing::Cost;
use crate::storage::FaultyDisk;

pub(super) const NOW: Timestamp = Timestamp::from_unix_millis(1_790_000_000_000);

fn entry(pico: i64) -> Arc<LedgerEntry> {
    entry_at(NOW, pico)
}

pub(super) fn entry_at(at: Timestamp, pico: i64) -> Arc<LedgerEntry> {
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Embeddings);
    entry.cost = Cost::Priced(Usd::from_pico(pico));
    Arc::new(entry)
}

/// Settings under which nothing happens but what a test does.
pub(super) fn quiet() -> FileLedgerBuilder {
    FileLedger::builder()
        .with_clock(ManualClock::new(NOW))
        .with_sync(SyncPolicy::OnFlush)
}

fn open(dir: &Path) -> FileLedger {
    quiet().open(dir).unwrap()
}

fn open_on(disk: &FaultyDisk, dir: &Path) -> Result<FileLedger, LedgerError> {
    quiet().with_disk(disk.clone()).open(dir)
}

async fn total(ledger: &FileLedger) -> Totals {
    ledger.query(&Query::new()).await.unwrap().total
}

fn only_segment(dir: &Path) -> PathBuf {
    let mut segments = fs::read_dir(dir.join("segments"))
        .unwrap()
        .map(|found| found.unwrap().path());
    let segment = segments.next().unwrap();
    assert_eq!(segments.next(), None, "locks are gone with their ledger");
    segment
}

/// Returns the one segment of a ledger with the entries of 1, 10, 100 ... pico-dollars, and its path within.
fn written(entries: u32) -> (Vec<u8>, PathBuf) {
    let dir = TempDir::new().unwrap();
    let ledger = open(dir.path());
    for index in 0..entries {
        ledger.record(&entry(10_i64.pow(index))).unwrap();
    }
    drop(ledger);
    let segment = only_segment(dir.path());
    let name = segment.strip_prefix(dir.path()).unwrap().to_owned();
    (fs::read(segment).unwrap(), name)
}

fn directory_with(segment: &[u8], name: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    fs::write(dir.path().join(name), segment).unwrap();
    dir
}

#[test]
fn a_damaged_line_inside_is_an_error_that_names_it() {
    let (mut bad, name) = written(4);
    let second_entry = bad.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1);
    let (start, _) = second_entry.unwrap();
    bad[start + 10] ^= 1;
    let dir = directory_with(&bad, &name);
    let error = FileLedger::open(dir.path()).unwrap_err();
    let expected = format!(
        "{}:3 is damaged: its checksum does not match",
        dir.path().join(&name).display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        fs::read(dir.path().join(&name)).unwrap(),
        bad,
        "nothing was changed"
    );
}

#[tokio::test]
async fn two_ledgers_share_a_directory() {
    let dir = TempDir::new().unwrap();
    let one = open(dir.path());
    one.record(&entry(1)).unwrap();
    let two = open(dir.path());
    assert_eq!(two.recovery().live_segments, 1);
    let both = entry(100);
    for ledger in [&one, &two] {
        ledger.record(&entry(10)).unwrap();
        ledger.record(&both).unwrap();
        ledger.flush().await.unwrap();
    }
    for ledger in [&one, &two] {
        let total = total(ledger).await;
        assert_eq!(
            (total.calls, total.cost.as_pico()),
            (4, 121),
            "the entry of both counts once"
        );
    }
    drop((one, two));
    let reopened = open(dir.path());
    assert_eq!(reopened.recovery().checked_segments, 2);
    assert_eq!(total(&reopened).await.calls, 4);
}

#[tokio::test]
async fn a_line_in_the_middle_of_being_written_is_not_read() {
    let dir = TempDir::new().unwrap();
    let writer = open(dir.path());
    writer.record(&entry(1)).unwrap();
    let reader = open(dir.path());
    let segment = reader.inner.layout.segments().unwrap().remove(0);
    let mut file = fs::OpenOptions::new().append(true).open(&segment).unwrap();
    std::io::Write::write_all(&mut file, b"{\"id\":\"01").unwrap();
    let third = open(dir.path());
    assert_eq!(third.recovery().live_segments, 1, "only its writer may cut it");
    assert_eq!(total(&third).await.calls, 1);
    assert_eq!(total(&writer).await.calls, 1);
}

#[tokio::test]
async fn a_full_disk_leaves_no_part_of_a_line() {
    let (line, _) = written(1);
    for room in 0..i64::try_from(line.len()).unwrap() {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        let ledger = open_on(&disk, dir.path()).unwrap();
        let (first, second) = (entry(1), entry(10));
        disk.leave_room(room);
        let error = ledger.record(&first).unwrap_err();
        assert!(
            matches!(error, LedgerError::Io { action: "write", .. }),
            "{error}"
        );
        disk.leave_room(i64::MAX);
        assert_eq!(ledger.record(&second).unwrap(), Recorded::Stored);
        assert_eq!(
            ledger.record(&first).unwrap(),
            Recorded::Stored,
            "not known as a duplicate"
        );
        assert_eq!(total(&ledger).await.cost.as_pico(), 11);
        drop(ledger);
        let reopened = open(dir.path());
        assert!(reopened.recovery().torn.is_empty(), "room for {room} bytes");
        assert_eq!(total(&reopened).await.cost.as_pico(), 11);
    }
}

#[tokio::test]
async fn a_disk_that_fails_at_any_call_loses_nothing_acknowledged() {
    for call in 0..40 {
        let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
        disk.fail_after(call);
        let mut acknowledged = Vec::new();
        for _ in 0..2 {
            let Ok(ledger) = open_on(&disk, dir.path()) else {
                continue;
            };
            for pico in [1, 10, 100] {
                let entry = entry(pico);
                if ledger.record(&entry).is_ok() {
                    acknowledged.push(entry);
                }
                let _ = ledger.flush().await;
                let _ = ledger.query(&Query::new()).await;
            }
        }
        let reopened = open(dir.path());
        let found: Vec<_> = reopened.scan(&Filter::default()).try_collect().await.unwrap();
        assert_eq!(found, acknowledged, "failed at call {call}");
    }
}

#[tokio::test]
async fn what_a_failed_sync_may_have_dropped_is_written_again() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::new());
    let ledger = open_on(&disk, &dir.path().join("costs")).unwrap();
    ledger.record(&entry(1)).unwrap();
    let before = ledger.inner.layout.segments().unwrap();
    let dirs_to_sync = 3;
    disk.fail_after(dirs_to_sync);
    ledger.flush().await.unwrap();
    let after = ledger.inner.layout.segments().unwrap();
    assert!(after.len() == 1 && after != before, "{after:?}");
    ledger.record(&entry(10)).unwrap();
    assert_eq!(total(&ledger).await.cost.as_pico(), 11);
    drop(ledger);
    assert_eq!(total(&open(&dir.path().join("costs"))).await.cost.as_pico(), 11);
}

#[test]
fn what_is_not_a_ledger_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "hello").unwrap();
    let why = |path: &Path| match FileLedger::open(path).unwrap_err() {
        LedgerError::NotALedger { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&file), "it is not a directory");
    assert_eq!(why(dir.path()), "the directory holds other files");
    for (text, expected) in [
        ("hello", "it does not begin with a header"),
        ("{\"thrifty_journal\":1}\n", "its first line is not a header"),
        ("{\"thrifty_ledger\":0}\n", "its first line is not a header"),
    ] {
        let dir = directory_with(text.as_bytes(), Path::new("segments/1.jsonl"));
        assert_eq!(why(dir.path()), expected, "{text}");
        assert_eq!(fs::read_to_string(only_segment(dir.path())).unwrap(), text);
    }
}

#[test]
fn a_newer_format_is_refused() {
    let header = b"{\"thrifty_ledger\":2,\"sum\":\"xxh3\"}\n";
    let dir = directory_with(header, Path::new("segments/1.jsonl"));
    let error = FileLedger::open(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            LedgerError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_line_that_is_no_entry_is_named() {
    let dir = TempDir::new().unwrap();
    let ledger = open(dir.path());
    ledger.record(&entry(1)).unwrap();
    let mut foreign = b"{\"id\":7}".to_vec();
    ledger.inner.writing().append(&mut foreign, NOW).unwrap();
    let error = ledger.query(&Query::new()).await.unwrap_err();
    assert!(matches!(error, LedgerError::BadLine { line: 3, .. }), "{error}");
    let scanned: Result<Vec<_>, _> = ledger.scan(&Filter::default()).try_collect().await;
    assert!(matches!(scanned, Err(LedgerError::BadLine { line: 3, .. })));
}

#[test]
fn works_without_a_runtime() {
    let dir = TempDir::new().unwrap();
    let ledger = open(dir.path());
    ledger.record(&entry(5)).unwrap();
    futures_util::FutureExt::now_or_never(ledger.flush())
        .unwrap()
        .unwrap();
    let summary = futures_util::FutureExt::now_or_never(ledger.query(&Query::new()));
    assert_eq!(summary.unwrap().unwrap().total.calls, 1);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let dir = TempDir::new().unwrap();
    let root = dir.path().join("costs");
    open(&root).record(&entry(1)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&only_segment(&root))), (0o700, 0o600));
}

#[tokio::test]
async fn an_entry_that_could_not_be_read_again_is_refused_and_the_next_one_is_not() {
    let dir = TempDir::new().unwrap();
    let ledger = open(dir.path());
    let mut long = LedgerEntry::clone(&entry(1));
    long.reason = Some("x".repeat(64 << 20).into());
    let error = ledger.record(&Arc::new(long)).unwrap_err();
    assert!(matches!(error, LedgerError::TooLong { .. }), "{error}");
    ledger.record(&entry(2)).unwrap();
    assert_eq!(total(&ledger).await.calls, 1);
    drop(ledger);
    assert_eq!(total(&open(dir.path())).await.calls, 1);
}

#[test]
fn the_key_of_a_directory_is_made_once() {
    let dir = TempDir::new().unwrap();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| open(dir.path()))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let key = opened[0].hash_key().unwrap();
    assert!(opened.iter().all(|ledger| ledger.hash_key() == Some(key)));
    drop(opened);
    assert_eq!(open(dir.path()).hash_key(), Some(key));
    fs::write(dir.path().join("key"), "x".repeat(64)).unwrap();
    assert!(matches!(
        quiet().open(dir.path()),
        Err(LedgerError::NotALedger { .. })
    ));
    fs::write(dir.path().join("key"), "half a k").unwrap();
    let other = open(dir.path()).hash_key();
    assert_ne!(other, Some(key), "a part of one is made anew");
    assert_eq!(open(dir.path()).hash_key(), other);
}
