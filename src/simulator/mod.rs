//! An offline OpenAI for tests: chat completions, responses, embeddings, files, batches and models, in process or on
//! loopback.
//!
//! Both faces have the same core. [`Simulator::service`] is a tower service for
//! `async_openai::Client::with_http_service`; it opens no socket and takes its time from tokio, so that a test with
//! paused time waits for nothing. [`Simulator::serve`] is an HTTP server for programs that speak TCP.
//!
//! Answers are plausible nonsense of 20 to 180 tokens, or JSON that fits the schema or tool asked for. The same seed
//! and the same requests give the same answers and ids. What it generates is billed in [`Simulator::book`], in tokens,
//! whether or not the client was still there to read it.
//!
//! The rules a test can rely on:
//! - An alias is answered by its dated snapshot; an unknown model is a 404 `model_not_found`.
//! - Of a prompt of at least 1,024 tokens, the part that an earlier prompt to the same model began with is reported as
//!   cached, rounded down to 128 tokens; never in a batch.
//! - Reasoning models (`o1`, `o3`, `o4`, `gpt-5`, `gpt-6`) report reasoning tokens and refuse `max_tokens` and a
//!   `temperature` other than 1.
//! - If tools are offered and may be called, one is called, unless the last message brings a tool's result.
//! - `service_tier` is served as asked; `auto` and none are served as `default`.
//! - A batch is validated after a tenth of its delay, not when it is created, and one bad line fails all of it. Its lines
//!   run from then until nine tenths; its files, in an order of the seed's, are there at the end.
//! - A batch whose last line has not run within its window expires; one that is cancelled ends within ten minutes. Both
//!   deliver and bill what had run.
//! - Files of batches are kept for 30 days. 2,000 batches can be created in an hour.
//! - The last 1,000 responses can be retrieved, deleted and gone on with, unless their `store` was false. One that goes
//!   on with another has the tokens of the conversation so far in its input.
//!
//! What goes wrong is scripted with [`Fault`]; what was asked and billed is read from [`Simulator::requests`] and
//! [`Simulator::book`]. The page [`testing`] shows how to test a service with it.
//!
//! # Examples
//! ```
//! use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
//! use thrifty::simulator::Simulator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::builder().with_seed(7).build();
//! let request = CreateEmbeddingRequestArgs::default()
//!     .model("text-embedding-3-small")
//!     .input("a short text")
//!     .build()?;
//! let answer = simulator.client().embeddings().create(request).await?;
//! assert_eq!(answer.data[0].embedding.len(), 1_536);
//! assert_eq!(simulator.requests()[0].path, "/v1/embeddings");
//! # Ok(())
//! # }
//! ```

mod ask;
mod batch;
mod book;
mod chat;
mod core;
mod embeddings;
mod exchange;
mod faults;
mod files;
mod models;
mod responses;
mod server;
mod service;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use bytes::Bytes;

pub use self::book::{Book, Charge};
pub use self::faults::{BatchFault, Fault, LineFault};
pub use self::server::SimulatorServer;
pub use self::service::SimulatorService;

use self::core::Core;
use crate::wire::RequestView;

/// An offline OpenAI. Clones are handles on the same one.
///
/// See the [module](self) for its rules.
#[derive(Debug, Clone)]
pub struct Simulator {
    core: Arc<Core>,
}

/// A request that the simulator received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The path, such as `/v1/chat/completions`.
    pub path: String,
    /// The body, as it came.
    pub body: Bytes,
}

impl SeenRequest {
    /// Returns the model that the body names; `None` if it is no JSON or names none.
    pub fn model(&self) -> Option<String> {
        let view = RequestView::read(&self.body).ok()?;
        view.model_name().map(Cow::into_owned)
    }
}

/// Settings of a [`Simulator`].
///
/// # Default
/// - models: the OpenAI names in common use and their snapshots
/// - seed: 0
/// - latency and chunk delay: zero
/// - batch delay: 30 s; batch window: 24 h; no limit of enqueued tokens
/// - lists: at once, the newest first
/// - request log: the last 10,000
#[derive(Debug, Clone)]
#[must_use]
pub struct SimulatorBuilder {
    models: Vec<String>,
    seed: u64,
    latency: Duration,
    chunk_delay: Duration,
    batch_delay: Duration,
    batch_window: Duration,
    enqueued_tokens: Option<u64>,
    list_lag: Duration,
    shuffles_lists: bool,
    request_log: usize,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Makes a simulator with the default settings. Needs no runtime.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts from the default settings.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder {
            models: models::common(),
            seed: 0,
            latency: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            batch_delay: Duration::from_secs(30),
            batch_window: Duration::from_secs(86_400),
            enqueued_tokens: None,
            list_lag: Duration::ZERO,
            shuffles_lists: false,
            request_log: 10_000,
        }
    }

    /// Returns the face in process, for `async_openai::Client::with_http_service`.
    pub fn service(&self) -> SimulatorService {
        SimulatorService::new(self.clone())
    }

    /// Returns a client that talks to this simulator in process, with a key that means nothing.
    pub fn client(&self) -> Client<OpenAIConfig> {
        let config = OpenAIConfig::new()
            .with_api_base("https://api.openai.com/v1")
            .with_api_key("sk-simulator");
        Client::with_config(config).with_http_service(self.service())
    }

    /// Scripts a fault for the next request that it is meant for.
    pub fn inject(&self, fault: Fault) {
        self.core.inject(fault);
    }

    /// Returns what was billed so far, oldest first.
    pub fn book(&self) -> Book {
        drop(self.store());
        self.core.book()
    }

    /// Returns the last requests that were received, oldest first; see
    /// [`with_request_log`](SimulatorBuilder::with_request_log).
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.core.requests()
    }

    /// Returns how many requests were received in all.
    pub fn request_count(&self) -> u64 {
        self.core.request_count()
    }

    /// Returns how many of the [`requests`](Self::requests) asked for each model, by the name that they gave.
    pub fn requests_by_model(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for model in self.requests().iter().filter_map(SeenRequest::model) {
            *counts.entry(model).or_default() += 1;
        }
        counts
    }

    /// Returns the most requests that were under way at once. A streamed answer counts until it begins.
    pub fn peak_concurrency(&self) -> usize {
        self.core.peak()
    }
}

impl SimulatorBuilder {
    /// Knows these models and no other. A name it has no snapshot for is served as it is.
    pub fn with_models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what answers, ids and the order of batch outputs are derived from.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Waits so long, in tokio's time, before every answer.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Waits so long, in tokio's time, before every event of a stream, and before every 64 KiB of a download.
    pub fn with_chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    /// Sets how long a batch takes, in tokio's time, from its creation to `completed`.
    pub fn with_batch_delay(mut self, delay: Duration) -> Self {
        self.batch_delay = delay;
        self
    }

    /// Sets how long after its creation a batch expires, in tokio's time, if its last line has not run by then. What
    /// ran is delivered and billed; the other lines come as `batch_expired`.
    pub fn with_batch_window(mut self, window: Duration) -> Self {
        self.batch_window = window;
        self
    }

    /// Limits the prompt tokens that the batches under way may have for one model. A batch beyond it fails at its
    /// validation with `token_limit_exceeded`.
    pub fn with_enqueued_tokens(mut self, tokens: u64) -> Self {
        self.enqueued_tokens = Some(tokens);
        self
    }

    /// Lists a batch only so long after its creation, in tokio's time. It can be retrieved by its id at once.
    pub fn with_list_lag(mut self, lag: Duration) -> Self {
        self.list_lag = lag;
        self
    }

    /// Lists batches in an order of the seed's, instead of the newest first.
    pub fn with_shuffled_lists(mut self) -> Self {
        self.shuffles_lists = true;
        self
    }

    /// Keeps so many of the last requests with their bodies.
    pub fn with_request_log(mut self, requests: usize) -> Self {
        self.request_log = requests;
        self
    }

    /// Makes the simulator. Needs no runtime.
    #[must_use]
    pub fn build(self) -> Simulator {
        Simulator {
            core: Arc::new(Core::new(self)),
        }
    }
}
