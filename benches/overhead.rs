//! What thrifty adds to a call: `cargo bench --bench overhead`.
//!
//! Every figure is a median over interleaved pairs of the bare client and the wrapped one, in the same run. Calls go
//! through a fresh `.feature()` scope.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use thrifty::router::{HeuristicRouter, Router, TokenCountRouter};
use thrifty::tokens::TokenCounter;
use thrifty::{LlmClient, Transport};
use tokio::runtime::Runtime;
use tower::service_fn;

const PAIRS: usize = 15;
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Paris is the capital of France.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":8,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_1"}"#;

fn main() {
    if let Some(answer) = std::env::args()
        .nth(1)
        .and_then(|arg| arg.strip_prefix("--serve=").map(str::to_owned))
    {
        return serve(&answer);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let small = request(120);
    let large = request(12_000);
    let tokens = || TokenCountRouter::new("gpt-4o-mini", "gpt-4o").with_max_input(16_000);
    let heuristic = || HeuristicRouter::new("gpt-4o-mini", "gpt-4o");
    TokenCounter::new().warm_up();
    let (bare, added_small) = added(&runtime, &small, &wrapped(tokens()));
    println!("goal overhead/added-small: {added_small:.1} us (<= 6; bare {bare:.1} us)");
    let (bare, by_bounds) = added(&runtime, &large, &wrapped(tokens()));
    let (_, by_text) = added(&runtime, &large, &wrapped(heuristic()));
    println!(
        "goal overhead/added-12k: {by_bounds:.1} us (<= 10; heuristic router {by_text:.1} us <= 16; bare {bare:.1} us)"
    );
    chunks(&runtime, &small);
    loopback(&small);
}

/// A chat about France with a system prompt that brings its body to about this many bytes.
fn request(bytes: usize) -> CreateChatCompletionRequest {
    let sentence = "You answer questions on geography, shortly and correctly. ";
    let system: String = sentence.chars().cycle().take(bytes).collect();
    CreateChatCompletionRequestArgs::default()
        .model("gpt-4o")
        .messages([
            ChatCompletionRequestSystemMessage::from(system).into(),
            ChatCompletionRequestUserMessage::from("What is the capital of France?").into(),
        ])
        .build()
        .unwrap()
}

fn config() -> OpenAIConfig {
    OpenAIConfig::new()
        .with_api_key("sk-bench")
        .with_api_base("http://127.0.0.1:9/v1")
}

async fn canned(factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    let request = factory.build().await?;
    std::hint::black_box(request);
    let answer = http::Response::builder().header("content-type", "application/json");
    Ok(answer.body(reqwest::Body::from(ANSWER)).unwrap().into())
}

fn bare() -> Client<OpenAIConfig> {
    Client::with_config(config()).with_http_service(service_fn(canned))
}

fn wrapped(router: impl Router) -> LlmClient {
    LlmClient::builder(
        Client::with_config(config()),
        Transport::service(service_fn(canned)),
    )
    .with_router(router)
    .build()
    .unwrap()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap()
}

/// Microseconds a call, over many calls.
fn per_call<F: Future<Output = ()>>(runtime: &Runtime, calls: u32, call: impl Fn() -> F) -> f64 {
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..calls {
            call().await;
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    })
}

/// Microseconds of a bare call, and those that thrifty adds.
fn added(runtime: &Runtime, request: &CreateChatCompletionRequest, llm: &LlmClient) -> (f64, f64) {
    let client = bare();
    let bare = || async { drop(client.chat().create(request.clone()).await.unwrap()) };
    let wrapped = || async { drop(llm.feature("bench").chat().create(request.clone()).await.unwrap()) };
    let pair = || (per_call(runtime, 2_000, bare), per_call(runtime, 2_000, wrapped));
    pair();
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
    let bare = median(pairs.iter().map(|(bare, _)| *bare).collect());
    let added = median(pairs.iter().map(|(bare, wrapped)| wrapped - bare).collect());
    (bare, added)
}

fn chunks(runtime: &Runtime, request: &CreateChatCompletionRequest) {
    const CHUNKS: u32 = 2_000;
    async fn streamed(factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        std::hint::black_box(factory.build().await?);
        let chunk = Bytes::from_static(
            b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" capital\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"abcdef\"}\n\n",
        );
        let usage = Bytes::from_static(
            b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":8,\"total_tokens\":32}}\n\ndata: [DONE]\n\n",
        );
        let chunks = stream::iter((0..CHUNKS).map(move |_| chunk.clone()).chain([usage]));
        let body = reqwest::Body::wrap_stream(chunks.map(Ok::<_, OpenAIError>));
        Ok(http::Response::builder()
            .header("content-type", "text/event-stream")
            .body(body)
            .unwrap()
            .into())
    }
    let bare = Client::with_config(config()).with_http_service(service_fn(streamed));
    let llm = LlmClient::builder(
        Client::with_config(config()),
        Transport::service(service_fn(streamed)),
    )
    .build()
    .unwrap();
    let read = async |client: &Client<OpenAIConfig>| {
        let mut stream = client.chat().create_stream(request.clone()).await.unwrap();
        while let Some(chunk) = stream.next().await {
            std::hint::black_box(chunk.unwrap());
        }
    };
    let once = |client: &Client<OpenAIConfig>| {
        let start = Instant::now();
        runtime.block_on(read(client));
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CHUNKS)
    };
    let pairs: Vec<_> = (0..PAIRS * 3)
        .map(|_| (once(&bare), once(&llm.feature("bench"))))
        .skip(3)
        .collect();
    let bare = median(pairs.iter().map(|(bare, _)| *bare).collect());
    let added = median(pairs.iter().map(|(bare, wrapped)| wrapped - bare).collect());
    println!("goal overhead/chunk: {added:.2} us (<= 0.40; bare {bare:.2} us)");
}

/// CPU time of this process, with the server in another one.
fn loopback(request: &CreateChatCompletionRequest) {
    let program = std::env::current_exe().unwrap();
    let mut server = Command::new(program)
        .arg(format!("--serve={ANSWER}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let config = || config().with_api_base(format!("http://{}/v1", address.trim()));
    let http = || reqwest::Client::builder().no_proxy().build().unwrap();
    let bare = Client::build(http(), config());
    let llm = LlmClient::builder(Client::with_config(config()), Transport::reqwest(http()))
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cpu = |scoped: Option<&LlmClient>| {
        let before = cpu_time();
        runtime.block_on(async {
            stream::iter(0..4_000)
                .map(|_| async {
                    let answer = match scoped {
                        Some(llm) => llm.feature("bench").chat().create(request.clone()).await,
                        None => bare.chat().create(request.clone()).await,
                    };
                    drop(answer.unwrap());
                })
                .buffer_unordered(64)
                .collect::<()>()
                .await;
        });
        cpu_time().saturating_sub(before).as_secs_f64() * 1e6 / 4_000.0
    };
    cpu(None);
    cpu(Some(&llm));
    let pairs: Vec<_> = (0..PAIRS * 3).map(|_| (cpu(None), cpu(Some(&llm)))).collect();
    let bare = median(pairs.iter().map(|(bare, _)| *bare).collect());
    let ratio = median(pairs.iter().map(|(bare, wrapped)| wrapped / bare).collect());
    println!("goal overhead/loopback-64: {ratio:.2} x (<= 1.25 x; bare {bare:.1} us of CPU a call)");
    server.kill().unwrap();
    server.wait().unwrap();
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap()
}

/// A server that answers every request alike: a thread a connection, HTTP/1.1 with keep-alive.
fn serve(answer: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    let answer = format!("{head}: {}\r\n\r\n{answer}", answer.len());
    for connection in listener.incoming() {
        let (connection, answer) = (connection.unwrap(), answer.clone());
        std::thread::spawn(move || answer_all(connection, answer.as_bytes()));
    }
}

fn answer_all(connection: TcpStream, answer: &[u8]) -> Option<()> {
    connection.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(64 << 10, connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let (mut line, mut length) = (String::new(), 0_u64);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        writer.write_all(answer).ok()?;
    }
}
