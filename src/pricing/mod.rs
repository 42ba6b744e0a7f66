//! What tokens cost.

mod cost;

pub use cost::{Cost, PartialReason, UnpricedReason};
