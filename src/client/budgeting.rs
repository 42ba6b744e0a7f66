//! Calls and budgets: what is held for a call, and what is asked when there is no room for it.

use async_openai::error::OpenAIError;

use super::call::{Call, Operation};
use super::error::Error;
use super::lines::BATCH_TIME;
use super::plan::Plan;
use super::steps::Steps;
use crate::budget::{BudgetError, Estimate};
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::money::Usd;

/// Holds what a call can cost at most on a lane, in all budgets that it counts for. If it holds something already, it
/// makes that enough.
///
/// A budget may ask for a cheaper model instead; the plan then names that. Where there is no room for the steps of a plan,
/// nothing is held for them: they look for room when they come.
pub(super) async fn hold(call: &Call, plan: &mut Plan, lane: Lane) -> Result<(), OpenAIError> {
    let operation = &call.operation;
    if operation.hold.get().is_some() {
        return cover(operation, plan);
    }
    let budgets = &operation.core.budgets;
    if budgets.is_empty() || is_free(&operation.endpoint) || is_harmless(call) {
        return Ok(());
    }
    loop {
        let first = estimate(operation, plan, lane, &Steps::default());
        let hold = match budgets.reserve(&operation.scope.attribution, &first).await {
            Ok(hold) => hold,
            // A plan with steps does with less: its first model alone.
            Err(BudgetError::Refused(_)) if !plan.steps.is_empty() && plan.ask_only_its_model() => continue,
            Err(BudgetError::Refused(refusal))
                if refusal.asks_for_downgrade() && downgrade(operation, plan, lane, &refusal.budget) =>
            {
                continue;
            }
            Err(error) => return Err(refused(error)),
        };
        if let Err(hold) = operation.hold.set(hold) {
            hold.release();
        }
        if !plan.steps.is_empty()
            && try_cover(operation, &estimate(operation, plan, lane, &plan.steps)).is_err()
        {
            tracing::debug!(target: "thrifty", op_id = %operation.op_id, "the budgets have no room for later steps yet");
        }
        return Ok(());
    }
}

/// Makes the hold of a call cover what it can cost from now on, on another lane or after a model that may have been
/// billed.
pub(super) fn cover(operation: &Operation, plan: &Plan) -> Result<(), OpenAIError> {
    try_cover(operation, &of_plan(operation, plan)).map_err(refused)
}

fn try_cover(operation: &Operation, estimate: &Estimate) -> Result<(), BudgetError> {
    let hold = operation.hold.get();
    hold.map_or(Ok(()), |hold| hold.cover(&operation.scope.attribution, estimate))
}

/// Makes the hold of a call cover the steps that are still to come, after all before them is booked; `false` if the
/// budgets have no room.
pub(super) fn covers_steps(operation: &Operation, plan: &Plan) -> bool {
    let estimate = plan.steps.models().fold(None, |sum: Option<Estimate>, model| {
        let most = cost(operation, plan, model, plan.lane);
        let sum = match sum {
            Some(sum) => sum.and(model, most),
            None => Estimate::of(model, most),
        };
        Some(with_tokens(sum, tokens(operation, plan, model)))
    });
    estimate.is_none_or(|estimate| try_cover(operation, &estimate).is_ok())
}

/// Whether a model may be asked within what the steps of a plan may cost.
pub(super) fn may_spend(operation: &Operation, plan: &Plan, model: &ModelId) -> bool {
    let Some(limit) = plan.steps.at_most else {
        return true;
    };
    let most = operation.spent().zip(cost(operation, plan, model, plan.lane));
    most.and_then(|(spent, more)| spent.checked_add(more))
        .is_some_and(|most| most <= limit)
}

fn refused(error: BudgetError) -> OpenAIError {
    tracing::warn!(target: "thrifty", %error, "a call was not let through");
    Error::from(error).into()
}

/// Asks no other model after the planned one, or else takes the dearest of the cheaper models that is left; `false` if
/// there is none.
fn downgrade(operation: &Operation, plan: &mut Plan, lane: Lane, budget: &str) -> bool {
    if plan.cheaper.is_empty() {
        return false;
    }
    if plan.ask_only_its_model() {
        return true;
    }
    let most = |model: &ModelId| cost(operation, plan, model, lane);
    let now = plan.model.as_ref().and_then(most);
    // What has no bound, or is no cheaper, would not be let through either.
    let cheaper = |model: &ModelId| {
        Some((most(model)?, model.clone())).filter(|(cost, _)| now.is_none_or(|now| *cost < now))
    };
    let Some((_, model)) = plan.cheaper.iter().filter_map(cheaper).max() else {
        return false;
    };
    plan.downgrade(model, budget);
    true
}

/// Returns the most that a plan can cost on its lane.
pub(super) fn of_plan(operation: &Operation, plan: &Plan) -> Estimate {
    estimate(operation, plan, plan.lane, &plan.steps)
}

/// Returns the most that a call can cost, for each model that its plan may ask, with these steps.
fn estimate(operation: &Operation, plan: &Plan, lane: Lane, steps: &Steps) -> Estimate {
    let Some(model) = &plan.model else {
        return Estimate::without_model(None);
    };
    let tokens = |model: &ModelId| tokens(operation, plan, model);
    let most = cost(operation, plan, model, lane);
    let mut estimate = with_tokens(Estimate::of(model, most), tokens(model));
    if lane == Lane::Batch {
        estimate = estimate.settles_within(BATCH_TIME);
    }
    for step in steps.models() {
        let most = cost(operation, plan, step, lane);
        estimate = with_tokens(estimate.and(step, most), tokens(step));
    }
    let returns = plan
        .returns_to()
        .filter(|model| plan.model.as_ref() != Some(*model));
    for other in plan.fallbacks.iter().chain(returns) {
        let most = cost(operation, plan, other, lane);
        estimate = with_tokens(estimate.or(other, most), tokens(other));
    }
    estimate
}

/// Adds the most input and output tokens to an estimate, where both have a bound.
pub(super) fn with_tokens(estimate: Estimate, most: (Option<u64>, Option<u64>)) -> Estimate {
    match most {
        (Some(input), Some(output)) => estimate.with_tokens(input, output),
        _ => estimate,
    }
}

fn tokens(operation: &Operation, plan: &Plan, model: &ModelId) -> (Option<u64>, Option<u64>) {
    plan.bound.tokens(&operation.facts, &operation.endpoint, model)
}

fn cost(operation: &Operation, plan: &Plan, model: &ModelId, lane: Lane) -> Option<Usd> {
    let Operation { facts, endpoint, .. } = operation;
    plan.bound.cost(facts, endpoint, model, lane, operation.at)
}

/// Whether calls to an endpoint cost nothing: they only read or delete, move files, or moderate.
pub(super) fn is_free(endpoint: &Endpoint) -> bool {
    let name = endpoint.as_str();
    !endpoint.is_metered()
        && (!name.starts_with("POST ")
            || matches!(
                name,
                "POST /files" | "POST /uploads" | "POST /moderations" | "POST /conversations"
            ))
}

/// Whether a call costs nothing though others to its endpoint do: it cancels something, or counts tokens.
fn is_harmless(call: &Call) -> bool {
    let path = call.request().map_or("", |request| request.url().path());
    path.ends_with("/cancel") || path.ends_with("/input_tokens")
}
