//! After an answer: whether it does, or the model of the next step is asked.

use std::time::Duration;

use async_openai::error::OpenAIError;
use bytes::Bytes;
use tokio::time::Instant;

use super::budgeting::{covers_steps, may_spend};
use super::call::{Call, Operation};
use super::choice::{Trouble, in_time};
use super::course::Course;
use super::pipeline::{ask, settle};
use super::plan::Plan;
use super::row::Row;
use super::steps::PlannedStep;
use crate::ledger::{Degradation, Role};
use crate::model::ModelId;
use crate::openai::Reply;
use crate::router::verify::{Exchange, Verdict};

/// What to do after a call to a model has ended.
pub(super) enum After {
    /// This is the caller's.
    HandOn(Row, Result<Reply, OpenAIError>),
    /// The next step: its model is asked, for which this row was begun.
    Ask(Row),
}

/// An answer that a verifier did not accept, kept in case that no better one comes.
pub(super) struct Kept {
    /// Until it is settled.
    row: Option<Row>,
    answer: Option<http::Response<Bytes>>,
}

impl Kept {
    /// It is handed out after all.
    pub(super) fn into_answer(mut self) -> Option<(Row, Reply)> {
        let (mut row, answer) = self.row.take().zip(self.answer.take())?;
        row.note(Degradation::NotEscalated);
        row.explain("no answer of the next model came");
        Some((row, Reply::Whole(answer)))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            row.set_aside();
        }
    }
}

/// Has the answer of a planned model judged, if a step is to come, and begins that step if the answer does not do.
pub(super) async fn after(
    call: &mut Call,
    plan: &mut Plan,
    course: &mut Course,
    kept: &mut Option<Kept>,
    row: Row,
    result: Result<Reply, OpenAIError>,
) -> After {
    plan.advance_to(course.model());
    let answer = match result {
        Ok(Reply::Whole(answer)) if answer.status().is_success() => answer,
        Ok(Reply::Open(response)) if response.status().is_success() => {
            drop(kept.take());
            return After::HandOn(row, Ok(Reply::Open(response)));
        }
        failure => {
            return match kept.take().and_then(Kept::into_answer) {
                Some((before, answer)) => {
                    settle(row, &failure);
                    After::HandOn(before, Ok(answer))
                }
                None => After::HandOn(row, failure),
            };
        }
    };
    let end = course.end();
    // Another fallback, or what was asked for at first, is not judged.
    if plan.model.as_ref() != course.model() {
        drop(kept.take());
        return After::HandOn(row, Ok(Reply::Whole(answer)));
    }
    if let Some((row, answer)) = decide(call, plan, end, kept, row, answer).await {
        return After::HandOn(row, Ok(Reply::Whole(answer)));
    }
    *course = Course::of_step(plan, end);
    After::Ask(Row::open(&call.operation, plan, course.model()))
}

/// Has an answer of the planned model judged, if a step is to come. Returns it if it is to be handed out.
///
/// Else it is kept, and the plan has turned to its next model, for which the budgets have room.
pub(super) async fn decide(
    call: &mut Call,
    plan: &mut Plan,
    end: Instant,
    kept: &mut Option<Kept>,
    mut row: Row,
    answer: http::Response<Bytes>,
) -> Option<(Row, http::Response<Bytes>)> {
    // It is at least as good as what came before it.
    drop(kept.take());
    let (Some(step), Some(model)) = (plan.steps.next().cloned(), plan.model.clone()) else {
        return Some((row, answer));
    };
    row.waits(&answer);
    let Err(why) = judge(call, plan, end, &step, &model, &mut row, &answer).await else {
        return Some((row, answer));
    };
    if let Err(why_not) = may_begin(&call.operation, plan, end, step.step.model()) {
        row.note(Degradation::NotEscalated);
        row.explain(&format!("not accepted: {why}, and {why_not}"));
        return Some((row, answer));
    }
    row.explain(&format!("not accepted: {why}"));
    *kept = Some(Kept {
        row: Some(row),
        answer: Some(answer),
    });
    plan.add_reason(&format!("the answer of {model} was not accepted: {why}"));
    plan.advance_to(Some(step.step.model()));
    plan.fallbacks.clear();
    plan.role = Role::Step;
    None
}

/// Whether a model may be asked as a step now. A caller who can wait longer than the plan grants its steps grants them
/// that.
///
/// # Errors
/// Why not.
fn may_begin(operation: &Operation, plan: &Plan, end: Instant, model: &ModelId) -> Result<(), &'static str> {
    let patience = operation.scope.within.unwrap_or_default();
    let is_late = |time: Duration| operation.started.elapsed() > time.max(patience);
    if plan.steps.within.is_some_and(is_late) || Instant::now() >= end {
        Err("there was no time for the next model")
    } else if !may_spend(operation, plan, model) {
        Err("the next model could cost too much")
    } else if !covers_steps(operation, plan) {
        Err("a budget has no room for the next model")
    } else {
        Ok(())
    }
}

/// Has an answer judged, if need be with a second opinion.
///
/// # Errors
/// Why it does not do.
async fn judge(
    call: &mut Call,
    plan: &mut Plan,
    end: Instant,
    step: &PlannedStep,
    model: &ModelId,
    row: &mut Row,
    answer: &http::Response<Bytes>,
) -> Result<(), &'static str> {
    let verdict = verdict(call, step, model, row, answer.body(), None).await?;
    if verdict != Verdict::AskSecond {
        return accept(verdict, step);
    }
    let second = second_opinion(call, plan, end, model).await?;
    let verdict = self::verdict(call, step, model, row, answer.body(), Some(&second)).await?;
    accept(verdict, step)
}

fn accept(verdict: Verdict, step: &PlannedStep) -> Result<(), &'static str> {
    match verdict {
        verdict if verdict.accepts_from(step.step.accepts_from()) => Ok(()),
        Verdict::Reject(why) => Err(why),
        _ => Err("its verifier was not sure enough"),
    }
}

async fn verdict(
    call: &Call,
    step: &PlannedStep,
    model: &ModelId,
    row: &mut Row,
    answer: &[u8],
    second: Option<&[u8]>,
) -> Result<Verdict, &'static str> {
    let operation = &call.operation;
    let exchange = Exchange::new(
        &operation.endpoint,
        call.body().unwrap_or_default(),
        model,
        answer,
    )
    .with_attribution(&operation.scope.attribution);
    let exchange = match second {
        Some(second) => exchange.with_second(second),
        None => exchange,
    };
    let judged = in_time(|| step.step.verifier().judge(&exchange), step.step.time()).await;
    judged.map_err(|trouble| {
        row.note(Degradation::VerifierFailed);
        match trouble {
            Trouble::Panicked => "its verifier panicked",
            Trouble::TimedOut => "its verifier took too long",
        }
    })
}

/// Asks the second model of a step the same, and returns the body of its answer.
///
/// # Errors
/// Why there is none.
async fn second_opinion(
    call: &mut Call,
    plan: &mut Plan,
    end: Instant,
    of: &ModelId,
) -> Result<Bytes, &'static str> {
    let planned = plan.steps.next().and_then(|step| step.opinion.clone());
    let second = planned.ok_or("there is no second model to ask")?;
    may_begin(&call.operation, plan, end, &second)?;
    plan.steps.take_opinion();
    plan.role = Role::Opinion;
    // Whoever waits for a batch may wait longer than one call takes.
    let course = Course::to(second, end.min(call.operation.core.sender.end()));
    let mut row = Row::open(&call.operation, plan, course.model());
    row.explain(&format!("a second opinion on the answer of {of}"));
    row.stands_beside();
    let result = ask(call, plan, &course, &mut row).await;
    let result = result.unwrap_or_else(Err);
    settle(row, &result);
    match result {
        Ok(Reply::Whole(answer)) if answer.status().is_success() => Ok(answer.into_body()),
        _ => Err("the second model did not answer"),
    }
}
