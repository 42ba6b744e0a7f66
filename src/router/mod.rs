//! Routers choose the model for a request. They read it, answer with a [`Route`], and send nothing.
//!
//! | router | asks the cheaper model when |
//! |---|---|
//! | [`FixedRouter`] | always, whatever model was named |
//! | [`TokenCountRouter`] | the request is short |
//! | [`HeuristicRouter`] | your rules say so, else when the latest user message looks plain |
//! | [`router_fn`] | your closure says so |
//!
//! [`FallbackRouter`] names models to ask after an error, behind any of them.
//!
//! The built-in routers with two tiers touch only chat and responses requests that name one of their two models
//! exactly (a snapshot such as `gpt-4o-2024-08-06` is a pin) or [`AUTO`]. They never pick a model dearer than the one
//! asked for, unless that was [`AUTO`]. Embeddings are never routed by them: vectors of two models do not compare.

mod ext;
mod fallback;
mod fixed;
mod heuristic;
mod rating;
mod request;
mod route;
mod router_fn;
mod tiers;
mod token_count;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use ext::{OrElse, RouterExt};
pub use fallback::FallbackRouter;
pub use fixed::FixedRouter;
pub use heuristic::{HeuristicRouter, Rule};
pub use rating::{Quality, Rating};
pub use request::{Facts, RouteRequest};
pub use route::{Route, RouteOutcome};
pub use router_fn::{RouterFn, router_fn};
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
/// 5. `observe` is told of every call that was made for a route, also of those that failed. It returns at once,
///    as does `rate`.
/// 6. A route to another model than the one requested says why. No model in it has an empty name.
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
