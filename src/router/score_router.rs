//! Any score, with a line drawn through it.

use async_trait::async_trait;

use super::tiers::{Tier, Tiers};
use super::{Cause, Route, RouteError, RouteRequest, Router, Score, Threshold, Why};
use crate::model::ModelId;

/// Asks the strong model for requests whose score is on or above a line.
///
/// A request without a score is not known to be easy and goes to the strong model. Its reasons are a typed [`Why`].
///
/// # Examples
/// ```
/// use thrifty::router::{RouteRequest, Score, ScoreRouter, Threshold};
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
/// let line = Threshold::at(400.0).ok_or("not a number")?;
/// let router = ScoreRouter::new(Length, line, "gpt-4o-mini", "gpt-4o");
/// # let _ = router;
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct ScoreRouter<S> {
    score: S,
    threshold: Threshold,
    tiers: Tiers,
}

impl<S: Score> ScoreRouter<S> {
    /// Takes a score, the line through it, and the cheap and the strong model.
    pub fn new(
        score: S,
        threshold: Threshold,
        cheap: impl Into<ModelId>,
        strong: impl Into<ModelId>,
    ) -> Self {
        Self {
            score,
            threshold,
            tiers: Tiers::new(cheap.into(), strong.into()),
        }
    }
}

#[async_trait]
impl<S: Score> Router for ScoreRouter<S> {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        if !self.tiers.apply_to(request) {
            return Ok(Route::keep());
        }
        let score = self.score.score(request).filter(|score| !score.is_nan());
        let tier = score.map_or(Tier::Strong, |score| self.threshold.tier(score));
        let placed = self.tiers.place(request, self.tiers.place_of(tier));
        let why = Why {
            cause: Cause::Scored {
                score,
                line: self.threshold.line(),
            },
            judged: Vec::new(),
            excluded: placed.excluded,
            policy: None,
            baseline: Some(self.tiers.baseline(request).clone()),
        };
        Ok(Route::to(placed.model).caused_by(why))
    }

    fn reference_model(&self) -> Option<&ModelId> {
        Some(self.tiers.strong())
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.tiers.all()
    }
}
