//! One model for all.

use async_trait::async_trait;

use super::{Route, RouteError, RouteRequest, Router};
use crate::model::ModelId;

/// Asks one model for every chat and responses request, whatever model was named.
///
/// It may be dearer than the one named: you asked for it. Embeddings keep their model.
#[derive(Debug, Clone)]
pub struct FixedRouter {
    model: ModelId,
}

impl FixedRouter {
    /// Takes the model to ask.
    pub fn new(model: impl Into<ModelId>) -> Self {
        Self { model: model.into() }
    }
}

#[async_trait]
impl Router for FixedRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(if request.endpoint().is_chat() {
            Route::to(&self.model).because("fixed")
        } else {
            Route::keep()
        })
    }

    fn reference_model(&self) -> Option<&ModelId> {
        Some(&self.model)
    }
}
