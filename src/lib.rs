//! Spend less on LLM calls without rewriting the code that makes them.
//!
//! An [`LlmClient`] wraps the `async_openai::Client` that a service already has. The calls stay as they are. Each can
//! be routed to a cheaper model, can ride a batch at half the price if it may wait, is metered and priced exactly, and
//! is written to a ledger.
//!
//! # Examples
//! ```
//! use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
//! use thrifty::report::Report;
//! use thrifty::router::HeuristicRouter;
//! use thrifty::simulator::Simulator;
//! use thrifty::{LlmClient, Transport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In production: `async_openai::Client::new()` and `Transport::default()`.
//! let simulator = Simulator::new();
//! let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
//!     .with_router(HeuristicRouter::new("gpt-4o-mini", "gpt-4o"))
//!     .build()?;
//!
//! let request = CreateChatCompletionRequestArgs::default()
//!     .model("gpt-4o")
//!     .messages([ChatCompletionRequestUserMessage::from("Name three rivers.").into()])
//!     .build()?;
//! let call = llm.feature("geography").tracked();
//! call.chat().create(request).await?;
//!
//! let receipt = call.receipt().await.ok_or("the call left no receipt")?;
//! assert_eq!(receipt.served_model().map(|model| model.as_str()), Some("gpt-4o-mini-2024-07-18"));
//! println!("{}", Report::of(llm.ledger()).await?.to_text());
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//! - [`router`]: chooses the model for a request
//! - [`batch`]: collects requests that can wait, and sends them through the Batch API
//! - [`budget`]: limits on what calls may cost
//! - [`ledger`]: what was spent, on what, for whom
//! - [`report`]: spend and savings as text and as a page
//! - `dashboard` (feature): the report as routes of your own service, kept up to date
//! - [`pricing`]: what tokens cost
//! - [`capability`]: what models can do, and what a request needs of them
//! - [`telemetry`]: spans and metrics of each call (feature)
//! - [`tokens`]: counts the input tokens of a request before it is sent
//! - [`wire`]: tolerant views of requests, answers, streams and batches
//! - `simulator` (feature): an offline OpenAI for tests
//! - `conformance` (feature): suites for your own implementations of the traits
//!
//! # Errors
//! Through async-openai's calls everything is an `OpenAIError`, as ever. Faults of the server and of the connection are
//! the same as without thrifty. Those of thrifty itself travel as `OpenAIError::Boxed` and downcast to [`Error`], which
//! has a [`kind`](Error::kind). The client's own methods return [`Error`] directly. A router or a ledger that fails
//! never fails a call; what did not go as it should is in the entry's
//! [`degradations`](ledger::LedgerEntry::degradations), and each is a `tracing` event with the target `thrifty`.
//!
//! # Defaults
//! - no router: every request asks the model that it names
//! - no budgets
//! - a ledger in memory, of 100,000 entries
//! - 4 attempts, 600 s each, 1,200 s in all; a stream ends after 300 s of silence; see [`RetryPolicy`]
//! - a call rides a batch if it may wait for 2 h or longer; see [`BatchPolicy`](batch::BatchPolicy)
//! - batched requests are kept in memory and die with the process; a [`FileStore`](batch::FileStore) keeps them on disk
//! - 1 s for a router to choose
//!
//! All of them are set on the [`LlmClientBuilder`].

#![warn(clippy::print_stdout)]

mod attribution;
pub mod batch;
pub mod budget;
pub mod capability;
mod client;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod endpoint;
mod error;
mod id;
mod label;
mod lane;
pub mod ledger;
mod markup;
mod model;
mod money;
mod openai;
pub mod pricing;
pub mod report;
pub mod router;
#[cfg(feature = "simulator")]
pub mod simulator;
mod storage;
pub mod telemetry;
pub mod tokens;
mod usage;
pub mod wire;

pub use async_openai;

pub use attribution::Attribution;
pub use client::{Error, LlmClient, LlmClientBuilder, Pending, Receipt, Tracked};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use endpoint::Endpoint;
pub use error::ErrorKind;
pub use id::{EntryId, OpId, ParseIdError, RequestId};
pub use lane::Lane;
pub use model::ModelId;
pub use money::{ParseUsdError, Usd, UsdSum};
pub use openai::{RetryPolicy, Transport};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use storage::segment_lines;
pub use usage::{Meters, ToolCalls, Usage, UsageError};

/// Compiles and runs the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
