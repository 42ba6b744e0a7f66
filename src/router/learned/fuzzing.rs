//! The ways in for the fuzz target `learned`; in no other build.

use std::path::Path;

use super::super::Labelled;
use super::heads::Kind;
use super::{AnswerModel, LabelledAnswer, file, log};

/// Reads a model of prompts or of answers, and lets it judge; `None` if it is refused as either.
pub fn read_model(bytes: &[u8]) -> Option<Vec<f32>> {
    let (path, prompt) = (Path::new("model"), "Is 7 a prime number?");
    if let Ok(model) = file::decode(Kind::Prompts, bytes, path) {
        return Some(model.probabilities(prompt));
    }
    let model = AnswerModel::of(file::decode(Kind::Answers, bytes, path).ok()?);
    Some(model.probabilities(&LabelledAnswer::new(Labelled::new(prompt), "Yes, it is.")))
}

/// Reads a segment of a training log: how many ratings it has, and how many lines were passed over; `None` if it is
/// refused.
pub fn read_training(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut ratings = 0;
    let damaged = log::read_segment(bytes, Path::new("segment"), |_| ratings += 1).ok()?;
    Some((ratings, damaged))
}
