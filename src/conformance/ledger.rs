//! The contract of a ledger, as a test.

use std::sync::Arc;
use std::thread;

use futures_util::TryStreamExt;

use crate::attribution::Attribution;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::clues::ClueFinder;
use crate::ledger::{
    Baseline, BodyHash, CostLedger, Dimension, Filter, LedgerEntry, LedgerError, Query, Recorded, Role,
    Status, Summary, Tally, Totals,
};
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, UnpricedReason};
use crate::usage::Usage;

/// Checks a ledger against the rules of [`CostLedger`]'s contract.
///
/// `make` returns an empty ledger each time it is called; it has to hold at least 1,000 entries. Rule 2 is checked in
/// so far as `record` works without a runtime; that it never waits cannot be seen from outside.
///
/// # Panics
/// If a rule is broken, with its number.
///
/// # Examples
/// ```
/// use thrifty::{conformance, ledger::InMemoryLedger};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// conformance::ledger(async || InMemoryLedger::new()).await;
/// # }
/// ```
pub async fn ledger<L: CostLedger>(make: impl AsyncFn() -> L) {
    an_empty_ledger_answers(&make().await).await;
    records_from_a_drop_without_a_runtime(make().await).await;
    stores_an_entry_once(&make().await).await;
    records_from_many_threads(&make().await).await;
    gives_back_what_was_recorded(&make().await).await;
    a_summary_is_a_fold_of_its_entries(&make().await).await;
    clues_are_of_entries_that_match(&make().await).await;
}

async fn an_empty_ledger_answers(ledger: &impl CostLedger) {
    ok(5, ledger.flush().await);
    let summary = ok(6, ledger.query(&Query::new().group_by(Dimension::Feature)).await);
    assert_eq!(
        summary,
        Summary::default(),
        "rule 6: an empty ledger has no groups"
    );
    assert!(
        all(ledger, &Filter::default()).await.is_empty(),
        "rule 6: nothing to scan"
    );
}

async fn records_from_a_drop_without_a_runtime(ledger: impl CostLedger) {
    struct RecordsWhenDropped(Arc<dyn CostLedger>, Arc<LedgerEntry>);

    impl Drop for RecordsWhenDropped {
        fn drop(&mut self) {
            ok(1, self.0.record(&self.1));
        }
    }

    let (ledger, entry): (Arc<dyn CostLedger>, _) = (Arc::new(ledger), sample(1));
    let guard = RecordsWhenDropped(Arc::clone(&ledger), Arc::clone(&entry));
    let dropped = thread::spawn(move || drop(guard)).join();
    assert!(
        dropped.is_ok(),
        "rule 1: `record` panics on a thread without a runtime"
    );
    ok(5, ledger.flush().await);
    assert_eq!(
        all(&ledger, &Filter::default()).await,
        [entry],
        "rule 1: recorded in `Drop`"
    );
}

async fn stores_an_entry_once(ledger: &impl CostLedger) {
    let first = sample(1);
    let stored = ok(3, ledger.record(&first));
    assert!(
        matches!(stored, Recorded::Stored | Recorded::Queued),
        "rule 3: a new entry is {stored:?}"
    );
    let same = Arc::new((*first).clone());
    for _ in 0..2 {
        assert_eq!(
            ok(3, ledger.record(&same)),
            Recorded::Duplicate,
            "rule 3: the same entry again"
        );
        ok(5, ledger.flush().await);
    }
    let mut other = (*first).clone();
    other.cost = Cost::Unpriced(UnpricedReason::Overflow);
    let conflict = ledger.record(&Arc::new(other));
    assert!(
        matches!(conflict, Err(LedgerError::Conflict { id }) if id == first.id),
        "rule 4: the same id with other content is {conflict:?}"
    );
    ok(5, ledger.flush().await);
    assert_eq!(
        all(ledger, &Filter::default()).await,
        [first],
        "rule 4: the first entry stays"
    );
}

async fn records_from_many_threads(ledger: &impl CostLedger) {
    let entries = samples();
    thread::scope(|scope| {
        for thread in 0..4 {
            let entries = &entries;
            scope.spawn(move || {
                // Every entry is recorded by two threads.
                for (index, entry) in entries.iter().enumerate() {
                    if index % 4 == thread || (index + 1) % 4 == thread {
                        ok(3, ledger.record(entry));
                    }
                }
            });
        }
    });
    ok(5, ledger.flush().await);
    let mut found = all(ledger, &Filter::default()).await;
    found.sort_by_key(|entry| entry.id);
    assert_eq!(found, entries, "rule 3: recorded by two threads, stored once");
}

async fn gives_back_what_was_recorded(ledger: &impl CostLedger) {
    let entries = fill(ledger).await;
    assert_eq!(
        all(ledger, &Filter::default()).await,
        entries,
        "rule 6: unchanged, in order"
    );
    for filter in filters() {
        let wanted: Vec<_> = entries
            .iter()
            .filter(|entry| filter.matches(entry))
            .cloned()
            .collect();
        assert!(!wanted.is_empty() && wanted.len() < entries.len());
        assert_eq!(
            all(ledger, &filter).await,
            wanted,
            "rule 6: scanned by {filter:?}"
        );
    }
}

async fn a_summary_is_a_fold_of_its_entries(ledger: &impl CostLedger) {
    let entries = fill(ledger).await;
    let dimensions = [
        vec![],
        vec![Dimension::Feature],
        vec![Dimension::Model, Dimension::Lane],
        vec![Dimension::User, Dimension::Day],
        vec![Dimension::Tag("tenant".into())],
        vec![Dimension::Endpoint, Dimension::Status, Dimension::Role],
        vec![Dimension::SentModel],
    ];
    for filter in filters().into_iter().chain([Filter::default()]) {
        for group_by in &dimensions {
            let query = group_by
                .iter()
                .cloned()
                .fold(Query::new().with_filter(filter.clone()), Query::group_by);
            let summary = ok(7, ledger.query(&query).await);
            let mut total = Totals::default();
            for group in &summary.groups {
                total.merge(&group.totals);
            }
            assert_eq!(
                total, summary.total,
                "rule 7: groups add up to the total: {query:?}"
            );
            let mut tally = Tally::new(&query);
            for entry in &entries {
                tally.add(entry);
            }
            assert_eq!(
                summary,
                tally.finish(),
                "rule 7: a fold of the entries: {query:?}"
            );
        }
    }
}

async fn clues_are_of_entries_that_match(ledger: &impl CostLedger) {
    assert_eq!(
        ok(8, ledger.clues(&Filter::default()).await),
        [],
        "rule 8: nothing was recorded"
    );
    let entries: Vec<_> = (0..60).map(telling).collect();
    for entry in &entries {
        ok(8, ledger.record(entry));
    }
    ok(5, ledger.flush().await);
    let from = Timestamp::from_unix_millis(1_790_000_000_000 + 15_000);
    let filters = [
        Filter::default(),
        Filter::default().with_feature("summaries"),
        Filter::default().with_model("gpt-4o-mini"),
        Filter::default().with_user("u1"),
        Filter::default().with_lane(Lane::Batch),
        Filter::default().with_from(from),
    ];
    for filter in filters {
        let mut finder = ClueFinder::default();
        let matching = entries.iter().filter(|entry| filter.matches(entry));
        matching.for_each(|entry| finder.add(entry));
        let all = finder.finish();
        for clue in ok(8, ledger.clues(&filter).await) {
            let mut same = all.iter().filter(|other| {
                (other.kind, other.day, other.lane) == (clue.kind, clue.day, clue.lane)
                    && (&other.feature, &other.model) == (&clue.feature, &clue.model)
            });
            let most = same.next().map_or(0, |other| other.totals.calls);
            assert!(
                clue.totals.calls <= most,
                "rule 8: {filter:?} finds {clue:?}, but of such calls there are {most}"
            );
        }
    }
}

/// Returns an entry that has something in common with some of its neighbours.
fn telling(index: u32) -> Arc<LedgerEntry> {
    let at = Timestamp::from_unix_millis(1_790_000_000_000 + i64::from(index) * 1_000);
    let mut entry = LedgerEntry::new(
        EntryId::new(SystemClock.now()),
        OpId::new(at),
        at,
        Endpoint::Responses,
    );
    entry.attribution = Attribution::default()
        .with_feature(pick(&["summaries", "chat"], index))
        .with_user(pick(&["u0", "u1", "u2"], index));
    entry.served_model = Some(pick(&["gpt-4o", "gpt-4o-mini"], index / 2).into());
    entry.lane = pick(&[Lane::Standard, Lane::Batch], index / 4);
    entry.status = pick(&[Status::Succeeded, Status::Failed, Status::Succeeded], index);
    entry.usage = Some(Usage::new(u64::from(index) * 4_000, u64::from(index)));
    entry.cost = Cost::Priced(Usd::from_pico(i64::from(index) * 1_000_000_000));
    entry.body_hash = Some(BodyHash::from_bits(u64::from(index % 8)));
    entry.prefix_hash = Some(BodyHash::from_bits(8));
    entry.max_output_tokens = Some(100);
    Arc::new(entry)
}

async fn fill(ledger: &impl CostLedger) -> Vec<Arc<LedgerEntry>> {
    let entries = samples();
    for entry in &entries {
        ok(6, ledger.record(entry));
    }
    ok(5, ledger.flush().await);
    entries
}

async fn all(ledger: &impl CostLedger, filter: &Filter) -> Vec<Arc<LedgerEntry>> {
    ok(6, ledger.scan(filter).try_collect().await)
}

#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
fn ok<T>(rule: u8, result: Result<T, LedgerError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("rule {rule}: {error} ({error:?})"),
    }
}

fn samples() -> Vec<Arc<LedgerEntry>> {
    (0..600).map(sample).collect()
}

fn filters() -> [Filter; 6] {
    let from = sample(0).at;
    [
        Filter::default().with_feature(""),
        Filter::default().with_model("gpt-4o-mini"),
        Filter::default().with_user("\"user\" <2>\n"),
        Filter::default()
            .with_tag("tenant", "t0")
            .with_tag("plan", "paid"),
        Filter::default().with_lane(Lane::Batch),
        Filter::default().with_from(from).with_to(sample(100).at),
    ]
}

/// Returns an entry that differs from its neighbours in every dimension, with names that are hard to keep.
fn sample(index: u32) -> Arc<LedgerEntry> {
    let at = Timestamp::from_unix_millis(1_790_000_000_000 + i64::from(index) * 3_600_000);
    let endpoint = match index % 4 {
        0 => Endpoint::ChatCompletions,
        1 => Endpoint::Responses,
        2 => Endpoint::Embeddings,
        _ => Endpoint::of("POST", "/v1/images"),
    };
    // Entries are recorded when they are made, but can be about an earlier time.
    let id = EntryId::new(SystemClock.now());
    let mut entry = LedgerEntry::new(id, OpId::new(at), at, endpoint);
    let mut attribution = Attribution::default();
    if !index.is_multiple_of(5) {
        let names = ["", "summaries", "суммы", "<b>&\"'</b>"];
        attribution = attribution.with_feature(pick(&names, index));
    }
    if !index.is_multiple_of(3) {
        attribution = attribution
            .with_user(format!("\"user\" <{}>\n", index % 7))
            .with_tag("tenant", format!("t{}", index % 2))
            .with_tag("plan", pick(&["free", "paid", "\u{202e}"], index));
    }
    entry.attribution = attribution;
    entry.requested_model = (!index.is_multiple_of(11)).then(|| "gpt-4o".into());
    entry.served_model = index.is_multiple_of(6).then(|| "gpt-4o-mini".into());
    entry.lane = pick(&Lane::ALL, index);
    entry.role = pick(&[Role::Primary, Role::Fallback, Role::Shadow], index);
    entry.status = pick(
        &[
            Status::Succeeded,
            Status::Failed,
            Status::Unanswered,
            Status::CutShort,
            Status::Abandoned,
            Status::Unreported,
        ],
        index,
    );
    entry.attempts = index % 4;
    entry.usage = (!index.is_multiple_of(9)).then(|| Usage::new(u64::from(index) * 1_000, u64::from(index)));
    let pico = i64::from(index) * 1_234_567_891;
    entry.cost = match index % 5 {
        0 => Cost::Unpriced(UnpricedReason::UnknownModel),
        1 => Cost::Partial {
            known: Usd::from_pico(pico),
            at_most: index.is_multiple_of(2).then(|| Usd::from_pico(pico * 2)),
            why: PartialReason::CutShort,
        },
        _ => Cost::Priced(Usd::from_pico(pico)),
    };
    let usd = |times: i64| Usd::from_pico(pico.saturating_mul(times));
    entry.baseline = (!index.is_multiple_of(3))
        .then(|| Baseline::of(usd(4), usd(3), usd(5), usd(1)))
        .flatten();
    Arc::new(entry)
}

fn pick<T: Copy, const N: usize>(choices: &[T; N], index: u32) -> T {
    const { assert!(N > 0) };
    let index = usize::try_from(index).unwrap_or(0) % N;
    choices.get(index).copied().unwrap_or(choices[0])
}
