//! Spend less on LLM calls without rewriting the code that makes them.

#![warn(clippy::print_stdout)]

mod attribution;
pub mod batch;
pub mod capability;
mod client;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod endpoint;
mod error;
mod id;
mod lane;
pub mod ledger;
mod model;
mod money;
mod openai;
pub mod pricing;
pub mod report;
pub mod router;
#[cfg(feature = "simulator")]
pub mod simulator;
mod storage;
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
pub use usage::{Meters, Usage, UsageError};
