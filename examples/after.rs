//! A program that calls OpenAI through async-openai. `after.rs` is the same program with thrifty.
//! It needs `OPENAI_API_KEY`; without one it says so and ends.

use async_openai::Client;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use thrifty::{LlmClient, Transport, router::HeuristicRouter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::var_os("OPENAI_API_KEY").is_none() {
        eprintln!("set OPENAI_API_KEY to run this against OpenAI");
        return Ok(());
    }
    let llm = LlmClient::builder(Client::new(), Transport::default())
        .with_router(HeuristicRouter::new("gpt-4o-mini", "gpt-4o"))
        .build()?;

    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o")
        .messages([ChatCompletionRequestUserMessage::from("Name three rivers.").into()])
        .build()?;
    let answer = llm.chat().create(request).await?;
    for choice in answer.choices {
        println!("{}", choice.message.content.unwrap_or_default());
    }
    Ok(())
}
