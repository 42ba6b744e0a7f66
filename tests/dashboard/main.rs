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
mod equal;
mod samples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thrifty::ledger::{Dimension, Filter, InMemoryLedger};
use thrifty::report::Report;
use thrifty::{ManualClock, Timestamp, UsdSum};

use equal::{Ledger, Shown, Table};

/// What `look.mjs` prints.
#[derive(Debug, Deserialize)]
struct Seen {
    requests: Vec<String>,
    complaints: Vec<String>,
    violations: Vec<String>,
    overflow: Vec<String>,
    tables: BTreeMap<String, Table>,
    tiles: BTreeMap<String, Shown>,
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
    sorted: BTreeMap<String, (Vec<String>, String)>,
    tip: String,
    tip_left: bool,
    tip_by_keys: String,
    tip_escaped: bool,
    selected_none: String,
    selected: Selected,
    rows_selected: (usize, usize),
    drawn_as_before: bool,
}

#[derive(Debug, Deserialize)]
struct Selected {
    feature: String,
    from: String,
    to: String,
    cost: String,
}

async fn written(name: &str, ledger: &InMemoryLedger) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("dashboard")
        .join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let clock = ManualClock::new(samples::at(29, 43_200_000));
    let builder = Report::builder()
        .with_clock(clock)
        .with_budgets(samples::budgets().await);
    let path = dir.join("page.html");
    builder.of(ledger).await.unwrap().write_html(&path).unwrap();
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
    let cost = |text: &String| text.trim_start_matches("≥ ").parse().unwrap_or(UsdSum::ZERO);
    for (way, (order, said)) in &used.sorted {
        assert_eq!(way, said);
        let mut costs: Vec<UsdSum> = order.iter().map(cost).collect();
        if way == "descending" {
            costs.reverse();
        }
        assert!(costs.is_sorted(), "{way}: {order:?}");
    }
    assert!(used.tip.contains("USD") && !used.tip_left, "{used:?}");
    assert!(used.tip_by_keys.contains("USD") && !used.tip_escaped, "{used:?}");
    assert_eq!(used.selected_none, "0.00 USD");
    assert_eq!(used.rows_selected.0, used.rows_selected.1);
    assert!(used.drawn_as_before);
}

/// The sum that the filters chose, against a query with the same filter.
async fn assert_selected(ledger: &Ledger<'_>, seen: &Seen) {
    let selected = &seen.used.as_ref().unwrap().selected;
    let start = |day: &str| format!("{day}T00:00:00Z").parse::<jiff::Timestamp>().unwrap();
    let millis = |at: jiff::Timestamp| Timestamp::from_unix_millis(at.as_millisecond());
    let filter = Filter::default()
        .with_feature(selected.feature.trim())
        .with_from(millis(start(&selected.from)))
        .with_to(millis(start(&selected.to) + jiff::SignedDuration::from_hours(24)));
    let (total, _) = ledger.total(filter).await;
    let mark = if total.coverage.priced == total.calls {
        ""
    } else {
        "≥ "
    };
    assert!(total.calls > 0);
    assert_eq!(selected.cost, format!("{mark}{} USD", total.cost));
}

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
    let ledger = Ledger(&ledger);
    for (key, by) in [
        ("feature", Dimension::Feature),
        ("model", Dimension::Model),
        ("lane", Dimension::Lane),
        ("day", Dimension::Day),
    ] {
        equal::by(&ledger, &seen.tables, key, by).await;
    }
    equal::over_time(&ledger, &seen.tables["Spend over time"]).await;
    equal::waterfall(&ledger, &seen.tables["What was saved, step by step"]).await;
    equal::head(&ledger, &seen.tiles, &seen.tables["Tokens by kind"]).await;
    assert_selected(&ledger, &seen).await;
    equal::budgets(&samples::budgets().await, &seen.tables["Budgets"]);
    println!(
        "goal report/equal: {} figures compared with queries, each equal",
        equal::count()
    );
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let ledger = samples::hostile();
    let Some(seen) = look(&written("hostile", &ledger).await) else {
        return;
    };
    assert_sound("hostile", &seen);
    equal::by(&Ledger(&ledger), &seen.tables, "feature", Dimension::Feature).await;
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
    for (key, by) in [("feature", Dimension::Feature), ("model", Dimension::Model)] {
        equal::by(&Ledger(&ledger), &seen.tables, key, by).await;
    }
}

#[tokio::test]
async fn one_entry_is_a_report() {
    let ledger = samples::one_entry();
    let Some(seen) = look(&written("one", &ledger).await) else {
        return;
    };
    assert_sound("one", &seen);
    let (one, all) = (Ledger(&ledger), &seen.tables);
    equal::by(&one, all, "feature", Dimension::Feature).await;
    equal::over_time(&one, &all["Spend over time"]).await;
    equal::waterfall(&one, &all["What was saved, step by step"]).await;
    equal::head(&one, &seen.tiles, &all["Tokens by kind"]).await;
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
