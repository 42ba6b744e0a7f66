//! What a router answers, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Shadow, Step, Why};
use crate::attribution::Attribution;
use crate::endpoint::Endpoint;
use crate::id::OpId;
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::Cost;
use crate::usage::Usage;

/// A plan for a request: the model to ask, others to ask if it fails, [steps](Step) after an answer that does not do,
/// and why.
///
/// Steps are for whole answers to chat and responses requests. A request whose answer is streamed, is made in the background
/// or has a [`key`](crate::LlmClient::key) goes straight to the model of the last step; the ledger entry's reason says so. Of
/// a call that rides a batch, each step rides another one while there is time.
///
/// # Examples
/// ```
/// use thrifty::router::Route;
///
/// let route = Route::to("gpt-4o-mini").with_fallback("gpt-4.1-mini").because("a short question");
/// assert_eq!(route.model().map(|model| model.as_str()), Some("gpt-4o-mini"));
/// assert_eq!(Route::keep().model(), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Route {
    model: Option<ModelId>,
    fallbacks: Vec<ModelId>,
    steps: Vec<Step>,
    steps_within: Option<Duration>,
    steps_for_at_most: Option<Usd>,
    shadow: Option<Shadow>,
    reason: Option<Arc<str>>,
    why: Option<Arc<Why>>,
}

impl Route {
    /// Asks this model.
    pub fn to(model: impl Into<ModelId>) -> Self {
        Self {
            model: Some(model.into()),
            ..Self::keep()
        }
    }

    /// Asks the model that was requested.
    pub const fn keep() -> Self {
        Self {
            model: None,
            fallbacks: Vec::new(),
            steps: Vec::new(),
            steps_within: None,
            steps_for_at_most: None,
            shadow: None,
            reason: None,
            why: None,
        }
    }

    /// Says why, for a person to read. It is stored with the ledger entry: put no prompt text into it.
    pub fn because(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says why, in full. What it prints is the [reason](Self::because).
    pub fn caused_by(mut self, why: Why) -> Self {
        self.reason = Some(why.to_string().into());
        self.why = Some(Arc::new(why));
        self
    }

    /// Adds a model to ask if the ones before could not be reached or were busy, before any byte was handed on.
    ///
    /// A call that rides a batch has no fallbacks.
    pub fn with_fallback(mut self, model: impl Into<ModelId>) -> Self {
        self.fallbacks.push(model.into());
        self
    }

    /// Adds a step, after those before: its verifier judges the answer so far, and its model is asked if that will not do.
    ///
    /// A later step's model is asked also if the models before it could not be reached or were busy. If it fails itself,
    /// or a budget has no room for it, the answer so far is handed out, and its ledger entry has
    /// [`NotEscalated`](crate::ledger::Degradation::NotEscalated).
    pub fn with_step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Begins no step later than this after the call was made, or than its [`within`](crate::LlmClient::within) if that is
    /// longer; the answer so far is then handed out.
    pub const fn with_steps_within(mut self, time: Duration) -> Self {
        self.steps_within = Some(time);
        self
    }

    /// Begins no step that could let the call cost more than this in all; the answer so far is then handed out. A
    /// model of which it is not known what it can cost is then not asked.
    pub const fn with_steps_for_at_most(mut self, amount: Usd) -> Self {
        self.steps_for_at_most = Some(amount);
        self
    }

    /// Asks another model the same, beside the answer, to learn from.
    pub fn with_shadow(mut self, shadow: Shadow) -> Self {
        self.shadow = Some(shadow);
        self
    }

    /// Asks this model instead of the one that the plan was made with. What is asked beside it or after an error stays;
    /// the steps do not, for they judge the other model's answer.
    pub(super) fn moved_to(mut self, model: ModelId) -> Self {
        self.fallbacks.retain(|fallback| *fallback != model);
        Self {
            model: Some(model),
            steps: Vec::new(),
            steps_within: None,
            steps_for_at_most: None,
            ..self
        }
    }

    /// Returns the model to ask; `None` for the one that was requested.
    pub const fn model(&self) -> Option<&ModelId> {
        self.model.as_ref()
    }

    /// Returns the models to ask after a failure, in order.
    pub fn fallbacks(&self) -> &[ModelId] {
        &self.fallbacks
    }

    /// Returns the steps after an answer that will not do, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns until when after the call a step may begin.
    pub const fn steps_within(&self) -> Option<Duration> {
        self.steps_within
    }

    /// Returns what the call may cost in all for a step to begin.
    pub const fn steps_for_at_most(&self) -> Option<Usd> {
        self.steps_for_at_most
    }

    /// Returns what is asked beside the answer.
    pub const fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }

    /// Returns why.
    pub const fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }

    /// Returns why in full, of a router that says so.
    pub fn why(&self) -> Option<&Why> {
        self.why.as_deref()
    }
}

/// What became of one call that was made for a route.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RouteOutcome<'a> {
    /// The operation that the call belongs to.
    pub op_id: OpId,
    /// The part of the API.
    pub endpoint: &'a Endpoint,
    /// Whom the call was for.
    pub attribution: &'a Attribution,
    /// The model that was named by the caller.
    pub requested_model: Option<&'a ModelId>,
    /// The model that was asked.
    pub sent_model: Option<&'a ModelId>,
    /// Whether an answer came.
    pub succeeded: bool,
    /// The token counts, if known.
    pub usage: Option<&'a Usage>,
    /// What it cost.
    pub cost: &'a Cost,
    /// How long it took, if it ended.
    pub latency: Option<Duration>,
}

impl<'a> RouteOutcome<'a> {
    /// Makes an outcome of which only these parts are known.
    pub const fn new(
        op_id: OpId,
        endpoint: &'a Endpoint,
        attribution: &'a Attribution,
        cost: &'a Cost,
    ) -> Self {
        Self {
            op_id,
            endpoint,
            attribution,
            requested_model: None,
            sent_model: None,
            succeeded: false,
            usage: None,
            cost,
            latency: None,
        }
    }
}
