//! The ways in for the fuzz target `learned`; in no other build.

use std::path::Path;

use super::heads::Kind;
use super::{file, log};

/// Reads a model, and lets it judge; `None` if it is refused.
pub fn read_model(bytes: &[u8]) -> Option<Vec<f32>> {
    let model = file::decode(Kind::Prompts, bytes, Path::new("model")).ok()?;
    Some(model.probabilities("Is 7 a prime number?"))
}

/// Reads a segment of a training log: how many ratings it has, and how many lines were passed over; `None` if it is
/// refused.
pub fn read_training(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut ratings = 0;
    let damaged = log::read_segment(bytes, Path::new("segment"), |_| ratings += 1).ok()?;
    Some((ratings, damaged))
}
