//! What a plan does after an answer that does not do.

use std::sync::Arc;
use std::time::Duration;

use super::Quality;
use super::verify::Verifier;
use crate::model::ModelId;

/// A step of a plan: a verifier for the answer before it, and the model to ask if that answer does not do.
///
/// # Default
/// - an answer of which its verifier is [unsure](super::verify::Verdict::Unsure) will do from 0.5 on
/// - 1 s for the verifier
///
/// # Examples
/// ```
/// use thrifty::router::{Route, Step};
/// use thrifty::router::verify::Finished;
///
/// let route = Route::to("gpt-4o-mini")
///     .with_step(Step::new(Finished::new(), "gpt-4o"))
///     .because("the strong model is asked only if need be");
/// assert_eq!(route.steps().len(), 1);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Step {
    verifier: Arc<dyn Verifier>,
    model: ModelId,
    accepts_from: Quality,
    time: Duration,
}

impl Step {
    /// Takes who judges the answer so far, and the model to ask if it does not do.
    pub fn new(verifier: impl Verifier, model: impl Into<ModelId>) -> Self {
        Self {
            verifier: Arc::new(verifier),
            model: model.into(),
            accepts_from: Quality::HALF,
            time: Duration::from_secs(1),
        }
    }

    /// Sets from which quality on an answer will do, of which the verifier is unsure.
    pub const fn accepting_from(mut self, quality: Quality) -> Self {
        self.accepts_from = quality;
        self
    }

    /// Sets how long the verifier may take. A second opinion has its own time, as calls have.
    pub const fn judged_within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Returns who judges the answer so far.
    pub fn verifier(&self) -> &dyn Verifier {
        &*self.verifier
    }

    /// Returns the model to ask if it does not do.
    pub const fn model(&self) -> &ModelId {
        &self.model
    }

    /// Returns from which quality on an answer will do.
    pub const fn accepts_from(&self) -> Quality {
        self.accepts_from
    }

    /// Returns how long the verifier may take.
    pub const fn time(&self) -> Duration {
        self.time
    }
}

/// Steps are alike if they ask the same verifier, not one that looks like it.
impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.verifier, &other.verifier)
            && self.model == other.model
            && self.accepts_from == other.accepts_from
            && self.time == other.time
    }
}
