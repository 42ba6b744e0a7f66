//! Another model after an error.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Rating, Route, RouteError, RouteOutcome, RouteRequest, Router};
use crate::model::ModelId;

/// Names models to ask, one after the other, if the ones before could not be reached, were busy or failed, before any
/// byte of an answer was handed on.
///
/// By itself it keeps the requested model as the first; [`behind`](Self::behind) lets another router choose that. Only
/// chat and responses requests fall back: vectors of two embedding models do not compare. A fallback may be dearer than
/// the model that was asked for; each is a row of its own in the ledger, with the role
/// [`Fallback`](crate::ledger::Role::Fallback).
///
/// # Examples
/// ```
/// use thrifty::router::{FallbackRouter, HeuristicRouter};
///
/// let router = FallbackRouter::new("gpt-4.1-mini")
///     .then("gpt-4.1")
///     .behind(HeuristicRouter::new("gpt-4o-mini", "gpt-4o"));
/// # let _ = router;
/// ```
#[derive(Debug, Clone)]
pub struct FallbackRouter {
    first: Option<Arc<dyn Router>>,
    fallbacks: Vec<ModelId>,
}

impl FallbackRouter {
    /// Takes the model to ask after an error.
    pub fn new(fallback: impl Into<ModelId>) -> Self {
        Self {
            first: None,
            fallbacks: vec![fallback.into()],
        }
    }

    /// Adds a model to ask if the fallbacks before fail too.
    #[must_use]
    pub fn then(mut self, fallback: impl Into<ModelId>) -> Self {
        self.fallbacks.push(fallback.into());
        self
    }

    /// Lets this router choose the model that is asked first.
    #[must_use]
    pub fn behind(mut self, router: impl Router) -> Self {
        self.first = Some(Arc::new(router));
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for FallbackRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        let mut route = self.first.route(request).await?;
        if !request.endpoint().is_chat() {
            return Ok(route);
        }
        let first = route.model().unwrap_or_else(|| request.requested_model()).clone();
        for fallback in &self.fallbacks {
            if *fallback != first && !route.fallbacks().contains(fallback) {
                route = route.with_fallback(fallback.clone());
            }
        }
        Ok(route)
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
