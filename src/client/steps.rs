//! The steps of a plan: what comes after an answer that does not do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::model::ModelId;
use crate::money::Usd;
use crate::router::{Route, Step};

/// The steps of a plan that are still to come.
#[derive(Debug, Default)]
pub(super) struct Steps {
    to_come: VecDeque<PlannedStep>,
    /// Until when after the call one may begin.
    pub(super) within: Option<Duration>,
    /// What the call may cost in all for one to begin.
    pub(super) at_most: Option<Usd>,
}

/// A step that is to come.
#[derive(Debug, Clone)]
pub(super) struct PlannedStep {
    pub(super) step: Step,
    /// The model that its verifier may want to hear, until that was asked.
    pub(super) opinion: Option<ModelId>,
}

impl Steps {
    pub(super) fn of(route: &Route) -> Self {
        let planned = route.steps().iter().map(|step| {
            // A verifier that cannot even say this much gets no second opinion, and so accepts nothing for it.
            let opinion = catch_unwind(AssertUnwindSafe(|| step.verifier().second_opinion().cloned()));
            PlannedStep {
                step: step.clone(),
                opinion: opinion.unwrap_or_default(),
            }
        });
        Self {
            to_come: planned.collect(),
            within: route.steps_within(),
            at_most: route.steps_for_at_most(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.to_come.is_empty()
    }

    /// Returns the next one.
    pub(super) fn next(&self) -> Option<&PlannedStep> {
        self.to_come.front()
    }

    /// Leaves out the second opinion of the next one, which is asked now.
    pub(super) fn take_opinion(&mut self) {
        if let Some(next) = self.to_come.front_mut() {
            next.opinion = None;
        }
    }

    /// Returns the models that may answer.
    pub(super) fn answering(&self) -> impl Iterator<Item = &ModelId> {
        self.to_come.iter().map(|planned| planned.step.model())
    }

    /// Returns all models that may be asked, second opinions included, in order.
    pub(super) fn models(&self) -> impl Iterator<Item = &ModelId> {
        self.to_come
            .iter()
            .flat_map(|planned| planned.opinion.iter().chain([planned.step.model()]))
    }

    /// Leaves out models that are not to be asked.
    pub(super) fn retain(&mut self, mut may_ask: impl FnMut(&ModelId) -> bool) {
        self.to_come.retain_mut(|planned| {
            planned.opinion.take_if(|model| !may_ask(model));
            may_ask(planned.step.model())
        });
    }

    /// Leaves out the first one and its verifier: its model is asked first.
    pub(super) fn leave_out_first(&mut self) -> Option<ModelId> {
        self.to_come
            .pop_front()
            .map(|planned| planned.step.model().clone())
    }

    /// Leaves out all, and returns the model of the last one.
    pub(super) fn leave_out_all(&mut self) -> Option<ModelId> {
        let last = self.to_come.pop_back()?;
        self.to_come.clear();
        Some(last.step.model().clone())
    }

    /// Leaves out those up to the one of a model; `false` if there is none.
    pub(super) fn advance_to(&mut self, model: &ModelId) -> bool {
        let Some(at) = self.answering().position(|answering| answering == model) else {
            return false;
        };
        self.to_come.drain(..=at);
        true
    }
}
