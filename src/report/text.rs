//! The report as plain text.

use std::fmt::Write;

use crate::ledger::Totals;
use crate::money::UsdSum;
use crate::report::amounts::{self, exact, known, percent, shown};
use crate::report::cells::Row;
use crate::report::{Report, waterfall};

const NAME: usize = 13;
const WIDTH: usize = 80;

/// How many rows of a table are shown, how many periods, and how much of what could be saved.
const ROWS: usize = 50;
const PERIODS: usize = 31;
const CHANCES: usize = 8;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(report, &mut text);
    text
}

fn write_report(report: &Report, text: &mut String) -> std::fmt::Result {
    if report.total().calls == 0 && report.evicted.calls == 0 && report.bad_lines == 0 {
        writeln!(text, "Spend: no calls")?;
        return write_budgets(report, text);
    }
    writeln!(
        text,
        "Spend in USD; saved by routing, by lane and by the provider's cache"
    )?;
    let total = &report.total;
    write_table(text, "feature", &report.features.rows, total)?;
    write_table(text, "model", &report.models.rows, total)?;
    write_table(text, "lane", &report.lanes.rows, total)?;
    let periods = report.timeline.periods.iter();
    let periods: Vec<Row> = periods
        .filter(|period| period.row.totals.calls > 0)
        .map(|period| period.row.clone())
        .collect();
    let (older, newest) = periods.split_at(periods.len().saturating_sub(PERIODS));
    let before = (!older.is_empty()).then(|| Row::sum("before", older));
    let rows: Vec<Row> = before.into_iter().chain(newest.iter().cloned()).collect();
    write_table(text, report.timeline.step.as_str(), &rows, total)?;
    write_speed(report, text)?;
    write_waterfall(report, text)?;
    write_next_savings(report, text)?;
    write_budgets(report, text)?;
    writeln!(text)?;
    if let Some(rate) = &report.run_rate {
        let sentence = format!(
            "Month-end run rate: {} USD; {} USD since {}, carried on as it went.",
            amounts::cost(&rate.so_far, format!("{:.2}", rate.at_month_end)),
            amounts::cost(&rate.so_far, format!("{:.2}", rate.so_far.cost)),
            rate.month
        );
        write_sentence(text, &sentence);
    }
    for caveat in report.caveats() {
        write_sentence(text, &caveat);
    }
    Ok(())
}

/// Breaks a sentence between words where a line would be too long.
fn write_sentence(text: &mut String, sentence: &str) {
    let mut width = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            text.push_str("\n  ");
            width = 2;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

fn write_table(text: &mut String, name: &str, rows: &[Row], total: &Row) -> std::fmt::Result {
    writeln!(text)?;
    writeln!(
        text,
        "{:NAME$} {:>6} {:>6} {:>6} {:>9} {:>9} {:>8} {:>8} {:>7}",
        name, "calls", "in", "out", "cost", "baseline", "routing", "lane", "cache"
    )?;
    let places = places(&total.totals);
    for row in rows.iter().take(ROWS) {
        write_row(text, &shown(row.key.as_deref(), NAME), &row.totals, places)?;
    }
    if let Some(left) = rows.get(ROWS..).filter(|left| !left.is_empty()) {
        let rest = Row::sum("", left);
        write_row(text, &format!("{} more", left.len()), &rest.totals, places)?;
    }
    write_row(text, "total", &total.totals, places)
}

fn write_row(text: &mut String, name: &str, totals: &Totals, places: usize) -> std::fmt::Result {
    let saved = |amount: UsdSum| amounts::saved(totals, format!("{amount:.places$}"));
    let cost = marked(totals, format!("{:.places$}", totals.cost));
    writeln!(
        text,
        "{name:NAME$} {:>6} {:>6} {:>6} {cost:>9} {:>9} {:>8} {:>8} {:>7}",
        short(totals.calls),
        short(totals.usage.input_tokens),
        short(totals.usage.output_tokens),
        saved(totals.savings.baseline),
        saved(totals.savings.routing),
        saved(totals.savings.lane),
        saved(totals.savings.cache),
    )
}

/// Marks the text of a cost as what is known of it, in one character.
fn marked(totals: &Totals, amount: String) -> String {
    match (known(totals), exact(totals)) {
        (false, _) => "?".into(),
        (true, false) => format!("≥{amount}"),
        (true, true) => amount,
    }
}

/// Writes what a call costs, how long it takes, and how calls ended.
fn write_speed(report: &Report, text: &mut String) -> std::fmt::Result {
    writeln!(text)?;
    writeln!(
        text,
        "{:NAME$} {:>11} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "feature", "per request", "p50 ms", "p95 ms", "cached", "attempts", "failed", "cut off"
    )?;
    let rows = report.features.rows.iter().take(ROWS);
    let rows = rows.map(|row| (shown(row.key.as_deref(), NAME), row));
    for (name, row) in rows.chain([("total".into(), &report.total)]) {
        let totals = &row.totals;
        let each = amounts::per_call(totals).map(|each| marked(totals, format!("{each:.6}")));
        let latency = |at| row.latencies.percentile(at).map_or_else(|| "–".into(), short);
        let cached = amounts::per_mille(totals.usage.cache_read_tokens, totals.usage.input_tokens);
        writeln!(
            text,
            "{name:NAME$} {:>11} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8}",
            each.unwrap_or_default(),
            latency(50),
            latency(95),
            cached.map_or_else(|| "–".into(), percent),
            short(totals.attempts),
            short(totals.failed + totals.unanswered + totals.unreported),
            short(totals.cut_short + totals.abandoned),
        )?;
    }
    Ok(())
}

fn write_waterfall(report: &Report, text: &mut String) -> std::fmt::Result {
    if report.total().coverage.compared == 0 {
        return Ok(());
    }
    writeln!(text)?;
    for step in waterfall::of(report.total(), &report.lanes) {
        let sign = if step.is_level { "=" } else { "" };
        writeln!(text, "{:27}{sign:1} {:>24}", step.name, step.change())?;
    }
    Ok(())
}

fn write_next_savings(report: &Report, text: &mut String) -> std::fmt::Result {
    if report.next_savings.is_empty() {
        return Ok(());
    }
    writeln!(text)?;
    writeln!(
        text,
        "{:NAME$} {:22} {:>14} {:>14}",
        "feature", "next saving", "of", "at most"
    )?;
    for saving in report.next_savings.iter().take(CHANCES) {
        writeln!(
            text,
            "{:NAME$} {:22} {:>14} {:>14}",
            shown(saving.feature.as_deref(), NAME),
            saving.lever.title(),
            format!("{:.4}", saving.addressable),
            format!("{:.4}", saving.at_most)
        )?;
    }
    Ok(())
}

fn write_budgets(report: &Report, text: &mut String) -> std::fmt::Result {
    if report.budgets.is_empty() {
        return Ok(());
    }
    writeln!(text)?;
    writeln!(
        text,
        "{:NAME$} {:NAME$} {:>11} {:>11} {:>11} {:>11}",
        "budget", "of", "limit", "spent", "held", "left"
    )?;
    for status in report.budgets.iter().take(ROWS) {
        let key = status.key.as_deref().map(|key| shown(Some(key), NAME));
        let amount = |amount: UsdSum| format!("{amount:.4}");
        writeln!(
            text,
            "{:NAME$} {:NAME$} {:>11} {:>11} {:>11} {:>11}",
            shown(Some(&status.budget), NAME),
            key.unwrap_or_default(),
            amount(status.limit.into()),
            amount(status.spent),
            amount(status.held),
            amount(status.left)
        )?;
    }
    let left = report.budgets.len().saturating_sub(ROWS);
    if left > 0 {
        writeln!(text, "and {left} more budgets")?;
    }
    Ok(())
}

/// Returns how many decimal places fit for the largest amounts, the same for every row.
fn places(total: &Totals) -> usize {
    let savings = &total.savings;
    let widths = [
        (total.cost, 8),
        (savings.baseline, 9),
        (savings.routing, 8),
        (savings.lane, 8),
        (savings.cache, 7),
    ];
    let fits = |places: &usize| {
        widths
            .iter()
            .all(|(amount, width)| format!("{amount:.places$}").len() <= *width)
    };
    [5, 4, 2].into_iter().find(fits).unwrap_or(0)
}

/// Returns a count in at most six characters, rounded down.
fn short(count: u64) -> String {
    match count {
        0..100_000 => count.to_string(),
        100_000..100_000_000 => format!("{}k", count / 1_000),
        100_000_000..100_000_000_000 => format!("{}M", count / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{}G", count / 1_000_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => format!("{}T", count / 1_000_000_000_000),
        _ => format!("{}P", count / 1_000_000_000_000_000),
    }
}
