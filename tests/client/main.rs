//! Stories of the client: the calls of an application, against the simulator.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod calls;
mod streams;

use std::sync::Arc;

use async_openai::config::OpenAIConfig;
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
async fn rows(llm: &LlmClient) -> Vec<Arc<LedgerEntry>> {
    llm.ledger().scan(&Filter::default()).try_collect().await.unwrap()
}

/// The only row of the ledger.
async fn only_row(llm: &LlmClient) -> Arc<LedgerEntry> {
    let mut rows = rows(llm).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}
