//! The budgets of a client: what they let through, and when.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
#[cfg(not(all(test, thrifty_loom)))]
use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, thrifty_loom))]
use loom::sync::{Mutex, MutexGuard};
use tokio::sync::OnceCell;

use super::account::Moment;
use super::books::{Books, Effects};
use super::history::{SpendHistory, SpendQuestion};
use super::kept::{Charge, Request, Turn};
use super::reserve::Reserve;
use super::{Admission, Alert, Budget, BudgetError, BudgetStatus, Estimate, Hold};
use crate::attribution::Attribution;
use crate::clock::{Clock, SystemClock};
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::Cost;
use crate::usage::Usage;

/// Some budgets, and what is spent and held of them. Clones share it.
///
/// An [`LlmClient`](crate::LlmClient) keeps its own, see [`LlmClient::budgets`](crate::LlmClient::budgets). Reserve
/// from them, or from budgets of your own, for what the client does not send.
///
/// # Examples
/// ```
/// use thrifty::Attribution;
/// use thrifty::budget::{Admission, Budget, Budgets, Estimate};
/// use thrifty::pricing::Cost;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budgets = Budgets::builder()
///     .with_budget(Budget::new("images", "1.00".parse()?).with_admission(Admission::Reject))
///     .build()?;
/// let caller = Attribution::default().with_feature("posters");
/// let call = Estimate::of("gpt-image-1", Some("0.25".parse()?));
///
/// let hold = budgets.reserve(&caller, &call).await?;
/// // Make the image here, and find out what it has cost.
/// hold.settle(None, &Cost::Priced("0.17".parse()?), None);
///
/// let status = budgets.status().await?;
/// assert_eq!(status[0].spent, "0.17".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Budgets(Arc<Inner>);

struct Inner {
    /// As they were stated.
    plans: Vec<Budget>,
    books: Mutex<Books>,
    clock: Box<dyn Clock>,
    history: Option<Box<dyn SpendHistory>>,
    recalled: OnceCell<()>,
    on_alert: Option<Box<OnAlert>>,
}

type OnAlert = dyn Fn(&Alert) + Send + Sync;

/// Puts [`Budgets`] together.
///
/// # Default
/// - no budgets, which let everything through
/// - nothing was spent before
/// - the system's clock
/// - alerts are `tracing` events only
#[must_use]
pub struct BudgetsBuilder {
    budgets: Vec<Budget>,
    history: Option<Box<dyn SpendHistory>>,
    clock: Box<dyn Clock>,
    on_alert: Option<Box<OnAlert>>,
}

/// A budget that cannot be kept as it is stated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// Two have the same name, by which alerts and refusals tell them.
    #[error("two budgets are named {name:?}; name each otherwise")]
    SameName {
        /// The name.
        name: Arc<str>,
    },
    /// A limit, or what is held for a call of unknown cost, is less than nothing.
    #[error("budget {name:?} has a negative amount; state it in dollars, from 0 on")]
    Negative {
        /// The budget's name.
        name: Arc<str>,
    },
}

impl fmt::Debug for BudgetsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BudgetsBuilder").field(&self.budgets).finish()
    }
}

impl BudgetsBuilder {
    /// Adds a budget.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// Counts what was spent before by this history. It is read at the first call, and at the first status.
    pub fn with_history(mut self, history: impl SpendHistory) -> Self {
        self.history = Some(Box::new(history));
        self
    }

    /// Takes the time of day from this clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Calls this at each alert, beside the `tracing` event. It runs where the call settles, which may be in a `Drop`:
    /// it must not block.
    pub fn on_alert(mut self, call: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.on_alert = Some(Box::new(call));
        self
    }

    /// Makes the budgets.
    ///
    /// # Errors
    /// If two have the same name, or an amount is negative.
    pub fn build(self) -> Result<Budgets, InvalidBudget> {
        let mut names = HashSet::new();
        for budget in &self.budgets {
            let name = Arc::clone(budget.name());
            if !names.insert(name.clone()) {
                return Err(InvalidBudget::SameName { name });
            }
            if budget.least_amount() < Usd::ZERO {
                return Err(InvalidBudget::Negative { name });
            }
        }
        let now = self.clock.now();
        Ok(Budgets(Arc::new(Inner {
            books: Mutex::new(Books::new(self.budgets.clone(), now)),
            plans: self.budgets,
            clock: self.clock,
            history: self.history,
            recalled: OnceCell::new(),
            on_alert: self.on_alert,
        })))
    }
}

impl Budgets {
    /// Begins to put budgets together.
    pub fn builder() -> BudgetsBuilder {
        BudgetsBuilder {
            budgets: Vec::new(),
            history: None,
            clock: Box::new(SystemClock),
            on_alert: None,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.plans.is_empty()
    }

    /// Returns the budgets as they were stated.
    pub fn iter(&self) -> impl Iterator<Item = &Budget> {
        self.0.plans.iter()
    }

    /// Whether one of them asks for a cheaper model where it has no room.
    pub(crate) fn may_downgrade(&self) -> bool {
        self.iter().any(|budget| budget.admission == Admission::Downgrade)
    }

    /// Holds what a call can cost at most, in all budgets that it counts for or in none.
    ///
    /// # Errors
    /// If a hard budget has no room, also after the wait that it grants; or if it cannot be read what was spent before.
    ///
    /// # Cancellation
    /// Nothing is held, and whoever waits behind goes on.
    ///
    /// # Panics
    /// If it has to wait and there is no tokio runtime, as tokio's own timers do.
    pub async fn reserve(&self, attribution: &Attribution, estimate: &Estimate) -> Result<Hold, BudgetError> {
        self.recall().await?;
        Reserve::new(self, attribution, estimate).await
    }

    /// Holds what a call can cost at most, also if that exceeds a limit: it is promised already.
    pub(crate) fn hold_promised(&self, attribution: &Attribution, estimate: &Estimate) -> Option<Hold> {
        self.change(|books, now, effects| {
            let request = Request {
                attribution,
                estimate,
                expires: now.get().saturating_add(estimate.settles_within),
                turn: Turn::IsPromised,
            };
            let key = books.reserve(&request, now, effects).ok()?;
            Some(Hold::new(self.clone(), key, now.get()))
        })
    }

    /// Counts what a call has cost that nothing was held for. Before the history is read it counts nothing: the history
    /// tells of that call too.
    pub fn spend(
        &self,
        attribution: &Attribution,
        model: Option<&ModelId>,
        cost: &Cost,
        usage: Option<&Usage>,
    ) {
        if self.0.history.is_some() && !self.0.recalled.initialized() {
            return;
        }
        let charge = Charge { model, cost, usage };
        self.change(|books, now, effects| books.spend(attribution, &charge, now, effects));
    }

    /// Returns how each limit stands. One for each feature, user, model or tag is there once it has called in this
    /// window.
    ///
    /// # Errors
    /// If it cannot be read what was spent before.
    pub async fn status(&self) -> Result<Vec<BudgetStatus>, BudgetError> {
        self.recall().await?;
        Ok(self.change(Books::status))
    }

    /// Counts what was spent before, once.
    async fn recall(&self) -> Result<(), BudgetError> {
        let Some(history) = &self.0.history else {
            return Ok(());
        };
        let read = || async {
            let now = self.0.clock.now();
            let mut spends = Vec::new();
            for budget in &self.0.plans {
                let question = SpendQuestion::of(budget, budget.counts_from(now));
                match history.spent(&question).await {
                    Ok(spent) => spends.push(spent),
                    Err(error) if budget.is_hard => return Err(BudgetError::History(error.into())),
                    Err(error) => {
                        tracing::warn!(target: "thrifty", %error, budget = &**budget.name(), "it is not known what was spent before");
                        spends.push(Vec::new());
                    }
                }
            }
            self.change(|books, now, effects| {
                for (index, spends) in spends.iter_mut().enumerate() {
                    books.recall(index, spends, now, effects);
                }
            });
            Ok(())
        };
        self.0.recalled.get_or_try_init(read).await.copied()
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the books, and then does what that calls for.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Books, &Moment<'_>, &mut Effects) -> T) -> T {
        let now = Moment::of(&*self.0.clock);
        let mut effects = Effects::default();
        let result = change(&mut self.lock(), &now, &mut effects);
        if !(effects.wake.is_empty() && effects.alerts.is_empty()) {
            self.follow(effects);
        }
        result
    }

    fn follow(&self, effects: Effects) {
        for waker in effects.wake {
            waker.wake();
        }
        for alert in effects.alerts {
            tracing::warn!(
                target: "thrifty",
                budget = &*alert.budget,
                key = alert.key.as_deref(),
                percent = alert.percent,
                spent = %alert.spent,
                limit = %alert.limit,
                "a part of a budget is spent"
            );
            let Some(call) = &self.0.on_alert else { continue };
            if catch_unwind(AssertUnwindSafe(|| call(&alert))).is_err() {
                tracing::error!(target: "thrifty", "the callback for budget alerts panicked");
            }
        }
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budgets").field(&self.0.plans).finish()
    }
}
