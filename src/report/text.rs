//! The report as plain text.

use std::fmt::Write;

use crate::ledger::Totals;
use crate::money::UsdSum;
use crate::report::{Report, exact, known, shown};

const NAME: usize = 13;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(report, &mut text);
    text
}

fn write_report(report: &Report, text: &mut String) -> std::fmt::Result {
    if report.total.calls == 0 && report.evicted.calls == 0 {
        return writeln!(text, "Spend: no calls");
    }
    writeln!(
        text,
        "Spend in USD; saved by routing, by lane and by the provider's cache"
    )?;
    let places = places(&report.total);
    for table in &report.tables {
        writeln!(text)?;
        writeln!(
            text,
            "{:NAME$} {:>6} {:>6} {:>6} {:>9} {:>9} {:>8} {:>8} {:>7}",
            table.name, "calls", "in", "out", "cost", "baseline", "routing", "lane", "cache"
        )?;
        for row in &table.rows {
            write_row(text, &shown(row.key.as_deref(), NAME), &row.totals, places)?;
        }
        write_row(text, "total", &report.total, places)?;
    }
    writeln!(text)?;
    for caveat in report.caveats() {
        writeln!(text, "{caveat}")?;
    }
    Ok(())
}

fn write_row(text: &mut String, name: &str, totals: &Totals, places: usize) -> std::fmt::Result {
    let saved = |amount: UsdSum| {
        if totals.coverage.compared == 0 {
            "–".into()
        } else {
            format!("{amount:.places$}")
        }
    };
    let cost = match (known(totals), exact(totals)) {
        (false, _) => "?".into(),
        (true, false) => format!("≥{:.places$}", totals.cost),
        (true, true) => format!("{:.places$}", totals.cost),
    };
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
