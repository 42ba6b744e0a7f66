//! Which model is asked next, by how the last one answered.

use std::vec;

use async_openai::error::OpenAIError;
use http::StatusCode;
use tokio::time::Instant;

use super::plan::Plan;
use crate::ledger::Degradation;
use crate::model::ModelId;
use crate::openai::{Reply, is_transient};

/// What to do with how a model answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The answer, or the failure, is the caller's.
    HandOn,
    /// Nothing was billed: ask again without the flex lane (`LaneChanged`), which the caller did not ask for and which is
    /// busy or closed to the request, or the model that savings are counted against (`RouteRefused`).
    AskOtherwise(Degradation),
    /// The server was busy or out of reach, or refused a fallback: ask the next one.
    FallBack,
    /// The last fallback was refused, as the request would not have been: the failure before it is the caller's.
    HandOnFailure,
}

/// The way of one call through the models of its plan.
pub(super) struct Course {
    model: Option<ModelId>,
    baseline: Option<ModelId>,
    baseline_was_asked: bool,
    fallbacks: vec::IntoIter<ModelId>,
    failure: Option<Result<Reply, OpenAIError>>,
    /// Whether it goes by the flex lane without being asked to.
    by_flex: bool,
    /// When all attempts together must have ended.
    end: Instant,
}

impl Course {
    pub(super) fn of(plan: &Plan, end: Instant) -> Self {
        Self {
            model: plan.model.clone(),
            baseline: plan.baseline.clone(),
            baseline_was_asked: plan
                .returns_to()
                .is_none_or(|model| plan.model.as_ref() == Some(model)),
            fallbacks: plan.fallbacks_and_steps().into_iter(),
            failure: None,
            by_flex: plan.chose_flex(),
            end,
        }
    }

    /// The way of a later step, through the models of those after it. Whatever refuses it, there is an answer already.
    pub(super) fn of_step(plan: &Plan, end: Instant) -> Self {
        Self {
            baseline: None,
            baseline_was_asked: true,
            fallbacks: plan.steps.answering().cloned().collect::<Vec<_>>().into_iter(),
            ..Self::of(plan, end)
        }
    }

    /// The way of a question to one model.
    pub(super) fn to(model: ModelId, end: Instant) -> Self {
        Self {
            model: Some(model),
            baseline: None,
            baseline_was_asked: true,
            fallbacks: Vec::new().into_iter(),
            failure: None,
            by_flex: false,
            end,
        }
    }

    /// The model to ask.
    pub(super) const fn model(&self) -> Option<&ModelId> {
        self.model.as_ref()
    }

    /// When its answer must be there.
    pub(super) const fn end(&self) -> Instant {
        self.end
    }

    /// Decides what comes after an answer, and turns to the model that is then asked.
    pub(super) fn after(&mut self, result: &Result<Reply, OpenAIError>) -> Next {
        if self.by_flex && is_closed(result) && Instant::now() < self.end {
            self.by_flex = false;
            return Next::AskOtherwise(Degradation::LaneChanged);
        }
        let is_refused = self.model != self.baseline && is_refusal(result);
        let in_time = Instant::now() < self.end;
        if is_refused && in_time && !self.baseline_was_asked && self.baseline.is_some() {
            self.turn_to(self.baseline.clone());
            return Next::AskOtherwise(Degradation::RouteRefused);
        }
        if !is_refused && !may_pass(result) {
            return Next::HandOn;
        }
        if in_time && let Some(model) = self.fallbacks.next() {
            self.turn_to(Some(model));
            return Next::FallBack;
        }
        if is_refused && self.failure.is_some() {
            Next::HandOnFailure
        } else {
            Next::HandOn
        }
    }

    fn turn_to(&mut self, model: Option<ModelId>) {
        self.baseline_was_asked |= model == self.baseline;
        self.model = model;
    }

    /// Keeps a failure that is followed by a fallback; the first one stays.
    pub(super) fn keep(&mut self, failure: Result<Reply, OpenAIError>) {
        self.failure.get_or_insert(failure);
    }

    /// Returns the first failure that was kept, or else this one.
    pub(super) fn failure(self, last: Result<Reply, OpenAIError>) -> Result<Reply, OpenAIError> {
        self.failure.unwrap_or(last)
    }
}

/// Whether a request was refused that another model might take: nothing was billed, and to ask once more costs nothing.
pub(super) const fn refuses(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// Whether a lane has no room, or does not take the request. Neither is billed.
fn is_closed(result: &Result<Reply, OpenAIError>) -> bool {
    let is_busy = |reply: &Reply| reply.status() == StatusCode::TOO_MANY_REQUESTS;
    is_refusal(result) || result.as_ref().is_ok_and(is_busy)
}

fn is_refusal(result: &Result<Reply, OpenAIError>) -> bool {
    result.as_ref().is_ok_and(|reply| refuses(reply.status()))
}

/// Whether the server was busy or out of reach: another model may answer.
fn may_pass(result: &Result<Reply, OpenAIError>) -> bool {
    match result {
        Ok(reply) => matches!(reply.status().as_u16(), 408 | 409 | 429 | 500..),
        Err(error) => is_transient(error),
    }
}
