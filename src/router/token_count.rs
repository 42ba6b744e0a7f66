//! Short requests go to the cheap model.

use async_trait::async_trait;

use super::tiers::{Tier, Tiers};
use super::{Route, RouteError, RouteRequest, Router};
use crate::model::ModelId;

/// Sends a request to the cheap model if its input and the output it allows are short.
///
/// The input is judged from its length in bytes where that suffices, else counted until it is clear.
///
/// Length alone tells a little of which prompts a cheap model fails on. The APGR of the input tokens, with the best lines
/// that can be drawn, is 0.581 (0.564 to 0.599) on MMLU, 0.591 (0.550 to 0.630) on GSM8K and 0.654 (0.610 to 0.699) on
/// MMLU-Pro, where a coin has 0.500; at the default of 2,000 tokens all of these prompts are short, and all go to the
/// cheap model (`cargo bench --bench router -- tables`; [`Curve`](super::Curve) defines the measure). It saves where long
/// inputs are what is hard, or is to be paid for. [Measure](super::evaluate) it on your own traffic.
///
/// # Default
/// - at most 2,000 input tokens
/// - any limit on output tokens, or none
///
/// # Examples
/// ```
/// use thrifty::router::TokenCountRouter;
///
/// let router = TokenCountRouter::new("gpt-4o-mini", "gpt-4o").with_max_input(4_000).with_max_output(1_000);
/// # let _ = router;
/// ```
#[derive(Debug, Clone)]
pub struct TokenCountRouter {
    tiers: Tiers,
    max_input: u64,
    max_output: Option<u64>,
}

impl TokenCountRouter {
    /// Takes the cheap and the strong model.
    pub fn new(cheap: impl Into<ModelId>, strong: impl Into<ModelId>) -> Self {
        Self {
            tiers: Tiers::new(cheap.into(), strong.into()),
            max_input: 2_000,
            max_output: None,
        }
    }

    /// Sets how many input tokens the cheap model gets at most.
    #[must_use]
    pub const fn with_max_input(mut self, tokens: u64) -> Self {
        self.max_input = tokens;
        self
    }

    /// Sets up to which limit on output tokens the cheap model is asked. A request without a limit is over it.
    #[must_use]
    pub const fn with_max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }
}

#[async_trait]
impl Router for TokenCountRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        if !self.tiers.apply_to(request) {
            return Ok(Route::keep());
        }
        let long_output = self
            .max_output
            .filter(|max| request.output_limit().is_none_or(|limit| limit > *max));
        if let Some(max) = long_output {
            let why = format_args!("output not limited to {max} tokens").to_string();
            return Ok(self.tiers.choose(request, Tier::Strong, why));
        }
        let max = self.max_input;
        Ok(match request.exceeds(max) {
            Some(false) => self.tiers.choose(
                request,
                Tier::Cheap,
                format_args!("input of at most {max} tokens"),
            ),
            Some(true) => self
                .tiers
                .choose(request, Tier::Strong, format_args!("input over {max} tokens")),
            None => self
                .tiers
                .choose(request, Tier::Strong, "input of unknown length"),
        })
    }

    fn reference_model(&self) -> Option<&ModelId> {
        Some(self.tiers.strong())
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.tiers.all()
    }
}
