//! Collects requests that can wait and sends them through the Batch API, at half the price.
//!
//! # Contract
//! 1. When an enqueue returns `Ok`, the request survives what the store's [`durability`](BatchStore::durability) says.
//! 2. A request is in at most one live batch. After a lost answer to `POST /batches` the collector lists and matches,
//!    waits and lists again, deletes the input file as a fence, waits and lists a last time, and only then uploads anew.
//! 3. A request is settled only by a line with its `custom_id`, by a faster lane, or by a refusal of the whole batch;
//!    else it is explicitly [`Unreported`](BatchError::Unreported).
//! 4. Completed lines of an expired or cancelled batch are delivered and told to the observer.
//! 5. Dropping a handle cancels nothing, unless it was made to withdraw.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use thrifty::Endpoint;
//! use thrifty::batch::{BatchApi, BatchCollector, BatchError};
//!
//! async fn summarise(api: Arc<dyn BatchApi>) -> Result<(), BatchError> {
//!     let collector = BatchCollector::builder(api).build();
//!     let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}"#;
//!     let handle = collector.enqueue_raw(Endpoint::ChatCompletions, body).key("doc-42").await?;
//!     println!("{} rides the next batch", handle.id());
//!     collector.flush().await?;
//!     let answer = handle.await?;
//!     println!("{}: {} bytes", answer.status, answer.body.len());
//!     Ok(())
//! }
//! ```

mod admission;
mod api;
mod collector;
mod download;
mod driver;
mod error;
mod faults;
mod files;
mod flush;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/journal_format.md")]
pub mod format {}
mod handle;
mod input;
mod line;
mod lookout;
mod many;
mod outcomes;
mod policy;
mod quote;
mod refused;
mod results;
mod search;
mod shared;
mod state;
mod store;
mod turnaround;
mod twin;
mod watch;
mod window;

#[cfg(test)]
mod power_tests;

pub use api::{
    ApiError, BatchApi, BatchGate, BatchItem, BatchObserver, BatchableRequest, Effect, FasterLane,
    LineAnswer, NewBatch, Outcome, Settled,
};
pub use collector::{BatchCollector, BatchCollectorBuilder, Cancelled, Enqueue};
pub use error::{BatchError, InvalidRequest};
pub use handle::BatchHandle;
pub use input::InputFile;
pub use outcomes::{Delivery, Outcomes};
pub use policy::BatchPolicy;
pub use quote::{BatchQuote, LaneQuote};
pub use state::Progress;
pub use store::{
    BatchStore, Content, Durability, Extent, Failure, FileStore, FileStoreBuilder, FlushId, InMemoryStore,
    Position, Record, RecoveryReport, RequestKey, StoreError, StoredAnswer, StoredFault, StoredRequest,
    Verdict,
};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use store::{OpenedSpool, open_spool};
pub use window::CompletionWindow;
