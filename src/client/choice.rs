//! Asking the router, which may panic, fail or hang.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;

use super::call::Operation;
use crate::ledger::Degradation;
use crate::model::ModelId;
use crate::router::{Route, RouteError, RouteRequest, Router};
use crate::tokens::TokenCounter;
use crate::wire::RequestView;

/// What a router chose, and how that went.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The models to ask, in order; none to ask the requested one.
    pub(super) models: Vec<ModelId>,
    pub(super) reason: Option<Arc<str>>,
    pub(super) degradations: Vec<Degradation>,
}

impl From<Degradation> for Choice {
    fn from(degradation: Degradation) -> Self {
        Self {
            degradations: vec![degradation],
            ..Self::default()
        }
    }
}

/// Loads the token tables off the async threads, once a process. `build` has begun that already.
///
/// One call waits on a blocking thread, the others for that one.
pub(super) async fn load_tables(tokens: &TokenCounter) {
    static LOADED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let load = || async {
        if !tokens.is_warm() {
            let tokens = tokens.clone();
            // A runtime that shuts down loads nothing; the first count does then.
            let _ = tokio::task::spawn_blocking(move || tokens.warm_up()).await;
        }
    };
    LOADED.get_or_init(load).await;
}

pub(super) async fn ask(
    operation: &Operation,
    router: &Arc<dyn Router>,
    view: &RequestView<'_>,
    requested: ModelId,
    bounds: (u64, u64),
) -> Choice {
    let request = request_of(operation, view, requested, bounds);
    ask_in_time(router, &request, operation.core.router_timeout).await
}

/// Returns a request as routers see it.
pub(super) fn request_of<'a>(
    operation: &'a Operation,
    view: &'a RequestView<'a>,
    requested: ModelId,
    bounds: (u64, u64),
) -> RouteRequest<'a> {
    RouteRequest::of(&operation.endpoint, view, requested, &operation.facts, bounds)
        .with_attribution(&operation.scope.attribution)
        .with_deadline_within(operation.scope.within)
        .of_operation(operation.op_id)
        .made_at(operation.at)
}

/// Asks a router that may panic, fail or hang. A timer is armed only if it is not ready at once.
async fn ask_in_time(
    router: &Arc<dyn Router>,
    request: &RouteRequest<'_>,
    limit: std::time::Duration,
) -> Choice {
    let Ok(mut routing) = catch_unwind(AssertUnwindSafe(|| router.route(request))) else {
        return Degradation::RouterPanicked.into();
    };
    let first = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| routing.as_mut().poll(cx))))).await;
    let answer = match first {
        Err(_) => return Degradation::RouterPanicked.into(),
        Ok(Poll::Ready(answer)) => answer,
        Ok(Poll::Pending) => {
            match tokio::time::timeout(limit, AssertUnwindSafe(routing).catch_unwind()).await {
                Err(_) => return Degradation::RouterTimedOut.into(),
                Ok(Err(_)) => return Degradation::RouterPanicked.into(),
                Ok(Ok(answer)) => answer,
            }
        }
    };
    fitting(request, answer)
}

/// Leaves out the models that cannot serve the request.
fn fitting(request: &RouteRequest<'_>, routed: Result<Route, RouteError>) -> Choice {
    let route = match routed {
        Ok(route) => route,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(target: "thrifty", %error, cause, "asking the requested model");
            return Degradation::RouterFailed.into();
        }
    };
    let mut choice = Choice {
        reason: route.reason().cloned(),
        ..Choice::default()
    };
    // A route that keeps the requested model and names fallbacks still asks the requested one first.
    let kept = (!route.fallbacks().is_empty()).then_some(request.requested_model());
    for model in route.model().or(kept).into_iter().chain(route.fallbacks()) {
        let unfit = if model == request.requested_model() {
            Ok(())
        } else {
            request.fits(model)
        };
        match unfit {
            Ok(()) => choice.models.push(model.clone()),
            Err(unfit) => {
                let reason = choice
                    .reason
                    .as_deref()
                    .map(|reason| format!("{reason}; "))
                    .unwrap_or_default();
                choice.reason = Some(format!("{reason}{model} left out: {unfit}").into());
                choice.degradations.push(Degradation::RouteUnfit);
            }
        }
    }
    choice
}
