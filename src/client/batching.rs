//! Calls that may wait: how they get into a batch, and how each line is booked.

use std::sync::Arc;

use async_openai::error::OpenAIError;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::Shared;
use super::asked::Asked;
use super::bound::{Bound, Lost};
use super::call::{Call, Operation};
use super::cascade::{self, Kept};
use super::core::Core;
use super::course::refuses;
use super::deployments::Deployments;
use super::error::{Error, Repr};
use super::lines::{Held, Undecided, WalkIn, context, read};
use super::metering::{Reading, book};
use super::pipeline::{hand_on, hand_on_failure};
use super::plan::{Plan, lane_asked};
use super::row::Row;
use crate::batch::{
    ApiError, BatchError, BatchItem, BatchObserver, FasterLane, LineAnswer, Outcome, Settled,
};
use crate::clock::bounded;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Baseline, Degradation, LedgerEntry, Role, Status};
use crate::model::ModelId;
use crate::money::Usd;
use crate::openai::{Reply, ServerBatches, may_hide_success};
use crate::pricing::{Cost, PartialReason};
use crate::router::Facts;
use crate::wire::RequestView;

/// Finds out whether a call is to ride a batch: its scope says that it may wait, and its endpoint and body can.
///
/// If it may wait but goes at once, the plan says why.
pub(super) fn may_ride(shared: &Shared, call: &Call, plan: &mut Plan) -> Result<bool, OpenAIError> {
    let operation = &call.operation;
    let Some(within) = operation.scope.within else {
        return Ok(false);
    };
    let model = plan.model.as_ref().or(plan.requested.as_ref());
    let shortest = model.map_or(shared.collector.policy().min_window(), |model| {
        shared.collector.min_window(&operation.endpoint, model)
    });
    let why = if within < shortest {
        "it must be answered too soon"
    } else if !operation.endpoint.is_metered() {
        "its endpoint has no batches"
    } else if plan.streams {
        "it is streamed"
    } else if let Some((request, _)) = call.request().zip(call.body()) {
        if Deployments::are_named_by(request.url()) {
            return Err(Error::new(Repr::DeploymentUrlHasNoBatches).into());
        }
        // A batch is made of bodies.
        if shared.api.makes_alike(&operation.endpoint, request) {
            if operation.scope.key.is_some() {
                plan.go_straight("its answer has a key, under which others may ask for it");
            }
            return Ok(true);
        }
        "it has headers or a URL of its own"
    } else {
        "its body is not in memory"
    };
    at_once(plan, why);
    Ok(false)
}

/// Whether a request of the call's key is known already.
pub(super) fn attaches(shared: &Shared, call: &Call) -> bool {
    let key = call.operation.scope.key.as_ref();
    key.is_some_and(|key| shared.collector.knows_key(key))
}

fn at_once(plan: &mut Plan, why: &str) {
    plan.add_reason(&format!("not batched: {why}"));
    plan.degradations.push(Degradation::NotBatched);
}

/// Lets a call ride a batch, and each of its steps another one while there is time. `None` means that it goes at once after
/// all; the plan then says why.
pub(super) async fn ride(
    shared: &Shared,
    call: &mut Call,
    plan: &mut Plan,
    kept: &mut Option<Kept>,
) -> Option<Result<reqwest::Response, OpenAIError>> {
    loop {
        let (outcome, undecided) = match ride_once(shared, call, plan).await? {
            Ok(ridden) => ridden,
            Err(error) => return Some(hand_on_failure(kept.take(), plan, Err(error.into()))),
        };
        if kept.is_none() && plan.is_routed() && is_refused(&outcome) {
            plan.return_from_batch();
            return None;
        }
        let answer = match outcome {
            Ok(answer) => whole(answer),
            Err(error) => return Some(hand_on_failure(kept.take(), plan, Err(Error::from(error).into()))),
        };
        if !answer.status().is_success() {
            return Some(hand_on_failure(kept.take(), plan, Ok(Reply::Whole(answer))));
        }
        let Some(row) = undecided.and_then(|undecided| undecided.take()) else {
            return Some(Ok(answer.into()));
        };
        // They are in the line's row.
        plan.degradations.clear();
        let end = call.operation.started + bounded(call.operation.scope.within.unwrap_or_default());
        if let Some((row, answer)) = cascade::decide(call, plan, end, kept, row, answer).await {
            return Some(hand_on(row, plan, Ok(Reply::Whole(answer))));
        }
        let model = plan.model.as_ref()?;
        let left = end.saturating_duration_since(Instant::now());
        if left < shared.collector.min_window(&call.operation.endpoint, model) {
            at_once(plan, "the time that is left is too short");
            return None;
        }
    }
}

/// A line's outcome; with its row, if its answer is to be judged.
type Ridden = (Outcome, Option<Arc<Undecided>>);

/// Lets a call ride one batch.
async fn ride_once(shared: &Shared, call: &Call, plan: &mut Plan) -> Option<Result<Ridden, Error>> {
    let (operation, collector) = (&call.operation, &shared.collector);
    let (body, within) = call.body().zip(operation.scope.within)?;
    let undecided = (!plan.steps.is_empty()).then(Arc::<Undecided>::default);
    let body = plan
        .body_for(body, plan.model.as_ref())
        .map_or_else(|| Bytes::copy_from_slice(body), Bytes::from);
    let passenger = Passenger {
        operation: Arc::clone(operation),
        requested: plan.requested.clone(),
        baseline: plan.baseline.clone(),
        reason: plan.reason.clone(),
        role: plan.role,
        undecided: undecided.clone(),
        degradations: plan.degradations.clone(),
        bound: plan.bound.clone(),
        asked: plan.asked,
    };
    let mut enqueue = collector
        .enqueue_raw(operation.endpoint.clone(), body)
        .attributed_to(operation.scope.attribution.clone())
        .deadline(operation.at.saturating_add(within))
        .context(Arc::new(passenger))
        .withdraw_on_drop();
    if let Some(key) = &operation.scope.key {
        enqueue = enqueue.key(Arc::clone(key));
    }
    match enqueue.await {
        Ok(handle) => Some(Ok((handle.await, undecided))),
        Err(error @ (BatchError::Conflict { .. } | BatchError::NotAdmitted(_))) => {
            Some(Err(Error::from(error)))
        }
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

/// Turns a line's answer into what a call's would be.
fn whole(answer: LineAnswer) -> http::Response<Bytes> {
    let mut response = http::Response::new(answer.body);
    // A line without a real status did not run; the collector hands on none such.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(id) = answer.request_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// What the client remembers of a batched call until its line is booked.
#[derive(Debug)]
pub(super) struct Passenger {
    pub(super) operation: Arc<Operation>,
    requested: Option<ModelId>,
    baseline: Option<ModelId>,
    reason: Option<Arc<str>>,
    role: Role,
    /// Where its row is to wait until its answer is judged.
    undecided: Option<Arc<Undecided>>,
    degradations: Vec<Degradation>,
    pub(super) bound: Bound,
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
        let (op_id, at) = if let Some(Passenger { operation, .. }) = passenger {
            (operation.op_id, operation.admitted_at())
        } else {
            let held = Held::of(settled.item);
            (OpId::new(now), held.map_or(now, |held| held.hold.at()))
        };
        let item = settled.item;
        let mut entry = LedgerEntry::new(EntryId::new(now), op_id, at, item.endpoint.clone());
        entry.lane = match settled.outcome {
            Ok(answer) => answer.lane,
            Err(BatchError::FasterLane(_)) => faster_lane(item, self.core.project_lane),
            Err(_) => Lane::Batch,
        };
        entry.role = if entry.lane == Lane::Batch {
            passenger.map_or(Role::Primary, |passenger| passenger.role)
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
        if settled.superseded && matches!(settled.outcome, Err(BatchError::NotAdmitted(_))) {
            // It was not sent.
            return;
        }
        let passenger = context::<Passenger>(item);
        let mut entry = self.entry(settled, passenger);
        // By what its call began with; or by what is in force, if its caller is not known.
        let (facts, bound, asked) = if let Some(rider) = passenger {
            (
                Arc::clone(&rider.operation.facts),
                rider.bound.clone(),
                rider.asked,
            )
        } else if let Some(walk_in) = context::<WalkIn>(item) {
            (Arc::clone(&walk_in.facts), walk_in.bound.clone(), walk_in.asked)
        } else {
            let facts = self.core.facts.get();
            let (bound, asked) = read(&self.core, &facts, item);
            (facts, bound, asked)
        };
        asked.note(&mut entry);
        // On the lane that was asked for: the answer may name another.
        let at_most = bound.cost_of(&facts, &entry);
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
                    BatchError::NotAdmitted(_) => {
                        entry.status = Status::Unanswered;
                        0
                    }
                    _ => {
                        entry.status = Status::Failed;
                        0
                    }
                }
            }
        };
        Lost::NONE.and(lost, at_most).book(&mut entry);
        if let Some(Passenger {
            operation,
            undecided: Some(undecided),
            bound,
            ..
        }) = passenger
            && entry.status == Status::Succeeded
            && !settled.superseded
            && !settled.orphaned
        {
            return undecided.put(Row::of_line(operation, bound, entry));
        }
        let entry = Arc::new(entry);
        self.core.record(&entry);
        match (passenger, Held::of(item)) {
            // What the steps of its call may cost counts it too.
            (Some(Passenger { operation, .. }), Some(_)) => operation.charge(&entry),
            (None, Some(held)) => held.count(&entry),
            // It was enqueued by an earlier process, or there are no budgets.
            (passenger, None) => {
                if let Some(Passenger { operation, .. }) = passenger {
                    operation.charge(&entry);
                }
                let (model, usage) = (entry.sent_model.as_ref(), entry.usage.as_ref());
                self.core
                    .budgets
                    .spend(&entry.attribution, model, &entry.cost, usage);
            }
        }
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
fn faster_lane(item: &BatchItem, projects: Lane) -> Lane {
    RequestView::read(&item.body).map_or(projects, |view| lane_asked(&view, projects))
}

/// Sends a batched request at once, when its deadline is near.
#[derive(Debug)]
pub(super) struct OneByOne {
    api: ServerBatches,
    project_lane: Lane,
}

impl OneByOne {
    pub(super) const fn new(api: ServerBatches, project_lane: Lane) -> Self {
        Self { api, project_lane }
    }
}

#[async_trait]
impl FasterLane for OneByOne {
    async fn send(&self, item: &BatchItem) -> Result<LineAnswer, BatchError> {
        let lane = faster_lane(item, self.project_lane);
        let held = Held::of(item);
        let cover = |attempts| {
            held.as_ref()
                .map_or(Ok(()), |held| held.cover(item, lane, attempts))
        };
        // A limit on money goes before a deadline. Without room a line in a batch waits for that; another is refused.
        cover(1).map_err(|error| BatchError::NotAdmitted(Arc::new(error)))?;
        let may_repeat = |lost: u32| cover(lost.saturating_add(1)).is_ok();
        match self
            .api
            .send_now(&item.endpoint, item.body.clone(), may_repeat)
            .await
        {
            Ok(sent) => {
                Ok(LineAnswer::new(sent.status.as_u16(), sent.body, lane).with_lost_attempts(sent.lost))
            }
            Err(error) => Err(BatchError::FasterLane(Arc::new(error))),
        }
    }
}
