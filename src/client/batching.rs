//! Calls that may wait: how they get into a batch, and how each line is booked.

use std::any::Any;
use std::sync::Arc;

use async_openai::error::OpenAIError;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::Shared;
use super::asked::Asked;
use super::bound::{Bound, Lost};
use super::call::{Call, Operation};
use super::core::Core;
use super::course::refuses;
use super::deployments::Deployments;
use super::error::{Error, Repr};
use super::metering::{Reading, book};
use super::plan::{Plan, lane_asked};
use crate::batch::{
    ApiError, BatchError, BatchItem, BatchObserver, FasterLane, LineAnswer, Outcome, Settled,
};
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Baseline, Degradation, LedgerEntry, Role, Status};
use crate::model::ModelId;
use crate::money::Usd;
use crate::openai::{ServerBatches, may_hide_success};
use crate::pricing::{Cost, PartialReason};
use crate::router::Facts;
use crate::wire::RequestView;

/// Lets a call ride a batch, if its scope says that it may wait and its endpoint and body can.
///
/// `None` means that it goes at once; the plan then says why.
pub(super) async fn ride(
    shared: &Shared,
    call: &Call,
    plan: &mut Plan,
) -> Option<Result<reqwest::Response, OpenAIError>> {
    let (operation, collector) = (&call.operation, &shared.collector);
    let within = operation.scope.within?;
    let at_once = |plan: &mut Plan, why: &str| {
        let reason = plan
            .reason
            .as_deref()
            .map(|reason| format!("{reason}; "))
            .unwrap_or_default();
        plan.reason = Some(format!("{reason}not batched: {why}").into());
        plan.degradations.push(Degradation::NotBatched);
    };
    let model = plan.model.as_ref().or(plan.requested.as_ref());
    let shortest = model.map_or(collector.policy().min_window(), |model| {
        collector.min_window(&operation.endpoint, model)
    });
    if within < shortest {
        at_once(plan, "it must be answered too soon");
        return None;
    }
    if !operation.endpoint.is_metered() {
        at_once(plan, "its endpoint has no batches");
        return None;
    }
    if plan.streams {
        at_once(plan, "it is streamed");
        return None;
    }
    let Some((request, body)) = call.request().zip(call.body()) else {
        at_once(plan, "its body is not in memory");
        return None;
    };
    if Deployments::are_named_by(request.url()) {
        return Some(Err(Error::new(Repr::DeploymentUrlHasNoBatches).into()));
    }
    // A batch is made of bodies.
    if !shared.api.makes_alike(&operation.endpoint, request) {
        at_once(plan, "it has headers or a URL of its own");
        return None;
    }
    let body = plan
        .body_for(body, plan.model.as_ref())
        .map_or_else(|| Bytes::copy_from_slice(body), Bytes::from);
    let passenger = Passenger {
        operation: Arc::clone(operation),
        requested: plan.requested.clone(),
        baseline: plan.baseline.clone(),
        reason: plan.reason.clone(),
        degradations: plan.degradations.clone(),
        bound: plan.bound.clone(),
        asked: plan.asked,
    };
    let mut enqueue = collector
        .enqueue_raw(operation.endpoint.clone(), body)
        .attributed_to(operation.scope.attribution.clone())
        .deadline(operation.at.saturating_add(within))
        .context(Arc::new(passenger));
    if let Some(key) = &operation.scope.key {
        enqueue = enqueue.key(Arc::clone(key));
    }
    match enqueue.await {
        Ok(handle) => {
            let outcome = handle.withdraw_on_drop().await;
            if plan.is_routed() && is_refused(&outcome) {
                plan.return_from_batch();
                return None;
            }
            Some(match outcome {
                Ok(answer) => Ok(into_response(answer)),
                Err(error) => Err(Error::from(error).into()),
            })
        }
        Err(error @ BatchError::Conflict { .. }) => Some(Err(Error::from(error).into())),
        Err(error) => {
            // The first says that it was not taken; its source says why.
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            at_once(plan, &why);
            None
        }
    }
}

/// Whether a line, or the whole batch for it, was refused: for its model, as far as can be told.
fn is_refused(outcome: &Outcome) -> bool {
    match outcome {
        Ok(answer) => StatusCode::from_u16(answer.status).is_ok_and(refuses),
        Err(error) => matches!(error, BatchError::BatchFailed { .. }),
    }
}

/// Turns a line's answer into what async-openai reads.
fn into_response(answer: LineAnswer) -> reqwest::Response {
    let mut response = http::Response::new(reqwest::Body::from(answer.body));
    // A line without a real status did not run; the collector hands on none such.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(id) = answer.request_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response.into()
}

/// What the client remembers of a batched call until its line is booked.
#[derive(Debug)]
struct Passenger {
    operation: Arc<Operation>,
    requested: Option<ModelId>,
    baseline: Option<ModelId>,
    reason: Option<Arc<str>>,
    degradations: Vec<Degradation>,
    bound: Bound,
    asked: Asked,
}

/// Books each line of a batch.
#[derive(Debug)]
pub(super) struct Bookkeeper {
    core: Arc<Core>,
}

impl Bookkeeper {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The entry of a line, as far as it does not depend on what became of it.
    fn entry(&self, settled: &Settled<'_>, passenger: Option<&Passenger>) -> LedgerEntry {
        let now = self.core.clock.now();
        let (op_id, at) = match passenger {
            Some(passenger) => (passenger.operation.op_id, passenger.operation.at),
            None => (OpId::new(now), now),
        };
        let item = settled.item;
        let mut entry = LedgerEntry::new(EntryId::new(now), op_id, at, item.endpoint.clone());
        entry.lane = match settled.outcome {
            Ok(answer) => answer.lane,
            Err(BatchError::FasterLane(_)) => faster_lane(item),
            Err(_) => Lane::Batch,
        };
        entry.role = if entry.lane == Lane::Batch {
            Role::Primary
        } else {
            Role::Hedge
        };
        entry.attribution = item.attribution.clone();
        entry.requested_model = passenger.map_or_else(|| Some(item.model.clone()), |p| p.requested.clone());
        entry.sent_model = Some(item.model.clone());
        entry.batch_id = settled.batch_id.map(Into::into);
        let was_sent = settled.batch_id.is_some()
            || matches!(
                settled.outcome,
                Ok(_) | Err(BatchError::Unreported { .. } | BatchError::FasterLane(_))
            );
        // The collector counts the batches that did not run it.
        entry.attempts = settled.attempts.saturating_add(u32::from(was_sent));
        entry.reason = passenger.and_then(|passenger| passenger.reason.clone());
        entry.degradations = passenger
            .map(|passenger| passenger.degradations.clone())
            .unwrap_or_default();
        if entry.lane != Lane::Batch {
            entry.degradations.push(Degradation::LaneChanged);
        }
        if settled.orphaned {
            entry.degradations.push(Degradation::Orphaned);
        }
        entry.latency_ms = u64::try_from(now.saturating_since(at).as_millis()).ok();
        entry
    }

    /// The facts by which a line is booked: those of its call, or those in force if its caller is not known.
    fn facts(&self, passenger: Option<&Passenger>) -> Arc<Facts> {
        match passenger {
            Some(passenger) => Arc::clone(&passenger.operation.facts),
            None => self.core.facts.get(),
        }
    }
}

/// Books what a line was answered.
fn book_answer(
    entry: &mut LedgerEntry,
    answer: &LineAnswer,
    passenger: Option<&Passenger>,
    facts: &Facts,
    bound: &Bound,
) {
    entry.http_status = Some(answer.status);
    entry.provider_id.clone_from(&answer.request_id);
    if !answer.is_success() {
        entry.status = Status::Failed;
        entry.cost = Cost::Priced(Usd::ZERO);
        return;
    }
    entry.status = Status::Succeeded;
    let baseline = match passenger {
        Some(passenger) => passenger.baseline.clone(),
        None => entry.sent_model.clone(),
    };
    let reading = Reading::of_body(entry, &answer.body);
    book(
        entry,
        facts,
        bound,
        baseline.as_ref(),
        reading,
        PartialReason::NoUsage,
    );
}

impl BatchObserver for Bookkeeper {
    fn settled(&self, settled: &Settled<'_>) {
        let item = settled.item;
        let context = item.context.as_deref();
        let passenger = context.and_then(|context| (context as &dyn Any).downcast_ref::<Passenger>());
        let mut entry = self.entry(settled, passenger);
        let facts = self.facts(passenger);
        let (bound, asked) = match passenger {
            Some(passenger) => (passenger.bound.clone(), passenger.asked),
            None => RequestView::read(&item.body).map_or_else(
                |_| (Bound::unknown(), Asked::default()),
                |view| {
                    let bound = Bound::of(&facts, &item.endpoint, &view);
                    (bound, Asked::of(self.core.hash_key, &item.body, &view))
                },
            ),
        };
        asked.note(&mut entry);
        // On the lane that was asked for: the answer may name another.
        let at_most = bound.cost(&facts, &entry);
        let lost = match settled.outcome {
            Ok(answer) => {
                book_answer(&mut entry, answer, passenger, &facts, &bound);
                if settled.superseded {
                    entry.baseline = entry.baseline.and(entry.cost.exact()).and_then(on_top);
                }
                entry.attempts = entry.attempts.saturating_add(answer.lost_attempts);
                // A batch's files are the server's own account of what ran.
                let hides_success = answer.lane != Lane::Batch
                    && StatusCode::from_u16(answer.status)
                        .is_ok_and(|status| may_hide_success(status, &answer.body));
                answer.lost_attempts.saturating_add(hides_success.into())
            }
            Err(BatchError::Cancelled) if settled.batch_id.is_none() => {
                entry.status = Status::Abandoned;
                entry.cost = Cost::Priced(Usd::ZERO);
                0
            }
            Err(error) => {
                entry.cost = Cost::Priced(Usd::ZERO);
                match error {
                    BatchError::Unreported { .. } => {
                        entry.degradations.push(Degradation::Unreported);
                        entry.status = Status::Unreported;
                        1
                    }
                    BatchError::FasterLane(error) => {
                        entry.status = Status::Unanswered;
                        // A lane that does not say may have been billed once.
                        error
                            .downcast_ref::<ApiError>()
                            .map_or(1, |error| error.lost_attempts)
                    }
                    _ => {
                        entry.status = Status::Failed;
                        0
                    }
                }
            }
        };
        Lost::NONE.and(lost, at_most).book(&mut entry);
        let entry = Arc::new(entry);
        self.core.record(&entry);
        if let Some(receipt) = passenger.and_then(|passenger| passenger.operation.receipt.as_ref()) {
            receipt.add(&entry);
        }
    }
}

/// The baseline of an answer that came too late: what was asked for is in the one before, and this one's lane lost all
/// that it cost.
fn on_top(cost: Usd) -> Option<Baseline> {
    Baseline::of(Usd::ZERO, Usd::ZERO, cost, cost)
}

/// Returns the lane that a line is sent on when it leaves its batch.
fn faster_lane(item: &BatchItem) -> Lane {
    RequestView::read(&item.body).map_or(Lane::Standard, |view| lane_asked(&view))
}

/// Sends a batched request at once, when its deadline is near.
#[derive(Debug)]
pub(super) struct OneByOne {
    api: ServerBatches,
}

impl OneByOne {
    pub(super) const fn new(api: ServerBatches) -> Self {
        Self { api }
    }
}

#[async_trait]
impl FasterLane for OneByOne {
    async fn send(&self, item: &BatchItem) -> Result<LineAnswer, BatchError> {
        match self.api.send_now(&item.endpoint, item.body.clone()).await {
            Ok(sent) => Ok(
                LineAnswer::new(sent.status.as_u16(), sent.body, faster_lane(item))
                    .with_lost_attempts(sent.lost),
            ),
            Err(error) => Err(BatchError::FasterLane(Arc::new(error))),
        }
    }
}
