//! Ledgers: what was spent, on what, for whom.

mod entry;

pub use entry::{Baseline, Degradation, LedgerEntry, Role, Status};
