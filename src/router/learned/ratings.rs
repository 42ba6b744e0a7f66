//! What was rated, until it is learned from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::TrainingLog;
use super::heads::{Lesson, Outcome};
use super::log::outcome;
use super::pending::{Decision, Pending, Rated};
use super::promotion;
use super::record::Record;
use crate::id::OpId;
use crate::model::ModelId;
use crate::router::Rating;

/// How many ratings wait to be learned from; of more, the oldest are only in the log.
const MOST: usize = 20_000;

#[derive(Debug)]
pub(super) struct Ratings {
    log: TrainingLog,
    pending: Mutex<Pending>,
    /// Locked after `pending`, if both are.
    fresh: Mutex<VecDeque<Rated>>,
    /// How often the fallback router chose each model since what was rated was learned or forgotten last.
    chosen: Mutex<BTreeMap<ModelId, u64>>,
}

impl Ratings {
    pub(super) fn new(log: TrainingLog) -> Self {
        Self {
            log,
            pending: Mutex::default(),
            fresh: Mutex::default(),
            chosen: Mutex::default(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, VecDeque<Rated>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chosen(&self) -> MutexGuard<'_, BTreeMap<ModelId, u64>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the mean place of the fallback router's choices among the candidates, from 0 for the cheapest to 1 for the
    /// dearest.
    pub(super) fn fallback_share(&self, candidates: &[ModelId]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        let last = candidates.len().saturating_sub(1).max(1);
        for (model, times) in &*self.chosen() {
            if let Some(place) = candidates.iter().position(|candidate| candidate == model) {
                let times = promotion::number(usize::try_from(*times).unwrap_or(usize::MAX));
                sum += times * promotion::number(place) / promotion::number(last);
                count += times;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }

    pub(super) fn expect(&self, op_id: OpId, decision: Decision) {
        if let Some(model) = &decision.fallback {
            *self.chosen().entry(model.clone()).or_default() += 1;
        }
        self.pending().add(op_id, decision);
    }

    pub(super) fn answered(&self, op_id: OpId, model: &ModelId) {
        self.pending().answered(op_id, model);
    }

    /// Writes a rating to the log. One that the disk did not take can be learned from all the same, in this process.
    pub(super) fn rate(&self, rating: &Rating) {
        let mut pending = self.pending();
        let Some(rated) = pending.rated(rating) else {
            tracing::debug!(target: "thrifty", op_id = %rating.op_id, "a rating of an operation that is not remembered");
            return;
        };
        let record = rated.record.clone();
        // Before it is in the log: what a model was trained on is not here any more once that is installed.
        let mut fresh = self.fresh();
        fresh.push_back(rated);
        if fresh.len() > MOST {
            fresh.pop_front();
        }
        drop((fresh, pending));
        if let Err(error) = self.log.append(&record) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(target: "thrifty", %error, cause, op_id = %rating.op_id, "a rating was not written to the training log");
        }
    }

    /// Forgets what was rated, for a model learns of it or may have been trained on it, and returns it.
    pub(super) fn forget(&self) -> VecDeque<Rated> {
        let mut pending = self.pending();
        pending.begin_round();
        self.chosen().clear();
        std::mem::take(&mut *self.fresh())
    }

    /// Returns what was not learned from yet, and how many ratings that is.
    pub(super) fn take(&self, candidates: &[ModelId]) -> (Vec<Lesson>, usize) {
        let fresh = self.forget();
        let count = fresh.len();
        let fresh = fresh.into_iter().map(|rated| rated.record);
        let rows = by_operation(fresh, |record| outcome(record, candidates));
        (rows.into_iter().map(|(lesson, _)| lesson).collect(), count)
    }

    /// Returns the rows that tell something of each candidate, with what the fallback router chose. Of an operation that
    /// may have been learned from there is none.
    pub(super) fn held_out(&self, candidates: &[ModelId]) -> Vec<(Lesson, usize)> {
        let place = |model: &ModelId| candidates.iter().position(|candidate| candidate == model);
        let is_new = |rated: &&Rated| rated.is_new;
        let fresh: Vec<Record> = self
            .fresh()
            .iter()
            .filter(is_new)
            .map(|rated| rated.record.clone())
            .collect();
        let rows = by_operation(fresh, |record| {
            let outcome = outcome(record, candidates)?;
            let weight = record
                .propensity
                .filter(|propensity| *propensity < 1.0)
                .map(|propensity| 1.0 / propensity);
            Some(Outcome {
                weight: weight.unwrap_or(f32::NAN),
                ..outcome
            })
        });
        let rows = rows.into_iter().filter_map(|(mut lesson, fallback)| {
            if lesson.outcomes.len() == candidates.len() {
                lesson
                    .outcomes
                    .iter_mut()
                    .for_each(|outcome| outcome.weight = 1.0);
            } else {
                lesson.outcomes.retain(|outcome| outcome.weight.is_finite());
            }
            let tells = !lesson.outcomes.is_empty();
            Some((lesson, place(fallback.as_ref()?)?)).filter(|_| tells)
        });
        rows.collect()
    }
}

/// Puts the ratings of one operation together; of two ratings of one answer the later one counts.
pub(super) fn by_operation(
    records: impl IntoIterator<Item = Record>,
    mut outcome: impl FnMut(&Record) -> Option<Outcome>,
) -> Vec<(Lesson, Option<ModelId>)> {
    let mut rows: BTreeMap<OpId, (Lesson, Option<ModelId>)> = BTreeMap::new();
    for record in records {
        let Some(outcome) = outcome(&record) else { continue };
        let (lesson, _) = rows.entry(record.op_id).or_insert_with(|| {
            let lesson = Lesson {
                buckets: record.buckets,
                shape: record.shape.to_vec(),
                outcomes: Vec::new(),
            };
            (lesson, record.fallback)
        });
        lesson.outcomes.retain(|one| one.head != outcome.head);
        lesson.outcomes.push(outcome);
    }
    rows.into_values().collect()
}
