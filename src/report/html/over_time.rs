//! The chart of spend over time, and its table.

use std::fmt::{self, Write};

use crate::ledger::Totals;
use crate::markup::Escaped;
use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::{cost, grouped, places};
use crate::report::html::{begin, begin_wide, name};
use crate::report::svg::{self, Axis, COLUMN, FULL};
use crate::report::timeline::{Period, Timeline};

/// How many columns are named below the chart.
const LABELS: usize = 6;

pub(super) fn write(report: &Report, page: &mut String) -> fmt::Result {
    let timeline = &report.timeline;
    let step = timeline.step.as_str();
    begin(
        page,
        "over-time",
        &format!("Spend by {step} and feature"),
        "What is known of the cost, in USD.",
    )?;
    write_chart(timeline, page)?;
    write_legend(timeline, page)?;
    write!(page, "<details>\n<summary>As a table</summary>\n")?;
    begin_wide(page, "Spend over time")?;
    write_table(report, page)?;
    writeln!(page, "</div>\n</details>\n</section>")
}

fn write_chart(timeline: &Timeline, page: &mut String) -> fmt::Result {
    let height = |period: &Period| -> i128 {
        let sums = parts(period).map(|totals| totals.cost.as_pico().max(0));
        sums.fold(0, i128::saturating_add)
    };
    let axis = Axis::up_to(timeline.periods.iter().map(height).max().unwrap_or(0));
    let lines = axis.ticks.len().saturating_sub(1).max(1);
    write!(
        page,
        "<div class=\"chart\">\n<div class=\"ys\" aria-hidden=\"true\">"
    )?;
    for (line, tick) in axis.ticks.iter().enumerate() {
        let (at, label) = (line * 100 / lines, trimmed(*tick));
        write!(page, "<span style=\"bottom:{at}%\">{label}</span>")?;
    }
    write!(page, "</div>\n<div class=\"plot\">")?;
    for line in 1..=lines {
        write!(
            page,
            "<span class=\"line\" style=\"bottom:{}%\"></span>",
            line * 100 / lines
        )?;
    }
    let columns = timeline.periods.len();
    write!(
        page,
        "<svg viewBox=\"0 0 {} {FULL}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Columns of spend over time, one colour for each feature. The same is in the table below.\">",
        columns.max(1) * COLUMN
    )?;
    for at in 0..=timeline.features.len() {
        if at == timeline.features.len() && timeline.others == 0 {
            break;
        }
        let class = class(timeline, at);
        let boxes = timeline.periods.iter().enumerate().map(|(column, period)| {
            let below = parts(period).take(at).map(|totals| totals.cost.as_pico().max(0));
            let below = below.fold(0, i128::saturating_add);
            let own = parts(period)
                .nth(at)
                .map_or(0, |totals| totals.cost.as_pico().max(0));
            let from = svg::scale(below, axis.top);
            let to = svg::scale(below.saturating_add(own), axis.top);
            (column, from, to.saturating_sub(from))
        });
        write!(page, "<path class=\"{class}\" d=\"{}\"/>", svg::boxes(boxes))?;
    }
    for (column, period) in timeline.periods.iter().enumerate() {
        let totals = &period.row.totals;
        let (name, x) = (timeline.step.name(period.start), column * COLUMN);
        write!(
            page,
            "<rect class=\"hit\" x=\"{x}\" width=\"{COLUMN}\" height=\"{FULL}\"><title>{name}: {} USD</title></rect>",
            cost(totals, totals.cost.to_string())
        )?;
    }
    write!(page, "</svg></div>\n<div class=\"xs\" aria-hidden=\"true\">")?;
    let labels = LABELS.min(columns);
    for label in 0..labels {
        let column = (label * columns.saturating_sub(1))
            .checked_div(labels - 1)
            .unwrap_or(0);
        let Some(period) = timeline.periods.get(column) else {
            continue;
        };
        // The middle of the column, in hundredths of a percent.
        let at = (2 * column + 1) * 5_000 / columns;
        let name = timeline.step.name(period.start);
        write!(
            page,
            "<span style=\"left:{}.{:02}%\">{name}</span>",
            at / 100,
            at % 100
        )?;
    }
    writeln!(page, "</div>\n</div>")
}

/// Returns the features that are told apart, and what the others have together.
fn parts(period: &Period) -> impl Iterator<Item = &Totals> {
    period.by_feature.iter().chain([&period.rest])
}

fn class(timeline: &Timeline, at: usize) -> String {
    if at == timeline.features.len() {
        "f11".into()
    } else {
        format!("f{at}")
    }
}

fn others(timeline: &Timeline) -> String {
    format!("{} other features", grouped(&timeline.others.to_string()))
}

fn write_legend(timeline: &Timeline, page: &mut String) -> fmt::Result {
    page.push_str("<ul class=\"legend\">\n");
    for (at, feature) in timeline.features.iter().enumerate() {
        let (name, title) = name(feature.as_deref());
        writeln!(
            page,
            "<li{title}><span class=\"swatch {}\"></span>{name}</li>",
            class(timeline, at)
        )?;
    }
    if timeline.others > 0 {
        writeln!(
            page,
            "<li><span class=\"swatch f11\"></span>{}</li>",
            others(timeline)
        )?;
    }
    writeln!(page, "</ul>")
}

fn write_table(report: &Report, page: &mut String) -> fmt::Result {
    let timeline = &report.timeline;
    let step = timeline.step.as_str();
    write!(
        page,
        "<table>\n<thead>\n<tr><th scope=\"col\" class=\"when\">{step}</th><th scope=\"col\">total</th>"
    )?;
    for feature in &timeline.features {
        let (name, title) = name(feature.as_deref());
        write!(page, "<th scope=\"col\"{title}>{name}</th>")?;
    }
    if timeline.others > 0 {
        write!(page, "<th scope=\"col\">{}</th>", others(timeline))?;
    }
    writeln!(page, "</tr>\n</thead>\n<tbody>")?;
    for period in &timeline.periods {
        let name = timeline.step.name(period.start);
        write!(
            page,
            "<tr><th scope=\"row\" class=\"when\">{}</th>",
            Escaped(&name)
        )?;
        write_cost(page, &period.row.totals)?;
        for totals in parts(period).take(timeline.features.len() + timeline.others.min(1)) {
            write_cost(page, totals)?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</tbody>\n</table>")
}

/// A cell with the cost of some calls; empty if there are none.
fn write_cost(page: &mut String, totals: &Totals) -> fmt::Result {
    if totals.calls == 0 {
        return write!(page, "<td></td>");
    }
    let places = places(totals.cost);
    let rounded = grouped(&format!("{:.places$}", totals.cost));
    let (rounded, exact) = (cost(totals, rounded), cost(totals, totals.cost.to_string()));
    write!(page, "<td title=\"{exact}\">{rounded}</td>")
}

/// Returns an amount without places that say nothing.
fn trimmed(amount: UsdSum) -> String {
    let text = amount.to_string();
    let text = text.strip_suffix(".00").unwrap_or(&text);
    grouped(text)
}
