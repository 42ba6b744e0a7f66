//! x
mod count;
mod cut;
mod encoding;
pub use count::{Basis, Count};
