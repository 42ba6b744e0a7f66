//! From labelled prompts to a model.

use super::super::{AUTO, Labelled};
use super::features::Subject;
use super::heads::{Heads, Kind, Lesson, MOST_HEADS, Outcome};
use super::{AnswerModel, LabelledAnswer, LearnError, Model};
use crate::model::ModelId;

/// How often the lessons are gone through.
const EPOCHS: usize = 6;

/// Trains a [`Model`].
///
/// The same rows, in the same order, with the same seed make the same model on one kind of machine. Fourteen thousand
/// prompts of 500 bytes take less than a second.
///
/// # Default
/// - seed 0
/// - at least 50 labels a candidate. That is the least that is taken, not enough for a good model: compare it with the
///   length of the prompt by an [`Evaluator`](crate::router::Evaluator).
///
/// # Examples
/// ```
/// use thrifty::router::{Labelled, Trainer};
///
/// let rows: Vec<Labelled> = (0..200)
///     .map(|n| {
///         let hard = n % 2 == 0;
///         let prompt = if hard { format!("Prove lemma {n}") } else { format!("Translate line {n}") };
///         Labelled::new(prompt).with_quality("gpt-4o-mini", !hard).with_quality("gpt-4o", true)
///     })
///     .collect();
/// let model = Trainer::new(["gpt-4o-mini", "gpt-4o"]).with_seed(7).train(&rows)?;
/// assert!(model.score_text("Prove lemma 500") > model.score_text("Translate line 501"));
/// # Ok::<(), thrifty::router::LearnError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    candidates: Vec<ModelId>,
    seed: u64,
    min_labels: usize,
}

impl Trainer {
    /// Takes the models to choose between, from the one that costs least to the one that costs most.
    pub fn new<M: Into<ModelId>>(candidates: impl IntoIterator<Item = M>) -> Self {
        Self {
            candidates: candidates.into_iter().map(Into::into).collect(),
            seed: 0,
            min_labels: 50,
        }
    }

    /// Sets what the order of the lessons is drawn from.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many labels each candidate needs at least.
    #[must_use]
    pub const fn with_min_labels(mut self, labels: usize) -> Self {
        self.min_labels = labels;
        self
    }

    pub(super) fn candidates(&self) -> &[ModelId] {
        &self.candidates
    }

    /// Trains on these rows. A row need not have a label of each candidate.
    ///
    /// # Errors
    /// If the candidates cannot be told apart, a label is of none of them, one has too few, or all labels of each are
    /// alike.
    pub fn train(&self, rows: &[Labelled]) -> Result<Model, LearnError> {
        check(&self.candidates)?;
        self.train_on(&lessons(&self.candidates, rows)?)
    }

    /// Trains on answers of the first candidate, each with its prompt. A row need not have a label of each candidate.
    ///
    /// With a model of prompts, such as that of a [`LearnedRouter`](crate::router::LearnedRouter), it begins with what that
    /// learned, for where fewer answers are labelled than prompts. That was not measured for answers with words: their words
    /// are hashed among those of prompts, and begin with the weights of other words.
    ///
    /// # Errors
    /// As [`train`](Self::train), and if the model of the prompts has other candidates.
    pub fn train_answers(
        &self,
        rows: &[LabelledAnswer],
        prompts: Option<&Model>,
    ) -> Result<AnswerModel, LearnError> {
        check(&self.candidates)?;
        let mut heads = Heads::new(Kind::Answers, self.candidates.len());
        if let Some(prompts) = prompts {
            if prompts.candidates() != self.candidates {
                return Err(LearnError::OtherCandidates);
            }
            heads.begin_with(prompts.heads());
        }
        let lessons = rows.iter().map(|row| row.lesson(&self.candidates));
        let lessons = lessons.collect::<Result<Vec<_>, _>>()?;
        Ok(AnswerModel::of(self.fit(heads, &lessons)?))
    }

    /// Trains on what is read already.
    pub(super) fn train_on(&self, lessons: &[Lesson]) -> Result<Model, LearnError> {
        check(&self.candidates)?;
        self.fit(Heads::new(Kind::Prompts, self.candidates.len()), lessons)
    }

    fn fit(&self, mut heads: Heads, lessons: &[Lesson]) -> Result<Model, LearnError> {
        self.check_labels(lessons)?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut order: Vec<&Lesson> = lessons.iter().collect();
        for _ in 0..EPOCHS {
            random.shuffle(&mut order);
            for lesson in &order {
                heads.learn(lesson);
            }
        }
        Ok(Model::of(self.candidates.clone(), heads))
    }

    fn check_labels(&self, lessons: &[Lesson]) -> Result<(), LearnError> {
        let mut differ = false;
        for (head, model) in self.candidates.iter().enumerate() {
            let of_head = |outcome: &&Outcome| outcome.head == head;
            let mut qualities = lessons
                .iter()
                .filter_map(|lesson| lesson.outcomes.iter().find(of_head))
                .map(|outcome| outcome.quality);
            let first = qualities.next();
            let mut labels = usize::from(first.is_some());
            for quality in qualities {
                labels += 1;
                differ |= Some(quality) != first;
            }
            if labels < self.min_labels.max(1) {
                return Err(LearnError::TooFewLabels {
                    model: model.clone(),
                    labels,
                    needed: self.min_labels.max(1),
                });
            }
        }
        if differ { Ok(()) } else { Err(LearnError::OneClass) }
    }
}

/// Whether models can be told apart, and asked for.
pub(super) fn check(candidates: &[ModelId]) -> Result<(), LearnError> {
    if !(2..=MOST_HEADS).contains(&candidates.len()) {
        return Err(LearnError::Candidates {
            count: candidates.len(),
        });
    }
    let bad = candidates.iter().enumerate().find(|(place, model)| {
        model.as_str().is_empty()
            || **model == AUTO
            || candidates.iter().take(*place).any(|other| other == *model)
    });
    match bad {
        Some((_, model)) => Err(LearnError::BadCandidate { model: model.clone() }),
        None => Ok(()),
    }
}

/// Reads rows for these candidates.
pub(super) fn lessons(candidates: &[ModelId], rows: &[Labelled]) -> Result<Vec<Lesson>, LearnError> {
    rows.iter()
        .map(|row| {
            Ok(Lesson::of(
                &Subject::of_text(&row.prompt),
                outcomes(candidates, row)?,
            ))
        })
        .collect()
}

/// Reads the labels of a row.
pub(super) fn outcomes(candidates: &[ModelId], row: &Labelled) -> Result<Vec<Outcome>, LearnError> {
    let outcomes = row.qualities.iter().map(|(model, quality)| {
        let head = candidates.iter().position(|candidate| candidate == model);
        let head = head.ok_or_else(|| LearnError::UnknownModel { model: model.clone() })?;
        Ok(Outcome {
            head,
            quality: quality.get(),
            weight: 1.0,
        })
    });
    outcomes.collect()
}
