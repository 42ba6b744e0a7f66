//! Verifiers judge an answer, so that a cheap model's can be used where it is good enough.
//!
//! | verifier | accepts an answer that |
//! |---|---|
//! | [`Finished`] | was not cut off, held back or refused, and is not empty |
//! | [`ValidToolCalls`] | calls only tools that were offered, as they are declared |
//! | `MatchesSchema` (feature `json-schema`) | is JSON by the schema that the request asks for |
//! | [`Agreement`] | a second model gives too: a number, a label, JSON, or calls of tools |
//! | [`LearnedVerifier`] | is hardly less probably good than the strong model's, by what it learned of prompts and answers |
//! | [`verifier_fn`] | your closure accepts |
//!
//! [`VerifierExt::and`] asks two of them. A model that scores answers, such as that of [`LearnedVerifier`], says
//! [`Unsure`](Verdict::Unsure) with its number: whoever puts it into a plan says from which number on it will do.
//!
//! A [`CascadeRouter`](super::CascadeRouter) puts verifiers into its plans; the client asks them.

mod agreement;
mod exchange;
mod ext;
mod finished;
mod learned;
mod number;
#[cfg(feature = "json-schema")]
mod schema;
mod tool_calls;
mod verdict;
mod verifier_fn;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use agreement::Agreement;
pub use exchange::Exchange;
pub use ext::{Both, VerifierExt};
pub use finished::Finished;
pub use learned::LearnedVerifier;
#[cfg(feature = "json-schema")]
pub use schema::MatchesSchema;
pub use tool_calls::ValidToolCalls;
pub use verdict::Verdict;
pub use verifier_fn::{VerifierFn, verifier_fn};

use crate::model::ModelId;

/// Judges whether an answer will do.
///
/// # Contract
/// 1. `judge` answers for any exchange, also for bodies that it can make no sense of.
/// 2. It is asked once for each answer, but for rule 7, and what it says stands, also if it would say something else the next time.
/// 3. It may wait, but not block. Whoever asks gives it a time limit, 1 s by default.
/// 4. A verifier that panics or is too slow has not accepted the answer. It never fails a call.
/// 5. The same verifier is asked from many tasks at once.
/// 6. A verdict holds no text of a request or an answer.
/// 7. If it says [`AskSecond`](Verdict::AskSecond), and [`second_opinion`](Self::second_opinion) names a model, that
///    model is asked the same. `judge` is then asked once more, with its answer.
///
/// # Who implements, who calls
/// You may; [`verifier_fn`] makes one of a closure. The client calls.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use thrifty::router::verify::{Exchange, Verdict, Verifier};
///
/// #[derive(Debug)]
/// struct NamesACity;
///
/// #[async_trait]
/// impl Verifier for NamesACity {
///     async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
///         match exchange.answer() {
///             Some(answer) if answer.text().contains("Paris") => Verdict::Accept,
///             _ => Verdict::Reject("it names no city that we know"),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Verifier: fmt::Debug + Send + Sync + 'static {
    /// Judges an answer.
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict;

    /// Returns the model whose answer to the same request it may want to see. None unless implemented.
    fn second_opinion(&self) -> Option<&ModelId> {
        None
    }
}

macro_rules! forward_verifier {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<V: Verifier + ?Sized> Verifier for $pointer<V> {
            async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
                (**self).judge(exchange).await
            }

            fn second_opinion(&self) -> Option<&ModelId> {
                (**self).second_opinion()
            }
        }
    };
}

forward_verifier!(Arc);
forward_verifier!(Box);
