//! Operations whose answer may be rated yet.

use std::collections::{HashMap, VecDeque};

use super::features::Shape;
use super::record::Record;
use crate::id::OpId;
use crate::model::ModelId;
use crate::router::Rating;

/// How many operations are remembered: about 1 MiB a thousand, for prompts of 500 bytes.
const MOST: usize = 10_000;

/// A decision, as far as it is needed once its answer is rated.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) buckets: Vec<u16>,
    pub(super) shape: Shape,
    /// The model that was chosen, and how probable that was, if it can be told.
    pub(super) chosen: ModelId,
    pub(super) propensity: Option<f32>,
    pub(super) fallback: Option<ModelId>,
    /// The model whose answer came.
    pub(super) answered: Option<ModelId>,
    /// In which round it was rated first.
    pub(super) rated_in: Option<u64>,
}

/// Decisions by operation. The oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    decisions: HashMap<OpId, Decision>,
    order: VecDeque<OpId>,
    /// How often what was rated was learned from.
    round: u64,
}

/// A rating, with what is known of its operation.
#[derive(Debug, Clone)]
pub(super) struct Rated {
    pub(super) record: Record,
    /// Whether no rating of this operation can have been learned from.
    pub(super) is_new: bool,
}

impl Pending {
    pub(super) fn add(&mut self, op_id: OpId, decision: Decision) {
        if self.decisions.insert(op_id, decision).is_none() {
            self.order.push_back(op_id);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.decisions.remove(&oldest);
            }
        }
    }

    /// Notes whose answer came. A later one replaces it: it is what was handed out.
    pub(super) fn answered(&mut self, op_id: OpId, model: &ModelId) {
        if let Some(decision) = self.decisions.get_mut(&op_id) {
            decision.answered = Some(model.clone());
        }
    }

    /// Notes that what was rated so far is, or may have been, learned from.
    pub(super) const fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Returns what a rating teaches, if the operation is remembered. It is remembered on: the answers of other models may
    /// be rated as well.
    pub(super) fn rated(&mut self, rating: &Rating) -> Option<Rated> {
        let decision = self.decisions.get_mut(&rating.op_id)?;
        let is_new = *decision.rated_in.get_or_insert(self.round) == self.round;
        let model = rating.model.as_ref().or(decision.answered.as_ref());
        let model = model.unwrap_or(&decision.chosen);
        let record = Record {
            op_id: rating.op_id,
            buckets: decision.buckets.clone(),
            shape: decision.shape,
            model: model.clone(),
            quality: rating.quality.get(),
            // A budget, a failure or a shadow call chose another one.
            propensity: decision.propensity.filter(|_| *model == decision.chosen),
            fallback: decision.fallback.clone(),
        };
        Some(Rated { record, is_new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::router::learned::features::SHAPES;

    fn decision(chosen: &str) -> Decision {
        Decision {
            buckets: vec![1],
            shape: [0.0; SHAPES],
            chosen: chosen.into(),
            propensity: Some(0.9),
            fallback: None,
            answered: None,
            rated_in: None,
        }
    }

    fn op_id(millis: usize) -> OpId {
        OpId::new(Timestamp::from_unix_millis(i64::try_from(millis).unwrap()))
    }

    #[test]
    fn only_the_newest_decisions_are_remembered() {
        let (mut pending, ids): (_, Vec<OpId>) = (Pending::default(), (0..MOST + 2).map(op_id).collect());
        for id in &ids {
            pending.add(*id, decision("a"));
        }
        let mut known = |id: &OpId| pending.rated(&Rating::new(*id, true)).is_some();
        assert!(!known(&ids[0]) && !known(&ids[1]) && known(&ids[2]) && known(&ids[MOST + 1]));
    }

    #[test]
    fn a_rating_is_of_the_answer_that_came_and_its_propensity_of_the_choice() {
        let (mut pending, id) = (Pending::default(), op_id(1));
        pending.add(id, decision("a"));
        let rated = |pending: &mut Pending, rating: Rating| {
            let record = pending.rated(&rating).unwrap().record;
            (record.model.to_string(), record.propensity)
        };
        assert_eq!(
            rated(&mut pending, Rating::new(id, true)),
            ("a".to_owned(), Some(0.9))
        );
        pending.answered(id, &"b".into());
        assert_eq!(rated(&mut pending, Rating::new(id, true)), ("b".to_owned(), None));
        let of_a = Rating::new(id, true).of_model("a");
        assert_eq!(rated(&mut pending, of_a), ("a".to_owned(), Some(0.9)));
    }
}
