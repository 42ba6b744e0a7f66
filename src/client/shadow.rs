//! Shadows: another model asked the same, after the answer and beside it.

use std::sync::Arc;

use async_openai::error::OpenAIError;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budgeting;
use super::call::{Call, Operation};
use super::choice::in_time;
use super::course::Course;
use super::pipeline::{ask, settle};
use super::plan::Plan;
use super::row::Row;
use crate::budget::{Budgets, Hold};
use crate::model::ModelId;
use crate::openai::Reply;
use crate::pricing::{Cost, UnpricedReason};
use crate::router::verify::{Exchange, Verifier};
use crate::router::{Quality, Rating, Shadow};

/// What shadows may take of a client.
#[derive(Debug)]
pub(super) struct Shadows {
    pub(super) slots: Arc<Semaphore>,
    /// Their own, beside those of all calls.
    pub(super) budgets: Budgets,
}

/// Asks the shadow of a plan in a task of its own, now that this model has answered. It neither waits nor fails.
pub(super) fn begin(call: &Call, plan: &mut Plan, answered: &Row, result: &Result<Reply, OpenAIError>) {
    let Some(shadow) = plan.shadow.take() else { return };
    let (Ok(Reply::Whole(answer)), Some(model)) = (result, answered.model()) else {
        return;
    };
    if !answer.status().is_success() || model == shadow.model() {
        return;
    }
    let slots = Arc::clone(&call.operation.core.shadows.slots);
    let (Ok(runtime), Ok(slot)) = (Handle::try_current(), slots.try_acquire_owned()) else {
        return;
    };
    let task = Task {
        plan: plan.of_shadow(shadow.model()),
        answer: answer.body().clone(),
        answered_by: model.clone(),
        shadow,
        call: call.again(),
        _slot: slot,
    };
    runtime.spawn(task.run());
}

/// A shadow under way.
struct Task {
    /// An operation of its own under the same id: it has no receipt, and a hold for itself.
    call: Call,
    plan: Plan,
    shadow: Shadow,
    answer: Bytes,
    answered_by: ModelId,
    _slot: OwnedSemaphorePermit,
}

impl Task {
    async fn run(mut self) {
        let Some(hold) = self.hold().await else {
            tracing::debug!(target: "thrifty", op_id = %self.call.operation.op_id, "no budget has room for a shadow");
            return;
        };
        let course = Course::to(self.shadow.model().clone(), self.call.operation.core.sender.end());
        let mut row = Row::open(&self.call.operation, &mut self.plan, course.model());
        row.stands_beside();
        let result = ask(&mut self.call, &self.plan, &course, &mut row).await;
        let result = result.unwrap_or_else(Err);
        settle(row, &result);
        let spent = self.call.operation.spent();
        let cost = spent.map_or(Cost::Unpriced(UnpricedReason::Unbounded), Cost::Priced);
        hold.settle(Some(self.shadow.model()), &cost, None);
        // A judge takes its time, and costs nothing that is held for.
        self.call.release();
        if let Ok(Reply::Whole(answer)) = result
            && answer.status().is_success()
        {
            self.rate(answer.body()).await;
        }
    }

    /// Holds what it can cost in all budgets, and in those of shadows. It waits in no queue, where calls would wait
    /// behind it.
    async fn hold(&mut self) -> Option<Hold> {
        let Operation { core, scope, .. } = &*self.call.operation;
        let shadows = &core.shadows.budgets;
        let estimate = budgeting::of_plan(&self.call.operation, &self.plan);
        // Reads what was spent before.
        shadows.status().await.ok()?;
        let hold = shadows
            .reserve(&scope.attribution, &estimate)
            .now_or_never()?
            .ok()?;
        let lane = self.plan.lane;
        let of_calls = budgeting::hold(&self.call, &mut self.plan, lane).now_or_never();
        if of_calls.is_some_and(|held| held.is_ok()) {
            return Some(hold);
        }
        hold.release();
        None
    }

    /// Has both answers judged, and tells the router of them; of both or of none.
    async fn rate(&self, second: &[u8]) {
        let Some(judge) = self.shadow.judge() else { return };
        let first = self.judge(judge, &self.answered_by, &self.answer, second).await;
        let second = self.judge(judge, self.shadow.model(), second, &self.answer).await;
        let Some((first, second)) = first.zip(second) else {
            return;
        };
        let Operation { core, op_id, .. } = &*self.call.operation;
        core.rate(&Rating::new(*op_id, first).of_model(self.answered_by.clone()));
        core.rate(&Rating::new(*op_id, second).of_model(self.shadow.model().clone()));
    }

    async fn judge(
        &self,
        judge: &dyn Verifier,
        model: &ModelId,
        answer: &[u8],
        other: &[u8],
    ) -> Option<Quality> {
        let Operation {
            endpoint,
            scope,
            op_id,
            ..
        } = &*self.call.operation;
        let exchange = Exchange::new(endpoint, self.call.body()?, model, answer)
            .with_second(other)
            .with_attribution(&scope.attribution);
        match in_time(|| judge.judge(&exchange), self.shadow.time()).await {
            Ok(verdict) => verdict.quality(),
            Err(trouble) => {
                tracing::warn!(target: "thrifty", %op_id, ?trouble, "the judge of a shadow failed");
                None
            }
        }
    }
}
