//! What a snapshot says, and what a process that takes it up believes.

use super::tests::{acknowledged, answered, append, enqueued, extent, id, line, load, now, on};
use super::*;
use crate::batch::store::FlushId;
use crate::storage::MemoryDisk;

#[test]
fn a_snapshot_replaces_the_journal_and_a_torn_one_does_not() {
    let disk = MemoryDisk::default();
    let store = on(&disk).unwrap();
    load(&store);
    // More than are packed on one line.
    let mut records: Vec<_> = (0..1_300).map(enqueued).collect();
    store.append(&mut records).unwrap();
    let flush = FlushId::new("F");
    let lines = (0..10).map(id).collect();
    append(&store, Record::Sealed { flush, lines });
    let kept = load(&store).split_off(7);
    let before = store.0.writing().journal.segments();
    // At each call that can fail, the journal stays what it was.
    let mut failed = 0;
    loop {
        disk.fail_after(failed);
        if store.replace(&mut kept.iter().cloned()).is_ok() {
            break;
        }
        failed += 1;
        assert_eq!(load(&store).len(), 1_301);
        assert!(failed < 50);
    }
    assert!(failed > 8, "{failed} calls");
    let after = store.0.writing().journal.segments();
    assert_ne!(after, before);
    // What was acknowledged before is not counted, what was not is needed.
    let later = append(&store, enqueued(2_000));
    drop(store);
    disk.kill();
    let store = on(&disk).unwrap();
    let wanted: Vec<_> = kept.iter().cloned().chain([later]).collect();
    assert!(load(&store) == wanted, "in the same order");
    let extents: Vec<_> = wanted
        .iter()
        .filter(|record| !matches!(record, Record::Sealed { .. }))
        .map(extent)
        .collect();
    assert_eq!(
        store.0.since_the_snapshot(extents.clone()),
        extents[extents.len() - 1..]
    );
    assert_eq!(now(store.check(extents.clone())).unwrap(), []);
    let read = now(store.read(&extents[..3])).unwrap();
    assert_eq!(read, [line(7), line(8), line(9)].concat());
    drop(store);
    let packed = layout::packed_beside(&after[after.len() - 1]);
    let mut bytes = disk.get(&packed);
    assert_eq!(bytes.len() % packed::WIDTH, 0);
    bytes[100] ^= 4;
    disk.put(&packed, &bytes);
    let error = now(on(&disk).unwrap().load(&mut |_| ())).unwrap_err();
    assert!(matches!(error, StoreError::NotASpool { .. }), "{error}");
}

/// Leaves a spool with a snapshot that says that the last file is safe, and lets the next process remove that file; returns
/// its number.
fn with_a_file_gone_since_its_snapshot(disk: &MemoryDisk) -> u32 {
    let store = on(disk).unwrap();
    load(&store);
    let kept = append(&store, enqueued(1));
    let line = append(&store, enqueued(3));
    let answer = append(&store, answered(3));
    let all = [kept, line.clone(), answer.clone()];
    store.replace(&mut all.into_iter()).unwrap();
    drop(store);
    let store = on(disk).unwrap();
    load(&store);
    append(&store, acknowledged(3, &line, &answer));
    extent(&answer).file
}

#[test]
fn a_file_is_not_taken_for_a_safe_one_that_is_gone() {
    let disk = MemoryDisk::default();
    let gone = with_a_file_gone_since_its_snapshot(&disk);
    let store = on(&disk).unwrap();
    load(&store);
    let new = append(&store, enqueued(4));
    assert!(extent(&new).file > gone, "a number is given once");
    let path = store.0.writing().files[&extent(&new).file].path.clone();
    drop(store);
    let mut bytes = disk.get(&path);
    bytes[3] ^= 4;
    disk.put(&path, &bytes);
    let store = on(&disk).unwrap();
    load(&store);
    assert_eq!(now(store.check(vec![extent(&new)])).unwrap(), [extent(&new)]);
}

#[test]
fn a_safe_line_that_is_found_damaged_is_told_when_it_is_asked_for() {
    let disk = MemoryDisk::default();
    let store = on(&disk).unwrap();
    load(&store);
    let lines: Vec<_> = [1, 2].map(|n| append(&store, enqueued(n))).into();
    let path = store.0.writing().files[&extent(&lines[0]).file].path.clone();
    store.replace(&mut lines.iter().cloned()).unwrap();
    drop(store);
    let mut bytes = disk.get(&path);
    bytes[3] ^= 4;
    disk.put(&path, &bytes);
    let store = on(&disk).unwrap();
    load(&store);
    let extents: Vec<_> = lines.iter().map(extent).collect();
    assert_eq!(now(store.check(extents.clone())).unwrap(), [], "it was safe");
    assert!(now(store.read(&extents)).unwrap_err().is_damage());
    assert_eq!(now(store.check(extents.clone())).unwrap(), extents[..1]);
}

#[test]
fn what_a_snapshot_calls_safe_survives_the_power() {
    let disk = MemoryDisk::default();
    let store = on(&disk).unwrap();
    load(&store);
    let mut records: Vec<_> = (0..4).map(enqueued).collect();
    store.append(&mut records).unwrap();
    store.replace(&mut records.iter().cloned()).unwrap();
    drop(store);
    disk.lose_power(3);
    let store = on(&disk).unwrap();
    assert_eq!(load(&store), records);
    for (n, record) in (0..).zip(&records) {
        assert_eq!(now(store.read(&[extent(record)])).unwrap(), line(n));
    }
}

#[test]
fn what_comes_after_a_snapshot_that_failed_is_not_lost_though_that_one_lies_there() {
    for call in 0..16 {
        let disk = MemoryDisk::default();
        let store = on(&disk).unwrap();
        load(&store);
        let first = [append(&store, enqueued(1)), append(&store, answered(1))];
        // It is whole when its sync fails, and perhaps it cannot be removed either.
        disk.set_syncs_fail(true);
        disk.fail_after(call);
        store.replace(&mut first.iter().cloned()).unwrap_err();
        disk.set_syncs_fail(false);
        disk.fail_after(u64::MAX);
        let later = append(&store, enqueued(2));
        drop(store);
        disk.kill();
        let store = on(&disk).unwrap();
        let mut found = load(&store);
        found.dedup();
        assert!(found.ends_with(&[later]), "call {call}: {found:?}");
        assert!(found.starts_with(&first), "call {call}: {found:?}");
    }
}

#[test]
fn a_restart_from_a_checkpoint_syncs_nothing_that_is_safe() {
    let disk = MemoryDisk::default();
    let syncs = || {
        let before = disk.syncs();
        let store = on(&disk).unwrap();
        load(&store);
        (store, disk.syncs() - before)
    };
    for process in 0..6 {
        let (store, _) = syncs();
        append(&store, enqueued(process * 3 + 1));
    }
    let (store, journal) = syncs();
    // Six segments, six files, and the names in three directories.
    assert_eq!(journal, 15);
    let all = load(&store);
    store.replace(&mut all.into_iter()).unwrap();
    drop(store);
    let (store, checkpoint) = syncs();
    assert_eq!(
        checkpoint, 2,
        "the snapshot, if its writer did not get to it, and the names of segments"
    );
    append(&store, enqueued(50));
    drop(store);
    let (_, later) = syncs();
    assert_eq!(later, 6, "another segment, the new file, and their names");
}
