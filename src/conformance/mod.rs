//! Suites that check an implementation of yours against the contract of a trait. They panic where it is broken.

mod ledger;
mod router;

pub use ledger::ledger;
pub use router::{router, two_tier_router};
