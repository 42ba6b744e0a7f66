//! A closure as a verifier.

use std::any::type_name;
use std::fmt;

use async_trait::async_trait;

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;

/// Makes a verifier of a closure, which must not block.
///
/// # Examples
/// ```
/// use thrifty::router::verify::{Verdict, verifier_fn};
///
/// let short = verifier_fn(|exchange| match exchange.answer() {
///     Some(answer) if answer.text().len() < 80 => Verdict::Accept,
///     _ => Verdict::Reject("longer than a headline"),
/// });
/// # let _ = short;
/// ```
pub const fn verifier_fn<F>(judge: F) -> VerifierFn<F>
where
    F: Fn(&Exchange<'_>) -> Verdict + Send + Sync + 'static,
{
    VerifierFn { judge }
}

/// The verifier that [`verifier_fn`] makes.
#[derive(Clone, Copy)]
pub struct VerifierFn<F> {
    judge: F,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<F> Verifier for VerifierFn<F>
where
    F: Fn(&Exchange<'_>) -> Verdict + Send + Sync + 'static,
{
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        (self.judge)(exchange)
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        None
    }
}

impl<F> fmt::Debug for VerifierFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifierFn")
            .field(&format_args!("{}", type_name::<F>()))
            .finish()
    }
}
