//! What the fallback router chooses, for a call and for prompts at hand.

use super::LearnError;
use crate::endpoint::Endpoint;
use crate::model::ModelId;
use crate::router::tiers::{Tier, Tiers};
use crate::router::{AUTO, Facts, Labelled, Route, RouteError, RouteRequest, Router};

/// Asks the router. If it keeps what was requested, and that is any model, it is the strongest that can serve it.
pub(super) async fn planned(
    router: &dyn Router,
    tiers: &Tiers,
    request: &RouteRequest<'_>,
) -> Result<Route, RouteError> {
    let route = router.route(request).await?;
    Ok(if route.model().is_none() && request.is_auto() {
        route.moved_to(tiers.place(request, tiers.place_of(Tier::Strong)).model)
    } else {
        route
    })
}

/// Returns the model whose answer is handed out; `None` if that is told only by answers.
pub(super) fn answering<'a>(route: &'a Route, request: &'a RouteRequest<'_>) -> Option<&'a ModelId> {
    let first = route.model().unwrap_or_else(|| request.requested_model());
    route.steps().is_empty().then_some(first)
}

/// Returns for each row which candidate's answer the router hands out if it is left the choice; `None` for a model that is
/// no candidate, and if that is not known.
pub(super) async fn of(
    router: &dyn Router,
    tiers: &Tiers,
    rows: &[Labelled],
) -> Result<Vec<Option<usize>>, LearnError> {
    let (facts, endpoint) = (Facts::default(), Endpoint::ChatCompletions);
    let mut choices = Vec::with_capacity(rows.len());
    for row in rows {
        let body = row.as_chat(&AUTO.into());
        let Ok(request) = RouteRequest::read(&endpoint, &body, &facts) else {
            choices.push(None);
            continue;
        };
        let route = planned(router, tiers, &request)
            .await
            .map_err(LearnError::Fallback)?;
        choices.push(answering(&route, &request).and_then(|model| tiers.position(model)));
    }
    Ok(choices)
}
