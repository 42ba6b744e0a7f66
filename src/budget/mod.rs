//! Budgets: how much may be spent, on what, in what time.
//!
//! Before a call is sent, what it can cost at most is held in every [`Budget`] that it counts for. When its cost is
//! known the hold is settled and the rest given back. A check before the call and a note after it let every call in
//! flight pass the same check; a hold does not. The price is that a part of the limit is held for calls that will cost
//! less. So by default a call for which there is no room waits until others have settled.
//!
//! # Contract
//! 1. `spent + held <= limit` at every instant and under any interleaving, for hard budgets that hold worst cases; but for
//!    what rule 4 and rule 7 name, and while a clock that went back brings spend back into a rolling window. It
//!    holds for one client, with its clones and scopes: two clients, or two processes, with the same budget and ledger
//!    can each spend what was left when they began.
//! 2. A call is held in all budgets that it counts for, or in none.
//! 3. A hold is settled, released, or counts as spent: when it is dropped, and while its time is over.
//! 4. A cost beyond its hold is counted too, and told in [`BudgetStatus::overruns`]. It takes a provider that bills more
//!    than what is known of the model allows: by another price, a larger context window, or more tokens for an image
//!    than this crate counts, which is an estimate.
//! 5. What is not known counts as the most that it can be. A call without such a bound is refused by hard budgets,
//!    unless they name a rate for it.
//! 6. A window is computed from the time of day, and nothing is reset. A call belongs to the window in which it was let
//!    through.
//! 7. After a restart what was spent is read from the history, such as a client's ledger. Holds of the process before
//!    are gone: what it had in flight when it was killed is not counted. Requests that it left in a batch store are
//!    promised, and held again also where that exceeds a limit. A cost of which the ledger has no bound counts only at the budget's own rate for
//!    such calls.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use thrifty::budget::{Admission, Budget, Each, Window};
//! use thrifty::{LlmClient, Transport, simulator::Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let simulator = Simulator::new();
//! # let (client, transport) = (simulator.client(), Transport::service(simulator.service()));
//! let llm = LlmClient::builder(client, transport)
//!     .with_budget(Budget::new("all", "500.00".parse()?).per(Window::month()))
//!     .with_budget(Budget::new("users", "0.50".parse()?).for_each(Each::User).per(Window::day()))
//!     .with_budget_alert(|alert| eprintln!("{} has spent {} percent", alert.budget, alert.percent))
//!     .build()?;
//! for status in llm.budgets().status().await? {
//!     println!("{}: {} of {} USD left", status.budget, status.left, status.limit);
//! }
//! # Ok(())
//! # }
//! ```

mod account;
mod books;
mod budgets;
mod estimate;
mod history;
mod hold;
mod kept;
mod limit;
mod quantile;
mod refusal;
mod reserve;
mod status;
mod window;
mod zone;

pub use budgets::{Budgets, BudgetsBuilder, InvalidBudget};
pub use estimate::Estimate;
pub use history::{Spend, SpendHistory, SpendQuestion};
pub use hold::Hold;
pub use limit::{Admission, Budget, Each, HoldSize, Unpriced};
pub use refusal::{BudgetError, Refusal};
pub use status::{Alert, BudgetStatus, LimitedCalls};
pub use window::{Weekday, Window};
pub use zone::{TimeZone, UnknownTimeZone};

#[cfg(test)]
mod tests;

#[cfg(all(test, thrifty_loom))]
mod interleavings;
