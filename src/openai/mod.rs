//! The wire: the user's HTTP stack, retries, and the Batch API over it.

mod batchable;
mod batches;
mod failure;
mod requests;
mod retry;
mod transport;

pub(crate) use batches::ServerBatches;
pub(crate) use failure::{AttemptError, is_transient, may_have_had_effect, may_hide_success};
pub use retry::RetryPolicy;
pub(crate) use retry::{Expected, Reply, Sender, Step, head_of};
pub use transport::Transport;
