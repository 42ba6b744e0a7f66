//! The page as a browser shows it, and its figures against the ledger's own answers.
//!
//! `look.mjs` drives Chromium. It is looked for at `CHROMIUM` or `/usr/bin/chromium`, and the npm packages
//! `playwright-core` and `axe-core` in `THRIFTY_BROWSER` or `target/browser`; where one is not, the tests say
//! `skipped: ...`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod chromium;
mod compared;
mod equal;
mod head;
mod samples;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thrifty::ledger::{Dimension, Filter, InMemoryLedger};
use thrifty::report::{Report, ReportBuilder};
use thrifty::{ManualClock, Timestamp, UsdSum};

use compared::{Ledger, Shown, Tables, Tiles};
use equal::Latencies;

/// What `look.mjs` prints.
#[derive(Debug, Deserialize)]
struct Seen {
    requests: Vec<String>,
    complaints: Vec<String>,
    violations: Vec<String>,
    overflow: Vec<String>,
    tables: Tables,
    tiles: Tiles,
    span: String,
    notes: Vec<String>,
    caveats: Vec<String>,
    controls_without_scripts: usize,
    title: String,
    same_tables: bool,
    same_drawing: bool,
    #[serde(flatten)]
    used: Option<Used>,
}

/// What became of a page that was used.
#[derive(Debug, Deserialize)]
struct Used {
    sorted: Vec<Sorted>,
    sorted_by_key: String,
    tip: String,
    tip_left: bool,
    tip_by_keys: String,
    tip_escaped: bool,
    selected_none: String,
    narrowed: Vec<Narrowed>,
    two: String,
    as_before: bool,
}

/// A column after its heading was pressed.
#[derive(Debug, Deserialize)]
struct Sorted {
    table: String,
    column: String,
    at: usize,
    way: String,
    cells: Vec<Shown>,
}

/// A page of which a part was chosen.
#[derive(Debug, Deserialize)]
struct Narrowed {
    feature: String,
    from: String,
    to: String,
    cost: String,
    tables: Tables,
    tiles: Tiles,
    still: Vec<String>,
}

async fn report(ledger: &InMemoryLedger) -> ReportBuilder {
    let builder = Report::builder().with_clock(ManualClock::new(samples::at(29, 43_200_000)));
    builder.with_budgets(samples::budgets(ledger).await)
}

async fn written(name: &str, ledger: &InMemoryLedger) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("dashboard")
        .join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("page.html");
    report(ledger)
        .await
        .of(ledger)
        .await
        .unwrap()
        .write_html(&path)
        .unwrap();
    path
}

/// Looks at a page; `None` if there is nothing to look with.
fn look(page: &Path) -> Option<Seen> {
    let mut node = chromium::node("dashboard/look.mjs")?;
    node.arg(page);
    if std::env::var_os("THRIFTY_PICTURES").is_some() {
        node.arg(page.parent()?);
    }
    let output = node.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What holds for any page, however it was used.
fn assert_sound(name: &str, seen: &Seen) {
    let (requests, complaints) = (seen.requests.len(), seen.complaints.len());
    println!("goal report/requests: {requests} (0; {name})");
    println!("goal report/console: {complaints} (0; {name})");
    println!("goal report/axe: {} (0; {name})", seen.violations.len());
    assert_eq!(seen.requests, [""; 0]);
    assert_eq!(seen.complaints, [""; 0]);
    assert_eq!(seen.violations, [""; 0]);
    assert_eq!(seen.overflow, [""; 0], "a page is as wide as its window");
    assert_eq!(seen.title, "LLM spend");
    assert_eq!(seen.controls_without_scripts, 0, "what does nothing is not shown");
    assert!(seen.same_tables && seen.same_drawing, "scripts change no figure");
    let Some(used) = &seen.used else { return };
    for sorted in &used.sorted {
        assert_sorted(sorted);
    }
    assert_eq!(used.sorted_by_key, "descending");
    assert!(used.tip.contains("USD") && !used.tip_left, "{used:?}");
    assert!(used.tip_by_keys.contains("USD") && !used.tip_escaped, "{used:?}");
    assert_eq!(used.selected_none, "0.00 USD");
    assert!(used.as_before, "a page that is narrowed no more is as it was");
}

/// Whether a column is ordered as text: names, words and moments.
fn is_text(sorted: &Sorted) -> bool {
    sorted.at == 0 || ["lever", "evidence", "what to change", "runs out"].contains(&&*sorted.column)
}

/// Columns are sorted by what a cell means, not how it looks.
fn assert_sorted(sorted: &Sorted) {
    let number = |(shown, exact): &Shown| {
        let is_rounded = !shown.ends_with('%') && !exact.is_empty();
        let text = if is_rounded { exact } else { shown };
        let text = text.trim_start_matches("≥ ").trim_end_matches('%');
        text.replace(',', "").parse::<UsdSum>().ok()
    };
    // How a browser orders names of other letters is its own affair.
    let is_plain = |(shown, _): &Shown| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-: Z".contains(c);
        shown.chars().all(plain)
    };
    let wrong = match sorted.way.as_str() {
        "ascending" => Ordering::Greater,
        _ => Ordering::Less,
    };
    for pair in sorted.cells.windows(2) {
        let [a, b] = pair else { continue };
        let order = match is_text(sorted) {
            true if !is_plain(a) || !is_plain(b) => continue,
            true => a.0.cmp(&b.0),
            false => number(a).cmp(&number(b)),
        };
        assert_ne!(order, wrong, "{} {}: {pair:?}", sorted.table, sorted.column);
    }
}

/// Text is sorted from its beginning at first, numbers from the largest; a drawing has no order.
fn assert_headings(sorted: &[Sorted]) {
    for presses in sorted.chunks(2) {
        let ways: Vec<_> = presses.iter().map(|press| press.way.as_str()).collect();
        let (table, column) = (&presses[0].table, &presses[0].column);
        let expected = if is_text(&presses[0]) {
            ["ascending", "descending"]
        } else {
            ["descending", "ascending"]
        };
        assert_eq!(ways, expected, "{table} {column}");
        assert_ne!(column, "burn-down");
    }
}

/// What is shown of a part against queries of that part: features and the days from one to another.
async fn assert_narrowed(ledger: &InMemoryLedger, shown: &Narrowed) {
    let start = |day: &str| format!("{day}T00:00:00Z").parse::<jiff::Timestamp>().unwrap();
    let millis = |at: jiff::Timestamp| Timestamp::from_unix_millis(at.as_millisecond());
    let filter = Filter::default()
        .with_feature(shown.feature.as_str())
        .with_from(millis(start(&shown.from)))
        .with_to(millis(start(&shown.to) + jiff::SignedDuration::from_hours(24)));
    let part = Ledger::of(ledger, filter);
    let (total, _) = part.total().await;
    let mark = if compared::is_exact(&total) { "" } else { "≥ " };
    assert!(total.calls > 0);
    assert_eq!(shown.cost, format!("{mark}{} USD", total.cost));
    for by in &TABLES {
        equal::by(&part, &shown.tables, by, Latencies::Unknown).await;
    }
    head::tiles(&part, &shown.tiles).await;
    let over_time = &shown.tables["Spend over time"];
    let [_, _, column] = &over_time.head[..] else {
        panic!("one feature has one column beside the total");
    };
    assert!(*column == shown.feature || column.ends_with("other features"));
    equal::over_time(&part, over_time).await;
    let still = [
        "Month-end run rate",
        "savings",
        "next",
        "budgets",
        "tokens",
        "coverage",
    ];
    assert_eq!(shown.still, still, "what does not follow says so");
}

/// The tables of sums, and what each is by.
const TABLES: [(&str, Dimension); 4] = [
    ("feature", Dimension::Feature),
    ("model", Dimension::Model),
    ("lane", Dimension::Lane),
    ("day", Dimension::Day),
];

#[tokio::test]
async fn a_month_is_shown_as_the_ledger_has_it_and_can_be_used() {
    let ledger = samples::month();
    let page = written("month", &ledger).await;
    let bytes = std::fs::metadata(&page).unwrap().len();
    let gzip = Command::new("gzip").arg("-c").arg(&page).output().unwrap();
    let gzipped = gzip.stdout.len();
    println!(
        "goal report/size: {bytes} bytes, {gzipped} gzipped (<= 300000, <= 100000; 30 days, 20 features, 6 models)"
    );
    assert!(bytes <= 300_000 && (1..=100_000).contains(&gzipped));
    let Some(seen) = look(&page) else { return };
    assert_sound("month", &seen);
    let used = seen.used.as_ref().unwrap();
    assert_headings(&used.sorted);
    let whole = Ledger::whole(&ledger);
    for by in &TABLES {
        equal::by(&whole, &seen.tables, by, Latencies::Told).await;
    }
    equal::over_time(&whole, &seen.tables["Spend over time"]).await;
    equal::waterfall(&whole, &seen.tables["What was saved, step by step"]).await;
    equal::tokens(&whole, &seen.tables["Tokens by kind"]).await;
    head::tiles(&whole, &seen.tiles).await;
    head::run_rate(&whole, &seen.tiles).await;
    head::caveats(&whole, &seen.caveats).await;
    let statuses = samples::budgets(&ledger).await;
    head::budgets(&statuses, &seen.tables["Budgets"]);
    head::burn_down(&whole, &statuses, &seen.tables["Budgets by day"]).await;
    let json = report(&ledger).await.of(&ledger).await.unwrap().to_json();
    let json = serde_json::from_str(&json).unwrap();
    head::next_savings(&whole, &json, &seen.tables["Where the next saving is"]).await;
    compared::assert_nothing_was_left_out(&seen.tables, &seen.tiles);
    assert_eq!(seen.span, "2026-09-01 to 2026-09-30 · days of UTC");
    let compared_calls = compared::grouped(whole.total().await.0.coverage.compared);
    assert!(
        seen.notes
            .iter()
            .any(|note| note.starts_with(&format!("From what {compared_calls} calls would")))
    );
    println!(
        "goal report/equal: {} figures compared, each equal (tables of sums, the figures at the top and their notes, the \
         waterfall, tokens and the days of budgets with queries; budgets with their status; estimates with the JSON, and \
         what waiting and priority are about with queries)",
        compared::count()
    );
    let before = compared::count();
    for narrowed in &used.narrowed {
        assert_narrowed(&ledger, narrowed).await;
    }
    println!(
        "goal report/equal: {} more, narrowed to a feature and days",
        compared::count() - before
    );
    assert_eq!(
        used.narrowed[1].feature, "embeddings",
        "one that the chart adds up"
    );
    assert_eq!(used.two, "as marked below");
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let ledger = samples::hostile();
    let Some(seen) = look(&written("hostile", &ledger).await) else {
        return;
    };
    assert_sound("hostile", &seen);
    equal::by(&Ledger::whole(&ledger), &seen.tables, &TABLES[0], Latencies::Told).await;
    let names: Vec<_> = seen.tables["Spend by feature"]
        .body
        .iter()
        .map(|row| &row[0])
        .collect();
    assert_eq!(names.len(), 200);
    assert!(
        names
            .iter()
            .any(|(name, _)| name.starts_with("<script>document.title"))
    );
    assert!(names.iter().all(|(name, _)| name.chars().count() <= 60));
    assert!(names.iter().any(|(_, whole)| whole.chars().count() == 1_000));
}

#[tokio::test]
async fn a_year_is_shown_by_week() {
    let ledger = samples::year();
    let Some(seen) = look(&written("year", &ledger).await) else {
        return;
    };
    assert_sound("year", &seen);
    let by_week = &seen.tables["Spend over time"];
    assert_eq!((by_week.head[0].as_str(), by_week.body.len()), ("week", 53));
    for by in &TABLES[..2] {
        equal::by(&Ledger::whole(&ledger), &seen.tables, by, Latencies::Told).await;
    }
}

#[tokio::test]
async fn one_entry_is_a_report() {
    let ledger = samples::one_entry();
    let Some(seen) = look(&written("one", &ledger).await) else {
        return;
    };
    assert_sound("one", &seen);
    let (one, all) = (Ledger::whole(&ledger), &seen.tables);
    equal::by(&one, all, &TABLES[0], Latencies::Told).await;
    equal::over_time(&one, &all["Spend over time"]).await;
    equal::waterfall(&one, &all["What was saved, step by step"]).await;
    equal::tokens(&one, &all["Tokens by kind"]).await;
    head::tiles(&one, &seen.tiles).await;
    head::caveats(&one, &seen.caveats).await;
}

#[tokio::test]
async fn a_ledger_without_entries_has_a_page() {
    let Some(seen) = look(&written("empty", &InMemoryLedger::new()).await) else {
        return;
    };
    assert_sound("empty", &seen);
    assert!(seen.used.is_none());
    assert_eq!(
        seen.caveats[0],
        "Priced exactly: 0 of 0 calls; in part: 0; not at all: 0."
    );
}
