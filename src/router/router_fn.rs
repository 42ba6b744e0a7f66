//! A router made of a closure.

use std::fmt;

use async_trait::async_trait;

use super::{Route, RouteError, RouteRequest, Router};

/// Makes a router of a closure. For one that awaits or fails, implement [`Router`].
///
/// The closure runs on the thread that makes the call, and must not block: the time limit on routers ends only what
/// awaits.
///
/// # Examples
/// ```
/// use thrifty::router::{Route, router_fn};
///
/// let router = router_fn(|request| match request.exceeds(2_000) {
///     Some(false) => Route::to("gpt-4o-mini").because("short"),
///     _ => Route::keep(),
/// });
/// # let _ = router;
/// ```
pub fn router_fn<F>(choose: F) -> RouterFn<F>
where
    F: Fn(&RouteRequest<'_>) -> Route + Send + Sync + 'static,
{
    RouterFn { choose }
}

/// The router that [`router_fn`] makes.
#[derive(Clone, Copy)]
pub struct RouterFn<F> {
    choose: F,
}

impl<F> fmt::Debug for RouterFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterFn({})", std::any::type_name::<F>())
    }
}

#[async_trait]
impl<F> Router for RouterFn<F>
where
    F: Fn(&RouteRequest<'_>) -> Route + Send + Sync + 'static,
{
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok((self.choose)(request))
    }
}
