//! Asking the router, which may panic, fail or hang.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::call::Operation;
use super::steps::Steps;
use crate::ledger::Degradation;
use crate::model::ModelId;
use crate::router::{Route, RouteError, RouteRequest, Router, Shadow};
use crate::tokens::TokenCounter;
use crate::wire::RequestView;

/// What a router chose, and how that went.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The models to ask, in order; none to ask the requested one.
    pub(super) models: Vec<ModelId>,
    /// What comes after an answer that does not do.
    pub(super) steps: Steps,
    pub(super) shadow: Option<Shadow>,
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

async fn ask_in_time(router: &Arc<dyn Router>, request: &RouteRequest<'_>, limit: Duration) -> Choice {
    match in_time(|| router.route(request), limit).await {
        Ok(answer) => fitting(request, answer),
        Err(Trouble::Panicked) => Degradation::RouterPanicked.into(),
        Err(Trouble::TimedOut) => Degradation::RouterTimedOut.into(),
    }
}

/// What became of somebody else's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Panicked,
    TimedOut,
}

/// Runs somebody else's code, which may panic or hang. A timer is armed only if it is not ready at once.
pub(super) async fn in_time<'a, T>(
    begin: impl FnOnce() -> BoxFuture<'a, T>,
    limit: Duration,
) -> Result<T, Trouble> {
    let Ok(mut running) = catch_unwind(AssertUnwindSafe(begin)) else {
        return Err(Trouble::Panicked);
    };
    let first = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))))).await;
    match first {
        Err(_) => Err(Trouble::Panicked),
        Ok(Poll::Ready(value)) => Ok(value),
        Ok(Poll::Pending) => {
            match tokio::time::timeout(limit, AssertUnwindSafe(running).catch_unwind()).await {
                Err(_) => Err(Trouble::TimedOut),
                Ok(Err(_)) => Err(Trouble::Panicked),
                Ok(Ok(value)) => Ok(value),
            }
        }
    }
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
        shadow: route
            .shadow()
            .filter(|shadow| request.fits(shadow.model()).is_ok())
            .cloned(),
        ..Choice::default()
    };
    let mut steps = Steps::of(&route);
    steps.retain(|model| choice.takes(request, model));
    // A route that keeps the requested model and names others still asks the requested one first.
    let names_others = !route.fallbacks().is_empty() || !steps.is_empty();
    let first = route
        .model()
        .or(names_others.then_some(request.requested_model()));
    if let Some(first) = first {
        if choice.takes(request, first) {
            choice.models.push(first.clone());
        } else {
            choice.models.extend(steps.leave_out_first());
        }
    }
    for fallback in route.fallbacks() {
        if choice.takes(request, fallback) {
            choice.models.push(fallback.clone());
        }
    }
    choice.steps = steps;
    choice
}

impl Choice {
    /// Whether a model can serve the request; the reason tells of one that cannot.
    fn takes(&mut self, request: &RouteRequest<'_>, model: &ModelId) -> bool {
        if model == request.requested_model() {
            return true;
        }
        let Err(unfit) = request.fits(model) else {
            return true;
        };
        let before = self.reason.as_deref().map(|reason| format!("{reason}; "));
        let before = before.unwrap_or_default();
        self.reason = Some(format!("{before}{model} left out: {unfit}").into());
        self.degradations.push(Degradation::RouteUnfit);
        false
    }
}
