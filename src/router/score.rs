//! A number for a request.

use std::fmt;
use std::sync::Arc;

use super::RouteRequest;

/// Gives a request a number: the higher, the more a stronger model's answer gains over a cheaper one's.
///
/// Where to draw the line is not the score's to say.
///
/// # Contract
/// 1. Any number will do, on any scale, as long as higher means more to gain. NaN is taken as `None`.
/// 2. The same request gets the same number.
/// 3. It returns at once, sends nothing, and is asked from many tasks at once.
///
/// # Examples
/// ```
/// use thrifty::router::{RouteRequest, Score};
///
/// #[derive(Debug)]
/// struct Length;
///
/// impl Score for Length {
///     fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
///         Some(request.latest_user_text()?.len() as f32)
///     }
/// }
/// ```
pub trait Score: fmt::Debug + Send + Sync + 'static {
    /// Returns the number; `None` if the request has nothing to judge it by.
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32>;
}

impl<S: Score + ?Sized> Score for Arc<S> {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        (**self).score(request)
    }
}

impl<S: Score + ?Sized> Score for Box<S> {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        (**self).score(request)
    }
}
