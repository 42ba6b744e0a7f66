//! The wire: the user's HTTP stack, retries, and the Batch API over it.

mod batchable;
mod batches;
mod requests;
mod retry;
mod transport;

pub(crate) use batches::ServerBatches;
pub use retry::RetryPolicy;
pub(crate) use retry::{AttemptError, Reply, Sender, Step, head_of, is_transient, may_have_had_effect};
pub use transport::Transport;
