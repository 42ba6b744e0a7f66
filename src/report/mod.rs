//! Reports: where the money went, what was saved, where the next saving is.
//!
//! A [`Report`] is made from the answers of a ledger, and of a client's budgets if it is given them. It is a value: the
//! same one is rendered as a [page](Report::write_html), as [text](Report::to_text) for a terminal, as
//! [JSON](Report::to_json), as [CSV](Report::to_csv) and as [metrics](Report::to_prometheus), and all of them show the
//! same figures. With the feature `dashboard`, `thrifty::dashboard` serves it.
//!
//! # What the figures say
//! - All of them are sums of one set of cells (day, feature, model, lane) that the ledger answered, so that every table
//!   adds up to the total, to the pico-dollar.
//! - `≥` stands before an amount of which a part is not known, `?` for one of which nothing is, `–` for a saving that
//!   cannot be told. Baseline and savings cover only the calls whose cost and baseline are both known exactly.
//! - Days are those of a [time zone](ReportBuilder::with_time_zone) that the reader picks; UTC if none is.
//! - A latency is at most 1/32 above the exact one, since ledgers keep how values are spread and not each value.
//! - The month-end run rate is this month's spend so far, carried on as it went. It knows no weekends. There is none on
//!   the first day, nor where the filter or the ledger leaves out calls that may be of this month.

mod amounts;
mod builder;
mod caveats;
mod cells;
mod export;
mod html;
mod next_saving;
mod prometheus;
mod run_rate;
mod svg;
mod text;
mod timeline;
mod waterfall;

use std::io;
use std::path::Path;

use crate::budget::{BudgetStatus, TimeZone};
use crate::clock::Timestamp;
use crate::ledger::{CostLedger, Filter, LedgerError, Totals};

pub use builder::ReportBuilder;

use cells::{Cell, Row, Table};
use next_saving::NextSaving;
use run_rate::RunRate;
use timeline::Timeline;

/// Spend and savings by feature, model, lane and day, from any ledger.
///
/// # Examples
/// ```
/// use thrifty::budget::TimeZone;
/// use thrifty::ledger::InMemoryLedger;
/// use thrifty::report::Report;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = InMemoryLedger::new();
/// let report = Report::of(&ledger).await?;
/// assert!(report.to_text().contains("no calls"));
///
/// let berlin = TimeZone::named("Europe/Berlin")?;
/// let report = Report::builder().with_time_zone(berlin).of(&ledger).await?;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("spend.html");
/// report.write_html(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    made_at: Timestamp,
    zone: TimeZone,
    filter: Filter,
    total: Row,
    evicted: Totals,
    bad_lines: u64,
    cells: Vec<Cell>,
    features: Table,
    models: Table,
    lanes: Table,
    timeline: Timeline,
    budgets: Vec<BudgetStatus>,
    run_rate: Option<RunRate>,
    next_savings: Vec<NextSaving>,
}

impl Report {
    /// Reports on all entries of a ledger, in UTC.
    ///
    /// # Errors
    /// If the ledger's query fails.
    pub async fn of(ledger: &dyn CostLedger) -> Result<Self, LedgerError> {
        Self::builder().of(ledger).await
    }

    /// Reports on the entries that match, in UTC.
    ///
    /// # Errors
    /// If the ledger's query fails.
    pub async fn of_matching(ledger: &dyn CostLedger, filter: Filter) -> Result<Self, LedgerError> {
        Self::builder().with_filter(filter).of(ledger).await
    }

    /// Sets what a report is to cover before it is made.
    pub fn builder() -> ReportBuilder {
        ReportBuilder::default()
    }

    /// Returns what all entries of the report add up to.
    pub const fn total(&self) -> &Totals {
        &self.total.totals
    }

    /// Returns plain text, at most 80 columns wide unless an amount is above 999,999 dollars.
    ///
    /// Long names are cut, and token counts of 100,000 and more are rounded down to thousands, millions and so on.
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// Returns a page that stands alone: it loads nothing, is light or dark as the reader's system is, and says all it
    /// has to say with scripts off.
    ///
    /// Counts have all their digits, and amounts too where the pointer rests. With scripts on, tables can be sorted, and
    /// a range of time and features be chosen: the spend over time, the tables by feature, model, lane and time and the
    /// figures at the top follow, exactly; the rest says that it does not. With more than 10,000 cells of time, feature,
    /// model and lane only the spend over time and the figures at the top follow. Names are cut after 60 characters; 1,000 of them are shown
    /// where the pointer rests. A table has at most 400 rows, and the sum of those that are left out; of
    /// budgets the 400 of which most is used, and how many more there are. A limit for all calls or for a feature, in a
    /// week or month of the report's zone, is drawn and told day by day, if the report has no filter and the budget has
    /// counted all that the ledger has; of the 20 limits of which most is used. Others are a line from the window's start to now. The spend over
    /// time is by day up to 92 days, then by week, month or year.
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// Writes [`to_html`](Self::to_html) to a file, replacing what was there in one step: whoever reads it has the old
    /// page or the new one.
    ///
    /// # Errors
    /// If the file, or the unfinished one beside it, cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> io::Result<()> {
        export::replace(path.as_ref(), self.to_html().as_bytes())
    }

    /// Returns everything that the report holds as one JSON object.
    ///
    /// Amounts are decimal strings in dollars, with all their digits. A count or an amount that is zero is left out of
    /// `totals`, as in a ledger's own files; what is not known is told in `totals.coverage`.
    pub fn to_json(&self) -> String {
        export::json(self)
    }

    /// Returns a row for each day, feature, model and lane, with a header, as CSV by RFC 4180.
    ///
    /// A name that begins with `=`, `+`, `-`, `@`, a tab or a carriage return has an apostrophe put before it, so that
    /// no spreadsheet takes it for a formula. Numbers are left as they are, negative ones too.
    pub fn to_csv(&self) -> String {
        export::csv(self)
    }

    /// Returns the sums by feature, model and lane in Prometheus' text format, version 0.0.4, and the budgets that have
    /// one limit for all their calls.
    ///
    /// Amounts have all their digits; what Prometheus makes of them is a float. Each metric is a gauge: a sum becomes
    /// smaller when a cost is corrected or old entries are removed. The number of labels is bounded: 200 features and 200
    /// models are named, those of the earliest days first; further ones, and names of more than 200 bytes, are added up
    /// under `other`, and calls without a name under `none`. A user, a tag or an id is never a label.
    pub fn to_prometheus(&self) -> String {
        prometheus::render(self)
    }

    /// Shows how budgets stand, taken after the ledger was asked: they have then counted what it has.
    #[cfg(feature = "dashboard")]
    pub(crate) fn with_budgets(mut self, budgets: Vec<BudgetStatus>) -> Self {
        self.budgets = budgets;
        self
    }

    /// Returns the page with a script that fetches it again, from where it came, and shows what is new. `fingerprint` is
    /// that of this report.
    #[cfg(feature = "dashboard")]
    pub(crate) fn to_live_html(&self, fingerprint: &str) -> String {
        html::render_live(self, fingerprint)
    }

    /// Returns a weak entity tag: the same for two reports that say the same, but for what changes with every moment.
    #[cfg(feature = "dashboard")]
    pub(crate) fn fingerprint(&self) -> String {
        html::fingerprint(self)
    }
}

#[cfg(test)]
mod tests;
