//! The ledger in memory against one that keeps everything.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use proptest::prelude::*;
use proptest::sample::select;

use super::row_tests;
use super::*;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Adjusted, Dimension, HashKey};
use crate::money::Usd;
use crate::pricing::Cost;

const QUARTER_MS: i64 = 900_000;

fn entry(pico: i64) -> LedgerEntry {
    let at = Timestamp::from_unix_millis(1_790_000_000_000);
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Embeddings);
    entry.cost = Cost::Priced(Usd::from_pico(pico));
    entry
}

fn ledger(capacity: usize, most_idle_cells: usize) -> InMemoryLedger {
    let capacity = NonZeroUsize::new(capacity).unwrap();
    InMemoryLedger {
        capacity,
        hash_key: HashKey::random(),
        state: Mutex::new(State::new(capacity.get(), most_idle_cells)),
    }
}

fn all(ledger: &InMemoryLedger) -> Vec<Arc<LedgerEntry>> {
    let entries = ledger.scan(&Filter::default()).try_collect();
    futures_util::FutureExt::now_or_never(entries).unwrap().unwrap()
}

fn ask(ledger: &InMemoryLedger, query: &Query) -> Summary {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ledger.query(query)).unwrap()
}

fn tally<'a>(query: &Query, entries: impl IntoIterator<Item = &'a LedgerEntry>) -> Summary {
    let mut tally = Tally::new(query);
    entries.into_iter().for_each(|entry| tally.add(entry));
    tally.finish()
}

fn totals<'a>(entries: impl IntoIterator<Item = &'a LedgerEntry>) -> Totals {
    let mut totals = Totals::default();
    entries.into_iter().for_each(|entry| totals.add(entry));
    totals
}

#[test]
fn what_is_pushed_out_stays_in_the_sums() {
    let ledger = ledger(2, 100);
    for (pico, feature) in [(1, "a"), (10, "b"), (100, "b"), (1_000, "b")] {
        let mut entry = entry(pico);
        entry.attribution = Attribution::default().with_feature(feature).with_user("u");
        ledger.record(&Arc::new(entry)).unwrap();
    }
    let costs = |summary: &Summary| -> Vec<(String, i128)> {
        let groups = summary.groups.iter();
        let cost = |group: &crate::ledger::Group| group.totals.cost.as_pico();
        groups
            .map(|group| (group.keys[0].clone().unwrap().to_string(), cost(group)))
            .collect()
    };
    let by_feature = ask(&ledger, &Query::new().group_by(Dimension::Feature));
    assert_eq!(costs(&by_feature), [("b".to_owned(), 1_110), ("a".to_owned(), 1)]);
    assert_eq!(by_feature.evicted, Totals::default());

    let by_user = Query::new().group_by(Dimension::User);
    let summary = ask(&ledger, &by_user);
    assert_eq!(costs(&summary), [("u".to_owned(), 1_100)]);
    assert_eq!((summary.evicted.calls, summary.evicted.cost.as_pico()), (2, 11));
    let of_b = by_user.with_filter(Filter::default().with_feature("b"));
    assert_eq!(ask(&ledger, &of_b).evicted.cost.as_pico(), 10);
}

#[test]
fn a_conflict_leaves_the_first_entry() {
    let ledger = InMemoryLedger::new();
    let first = Arc::new(entry(5));
    let mut second = (*first).clone();
    second.cost = Cost::Priced(Usd::from_pico(6));
    assert_eq!(ledger.record(&first).unwrap(), Recorded::Stored);
    assert_eq!(ledger.record(&first).unwrap(), Recorded::Duplicate);
    let error = ledger.record(&Arc::new(second)).unwrap_err();
    assert!(matches!(error, LedgerError::Conflict { id } if id == first.id));
    assert_eq!(all(&ledger), [Arc::clone(&first)]);
    assert_eq!(ask(&ledger, &Query::new()).total, totals([&*first]));
}

#[test]
fn entries_in_any_order_are_sorted_found_and_pushed_out_by_id() {
    let mut random = fastrand::Rng::with_seed(7);
    for capacity in [1, 3, 300, 2_000] {
        let ledger = ledger(capacity, 100);
        let mut entries: Vec<_> = (0..3_000).map(|pico| Arc::new(entry(pico))).collect();
        // Mostly in order, with stretches that are not, and some of before all others.
        entries[500..1_500].reverse();
        random.shuffle(&mut entries[1_500..2_500]);
        entries.rotate_right(200);
        let mut kept = BTreeMap::new();
        for (count, entry) in entries.iter().enumerate() {
            assert_eq!(ledger.record(entry).unwrap(), Recorded::Stored);
            kept.insert(entry.id, Arc::clone(entry));
            if kept.len() > capacity {
                kept.pop_first();
            }
            if count % 500 == 0 {
                assert!(all(&ledger).iter().eq(kept.values()), "{count} of {capacity}");
            }
        }
        assert!(all(&ledger).iter().eq(kept.values()));
        for entry in kept.values() {
            assert_eq!(ledger.record(entry).unwrap(), Recorded::Duplicate);
        }
        let sum = ask(&ledger, &Query::new());
        assert_eq!(
            (sum.total.calls, sum.total.cost.as_pico()),
            (3_000, 2_999 * 1_500)
        );
    }
}

#[test]
fn a_snapshot_is_not_changed_by_what_is_recorded_after_it() {
    let ledger = ledger(300, 0);
    let named = |pico: i64| {
        let mut entry = entry(pico);
        entry.attribution = Attribution::default().with_user(format!("user {pico}"));
        Arc::new(entry)
    };
    let entries: Vec<_> = (0..300).map(named).collect();
    for entry in &entries {
        ledger.record(entry).unwrap();
    }
    let query = Query::new().group_by(Dimension::User);
    let (answer, rows) = ledger.state().answer(&query);
    for pico in 300..900 {
        ledger.record(&named(pico)).unwrap();
    }
    let read: Vec<_> = rows.chunks(&answer.wanted).flatten().map(Arc::new).collect();
    assert_eq!(read, entries);
    assert_eq!(
        answer.parts[0].totals,
        totals(entries.iter().map(|entry| &**entry))
    );
}

#[test]
fn old_sums_are_given_up_beyond_their_bound() {
    let ledger = ledger(1, 8);
    let mut entries = Vec::new();
    for hour in 0..100 {
        let mut entry = entry(1 << (hour % 50));
        entry.at = Timestamp::from_unix_millis(hour * 4 * QUARTER_MS);
        ledger.record(&Arc::new(entry.clone())).unwrap();
        entries.push(entry);
        let summary = ask(&ledger, &Query::new().group_by(Dimension::Hour));
        assert!(summary.groups.len() <= 9 && summary.groups.len() >= entries.len().min(6));
        let mut sum = summary.total;
        sum.merge(&summary.evicted);
        assert_eq!(sum, totals(&entries));
    }
    // The newest are still told apart, and what was given up is of before them.
    let from = entries[98].at;
    let query = Query::new().with_filter(Filter::default().with_from(from));
    let recent = ask(&ledger, &query);
    assert_eq!(
        (recent.total, recent.evicted),
        (totals(&entries[98..]), Totals::default())
    );
    assert!(ledger.state().names_and_cells().1 <= 9);

    // A correction of the first entry takes back what is in that sum.
    let mut corrected = entries[0].clone();
    corrected.id = entry(0).id;
    corrected.cost = Cost::Priced(Usd::from_pico(9));
    corrected.adjusts = Some(Box::new(Adjusted {
        entry: entries[0].id,
        cost: entries[0].cost,
        price_source: None,
        baseline: None,
    }));
    ledger.record(&Arc::new(corrected.clone())).unwrap();
    entries.push(corrected);
    let mut sum = ask(&ledger, &Query::new().group_by(Dimension::Hour));
    assert!(sum.groups.iter().all(|group| group.totals.calls == 1));
    sum.total.merge(&sum.evicted);
    assert_eq!(sum.total, totals(&entries));
}

#[test]
fn names_of_entries_that_are_gone_are_forgotten() {
    let ledger = ledger(10, 10);
    for index in 0..1_000 {
        let mut entry = entry(index);
        entry.attribution = Attribution::default()
            .with_feature(format!("feature {index}"))
            .with_user(format!("user {index}"))
            .with_tag("index", index.to_string());
        entry.reason = Some(format!("reason {index}").into());
        ledger.record(&Arc::new(entry)).unwrap();
    }
    // Four names of each kept entry; the sums keep features.
    assert_eq!(all(&ledger).len(), 10);
    let (names, cells) = ledger.state().names_and_cells();
    assert!(names <= 40 + 10 && cells <= 20, "{names} names, {cells} sums");
}

/// An entry that shares its names and its quarter of an hour with some of the others.
fn related() -> impl Strategy<Value = LedgerEntry> {
    let at = (0..4 * QUARTER_MS).prop_map(Timestamp::from_unix_millis);
    let names = (
        select(vec![None, Some("a"), Some("b")]),
        select(vec![None, Some("u"), Some("v")]),
    );
    (row_tests::entry(), at, names).prop_map(|(mut entry, at, (feature, user))| {
        entry.at = at;
        let name = |name: Option<&'static str>| name.map(Arc::from);
        entry.attribution = Attribution::from_parts(name(feature), name(user), None);
        entry
    })
}

fn query() -> impl Strategy<Value = Query> {
    use Dimension::{Day, Feature, Hour, Model, Role, Source, Status, Tag, User};
    let by = select(vec![
        Day,
        Feature,
        Hour,
        Model,
        Role,
        Source,
        Status,
        Tag("t".into()),
        User,
        Dimension::Lane,
    ]);
    let moment = || proptest::option::of((0..4 * QUARTER_MS, any::<bool>()));
    let name = |name: &'static str| proptest::option::weighted(0.3, Just(Arc::from(name)));
    let lane = proptest::option::weighted(0.2, select(Lane::ALL.to_vec()));
    (
        prop::collection::vec(by, 0..3),
        moment(),
        moment(),
        name("a"),
        name("u"),
        lane,
    )
        .prop_map(|(group_by, from, to, feature, user, lane)| {
            let at = |(ms, whole): (i64, bool)| {
                Timestamp::from_unix_millis(if whole { ms / QUARTER_MS * QUARTER_MS } else { ms })
            };
            let filter = Filter {
                feature,
                user,
                lane,
                from: from.map(at),
                to: to.map(at),
                ..Filter::default()
            };
            Query { group_by, filter }
        })
}

/// Whether the sums know what a query asks of an entry: `None` if they know that it does not match.
fn is_told(query: &Query, entry: &LedgerEntry) -> Option<bool> {
    use Dimension::{Role, Status, Tag, User};
    let filter = &query.filter;
    let quarter = entry.at.as_unix_millis() / QUARTER_MS * QUARTER_MS;
    let from = filter.from.map_or(i64::MIN, Timestamp::as_unix_millis);
    let to = filter.to.map_or(i64::MAX, Timestamp::as_unix_millis);
    let by_names = Filter {
        user: None,
        from: None,
        to: None,
        ..filter.clone()
    };
    if !by_names.matches(entry) || quarter + QUARTER_MS <= from || quarter >= to {
        return None;
    }
    let split = query
        .group_by
        .iter()
        .all(|by| !matches!(by, User | Status | Role | Tag(_)));
    Some(filter.user.is_none() && split && from <= quarter && quarter + QUARTER_MS <= to)
}

proptest! {
    #[test]
    fn every_entry_is_in_a_group_or_among_the_evicted(
        entries in prop::collection::vec(related(), 0..40), capacity in 1_usize..30,
        queries in prop::collection::vec(query(), 1..6),
    ) {
        let ledger = ledger(capacity, 1_000);
        let (mut kept, mut gone) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            if kept.contains_key(&entry.id) {
                continue;
            }
            ledger.record(&Arc::new(entry.clone())).unwrap();
            kept.insert(entry.id, entry);
            if kept.len() > capacity {
                gone.extend(kept.pop_first().map(|(_, entry)| entry));
            }
        }
        let scanned = all(&ledger);
        prop_assert!(scanned.iter().map(|entry| &**entry).eq(kept.values()));
        for query in queries {
            let asked = &query;
            let told = |wanted| gone.iter().filter(move |entry| is_told(asked, entry) == Some(wanted));
            let mut wanted = tally(&query, kept.values().chain(told(true)));
            wanted.evicted = totals(told(false));
            prop_assert_eq!(ask(&ledger, &query), wanted);
        }
    }

    #[test]
    fn any_entry_is_kept_and_counted(entries in prop::collection::vec(row_tests::entry(), 0..20)) {
        let ledger = InMemoryLedger::new();
        for entry in &entries {
            // Two of them can have the same id.
            ledger.record(&Arc::new(entry.clone())).ok();
        }
        let kept = all(&ledger);
        for entry in &kept {
            prop_assert!(entries.contains(entry));
        }
        for by in [Dimension::Feature, Dimension::Source, Dimension::User] {
            let query = Query::new().group_by(by);
            prop_assert_eq!(ask(&ledger, &query), tally(&query, kept.iter().map(|entry| &**entry)));
        }
    }
}
