use futures_core::stream::BoxStream;

use super::*;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Baseline, InMemoryLedger, LedgerEntry, Recorded};
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, PriceSource, UnpricedReason};
use crate::usage::Usage;

fn entry(feature: Option<&str>, cost: Cost) -> LedgerEntry {
    let at = Timestamp::from_unix_millis(1_790_000_000_000);
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::ChatCompletions);
    if let Some(feature) = feature {
        entry.attribution = Attribution::default().with_feature(feature);
    }
    entry.served_model = Some("gpt-4o-mini".into());
    entry.usage = Some(Usage::new(1_000, 250_000));
    entry.cost = cost;
    entry
}

async fn report(entries: Vec<LedgerEntry>) -> Report {
    let ledger = InMemoryLedger::new();
    for entry in entries {
        ledger.record(&Arc::new(entry)).unwrap();
    }
    Report::of(&ledger).await.unwrap()
}

async fn three_kinds() -> Report {
    let usd = |text: &str| text.parse::<Usd>().unwrap();
    let mut saved = entry(Some("summaries"), Cost::Priced(usd("0.25")));
    saved.lane = Lane::Batch;
    saved.baseline = Baseline::of(usd("4.00"), usd("0.60"), usd("0.30"), usd("0.25"));
    let partial = Cost::Partial {
        known: usd("0.5"),
        at_most: Some(usd("0.75")),
        why: PartialReason::LostAttempt,
    };
    let unpriced = Cost::Unpriced(UnpricedReason::UnknownModel);
    report(vec![saved, entry(Some("chat"), partial), entry(None, unpriced)]).await
}

#[tokio::test]
async fn the_text_says_what_is_known_and_what_is_not() {
    let text = three_kinds().await.to_text();
    let (first_table, _) = text.split_once("\nmodel").unwrap();
    let expected = "\
Spend in USD; saved by routing, by lane and by the provider's cache

feature        calls     in    out      cost  baseline  routing     lane   cache
chat               1   1000   250k  ≥0.50000         –        –        –       –
summaries          1   1000   250k   0.25000   4.00000  3.40000  0.30000 0.05000
(none)             1   1000   250k         ?         –        –        –       –
total              3   3000   750k  ≥0.75000   4.00000  3.40000  0.30000 0.05000
";
    assert_eq!(first_table, expected);
    let caveats = "
Priced exactly: 1 of 3 calls; in part: 1; not at all: 1.
The cost is at least 0.75 USD; there is no upper bound for 1 calls.
Baseline and savings cover 1 of 3 calls: those with an exact cost and a baseline.
";
    assert!(text.ends_with(caveats), "{text}");
}

#[tokio::test]
async fn the_text_fits_eighty_columns() {
    let large = Usd::from_pico(900_000_123_456_789_012);
    let mut entries = vec![
        entry(Some(&"long ".repeat(2_000)), Cost::Priced(large)),
        entry(Some("\u{202e}dlrow\n\u{1b}[31m"), Cost::Priced(Usd::from_pico(1))),
        entry(Some(""), Cost::Unpriced(UnpricedReason::Overflow)),
    ];
    for entry in &mut entries {
        let none = Usd::ZERO;
        entry.baseline = entry
            .cost
            .exact()
            .and_then(|cost| Baseline::of(none, large, none, cost));
        entry.usage = Some(Usage::new(u64::MAX / 4, 123_456_789));
        entry.attempts = 3;
    }
    let text = report(entries).await.to_text();
    for line in text.lines().take_while(|line| !line.starts_with("Priced")) {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains(['\u{202e}', '\u{1b}']), "{line:?}");
    }
}

#[tokio::test]
async fn every_table_adds_up_to_the_total() {
    let report = three_kinds().await;
    for table in &report.tables {
        let mut sum = Totals::default();
        for row in &table.rows {
            sum.merge(&row.totals);
        }
        assert_eq!(&sum, report.total(), "{}", table.name);
    }
}

#[tokio::test]
async fn every_figure_on_the_page_is_the_querys() {
    let page = three_kinds().await.to_html();
    // Amounts are exact in the title, and have six places in the cell.
    let cell = |cell: &&str| match cell.split_once('.') {
        Some(_) => format!("<td title=\"{cell}\">{cell}0000</td>"),
        None if cell.parse::<u64>().is_ok() => format!("<td>{cell}</td>"),
        None => format!("<td title=\"{cell}\">{cell}</td>"),
    };
    let row = |name: &str, cells: &[&str]| {
        let cells: String = cells.iter().map(cell).collect();
        format!("<tr><th scope=\"row\"><bdi>{name}</bdi></th>{cells}</tr>\n")
    };
    for expected in [
        row(
            "summaries",
            &["1", "1000", "250000", "0.25", "4.00", "3.40", "0.30", "0.05"],
        ),
        row("chat", &["1", "1000", "250000", "≥ 0.50", "–", "–", "–", "–"]),
        row("(none)", &["1", "1000", "250000", "?", "–", "–", "–", "–"]),
        row(
            "batch",
            &["1", "1000", "250000", "0.25", "4.00", "3.40", "0.30", "0.05"],
        ),
        row(
            "2026-09-21",
            &["3", "3000", "750000", "≥ 0.75", "4.00", "3.40", "0.30", "0.05"],
        ),
    ] {
        assert!(page.contains(&expected), "{expected}\n{page}");
    }
}

#[tokio::test]
async fn hostile_names_stay_text() {
    let names = [
        "<script>alert(1)</script>",
        "\"' onload=x",
        "\u{202e}evil",
        &"x".repeat(10_000),
    ];
    let priced = || Cost::Priced(Usd::from_pico(1));
    let entries = names.iter().map(|name| entry(Some(name), priced())).collect();
    let page = report(entries).await.to_html();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("<bdi>&quot;&#39; onload=x</bdi>"));
    assert!(page.contains("<bdi>\u{fffd}evil</bdi>"));
    assert!(page.contains(&format!("<bdi>{}…</bdi>", "x".repeat(199))));
    for forbidden in [
        "<script", "\u{202e}", "http://", "https://", "src=", "href=", "url(",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn what_the_ledger_pushed_out_is_told() {
    let ledger = InMemoryLedger::with_capacity(std::num::NonZeroUsize::MIN);
    for pico in [1_000_000_000, 2_000_000_000] {
        let entry = entry(None, Cost::Priced(Usd::from_pico(pico)));
        ledger.record(&Arc::new(entry)).unwrap();
    }
    let all = Report::of(&ledger).await.unwrap();
    assert_eq!(all.total().cost, "0.003".parse().unwrap());
    assert!(!all.to_text().contains("Left out"), "{}", all.to_text());
    // The ledger's sums know no users.
    let of_user = Filter::default().with_user("u");
    let text = Report::of_matching(&ledger, of_user).await.unwrap().to_text();
    assert!(text.contains("Left out: 1 older calls for 0.001 USD"), "{text}");
}

#[tokio::test]
async fn spend_at_prices_of_one_source_is_told() {
    let usd = |text: &str| text.parse::<Usd>().unwrap();
    let of = |cost, source| {
        let mut entry = entry(None, Cost::Priced(usd(cost)));
        entry.price_source = Some(source);
        entry
    };
    let confirmed = of("0.5", PriceSource::Confirmed);
    let own = of("0.25", PriceSource::Own);
    let without = report(vec![confirmed.clone(), own.clone()]).await;
    assert!(!without.to_text().contains("one source"));
    let line = "Of the known cost, 0.0005 USD rest on prices that only one source knows.";
    let with = report(vec![confirmed, own, of("0.0005", PriceSource::SingleSource)]).await;
    assert!(with.to_text().contains(line), "{}", with.to_text());
    assert!(with.to_html().contains(line));
}

/// A ledger that had to leave lines out.
#[derive(Debug)]
struct Damaged(InMemoryLedger);

#[async_trait::async_trait]
impl CostLedger for Damaged {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        self.0.record(entry)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        self.0.flush().await
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        let mut summary = self.0.query(query).await?;
        summary.bad_lines = 3;
        Ok(summary)
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        self.0.scan(filter)
    }
}

#[tokio::test]
async fn damaged_lines_are_told() {
    let ledger = Damaged(InMemoryLedger::new());
    ledger
        .record(&Arc::new(entry(None, Cost::Priced(Usd::from_pico(7)))))
        .unwrap();
    let report = Report::of(&ledger).await.unwrap();
    let line = "Left out: 3 lines of the ledger that are damaged; what was in them is not known.";
    assert!(report.to_text().contains(line), "{}", report.to_text());
    assert!(report.to_html().contains(line));
}
