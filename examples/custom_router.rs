//! A router of one's own, twice: as a type, and as a closure. Runs offline.

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use async_trait::async_trait;
use thrifty::router::{Route, RouteError, RouteRequest, Router, RouterExt, router_fn};
use thrifty::simulator::Simulator;
use thrifty::{LlmClient, Transport};

#[derive(Debug)]
struct DraftsAreCheap;

#[async_trait]
impl Router for DraftsAreCheap {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(match request.attribution().feature() {
            Some("drafts") => Route::to("gpt-4o-mini").because("drafts need no more"),
            _ => Route::keep(),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let short_is_cheap = router_fn(|request| match request.exceeds(200) {
        Some(false) => Route::to("gpt-4.1-nano").because("at most 200 tokens"),
        _ => Route::keep(),
    });

    let simulator = Simulator::new();
    let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
        .with_router(DraftsAreCheap.or_else(short_is_cheap))
        .build()?;

    for (feature, prompt) in [
        ("drafts", "Draft a letter to the landlord.".to_owned()),
        ("questions", "How high is the Matterhorn?".to_owned()),
        ("reviews", "Review this contract. ".repeat(60)),
    ] {
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o")
            .messages([ChatCompletionRequestUserMessage::from(prompt).into()])
            .build()?;
        let call = llm.feature(feature).tracked();
        call.chat().create(request).await?;
        let receipt = call.receipt().await.ok_or("the call left no receipt")?;
        let served = receipt.served_model().map_or("?", |model| model.as_str());
        println!(
            "{feature}: {served} ({})",
            receipt.reason().unwrap_or("as asked for")
        );
    }
    Ok(())
}
