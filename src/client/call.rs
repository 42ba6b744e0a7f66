//! One call of the caller's: its request as async-openai built it, and how to send it changed.

use std::sync::atomic::{AtomicI64, Ordering};
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
use crate::money::Usd;
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
    spent: Spent,
}

/// What an operation has cost so far at most.
#[derive(Debug, Default)]
struct Spent(AtomicI64);

impl Spent {
    /// No operation costs as much: stands for what is not known.
    const UNKNOWN: i64 = i64::MAX;

    fn add(&self, cost: Option<Usd>) {
        let more = cost.map_or(Self::UNKNOWN, Usd::as_pico);
        let add = |spent: i64| Some(spent.saturating_add(more));
        // It always has a next value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn get(&self) -> Option<Usd> {
        let spent = self.0.load(Ordering::Relaxed);
        (spent != Self::UNKNOWN).then_some(Usd::from_pico(spent))
    }
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
            spent: Spent::default(),
        }
    }

    /// Returns what it has cost so far at most, as far as it is booked; `None` if a part of that is not known.
    pub(super) fn spent(&self) -> Option<Usd> {
        self.spent.get()
    }

    /// Begins another one under the same id, which is no part of it: it has no receipt, and holds nothing yet.
    fn beside(&self) -> Self {
        let scope = Scope {
            tracker: None,
            ..Scope::clone(&self.scope)
        };
        let mut beside = Self::begin(Arc::clone(&self.core), Arc::new(scope), self.endpoint.clone());
        beside.facts = Arc::clone(&self.facts);
        beside.op_id = self.op_id;
        beside
    }

    /// Returns when it was made; if it waited for a budget, when it was let through.
    pub(super) fn admitted_at(&self) -> Timestamp {
        self.hold.get().map_or(self.at, Hold::at)
    }

    /// Counts an entry's cost in the budgets.
    pub(super) fn charge(&self, entry: &LedgerEntry) {
        self.spent.add(entry.cost.at_most());
        if let Some(hold) = self.hold.get() {
            hold.count(entry.sent_model.as_ref(), &entry.cost, entry.usage.as_ref());
        }
    }

    /// Gives back what is held for it beyond what was charged.
    fn release(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.release();
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // All that was sent for it has its entry by now.
        self.release();
        self.core.open.end();
    }
}

pub(super) struct Call {
    pub(super) operation: Arc<Operation>,
    factory: HttpRequestFactory,
    built: Option<reqwest::Request>,
    /// Its body, for those who want to see it after it was sent.
    kept: Option<Bytes>,
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
            kept: None,
        })
    }

    /// Returns the body, if it is in memory; after it was sent, if it is kept.
    pub(super) fn body(&self) -> Option<&[u8]> {
        match &self.built {
            Some(request) => request.body()?.as_bytes(),
            None => self.kept.as_deref(),
        }
    }

    /// Returns a call of the same, for an operation beside this one.
    pub(super) fn again(&self) -> Self {
        Self {
            operation: Arc::new(self.operation.beside()),
            factory: self.factory.clone(),
            built: None,
            kept: self.kept.clone(),
        }
    }

    /// Gives back what is held for it, once nothing more is sent for it and all its rows are settled.
    pub(super) fn release(&mut self) {
        if let Some(operation) = Arc::get_mut(&mut self.operation) {
            operation.release();
        }
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
        if plan.looks_back() && self.kept.is_none() {
            self.kept = self.body().map(Bytes::copy_from_slice);
        }
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
