//! A request's whole life: read, route, send, meter, price, record.

use std::sync::Arc;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use tracing::Instrument;

use super::Shared;
use super::batching;
use super::budgeting;
use super::call::Call;
use super::cascade::{self, After, Kept};
use super::course::{Course, Next};
use super::error::ours;
use super::plan::Plan;
use super::row::Row;
use super::scope::Scope;
use super::shadow;
use super::stream;
use crate::lane::Lane;
use crate::ledger::Degradation;
use crate::openai::{Expected, Reply, may_have_had_effect};

/// Carries one call from its request to its answer.
pub(super) async fn run(
    shared: Arc<Shared>,
    scope: Arc<Scope>,
    factory: HttpRequestFactory,
) -> Result<reqwest::Response, OpenAIError> {
    let mut call = Call::open(Arc::clone(&shared.core), scope, factory).await?;
    let mut plan = Plan::make(&call).await?;
    // An answer that a verifier did not accept.
    let mut kept = None;
    if batching::may_ride(&shared, &call, &mut plan)? {
        // A key that is known attaches to a request that has its hold.
        if !batching::attaches(&shared, &call) {
            budgeting::hold(&call, &mut plan, Lane::Batch).await?;
        }
        if let Some(batched) = batching::ride(&shared, &mut call, &mut plan, &mut kept).await {
            return batched;
        }
    }
    let lane = plan.go_at_once();
    if let Err(refused) = budgeting::hold(&call, &mut plan, lane).await {
        return hand_on_failure(kept, &plan, Err(refused));
    }
    let mut course = Course::of(&plan, call.operation.core.sender.end());
    let mut row = Row::open(&call.operation, &mut plan, course.model());
    loop {
        let result = match ask(&mut call, &plan, &course, &mut row).await {
            Ok(result) => result,
            Err(error) if kept.is_none() => return Err(error),
            Err(error) => return hand_on_failure(kept, &plan, Err(error)),
        };
        match course.after(&result) {
            Next::HandOn => {
                match cascade::after(&mut call, &mut plan, &mut course, &mut kept, row, result).await {
                    After::HandOn(row, result) => {
                        shadow::begin(&call, &mut plan, &row, &result);
                        return hand_on(row, &plan, result);
                    }
                    After::Ask(next) => row = next,
                }
            }
            Next::AskOtherwise(why) => match otherwise(row, &call, &mut plan, &course, &result, why) {
                Some(same) => row = same,
                None => return hand_on_failure(kept, &plan, result),
            },
            Next::FallBack => {
                settle(row, &result);
                match next_row(&call, &mut plan, &course) {
                    Some(next) => row = next,
                    None => return hand_on_failure(kept, &plan, course.failure(result)),
                }
                course.keep(result);
            }
            Next::HandOnFailure => {
                settle(row, &result);
                return hand_on_failure(kept, &plan, course.failure(result));
            }
        }
    }
}

/// Goes on without the lane or the model that was refused: in the same row, unless an attempt of it may have been billed.
/// `None` if the budgets have no room for that; the row is then settled.
fn otherwise(
    mut row: Row,
    call: &Call,
    plan: &mut Plan,
    course: &Course,
    result: &Result<Reply, OpenAIError>,
    why: Degradation,
) -> Option<Row> {
    if why == Degradation::LaneChanged {
        plan.leave_flex(call.operation.core.project_lane);
    }
    if row.has_lost() {
        row.note(why);
        settle(row, result);
        return next_row(call, plan, course);
    }
    if budgeting::cover(&call.operation, plan).is_err() {
        settle(row, result);
        return None;
    }
    row.note(why);
    row.turn_to(course.model(), plan.lane);
    Some(row)
}

/// Begins the row of another model or lane, if the budgets have room for it beside what may have been billed before.
fn next_row(call: &Call, plan: &mut Plan, course: &Course) -> Option<Row> {
    plan.advance_to(course.model());
    budgeting::cover(&call.operation, plan).ok()?;
    Some(Row::open(&call.operation, plan, course.model()))
}

/// Sends the request for one model, with retries.
pub(super) async fn ask(
    call: &mut Call,
    plan: &Plan,
    course: &Course,
    row: &mut Row,
) -> Result<Result<Reply, OpenAIError>, OpenAIError> {
    let (first, rebuild) = call.request_for(plan, course.model()).await?;
    let expected = match plan.streams {
        _ if !call.operation.endpoint.is_metered() => Expected::Anything,
        true => Expected::Stream,
        false => Expected::Answer,
    };
    let sender = &call.operation.core.sender;
    let span = row.span().clone();
    Ok(sender
        .send(first, &rebuild, expected, course.end(), |step| row.step(step))
        .instrument(span)
        .await)
}

/// Settles the row of an exchange that is no stream.
pub(super) fn settle(row: Row, result: &Result<Reply, OpenAIError>) {
    match result {
        Ok(Reply::Whole(response)) => row.answered(response),
        Ok(Reply::Open(response)) => row.passed(response.status(), response.headers()),
        Err(error) => row.unanswered(may_have_had_effect(error)),
    }
}

/// Settles the row and hands the answer on; a stream settles when it ends.
pub(super) fn hand_on(
    mut row: Row,
    plan: &Plan,
    result: Result<Reply, OpenAIError>,
) -> Result<reqwest::Response, OpenAIError> {
    match result {
        Ok(Reply::Open(response)) if row.is_metered() => {
            row.streams(response.status(), response.headers());
            Ok(stream::metered(response, row, plan.hides_usage))
        }
        result => {
            settle(row, &result);
            into_response(result)
        }
    }
}

/// Hands on a failure, whose row is settled; or an answer from before it, if there is one.
pub(super) fn hand_on_failure(
    kept: Option<Kept>,
    plan: &Plan,
    failure: Result<Reply, OpenAIError>,
) -> Result<reqwest::Response, OpenAIError> {
    match kept.and_then(Kept::into_answer) {
        Some((row, answer)) => hand_on(row, plan, Ok(answer)),
        None => into_response(failure),
    }
}

/// Turns an answer, or a failure, back into what async-openai knows.
fn into_response(result: Result<Reply, OpenAIError>) -> Result<reqwest::Response, OpenAIError> {
    result.map(Reply::into_response).map_err(ours)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::TryStreamExt;
    use http::{Method, StatusCode};

    use super::*;
    use crate::client::LlmClient;
    use crate::ledger::{Degradation, Filter, LedgerEntry, Status};
    use crate::openai::Transport;
    use crate::pricing::{Cost, PartialReason};
    use crate::router::verify::{Exchange, Verdict, verifier_fn};
    use crate::router::{CascadeRouter, FixedRouter, Router};
    use crate::simulator::{Fault, Simulator};

    fn client(router: impl Router, simulator: &Simulator) -> LlmClient {
        LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
            .with_router(router)
            .build()
            .unwrap()
    }

    /// Sends a body as it is.
    async fn send(llm: &LlmClient, body: &'static str) -> reqwest::Response {
        let factory = HttpRequestFactory::new(move || async move {
            let url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
            let mut request = reqwest::Request::new(Method::POST, url);
            request
                .headers_mut()
                .insert("authorization", "Bearer k".parse().unwrap());
            *request.body_mut() = Some(body.into());
            Ok(request)
        });
        run(Arc::clone(&llm.shared), Arc::clone(&llm.scope), factory)
            .await
            .unwrap()
    }

    /// Sends a body as it is, through a client whose router would change it, and returns the answer and the row.
    async fn sent(simulator: &Simulator, body: &'static str) -> (StatusCode, Bytes, Arc<LedgerEntry>) {
        let llm = client(FixedRouter::new("gpt-4o-mini"), simulator);
        let response = send(&llm, body).await;
        let (status, body) = (response.status(), response.bytes().await.unwrap());
        let rows: Vec<_> = llm.ledger().scan(&Filter::default()).try_collect().await.unwrap();
        assert_eq!(rows.len(), 1);
        (status, body, Arc::clone(&rows[0]))
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_is_passed_on_as_it_is_and_booked() {
        for body in [
            "",
            "no JSON",
            "[1]",
            r#"{"model":"gpt-4o","messages":["#,
            r#"{"model":"gpt-4o","model":"o3","messages":[{"role":"user","content":"hi"}]}"#,
        ] {
            let simulator = Simulator::new();
            let (status, _, row) = sent(&simulator, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(simulator.requests()[0].body, body);
            assert_eq!((row.status, row.http_status), (Status::Failed, Some(400)));
            assert_eq!(row.degradations, [Degradation::UnreadableRequest]);
            assert_eq!(row.requested_model, None);
        }
    }

    #[tokio::test]
    async fn a_model_that_is_no_string_is_left_alone() {
        let simulator = Simulator::new();
        let body = r#"{"model":7,"messages":[{"role":"user","content":"hi"}]}"#;
        let (_, _, row) = sent(&simulator, body).await;
        assert_eq!(simulator.requests()[0].body, body);
        assert_eq!((row.requested_model.as_ref(), row.attempts), (None, 1));
    }

    #[tokio::test]
    async fn an_answer_that_was_judged_reaches_the_caller_byte_for_byte_also_if_the_next_model_fails() {
        let answer = "{ \"model\" : \"gpt-4o-mini\",\n \"choices\":[],\"usage\":null }  ";
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"x":1.50e1}"#;
        for verdict in [Verdict::Accept, Verdict::Reject("never")] {
            let simulator = Simulator::new();
            simulator.inject(Fault::body(answer).containing("\"gpt-4o-mini\""));
            simulator.inject(Fault::status(400).containing("\"gpt-4o\""));
            let sees = move |exchange: &Exchange<'_>| {
                assert_eq!(exchange.request_body(), body.as_bytes());
                assert_eq!(exchange.answer_body(), answer.as_bytes());
                verdict
            };
            let router = CascadeRouter::new("gpt-4o-mini", verifier_fn(sees), "gpt-4o");
            let response = send(&client(router, &simulator), body).await;
            let (status, shown) = (response.status(), response.bytes().await.unwrap());
            assert_eq!(
                (status, shown.as_ref()),
                (StatusCode::OK, answer.as_bytes()),
                "{verdict:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_reaches_the_caller_byte_for_byte() {
        for answer in [
            "{ \"model\" : \"gpt-4o\",\n \"usage\":null }  ",
            "\u{feff}not JSON at all",
            "",
        ] {
            let simulator = Simulator::new();
            simulator.inject(Fault::body(answer));
            let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
            let (status, shown, row) = sent(&simulator, body).await;
            assert_eq!((status, shown.as_ref()), (StatusCode::OK, answer.as_bytes()));
            assert!(matches!(
                row.cost,
                Cost::Partial {
                    at_most: Some(_),
                    why: PartialReason::NoUsage,
                    ..
                }
            ));
        }
    }
}
