//! Suites that check an implementation of yours against the contract of a trait. They panic where it is broken.

mod ledger;

pub use ledger::ledger;
