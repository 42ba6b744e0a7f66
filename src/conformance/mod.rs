//! Suites that check an implementation of yours against the contract of a trait. They panic where it is broken.

mod batch_store;
mod ledger;
mod router;

pub use batch_store::batch_store;
pub use ledger::ledger;
pub use router::{router, two_tier_router};
