//! What routers with a cheap and a strong model have in common.

use std::cmp::Ordering;
use std::fmt;

use super::{Route, RouteRequest};
use crate::endpoint::Endpoint;
use crate::model::ModelId;

/// One of the two models of a two-tier router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The model that costs less.
    Cheap,
    /// The model that can do more.
    Strong,
}

/// A cheap and a strong model, and the rules for moving a request between them.
#[derive(Debug, Clone)]
pub(super) struct Tiers {
    cheap: ModelId,
    strong: ModelId,
}

impl Tiers {
    pub(super) fn new(cheap: ModelId, strong: ModelId) -> Self {
        Self { cheap, strong }
    }

    pub(super) const fn strong(&self) -> &ModelId {
        &self.strong
    }

    pub(super) fn both(&self) -> Vec<ModelId> {
        vec![self.cheap.clone(), self.strong.clone()]
    }

    /// Whether a request is theirs to route: chat or responses, and for one of the two models or any.
    pub(super) fn apply_to(&self, request: &RouteRequest<'_>) -> bool {
        let asked = request.requested_model();
        matches!(
            request.endpoint(),
            Endpoint::ChatCompletions | Endpoint::Responses
        ) && (request.is_auto() || *asked == self.strong || *asked == self.cheap)
    }

    /// Routes to the tier that is wanted, unless its model cannot serve the request or is dearer than the one asked for.
    pub(super) fn choose(&self, request: &RouteRequest<'_>, wanted: Tier, why: impl fmt::Display) -> Route {
        let (model, other) = match wanted {
            Tier::Cheap => (&self.cheap, &self.strong),
            Tier::Strong => (&self.strong, &self.cheap),
        };
        let asked = request.requested_model();
        match request.fits(model) {
            Ok(()) if self.may_replace(request, model) => Route::to(model).because(why.to_string()),
            Ok(()) => Route::to(asked).because(format!("{why}; {model} may cost more than asked for")),
            Err(unfit) => {
                let next = if self.may_replace(request, other) {
                    other
                } else {
                    asked
                };
                Route::to(next).because(format!("{why}; {model}: {unfit}"))
            }
        }
    }

    /// Whether a model costs no more than the one asked for; where prices don't tell, the names of the tiers do.
    fn may_replace(&self, request: &RouteRequest<'_>, model: &ModelId) -> bool {
        let asked = request.requested_model();
        request.is_auto()
            || model == asked
            || match request.compare_prices(model, asked) {
                Some(order) => order != Ordering::Greater,
                None => *model == self.cheap,
            }
    }
}
