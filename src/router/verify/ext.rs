//! Verifiers made of other verifiers.

use async_trait::async_trait;

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;

/// Ways to combine verifiers.
pub trait VerifierExt: Verifier + Sized {
    /// Accepts what both accept. The first is asked first; what it rejects, the second is not asked.
    ///
    /// If both are unsure, the lower number stands. A [second opinion](Verifier::second_opinion) is the first one's, else
    /// the second's: of two that want one, each would need its own.
    ///
    /// # Examples
    /// ```
    /// use thrifty::router::verify::{Agreement, Finished, VerifierExt};
    ///
    /// let verifier = Finished::new().and(Agreement::on_number("gpt-4.1-nano"));
    /// # let _ = verifier;
    /// ```
    fn and<V: Verifier>(self, other: V) -> Both<Self, V> {
        Both { first: self, other }
    }
}

impl<V: Verifier> VerifierExt for V {}

/// The verifier that [`VerifierExt::and`] makes.
#[derive(Debug, Clone)]
pub struct Both<A, B> {
    first: A,
    other: B,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Verifier, B: Verifier> Verifier for Both<A, B> {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let first = self.first.judge(exchange).await;
        if matches!(first, Verdict::Reject(_) | Verdict::AskSecond) {
            return first;
        }
        match (first, self.other.judge(exchange).await) {
            (Verdict::Unsure(one), Verdict::Unsure(other)) if one < other => Verdict::Unsure(one),
            (unsure @ Verdict::Unsure(_), Verdict::Accept) => unsure,
            (_, other) => other,
        }
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        self.first
            .second_opinion()
            .or_else(|| self.other.second_opinion())
    }
}
