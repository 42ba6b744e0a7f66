//! Routers made of other routers.

use async_trait::async_trait;

use super::{Rating, Route, RouteError, RouteOutcome, RouteRequest, Router};
use crate::model::ModelId;

/// Ways to combine routers.
pub trait RouterExt: Router + Sized {
    /// Asks `other` when this router keeps the requested model or fails.
    ///
    /// # Examples
    /// ```
    /// use thrifty::router::{HeuristicRouter, Route, RouterExt, router_fn};
    ///
    /// let pinned = router_fn(|request| match request.attribution().feature() {
    ///     Some("legal") => Route::to("gpt-4o").because("contracts are read by the strong model"),
    ///     _ => Route::keep(),
    /// });
    /// let router = pinned.or_else(HeuristicRouter::new("gpt-4o-mini", "gpt-4o"));
    /// # let _ = router;
    /// ```
    fn or_else<R: Router>(self, other: R) -> OrElse<Self, R> {
        OrElse { first: self, other }
    }
}

impl<R: Router> RouterExt for R {}

/// The router that [`RouterExt::or_else`] makes.
#[derive(Debug, Clone)]
pub struct OrElse<A, B> {
    first: A,
    other: B,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Router, B: Router> Router for OrElse<A, B> {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        match self.first.route(request).await {
            Ok(route) if route.model().is_some() => Ok(route),
            Ok(_) => self.other.route(request).await,
            Err(error) => {
                tracing::warn!(target: "thrifty", %error, "the first router failed, the other is asked");
                self.other.route(request).await
            }
        }
    }

    fn observe(&self, outcome: &RouteOutcome<'_>) {
        self.first.observe(outcome);
        self.other.observe(outcome);
    }

    fn rate(&self, rating: &Rating) {
        self.first.rate(rating);
        self.other.rate(rating);
    }

    fn reference_model(&self) -> Option<&ModelId> {
        self.first
            .reference_model()
            .or_else(|| self.other.reference_model())
    }

    fn candidates(&self) -> Vec<ModelId> {
        let mut models = self.first.candidates();
        models.extend(self.other.candidates());
        models
    }
}
