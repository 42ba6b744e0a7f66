//! The router that decides by what was learned, once that is better.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;

use super::explain::judged;
use super::features::Subject;
use super::heads::Lesson;
use super::pending::Decision;
use super::policy::Policy;
use super::ratings::Ratings;
use super::{LearnError, Model, Promotion, TrainingLog, Word, choices, promotion, trainer};
use crate::model::ModelId;
use crate::router::tiers::Tiers;
use crate::router::{
    Cause, Labelled, NotLearned, Rating, Route, RouteError, RouteOutcome, RouteRequest, Router, Threshold,
    Why,
};

/// Chooses by what was learned from outcomes; until that is shown to be better, another router decides.
///
/// It asks the cheapest candidate over which no dearer one gains as much as the [`Threshold`] says: for two, the strong
/// model if its good answer is by so much more probable than the cheap one's. The rules of the routers with two tiers hold
/// for it, see the module [`router`](crate::router).
///
/// # From no labels to a router that decides
/// 1. [`untrained`](Self::untrained), with a [log](Self::with_log) and a little [exploration](Self::with_exploration): the
///    fallback router decides, and what is rated is kept.
/// 2. [`TrainingLog::train`], or [`Trainer::train`](super::Trainer::train) on labelled prompts; a threshold by
///    [`Threshold::pick`] on other rows; [`install`](Self::install). It judges each request *in shadow*: the reason says
///    what it would have thought, and the fallback router decides.
/// 3. [`promote`](Self::promote) on rows that neither the model nor the threshold has seen, or
///    [`promote_by_ratings`](Self::promote_by_ratings). It says why or why not.
/// 4. [`learn`](Self::learn) from what was rated since.
///
/// If the fallback router keeps [`AUTO`](crate::router::AUTO), the strong model is asked. Its [steps](crate::router::Step)
/// are for the answer of the model that it chose, and are dropped where another one is drawn by lot. Of a call with steps,
/// such as a [`CascadeRouter`](crate::router::CascadeRouter) plans, it is not known what the answer would have been worth:
/// it tells nothing of the fallback router and promotes nobody. Nor is its rating kept or learned from: the cheap model's
/// answers are rated only where the verifier accepted them, and look better than they are. To learn behind a cascade, train
/// on labelled prompts.
///
/// # Default
/// - no log: what is rated is not kept, and nothing is learned from it
/// - no exploration
/// - in shadow
///
/// # Examples
/// ```
/// use thrifty::router::{HeuristicRouter, Labelled, LearnedRouter, Threshold, Trainer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let row = |n: usize| {
///     let hard = n % 3 == 0;
///     let prompt = if hard { format!("Prove lemma {n}") } else { format!("Translate line {n}") };
///     Labelled::new(prompt).with_quality("gpt-4o-mini", !hard).with_quality("gpt-4o", true)
/// };
/// let (train, test): (Vec<_>, Vec<_>) = ((0..300).map(row).collect(), (300..600).map(row).collect());
///
/// let model = Trainer::new(["gpt-4o-mini", "gpt-4o"]).train(&train)?;
/// let line = Threshold::at(0.3).ok_or("not a number")?;
/// let router = LearnedRouter::new(model, line, HeuristicRouter::new("gpt-4o-mini", "gpt-4o"))?;
/// let verdict = router.promote(&test).await?;
/// assert!(verdict.is_promoted(), "{verdict}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LearnedRouter {
    candidates: Vec<ModelId>,
    tiers: Tiers,
    fallback: Arc<dyn Router>,
    state: RwLock<Arc<State>>,
    /// Held while a model is judged or taught, so that a verdict is about the model that is there.
    teaching: Mutex<()>,
    exploration: f32,
    random: Mutex<fastrand::Rng>,
    ratings: Option<Ratings>,
}

#[derive(Debug, Clone, Default)]
struct State {
    policy: Option<Policy>,
    promoted: bool,
}

/// What is known when a route is made.
struct Made {
    route: Route,
    why: Why,
    chosen: ModelId,
    fallback: Option<ModelId>,
}

impl LearnedRouter {
    /// Takes what was learned, where the line is drawn, and the router that decides until this one is promoted.
    ///
    /// # Errors
    /// Never, for a model that was trained or loaded.
    pub fn new(model: Model, threshold: Threshold, fallback: impl Router) -> Result<Self, LearnError> {
        let router = Self::untrained(model.candidates().iter().cloned(), fallback)?;
        router.install(model, threshold)?;
        Ok(router)
    }

    /// Begins with nothing learned: the fallback router decides. Candidates are named from the one that costs least to the
    /// one that costs most.
    ///
    /// # Errors
    /// If the candidates cannot be told apart.
    pub fn untrained<M: Into<ModelId>>(
        candidates: impl IntoIterator<Item = M>,
        fallback: impl Router,
    ) -> Result<Self, LearnError> {
        let candidates: Vec<ModelId> = candidates.into_iter().map(Into::into).collect();
        trainer::check(&candidates)?;
        let mut cheaper = candidates.clone();
        let strong = cheaper.pop().ok_or(LearnError::Candidates { count: 0 })?;
        Ok(Self {
            candidates,
            tiers: Tiers::of(cheaper, strong),
            fallback: Arc::new(fallback),
            state: RwLock::default(),
            teaching: Mutex::default(),
            exploration: 0.0,
            random: Mutex::new(fastrand::Rng::with_seed(0)),
            ratings: None,
        })
    }

    /// Keeps what is needed to learn from ratings: hashed words and numbers of up to 10,000 requests whose answer may be
    /// rated yet, in memory, and of those that are rated, in this log. Requests of no
    /// [operation](RouteRequest::op_id), and those whose route has [steps](crate::router::Step), are not kept.
    #[must_use]
    pub fn with_log(mut self, log: TrainingLog) -> Self {
        self.ratings = Some(Ratings::new(log));
        self
    }

    /// Draws this share of requests by lot, from 0 to 1, among the candidates that may be asked; the reason says so, and
    /// the log has how probable each choice was. The more is drawn, the sooner ratings tell something of what is seldom
    /// chosen, and the more calls go where nobody meant them to. Without a log nothing is drawn. What the fallback router
    /// plans for any model, its shadow and its models to ask after an error, stands.
    #[must_use]
    pub fn with_exploration(mut self, share: f32, seed: u64) -> Self {
        self.exploration = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        self.random = Mutex::new(fastrand::Rng::with_seed(seed));
        self
    }

    /// Decides at once, without a shadow: for what was promoted before, in a process that is gone.
    #[must_use]
    pub fn promoted_before(self) -> Self {
        self.change(|state| state.promoted = state.policy.is_some());
        self
    }

    /// Judges by another model from now on, in shadow until that is promoted.
    ///
    /// What was rated before is forgotten, for the model may have been trained on it: neither
    /// [`promote_by_ratings`](Self::promote_by_ratings) nor [`learn`](Self::learn) takes it again. It stays in the log.
    ///
    /// # Errors
    /// If the model has other candidates, or the same in another order.
    pub fn install(&self, model: Model, threshold: Threshold) -> Result<(), LearnError> {
        if model.candidates() != self.candidates {
            return Err(LearnError::OtherCandidates);
        }
        let model = Arc::new(model);
        let _teaching = self.teaching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ratings) = &self.ratings {
            ratings.forget();
        }
        self.change(|state| {
            *state = State {
                policy: Some(Policy { model, threshold }),
                promoted: false,
            };
        });
        Ok(())
    }

    /// Returns the model that judges, to save it or to look into it.
    pub fn model(&self) -> Option<Arc<Model>> {
        Some(Arc::clone(&self.state().policy.as_ref()?.model))
    }

    /// Whether what was learned decides.
    pub fn is_promoted(&self) -> bool {
        self.state().promoted
    }

    /// Names the words of a request that weighed most; see [`Model::explain`].
    pub fn explain(&self, request: &RouteRequest<'_>) -> Vec<Word> {
        self.model()
            .map(|model| model.explain(request))
            .unwrap_or_default()
    }

    /// Decides whether what was learned decides from now on, by held-out rows: prompts that neither the model nor the
    /// threshold has seen, with a label of each candidate. Rows that lack one are passed over, as are those for which the
    /// fallback router names none of the candidates, or plans steps. Each prompt is shown to it as a request for
    /// [`AUTO`](crate::router::AUTO).
    ///
    /// It is promoted if the lower bound, at 95 %, of its gain in quality over the fallback router is above 0, at the same
    /// share of calls for the dearer candidates. If it may be no better, it goes to, or back to, the shadow; rows that tell nothing
    /// change nothing. To try again and again
    /// until it succeeds by chance proves nothing: take new rows.
    ///
    /// # Errors
    /// If a label is of a model that is no candidate, or the fallback router fails.
    pub async fn promote(&self, rows: &[Labelled]) -> Result<Promotion, LearnError> {
        let lessons = trainer::lessons(&self.candidates, rows)?;
        let choices = choices::of(&*self.fallback, &self.tiers, rows).await?;
        let all = self.candidates.len();
        let rows = lessons.iter().zip(choices);
        let rows = rows.filter_map(|(lesson, fallback)| Some((lesson, fallback?)));
        let rows = rows.filter(|(lesson, _)| lesson.outcomes.len() == all);
        Ok(self.decide(rows, None))
    }

    /// Decides the same by what was rated since the model was [installed](Self::install), or last
    /// [learned](Self::learn). What is rated of an operation of which something was rated before that does not count: the
    /// model may know its prompt.
    ///
    /// Of an operation each candidate's answer has to be rated; or the call was open to exploration, so that any candidate
    /// could have been asked with a known probability. Without exploration nothing can be told of what was not chosen, and
    /// no row counts. It takes many more rows than [`promote`](Self::promote), the more, the less is explored.
    /// What was rated while it decided says nothing of the fallback router, and does not count.
    ///
    /// Whether an answer is rated must not depend on which model gave it, or the ratings are of other requests than the
    /// router gets. A [`ShadowRouter`](crate::router::ShadowRouter) whose shadow is the strong model has only requests judged
    /// that went to the cheap one; that is noticed by the fallback router's choices, and nothing is promoted.
    pub fn promote_by_ratings(&self) -> Promotion {
        let of = |ratings: &Ratings| {
            let share = ratings.fallback_share(&self.candidates);
            (ratings.held_out(&self.candidates), share)
        };
        let (rows, share) = self.ratings.as_ref().map(of).unwrap_or_default();
        let rows = rows.iter().map(|(lesson, fallback)| (lesson, *fallback));
        self.decide(rows, Some(share))
    }

    /// Judges by these rows; if they are a part of all requests, it has to be like the whole.
    fn decide<'a>(
        &self,
        rows: impl Iterator<Item = (&'a Lesson, usize)>,
        share_of_all: Option<f64>,
    ) -> Promotion {
        let _teaching = self.teaching.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(policy) = self.state().policy.clone() else {
            return Promotion::Untrained;
        };
        let rows: Vec<promotion::Row<'_>> = rows
            .map(|(lesson, fallback)| promotion::Row {
                lesson,
                learned: policy.wants(&policy.model.heads().judge_lesson(lesson)),
                fallback,
            })
            .collect();
        let mut verdict = promotion::compare(&rows, self.candidates.len());
        if let Some(all) = share_of_all {
            verdict = verdict.unless_skewed(all);
        }
        self.change(|state| match verdict {
            Promotion::Promoted(_) => state.promoted = true,
            Promotion::NotBetter(_) => state.promoted = false,
            // Rows that tell nothing change nothing.
            Promotion::TooFewRows { .. } | Promotion::Skewed { .. } | Promotion::Untrained => {}
        });
        verdict
    }

    /// Learns from what was rated since the last time or since the model was [installed](Self::install), each rating once,
    /// and returns how many ratings those were; of more than 20,000 it is the newest. Whether it decides stays as it is:
    /// [`promote`](Self::promote) says whether it still should.
    ///
    /// It copies the model first. Before anything was installed it does nothing; the log has it all.
    pub fn learn(&self) -> usize {
        let _teaching = self.teaching.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(model), Some(ratings)) = (self.model(), &self.ratings) else {
            return 0;
        };
        let (lessons, count) = ratings.take(&self.candidates);
        let mut learned = (*model).clone();
        learned.update_on(&lessons);
        let learned = Arc::new(learned);
        self.change(|state| {
            if let Some(policy) = &mut state.policy {
                policy.model = learned;
            }
        });
        count
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut state));
    }

    async fn make(
        &self,
        request: &RouteRequest<'_>,
        subject: Option<&Subject<'_>>,
    ) -> Result<Made, RouteError> {
        let state = self.state();
        let judgement = state.policy.as_ref().zip(subject);
        let judgement = judgement.map(|(policy, subject)| (policy, policy.model.judge(subject)));
        let mut why = Why {
            cause: Cause::Learned { line: 0.0 },
            judged: Vec::new(),
            excluded: Vec::new(),
            policy: state.policy.as_ref().map(|policy| policy.model.version()),
            baseline: Some(self.tiers.baseline(request).clone()),
        };
        if let Some((_, probabilities)) = &judgement {
            why.judged = judged(&self.candidates, probabilities);
        }
        if let Some((policy, probabilities)) = judgement.filter(|_| state.promoted) {
            let placed = self.tiers.place(request, policy.wants(&probabilities));
            why.cause = Cause::Learned {
                line: policy.threshold.line(),
            };
            why.excluded = placed.excluded;
            return Ok(Made {
                route: Route::to(placed.model.clone()),
                why,
                chosen: placed.model,
                fallback: None,
            });
        }
        let because = match (&state.policy, subject) {
            (None, _) => NotLearned::Untrained,
            (_, None) => NotLearned::NoText,
            _ => NotLearned::Shadow,
        };
        let route = choices::planned(&*self.fallback, &self.tiers, request).await?;
        let chosen = route.model().unwrap_or_else(|| request.requested_model()).clone();
        why.cause = Cause::Fallback {
            because,
            said: route.reason().cloned(),
        };
        Ok(Made {
            why,
            fallback: choices::answering(&route, request).cloned(),
            route,
            chosen,
        })
    }

    /// Draws another candidate now and then, and returns how probable the choice was; `None` if that cannot be told, or not
    /// each candidate could have been asked.
    fn explore(&self, request: &RouteRequest<'_>, made: &mut Made) -> Option<f32> {
        if self.exploration <= 0.0 || self.ratings.is_none() {
            return Some(1.0);
        }
        let open = self.tiers.open_to(request);
        if open.len() < 2 || !open.contains(&made.chosen) {
            return None;
        }
        let each = self.exploration / super::features::number(open.len());
        let propensity = |is_first: bool| {
            if is_first {
                1.0 - self.exploration + each
            } else {
                each
            }
        };
        let drawn = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (random.f32() < self.exploration).then(|| random.usize(..open.len()))
        };
        let all = open.len() == self.candidates.len();
        let mut propensity_of_choice = propensity(true);
        if let Some(drawn) = drawn
            .and_then(|drawn| open.get(drawn))
            .filter(|drawn| **drawn != made.chosen)
        {
            propensity_of_choice = propensity(false);
            made.why.cause = Cause::Explored {
                propensity: propensity_of_choice,
            };
            made.chosen = drawn.clone();
            made.route = std::mem::replace(&mut made.route, Route::keep()).moved_to(drawn.clone());
        }
        all.then_some(propensity_of_choice)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for LearnedRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        if !self.tiers.apply_to(request) {
            return Ok(Route::keep());
        }
        let subject = Subject::of_request(request);
        let mut made = self.make(request, subject.as_ref()).await?;
        let propensity = self.explore(request, &mut made);
        // Which answer of several steps is handed out hangs on how good they are: labels of it are selected.
        let ratings = self.ratings.as_ref().filter(|_| made.route.steps().is_empty());
        if let (Some(ratings), Some(op_id), Some(subject)) = (ratings, request.op_id(), &subject) {
            let (buckets, shape) = subject.parts();
            ratings.expect(
                op_id,
                Decision {
                    buckets,
                    shape,
                    chosen: made.chosen,
                    propensity,
                    fallback: made.fallback,
                    answered: None,
                    rated_in: None,
                },
            );
        }
        Ok(made.route.caused_by(made.why))
    }

    fn observe(&self, outcome: &RouteOutcome<'_>) {
        self.fallback.observe(outcome);
        if let (Some(ratings), Some(model), true) = (&self.ratings, outcome.sent_model, outcome.succeeded) {
            ratings.answered(outcome.op_id, model);
        }
    }

    fn rate(&self, rating: &Rating) {
        self.fallback.rate(rating);
        if let Some(ratings) = &self.ratings {
            ratings.rate(rating);
        }
    }

    fn reference_model(&self) -> Option<&ModelId> {
        Some(self.tiers.strong())
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.candidates.clone()
    }
}
