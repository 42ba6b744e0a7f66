use std::sync::Arc;

use futures_core::stream::BoxStream;

use super::*;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Baseline, InMemoryLedger, LedgerEntry, Query, Recorded, Summary};
use crate::money::{Usd, UsdSum};
use crate::pricing::{Cost, PartialReason, PriceSource, UnpricedReason};
use crate::usage::Usage;

pub(super) fn entry(feature: Option<&str>, cost: Cost) -> LedgerEntry {
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

pub(super) async fn report(entries: Vec<LedgerEntry>) -> Report {
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
Baseline and savings cover 1 of 3 calls: those with an exact cost and a
  baseline.
";
    assert!(text.ends_with(caveats), "{text}");
}

#[tokio::test]
async fn what_a_call_costs_is_marked_where_a_part_is_not_known() {
    let text = three_kinds().await.to_text();
    for row in [
        "chat            ≥0.500000 ",
        "summaries        0.250000 ",
        "(none)                  ? ",
        "total           ≥0.250000 ",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}

#[tokio::test]
async fn many_budgets_are_cut_short() {
    let status = |number: usize| BudgetStatus {
        budget: "each user".into(),
        key: Some(format!("u{number}").into()),
        calls: crate::budget::LimitedCalls::Others,
        limit: Usd::from_dollars(1),
        spent: UsdSum::ZERO,
        held: UsdSum::ZERO,
        left: Usd::from_dollars(1).into(),
        window_start: None,
        window_end: None,
        runs_out: None,
        waiting: 0,
        refused: 0,
        unpriced: 0,
        overruns: 0,
        overrun: UsdSum::ZERO,
    };
    let of = |budgets: usize| {
        let budgets = (0..budgets).map(status).collect();
        async {
            Report::builder()
                .with_budgets(budgets)
                .of(&InMemoryLedger::new())
                .await
        }
    };
    let (few, many) = (
        of(50).await.unwrap().to_text(),
        of(1_000).await.unwrap().to_text(),
    );
    assert!(few.contains(" u49 ") && !few.contains("more"), "{few}");
    assert!(many.contains(" u49 ") && !many.contains(" u50 "), "{many}");
    assert!(many.ends_with("\nand 950 more budgets\n"), "{many}");
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
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains(['\u{202e}', '\u{1b}']), "{line:?}");
    }
}

#[tokio::test]
async fn every_table_adds_up_to_the_total() {
    let report = three_kinds().await;
    let periods = report.timeline.periods.iter().map(|period| period.row.clone());
    let by_time = Table {
        rows: periods.collect(),
    };
    for table in [&report.features, &report.models, &report.lanes, &by_time] {
        let sum = Row::sum("", &table.rows);
        assert_eq!(
            (sum.totals, sum.latencies),
            (report.total.totals, report.total.latencies.clone())
        );
    }
    for period in &report.timeline.periods {
        let mut sum = period.rest;
        for part in &period.by_feature {
            sum.merge(part);
        }
        assert_eq!(sum, period.row.totals);
    }
}

#[tokio::test]
async fn the_waterfall_goes_from_the_baseline_to_the_cost_without_a_gap() {
    let report = three_kinds().await;
    let steps = waterfall::of(report.total(), &report.lanes);
    let at = |id: &str| *steps.iter().find(|step| step.id == id).unwrap();
    let savings = &report.total().savings;
    assert_eq!(at("baseline").to, savings.baseline);
    assert_eq!(at("actual").to, savings.baseline.saturating_sub(savings.total()));
    assert_eq!(at("cost").to, report.total().cost);
    assert_eq!(at("batch").change(), "-0.30".parse().unwrap());
    for pair in steps.windows(2).filter(|pair| !pair[1].is_level) {
        assert_eq!(pair[1].from, pair[0].to);
    }
}

#[tokio::test]
async fn amounts_are_exact_where_the_pointer_rests() {
    let page = three_kinds().await.to_html();
    for expected in [
        "<td title=\"≥ 0.50\">≥ 0.500000</td>",
        "<td title=\"4.00\">4.0000</td>",
        "<td title=\"?\">?</td>",
        "<td title=\"–\">–</td>",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
}

#[tokio::test]
async fn days_follow_the_readers_zone() {
    // The first is at 2026-09-21T14:13:20Z, a quarter to eight in the evening in Kolkata and the next day in Auckland.
    let at = |millis: i64| Timestamp::from_unix_millis(1_790_000_000_000 + millis);
    let ledger = InMemoryLedger::new();
    let priced = || Cost::Priced(Usd::from_pico(1_000_000_000_000));
    for hour in 0..48 {
        let mut entry = entry(Some("f"), priced());
        entry.at = at(hour * 3_600_000);
        ledger.record(&Arc::new(entry)).unwrap();
    }
    let days = |zone: &'static str| {
        let ledger = &ledger;
        async move {
            let zone = TimeZone::named(zone).unwrap();
            let report = Report::builder().with_time_zone(zone).of(ledger).await.unwrap();
            assert_eq!(report.total().calls, 48);
            let periods = report.timeline.periods.iter();
            let days = periods.map(|period| (period.start.unwrap().to_string(), period.row.totals.calls));
            days.collect::<Vec<_>>()
        }
    };
    let day = |day: &str, calls| (format!("2026-09-{day}"), calls);
    assert_eq!(days("UTC").await, [day("21", 10), day("22", 24), day("23", 14)]);
    assert_eq!(
        days("Asia/Kolkata").await,
        [day("21", 5), day("22", 24), day("23", 19)]
    );
    assert_eq!(
        days("Pacific/Auckland").await,
        [day("22", 22), day("23", 24), day("24", 2)]
    );
}

#[tokio::test]
async fn the_month_is_carried_on_from_its_second_day() {
    let ledger = InMemoryLedger::new();
    let mut first = entry(None, Cost::Priced(Usd::from_dollars(10)));
    first.at = moment("2026-09-02T00:00:00Z");
    ledger.record(&Arc::new(first)).unwrap();
    let on = |now: &str| {
        let now = moment(now);
        let ledger = &ledger;
        async move {
            let clock = crate::clock::ManualClock::new(now);
            let report = Report::builder().with_clock(clock).of(ledger).await.unwrap();
            report.run_rate.map(|rate| rate.at_month_end)
        }
    };
    assert_eq!(on("2026-09-01T12:00:00Z").await, None);
    assert_eq!(on("2026-09-11T00:00:00Z").await, Some("30".parse().unwrap()));
    assert_eq!(on("2026-10-11T00:00:00Z").await, None);
}

fn moment(text: &str) -> Timestamp {
    let at = text.parse::<jiff::Timestamp>().unwrap();
    Timestamp::from_unix_millis(at.as_millisecond())
}

#[tokio::test]
async fn a_name_is_no_formula_in_csv_and_stays_one_cell() {
    let priced = || Cost::Priced(Usd::from_pico(1));
    let names = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "a,\"b\"\nc", "plain"];
    let entries = names.iter().map(|name| entry(Some(name), priced())).collect();
    let csv = report(entries).await.to_csv();
    for cell in [
        ",\"'=1+1\",",
        ",\"'+x\",",
        ",\"'-x\",",
        ",\"'@x\",",
        ",\"'\tx\",",
        ",\"'\rx\",",
        ",\"a,\"\"b\"\"\nc\",",
        ",plain,",
    ] {
        assert!(csv.contains(cell), "{cell:?} in {csv}");
    }
    assert_eq!(csv.matches("\r\n").count(), names.len() + 1);
}

#[tokio::test]
async fn json_has_what_the_query_had() {
    let report = three_kinds().await;
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let total: Totals = serde_json::from_value(json["total"]["totals"].clone()).unwrap();
    assert_eq!(&total, report.total());
    assert_eq!(json["by_feature"].as_array().unwrap().len(), 3);
    assert_eq!(json["total"]["cost_at_most"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_page_takes_the_place_of_another_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spend.html");
    std::fs::write(&path, "old").unwrap();
    let report = three_kinds().await;
    report.write_html(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), report.to_html());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(report.write_html(dir.path().join("none").join("x.html")).is_err());
    assert!(report.write_html("/").is_err());
}

#[tokio::test]
async fn rows_beyond_the_400th_are_added_up() {
    let entries = (0..450).map(|number| {
        let cost = Usd::from_pico(1_000_000_000_000 - number);
        entry(Some(&format!("f{number}")), Cost::Priced(cost))
    });
    let report = report(entries.collect()).await;
    let page = report.to_html();
    assert!(page.contains("<th scope=\"row\"><bdi>f399</bdi></th>") && !page.contains("<bdi>f400</bdi>"));
    let rest = Row::sum("", &report.features.rows[400..]);
    let cell = format!(
        "<th scope=\"row\">50 more</th><td></td><td title=\"{}\">",
        rest.totals.cost
    );
    assert!(page.contains(&cell), "{cell}");
    assert_eq!(report.timeline.others, 440);
    assert!(report.to_text().contains("\n400 more "));
}

#[tokio::test]
async fn a_long_time_is_told_in_longer_steps() {
    let steps = [
        ("2026-09-01", "day", 1),
        ("2026-12-01", "day", 92),
        ("2026-12-02", "week", 14),
        ("2028-08-30", "week", 105),
        ("2028-08-31", "month", 24),
        ("2046-08-26", "month", 240),
        ("2099-01-01", "year", 2),
    ];
    for (last, step, periods) in steps {
        let on = |day: &str| {
            let mut entry = entry(Some("f"), Cost::Priced(Usd::from_pico(1)));
            entry.at = moment(&format!("{day}T12:00:00Z"));
            entry
        };
        let timeline = report(vec![on("2026-09-01"), on(last)]).await.timeline;
        assert_eq!(
            (timeline.step.as_str(), timeline.periods.len()),
            (step, periods),
            "{last}"
        );
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
    assert!(page.contains(&format!("<bdi>{}…</bdi>", "x".repeat(59))));
    assert!(page.contains(&format!(" title=\"{}…\"", "x".repeat(999))));
    for forbidden in [
        "\u{202e}", "http://", "https://", "src=", "href=", "url(", "@import",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(
        page.matches("<script").count(),
        2,
        "the page's own, and its cells"
    );
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
    let text = report.to_text();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.join(" ").contains(line), "{text}");
    assert!(report.to_html().contains(line));
}

#[tokio::test]
async fn damaged_lines_are_told_also_where_there_is_nothing_else() {
    let report = Report::of(&Damaged(InMemoryLedger::new())).await.unwrap();
    let text = report.to_text();
    assert!(text.contains("3 lines of the ledger that are damaged"), "{text}");
}

#[tokio::test]
async fn there_is_no_run_rate_without_calls_that_may_be_of_this_month() {
    let ledger = InMemoryLedger::with_capacity(std::num::NonZeroUsize::MIN);
    let mut last = entry(None, Cost::Priced(Usd::from_dollars(1)));
    last.attribution = Attribution::default().with_user("u");
    last.id = EntryId::new(moment("2026-09-22T00:00:00Z"));
    for entry in [entry(None, Cost::Priced(Usd::from_dollars(2))), last] {
        ledger.record(&Arc::new(entry)).unwrap();
    }
    let builder =
        Report::builder().with_clock(crate::clock::ManualClock::new(moment("2026-09-25T00:00:00Z")));
    let all = builder.clone().of(&ledger).await.unwrap();
    assert!(all.run_rate.is_some());
    let of_user = builder.with_filter(Filter::default().with_user("u"));
    let of_user = of_user.of(&ledger).await.unwrap();
    assert_eq!((of_user.total().calls, of_user.evicted.calls), (1, 1));
    assert_eq!(of_user.run_rate, None);
}
