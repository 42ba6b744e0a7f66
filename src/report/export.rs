//! The report for other programs, and onto the disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::budget::BudgetStatus;
use crate::clock::Timestamp;
use crate::ledger::{Distribution, Totals};
use crate::money::{Usd, UsdSum};
use crate::report::cells::{Cell, Row};
use crate::report::{Report, waterfall};

#[derive(Serialize)]
struct Exported<'a> {
    made_at: Timestamp,
    time_zone: String,
    total: Part<'a>,
    by_feature: Vec<Part<'a>>,
    by_model: Vec<Part<'a>>,
    by_lane: Vec<Part<'a>>,
    step: &'static str,
    by_step: Vec<Part<'a>>,
    waterfall: Vec<Leg>,
    next_savings: Vec<Next<'a>>,
    budgets: Vec<Standing<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    month_end_run_rate: Option<RunRate<'a>>,
    evicted: &'a Totals,
    bad_lines: u64,
    caveats: Vec<String>,
    cells: Vec<Exact<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    key: Option<&'a str>,
    #[serde(flatten)]
    figures: Figures<'a>,
}

#[derive(Serialize)]
struct Exact<'a> {
    day: Option<String>,
    feature: Option<&'a str>,
    model: Option<&'a str>,
    lane: Option<&'a str>,
    #[serde(flatten)]
    figures: Figures<'a>,
}

#[derive(Serialize)]
struct Figures<'a> {
    totals: &'a Totals,
    cost_at_most: Option<UsdSum>,
    latency_p50_ms: Option<u64>,
    latency_p95_ms: Option<u64>,
}

#[derive(Serialize)]
struct Leg {
    step: &'static str,
    from: UsdSum,
    to: UsdSum,
}

#[derive(Serialize)]
struct Next<'a> {
    feature: Option<&'a str>,
    lever: &'static str,
    addressable: UsdSum,
    at_least: UsdSum,
    at_most: UsdSum,
    evidence: &'a str,
    change: &'a str,
}

#[derive(Serialize)]
struct Standing<'a> {
    budget: &'a str,
    key: Option<&'a str>,
    limit: Usd,
    spent: UsdSum,
    held: UsdSum,
    left: UsdSum,
    window_start: Option<Timestamp>,
    window_end: Option<Timestamp>,
    runs_out: Option<Timestamp>,
    refused: u64,
}

#[derive(Serialize)]
struct RunRate<'a> {
    month: String,
    so_far: &'a Totals,
    at_month_end: UsdSum,
}

impl<'a> Figures<'a> {
    fn of(totals: &'a Totals, latencies: &Distribution) -> Self {
        Self {
            totals,
            cost_at_most: totals.at_most(),
            latency_p50_ms: latencies.percentile(50),
            latency_p95_ms: latencies.percentile(95),
        }
    }
}

impl<'a> Part<'a> {
    fn of(row: &'a Row) -> Self {
        Self {
            key: row.key.as_deref(),
            figures: Figures::of(&row.totals, &row.latencies),
        }
    }
}

impl<'a> Exact<'a> {
    fn of(cell: &'a Cell) -> Self {
        Self {
            day: cell.day.map(|day| day.to_string()),
            feature: cell.feature.as_deref(),
            model: cell.model.as_deref(),
            lane: cell.lane.as_deref(),
            figures: Figures::of(&cell.totals, &cell.latencies),
        }
    }
}

impl<'a> Standing<'a> {
    fn of(status: &'a BudgetStatus) -> Self {
        Self {
            budget: &status.budget,
            key: status.key.as_deref(),
            limit: status.limit,
            spent: status.spent,
            held: status.held,
            left: status.left,
            window_start: status.window_start,
            window_end: status.window_end,
            runs_out: status.runs_out,
            refused: status.refused,
        }
    }
}

pub(super) fn json(report: &Report) -> String {
    let steps = waterfall::of(report.total(), &report.lanes);
    let exported = Exported {
        made_at: report.made_at,
        time_zone: report.zone.to_string(),
        total: Part::of(&report.total),
        by_feature: report.features.rows.iter().map(Part::of).collect(),
        by_model: report.models.rows.iter().map(Part::of).collect(),
        by_lane: report.lanes.rows.iter().map(Part::of).collect(),
        step: report.timeline.step.as_str(),
        by_step: report
            .timeline
            .periods
            .iter()
            .map(|period| Part::of(&period.row))
            .collect(),
        waterfall: steps
            .iter()
            .map(|step| Leg {
                step: step.id,
                from: step.from,
                to: step.to,
            })
            .collect(),
        next_savings: report
            .next_savings
            .iter()
            .map(|saving| Next {
                feature: saving.feature.as_deref(),
                lever: saving.lever.as_str(),
                addressable: saving.addressable,
                at_least: saving.at_least,
                at_most: saving.at_most,
                evidence: &saving.evidence,
                change: &saving.change,
            })
            .collect(),
        budgets: report.budgets.iter().map(Standing::of).collect(),
        month_end_run_rate: report.run_rate.as_ref().map(|rate| RunRate {
            month: rate.month.to_string(),
            so_far: &rate.so_far,
            at_month_end: rate.at_month_end,
        }),
        evicted: &report.evicted,
        bad_lines: report.bad_lines,
        caveats: report.caveats(),
        cells: report.cells.iter().map(Exact::of).collect(),
    };
    // Text, numbers and lists of them cannot fail to be written.
    serde_json::to_string(&exported).unwrap_or_default()
}

const HEADER: &str = "day,feature,model,lane,calls,attempts,succeeded,failed,unanswered,cut_short,abandoned,unreported,\
    input_tokens,cache_read_tokens,cache_write_tokens,output_tokens,reasoning_tokens,cost_usd,cost_at_most_usd,\
    baseline_usd,saved_routing_usd,saved_lane_usd,saved_cache_usd,compared,priced,partial,unpriced,\
    latency_p50_ms,latency_p95_ms\r\n";

pub(super) fn csv(report: &Report) -> String {
    let mut text = String::from(HEADER);
    for cell in &report.cells {
        let (totals, usage, savings) = (&cell.totals, &cell.totals.usage, &cell.totals.savings);
        let day = cell.day.map(|day| day.to_string()).map(Arc::from);
        for name in [&day, &cell.feature, &cell.model, &cell.lane] {
            push_name(&mut text, name.as_deref().unwrap_or_default());
            text.push(',');
        }
        let counts = [
            totals.calls,
            totals.attempts,
            totals.succeeded,
            totals.failed,
            totals.unanswered,
            totals.cut_short,
            totals.abandoned,
            totals.unreported,
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        ];
        let mut numbers: Vec<String> = counts.iter().map(u64::to_string).collect();
        let optional = |number: Option<String>| number.unwrap_or_default();
        numbers.push(totals.cost.to_string());
        numbers.push(optional(totals.at_most().map(|most| most.to_string())));
        let amounts = [savings.baseline, savings.routing, savings.lane, savings.cache];
        numbers.extend(amounts.iter().map(UsdSum::to_string));
        let known = &totals.coverage;
        let counts = [known.compared, known.priced, known.partial, known.unpriced];
        numbers.extend(counts.iter().map(u64::to_string));
        let latencies = [50, 95].map(|at| cell.latencies.percentile(at));
        numbers.extend(latencies.map(|latency| optional(latency.map(|latency| latency.to_string()))));
        text.push_str(&numbers.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Writes a name so that it is one cell, and no formula.
fn push_name(text: &mut String, name: &str) {
    let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !is_formula && !name.contains(['"', ',', '\n', '\r']) {
        return text.push_str(name);
    }
    text.push('"');
    if is_formula {
        text.push('\'');
    }
    text.push_str(&name.replace('"', "\"\""));
    text.push('"');
}

/// Writes a file beside the one that is meant, and puts it in its place. Whoever may read new files of this process may read
/// it, unlike what `storage` writes.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = beside(path)?;
    let written = File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if written.is_err() {
        // The first error says what went wrong.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{:016x}.tmp", fastrand::u64(..)));
    Ok(path.with_file_name(unfinished))
}
