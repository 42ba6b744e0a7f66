//! Microseconds of a call, with a subscriber that drops everything. `benches/telemetry_added` runs it with and without
//! the feature `telemetry`, and prints what that adds.
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use std::time::Instant;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use thrifty::{LlmClient, Transport};
use tower::service_fn;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const CALLS: u32 = 20_000;

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Paris.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":8,"total_tokens":32},"service_tier":"default"}"#;

/// Wants to be told everything, and drops it.
struct DropsAll;

impl Subscriber for DropsAll {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn canned(factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    std::hint::black_box(factory.build().await?);
    let answer = http::Response::builder().header("content-type", "application/json");
    Ok(answer.body(reqwest::Body::from(ANSWER)).unwrap().into())
}

fn main() {
    tracing::subscriber::set_global_default(DropsAll).unwrap();
    let config = OpenAIConfig::new().with_api_key("sk-bench");
    let llm = LlmClient::builder(
        Client::with_config(config),
        Transport::service(service_fn(canned)),
    )
    .build()
    .unwrap();
    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o-mini")
        .messages([ChatCompletionRequestUserMessage::from("What is the capital of France?").into()])
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let micros = runtime.block_on(async {
        let mut start = Instant::now();
        for call in 0..CALLS + 1_000 {
            if call == 1_000 {
                start = Instant::now();
            }
            llm.feature("bench").chat().create(request.clone()).await.unwrap();
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    });
    println!("{micros:.3}");
}
