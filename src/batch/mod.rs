//! Collects requests that can wait and sends them through the Batch API, at half the price.

mod api;
mod error;
mod policy;
mod store;

pub use api::{
    ApiError, BatchApi, BatchItem, BatchObserver, BatchableRequest, Effect, FasterLane, LineAnswer, NewBatch,
    Outcome, Settled,
};
pub use error::{BatchError, InvalidRequest};
pub use policy::BatchPolicy;
pub use store::{BatchStore, Durability, FlushId, InMemoryStore, Position, Record, StoreError};
