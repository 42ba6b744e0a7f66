//! What is left after a process or the power is gone, at any moment, and after syncs that failed.

use std::collections::BTreeMap;

use super::tests::{acknowledged, answered, enqueued, extent, line, load, now, on};
use super::*;
use crate::id::RequestId;
use crate::storage::{End, MemoryDisk, at_crash_points};

/// What was promised of one request.
#[derive(Debug, Clone, Default)]
struct Promised {
    line: Option<Record>,
    answer: Option<Record>,
    /// It was said that nobody needs it; whether that is known is not promised.
    acknowledged: bool,
}

/// One process: enqueues, settles and acknowledges, and notes what was promised.
fn work(store: &FileStore, process: u64, promised: &mut BTreeMap<u64, Promised>) {
    let mut waiting: Vec<(u64, Record)> = Vec::new();
    for step in 0..14_u64 {
        let n = process * 100 + step;
        let mut records = [enqueued(n)];
        let Ok(mut position) = store.append(&mut records) else {
            continue;
        };
        let [record] = records;
        let mut answer = None;
        if step % 4 == 3 {
            let (old, _) = waiting.first().cloned().unwrap_or((n, record.clone()));
            let mut settled = [answered(old)];
            if let Ok(later) = store.append(&mut settled) {
                position = later;
                let [settled] = settled;
                answer = Some((old, settled));
            }
        }
        waiting.push((n, record));
        if step % 3 != 1 && now(store.sync(position)).is_ok() {
            for (n, record) in waiting.drain(..) {
                promised.entry(n).or_default().line = Some(record);
            }
            if let Some((old, settled)) = answer {
                let own = promised.entry(old).or_default();
                own.answer = Some(settled.clone());
                if step % 2 == 1 {
                    own.acknowledged = true;
                    let line = own.line.clone().unwrap();
                    let _ = store.append(&mut [acknowledged(old, &line, &settled)]);
                }
            }
        }
        if step == 9 && process == 1 {
            let mut all = Vec::new();
            if now(store.load(&mut |record| all.push(record))).is_ok() {
                let _ = store.replace(&mut all.into_iter());
            }
        }
    }
}

fn dies_at(call: u64, end: End) -> u64 {
    let disk = MemoryDisk::default();
    let mut promised = BTreeMap::new();
    let mut calls = 0;
    for process in 0..3 {
        if process < 2 && call % 2 == process {
            disk.die_after(call);
        }
        if let Ok(store) = on(&disk)
            && now(store.load(&mut |_| ())).is_ok()
        {
            work(&store, process, &mut promised);
        }
        calls = calls.max(disk.calls());
        match end {
            End::Killed => disk.kill(),
            End::WithoutPower { torn } => disk.lose_power(torn + process),
        }
    }
    let store = on(&disk).unwrap();
    let records = load(&store);
    let mut found: BTreeMap<RequestId, (Option<Record>, Option<Record>, bool)> = BTreeMap::new();
    for record in records {
        match &record {
            Record::Enqueued(request) => found.entry(request.id).or_default().0 = Some(record.clone()),
            Record::Settled { id, .. } => found.entry(*id).or_default().1 = Some(record.clone()),
            Record::Acknowledged { id, .. } => found.entry(*id).or_default().2 = true,
            other => panic!("{other:?}"),
        }
    }
    for (n, own) in &promised {
        let known = found.get(&super::tests::id(*n)).cloned().unwrap_or_default();
        if own.acknowledged {
            continue;
        }
        let at = format!("call {call}, {end:?}, request {n}");
        assert!(!known.2, "{at}: nobody acknowledged it");
        if let Some(record) = &own.line {
            assert_eq!(known.0.as_ref(), Some(record), "{at} is lost");
            assert_eq!(now(store.read(&[extent(record)])).unwrap(), line(*n), "{at}");
        }
        if let Some(answer) = &own.answer {
            assert_eq!(known.1.as_ref(), Some(answer), "{at}: its answer is lost");
            let read = now(store.read(&[extent(answer)])).unwrap();
            assert_eq!(read, format!("{{\"answer\":{n}}}"), "{at}");
        }
    }
    // What was not promised may be there or not, but is never read as something else.
    for (id, (record, _, is_acknowledged)) in &found {
        let Some(record) = record else { continue };
        let n = u64::try_from(u128::from_be_bytes(id.to_bytes()) & 0xffff).unwrap();
        match now(store.read(&[extent(record)])) {
            Ok(read) => assert_eq!(read, line(n)),
            Err(StoreError::Damaged { .. }) => {
                let safe = promised
                    .get(&n)
                    .is_some_and(|own| own.line.is_some() && !own.acknowledged);
                assert!(*is_acknowledged || !safe);
            }
            Err(other) => panic!("{other}"),
        }
    }
    drop(store);
    let again = on(&disk).unwrap();
    assert_eq!(again.recovery_report().torn, [], "call {call}, {end:?}");
    calls
}

/// `THRIFTY_CRASH_POINTS=10000 cargo test --release --lib crash_points` runs as many as it says; by default 400.
#[test]
fn no_promised_request_is_lost_at_any_of_many_crash_points() {
    let points = at_crash_points(dies_at);
    println!("goal batch/crash-points: {points} (10000), nothing promised was lost");
}

#[test]
fn a_disk_whose_syncs_fail_loses_nothing_that_was_synced_later() {
    for torn in 0..20 {
        let disk = MemoryDisk::default();
        let store = on(&disk).unwrap();
        load(&store);
        let mut records = Vec::new();
        for n in 0..8 {
            let mut one = [enqueued(n)];
            let position = store.append(&mut one).unwrap();
            let [one] = one;
            records.push(one);
            disk.set_syncs_fail(n % 3 != 0);
            assert_eq!(now(store.sync(position)).is_ok(), n % 3 == 0);
        }
        disk.set_syncs_fail(false);
        let position = store.append(&mut []).unwrap();
        now(store.sync(position)).unwrap();
        drop(store);
        disk.lose_power(torn);
        let store = on(&disk).unwrap();
        let mut found = load(&store);
        found.dedup();
        assert_eq!(found, records);
        let extents = records.iter().map(extent).collect();
        assert_eq!(now(store.check(extents)).unwrap(), []);
    }
}
