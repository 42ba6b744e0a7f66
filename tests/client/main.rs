//! Stories of the client: the calls of an application, against the simulator.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod bad_days;
mod batch_pages;
mod batching;
mod billed;
mod bounds;
mod budgets;
#[cfg(unix)]
mod budgets_killed;
mod calls;
mod cascade_batches;
mod cascade_budgets;
mod cascades;
mod flex;
#[cfg(unix)]
mod full_disk;
mod learned;
mod ledger;
mod lost;
mod overtaken;
mod prices;
mod queue;
mod retry;
mod routers;
mod routing;
mod scored;
mod shadows;
#[cfg(unix)]
mod small_files;
mod streams;
mod transport;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_openai::config::{Config, OpenAIConfig};
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use futures_util::TryStreamExt;
use thrifty::ledger::{Filter, LedgerEntry};
use thrifty::simulator::Simulator;
use thrifty::{LlmClient, LlmClientBuilder, Transport};

/// A client in front of a simulator, in process.
fn client_of(simulator: &Simulator) -> LlmClientBuilder<OpenAIConfig> {
    LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
}

fn chat(model: &str, prompt: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from(prompt).into()])
        .build()
        .unwrap()
}

/// All rows of the ledger, oldest first.
async fn rows<C: Config>(llm: &LlmClient<C>) -> Vec<Arc<LedgerEntry>> {
    llm.ledger().scan(&Filter::default()).try_collect().await.unwrap()
}

/// The only row of the ledger.
async fn only_row<C: Config>(llm: &LlmClient<C>) -> Arc<LedgerEntry> {
    let mut rows = rows(llm).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

/// A transport that gives these answers one after the other, each a status and a body, and then none.
fn scripted<const N: usize>(answers: [(u16, &str); N]) -> Transport {
    let answers: VecDeque<_> = answers.map(|(status, body)| (status, body.to_owned())).into();
    let answers = Arc::new(Mutex::new(answers));
    Transport::service(tower::service_fn(move |request: HttpRequestFactory| {
        let answers = Arc::clone(&answers);
        async move {
            request.build().await?;
            let (status, body) = answers.lock().unwrap().pop_front().unwrap();
            let kind = if body.starts_with("event:") {
                "text/event-stream"
            } else {
                "application/json"
            };
            let response = http::Response::builder()
                .status(status)
                .header("content-type", kind);
            Ok::<_, OpenAIError>(response.body(body).unwrap().into())
        }
    }))
}

/// Returns thrifty's own error inside one of async-openai's.
fn ours(error: &OpenAIError) -> &thrifty::Error {
    match error {
        OpenAIError::Boxed(boxed) => boxed.downcast_ref().unwrap(),
        other => panic!("{other:?}"),
    }
}
