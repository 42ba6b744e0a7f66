//! One call of the caller's: its request as async-openai built it, and how to send it changed.

use std::sync::{Arc, OnceLock};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use tokio::time::Instant;

use super::core::Core;
use super::plan::Plan;
use super::receipt::OpenReceipt;
use super::scope::Scope;
use crate::budget::Hold;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::OpId;
use crate::ledger::LedgerEntry;
use crate::model::ModelId;
use crate::router::Facts;

/// What stays the same from a call's beginning until its last entry is recorded.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) core: Arc<Core>,
    pub(super) scope: Arc<Scope>,
    pub(super) endpoint: Endpoint,
    /// The same ones from its beginning to its end.
    pub(super) facts: Arc<Facts>,
    pub(super) op_id: OpId,
    pub(super) at: Timestamp,
    pub(super) started: Instant,
    pub(super) receipt: Option<OpenReceipt>,
    /// What is held for it, once a budget let it through.
    pub(super) hold: OnceLock<Hold>,
}

impl Operation {
    fn begin(core: Arc<Core>, scope: Arc<Scope>, endpoint: Endpoint) -> Self {
        let at = core.clock.now();
        let op_id = OpId::new(at);
        let receipt = scope
            .tracker
            .as_ref()
            .map(|tracker| OpenReceipt::new(tracker, op_id));
        core.open.begin();
        Self {
            facts: core.facts.get(),
            core,
            scope,
            endpoint,
            op_id,
            at,
            started: Instant::now(),
            receipt,
            hold: OnceLock::new(),
        }
    }

    /// Returns when it was made; if it waited for a budget, when it was let through.
    pub(super) fn admitted_at(&self) -> Timestamp {
        self.hold.get().map_or(self.at, Hold::at)
    }

    /// Counts an entry's cost in the budgets.
    pub(super) fn charge(&self, entry: &LedgerEntry) {
        if let Some(hold) = self.hold.get() {
            hold.count(entry.sent_model.as_ref(), &entry.cost, entry.usage.as_ref());
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // All that was sent for it has its entry by now.
        if let Some(hold) = self.hold.take() {
            hold.release();
        }
        self.core.open.end();
    }
}

pub(super) struct Call {
    pub(super) operation: Arc<Operation>,
    factory: HttpRequestFactory,
    built: Option<reqwest::Request>,
}

impl Call {
    pub(super) async fn open(
        core: Arc<Core>,
        scope: Arc<Scope>,
        factory: HttpRequestFactory,
    ) -> Result<Self, OpenAIError> {
        let built = factory.build().await?;
        let endpoint = Endpoint::of(built.method().as_str(), built.url().path());
        let operation = Arc::new(Operation::begin(core, scope, endpoint));
        Ok(Self {
            operation,
            factory,
            built: Some(built),
        })
    }

    /// Returns the body, if it is in memory.
    pub(super) fn body(&self) -> Option<&[u8]> {
        self.built.as_ref()?.body()?.as_bytes()
    }

    /// Returns the request as async-openai built it, until it was sent.
    pub(super) const fn request(&self) -> Option<&reqwest::Request> {
        self.built.as_ref()
    }

    /// Makes the request for a model of the plan, and what makes it anew for another attempt.
    ///
    /// The first request that async-openai built is used up first. One that needs no change is sent as it was built.
    pub(super) async fn request_for(
        &mut self,
        plan: &Plan,
        model: Option<&ModelId>,
    ) -> Result<(reqwest::Request, HttpRequestFactory), OpenAIError> {
        let mut request = match self.built.take() {
            Some(request) => request,
            None => self.factory.build().await?,
        };
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let body = body.and_then(|body| plan.body_for(body, model)).map(Bytes::from);
        let url = model
            .filter(|model| plan.requested.as_ref() != Some(*model))
            .and_then(|model| self.operation.core.deployments.url_for(request.url(), model));
        if body.is_none() && url.is_none() {
            return Ok((request, self.factory.clone()));
        }
        let change = move |request: &mut reqwest::Request| {
            if let Some(body) = &body {
                request.headers_mut().remove(http::header::CONTENT_LENGTH);
                *request.body_mut() = Some(body.clone().into());
            }
            if let Some(url) = &url {
                *request.url_mut() = url.clone();
            }
        };
        change(&mut request);
        let (factory, change) = (self.factory.clone(), Arc::new(change));
        let rebuild = HttpRequestFactory::new(move || {
            let (factory, change) = (factory.clone(), Arc::clone(&change));
            async move {
                let mut request = factory.build().await?;
                change(&mut request);
                Ok(request)
            }
        });
        Ok((request, rebuild))
    }
}
