//! Another model asked beside the answer, to learn from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::verify::Verifier;
use super::{Rating, Route, RouteError, RouteOutcome, RouteRequest, Router};
use crate::model::ModelId;

/// What a plan asks beside the answer: another model, and who judges both answers.
///
/// # Default
/// - nobody judges: what the model takes and costs is in the ledger, and nothing is rated
/// - 30 s for who judges
#[derive(Debug, Clone)]
#[must_use]
pub struct Shadow {
    model: ModelId,
    judge: Option<Arc<dyn Verifier>>,
    time: Duration,
}

impl Shadow {
    /// Asks this model too.
    pub fn of(model: impl Into<ModelId>) -> Self {
        Self {
            model: model.into(),
            judge: None,
            time: Duration::from_secs(30),
        }
    }

    /// Has both answers judged, each with the other one as its second; the router is told of both by
    /// [`rate`](Router::rate). An [`Agreement`](super::verify::Agreement) says the same of both, so that nothing is learned by
    /// it of which is better.
    pub fn judged_by(mut self, judge: impl Verifier) -> Self {
        self.judge = Some(Arc::new(judge));
        self
    }

    /// Sets how long the judge may take for each of the two.
    pub const fn judged_within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Returns the model.
    pub const fn model(&self) -> &ModelId {
        &self.model
    }

    /// Returns who judges.
    pub fn judge(&self) -> Option<&dyn Verifier> {
        self.judge.as_deref()
    }

    /// Returns how long the judge may take.
    pub const fn time(&self) -> Duration {
        self.time
    }
}

/// Shadows are alike if they have the same judge, not one that looks like it.
impl PartialEq for Shadow {
    fn eq(&self, other: &Self) -> bool {
        let same_judge = match (&self.judge, &other.judge) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_judge && self.model == other.model && self.time == other.time
    }
}

/// Asks another model the same as some requests, beside their answer, behind any router.
///
/// The shadow is asked when the answer is there, in a task of its own: it never delays the answer, and never fails it. It
/// is an entry of the same operation, with the role [`Shadow`](crate::ledger::Role::Shadow), and no part of its receipt.
/// With a [judge](Self::judged_by) the router behind is told of both answers ([`Router::rate`], with the model), and so
/// gets pairs to learn from without asking each model everything.
///
/// Only chat and responses requests have shadows, of which the answer is neither streamed, nor made in the background, nor
/// comes by a batch. How many
/// run at once, and what they may cost, is the client's to say:
/// [`with_max_shadows`](crate::LlmClientBuilder::with_max_shadows) and
/// [`with_shadow_budget`](crate::LlmClientBuilder::with_shadow_budget). What has no room is not asked.
///
/// # Examples
/// ```
/// use thrifty::router::verify::{Verdict, verifier_fn};
/// use thrifty::router::{HeuristicRouter, LearnedRouter, ShadowRouter};
///
/// let has_a_source = verifier_fn(|exchange| match exchange.answer() {
///     Some(answer) if answer.text().contains("https://") => Verdict::Accept,
///     _ => Verdict::Reject("it names no source"),
/// });
/// let usual = HeuristicRouter::new("gpt-4o-mini", "gpt-4o");
/// let learned = LearnedRouter::untrained(["gpt-4o-mini", "gpt-4o"], usual)?;
/// let router = ShadowRouter::new("gpt-4o", 0.05)
///     .judged_by(has_a_source)
///     .behind(learned);
/// # let _ = router;
/// # Ok::<(), thrifty::router::LearnError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ShadowRouter {
    shadow: Shadow,
    rate: f32,
    first: Option<Arc<dyn Router>>,
}

impl ShadowRouter {
    /// Takes the model to ask beside, and for what part of the requests: from 0 for none to 1 for all.
    pub fn new(model: impl Into<ModelId>, rate: f32) -> Self {
        Self {
            shadow: Shadow::of(model),
            rate,
            first: None,
        }
    }

    /// Has both answers judged. See [`Shadow::judged_by`].
    #[must_use]
    pub fn judged_by(mut self, judge: impl Verifier) -> Self {
        self.shadow = self.shadow.judged_by(judge);
        self
    }

    /// Lets this router choose the model that answers. Without one it is the model that was asked for.
    #[must_use]
    pub fn behind(mut self, router: impl Router) -> Self {
        self.first = Some(Arc::new(router));
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for ShadowRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        let route = self.first.route(request).await?;
        Ok(if request.endpoint().is_chat() && fastrand::f32() < self.rate {
            route.with_shadow(self.shadow.clone())
        } else {
            route
        })
    }

    fn observe(&self, outcome: &RouteOutcome<'_>) {
        self.first.observe(outcome);
    }

    fn rate(&self, rating: &Rating) {
        self.first.rate(rating);
    }

    fn reference_model(&self) -> Option<&ModelId> {
        self.first.reference_model()
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.first.candidates()
    }
}
