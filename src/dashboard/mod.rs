//! The report as routes of your own service. Feature `dashboard`.
//!
//! A [`Dashboard`] becomes an `axum::Router` that you mount where you like. **It binds no port and asks nobody who they
//! are**: whoever reaches the routes reads what you spend, on what. Put them behind what guards the rest of your
//! service; `examples/axum_service.rs` has them behind a token.
//!
//! | route | is | content type |
//! |---|---|---|
//! | `/` | the page of [`Report::to_html`], which shows new calls by itself | `text/html` |
//! | `/report.json` | [`Report::to_json`] | `application/json` |
//! | `/report.csv` | [`Report::to_csv`] | `text/csv` |
//! | `/metrics` | [`Report::to_prometheus`] | `text/plain; version=0.0.4` |
//!
//! The page links to the others. It asks its own address every 3 s while it is looked at, and nothing else; it is paused in a hidden tab, and
//! keeps what the reader has sorted and narrowed. It needs no script to be read. Its policy allows its two scripts, by
//! their hashes, and requests to its own origin.
//!
//! # Answers
//! - `GET` and `HEAD`; no route changes anything.
//! - 200 with an entity tag, or 304 if the request's `If-None-Match` names it. Nothing is to be kept by caches
//!   (`no-store`). A run rate and a burn-down, which move with the time alone, make a new tag every 15 minutes.
//! - 400 for any query: no route has parameters.
//! - 503 if the ledger or the budgets cannot be read, or take longer than 30 s. The answer says where to look, and
//!   nothing of what went wrong; that is a `tracing` event with the target `thrifty`.
//!
//! # Load
//! One report is made at a time and answers all that wait for it; it, or its failure, is kept for a second. A caller who
//! leaves does not end it, so that a slow ledger is never asked twice at once. It is asked for sums and for
//! [clues](crate::ledger::CostLedger::clues); an `InMemoryLedger` compares all entries that it keeps for those. What is shown can be older than the
//! request by that second and the time that the ledger took.

mod answer;
mod shared;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::get;

use crate::budget::{Budgets, TimeZone};
use crate::clock::Clock;
use crate::ledger::{CostLedger, Filter};
use crate::pricing::PriceBook;
use crate::report::{Report, ReportBuilder};

use answer::Format;
use shared::Shared;

/// Serves the report of a ledger, as the [module](self) says.
///
/// # Default
/// - `filter`: every entry
/// - `zone`: UTC
/// - `budgets`: none
/// - `prices`: OpenAI's, as of this release
/// - `clock`: the system's
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use axum::Router;
/// use thrifty::dashboard::Dashboard;
/// use thrifty::ledger::InMemoryLedger;
/// use thrifty::simulator::Simulator;
/// use thrifty::{LlmClient, Transport};
///
/// let simulator = Simulator::new();
/// let ledger = Arc::new(InMemoryLedger::new());
/// let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
///     .with_ledger(Arc::clone(&ledger))
///     .build()?;
/// let costs = Dashboard::new(ledger).with_budgets(llm.budgets().clone());
/// let service: Router = Router::new().nest("/costs", costs.into_router());
/// # Ok::<(), thrifty::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Dashboard {
    ledger: Box<dyn CostLedger>,
    budgets: Option<Budgets>,
    report: ReportBuilder,
}

impl Dashboard {
    /// Shows this ledger. Give it an `Arc` of the one that the client has.
    pub fn new(ledger: impl CostLedger) -> Self {
        Self {
            ledger: Box::new(ledger),
            budgets: None,
            report: Report::builder(),
        }
    }

    /// Looks only at entries that match.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.report = self.report.with_filter(filter);
        self
    }

    /// Shows how these budgets stand, such as those of [`LlmClient::budgets`](crate::LlmClient::budgets).
    pub fn with_budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = Some(budgets);
        self
    }

    /// Estimates what could be saved by these prices.
    pub fn with_prices(mut self, prices: PriceBook) -> Self {
        self.report = self.report.with_prices(prices);
        self
    }

    /// Ends days and months at midnight of this zone.
    ///
    /// Some zones take a query for each day of the ledger, each time; see [`ReportBuilder::with_time_zone`].
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.report = self.report.with_time_zone(zone);
        self
    }

    /// Takes the time of reports from here.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.report = self.report.with_clock(clock);
        self
    }

    /// Returns the routes, to be nested or merged into yours. Requests are to be served in a tokio runtime.
    pub fn into_router(self) -> Router {
        let shared = Shared::new(self.ledger, self.budgets, self.report);
        let route = |format: Format| {
            let shared = shared.clone();
            get(move |uri: Uri, headers: HeaderMap| async move {
                answer::to(format, &shared, &uri, &headers).await
            })
        };
        Router::new()
            .route("/", route(Format::Page))
            .route("/report.json", route(Format::Json))
            .route("/report.csv", route(Format::Csv))
            .route("/metrics", route(Format::Metrics))
    }
}
