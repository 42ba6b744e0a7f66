//! The ledger entry of a call under way. It is written when the call settles, and also when it is dropped.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::bound::{Bound, Lost};
use super::call::Operation;
use super::metering::{Reading, book, clipped, named};
use super::plan::Plan;
use crate::budget::Estimate;
use crate::id::EntryId;
use crate::lane::Lane;
use crate::ledger::{Baseline, Degradation, LedgerEntry, Role, Status};
use crate::model::ModelId;
use crate::money::Usd;
use crate::openai::{Step, may_hide_success};
use crate::pricing::{Cost, PartialReason, UnpricedReason};
use crate::telemetry::CallSpan;
use crate::wire::StreamFacts;

/// What a row's answer is to its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is handed out, if there is one.
    Answers,
    /// It has come and is booked; whether it is handed out is not decided.
    Waits,
    /// It is only looked at.
    Beside,
}

#[derive(Debug)]
pub(super) struct Row {
    operation: Arc<Operation>,
    bound: Bound,
    baseline: Option<ModelId>,
    lost: Lost,
    /// Whether an attempt is under way.
    in_flight: bool,
    standing: Standing,
    span: CallSpan,
    /// Until it is written.
    entry: Option<Arc<LedgerEntry>>,
}

impl Row {
    /// Begins the plan's next row: what did not go as it should so far is in the first one, all later ones are fallbacks.
    pub(super) fn open(operation: &Arc<Operation>, plan: &mut Plan, model: Option<&ModelId>) -> Self {
        let role = std::mem::replace(&mut plan.role, Role::Fallback);
        // All belong to the budgets' windows in which the call was let through.
        let at = if role == Role::Primary || operation.hold.get().is_some() {
            operation.admitted_at()
        } else {
            operation.core.clock.now()
        };
        let mut entry = LedgerEntry::new(EntryId::new(at), operation.op_id, at, operation.endpoint.clone());
        entry.role = role;
        entry.attribution = operation.scope.attribution.clone();
        entry.requested_model.clone_from(&plan.requested);
        entry.sent_model = model.cloned();
        entry.lane = plan.lane;
        entry.reason.clone_from(&plan.reason);
        entry.degradations = std::mem::take(&mut plan.degradations);
        plan.asked.note(&mut entry);
        Self {
            operation: Arc::clone(operation),
            bound: plan.bound.clone(),
            baseline: plan.baseline.clone(),
            lost: Lost::NONE,
            in_flight: false,
            standing: Standing::Answers,
            span: CallSpan::open(&entry),
            entry: Some(Arc::new(entry)),
        }
    }

    fn entry(&mut self) -> Option<&mut LedgerEntry> {
        self.entry.as_mut().map(Arc::make_mut)
    }

    /// Follows an attempt from its beginning to its end, and says whether another one may follow.
    pub(super) fn step(&mut self, step: Step) -> ControlFlow<()> {
        self.in_flight = step == Step::Attempt;
        match step {
            Step::Attempt => {
                if let Some(entry) = self.entry() {
                    entry.attempts += 1;
                }
            }
            // It counts as lost when the row settles.
            Step::Lost if !self.may_repeat() => {
                if let Some(entry) = self.entry() {
                    entry.degradations.push(Degradation::NotRetried);
                }
                return ControlFlow::Break(());
            }
            Step::Lost => self.lose(),
            Step::Failed => {}
        }
        ControlFlow::Continue(())
    }

    /// Whether the budgets have room for another attempt after one that may have been billed.
    fn may_repeat(&self) -> bool {
        let Some(hold) = self.operation.hold.get() else {
            return true;
        };
        let model = self.model();
        let all = self.lost.and(2, self.bound());
        let estimate = match model {
            Some(model) => Estimate::of(model, all.at_most()),
            None => Estimate::without_model(all.at_most()),
        };
        let estimate = estimate.of_attempts(all.attempts());
        hold.cover(&self.operation.scope.attribution, &estimate).is_ok()
    }

    /// Counts an attempt as lost, at what the model and lane that it asked can cost at most.
    fn lose(&mut self) {
        self.lost = self.lost.and(1, self.bound());
    }

    /// What an attempt can cost at most.
    fn bound(&self) -> Option<Usd> {
        let entry = self.entry.as_ref()?;
        self.bound.cost_of(&self.operation.facts, entry)
    }

    /// Returns the model that is asked.
    pub(super) fn model(&self) -> Option<&ModelId> {
        self.entry.as_ref()?.sent_model.as_ref()
    }

    /// Returns the span in which its attempts are made.
    pub(super) const fn span(&self) -> &tracing::Span {
        self.span.span()
    }

    /// Whether answers of this endpoint are read.
    pub(super) fn is_metered(&self) -> bool {
        self.operation.endpoint.is_metered()
    }

    /// Returns how long a stream may stay silent.
    pub(super) fn idle_timeout(&self) -> std::time::Duration {
        self.operation.core.sender.policy.idle_timeout()
    }

    /// Whether an attempt may have been billed that nobody has the answer of.
    pub(super) const fn has_lost(&self) -> bool {
        self.lost.attempts() > 0
    }

    /// Notes something that did not go as it should.
    pub(super) fn note(&mut self, degradation: Degradation) {
        if let Some(entry) = self.entry() {
            entry.degradations.push(degradation);
        }
    }

    /// Says which model is asked instead, and on which lane.
    pub(super) fn turn_to(&mut self, model: Option<&ModelId>, lane: Lane) {
        self.in_flight = false;
        if let Some(entry) = self.entry() {
            entry.sent_model = model.cloned();
            entry.lane = lane;
        }
    }

    /// Says more on why its model was asked, or how its answer was judged.
    pub(super) fn explain(&mut self, more: &str) {
        if let Some(entry) = self.entry() {
            let before = entry.reason.as_deref().map(|before| format!("{before}; "));
            entry.reason = Some(format!("{}{more}", before.unwrap_or_default()).into());
        }
    }

    /// Says that its answer is only looked at, whatever it is.
    pub(super) fn stands_beside(&mut self) {
        self.standing = Standing::Beside;
    }

    /// Settles with a whole answer, which is handed out unless it stands beside.
    pub(super) fn answered(mut self, response: &http::Response<Bytes>) {
        if self.standing != Standing::Waits {
            self.take(response);
        }
        if let Some(taken) = self.entry.take() {
            self.record(&taken);
        }
    }

    /// Books a whole answer and charges for it. Whether it is handed out is said later: by [`answered`](Self::answered)
    /// or [`set_aside`](Self::set_aside).
    pub(super) fn waits(&mut self, response: &http::Response<Bytes>) {
        if self.standing != Standing::Waits {
            self.take(response);
            self.standing = Standing::Waits;
        }
    }

    /// Takes the entry of a line whose answer has come and is booked, and charges for it.
    pub(super) fn of_line(operation: &Arc<Operation>, bound: &Bound, entry: LedgerEntry) -> Self {
        operation.charge(&entry);
        Self {
            operation: Arc::clone(operation),
            bound: bound.clone(),
            baseline: None,
            lost: Lost::NONE,
            in_flight: false,
            standing: Standing::Waits,
            span: CallSpan::none(),
            entry: Some(Arc::new(entry)),
        }
    }

    /// Records that the answer which was waiting is not handed out, since another one is.
    pub(super) fn set_aside(mut self) {
        self.note(Degradation::Escalated);
        self.count_beside();
        if let Some(taken) = self.entry.take() {
            self.record(&taken);
        }
    }

    /// Leaves what was asked for to the row whose answer is handed out.
    fn count_beside(&mut self) {
        self.standing = Standing::Beside;
        if let Some(entry) = self.entry() {
            entry.baseline = entry.baseline.and(entry.cost.exact()).and_then(Baseline::beside);
        }
    }

    fn take(&mut self, response: &http::Response<Bytes>) {
        if may_hide_success(response.status(), response.body()) {
            self.lose();
        }
        let Some(mut taken) = self.entry.take() else {
            return;
        };
        let entry = Arc::make_mut(&mut taken);
        let status = response.status();
        entry.http_status = Some(status.as_u16());
        entry.provider_id = request_id(response.headers());
        if status.is_success() {
            entry.status = Status::Succeeded;
            let reading = Reading::of_body(entry, response.body());
            self.book(entry, reading, PartialReason::NoUsage);
        } else {
            entry.status = Status::Failed;
            entry.cost = Cost::Priced(Usd::ZERO);
        }
        self.close(entry);
        self.entry = Some(taken);
        if self.standing == Standing::Beside {
            self.count_beside();
        }
    }

    /// Settles with an answer whose body is not read.
    pub(super) fn passed(mut self, status: StatusCode, headers: &HeaderMap) {
        let Some(mut taken) = self.entry.take() else {
            return;
        };
        let entry = Arc::make_mut(&mut taken);
        entry.http_status = Some(status.as_u16());
        entry.provider_id = request_id(headers);
        entry.status = if status.is_success() {
            Status::Succeeded
        } else {
            Status::Failed
        };
        entry.cost = Cost::Unpriced(UnpricedReason::UnmeteredEndpoint);
        self.write(taken);
    }

    /// Settles without an answer.
    pub(super) fn unanswered(mut self, may_have_had_effect: bool) {
        if may_have_had_effect {
            self.lose();
        }
        let Some(mut taken) = self.entry.take() else {
            return;
        };
        let entry = Arc::make_mut(&mut taken);
        entry.status = Status::Unanswered;
        entry.cost = Cost::Priced(Usd::ZERO);
        self.write(taken);
    }

    /// Notes that the answer is a stream, which settles later.
    pub(super) fn streams(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(entry) = self.entry() {
            entry.streamed = true;
            entry.http_status = Some(status.as_u16());
            entry.provider_id = request_id(headers);
        }
    }

    /// Notes that the first byte of a stream has come.
    pub(super) fn first_byte(&mut self) {
        let elapsed = self.elapsed_ms();
        if let Some(entry) = self.entry() {
            entry.first_byte_ms.get_or_insert(elapsed);
        }
    }

    /// Settles a stream that has ended, with what it told.
    pub(super) fn streamed(mut self, facts: &StreamFacts) {
        let status = match (facts.failed, facts.done) {
            (true, _) => Status::Failed,
            (false, true) => Status::Succeeded,
            (false, false) => Status::CutShort,
        };
        self.settle_stream(facts, status, PartialReason::CutShort);
    }

    /// Settles a stream that its caller dropped, with what it told until then.
    pub(super) fn stream_dropped(mut self, facts: &StreamFacts) {
        let status = if facts.done {
            Status::Succeeded
        } else {
            Status::Abandoned
        };
        self.settle_stream(facts, status, PartialReason::Abandoned);
    }

    fn settle_stream(&mut self, facts: &StreamFacts, status: Status, when_unknown: PartialReason) {
        let Some(mut taken) = self.entry.take() else {
            return;
        };
        let entry = Arc::make_mut(&mut taken);
        entry.status = status;
        let lane = match &facts.lane {
            None => Ok(None),
            Some(Ok(lane)) => Ok(Some(*lane)),
            Some(Err(_)) => Err(()),
        };
        let reading = Reading {
            model: facts.model.as_ref().map(|model| named(model.as_str())),
            lane,
            usage: facts.usage,
        };
        let why = if status == Status::Succeeded {
            PartialReason::NoUsage
        } else {
            when_unknown
        };
        self.book(entry, reading, why);
        self.write(taken);
    }

    fn book(&self, entry: &mut LedgerEntry, reading: Reading, when_unknown: PartialReason) {
        let baseline = self.baseline.as_ref();
        book(
            entry,
            &self.operation.facts,
            &self.bound,
            baseline,
            reading,
            when_unknown,
        );
    }

    /// Milliseconds since the call was made.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.operation.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn write(&mut self, mut taken: Arc<LedgerEntry>) {
        self.close(Arc::make_mut(&mut taken));
        self.record(&taken);
    }

    /// Completes the entry, ends its span, and charges for it. A second row of the same operation counts its latency from
    /// the call too.
    fn close(&mut self, entry: &mut LedgerEntry) {
        // An attempt that was refused for its route or its lane is followed by another that is no retry.
        let other = [Degradation::RouteRefused, Degradation::LaneChanged];
        let others = other.iter().filter(|other| entry.degradations.contains(other));
        if entry.attempts as usize > 1 + others.count() {
            entry.degradations.push(Degradation::Retried);
        }
        self.lost.book(entry);
        entry.latency_ms = Some(self.elapsed_ms());
        self.span.close(entry);
        self.operation.charge(entry);
    }

    fn record(&self, taken: &Arc<LedgerEntry>) {
        self.operation.core.record(taken);
        let Some(receipt) = &self.operation.receipt else {
            return;
        };
        if self.standing == Standing::Beside {
            receipt.add_beside(taken);
        } else {
            receipt.add(taken);
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.standing == Standing::Waits {
            self.count_beside();
            if let Some(mut taken) = self.entry.take() {
                Arc::make_mut(&mut taken).status = Status::Abandoned;
                self.record(&taken);
            }
            return;
        }
        let at_most = self.bound();
        let Some(mut taken) = self.entry.take() else {
            return;
        };
        let entry = Arc::make_mut(&mut taken);
        entry.status = Status::Abandoned;
        entry.cost = if self.in_flight {
            Cost::Partial {
                known: Usd::ZERO,
                at_most,
                why: PartialReason::Abandoned,
            }
        } else {
            Cost::Priced(Usd::ZERO)
        };
        self.write(taken);
    }
}

/// Returns the provider's id of the request.
fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .map(clipped)
}
