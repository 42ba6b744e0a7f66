//! A request's whole life: read, route, send, meter, price, record.

use std::sync::Arc;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use http::StatusCode;

use super::Shared;
use super::batching;
use super::call::Call;
use super::error::ours;
use super::plan::Plan;
use super::row::Row;
use super::scope::Scope;
use super::stream;
use crate::ledger::Role;
use crate::model::ModelId;
use crate::openai::{Reply, is_transient, may_have_had_effect};
use crate::wire::ErrorView;

/// Carries one call from its request to its answer.
pub(super) async fn run(
    shared: Arc<Shared>,
    scope: Arc<Scope>,
    factory: HttpRequestFactory,
) -> Result<reqwest::Response, OpenAIError> {
    let mut call = Call::open(Arc::clone(&shared.core), scope, factory).await?;
    let mut plan = Plan::make(&call).await?;
    if let Some(batched) = batching::ride(&shared.collector, &call, &mut plan).await {
        return batched;
    }
    let mut model = plan.model.clone();
    let mut fallbacks = plan.fallbacks.clone().into_iter();
    let mut row = Row::open(&call.operation, &plan, model.as_ref(), Role::Primary);
    loop {
        let result = ask(&mut call, &plan, model.as_ref(), &mut row).await?;
        match verdict(&result, &plan, model.as_ref()) {
            Verdict::AskAsRequested => {
                model.clone_from(&plan.baseline);
                row.refused(model.as_ref());
            }
            Verdict::Failed if fallbacks.len() > 0 => {
                settle(row, &result);
                model = fallbacks.next();
                row = Row::open(&call.operation, &plan, model.as_ref(), Role::Fallback);
            }
            Verdict::Failed | Verdict::Done => return hand_on(row, &plan, result),
        }
    }
}

/// Sends the request for one model, with retries.
async fn ask(
    call: &mut Call,
    plan: &Plan,
    model: Option<&ModelId>,
    row: &mut Row,
) -> Result<Result<Reply, OpenAIError>, OpenAIError> {
    let (first, rebuild) = call.request_for(plan, model).await?;
    let read_body = call.operation.endpoint.is_metered();
    let sender = &call.operation.core.sender;
    Ok(sender
        .send(first, &rebuild, read_body, |step| row.step(step))
        .await)
}

enum Verdict {
    /// The answer, or the failure, is the caller's.
    Done,
    /// The server was busy or out of reach: another model may answer.
    Failed,
    /// The routed model or a parameter was refused and nothing was billed: send what was asked for.
    AskAsRequested,
}

fn verdict(result: &Result<Reply, OpenAIError>, plan: &Plan, model: Option<&ModelId>) -> Verdict {
    match result {
        Err(error) if is_transient(error) => Verdict::Failed,
        Err(_) => Verdict::Done,
        Ok(reply) => match reply.status() {
            status if status.is_success() => Verdict::Done,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND if was_routed(plan, model) => {
                Verdict::AskAsRequested
            }
            StatusCode::BAD_REQUEST if was_routed(plan, model) && blames_the_route(reply) => {
                Verdict::AskAsRequested
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                Verdict::Failed
            }
            status if status.is_server_error() => Verdict::Failed,
            _ => Verdict::Done,
        },
    }
}

/// Whether the model asked is one that a router put in place of the one to fall back on.
fn was_routed(plan: &Plan, model: Option<&ModelId>) -> bool {
    plan.is_routed() && plan.baseline.is_some() && model != plan.baseline.as_ref()
}

fn blames_the_route(reply: &Reply) -> bool {
    match reply {
        Reply::Whole(response) => {
            ErrorView::read(response.body()).is_some_and(|error| error.blames_model_or_parameter())
        }
        Reply::Open(_) => false,
    }
}

/// Settles the row of an exchange that is no stream.
fn settle(row: Row, result: &Result<Reply, OpenAIError>) {
    match result {
        Ok(Reply::Whole(response)) => row.answered(response),
        Ok(Reply::Open(response)) => row.passed(response.status(), response.headers()),
        Err(error) => row.unanswered(may_have_had_effect(error)),
    }
}

/// Settles the row and hands the answer on; a stream settles when it ends.
fn hand_on(
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
            result.map(Reply::into_response).map_err(ours)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::TryStreamExt;
    use http::Method;

    use super::*;
    use crate::client::LlmClient;
    use crate::ledger::{Degradation, Filter, LedgerEntry, Status};
    use crate::openai::Transport;
    use crate::pricing::{Cost, PartialReason};
    use crate::router::FixedRouter;
    use crate::simulator::{Fault, Simulator};

    /// Sends a body as it is, through a client whose router would change it, and returns the answer and the row.
    async fn sent(simulator: &Simulator, body: &'static str) -> (StatusCode, Bytes, Arc<LedgerEntry>) {
        let transport = Transport::service(simulator.service());
        let llm = LlmClient::builder(simulator.client(), transport)
            .with_router(FixedRouter::new("gpt-4o-mini"))
            .build()
            .unwrap();
        let factory = HttpRequestFactory::new(move || async move {
            let url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
            let mut request = reqwest::Request::new(Method::POST, url);
            request
                .headers_mut()
                .insert("authorization", "Bearer k".parse().unwrap());
            *request.body_mut() = Some(body.into());
            Ok(request)
        });
        let response = run(Arc::clone(&llm.shared), Arc::clone(&llm.scope), factory)
            .await
            .unwrap();
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
