//! What cascades and shadows add to a call: `cargo bench --bench cascade`.
//!
//! Each figure compares two clients of ours in the same run, turn by turn: one asks the cheap model and that is all, the
//! other one also judges its answer, or also has a shadow for a tenth of its calls.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use futures_util::{StreamExt, stream};
use thrifty::budget::Budget;
use thrifty::router::verify::{Finished, ValidToolCalls, Verifier, VerifierExt};
use thrifty::router::{CascadeRouter, Route, Router, ShadowRouter, router_fn};
use thrifty::tokens::TokenCounter;
use thrifty::{LlmClient, Transport};
use tokio::runtime::Runtime;
use tower::service_fn;

const CHEAP: &str = "gpt-4o-mini";
const STRONG: &str = "gpt-4o";

/// How long the model takes to answer where latency is measured. Real ones take longer, so that less would show.
const LATENCY: Duration = Duration::from_millis(20);

fn main() {
    TokenCounter::new().warm_up();
    let small = request(120);
    let answer = answer("Paris is the capital of France.");
    let (plain, added) = added(&small, &answer, Finished::new());
    let (_, with_tools) = self::added(&small, &answer, Finished::new().and(ValidToolCalls::new()));
    println!(
        "goal router/cascade-overhead: {added:.1} us (<= 5; of CPU time; finished and valid calls {with_tools:.1} us; a plain call {plain:.1} us)"
    );
    let long = self::answer(&"The capital of France is Paris. ".repeat(375));
    let (_, of_long) = self::added(&request(12_000), &long, Finished::new());
    println!("cascade-overhead for 12 kB of request and of answer: {of_long:.1} us");
    shadows(&small, &answer);
}

fn request(bytes: usize) -> CreateChatCompletionRequest {
    let sentence = "You answer questions on geography, shortly and correctly. ";
    let system: String = sentence.chars().cycle().take(bytes).collect();
    CreateChatCompletionRequestArgs::default()
        .model(STRONG)
        .messages([
            ChatCompletionRequestSystemMessage::from(system).into(),
            ChatCompletionRequestUserMessage::from("What is the capital of France?").into(),
        ])
        .max_completion_tokens(100_u32)
        .build()
        .unwrap()
}

fn answer(text: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":24,"completion_tokens":8,"total_tokens":32,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_1"}}"#
    )
}

fn client(router: impl Router, answer: &str, latency: Duration) -> LlmClient {
    let config = OpenAIConfig::new()
        .with_api_key("sk-bench")
        .with_api_base("http://127.0.0.1:9/v1");
    let answer = bytes::Bytes::from(answer.to_owned());
    let canned = service_fn(move |factory: HttpRequestFactory| {
        let answer = answer.clone();
        async move {
            std::hint::black_box(factory.build().await?);
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let response = http::Response::builder().header("content-type", "application/json");
            Ok::<reqwest::Response, OpenAIError>(response.body(reqwest::Body::from(answer)).unwrap().into())
        }
    });
    LlmClient::builder(Client::with_config(config), Transport::service(canned))
        .with_router(router)
        .with_shadow_budget(Budget::new("shadows", "1000000".parse().unwrap()))
        .with_max_shadows(64)
        .build()
        .unwrap()
}

fn cheap() -> impl Router {
    router_fn(|_| Route::to(CHEAP).because("always"))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap()
}

/// CPU time of this process: of one thread that never waits, also where others use the machine.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap()
}

/// Microseconds of a plain call, and those that an accepted answer takes more.
fn added(request: &CreateChatCompletionRequest, answer: &str, verifier: impl Verifier) -> (f64, f64) {
    const CALLS: u32 = 2_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let plain = client(cheap(), answer, Duration::ZERO);
    let cascade = client(
        CascadeRouter::new(CHEAP, verifier, STRONG),
        answer,
        Duration::ZERO,
    );
    let per_call = |llm: &LlmClient| {
        runtime.block_on(async {
            let start = cpu_time();
            for _ in 0..CALLS {
                drop(llm.feature("bench").chat().create(request.clone()).await.unwrap());
            }
            cpu_time().saturating_sub(start).as_secs_f64() * 1e6 / f64::from(CALLS)
        })
    };
    let pair = || (per_call(&plain), per_call(&cascade));
    pair();
    let pairs: Vec<_> = (0..15).map(|_| pair()).collect();
    (
        median(pairs.iter().map(|(plain, _)| *plain).collect()),
        median(pairs.iter().map(|(plain, cascade)| cascade - plain).collect()),
    )
}

/// The latency of answers with a shadow for a tenth of them, beside that without: the median over pairs of turns, since
/// what else the machine does would decide one p99 over all of them.
fn shadows(request: &CreateChatCompletionRequest, answer: &str) {
    const ROUNDS: usize = 40;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let plain = client(cheap(), answer, LATENCY);
    let shadowed = ShadowRouter::new(STRONG, 0.1)
        .judged_by(Finished::new())
        .behind(cheap());
    let shadowed = client(shadowed, answer, LATENCY);
    let p99 = |llm: &LlmClient| {
        let mut latencies = latencies_of(&runtime, llm, request);
        latencies.sort_by(f64::total_cmp);
        latencies.get(latencies.len() * 99 / 100).copied().unwrap()
    };
    p99(&plain);
    let pairs: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            // Each goes first in half of the rounds.
            if round % 2 == 0 {
                let without = p99(&plain);
                (without, p99(&shadowed))
            } else {
                let with = p99(&shadowed);
                (p99(&plain), with)
            }
        })
        .collect();
    let ratio = median(pairs.iter().map(|(without, with)| with / without).collect());
    let without = median(pairs.iter().map(|(without, _)| *without).collect());
    let with = median(pairs.iter().map(|(_, with)| *with).collect());
    println!(
        "goal router/shadow-latency: {ratio:.3} x (<= 1.02; median of 40 pairs; p99 {with:.2} ms with, {without:.2} ms without, of a model that takes {LATENCY:?})"
    );
}

fn latencies_of(runtime: &Runtime, llm: &LlmClient, request: &CreateChatCompletionRequest) -> Vec<f64> {
    runtime.block_on(async {
        stream::iter(0..400)
            .map(|_| async {
                let start = Instant::now();
                drop(llm.feature("bench").chat().create(request.clone()).await.unwrap());
                start.elapsed().as_secs_f64() * 1e3
            })
            .buffer_unordered(16)
            .collect()
            .await
    })
}
