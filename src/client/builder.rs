//! How a client is put together.

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use tokio::sync::Semaphore;

use super::LlmClient;
use super::batching::{Bookkeeper, OneByOne};
use super::core::{Books, Core, OpenCalls};
use super::deployments::Deployments;
use super::error::{Error, Repr};
use super::facts::{CurrentFacts, at_host};
use super::lines::BudgetGate;
use super::past_spend::PastSpend;
use super::scope::Scope;
use super::shadow::Shadows;
use crate::batch::{BatchCollector, BatchPolicy, BatchStore, InMemoryStore};
use crate::budget::{Alert, Budget, Budgets, BudgetsBuilder, Window};
use crate::capability::CapabilityBook;
use crate::clock::{Clock, SystemClock};
use crate::lane::Lane;
use crate::ledger::{CostLedger, InMemoryLedger};
use crate::model::ModelId;
use crate::money::Usd;
use crate::openai::{RetryPolicy, Sender, ServerBatches, Transport};
use crate::pricing::PriceBook;
use crate::router::{Facts, Router};
use crate::telemetry::Metrics;
use crate::tokens::TokenCounter;

const ONE_DOLLAR: Usd = Usd::from_pico(1_000_000_000_000);

/// Puts an [`LlmClient`] together.
///
/// # Default
/// - no budgets
/// - requests that name no `service_tier` are served on the standard lane
/// - calls that ride no batch, but may take 15 min or longer, go by the flex lane where it has a price
/// - no router: every request asks the model that it names
/// - an [`InMemoryLedger`]
/// - the built-in [`PriceBook`] and [`CapabilityBook`]
/// - [`RetryPolicy::default`] and [`BatchPolicy::default`]
/// - batched requests are kept in memory until they are answered: they die with the process, unless they are in a
///   [`FileStore`](crate::batch::FileStore)
/// - 1 s for a router to choose
/// - 4 shadows at once, which may cost 1 dollar a day in UTC
/// - streamed chats are asked for their usage, and the extra chunk is hidden from callers who did not ask for it
#[derive(Debug)]
#[must_use]
pub struct LlmClientBuilder<C: Config> {
    client: Client<C>,
    transport: Transport,
    router: Option<Arc<dyn Router>>,
    router_timeout: Duration,
    ledger: Option<Arc<dyn CostLedger>>,
    facts: Facts,
    retry: RetryPolicy,
    clock: Arc<dyn Clock>,
    asks_for_usage: bool,
    deployments: Deployments,
    project_lane: Lane,
    flex_window: Duration,
    budgets: BudgetsBuilder,
    shadow_budget: Budget,
    max_shadows: usize,
    batch_policy: BatchPolicy,
    batch_store: Arc<dyn BatchStore>,
}

impl<C: Config + Clone + 'static> LlmClientBuilder<C> {
    pub(super) fn new(client: Client<C>, transport: Transport) -> Self {
        Self {
            client,
            transport,
            router: None,
            router_timeout: Duration::from_secs(1),
            ledger: None,
            facts: Facts::default(),
            retry: RetryPolicy::default(),
            clock: Arc::new(SystemClock),
            asks_for_usage: true,
            deployments: Deployments::default(),
            project_lane: Lane::Standard,
            flex_window: Duration::from_secs(900),
            budgets: Budgets::builder(),
            shadow_budget: Budget::new("shadows", ONE_DOLLAR).per(Window::day()),
            max_shadows: 4,
            batch_policy: BatchPolicy::default(),
            batch_store: Arc::new(InMemoryStore::default()),
        }
    }

    /// Lets a router choose the model of each call that is not pinned.
    pub fn with_router(mut self, router: impl Router) -> Self {
        self.router = Some(Arc::new(router));
        self
    }

    /// Sets how long a router may take; after that the requested model is asked.
    pub fn with_router_timeout(mut self, timeout: Duration) -> Self {
        self.router_timeout = timeout;
        self
    }

    /// Books calls in this ledger.
    pub fn with_ledger(mut self, ledger: impl CostLedger) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Keeps calls within this budget, beside those added before. See [`budget`](crate::budget) for what that promises.
    ///
    /// What was spent before is read from the ledger at the first call, so that a program that is run again stops at
    /// the same limit. For that the ledger must last, as a [`FileLedger`](crate::ledger::FileLedger) does.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budgets = self.budgets.with_budget(budget);
        self
    }

    /// Calls this once for each part of a budget that is spent, see [`BudgetsBuilder::on_alert`].
    pub fn with_budget_alert(mut self, call: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.budgets = self.budgets.on_alert(call);
        self
    }

    /// Keeps [shadows](crate::router::ShadowRouter) within this budget, beside all others. One for which it has no room, or
    /// of which it is not known what it can cost, is not asked.
    pub fn with_shadow_budget(mut self, budget: Budget) -> Self {
        self.shadow_budget = budget;
        self
    }

    /// Sets how many [shadows](crate::router::ShadowRouter) run at once; others are not asked.
    pub fn with_max_shadows(mut self, shadows: usize) -> Self {
        self.max_shadows = shadows;
        self
    }

    /// Says by which lane your OpenAI project serves requests that name no `service_tier`, or `auto`. Budgets hold its
    /// price.
    pub fn with_project_lane(mut self, lane: Lane) -> Self {
        self.project_lane = lane;
        self
    }

    /// Sets from which [`within`](LlmClient::within) on a call that rides no batch goes by the flex lane, at the price of
    /// a batch; `Duration::MAX` for never.
    ///
    /// OpenAI advises to wait 15 minutes for an answer by flex: see also [`RetryPolicy::with_attempt_timeout`].
    pub fn with_flex_window(mut self, window: Duration) -> Self {
        self.flex_window = window;
        self
    }

    /// Prices calls by this book.
    pub fn with_prices(mut self, prices: PriceBook) -> Self {
        self.facts.prices = prices;
        self
    }

    /// Tells what models can do by this book.
    pub fn with_capabilities(mut self, capabilities: CapabilityBook) -> Self {
        self.facts.capabilities = capabilities;
        self
    }

    /// Counts tokens with this counter.
    pub fn with_tokens(mut self, tokens: TokenCounter) -> Self {
        self.facts.tokens = tokens;
        self
    }

    /// Retries by this policy.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Takes the time of day from this clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Leaves streamed chats as they are. One whose caller did not ask for its usage is then booked without it.
    pub fn without_usage_injection(mut self) -> Self {
        self.asks_for_usage = false;
        self
    }

    /// Says which deployment serves a model, for URLs that name the deployment (`AzureConfig`).
    ///
    /// Such calls are routed only between models that have a deployment.
    pub fn with_deployment(mut self, model: impl Into<ModelId>, deployment: impl Into<String>) -> Self {
        self.deployments.insert(model.into(), deployment.into());
        self
    }

    /// Collects batches by this policy.
    pub fn with_batch_policy(mut self, policy: BatchPolicy) -> Self {
        self.batch_policy = policy;
        self
    }

    /// Keeps batched requests in this store until they are answered.
    pub fn with_batch_store(mut self, store: impl BatchStore) -> Self {
        self.batch_store = Arc::new(store);
        self
    }

    /// Makes the client. It needs no runtime and opens no connection.
    ///
    /// # Errors
    /// If two budgets have the same name, or one has a negative amount.
    pub fn build(mut self) -> Result<LlmClient<C>, Error> {
        self.facts.prices = at_host(self.client.config().api_base(), self.facts.prices);
        if self.router.is_some() {
            let tokens = self.facts.tokens.clone();
            // Without a thread to spare, the tables load when they are first needed.
            let warm_up = std::thread::Builder::new().name("thrifty-tokens".to_owned());
            drop(warm_up.spawn(move || tokens.warm_up()));
        }
        let sender = Sender {
            transport: self.transport,
            policy: self.retry,
            clock: Arc::clone(&self.clock),
        };
        let ledger = self.ledger.unwrap_or_else(|| Arc::new(InMemoryLedger::new()));
        let budgets = self
            .budgets
            .with_history(PastSpend::new(Arc::clone(&ledger)))
            .with_clock(Arc::clone(&self.clock))
            .build()
            .map_err(|error| Error::new(Repr::InvalidBudget(error)))?;
        let shadow_budgets = Budgets::builder()
            .with_budget(self.shadow_budget)
            .with_history(PastSpend::of_shadows(Arc::clone(&ledger)))
            .with_clock(Arc::clone(&self.clock))
            .build()
            .map_err(|error| Error::new(Repr::InvalidBudget(error)))?;
        let core = Arc::new(Core {
            sender: sender.clone(),
            router: self.router,
            router_timeout: self.router_timeout,
            hash_key: ledger.hash_key(),
            ledger,
            facts: CurrentFacts::new(self.facts),
            clock: Arc::clone(&self.clock),
            asks_for_usage: self.asks_for_usage,
            deployments: self.deployments,
            budgets,
            shadows: Shadows {
                slots: Arc::new(Semaphore::new(self.max_shadows.min(Semaphore::MAX_PERMITS))),
                budgets: shadow_budgets,
            },
            project_lane: self.project_lane,
            flex_window: self.flex_window,
            books: Books::default(),
            metrics: Metrics::default(),
            open: OpenCalls::default(),
        });
        let api = ServerBatches::new(self.client.config().clone(), sender);
        let collector = BatchCollector::builder(api.clone())
            .with_policy(self.batch_policy)
            .with_store(self.batch_store)
            .with_observer(Bookkeeper::new(Arc::clone(&core)))
            .with_faster_lane(OneByOne::new(api.clone(), self.project_lane))
            .with_clock(self.clock);
        let collector = if core.budgets.is_empty() {
            collector
        } else {
            collector.with_gate(BudgetGate::new(Arc::clone(&core)))
        };
        let collector = collector.build();
        let shared = Arc::new(super::Shared { core, collector, api });
        Ok(LlmClient::over(self.client, shared, Arc::new(Scope::default())))
    }
}
