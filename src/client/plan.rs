//! What is to be done for a call: which model to ask, what to change in the body, what it can cost at most.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_openai::error::OpenAIError;
use tokio::runtime::Handle;

use super::asked::Asked;
use super::bound::Bound;
use super::call::{Call, Operation};
use super::choice::{self, Choice, request_of};
use super::deployments::Deployments;
use super::error::{Error, Repr};
use super::metering::named;
use super::steps::Steps;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::ledger::{Degradation, Role};
use crate::model::ModelId;
use crate::router::{AUTO, Shadow};
use crate::wire::{self, Edit, RequestView, splice};

/// Bodies above this size are read off the async threads, also by routers: each look at them takes milliseconds.
const LARGE_BODY: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Plan {
    /// The model that the caller named, if it is a string.
    pub(super) requested: Option<ModelId>,
    /// The model that savings are counted against.
    pub(super) baseline: Option<ModelId>,
    /// The model to ask first.
    pub(super) model: Option<ModelId>,
    /// The models to ask after a failure.
    pub(super) fallbacks: Vec<ModelId>,
    /// What comes after an answer that does not do.
    pub(super) steps: Steps,
    /// What is asked beside the answer.
    pub(super) shadow: Option<Shadow>,
    /// The router's other models that can serve the request, if a budget may ask for a cheaper one.
    pub(super) cheaper: Vec<ModelId>,
    /// Whether a budget put a cheaper model in place.
    is_downgraded: bool,
    /// Why.
    pub(super) reason: Option<Arc<str>>,
    /// What the next model asked is within the operation.
    pub(super) role: Role,
    /// What did not go as it should so far, and is in no row yet.
    pub(super) degradations: Vec<Degradation>,
    /// The lane that the body asks for.
    pub(super) lane: Lane,
    /// Whether the body asks for a stream.
    pub(super) streams: bool,
    /// Whether the chunk with the usage is to be hidden from the caller, who did not ask for it.
    pub(super) hides_usage: bool,
    /// What the call can cost at most, once a model is known.
    pub(super) bound: Bound,
    /// What the entries keep of the request.
    pub(super) asked: Asked,
    model_at: Option<Range<usize>>,
    usage_edit: Option<Edit>,
    /// What asks for the flex lane, if the call may wait for it and left its lane open.
    flex_edit: Option<Edit>,
}

impl Plan {
    /// A plan that sends a body as it is.
    fn as_asked() -> Self {
        Self {
            requested: None,
            baseline: None,
            model: None,
            fallbacks: Vec::new(),
            steps: Steps::default(),
            shadow: None,
            cheaper: Vec::new(),
            is_downgraded: false,
            reason: None,
            role: Role::Primary,
            degradations: Vec::new(),
            lane: Lane::Standard,
            streams: false,
            hides_usage: false,
            bound: Bound::unknown(),
            asked: Asked::default(),
            model_at: None,
            usage_edit: None,
            flex_edit: None,
        }
    }

    pub(super) async fn make(call: &Call) -> Result<Self, OpenAIError> {
        let operation = &call.operation;
        if !operation.endpoint.is_metered() {
            return Ok(Self::as_asked());
        }
        let Some((request, body)) = call.request().zip(call.body()) else {
            return Ok(Self::of_unreadable());
        };
        if operation.core.router.is_some() && !operation.scope.pinned {
            choice::load_tables(&operation.facts.tokens).await;
        }
        if body.len() > LARGE_BODY
            && let (Ok(runtime), Some(request)) = (Handle::try_current(), request.try_clone())
        {
            let operation = Arc::clone(operation);
            let made = runtime.clone().spawn_blocking(move || {
                let body = request.body().and_then(reqwest::Body::as_bytes);
                runtime.block_on(Self::of(&operation, &request, body.unwrap_or_default()))
            });
            // A runtime that shuts down reads nothing any more.
            return made.await.unwrap_or_else(|_| Ok(Self::of_unreadable()));
        }
        Self::of(operation, request, body).await
    }

    /// A plan that sends a body as it is, because it could not be read.
    fn of_unreadable() -> Self {
        Self {
            degradations: vec![Degradation::UnreadableRequest],
            ..Self::as_asked()
        }
    }

    /// Reads a body and lets the router choose.
    async fn of(operation: &Operation, request: &reqwest::Request, body: &[u8]) -> Result<Self, OpenAIError> {
        let Ok(view) = RequestView::read(body) else {
            return Ok(Self::of_unreadable());
        };
        let mut plan = Self::as_asked();
        plan.read(operation, body, &view);
        let url_names_model = Deployments::are_named_by(request.url());
        plan.choose(operation, &view, url_names_model).await?;
        let in_background = view.background.is_some_and(wire::is_true);
        if plan.streams {
            plan.go_straight("it is streamed");
        } else if in_background {
            plan.go_straight("it is answered in the background");
        }
        if plan.streams || in_background {
            plan.shadow = None;
        }
        plan.find_cheaper(operation, &view, url_names_model);
        plan.bound_others(operation, &view);
        plan.find_flex(operation, body, &view);
        Ok(plan)
    }

    /// Lets the bound hold for every model that may be asked instead of the requested one.
    fn bound_others(&mut self, operation: &Operation, view: &RequestView<'_>) {
        let others = self.fallbacks.iter().chain(&self.baseline).chain(&self.cheaper);
        let others = others.chain(self.steps.models());
        let others = others.chain(self.shadow.as_ref().map(Shadow::model));
        for model in self.model.iter().chain(others) {
            if self.requested.as_ref() != Some(model) {
                let facts = &operation.facts;
                self.bound.hold_for(model, facts, &operation.endpoint, view);
            }
        }
    }

    fn read(&mut self, operation: &Operation, body: &[u8], view: &RequestView<'_>) {
        self.requested = view.model_name().map(|model| named(&model));
        self.model.clone_from(&self.requested);
        self.baseline.clone_from(&self.requested);
        self.streams = view.is_stream();
        self.lane = lane_asked(view, operation.core.project_lane);
        self.bound = Bound::of(&operation.facts, &operation.endpoint, view);
        self.asked = Asked::of(operation.core.hash_key, body, view);
        self.model_at = view
            .model
            .and_then(|old| match Edit::set(body, Some(old), "model", String::new()) {
                Edit::Replace { at, .. } => Some(at),
                Edit::Insert { .. } => None,
            });
        let asks = operation.core.asks_for_usage && operation.endpoint == Endpoint::ChatCompletions;
        if asks && self.streams && !view.includes_usage() {
            self.hides_usage = true;
            self.usage_edit = Some(usage_edit(body, view));
        }
    }

    async fn choose(
        &mut self,
        operation: &Operation,
        view: &RequestView<'_>,
        url_names_model: bool,
    ) -> Result<(), OpenAIError> {
        let (Some(router), Some(requested)) = (&operation.core.router, self.requested.clone()) else {
            return Ok(());
        };
        let is_auto = requested == AUTO;
        if !operation.scope.pinned {
            let bounds = self.bound.input();
            let choice = choice::ask(operation, router, view, requested.clone(), bounds).await;
            self.take(operation, choice, url_names_model);
        }
        if is_auto {
            let reference = catch_unwind(AssertUnwindSafe(|| router.reference_model().cloned()));
            self.baseline = reference.unwrap_or_else(|_| {
                self.degradations.push(Degradation::RouterPanicked);
                None
            });
            if self.model.as_ref() == self.requested.as_ref() {
                self.model.clone_from(&self.baseline);
            }
            if self.model.is_none() {
                return Err(Error::new(Repr::AutoWithoutReference).into());
            }
        }
        Ok(())
    }

    /// Takes over what the router chose, as far as the URL allows it.
    fn take(&mut self, operation: &Operation, choice: Choice, url_names_model: bool) {
        self.degradations.extend(choice.degradations);
        self.reason = choice.reason;
        let mut models = choice.models;
        if url_names_model {
            let before = models.len();
            models.retain(|model| {
                Some(model) == self.requested.as_ref() || operation.core.deployments.have(model)
            });
            if models.len() < before {
                self.degradations.push(Degradation::RouteUnfit);
            }
        }
        self.steps = choice.steps;
        self.shadow = choice.shadow;
        if url_names_model {
            let has_deployment = |model: &ModelId| {
                Some(model) == self.requested.as_ref() || operation.core.deployments.have(model)
            };
            self.steps.retain(has_deployment);
            self.shadow.take_if(|shadow| !has_deployment(shadow.model()));
        }
        let mut models = models.into_iter();
        if let Some(model) = models.next() {
            self.model = Some(model);
            self.fallbacks = models.collect();
        }
    }

    /// Finds what else the router could ask, if a budget may want to know.
    fn find_cheaper(&mut self, operation: &Operation, view: &RequestView<'_>, url_names_model: bool) {
        let (Some(router), Some(requested)) = (&operation.core.router, &self.requested) else {
            return;
        };
        if operation.scope.pinned || !operation.core.budgets.may_downgrade() {
            return;
        }
        let candidates = catch_unwind(AssertUnwindSafe(|| router.candidates())).unwrap_or_else(|_| {
            self.degradations.push(Degradation::RouterPanicked);
            Vec::new()
        });
        // A model that the router does not know is not its to replace.
        if !self
            .model
            .as_ref()
            .is_some_and(|model| candidates.contains(model))
        {
            return;
        }
        let request = request_of(operation, view, requested.clone(), self.bound.input());
        let fits = |model: &ModelId| {
            self.model.as_ref() != Some(model)
                && request.fits(model).is_ok()
                && (!url_names_model || operation.core.deployments.have(model))
        };
        self.cheaper = candidates.into_iter().filter(fits).collect();
    }

    /// Finds out whether the call may go by the flex lane, if it goes at once: its scope says that it may wait, its body
    /// leaves the lane open, and each model that may be asked has a price there.
    fn find_flex(&mut self, operation: &Operation, body: &[u8], view: &RequestView<'_>) {
        let may_wait = operation
            .scope
            .within
            .is_some_and(|time| time >= operation.core.flex_window);
        let is_open = view
            .service_tier
            .is_none_or(|tier| wire::is_null(tier) || wire::string(tier).as_deref() == Some("auto"));
        let is_priced = |model: &ModelId| {
            let prices = &operation.facts.prices;
            prices
                .rates(model, Lane::Flex, self.bound.input().0, operation.at)
                .is_ok()
        };
        let mut models = self
            .model
            .iter()
            .chain(&self.fallbacks)
            .chain(self.returns_to())
            .chain(&self.cheaper)
            .chain(self.steps.models());
        let are_priced = models.all(is_priced);
        drop(models);
        if may_wait && is_open && self.model.is_some() && are_priced {
            let json = "\"flex\"".to_owned();
            self.flex_edit = Some(Edit::set(body, view.service_tier, "service_tier", json));
        }
    }

    /// Returns the lane of a call that goes at once, and turns to it.
    pub(super) fn go_at_once(&mut self) -> Lane {
        if self.flex_edit.is_some() && self.lane != Lane::Flex {
            self.lane = Lane::Flex;
            self.add_reason("flex, since it may wait");
        }
        self.lane
    }

    /// Whether thrifty chose the flex lane.
    pub(super) const fn chose_flex(&self) -> bool {
        self.flex_edit.is_some()
    }

    /// Goes on by the lane that a body without a tier is served on.
    pub(super) fn leave_flex(&mut self, projects: Lane) {
        self.flex_edit = None;
        self.lane = projects;
    }

    /// Asks no model after the planned one; `false` if it asks none anyway.
    pub(super) fn ask_only_its_model(&mut self) -> bool {
        let asks_others = !self.fallbacks.is_empty() || self.is_routed();
        self.fallbacks.clear();
        self.is_downgraded = true;
        asks_others
    }

    /// Asks this model, and no dearer one after it: a budget has no room.
    pub(super) fn downgrade(&mut self, to: ModelId, budget: &str) {
        self.add_reason(&format!("budget {budget:?} has no room for more"));
        self.model = Some(to);
        self.fallbacks.clear();
        self.steps = Steps::default();
        self.is_downgraded = true;
        if !self.degradations.contains(&Degradation::Downgraded) {
            self.degradations.push(Degradation::Downgraded);
        }
    }

    /// Adds to the reason for the choice of model and lane.
    pub(super) fn add_reason(&mut self, reason: &str) {
        let before = self.reason.as_deref().map(|before| format!("{before}; "));
        self.reason = Some(format!("{}{reason}", before.unwrap_or_default()).into());
    }

    /// The model that is asked if a routed one refuses.
    pub(super) fn returns_to(&self) -> Option<&ModelId> {
        self.baseline.as_ref().filter(|_| !self.is_downgraded)
    }

    /// The models to ask after a failure, and then those of later steps, which do not fail with the one before.
    pub(super) fn fallbacks_and_steps(&self) -> Vec<ModelId> {
        let mut models = self.fallbacks.clone();
        for model in self.steps.answering() {
            if self.model.as_ref() != Some(model) && !models.contains(model) {
                models.push(model.clone());
            }
        }
        models
    }

    /// Whether a router put another model in place of the one to fall back on.
    pub(super) fn is_routed(&self) -> bool {
        self.returns_to()
            .is_some_and(|model| self.model.as_ref() != Some(model))
    }

    /// Asks the model of the last step at once: nobody can judge an answer before this one.
    pub(super) fn go_straight(&mut self, why: &str) {
        let Some(last) = self.steps.leave_out_all() else {
            return;
        };
        self.fallbacks.retain(|fallback| *fallback != last);
        self.model = Some(last);
        self.add_reason(&format!("not cascaded: {why}"));
    }

    /// Turns to a model that is asked now, if it is one of the steps: those before it are no longer to come.
    pub(super) fn advance_to(&mut self, model: Option<&ModelId>) {
        if let Some(model) = model
            && self.model.as_ref() != Some(model)
            && self.steps.advance_to(model)
        {
            self.model = Some(model.clone());
        }
    }

    /// Goes back to what was asked for, after a batch refused the routed model and that is booked.
    pub(super) fn return_from_batch(&mut self) {
        self.model.clone_from(&self.baseline);
        self.fallbacks.clear();
        // What was asked for is not judged.
        self.steps = Steps::default();
        self.role = Role::Fallback;
        self.degradations = vec![Degradation::RouteRefused];
    }

    /// A plan that asks this model the same, and no other.
    pub(super) fn of_shadow(&self, model: &ModelId) -> Self {
        Self {
            requested: self.requested.clone(),
            baseline: self.baseline.clone(),
            model: Some(model.clone()),
            is_downgraded: true,
            reason: Some("a shadow, to learn from".into()),
            role: Role::Shadow,
            lane: self.lane,
            bound: self.bound.clone(),
            asked: self.asked,
            model_at: self.model_at.clone(),
            flex_edit: self.flex_edit.clone(),
            ..Self::as_asked()
        }
    }

    /// Whether somebody will want to see the request after it was sent.
    pub(super) fn looks_back(&self) -> bool {
        !self.steps.is_empty() || self.shadow.is_some()
    }

    /// Returns the body for a model; `None` if it is the one that came.
    pub(super) fn body_for(&self, body: &[u8], model: Option<&ModelId>) -> Option<Vec<u8>> {
        let mut edits = Vec::new();
        let other = model.filter(|model| self.requested.as_ref() != Some(*model));
        if let (Some(model), Some(at)) = (other, &self.model_at) {
            let json = serde_json::to_string(model.as_str()).ok()?;
            edits.push(Edit::Replace { at: at.clone(), json });
        }
        edits.extend(self.usage_edit.clone());
        if self.lane == Lane::Flex {
            edits.extend(self.flex_edit.clone());
        }
        (!edits.is_empty()).then(|| splice(body, edits))
    }
}

/// Returns the lane that a body asks for; the project's if it leaves that open.
pub(super) fn lane_asked(view: &RequestView<'_>, projects: Lane) -> Lane {
    let tier = view.service_tier.and_then(wire::string);
    tier.and_then(|tier| Lane::from_service_tier(&tier))
        // Nobody gets into a batch by asking for it so.
        .filter(|lane| *lane != Lane::Batch)
        .unwrap_or(projects)
}

/// Makes a chat stream end with a chunk that carries its usage.
fn usage_edit(body: &[u8], view: &RequestView<'_>) -> Edit {
    const MEMBER: &str = "\"include_usage\":true";
    let old = view.stream_options;
    let options = old.and_then(|old| serde_json::from_str::<serde_json::Value>(old.get()).ok());
    let json = match options {
        Some(serde_json::Value::Object(mut options)) => {
            options.insert("include_usage".to_owned(), true.into());
            serde_json::Value::Object(options).to_string()
        }
        _ => format!("{{{MEMBER}}}"),
    };
    Edit::set(body, old, "stream_options", json)
}
