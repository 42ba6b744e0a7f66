//! What is left after a process or the power is gone, at any moment, and after damage to any byte.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use futures_util::{FutureExt, TryStreamExt};

use super::tests::{NOW, entry_at};
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::id::EntryId;
use crate::storage::{End, MemoryDisk, at_crash_points};

const ROOT: &str = "/var/costs";

/// Runs what is ready at once: without a runtime, a ledger works on the calling thread.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn open(disk: &MemoryDisk, clock: &ManualClock) -> Result<FileLedger, LedgerError> {
    FileLedger::builder()
        .with_disk(disk.clone())
        .with_clock(clock.clone())
        .with_sync(SyncPolicy::OnFlush)
        .with_segment_bytes(NonZeroU64::new(1_200).unwrap())
        .open(ROOT)
}

fn scan(ledger: &FileLedger) -> Vec<Arc<LedgerEntry>> {
    now(ledger.scan(&Filter::default()).try_collect()).unwrap()
}

/// Checks that all sums agree with the entries that are there, and returns these.
fn consistent(ledger: &FileLedger) -> Vec<Arc<LedgerEntry>> {
    let entries = scan(ledger);
    let ids: BTreeSet<EntryId> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), entries.len(), "each id once");
    for query in [
        Query::new(),
        Query::new().group_by(crate::ledger::Dimension::User),
    ] {
        let mut tally = Tally::new(&query);
        for entry in &entries {
            tally.add(entry);
        }
        assert_eq!(now(ledger.query(&query)).unwrap(), tally.finish());
    }
    assert_eq!(now(ledger.verify()).unwrap().differences, []);
    entries
}

/// Lets a process die at its nth call to the disk, another one follow it, and looks at what is left.
fn dies_at(call: u64, end: End) -> u64 {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::new(NOW));
    let mut tried = BTreeMap::new();
    let mut kept = BTreeSet::new();
    let mut calls = 0;
    for process in 0..2 {
        if process == 0 {
            disk.die_after(call);
        }
        if let Ok(ledger) = open(&disk, &clock) {
            let mut recorded = Vec::new();
            for step in 0..14 {
                let entry = entry_at(clock.now(), 1 << step);
                tried.insert(entry.id, Arc::clone(&entry));
                if ledger.record(&entry).is_ok() {
                    recorded.push(entry.id);
                    if matches!(end, End::Killed) {
                        kept.insert(entry.id);
                    }
                }
                if step % 3 == 2 && now(ledger.flush()).is_ok() {
                    kept.extend(recorded.iter().copied());
                }
                if step % 5 == 4 {
                    clock.advance(std::time::Duration::from_secs(7 * 3_600));
                    let _ = now(ledger.query(&Query::new()));
                }
            }
        }
        calls = calls.max(disk.calls());
        match end {
            End::Killed => disk.kill(),
            End::WithoutPower { torn } => disk.lose_power(torn),
        }
    }
    let ledger = open(&disk, &clock).unwrap();
    let found = consistent(&ledger);
    for entry in &found {
        assert_eq!(Some(entry), tried.get(&entry.id), "nothing that was not recorded");
    }
    let ids: BTreeSet<EntryId> = found.iter().map(|entry| entry.id).collect();
    assert!(
        kept.is_subset(&ids),
        "call {call}, {end:?}: {} of {} entries are lost",
        kept.difference(&ids).count(),
        kept.len()
    );
    drop(ledger);
    let again = open(&disk, &clock).unwrap();
    assert_eq!(again.recovery().torn.len(), 0, "call {call}, {end:?}");
    assert_eq!(consistent(&again), found);
    calls
}

/// `THRIFTY_CRASH_POINTS=10000 cargo test --release --lib crash_points` runs as many as it says; by default 400.
#[test]
fn no_acknowledged_entry_is_lost_at_any_of_many_crash_points() {
    let points = at_crash_points(dies_at);
    println!("goal ledger/crash-points: {points} (10000), nothing acknowledged was lost");
}

#[test]
fn a_disk_whose_syncs_fail_loses_nothing_that_was_flushed_later() {
    for torn in 0..20 {
        let (disk, clock) = (MemoryDisk::default(), ManualClock::new(NOW));
        let ledger = open(&disk, &clock).unwrap();
        let first = entry_at(NOW, 1);
        ledger.record(&first).unwrap();
        disk.set_syncs_fail(true);
        let second = entry_at(NOW, 10);
        for _ in 0..3 {
            let error = now(ledger.flush()).unwrap_err();
            assert!(
                matches!(
                    error,
                    LedgerError::Io {
                        action: "sync" | "sync the directory",
                        ..
                    }
                ),
                "{error}"
            );
            let _ = ledger.record(&second).unwrap();
            assert_eq!(consistent(&ledger), [Arc::clone(&first), Arc::clone(&second)]);
        }
        disk.set_syncs_fail(false);
        now(ledger.flush()).unwrap();
        assert_eq!(consistent(&ledger), [Arc::clone(&first), Arc::clone(&second)]);
        disk.lose_power(torn);
        let ledger = open(&disk, &clock).unwrap();
        assert_eq!(consistent(&ledger), [first, second]);
    }
}

#[test]
fn an_open_ledger_and_its_neighbour_see_what_was_written_again() {
    for torn in 0..20 {
        let (disk, clock) = (MemoryDisk::default(), ManualClock::new(NOW));
        let (ledger, neighbour) = (open(&disk, &clock).unwrap(), open(&disk, &clock).unwrap());
        let mut entries = vec![entry_at(NOW, 1)];
        ledger.record(&entries[0]).unwrap();
        now(ledger.flush()).unwrap();
        for round in 0..3 {
            entries.push(entry_at(NOW, 10 + round));
            ledger.record(&entries[entries.len() - 1]).unwrap();
            // Both have read the segment that is about to be given up.
            assert_eq!(consistent(&ledger), entries);
            assert_eq!(consistent(&neighbour), entries);
            disk.set_syncs_fail(true);
            for _ in 0..4 {
                assert!(now(ledger.flush()).is_err());
                assert_eq!(consistent(&ledger), entries);
                assert_eq!(consistent(&neighbour), entries);
                assert!(
                    ledger.inner.layout.segments().unwrap().len() <= 4,
                    "no copy stays for each try"
                );
            }
            disk.set_syncs_fail(false);
            now(ledger.flush()).unwrap();
            assert_eq!(consistent(&ledger), entries);
            assert_eq!(consistent(&neighbour), entries);
        }
        drop((ledger, neighbour));
        disk.lose_power(torn);
        assert_eq!(consistent(&open(&disk, &clock).unwrap()), entries);
    }
}

#[test]
fn a_hole_that_a_loss_of_power_left_is_cut_off_with_what_follows() {
    let (good, path) = written(5);
    let clock = ManualClock::new(NOW);
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &good).collect();
    let mut bad = good.clone();
    bad[ends[2] + 5..ends[3] - 30].fill(0);
    let disk = disk_with(&bad, &path);
    let ledger = open(&disk, &clock).unwrap();
    assert_eq!(consistent(&ledger).len(), 2);
    let [tail] = &ledger.recovery().torn[..] else {
        panic!("{:?}", ledger.recovery());
    };
    assert!(bad.ends_with(&disk.get(&tail.kept_in)));
}

#[test]
fn a_call_that_fails_once_loses_nothing_acknowledged() {
    for call in 0..150 {
        let (disk, clock) = (MemoryDisk::default(), ManualClock::new(NOW));
        disk.fail_after(call);
        let mut acknowledged = BTreeSet::new();
        for _ in 0..2 {
            let Ok(ledger) = open(&disk, &clock) else {
                continue;
            };
            for step in 0..10 {
                let entry = entry_at(NOW, 1 << step);
                if ledger.record(&entry).is_ok() {
                    acknowledged.insert(entry.id);
                }
                let _ = now(ledger.flush());
            }
        }
        disk.kill();
        let ledger = open(&disk, &clock).unwrap();
        let found: BTreeSet<EntryId> = consistent(&ledger).iter().map(|entry| entry.id).collect();
        assert_eq!(found, acknowledged, "failed at call {call}");
    }
}

/// Returns the one segment of a ledger with so many entries, and its path.
fn written(entries: u32) -> (Vec<u8>, PathBuf) {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::new(NOW));
    let ledger = FileLedger::builder()
        .with_disk(disk.clone())
        .with_clock(clock.clone())
        .with_sync(SyncPolicy::OnFlush)
        .open(ROOT)
        .unwrap();
    for index in 0..entries {
        ledger.record(&entry_at(NOW, 10_i64.pow(index))).unwrap();
    }
    let segment = ledger.inner.layout.segments().unwrap().remove(0);
    (disk.get(&segment), segment)
}

fn disk_with(segment: &[u8], path: &Path) -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.put(path, segment);
    disk
}

#[test]
fn a_segment_cut_at_any_byte_keeps_its_whole_lines() {
    let (good, path) = written(4);
    let clock = ManualClock::new(NOW);
    for length in 0..=good.len() {
        let (kept, _) = good.split_at(length);
        let disk = disk_with(kept, &path);
        let ledger = open(&disk, &clock).unwrap();

        let whole = memchr::memchr_iter(b'\n', kept).count();
        let torn = kept.rsplit(|byte| *byte == b'\n').next().unwrap();
        let entries = whole.saturating_sub(1);
        assert_eq!(ledger.recovery().entries, entries as u64, "{length}");
        assert_eq!(consistent(&ledger).len(), entries, "{length}");
        match &ledger.recovery().torn[..] {
            [] => assert!(torn.is_empty() && whole > 0, "{length}"),
            [tail] => {
                assert_eq!(tail.bytes, torn.len() as u64);
                assert_eq!(disk.get(&tail.kept_in), torn);
            }
            more => panic!("{more:?}"),
        }
        let again = open(&disk, &clock).unwrap();
        assert!(again.recovery().torn.is_empty(), "{length}");
        assert_eq!(consistent(&again).len(), entries);
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let (good, path) = written(3);
    let clock = ManualClock::new(NOW);
    let last_line = good[..good.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let disk = disk_with(&bad, &path);
        if let Ok(ledger) = open(&disk, &clock) {
            let [tail] = &ledger.recovery().torn[..] else {
                panic!("bit {bit} was not noticed");
            };
            // Only damage to the last line can be the torn end of a write.
            assert!(bit / 8 >= last_line, "bit {bit}");
            assert!(bad.ends_with(&disk.get(&tail.kept_in)));
        }
    }
}

#[test]
fn a_bit_that_flips_after_sealing_is_found_by_verifying() {
    let (good, path) = written(3);
    let clock = ManualClock::new(NOW);
    let sealed = disk_with(&good, &path);
    drop(open(&sealed, &clock).unwrap());
    let sidecar = Path::new(ROOT).join("rollups").join(path.file_name().unwrap());
    let sums = sealed.get(&sidecar);
    let header = memchr::memchr(b'\n', &good).unwrap();
    for bit in (header + 1) * 8..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let disk = disk_with(&bad, &path);
        disk.put(&sidecar, &sums);
        let ledger = open(&disk, &clock).unwrap();
        let found = now(ledger.verify()).unwrap();
        assert_eq!(found.differences.len(), 1, "bit {bit}");
    }
    for bit in 0..sums.len() * 8 {
        let mut bad = sums.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let disk = disk_with(&good, &path);
        disk.put(&sidecar, &bad);
        let noticed = open(&disk, &clock).and_then(|ledger| now(ledger.verify()));
        assert!(noticed.is_err(), "bit {bit} of the sums");
    }
}

#[test]
fn deleted_and_swapped_lines_are_found() {
    let (good, path) = written(4);
    let clock = ManualClock::new(NOW);
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let reordered = [
        [lines[0], lines[2], lines[3], lines[4]].concat(),
        [lines[0], lines[1], lines[3], lines[4]].concat(),
        [lines[0], lines[2], lines[1], lines[3], lines[4]].concat(),
        [lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]].concat(),
    ];
    for bad in reordered {
        let error = open(&disk_with(&bad, &path), &clock).unwrap_err();
        assert!(matches!(error, LedgerError::BadLine { .. }), "{error}");
    }
}
