//! What a router would choose for prompts at hand.

use serde_json::json;

use super::LearnError;
use crate::endpoint::Endpoint;
use crate::router::tiers::Tiers;
use crate::router::{AUTO, Facts, Labelled, RouteRequest, Router};

/// Returns for each row which candidate the router chooses if it is left the choice; `None` for a model that is none.
pub(super) async fn of(
    router: &dyn Router,
    tiers: &Tiers,
    rows: &[Labelled],
) -> Result<Vec<Option<usize>>, LearnError> {
    let (facts, endpoint) = (Facts::default(), Endpoint::ChatCompletions);
    let mut choices = Vec::with_capacity(rows.len());
    for row in rows {
        let body = json!({"model": AUTO, "messages": [{"role": "user", "content": row.prompt}]}).to_string();
        let Ok(request) = RouteRequest::read(&endpoint, body.as_bytes(), &facts) else {
            choices.push(None);
            continue;
        };
        let route = router.route(&request).await.map_err(LearnError::Fallback)?;
        let chosen = route.model().or_else(|| router.reference_model());
        choices.push(chosen.and_then(|model| tiers.position(model)));
    }
    Ok(choices)
}
