//! What a router answers, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use crate::attribution::Attribution;
use crate::endpoint::Endpoint;
use crate::id::OpId;
use crate::model::ModelId;
use crate::pricing::Cost;
use crate::usage::Usage;

/// A plan for a request: the model to ask, others to ask if it fails, and why.
///
/// # Examples
/// ```
/// use thrifty::router::Route;
///
/// let route = Route::to("gpt-4o-mini").with_fallback("gpt-4.1-mini").because("a short question");
/// assert_eq!(route.model().map(|model| model.as_str()), Some("gpt-4o-mini"));
/// assert_eq!(Route::keep().model(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Route {
    model: Option<ModelId>,
    fallbacks: Vec<ModelId>,
    reason: Option<Arc<str>>,
}

impl Route {
    /// Asks this model.
    pub fn to(model: impl Into<ModelId>) -> Self {
        Self {
            model: Some(model.into()),
            fallbacks: Vec::new(),
            reason: None,
        }
    }

    /// Asks the model that was requested.
    pub const fn keep() -> Self {
        Self {
            model: None,
            fallbacks: Vec::new(),
            reason: None,
        }
    }

    /// Says why, for a person to read. It is stored with the ledger entry: put no prompt text into it.
    pub fn because(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a model to ask if the ones before could not be reached or were busy, before any byte was handed on.
    ///
    /// A call that rides a batch has no fallbacks.
    pub fn with_fallback(mut self, model: impl Into<ModelId>) -> Self {
        self.fallbacks.push(model.into());
        self
    }

    /// Returns the model to ask; `None` for the one that was requested.
    pub const fn model(&self) -> Option<&ModelId> {
        self.model.as_ref()
    }

    /// Returns the models to ask after a failure, in order.
    pub fn fallbacks(&self) -> &[ModelId] {
        &self.fallbacks
    }

    /// Returns why.
    pub const fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
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
