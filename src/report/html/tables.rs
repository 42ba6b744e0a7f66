//! Tables of spend by feature, model, lane and time: money beside what is known of it, speed, tokens, endings.

use std::fmt::{self, Write};

use crate::ledger::Totals;
use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::{cost, grouped, per_call, per_mille, percent, places, saved};
use crate::report::cells::Row;
use crate::report::html::{ROWS, begin, begin_wide, name, rounded};
use crate::report::svg::{self, scale};

pub(super) fn write_all(report: &Report, page: &mut String) -> fmt::Result {
    let total = &report.total;
    let note = "Latencies are at most 1/32 above the exact ones. Baseline and savings cover the calls whose cost and \
                baseline are both known exactly.";
    let features = &report.features.rows;
    begin(page, "features", "By feature", note)?;
    write_both(page, "feature", features, total)?;
    writeln!(page, "</section>")?;
    for (id, heading, key, rows) in [
        ("models", "By model", "model", &report.models.rows),
        ("lanes", "By lane", "lane", &report.lanes.rows),
    ] {
        begin(page, id, heading, "")?;
        write_both(page, key, rows, total)?;
        writeln!(page, "</section>")?;
    }
    let step = report.timeline.step.as_str();
    begin(page, "periods", &format!("By {step}"), "")?;
    write!(page, "<details>\n<summary>As a table</summary>\n")?;
    let periods = report.timeline.periods.iter();
    let rows: Vec<Row> = periods
        .map(|period| period.row.clone())
        .filter(|row| row.totals.calls > 0)
        .collect();
    write_money(page, step, &rows, total)?;
    write_endings(page, step, &rows, &total.totals)?;
    writeln!(page, "</details>\n</section>")
}

fn write_both(page: &mut String, key: &str, rows: &[Row], total: &Row) -> fmt::Result {
    write_money(page, key, rows, total)?;
    write!(
        page,
        "<details>\n<summary>Tokens, attempts, errors, streams cut</summary>\n"
    )?;
    write_endings(page, key, rows, &total.totals)?;
    writeln!(page, "</details>")
}

/// Returns the rows that are shown, and the sum of those that are not.
fn cut(rows: &[Row]) -> (&[Row], Option<Row>) {
    let (shown, left) = rows.split_at(rows.len().min(ROWS));
    let rest = || Row::sum(&format!("{} more", left.len()), left);
    (shown, (!left.is_empty()).then(rest))
}

fn write_money(page: &mut String, key: &str, rows: &[Row], total: &Row) -> fmt::Result {
    begin_wide(page, &format!("Spend by {key}"))?;
    write!(
        page,
        "<table class=\"sorts\">\n<thead>\n<tr><th scope=\"col\">{key}</th><td></td>"
    )?;
    write_headings(
        page,
        &[
            ("cost", "cost"),
            ("calls", "calls"),
            ("exactly", "priced exactly"),
            ("each", "per request"),
            ("latency", "p50 ms"),
            ("latency", "p95 ms"),
            ("baseline", "baseline"),
            ("routing", "saved by routing"),
            ("lane_saved", "saved by lane"),
            ("cache", "saved by cache"),
        ],
    )?;
    writeln!(page, "</tr>\n</thead>\n<tbody>")?;
    let (rows, rest) = cut(rows);
    let largest = rows.iter().map(|row| row.totals.cost).max().unwrap_or_default();
    let columns = Columns {
        cost: places(largest),
        saved: places(
            rows.iter()
                .map(|row| row.totals.savings.baseline)
                .max()
                .unwrap_or_default(),
        ),
    };
    for row in rows {
        let (name, title) = name(row.key.as_deref());
        let length = scale(row.totals.cost.as_pico(), largest.as_pico());
        write!(
            page,
            "<tr><th scope=\"row\"{title}>{name}</th><td class=\"graph\">{}</td>",
            svg::bar(&[("spent", length)])
        )?;
        columns.write(page, row)?;
    }
    page.push_str("</tbody>\n<tfoot>\n");
    if let Some(rest) = &rest {
        let name = rest.key.as_deref().unwrap_or_default();
        write!(page, "<tr><th scope=\"row\">{name}</th><td></td>")?;
        columns.write(page, rest)?;
    }
    write!(page, "<tr><th scope=\"row\">total</th><td></td>")?;
    columns.write(page, total)?;
    writeln!(page, "</tfoot>\n</table>\n</div>")
}

/// Writes headings, each with what the script calls the figures below it.
fn write_headings(page: &mut String, columns: &[(&str, &str)]) -> fmt::Result {
    for (of, column) in columns {
        write!(page, "<th scope=\"col\" data-of=\"{of}\">{column}</th>")?;
    }
    Ok(())
}

/// How many places the amounts of a table have.
struct Columns {
    cost: usize,
    saved: usize,
}

impl Columns {
    fn write(&self, page: &mut String, row: &Row) -> fmt::Result {
        let totals = &row.totals;
        write_amount(page, totals, totals.cost, self.cost, cost)?;
        let count = |count: u64| grouped(&count.to_string());
        let exactly = per_mille(totals.coverage.priced, totals.calls);
        write!(
            page,
            "<td>{}</td><td title=\"{} calls\">{}</td>",
            count(totals.calls),
            totals.coverage.priced,
            exactly.map_or_else(|| "–".into(), percent)
        )?;
        match per_call(totals) {
            Some(each) => write_amount(page, totals, each, 6, cost)?,
            None => page.push_str("<td>–</td>"),
        }
        for at in [50, 95] {
            let latency = row.latencies.percentile(at).map(count);
            write!(page, "<td>{}</td>", latency.as_deref().unwrap_or("–"))?;
        }
        let savings = &totals.savings;
        for amount in [savings.baseline, savings.routing, savings.lane, savings.cache] {
            write_amount(page, totals, amount, self.saved, saved)?;
        }
        writeln!(page, "</tr>")
    }
}

/// A cell with what is read at once, and what it is exactly where the pointer rests.
fn write_amount(
    page: &mut String,
    totals: &Totals,
    amount: UsdSum,
    places: usize,
    mark: fn(&Totals, String) -> String,
) -> fmt::Result {
    let rounded = mark(totals, rounded(amount, places));
    write!(
        page,
        "<td title=\"{}\">{rounded}</td>",
        mark(totals, amount.to_string())
    )
}

fn write_endings(page: &mut String, key: &str, rows: &[Row], total: &Totals) -> fmt::Result {
    begin_wide(page, &format!("How calls by {key} ended, and their tokens"))?;
    write!(
        page,
        "<table class=\"sorts\">\n<thead>\n<tr><th scope=\"col\">{key}</th>"
    )?;
    write_headings(
        page,
        &[
            ("calls", "calls"),
            ("input", "tokens in"),
            ("cached", "from cache"),
            ("output", "tokens out"),
            ("reasoning", "reasoning"),
            ("attempts", "attempts"),
            ("succeeded", "answered"),
            ("failed", "failed"),
            ("unanswered", "no answer"),
            ("cut_short", "stream cut"),
            ("abandoned", "dropped"),
            ("unreported", "not in its batch"),
        ],
    )?;
    writeln!(page, "</tr>\n</thead>\n<tbody>")?;
    let (rows, rest) = cut(rows);
    for row in rows {
        let (name, title) = name(row.key.as_deref());
        write!(page, "<tr><th scope=\"row\"{title}>{name}</th>")?;
        write_counts(page, &row.totals)?;
    }
    page.push_str("</tbody>\n<tfoot>\n");
    if let Some(rest) = &rest {
        let name = rest.key.as_deref().unwrap_or_default();
        write!(page, "<tr><th scope=\"row\">{name}</th>")?;
        write_counts(page, &rest.totals)?;
    }
    write!(page, "<tr><th scope=\"row\">total</th>")?;
    write_counts(page, total)?;
    writeln!(page, "</tfoot>\n</table>\n</div>")
}

fn write_counts(page: &mut String, totals: &Totals) -> fmt::Result {
    let usage = &totals.usage;
    for count in [
        totals.calls,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        totals.attempts,
        totals.succeeded,
        totals.failed,
        totals.unanswered,
        totals.cut_short,
        totals.abandoned,
        totals.unreported,
    ] {
        write!(page, "<td>{}</td>", grouped(&count.to_string()))?;
    }
    writeln!(page, "</tr>")
}
