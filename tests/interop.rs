//! The same stories against servers that others wrote. They run where the servers are found, in `target/interop` or
//! the folder that `THRIFTY_INTEROP` names; `.ci/run` installs them there.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do; a skip is to be seen"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::Value;
use thrifty::batch::BatchPolicy;
use thrifty::ledger::{CostLedger, Dimension, FileLedger, Query};
use thrifty::router::TokenCountRouter;
use thrifty::{LlmClient, RetryPolicy, Transport};

/// A server of others, ended with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    std::env::var_os("THRIFTY_INTEROP").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop"),
        PathBuf::from,
    )
}

/// Starts a server and waits until it listens; `None`, and a word on it, if it is not installed.
async fn start(name: &str, needs: &str, command: impl FnOnce(&Path, u16) -> Command) -> Option<Server> {
    let program = folder().join(needs);
    if !program.exists() {
        println!("skipped: {name} not found");
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = command(&program, port);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, port };
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(server);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} does not listen");
}

fn chat(prompt: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("gpt-4o")
        .messages([ChatCompletionRequestUserMessage::from(prompt).into()])
        .build()
        .unwrap()
}

/// Calls, streams, an embedding and a batch; everything is answered, metered and priced.
async fn stories(server: &Server) {
    let config = OpenAIConfig::new()
        .with_api_key("sk-interop")
        .with_api_base(format!("http://127.0.0.1:{}/v1", server.port));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let moment = Duration::from_millis(200);
    let llm = LlmClient::builder(Client::with_config(config), Transport::reqwest(http))
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .with_retry(
            RetryPolicy::default()
                .with_max_attempts(8.try_into().unwrap())
                .with_delay(moment, moment),
        )
        .with_batch_policy(
            BatchPolicy::default()
                .with_max_delay(moment)
                .with_poll(moment, moment),
        )
        .build()
        .unwrap();
    let calls = (0..30).map(|n| {
        let scope = llm.feature("calls");
        async move {
            scope
                .chat()
                .create(chat(&format!("Which river is number {n}?")))
                .await
                .unwrap()
        }
    });
    for answer in join_all(calls).await {
        assert!(
            answer.choices[0]
                .message
                .content
                .as_ref()
                .is_some_and(|text| !text.is_empty())
        );
    }
    for n in 0..5 {
        let scope = llm.feature("streams");
        let prompt = format!("Which mountain is number {n}?");
        let mut stream = scope.chat().create_stream(chat(&prompt)).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.usage, None, "nobody asked for it");
            text.extend(
                chunk
                    .choices
                    .into_iter()
                    .filter_map(|choice| choice.delta.content),
            );
        }
        assert!(!text.is_empty());
    }
    let embedding = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input("a river")
        .build()
        .unwrap();
    llm.feature("search")
        .embeddings()
        .create(embedding)
        .await
        .unwrap();
    let lines = (0..10).map(|n| {
        let scope = llm.feature("batch").within(Duration::from_secs(86_400));
        async move {
            scope
                .chat()
                .create(chat(&format!("Which lake is number {n}?")))
                .await
                .unwrap()
        }
    });
    assert_eq!(join_all(lines).await.len(), 10);

    let spend = llm
        .ledger()
        .query(&Query::new().group_by(Dimension::Feature))
        .await
        .unwrap();
    assert_eq!(
        (spend.total.calls, spend.total.coverage.priced),
        (46, 46),
        "{spend:?}"
    );
    assert!(llm.shutdown(Duration::from_secs(10)).await.unwrap().is_empty());
}

/// Runs the quickstart as its users do; all that it asks is answered and priced.
async fn quickstart(server: &Server) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO"));
    command
        .args([
            "run",
            "--quiet",
            "--example",
            "quickstart",
            "--",
            "--live",
            "--hurried",
            "--dir",
        ])
        .arg(dir.path())
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", server.port))
        .env("OPENAI_API_KEY", "sk-interop")
        .env("NO_PROXY", "127.0.0.1")
        .kill_on_drop(true);
    let ran = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{complaint}");
    assert!(said.contains("161 answers, 0 failed, 0 still pending."), "{said}");
    let ledger = FileLedger::open(dir.path().join("costs")).unwrap();
    let spend = ledger
        .query(&Query::new().group_by(Dimension::Lane))
        .await
        .unwrap();
    assert_eq!(
        (spend.total.calls, spend.total.coverage.priced),
        (161, 161),
        "{spend:?}"
    );
}

/// Starts llmock, with failures of these kinds and shares.
async fn llmock(errors: &[&str]) -> Option<Server> {
    start("llmock", "venv/bin/llmock", |program, port| {
        let mut command = Command::new(program);
        command
            .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--response-style", "echo", "--log-level", "warning", "--report"])
            .args(errors.iter().flat_map(|error| ["--error-rate", error]));
        command
    })
    .await
}

/// Starts aimock, with one answer to everything.
async fn aimock(fixtures: &Path) -> Option<Server> {
    let fixture =
        r#"{"fixtures":[{"match":{"userMessage":""},"response":{"content":"An answer from a mock."}}]}"#;
    std::fs::write(fixtures, fixture).unwrap();
    let program = "node_modules/@copilotkit/aimock/dist/cli.js";
    start("aimock", program, |program, port| {
        let mut command = Command::new("node");
        command
            .arg(program)
            .args(["-p", &port.to_string(), "--log-level", "silent", "-f"])
            .arg(fixtures);
        command
    })
    .await
}

#[tokio::test]
async fn llmock_answers_and_finds_no_fault_with_the_retries() {
    let Some(server) = llmock(&["429=0.15", "503=0.1"]).await else {
        return;
    };
    stories(&server).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}/_llmock/verdict", server.port);
    let verdict = http.get(url).send().await.unwrap().bytes().await.unwrap();
    let verdict: Value = serde_json::from_slice(&verdict).unwrap();
    assert_eq!(verdict["passed"], true, "{verdict}");
    println!("llmock: {verdict}");
}

#[tokio::test]
async fn aimock_answers() {
    let fixtures = tempfile::tempdir().unwrap();
    let Some(server) = aimock(&fixtures.path().join("fixtures.json")).await else {
        return;
    };
    stories(&server).await;
}

#[tokio::test]
async fn the_quickstart_runs_against_both() {
    let fixtures = tempfile::tempdir().unwrap();
    if let Some(server) = llmock(&[]).await {
        quickstart(&server).await;
    }
    if let Some(server) = aimock(&fixtures.path().join("fixtures.json")).await {
        quickstart(&server).await;
    }
}
