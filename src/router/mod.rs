//! Routers choose the model for a request. They read it, answer with a [`Route`], and send nothing.
//!
//! | router | asks the cheaper model when |
//! |---|---|
//! | [`FixedRouter`] | always, whatever model was named |
//! | [`TokenCountRouter`] | the request is short |
//! | [`HeuristicRouter`] | your rules say so, else when the latest user message looks plain |
//! | [`ScoreRouter`] | a score of yours is below a line |
//! | [`LearnedRouter`] | no dearer model's answer is so much more probably good, by what it learned of your traffic |
//! | [`CascadeRouter`] | always at first; the strong one, if a [verifier](verify) does not accept the answer |
//! | [`router_fn`] | your closure says so |
//!
//! [`FallbackRouter`] names models to ask after an error, behind any of them. [`ShadowRouter`] asks another model beside
//! the answer, to learn from, behind any of them too.
//!
//! [`LearnedRouter`] begins with another router, in whose place it decides only once it was shown to be better. What it
//! learns from are [`Labelled`] prompts and what [`rate`](Router::rate) is told; what it keeps of your traffic are hashes
//! and numbers, on request, in a [`TrainingLog`]. Its reasons, and those of [`ScoreRouter`], are a typed [`Why`].
//!
//! The built-in routers with two tiers touch only chat and responses requests that name one of their two models
//! exactly (a snapshot such as `gpt-4o-2024-08-06` is a pin) or [`AUTO`]. They never pick a model dearer than the one
//! asked for, unless that was [`AUTO`]. So does [`LearnedRouter`], with as many tiers as it has candidates. Embeddings are
//! never routed by them: vectors of two models do not compare.
//!
//! # What a router is worth
//! On labelled prompts, by `cargo bench --bench router`. APGR is how much of the gap between the cheap and the strong
//! model's quality is recovered, averaged over all shares of strong calls (see [`Curve`]): a coin has 0.5. Of the learned
//! score it is the mean over test rows of fixed splits, and the standard deviation of single splits; of the others it is
//! of all rows, with a 95 % interval.
//!
//! | | Mixtral 8x7B, GPT-4: MMLU | the same: GSM8K | Gemini 1.5 Flash, Pro: MMLU-Pro |
//! |---|---|---|---|
//! | learned from few labels | 0.651 ± 0.012 of 1,531 | 0.632 ± 0.025 of 650 | |
//! | learned from four fifths | 0.697 ± 0.009 of 11,230 | | 0.805 ± 0.084 of 9,602 |
//! | length of the prompt | 0.586 (0.570 to 0.605) | 0.598 (0.558 to 0.642) | 0.688 (0.643 to 0.738) |
//! | input tokens | 0.581 (0.564 to 0.599) | 0.591 (0.550 to 0.630) | 0.654 (0.610 to 0.699) |
//! | points of [`HeuristicRouter`] | 0.547 (0.532 to 0.563) | 0.543 (0.519 to 0.568) | 0.597 (0.561 to 0.638) |
//! | oracle | 1.285 (1.247 to 1.328) | 1.121 (1.049 to 1.224) | 2.093 (1.915 to 2.306) |
//!
//! The learning rates and features of [`Trainer`] were chosen by cross-validation on these three sets. On MMLU, half of the
//! gap takes 29.5 ± 1.5 % of strong calls by 1,531 labels. The oracle knows each answer beforehand; nothing that reads only
//! the prompt came near it here.
//!
//! # What to expect to save
//! Trained on four fifths of the rows, the line drawn by cross-fitted scores for a floor of 0.98 with the default
//! confidence, measured on the last fifth (`examples/evaluate_router.rs`, list prices, 95 % intervals):
//!
//! | | rows | strong calls | quality kept | cost saved |
//! |---|---|---|---|---|
//! | MMLU | 11,230 and 2,807 | 69.0 % | 99.1 % (98.2 to 100.3) | 19.4 % (18.2 to 20.7) |
//! | GSM8K | 1,046 and 261 | 82.0 % | 96.4 % (93.0 to 99.1) | 13.8 % (9.9 to 17.0) |
//! | MMLU-Pro | 9,602 and 2,400 | 53.4 % | 98.2 % (96.3 to 99.8) | 37.2 % (35.1 to 39.6) |
//!
//! A thousand rows cannot vouch for a floor of 98 %, and 261 cannot tell whether it was kept. With a floor of 0.985 and a
//! confidence of 0.6 on MMLU-Pro, the mean of 40 splits into 60 % to train, 20 % to draw the line and 20 % to measure is
//! 98.8 ± 1.0 % of the quality and 40.9 ± 6.5 % saved; the confidence was chosen on other splits of the same rows. The
//! length of the prompt, its line drawn by all 80 %, saves 31.7 %.
//!
//! # When routing is not worth it
//! - Where the strong model is hardly better: ask the cheap one. [`evaluate`] says so.
//! - Where the prices are close. Of the calls that move, at most one less the ratio of the prices is saved.
//! - With few prompts that are labelled for both models: the fewer a floor is tested on, the more calls stay with the strong
//!   model, and labels cost a call of each model. What is learned from fewer labels than the table names was not measured;
//!   compare it with the length of the prompt before you trust it.
//! - With traffic that changes from week to week. A line is as good as the rows that it was drawn by are like the calls to
//!   come. What a model that learned from one kind of prompts does on another kind was not measured.
//! - Where a wrong answer costs more than all calls together. A floor is kept on average, not for each call.

mod cascade;
mod cause;
mod evaluate;
mod ext;
mod fallback;
mod fixed;
mod held_out;
mod heuristic;
mod labelled;
mod learned;
mod paired;
mod rating;
mod request;
mod route;
mod router_fn;
mod score;
mod score_router;
mod shadow;
mod step;
mod threshold;
mod tiers;
mod token_count;
pub mod verify;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use cascade::CascadeRouter;
pub use cause::{Cause, Excluded, Exclusion, Judged, NotLearned, Why};
pub use evaluate::{
    Calibration, CascadeRow, Course, Curve, Decided, EvaluateError, Evaluation, Evaluator, Interval,
    Measured, Misstep, Missteps, Point, evaluate,
};
pub use ext::{OrElse, RouterExt};
pub use fallback::FallbackRouter;
pub use fixed::FixedRouter;
pub use held_out::{Answered, HeldOut};
pub use heuristic::{HeuristicRouter, Rule};
pub use labelled::{Labelled, LineProblem, ReadLabelledError, read_labelled};
pub use learned::{
    AnswerModel, Comparison, LabelledAnswer, LearnError, LearnedRouter, LogReport, Model, Promotion, Trainer,
    TrainingLog, Word,
};
#[cfg(fuzzing)]
pub use learned::{read_model, read_training};
pub use rating::{Quality, Rating};
pub use request::{Facts, RouteRequest};
pub use route::{Route, RouteOutcome};
pub use router_fn::{RouterFn, router_fn};
pub use score::Score;
pub use score_router::ScoreRouter;
pub use shadow::{Shadow, ShadowRouter};
pub use step::Step;
pub use threshold::{CascadeLines, Expected, Target, Threshold, ThresholdError};
pub use tiers::Tier;
pub use token_count::TokenCountRouter;

use crate::model::ModelId;

/// The model name by which a caller leaves the choice to the router.
pub const AUTO: &str = "auto";

/// Chooses the model for a request.
///
/// # Contract
/// 1. `route` answers for any request, also one whose body it cannot make sense of; [`Route::keep`] is always right.
/// 2. `route` sends nothing and waits for nothing that can take longer than the client's router timeout.
/// 3. The same router is asked from many tasks at once.
/// 4. A router that fails, panics or is too slow never fails a call: the client asks the model that was requested,
///    or [`reference_model`](Self::reference_model) for [`AUTO`], and the ledger entry says so.
/// 5. `observe` is told of every call that was made for a route, also of those that failed, but of no shadow. It returns at once,
///    as does `rate`.
/// 6. A route to another model than the one requested says why. No model in it has an empty name, and no step asks the
///    model before it again.
///
/// # Who implements, who calls
/// You may; [`router_fn`] makes one of a closure. The client calls. A router that wraps another forwards all methods.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use thrifty::router::{Route, RouteError, RouteRequest, Router};
///
/// #[derive(Debug)]
/// struct CheapForDrafts;
///
/// #[async_trait]
/// impl Router for CheapForDrafts {
///     async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
///         Ok(match request.attribution().feature() {
///             Some("drafts") => Route::to("gpt-4o-mini").because("drafts need no more"),
///             _ => Route::keep(),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// Chooses a model.
    ///
    /// # Errors
    /// If no choice can be made; the client then asks the requested model.
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError>;

    /// Learns what became of a call. Does nothing unless implemented.
    fn observe(&self, outcome: &RouteOutcome<'_>) {
        let _ = outcome;
    }

    /// Learns how good an answer was, from who can tell. Does nothing unless implemented.
    fn rate(&self, rating: &Rating) {
        let _ = rating;
    }

    /// Returns the model that [`AUTO`] stands for when savings are counted and when routing fails.
    fn reference_model(&self) -> Option<&ModelId> {
        None
    }

    /// Returns the models that this router chooses between. A budget that asks for a downgrade takes the dearest of them
    /// for which there is room, instead of another of them. None unless implemented.
    fn candidates(&self) -> Vec<ModelId> {
        Vec::new()
    }
}

/// A router that could not make a choice.
#[derive(Debug, thiserror::Error)]
#[error("the router could not choose a model")]
pub struct RouteError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl RouteError {
    /// Takes what went wrong.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

macro_rules! forward_router {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<R: Router + ?Sized> Router for $pointer<R> {
            async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
                (**self).route(request).await
            }

            fn observe(&self, outcome: &RouteOutcome<'_>) {
                (**self).observe(outcome);
            }

            fn rate(&self, rating: &Rating) {
                (**self).rate(rating);
            }

            fn reference_model(&self) -> Option<&ModelId> {
                (**self).reference_model()
            }

            fn candidates(&self) -> Vec<ModelId> {
                (**self).candidates()
            }
        }
    };
}

forward_router!(Arc);
forward_router!(Box);

/// A router that may be absent: `None` keeps the requested model.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Router> Router for Option<R> {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        match self {
            Some(router) => router.route(request).await,
            None => Ok(Route::keep()),
        }
    }

    fn observe(&self, outcome: &RouteOutcome<'_>) {
        if let Some(router) = self {
            router.observe(outcome);
        }
    }

    fn rate(&self, rating: &Rating) {
        if let Some(router) = self {
            router.rate(rating);
        }
    }

    fn reference_model(&self) -> Option<&ModelId> {
        self.as_ref()?.reference_model()
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.as_ref().map(Router::candidates).unwrap_or_default()
    }
}
