//! The cheap model first, and a stronger one if its answer does not do.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::verify::Verifier;
use super::{
    CascadeLines, Course, Quality, Rating, Route, RouteError, RouteOutcome, RouteRequest, Router, Score, Step,
};
use crate::model::ModelId;
use crate::money::Usd;

/// Asks a cheap model first, has a [`Verifier`] judge its answer, and asks the next one only if that will not do.
///
/// It touches only chat and responses requests that name one of its models exactly, or [`AUTO`](super::AUTO). It begins
/// with the first and ends with the model that was asked for, the last one for `auto`; a request for the first keeps it.
/// No step goes to a model that is known to be dearer than the one asked for; a second opinion is of the model that its
/// verifier names. Of a request that needs two models both are billed: the
/// operation has an entry for each, under one id, and its savings are net of all.
///
/// A stream cannot be judged before it is handed out: it goes straight to the model that the cascade would end with. So
/// do answers that are made in the background, and batched ones with a [`key`](crate::LlmClient::key). Of a call that rides a
/// batch each step rides another one, or goes at once if there is no time for that; a second opinion is asked at once.
///
/// The entry of an answer that was not accepted is written when the call is decided. If the process is killed before, the
/// ledger lacks that entry and its cost, and the bill has it: of calls that ride batches that is true for as long as the
/// next step's batch takes.
///
/// # Default
/// - an answer of which the verifier is unsure will do from 0.5 on
/// - 1 s for the verifier; if it panics or takes longer, the answer will not do
/// - no step begins later than 60 s after the call, or than its [`within`](crate::LlmClient::within)
/// - no limit on what the steps can cost, but for budgets
/// - every request is tried with the first model
///
/// # Examples
/// ```
/// use thrifty::router::CascadeRouter;
/// use thrifty::router::verify::{Agreement, Finished, ValidToolCalls, VerifierExt};
///
/// let checked = Finished::new().and(ValidToolCalls::new());
/// let router = CascadeRouter::new("gpt-4.1-nano", checked.and(Agreement::on_number("gpt-4o-mini")), "gpt-4.1-mini")
///     .then(Finished::new(), "gpt-4.1")
///     .with_max_spend("0.05".parse()?);
/// # let _ = router;
/// # Ok::<(), thrifty::ParseUsdError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CascadeRouter {
    first: ModelId,
    steps: Vec<(Arc<dyn Verifier>, ModelId)>,
    accepts_from: Quality,
    verifier_time: Duration,
    time: Duration,
    max_spend: Option<Usd>,
    prompts: Option<Prompts>,
}

/// What a prompt alone decides.
#[derive(Debug, Clone)]
struct Prompts {
    score: Arc<dyn Score>,
    lines: CascadeLines,
}

impl CascadeRouter {
    /// Takes the cheap model, who judges its answer, and the model to ask if that does not do.
    pub fn new(cheap: impl Into<ModelId>, verifier: impl Verifier, strong: impl Into<ModelId>) -> Self {
        Self {
            first: cheap.into(),
            steps: vec![(Arc::new(verifier), strong.into())],
            accepts_from: Quality::HALF,
            verifier_time: Duration::from_secs(1),
            time: Duration::from_secs(60),
            max_spend: None,
            prompts: None,
        }
    }

    /// Adds who judges the answer of the last model so far, and the model to ask if that does not do.
    #[must_use]
    pub fn then(mut self, verifier: impl Verifier, model: impl Into<ModelId>) -> Self {
        self.steps.push((Arc::new(verifier), model.into()));
        self
    }

    /// Sets from which quality on an answer will do, of which a verifier is unsure.
    #[must_use]
    pub const fn accepting_from(mut self, quality: Quality) -> Self {
        self.accepts_from = quality;
        self
    }

    /// Sets how long each verifier may take.
    #[must_use]
    pub const fn with_verifier_timeout(mut self, time: Duration) -> Self {
        self.verifier_time = time;
        self
    }

    /// Sets until when after the call a step may begin; a longer [`within`](crate::LlmClient::within) stands instead.
    #[must_use]
    pub const fn with_max_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Sets what a call may cost in all, as far as steps are to blame: none begins that could let it cost more.
    #[must_use]
    pub const fn with_max_spend(mut self, amount: Usd) -> Self {
        self.max_spend = Some(amount);
        self
    }

    /// Lets a score of the prompt spare what it can: below one line the cheap answer is taken unverified, above the other
    /// the cheap model is not tried. What lies between, or has no score, is verified.
    ///
    /// Draw the [lines](CascadeLines) by held-out rows. What that is worth was measured with
    /// [`Agreement`](super::verify::Agreement#what-it-is-worth); what it is worth for you, the evaluator tells
    /// ([`Evaluation::with_cascade`](super::Evaluation::with_cascade)).
    ///
    /// # Examples
    /// ```
    /// use thrifty::router::{CascadeLines, CascadeRouter, RouteRequest, Score};
    /// use thrifty::router::verify::Finished;
    ///
    /// #[derive(Debug)]
    /// struct Length;
    ///
    /// impl Score for Length {
    ///     fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
    ///         Some(request.latest_user_text()?.len() as f32)
    ///     }
    /// }
    ///
    /// let lines = CascadeLines::at(20.0, 2_000.0).ok_or("they overlap")?;
    /// let router = CascadeRouter::new("gpt-4o-mini", Finished::new(), "gpt-4o").with_prompt_score(Length, lines);
    /// # let _ = router;
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn with_prompt_score(mut self, score: impl Score, lines: CascadeLines) -> Self {
        self.prompts = Some(Prompts {
            score: Arc::new(score),
            lines,
        });
        self
    }

    fn models(&self) -> impl Iterator<Item = &ModelId> {
        std::iter::once(&self.first).chain(self.steps.iter().map(|(_, model)| model))
    }

    fn last(&self) -> &ModelId {
        self.steps.last().map_or(&self.first, |(_, model)| model)
    }

    /// Returns the model that a request ends with; `None` if it is not this router's.
    fn end_of<'a>(&'a self, request: &'a RouteRequest<'_>) -> Option<&'a ModelId> {
        if !request.endpoint().is_chat() {
            None
        } else if request.is_auto() {
            Some(self.last())
        } else {
            self.models().find(|model| *model == request.requested_model())
        }
    }

    /// Returns what is done with a request by its prompt alone; `None` if the cheap answer is to be verified.
    fn by_prompt(&self, request: &RouteRequest<'_>) -> Option<Course> {
        let prompts = self.prompts.as_ref()?;
        prompts.lines.course(prompts.score.score(request)?)
    }

    /// Routes a request that ends with a model, by way of those before it that can serve it and are not dearer.
    fn cascade(&self, request: &RouteRequest<'_>, end: &ModelId) -> Route {
        let may_ask = |model: &ModelId| {
            let is_dearer = request.compare_prices(model, end) == Some(Ordering::Greater);
            request.fits(model).is_ok() && !is_dearer
        };
        let by_prompt = self.by_prompt(request);
        if by_prompt == Some(Course::Straight) {
            return Route::to(end).because(format!("the prompt needs {end}"));
        }
        let before = |model: &&ModelId| *model != end;
        let first = std::iter::once(&self.first)
            .take_while(before)
            .find(|first| may_ask(first));
        let middle = self.steps.iter().take_while(|(_, model)| model != end);
        let mut route: Option<Route> = first.map(Route::to);
        if self.first != *end {
            for (verifier, model) in middle.filter(|(_, model)| may_ask(model)) {
                route = Some(match route {
                    None => Route::to(model),
                    Some(route) if by_prompt == Some(Course::Accepted) => route,
                    Some(route) => route.with_step(self.step(verifier, model)),
                });
            }
        }
        let Some(route) = route else {
            return Route::to(end).because(format!("no cheaper model than {end} can serve it"));
        };
        if by_prompt == Some(Course::Accepted) {
            return route.because(format!("the prompt does not need {end}"));
        }
        let Some((verifier, _)) = self.steps.iter().find(|(_, model)| model == end) else {
            return route;
        };
        let mut route = route
            .with_step(self.step(verifier, end))
            .with_steps_within(self.time)
            .because(format!("cheap first, {end} if need be"));
        if let Some(amount) = self.max_spend {
            route = route.with_steps_for_at_most(amount);
        }
        route
    }

    fn step(&self, verifier: &Arc<dyn Verifier>, model: &ModelId) -> Step {
        Step::new(Arc::clone(verifier), model.clone())
            .accepting_from(self.accepts_from)
            .judged_within(self.verifier_time)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for CascadeRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(match self.end_of(request) {
            Some(end) if *end == self.first && !request.is_auto() => Route::keep(),
            Some(end) => self.cascade(request, end),
            None => Route::keep(),
        })
    }

    fn observe(&self, _: &RouteOutcome<'_>) {}

    fn rate(&self, _: &Rating) {}

    fn reference_model(&self) -> Option<&ModelId> {
        Some(self.last())
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.models().cloned().collect()
    }
}
