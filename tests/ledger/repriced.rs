//! Prices that became known later.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tempfile::TempDir;
use thrifty::ledger::{
    self, CostLedger, Dimension, FileLedger, Filter, InMemoryLedger, LedgerEntry, Query, Status,
};
use thrifty::pricing::{Cost, Price, PriceBook, UnpricedReason};
use thrifty::{Attribution, Clock, Endpoint, EntryId, OpId, SystemClock, Usage, UsdSum};

/// Forty calls of two features to a model that nobody has a price for, and one that failed.
fn fill(ledger: &dyn CostLedger) {
    for number in 0..41 {
        let now = SystemClock.now();
        let mut entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::ChatCompletions);
        entry.attribution = Attribution::default().with_feature(format!("feature {}", number % 2));
        entry.served_model = Some("our-own-model".into());
        entry.attempts = 1;
        entry.status = Status::Succeeded;
        entry.usage = Some(Usage::new(1_000, number));
        entry.cost = Cost::Unpriced(UnpricedReason::UnknownModel);
        if number == 40 {
            (entry.status, entry.usage) = (Status::Failed, None);
            entry.cost = Cost::Priced(thrifty::Usd::ZERO);
        }
        ledger.record(&Arc::new(entry)).unwrap();
    }
}

fn book(input: &str, output: &str) -> PriceBook {
    PriceBook::builtin().with_price("our-own-model", Price::per_mtok(input, output).unwrap())
}

async fn is_repriced(ledger: &dyn CostLedger) {
    fill(ledger);
    let all = Filter::default();
    let tokens = |input: i128, output: i128| {
        // 40 calls of 1,000 tokens in, and 0 to 39 out.
        UsdSum::from_pico(40 * 1_000 * input + (0..40).sum::<i128>() * output)
    };
    let before = ledger.query(&Query::new()).await.unwrap().total;
    assert_eq!(
        (before.calls, before.coverage.unpriced, before.cost),
        (41, 40, UsdSum::ZERO)
    );

    for (input, output, pico) in [
        ("1", "4", (1_000_000, 4_000_000)),
        ("2", "3", (2_000_000, 3_000_000)),
    ] {
        let done = ledger::reprice(ledger, &book(input, output), &all).await.unwrap();
        assert_eq!((done.entries, done.adjusted), (41, 40));
        let query = Query::new()
            .group_by(Dimension::Feature)
            .group_by(Dimension::Source);
        let summary = ledger.query(&query).await.unwrap();
        let total = summary.total;
        assert_eq!(
            (total.calls, total.attempts, total.failed),
            (41, 41, 1),
            "no call more"
        );
        assert_eq!((total.coverage.priced, total.coverage.unpriced), (41, 0));
        assert_eq!(total.usage, before.usage);
        assert_eq!(total.cost, tokens(pico.0, pico.1));
        assert_eq!(summary.costs.count(), 41);
        let groups = summary
            .groups
            .iter()
            .map(|group| (group.keys[1].as_deref(), group.totals.calls));
        let mut groups: Vec<_> = groups.collect();
        groups.sort_unstable();
        assert_eq!(groups, [(None, 1), (Some("own"), 20), (Some("own"), 20)]);
    }
    let again = ledger::reprice(ledger, &book("2", "3"), &all).await.unwrap();
    assert_eq!((again.adjusted, again.change), (0, UsdSum::ZERO));
    let entries: Vec<_> = ledger.scan(&all).try_collect().await.unwrap();
    assert_eq!(entries.len(), 41 + 2 * 40, "nothing recorded was changed");
}

#[tokio::test]
async fn entries_are_priced_again_without_being_changed() {
    is_repriced(&InMemoryLedger::new()).await;
    let dir = TempDir::new().unwrap();
    let files = FileLedger::open(dir.path()).unwrap();
    is_repriced(&files).await;
    let query = Query::new().group_by(Dimension::Source);
    let before = files.query(&query).await.unwrap();
    drop(files);
    let reopened = FileLedger::open(dir.path()).unwrap();
    assert_eq!(
        reopened.query(&query).await.unwrap(),
        before,
        "the same from its sums"
    );
}
