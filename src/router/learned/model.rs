//! What was learned.

use std::fmt;
use std::path::Path;

use super::super::{Labelled, RouteRequest, Score};
use super::features::Subject;
use super::heads::{Heads, Kind, Lesson, PerHead};
use super::{LearnError, file, trainer};
use crate::model::ModelId;
use crate::storage::StdDisk;

/// What a [`Trainer`](super::Trainer) learned: for each candidate, how probable it is that its answer to a prompt is good
/// enough.
///
/// The probability is a logistic function of the prompt's words, its pairs of words and two dozen numbers about its
/// shape. Words are hashed; no text is kept. Of a prompt the first 8 kB are read. For two candidates it takes 512 KiB, and
/// as much again for learning on.
///
/// As a [`Score`] it is the *gap*: how much more probable a good answer is from the best dearer candidate than from the
/// cheapest, from -1 to 1. A hard prompt that no candidate answers well has a small gap.
#[derive(Clone, PartialEq)]
pub struct Model {
    candidates: Vec<ModelId>,
    heads: Heads,
    version: u32,
}

impl Model {
    pub(super) fn of(candidates: Vec<ModelId>, heads: Heads) -> Self {
        let mut model = Self::of_version(candidates, heads, 0);
        model.version = file::checksum(&model);
        model
    }

    pub(super) const fn of_version(candidates: Vec<ModelId>, heads: Heads, version: u32) -> Self {
        Self {
            candidates,
            heads,
            version,
        }
    }

    pub(super) const fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Returns the models it knows, from the cheapest to the dearest.
    pub fn candidates(&self) -> &[ModelId] {
        &self.candidates
    }

    /// Returns a number that changes with what is learned, to tell by which model a decision was made.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Returns how probable a good answer to a prompt is, for each candidate.
    pub fn probabilities(&self, prompt: &str) -> Vec<f32> {
        let judged = self.judge(&Subject::of_text(prompt));
        judged.into_iter().take(self.candidates.len()).collect()
    }

    /// Returns the score of a prompt that stands alone. Nothing is allocated.
    pub fn score_text(&self, prompt: &str) -> f32 {
        self.gap(&self.judge(&Subject::of_text(prompt)))
    }

    /// Learns from new outcomes, each once.
    ///
    /// # Errors
    /// If a label is of a model that is no candidate; then nothing is learned.
    pub fn update(&mut self, rows: &[Labelled]) -> Result<(), LearnError> {
        self.update_on(&trainer::lessons(&self.candidates, rows)?);
        Ok(())
    }

    pub(super) fn update_on(&mut self, lessons: &[Lesson]) {
        for lesson in lessons {
            self.heads.learn(lesson);
        }
        self.version = file::checksum(self);
    }

    /// Writes the model to a file. One that is there is replaced at once: whoever reads meets the old one or the new
    /// one, also after a crash.
    ///
    /// # Errors
    /// If the disk fails. A file that was there is then as it was; or the new one, if only the directory could not be synced.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), LearnError> {
        file::save(self, &StdDisk, path.as_ref())
    }

    /// Reads a model that was [saved](Self::save).
    ///
    /// # Errors
    /// If the file cannot be read, is something else, was cut short or changed, or was written by a newer version of this
    /// crate.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LearnError> {
        file::load(Kind::Prompts, &StdDisk, path.as_ref())
    }

    pub(super) fn judge(&self, subject: &Subject<'_>) -> PerHead {
        self.heads.judge(subject)
    }

    /// Returns how much more probable a good answer is from the best dearer candidate than from the cheapest.
    pub(super) fn gap(&self, judged: &PerHead) -> f32 {
        self.gap_over(judged, 0)
    }

    /// The same, over any candidate; below all numbers for the dearest.
    pub(super) fn gap_over(&self, judged: &PerHead, candidate: usize) -> f32 {
        let dearer = judged.iter().take(self.candidates.len()).skip(candidate + 1);
        let best = dearer.copied().fold(f32::NEG_INFINITY, f32::max);
        best - judged.get(candidate).copied().unwrap_or(0.0)
    }
}

impl Score for Model {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        Some(self.gap(&self.judge(&Subject::of_request(request)?)))
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("candidates", &self.candidates)
            .field("version", &format_args!("{:08x}", self.version))
            .finish_non_exhaustive()
    }
}
