//! What routers with a cheap and a strong model have in common.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use super::{Excluded, Exclusion, Route, RouteRequest};
use crate::model::ModelId;

/// One of the two models of a two-tier router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The model that costs less.
    Cheap,
    /// The model that can do more.
    Strong,
}

/// Models from cheap to strong, and the rules for moving a request between them.
#[derive(Debug, Clone)]
pub(super) struct Tiers {
    /// All but the strongest, the cheapest first.
    cheaper: Vec<ModelId>,
    strong: ModelId,
}

/// Where a request goes, and which models were wanted before that one.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) model: ModelId,
    pub(super) excluded: Vec<Excluded>,
}

impl Tiers {
    pub(super) fn new(cheap: ModelId, strong: ModelId) -> Self {
        Self::of(vec![cheap], strong)
    }

    pub(super) const fn of(cheaper: Vec<ModelId>, strong: ModelId) -> Self {
        Self { cheaper, strong }
    }

    pub(super) const fn strong(&self) -> &ModelId {
        &self.strong
    }

    /// Returns the model that would be asked without a router.
    pub(super) fn baseline<'a>(&'a self, request: &'a RouteRequest<'_>) -> &'a ModelId {
        if request.is_auto() {
            &self.strong
        } else {
            request.requested_model()
        }
    }

    /// Returns the place of a tier among the models.
    pub(super) const fn place_of(&self, tier: Tier) -> usize {
        match tier {
            Tier::Cheap => 0,
            Tier::Strong => self.cheaper.len(),
        }
    }

    pub(super) fn all(&self) -> Vec<ModelId> {
        self.cheaper.iter().chain([&self.strong]).cloned().collect()
    }

    pub(super) fn position(&self, model: &ModelId) -> Option<usize> {
        let mut all = self.cheaper.iter().chain([&self.strong]);
        all.position(|one| one == model)
    }

    fn at(&self, tier: usize) -> &ModelId {
        self.cheaper.get(tier).unwrap_or(&self.strong)
    }

    /// Whether a request is theirs to route: chat or responses, and for one of the models or any.
    pub(super) fn apply_to(&self, request: &RouteRequest<'_>) -> bool {
        request.endpoint().is_chat()
            && (request.is_auto() || self.position(request.requested_model()).is_some())
    }

    /// Routes to the tier that is wanted, unless its model cannot serve the request or is dearer than the one asked for.
    pub(super) fn choose(&self, request: &RouteRequest<'_>, wanted: Tier, why: impl fmt::Display) -> Route {
        let placed = self.place(request, self.place_of(wanted));
        let mut reason = why.to_string();
        for excluded in &placed.excluded {
            let _ = write!(reason, "; {excluded}");
        }
        Route::to(placed.model).because(reason)
    }

    /// Finds a model for a request: the one that is wanted; the one asked for, if that is cheaper; if it cannot serve the
    /// request, the next that can, the stronger ones first.
    pub(super) fn place(&self, request: &RouteRequest<'_>, wanted: usize) -> Placed {
        let (asked, mut excluded) = (request.requested_model(), Vec::new());
        let others = (wanted + 1..=self.cheaper.len()).chain((0..wanted).rev());
        for tier in std::iter::once(wanted).chain(others.clone()) {
            let model = self.at(tier);
            let why = match request.fits(model) {
                Ok(()) if self.may_replace(request, model) => {
                    return Placed {
                        model: model.clone(),
                        excluded,
                    };
                }
                Ok(()) => Exclusion::Dearer,
                Err(unfit) => Exclusion::Unfit(unfit),
            };
            let is_dearer = why == Exclusion::Dearer;
            excluded.push(Excluded {
                model: model.clone(),
                why,
            });
            if is_dearer && tier == wanted {
                break;
            }
        }
        let only_unfit = excluded.iter().all(|excluded| excluded.why != Exclusion::Dearer);
        let mut allowed = others
            .map(|tier| self.at(tier))
            .filter(|model| self.may_replace(request, model));
        let next = allowed.next().filter(|_| only_unfit);
        Placed {
            model: next.unwrap_or(asked).clone(),
            excluded,
        }
    }

    /// Returns the models that may be asked: they can serve the request, and cost no more than the one asked for.
    pub(super) fn open_to(&self, request: &RouteRequest<'_>) -> Vec<ModelId> {
        let mut open = self.all();
        open.retain(|model| request.fits(model).is_ok() && self.may_replace(request, model));
        open
    }

    /// Whether a model costs no more than the one asked for; where prices don't tell, the order of the tiers does.
    fn may_replace(&self, request: &RouteRequest<'_>, model: &ModelId) -> bool {
        let asked = request.requested_model();
        request.is_auto()
            || model == asked
            || match request.compare_prices(model, asked) {
                Some(order) => order != Ordering::Greater,
                None => self.position(model) <= self.position(asked),
            }
    }
}
