//! What a report is to cover.

use std::sync::Arc;

use crate::budget::{BudgetStatus, TimeZone};
use crate::clock::{Clock, SystemClock};
use crate::ledger::{CostLedger, Filter, LedgerError};
use crate::pricing::PriceBook;
use crate::report::cells::{Gathered, Table};
use crate::report::timeline::Timeline;
use crate::report::{Report, next_saving, run_rate};

/// Sets what a [`Report`] is to cover, and makes it.
///
/// # Default
/// - `filter`: every entry
/// - `time_zone`: UTC
/// - `budgets`: none
/// - `prices`: OpenAI's, as of this release
/// - `clock`: the system's
///
/// # Examples
/// ```
/// use thrifty::ledger::{Filter, InMemoryLedger};
/// use thrifty::report::Report;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = InMemoryLedger::new();
/// let chat = Filter::default().with_feature("chat");
/// let report = Report::builder().with_filter(chat).of(&ledger).await?;
/// assert_eq!(report.total().calls, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ReportBuilder {
    filter: Filter,
    zone: TimeZone,
    budgets: Vec<BudgetStatus>,
    prices: PriceBook,
    clock: Arc<dyn Clock>,
}

impl Default for ReportBuilder {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            zone: TimeZone::UTC,
            budgets: Vec::new(),
            prices: PriceBook::builtin(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl ReportBuilder {
    /// Looks only at entries that match.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Ends days and months at midnight of this zone.
    ///
    /// UTC takes one query, by day. A zone whose midnights are on the hour in UTC takes one more, by hour. Any other takes
    /// one more for each day: a ledger in files answers those from its sums of quarters of an hour, in seconds for a month; a zone whose midnight
    /// is not on a quarter of an hour, as some had long ago, makes it read entries.
    #[must_use]
    pub fn with_time_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Shows how budgets stand, as [`Budgets::status`](crate::budget::Budgets::status) tells it.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Vec<BudgetStatus>) -> Self {
        self.budgets = budgets;
        self
    }

    /// Estimates what could be saved by these prices. What was spent is never priced anew.
    #[must_use]
    pub fn with_prices(mut self, prices: PriceBook) -> Self {
        self.prices = prices;
        self
    }

    /// Takes the time of the report from here, for the month-end run rate and for how far a budget's window has come.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Asks the ledger, and makes the report.
    ///
    /// # Errors
    /// If a query of the ledger fails.
    pub async fn of(self, ledger: &dyn CostLedger) -> Result<Report, LedgerError> {
        let gathered = Gathered::ask(ledger, &self.filter, &self.zone).await?;
        let made_at = self.clock.now();
        let run_rate = run_rate::of(&gathered, &self.filter, &self.zone, made_at);
        let Gathered {
            cells,
            evicted,
            bad_lines,
        } = gathered;
        let clues = ledger.clues(&self.filter).await?;
        let next_savings = next_saving::find(&cells, clues, &self.prices, made_at);
        let features = Table::by(&cells, |cell| cell.feature.clone());
        Ok(Report {
            made_at,
            total: Table::total(&cells),
            evicted,
            bad_lines,
            models: Table::by(&cells, |cell| cell.model.clone()),
            lanes: Table::by(&cells, |cell| cell.lane.clone()),
            timeline: Timeline::of(&cells, &features),
            run_rate,
            next_savings,
            budgets: self.budgets,
            zone: self.zone,
            filter: self.filter,
            features,
            cells,
        })
    }
}
