//! A router that learns from outcomes.

mod answers;
mod choices;
mod error;
mod explain;
mod features;
mod file;
#[cfg(fuzzing)]
mod fuzzing;
mod heads;
mod log;
mod model;
mod pending;
mod policy;
mod promotion;
mod ratings;
mod record;
mod router;
#[cfg(test)]
mod tests;
mod text;
mod trainer;

pub use answers::{AnswerModel, LabelledAnswer};
pub use error::LearnError;
pub use explain::Word;
#[cfg(fuzzing)]
pub use fuzzing::{read_model, read_training};
pub use log::{LogReport, TrainingLog};
pub use model::Model;
pub use promotion::{Comparison, Promotion};
pub use router::LearnedRouter;
pub use trainer::Trainer;
