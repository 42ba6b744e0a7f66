//! The client that applications hold: async-openai's own, with thrifty inside.

mod asked;
mod batching;
mod bound;
mod budgeting;
mod builder;
mod call;
mod cascade;
mod choice;
mod core;
mod course;
mod deployments;
mod error;
mod facts;
mod lines;
mod metering;
mod past_spend;
mod pipeline;
mod plan;
mod receipt;
mod row;
mod scope;
mod shadow;
mod steps;
mod stream;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::{Config, OpenAIConfig};
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::future::BoxFuture;
use tower::Service;

use self::core::Core;
use self::facts::at_host;
use self::scope::Scope;
use crate::batch::BatchCollector;
use crate::budget::Budgets;
use crate::clock::bounded;
use crate::id::{OpId, RequestId};
use crate::ledger::CostLedger;
use crate::openai::{ServerBatches, Transport};
use crate::pricing::PriceBook;
use crate::router::{Quality, Rating};

pub use self::builder::LlmClientBuilder;
pub use self::error::Error;
pub use self::receipt::Receipt;
pub use self::scope::Tracked;

/// An `async_openai::Client` whose calls are routed, batched, metered, priced and booked.
///
/// It derefs to `async_openai::Client<C>`: `chat()`, `responses()`, `embeddings()`, streams, and functions that take
/// `&Client<C>` go on working. Clones are cheap and share ledger, router and collector.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
/// use thrifty::ledger::{Dimension, Query};
/// use thrifty::router::TokenCountRouter;
/// use thrifty::simulator::Simulator;
/// use thrifty::{LlmClient, Transport};
///
/// # let simulator = Simulator::builder().build();
/// # let (client, transport) = (simulator.client(), Transport::service(simulator.service()));
/// let llm = LlmClient::builder(client, transport)
///     .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
///     .build()?;
///
/// let request = CreateChatCompletionRequestArgs::default()
///     .model("gpt-4o")
///     .messages([ChatCompletionRequestUserMessage::from("What is the capital of France?").into()])
///     .build()?;
/// llm.feature("geography").chat().create(request).await?;
///
/// let spend = llm.ledger().query(&Query::new().group_by(Dimension::Feature)).await?;
/// assert!(spend.total.cost > thrifty::UsdSum::ZERO);
/// # Ok(())
/// # }
/// ```
pub struct LlmClient<C: Config = OpenAIConfig> {
    client: Client<C>,
    shared: Arc<Shared>,
    scope: Arc<Scope>,
}

#[derive(Debug)]
struct Shared {
    core: Arc<Core>,
    collector: BatchCollector,
    api: ServerBatches,
}

impl<C: Config + Clone + 'static> LlmClient<C> {
    /// Begins to wrap a client. The transport carries all its requests from now on, see [`Transport`].
    pub fn builder(client: Client<C>, transport: Transport) -> LlmClientBuilder<C> {
        LlmClientBuilder::new(client, transport)
    }
}

impl<C: Config> LlmClient<C> {
    /// Puts the layer with this scope into a client.
    fn over(client: Client<C>, shared: Arc<Shared>, scope: Arc<Scope>) -> Self {
        let layer = Layer {
            shared: Arc::clone(&shared),
            scope: Arc::clone(&scope),
        };
        Self {
            client: client.with_http_service(layer),
            shared,
            scope,
        }
    }

    /// Tells the router how good the answer of an operation was, as its [`Receipt`] or its ledger entry names it.
    ///
    /// Whoever can tell may say so: a user's thumb, a test that ran the code, another model. A
    /// [`LearnedRouter`](crate::router::LearnedRouter) learns from it; see [`Router::rate`](crate::router::Router::rate) for
    /// a router of yours.
    pub fn observe(&self, op_id: OpId, quality: impl Into<Quality>) {
        self.shared.core.rate(&Rating::new(op_id, quality));
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &dyn CostLedger {
        &*self.shared.core.ledger
    }

    /// Returns the price book in force.
    pub fn prices(&self) -> PriceBook {
        self.shared.core.facts.get().prices.clone()
    }

    /// Prices the calls of all clones and scopes by this book, from their next one on.
    ///
    /// Calls under way keep the book that they began with, up to the answer of their batch. Each entry names its
    /// edition.
    pub fn set_prices(&self, prices: PriceBook) {
        let prices = at_host(self.client.config().api_base(), prices);
        self.shared.core.facts.set_prices(prices);
    }

    /// Returns the budgets: how each stands, and a way to hold what calls of your own can cost.
    pub fn budgets(&self) -> &Budgets {
        &self.shared.core.budgets
    }

    /// Returns the collector that gathers batches, to enqueue requests directly or to watch its progress.
    pub fn collector(&self) -> &BatchCollector {
        &self.shared.collector
    }

    /// Sends off what waits for a batch, offers retained entries to the ledger again, and makes it durable.
    ///
    /// It does not wait for answers. It does all of that also if a part of it fails, and returns the first error.
    ///
    /// # Errors
    /// If the ledger or the collector's store fails; nothing is lost by that.
    pub async fn flush(&self) -> Result<Pending, Error> {
        let sealed = self.shared.collector.flush().await;
        let written = self.shared.core.flush().await;
        sealed?;
        written?;
        Ok(self.pending())
    }

    /// Waits until every call, shadow and batched request is answered and booked, or the time is up, and makes the ledger
    /// durable.
    ///
    /// What it returns was not answered yet. It does all of that also if a part of it fails. Calls made meanwhile, or later, are served, but none of them rides a batch.
    ///
    /// # Errors
    /// If the ledger or the collector's store fails.
    pub async fn shutdown(&self, timeout: Duration) -> Result<Pending, Error> {
        let core = &self.shared.core;
        let end = tokio::time::Instant::now() + bounded(timeout);
        let collected = self.shared.collector.shutdown(timeout).await;
        // The time may be up: what is still under way is then pending.
        let _ = tokio::time::timeout_at(end, core.open.drained()).await;
        let written = core.flush().await;
        collected?;
        written?;
        Ok(self.pending())
    }

    fn pending(&self) -> Pending {
        Pending {
            calls: self.shared.core.open.count(),
            batched: self.shared.collector.pending(),
            entries: self.shared.core.books.waiting(),
            entries_given_up: self.shared.core.books.given_up(),
        }
    }
}

impl<C: Config + Clone> LlmClient<C> {
    /// Returns a client with the same layer and scope, for APIs that take one by value.
    pub fn client(&self) -> Client<C> {
        self.client.clone()
    }
}

impl<C: Config> Deref for LlmClient<C> {
    type Target = Client<C>;

    fn deref(&self) -> &Client<C> {
        &self.client
    }
}

impl<C: Config + Clone> Clone for LlmClient<C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            shared: Arc::clone(&self.shared),
            scope: Arc::clone(&self.scope),
        }
    }
}

impl<C: Config> fmt::Debug for LlmClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmClient")
            .field("shared", &self.shared)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What is not done yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Calls under way, streams and shadows included.
    pub calls: usize,
    /// Requests that wait for, or ride, a batch.
    pub batched: Vec<RequestId>,
    /// Ledger entries that the ledger has not taken yet.
    pub entries: usize,
    /// Ledger entries that were given up because too many waited.
    pub entries_given_up: usize,
}

impl Pending {
    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.calls == 0 && self.batched.is_empty() && self.entries == 0
    }
}

/// The tower service inside the client: one scope's way through the pipeline.
#[derive(Clone)]
struct Layer {
    shared: Arc<Shared>,
    scope: Arc<Scope>,
}

impl Service<HttpRequestFactory> for Layer {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = BoxFuture<'static, Result<reqwest::Response, OpenAIError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        Box::pin(pipeline::run(
            Arc::clone(&self.shared),
            Arc::clone(&self.scope),
            request,
        ))
    }
}
