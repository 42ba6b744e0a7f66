//! What sealing changes, which is only how fast a question is answered.

use std::fs;
use std::num::NonZeroU64;
use std::time::Duration;

use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::tests::{NOW, entry_at, quiet};
use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::id::EntryId;
use crate::lane::Lane;
use crate::ledger::clues::ClueFinder;
use crate::ledger::{BodyHash, Clue, Dimension, Status};
use crate::pricing::{Cost, UnpricedReason};

const HOUR: Duration = Duration::from_secs(3_600);

/// Settings that seal after every few entries.
fn small() -> FileLedgerBuilder {
    quiet().with_segment_bytes(NonZeroU64::new(2_000).unwrap())
}

/// An entry whose names, amounts and time follow from its number.
pub(super) fn varied(number: u32, at: Timestamp) -> Arc<LedgerEntry> {
    let mut entry = LedgerEntry::clone(&entry_at(at, i64::from(number) * 1_001));
    entry.attribution = entry
        .attribution
        .with_feature(format!("feature \"{}\"", number % 3))
        .with_user(format!("user {}", number % 5));
    entry.served_model = Some(["gpt-4o", "gpt-4o-mini"][number as usize % 2].into());
    entry.lane = Lane::ALL[number as usize % 4];
    entry.status = [Status::Succeeded, Status::Failed][usize::from(number.is_multiple_of(7))];
    entry.latency_ms = Some(u64::from(number) * 3);
    if number.is_multiple_of(4) {
        entry.cost = Cost::Unpriced(UnpricedReason::UnknownModel);
    }
    Arc::new(entry)
}

/// The same, but every eleventh corrects what one like it was booked at before.
pub(super) fn corrected(number: u32, at: Timestamp) -> Arc<LedgerEntry> {
    let mut entry = LedgerEntry::clone(&varied(number, at));
    if number % 11 == 3 {
        let before = entry.cost;
        entry.cost = Cost::Priced(crate::money::Usd::from_pico(7));
        entry.price_source = Some(crate::pricing::PriceSource::Own);
        entry.adjusts = Some(Box::new(crate::ledger::Adjusted {
            entry: EntryId::new(at),
            cost: before,
            price_source: None,
            baseline: None,
        }));
    }
    Arc::new(entry)
}

fn queries() -> Vec<Query> {
    use Dimension::{Day, Feature, Hour, Lane as ByLane, Model, Source, User};
    let at = |minutes: i64| Timestamp::from_unix_millis(NOW.as_unix_millis() + minutes * 60_000);
    let filters = [
        Filter::default(),
        Filter::default()
            .with_feature("feature \"1\"")
            .with_lane(Lane::Batch),
        Filter::default().with_model("gpt-4o-mini"),
        Filter::default().with_user("user 2"),
        Filter::default().with_from(at(100)).with_to(at(3_000)),
        Filter::default().with_from(Timestamp::from_unix_millis(1_790_035_200_000)),
        Filter::default().with_to(Timestamp::from_unix_millis(1_790_100_000_000)),
        Filter::default().with_from(at(1_000_000)),
    ];
    let splits = [
        vec![],
        vec![Feature, Model, ByLane, Day],
        vec![Source, Hour],
        vec![User, Day],
    ];
    let all = filters.iter().flat_map(|filter| {
        splits.iter().map(|split| {
            let query = Query::new().with_filter(filter.clone());
            split.iter().cloned().fold(query, Query::group_by)
        })
    });
    all.collect()
}

async fn agrees_with(ledger: &FileLedger, entries: &[Arc<LedgerEntry>]) {
    for query in queries() {
        let mut tally = Tally::new(&query);
        for entry in entries {
            tally.add(entry);
        }
        assert_eq!(ledger.query(&query).await.unwrap(), tally.finish(), "{query:?}");
    }
    let found: Vec<_> = ledger.scan(&Filter::default()).try_collect().await.unwrap();
    assert_eq!(found, entries);
    let verified = ledger.verify().await.unwrap();
    assert_eq!(verified.differences, []);
}

#[tokio::test]
async fn sealed_segments_answer_as_open_ones_do() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let ledger = small().with_clock(clock.clone()).open(dir.path()).unwrap();
    let mut entries = Vec::new();
    for number in 0..120 {
        let entry = corrected(number, clock.now());
        ledger.record(&entry).unwrap();
        entries.push(entry);
        clock.advance(HOUR / 2);
        if number % 10 == 9 {
            ledger.flush().await.unwrap();
            agrees_with(&ledger, &entries).await;
        }
    }
    let sealed = ledger.verify().await.unwrap();
    assert!(sealed.segments > 10 && sealed.entries > 100, "{sealed:?}");
    drop(ledger);
    let reopened = small().with_clock(clock).open(dir.path()).unwrap();
    agrees_with(&reopened, &entries).await;
    let recovery = reopened.recovery();
    assert!(
        recovery.sealed_segments > 10 && recovery.checked_segments <= 1,
        "{recovery:?}"
    );
}

/// An entry that asks the same as every third one before it, and allows much more output than it uses.
fn telling(number: u32, at: Timestamp) -> Arc<LedgerEntry> {
    let mut entry = LedgerEntry::clone(&varied(number, at));
    entry.status = Status::Succeeded;
    entry.usage = Some(crate::usage::Usage::new(100_000, 10));
    entry.body_hash = Some(BodyHash::from_bits((number % 3).into()));
    entry.prefix_hash = Some(BodyHash::from_bits(7));
    entry.max_output_tokens = Some(4_096);
    Arc::new(entry)
}

#[tokio::test]
async fn clues_are_read_from_beside_a_sealed_segment() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let open = || quiet().with_clock(clock.clone()).open(dir.path()).unwrap();
    let ledger = open();
    let mut finder = ClueFinder::default();
    for number in 0..120 {
        let entry = telling(number, clock.now());
        ledger.record(&entry).unwrap();
        finder.add(&entry);
        clock.advance(HOUR / 120);
    }
    let (all, kinds) = (finder.finish(), |clues: &[Clue]| {
        let mut kinds: Vec<_> = clues.iter().map(|clue| clue.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.len()
    });
    assert_eq!(kinds(&all), 4);
    let cost = |clues: &[Clue]| {
        let mut sum = crate::ledger::Totals::default();
        for clue in clues {
            sum.merge(&clue.totals);
        }
        sum.cost
    };
    let open_clues = ledger.clues(&Filter::default()).await.unwrap();
    assert_eq!(open_clues, all);
    drop(ledger);
    let ledger = open();
    assert_eq!(ledger.recovery().checked_segments, 1);
    let segments = ledger.inner.layout.segments().unwrap();
    assert_eq!(ledger.clues(&Filter::default()).await.unwrap(), all);
    let of_feature = Filter::default().with_feature("feature \"1\"");
    let part: Vec<_> = all
        .iter()
        .filter(|clue| clue.feature == of_feature.feature)
        .cloned()
        .collect();
    assert!(!part.is_empty());
    assert_eq!(ledger.clues(&of_feature).await.unwrap(), part);
    // What days and names do not tell is read.
    for filter in [
        Filter::default().with_from(NOW.saturating_add(HOUR / 4)),
        Filter::default().with_user("user 1"),
    ] {
        let mut finder = ClueFinder::default();
        let entries: Vec<Arc<LedgerEntry>> = ledger.scan(&filter).try_collect().await.unwrap();
        for entry in &entries {
            finder.add(entry);
        }
        let found = ledger.clues(&filter).await.unwrap();
        assert_eq!(
            (cost(&found), found.len()),
            (cost(&finder.finish()), finder.finish().len())
        );
        assert!(!found.is_empty());
    }
    assert_eq!(ledger.verify().await.unwrap().differences, []);
    for segment in segments {
        fs::remove_file(segment).unwrap();
    }
    assert_eq!(ledger.clues(&Filter::default()).await.unwrap(), all);
}

#[tokio::test]
async fn a_segment_ends_at_midnight() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let ledger = quiet().with_clock(clock.clone()).open(dir.path()).unwrap();
    ledger.record(&entry_at(clock.now(), 1)).unwrap();
    clock.advance(HOUR);
    ledger.record(&entry_at(clock.now(), 1)).unwrap();
    assert_eq!(ledger.inner.layout.segments().unwrap().len(), 1);
    clock.advance(24 * HOUR);
    ledger.record(&entry_at(clock.now(), 1)).unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(ledger.inner.layout.segments().unwrap().len(), 2);
    assert_eq!(ledger.inner.layout.sidecars().unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_of_two_segments_counts_once_whichever_is_sealed_first() {
    for second_first in [false, true] {
        let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
        let [one, two] = [(); 2].map(|()| small().with_clock(clock.clone()).open(dir.path()).unwrap());
        let both = varied(1, NOW);
        let mut entries = vec![Arc::clone(&both)];
        one.record(&both).unwrap();
        two.record(&both).unwrap();
        let other = if second_first { &two } else { &one };
        for number in 2..12 {
            let entry = varied(number, clock.now());
            other.record(&entry).unwrap();
            entries.push(entry);
        }
        other.flush().await.unwrap();
        for ledger in [&one, &two] {
            let summary = ledger.query(&Query::new()).await.unwrap();
            assert_eq!(summary.total.calls, 11);
        }
        drop((one, two));
        let reopened = small().with_clock(clock).open(dir.path()).unwrap();
        let mut found: Vec<_> = reopened.scan(&Filter::default()).try_collect().await.unwrap();
        found.sort_by_key(|entry: &Arc<LedgerEntry>| entry.id);
        assert_eq!(found, entries);
        assert_eq!(reopened.query(&Query::new()).await.unwrap().total.calls, 11);
        assert_eq!(reopened.verify().await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn an_entry_of_two_segments_still_counts_once_after_the_sums_of_one_were_deleted() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let open = || small().with_clock(clock.clone()).open(dir.path()).unwrap();
    let [one, two] = [open(), open()];
    let both = varied(1, NOW);
    one.record(&both).unwrap();
    two.record(&both).unwrap();
    drop((one, two));
    drop(open());
    let sidecars = fs::read_dir(dir.path().join("rollups")).unwrap();
    let mut sidecars: Vec<_> = sidecars.map(|sidecar| sidecar.unwrap().path()).collect();
    sidecars.sort();
    for sidecar in &sidecars {
        fs::remove_file(sidecar).unwrap();
        let ledger = open();
        assert_eq!(ledger.query(&Query::new()).await.unwrap().total.calls, 1);
        assert_eq!(ledger.verify().await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn an_id_is_known_again_after_the_ledger_was_opened_again() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let ledger = small().with_clock(clock.clone()).open(dir.path()).unwrap();
    let entries: Vec<_> = (0..30).map(|number| varied(number, NOW)).collect();
    for entry in &entries {
        assert_eq!(ledger.record(entry).unwrap(), Recorded::Stored);
    }
    ledger.flush().await.unwrap();
    drop(ledger);
    clock.advance(23 * HOUR);
    let ledger = small().with_clock(clock.clone()).open(dir.path()).unwrap();
    for entry in &entries {
        assert_eq!(ledger.record(entry).unwrap(), Recorded::Duplicate);
        let mut other = LedgerEntry::clone(entry);
        other.attempts += 1;
        let error = ledger.record(&Arc::new(other)).unwrap_err();
        assert!(matches!(error, LedgerError::Conflict { id } if id == entry.id));
    }
    assert_eq!(ledger.query(&Query::new()).await.unwrap().total.calls, 30);
}

#[tokio::test]
async fn an_entry_from_before_yesterday_is_refused_unless_it_is_known() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let ledger = quiet().with_clock(clock.clone()).open(dir.path()).unwrap();
    let (known, late) = (varied(1, NOW), varied(2, NOW));
    ledger.record(&known).unwrap();
    clock.advance(25 * HOUR);
    assert_eq!(ledger.record(&known).unwrap(), Recorded::Duplicate);
    let error = ledger.record(&late).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the entry {} was made too long ago to be recorded now", late.id)
    );
    clock.set(NOW);
    ledger.record(&late).unwrap();
    assert_eq!(ledger.query(&Query::new()).await.unwrap().total.calls, 2);
}

#[tokio::test]
async fn sums_outlive_their_entries() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let settings = || small().with_clock(clock.clone()).with_retention(72 * HOUR);
    let ledger = settings().open(dir.path()).unwrap();
    for number in 0..40 {
        ledger.record(&varied(number, clock.now())).unwrap();
    }
    ledger.flush().await.unwrap();
    let by_feature = Query::new().group_by(Dimension::Feature);
    let before = ledger.query(&by_feature).await.unwrap();
    clock.advance(100 * HOUR);
    let last = varied(40, clock.now());
    ledger.record(&last).unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(ledger.inner.layout.segments().unwrap().len(), 1);

    let after = ledger.query(&by_feature).await.unwrap();
    assert_eq!(after.total.calls, before.total.calls + 1);
    assert_eq!(after.total.cost, before.total.cost, "the last one is unpriced");
    let by_user = ledger
        .query(&Query::new().group_by(Dimension::User))
        .await
        .unwrap();
    assert_eq!((by_user.total.calls, by_user.evicted.calls), (1, 40));
    assert_eq!(by_user.evicted.cost, before.total.cost);
    drop(ledger);
    let reopened = settings().open(dir.path()).unwrap();
    assert_eq!(reopened.query(&by_feature).await.unwrap(), after);
    let left: Vec<_> = reopened.scan(&Filter::default()).try_collect().await.unwrap();
    assert_eq!(left, [last]);
}

#[tokio::test]
async fn damaged_lines_can_be_left_out_and_are_counted() {
    let dir = TempDir::new().unwrap();
    let ledger = quiet().open(dir.path()).unwrap();
    let entries: Vec<_> = (0..6).map(|number| varied(number, NOW)).collect();
    for entry in &entries {
        ledger.record(entry).unwrap();
    }
    let segment = ledger.inner.layout.segments().unwrap().remove(0);
    drop(ledger);
    let mut bytes = fs::read(&segment).unwrap();
    let third = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(2);
    let start = third.unwrap().0 + 1;
    bytes[start + 60] ^= 4;
    fs::write(&segment, &bytes).unwrap();

    assert!(matches!(
        quiet().open(dir.path()),
        Err(LedgerError::BadLine { line: 4, .. })
    ));
    let lenient = || {
        quiet()
            .with_damaged_lines(DamagedLines::Quarantine)
            .open(dir.path())
            .unwrap()
    };
    for _ in 0..2 {
        let ledger = lenient();
        let summary = ledger
            .query(&Query::new().group_by(Dimension::User))
            .await
            .unwrap();
        assert_eq!((summary.total.calls, summary.bad_lines), (5, 1));
        let found: Vec<_> = ledger.scan(&Filter::default()).try_collect().await.unwrap();
        let whole = entries
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 2)
            .map(|(_, entry)| entry);
        assert!(found.iter().eq(whole));
        assert_eq!(ledger.verify().await.unwrap().differences, []);
        let kept: Vec<_> = fs::read_dir(dir.path().join("quarantine")).unwrap().collect();
        let kept = fs::read(kept[0].as_ref().unwrap().path()).unwrap();
        assert!(bytes[start..].starts_with(&kept));
        assert_eq!(fs::read(&segment).unwrap(), bytes, "the segment stays as it is");
    }
}

#[tokio::test]
async fn a_thread_syncs_and_seals_without_a_flush() {
    let (dir, clock) = (TempDir::new().unwrap(), ManualClock::new(NOW));
    let ledger = small()
        .with_sync(SyncPolicy::Interval(Duration::from_millis(1)))
        .with_clock(clock.clone())
        .open(dir.path())
        .unwrap();
    for number in 0..40 {
        ledger.record(&varied(number, NOW)).unwrap();
    }
    // It is another thread's work: there is nothing to wait for but its effect.
    for _ in 0..2_000 {
        if ledger.inner.writing().is_safe_now() && ledger.inner.layout.sidecars().unwrap().len() > 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(ledger.inner.writing().is_safe_now());
    assert!(ledger.inner.layout.sidecars().unwrap().len() > 3);
    assert_eq!(ledger.query(&Query::new()).await.unwrap().total.calls, 40);
}

#[tokio::test]
async fn a_sidecar_that_was_deleted_is_made_again() {
    let dir = TempDir::new().unwrap();
    let ledger = small().open(dir.path()).unwrap();
    let entries: Vec<_> = (0..30).map(|number| varied(number, NOW)).collect();
    for entry in &entries {
        ledger.record(entry).unwrap();
    }
    ledger.flush().await.unwrap();
    agrees_with(&ledger, &entries).await;
    let sidecars = ledger.inner.layout.sidecars().unwrap();
    let first = fs::read(&sidecars[0]).unwrap();
    fs::remove_file(&sidecars[0]).unwrap();
    agrees_with(&ledger, &entries).await;
    let other = small().open(dir.path()).unwrap();
    assert_eq!(fs::read(&sidecars[0]).unwrap(), first);
    agrees_with(&ledger, &entries).await;
    agrees_with(&other, &entries).await;
}
