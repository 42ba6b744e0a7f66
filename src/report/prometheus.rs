//! The report's sums for Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::budget::BudgetStatus;
use crate::label::{MAX_BYTES, MAX_NAMES, NONE, OTHER};
use crate::ledger::Totals;
use crate::report::Report;
use crate::report::cells::Cell;

/// A figure of some totals, as text without an exponent, so that no digit of an amount is lost.
type Figure = fn(&Totals) -> String;

const FIGURES: [(&str, &str, Figure); 10] = [
    ("cost_usd", "What is known to have been billed.", |totals| {
        totals.cost.to_string()
    }),
    (
        "saved_usd",
        "What was saved, over the calls whose cost and baseline are known.",
        |totals| totals.savings.total().to_string(),
    ),
    ("calls", "Rows of the ledger.", |totals| totals.calls.to_string()),
    (
        "calls_not_priced_exactly",
        "Calls of which the cost is not known, or only in part.",
        |totals| totals.calls.saturating_sub(totals.coverage.priced).to_string(),
    ),
    (
        "calls_without_whole_answer",
        "Calls that failed, were dropped, or ended before their answer did.",
        |totals| totals.calls.saturating_sub(totals.succeeded).to_string(),
    ),
    (
        "attempts",
        "How often calls were sent, repeats included.",
        |totals| totals.attempts.to_string(),
    ),
    (
        "input_tokens",
        "Tokens of input, cached ones included.",
        |totals| totals.usage.input_tokens.to_string(),
    ),
    (
        "cache_read_tokens",
        "Tokens of input that the provider's cache had.",
        |totals| totals.usage.cache_read_tokens.to_string(),
    ),
    (
        "output_tokens",
        "Tokens of output, reasoning included.",
        |totals| totals.usage.output_tokens.to_string(),
    ),
    (
        "reasoning_tokens",
        "Tokens of output that were reasoning.",
        |totals| totals.usage.reasoning_tokens.to_string(),
    ),
];

type Amount = fn(&BudgetStatus) -> String;

const OF_BUDGETS: [(&str, &str, Amount); 3] = [
    ("budget_limit_usd", "The limit.", |status| {
        status.limit.to_string()
    }),
    (
        "budget_spent_usd",
        "What is spent of it in its window.",
        |status| status.spent.to_string(),
    ),
    (
        "budget_held_usd",
        "What is held of it for calls under way.",
        |status| status.held.to_string(),
    ),
];

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut text);
    text
}

fn write(report: &Report, text: &mut String) -> fmt::Result {
    let features = own_labels(&report.cells, |cell| cell.feature.as_ref());
    let models = own_labels(&report.cells, |cell| cell.model.as_ref());
    let mut series: BTreeMap<[&str; 3], Totals> = BTreeMap::new();
    for cell in &report.cells {
        let labels = [
            label(cell.feature.as_ref(), &features),
            label(cell.model.as_ref(), &models),
            cell.lane.as_deref().unwrap_or(NONE),
        ];
        series.entry(labels).or_default().merge(&cell.totals);
    }
    for (name, help, figure) in FIGURES {
        begin(text, name, help)?;
        for ([feature, model, lane], totals) in &series {
            writeln!(
                text,
                "thrifty_{name}{{feature=\"{}\",model=\"{}\",lane=\"{}\"}} {}",
                Escaped(feature),
                Escaped(model),
                Escaped(lane),
                figure(totals)
            )?;
        }
    }
    // One for each user or value of a tag would be labels without a bound, and users by name.
    let whole = || report.budgets.iter().filter(|status| status.key.is_none());
    for (name, help, amount) in OF_BUDGETS {
        if whole().next().is_some() {
            begin(text, name, help)?;
        }
        let mut named = BTreeSet::new();
        for status in whole().filter(|status| named.insert(&status.budget)) {
            let budget = Escaped(&status.budget);
            writeln!(text, "thrifty_{name}{{budget=\"{budget}\"}} {}", amount(status))?;
        }
    }
    let evicted = &report.evicted;
    let evicted_help = "Entries that the ledger keeps only as a sum, in no other series.";
    for (name, help, figure) in [
        ("evicted_calls", evicted_help, evicted.calls.to_string()),
        ("evicted_cost_usd", evicted_help, evicted.cost.to_string()),
        (
            "bad_lines",
            "Lines of the ledger that are damaged and left out.",
            report.bad_lines.to_string(),
        ),
    ] {
        begin(text, name, help)?;
        writeln!(text, "thrifty_{name} {figure}")?;
    }
    Ok(())
}

fn begin(text: &mut String, name: &str, help: &str) -> fmt::Result {
    // A correction of a price and the removal of old segments make a sum smaller, which no counter may become.
    write!(
        text,
        "# HELP thrifty_{name} {help}\n# TYPE thrifty_{name} gauge\n"
    )
}

/// Returns the names that have a label of their own: those that called on the earliest day, then by name, so that a
/// later one takes no label from an earlier one.
fn own_labels<'a>(cells: &'a [Cell], name: impl Fn(&'a Cell) -> Option<&'a Arc<str>>) -> BTreeSet<&'a str> {
    let mut first = BTreeMap::new();
    for cell in cells {
        if let Some(name) = name(cell).filter(|name| name.len() <= MAX_BYTES) {
            let day = first.entry(&**name).or_insert(cell.day);
            *day = (*day).min(cell.day);
        }
    }
    let mut names: Vec<_> = first.into_iter().map(|(name, day)| (day, name)).collect();
    names.sort_unstable();
    names.into_iter().take(MAX_NAMES).map(|(_, name)| name).collect()
}

fn label<'a>(name: Option<&'a Arc<str>>, own: &BTreeSet<&str>) -> &'a str {
    match name {
        None => NONE,
        Some(name) if own.contains(&**name) => name,
        Some(_) => OTHER,
    }
}

/// The value of a label, as the exposition format wants it in quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
