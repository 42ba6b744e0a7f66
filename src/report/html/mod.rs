//! The report as one page of HTML.

mod budgets;
mod cells;
#[cfg(feature = "dashboard")]
mod live;
mod over_time;
mod sections;
mod tables;

use std::fmt::{self, Write};

use crate::ledger::Totals;
use crate::markup::Escaped;
use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::{self, grouped, per_mille, percent, saved, shown};

/// How many characters of a name are shown, and how many where the pointer rests.
const NAME: usize = 60;
const WHOLE_NAME: usize = 1_000;

/// How many rows a table has at most.
const ROWS: usize = 400;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The SHA-256 of the script. The page's policy runs nothing else; a test holds it to the script.
const SCRIPT_HASH: &str = "KAoC9ETEfaqywKECvS3l205s3NR3E+kyR33X2UdWJ30=";

/// What a page has that is to be kept up to date by a service.
#[derive(Debug, Default)]
struct Extras {
    /// Further sources in the page's policy, and a directive.
    scripts: String,
    policy: &'static str,
    /// Attributes of the element that is replaced.
    attributes: String,
    script: Option<&'static str>,
}

pub(super) fn render(report: &Report) -> String {
    render_with(report, &Extras::default())
}

#[cfg(feature = "dashboard")]
pub(super) use live::{fingerprint, render as render_live};

fn render_with(report: &Report, extras: &Extras) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing to a string cannot fail.
    let _ = write_page(report, extras, &mut page);
    page
}

fn write_page(report: &Report, extras: &Extras, page: &mut String) -> fmt::Result {
    let Extras {
        scripts,
        policy,
        attributes,
        ..
    } = extras;
    write!(
        page,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'{scripts};{policy} base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>LLM spend</title>
<style>
{STYLE}</style>
</head>
<body>
<main{attributes}>
"#
    )?;
    write_head(report, page)?;
    if report.total.totals.calls > 0 {
        over_time::write(report, page)?;
        sections::waterfall(report, page)?;
        sections::next_savings(report, page)?;
        budgets::write(report, page)?;
        tables::write_all(report, page)?;
        sections::tokens(report, page)?;
        cells::write(report, page)?;
    } else {
        budgets::write(report, page)?;
    }
    sections::coverage(report, page)?;
    write!(
        page,
        "<footer>Amounts are in US dollars; where one is rounded, all its digits are shown where the pointer rests. \
         ≥ is a lower bound, ? is not known, – cannot be told.</footer>\n</main>\n"
    )?;
    if report.total.totals.calls > 0 || extras.script.is_some() {
        writeln!(page, "<script>{SCRIPT}</script>")?;
    }
    if let Some(script) = extras.script {
        writeln!(page, "<script>{script}</script>")?;
    }
    page.push_str("</body>\n</html>\n");
    Ok(())
}

fn write_head(report: &Report, page: &mut String) -> fmt::Result {
    let periods = &report.timeline.periods;
    let days = || report.cells.iter().filter_map(|cell| cell.day);
    let span = match (days().min(), days().max(), periods.is_empty()) {
        (Some(first), Some(last), _) if first == last => first.to_string(),
        (Some(first), Some(last), _) => format!("{first} to {last}"),
        (.., true) => "no calls".into(),
        _ => "at no time that a calendar has".into(),
    };
    writeln!(
        page,
        "<header><h1>LLM spend</h1><p>{span} · days of {}</p></header>\n<dl class=\"tiles\">",
        Escaped(&report.zone.to_string())
    )?;
    let total = &report.total.totals;
    let known = &total.coverage;
    let calls = count("calls", total.calls);
    tile(
        page,
        "Cost",
        &amount("cost", total, total.cost, 2),
        &format!(
            "{} of {calls} calls priced exactly",
            count("priced", known.priced)
        ),
    )?;
    let savings = &total.savings;
    let share = savings.total().per_mille_of(savings.baseline).map(percent);
    tile(
        page,
        "Saved",
        &with_title(
            "saved",
            &saved(total, rounded(savings.total(), 2)),
            &saved(total, savings.total().to_string()),
        ),
        &format!(
            "{} of what {} calls with a baseline would have cost",
            told("share_saved", share.as_deref()),
            count("compared", known.compared)
        ),
    )?;
    tile(
        page,
        "Cost per request",
        &match amounts::per_call(total) {
            Some(each) => amount("each", total, each, 6),
            None => told("each", None),
        },
        &format!("{calls} calls"),
    )?;
    if let Some(rate) = &report.run_rate {
        tile(
            page,
            "Month-end run rate",
            &amount("", &rate.so_far, rate.at_month_end, 2),
            &format!(
                "{} since {}, carried on as it went",
                amount("", &rate.so_far, rate.so_far.cost, 2),
                rate.month
            ),
        )?;
    }
    let cached = per_mille(total.usage.cache_read_tokens, total.usage.input_tokens);
    tile(
        page,
        "From the provider's cache",
        &told("share_cached", cached.map(percent).as_deref()),
        &format!(
            "of input tokens; {} calls without counts",
            count("without_usage", known.without_usage)
        ),
    )?;
    let ended = total.calls.saturating_sub(total.succeeded);
    tile(
        page,
        "Without a whole answer",
        &told(
            "share_ended",
            per_mille(ended, total.calls).map(percent).as_deref(),
        ),
        &format!(
            "{} of {calls} calls; {} attempts",
            count("ended", ended),
            count("attempts", total.attempts)
        ),
    )?;
    page.push_str("</dl>\n");
    Ok(())
}

fn tile(page: &mut String, name: &str, figure: &str, note: &str) -> fmt::Result {
    writeln!(
        page,
        "<div class=\"tile\"><dt>{name}</dt><dd class=\"figure\">{figure}</dd><dd class=\"note\">{note}</dd></div>"
    )
}

/// Begins a section with its heading.
fn begin(page: &mut String, id: &str, heading: &str, note: &str) -> fmt::Result {
    write!(page, "<section id=\"{id}\">\n<h2>{heading}</h2>\n")?;
    if !note.is_empty() {
        writeln!(page, "<p class=\"note\">{note}</p>")?;
    }
    Ok(())
}

/// Begins what can be wider than the page. It can be focused, so that it is scrolled by keyboard too.
fn begin_wide(page: &mut String, label: &str) -> fmt::Result {
    writeln!(
        page,
        "<div class=\"wide\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">"
    )
}

fn rounded(amount: UsdSum, places: usize) -> String {
    grouped(&format!("{amount:.places$}"))
}

/// Returns a cost with so many places, marked as what is known of it, and its exact text where the pointer rests.
///
/// `of` is what the script calls the figure, if it can tell it for a part of the calls.
fn amount(of: &str, totals: &Totals, amount: UsdSum, places: usize) -> String {
    let mark = |text| amounts::cost(totals, text);
    with_title(of, &mark(rounded(amount, places)), &mark(amount.to_string()))
}

fn with_title(of: &str, shown: &str, exact: &str) -> String {
    let of = if of.is_empty() {
        String::new()
    } else {
        format!(" data-of=\"{of}\"")
    };
    format!("<span{of} title=\"{exact}\">{shown}</span>")
}

/// Returns a count with what the script calls it.
fn count(of: &str, count: u64) -> String {
    told(of, Some(&grouped(&count.to_string())))
}

/// Returns a figure with what the script calls it, or that it cannot be told.
fn told(of: &str, text: Option<&str>) -> String {
    format!("<span data-of=\"{of}\">{}</span>", text.unwrap_or("–"))
}

/// Returns a name as it is shown in an element, and the attribute that has all of it if that was cut.
fn name(key: Option<&str>) -> (String, String) {
    let short = shown(key, NAME);
    let title = match key {
        Some(key) if key.chars().nth(NAME).is_some() => {
            format!(" title=\"{}\"", Escaped(&shown(Some(key), WHOLE_NAME)))
        }
        _ => String::new(),
    };
    (format!("<bdi>{}</bdi>", Escaped(&short)), title)
}

#[cfg(test)]
mod tests;
