//! Reports: where the money went, and what was saved.

mod html;
mod text;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::ledger::{CostLedger, Dimension, Filter, LedgerError, Query, Summary, Totals};
use crate::money::UsdSum;

/// Spend and savings by feature, model, lane and day, from any ledger.
///
/// All tables come from one query, so that they agree with each other to the last digit. Each says how much of it is
/// known: an amount with `≥` in front is a lower bound, `?` is an amount of which nothing is known, `–` a saving that
/// cannot be told. Baseline and savings cover only the calls whose cost and baseline are both known exactly.
///
/// # Examples
/// ```
/// use thrifty::ledger::InMemoryLedger;
/// use thrifty::report::Report;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = InMemoryLedger::new();
/// let report = Report::of(&ledger).await?;
/// assert!(report.to_text().contains("no calls"));
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("spend.html");
/// report.write_html(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    total: Totals,
    evicted: Totals,
    bad_lines: u64,
    tables: Vec<Table>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    key: Option<Arc<str>>,
    totals: Totals,
}

impl Report {
    /// Reports on all entries of a ledger.
    ///
    /// # Errors
    /// If the ledger's query fails.
    pub async fn of(ledger: &dyn CostLedger) -> Result<Self, LedgerError> {
        Self::of_matching(ledger, Filter::default()).await
    }

    /// Reports on the entries that match.
    ///
    /// # Errors
    /// If the ledger's query fails.
    pub async fn of_matching(ledger: &dyn CostLedger, filter: Filter) -> Result<Self, LedgerError> {
        let query = Query::new()
            .group_by(Dimension::Feature)
            .group_by(Dimension::Model)
            .group_by(Dimension::Lane)
            .group_by(Dimension::Day)
            .with_filter(filter);
        let summary = ledger.query(&query).await?;
        let names = ["feature", "model", "lane", "day"];
        let tables = names.into_iter().enumerate();
        Ok(Self {
            total: summary.total,
            evicted: summary.evicted,
            bad_lines: summary.bad_lines,
            tables: tables.map(|(at, name)| Table::of(&summary, at, name)).collect(),
        })
    }

    /// Returns what all entries of the report add up to.
    pub const fn total(&self) -> &Totals {
        &self.total
    }

    /// Returns plain text, at most 80 columns wide unless an amount is above 999,999 dollars.
    ///
    /// Long names are cut, and token counts of 100,000 and more are rounded down to thousands, millions and so on.
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// Returns a page that stands alone: no script, nothing to load, light or dark as the reader's system is.
    ///
    /// Amounts and counts have all their digits. Names are cut after 200 characters.
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// Writes [`to_html`](Self::to_html) to a file, replacing what was there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, self.to_html())
    }

    /// Says in sentences what the figures do not know.
    fn caveats(&self) -> Vec<String> {
        let (total, known) = (&self.total, &self.total.coverage);
        let mut caveats = vec![format!(
            "Priced exactly: {} of {} calls; in part: {}; not at all: {}.",
            known.priced, total.calls, known.partial, known.unpriced,
        )];
        match total.at_most() {
            Some(most) if most != total.cost => caveats.push(format!(
                "The cost is at least {} USD and at most {most} USD.",
                total.cost
            )),
            Some(_) => {}
            None => caveats.push(format!(
                "The cost is at least {} USD; there is no upper bound for {} calls.",
                total.cost,
                known.unpriced + known.unbounded
            )),
        }
        if known.single_source > UsdSum::ZERO {
            caveats.push(format!(
                "Of the known cost, {} USD rest on prices that only one source knows.",
                known.single_source
            ));
        }
        caveats.push(format!(
            "Baseline and savings cover {} of {} calls: those with an exact cost and a baseline.",
            known.compared, total.calls
        ));
        if known.without_usage > 0 {
            caveats.push(format!(
                "Tokens leave out {} calls without counts.",
                known.without_usage
            ));
        }
        if self.evicted.calls > 0 {
            let bound = if exact(&self.evicted) { "" } else { "at least " };
            caveats.push(format!(
                "Left out: {} older calls for {bound}{} USD, of which the ledger kept only the sum.",
                self.evicted.calls, self.evicted.cost
            ));
        }
        if self.bad_lines > 0 {
            caveats.push(format!(
                "Left out: {} lines of the ledger that are damaged; what was in them is not known.",
                self.bad_lines
            ));
        }
        caveats
    }
}

impl Table {
    /// Adds up the groups of a summary by the key at this place.
    fn of(summary: &Summary, at: usize, name: &'static str) -> Self {
        let mut by_key: BTreeMap<Option<Arc<str>>, Totals> = BTreeMap::new();
        for group in &summary.groups {
            let key = group.keys.get(at).cloned().flatten();
            by_key.entry(key).or_default().merge(&group.totals);
        }
        let mut rows: Vec<_> = by_key
            .into_iter()
            .map(|(key, totals)| Row { key, totals })
            .collect();
        if name == "day" {
            return Self { name, rows };
        }
        rows.sort_by_key(|row| Reverse(row.totals.cost));
        Self { name, rows }
    }
}

/// Whether the cost of all rows is known exactly.
fn exact(totals: &Totals) -> bool {
    totals.coverage.priced == totals.calls
}

/// Whether anything is known of the cost.
fn known(totals: &Totals) -> bool {
    totals.calls == 0 || totals.coverage.priced + totals.coverage.partial > 0
}

/// Returns a name that can be shown: cut to so many characters, and without those that move or hide others.
fn shown(name: Option<&str>, most: usize) -> String {
    let Some(name) = name else {
        return "(none)".into();
    };
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let visible = name
        .chars()
        .map(|c| if hides(c) { char::REPLACEMENT_CHARACTER } else { c });
    let mut shown: String = visible.clone().take(most).collect();
    if visible.count() > most {
        shown.pop();
        shown.push('…');
    }
    if shown.is_empty() { "\"\"".into() } else { shown }
}

#[cfg(test)]
mod tests;
