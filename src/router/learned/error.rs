//! What can go wrong when a router learns.

use std::io;
use std::path::PathBuf;

use crate::model::ModelId;
use crate::storage::StorageError;

/// A model could not be trained, saved or loaded, or a training log not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// There are fewer than two candidates, or more than sixteen.
    #[error("{count} candidates, of 2 to 16 that can be told apart")]
    Candidates {
        /// How many were given.
        count: usize,
    },
    /// A candidate has no name, is `auto`, or is there twice.
    #[error("{model} cannot be a candidate, or is one twice")]
    BadCandidate {
        /// Its name.
        model: ModelId,
    },
    /// A label is of a model that is no candidate.
    #[error("there are labels of {model}, which is no candidate")]
    UnknownModel {
        /// The model.
        model: ModelId,
    },
    /// A candidate has too few labels.
    #[error("{model} has {labels} labels, {needed} are needed")]
    TooFewLabels {
        /// The candidate.
        model: ModelId,
        /// How many it has.
        labels: usize,
        /// How many it needs.
        needed: usize,
    },
    /// All answers of each candidate are labelled alike: there is nothing to tell prompts apart by.
    #[error("all answers of each candidate are labelled alike")]
    OneClass,
    /// A model was trained for other candidates, or for the same in another order.
    #[error("the model has other candidates, or the same in another order")]
    OtherCandidates,
    /// The router to compare with failed.
    #[error("the fallback router failed")]
    Fallback(#[source] super::super::RouteError),
    /// A file could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, such as `open`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path does not lead to what was looked for.
    #[error("{} is not what was looked for: {why}", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        why: &'static str,
    },
    /// The file was written by a newer version of this crate.
    #[error("{} has format {found}, this version reads up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format in its header.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
    /// The file ends too early.
    #[error("{} has {found} bytes of {expected}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How many bytes it should have.
        expected: u64,
        /// How many it has.
        found: u64,
    },
    /// The file is damaged.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<StorageError> for LearnError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io { action, path, source } => Self::Io { action, path, source },
            StorageError::Foreign { path, why } => Self::Foreign { path, why },
            StorageError::Newer { path, found, known } => Self::NewerFormat { path, found, known },
            StorageError::BadLine { path, why, .. } => Self::Damaged { path, why },
            StorageError::TooLong { path, .. } => Self::Damaged {
                path,
                why: "a line is too long",
            },
        }
    }
}
