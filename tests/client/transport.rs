//! The HTTP stack that is given carries everything: calls, streams, uploads, polls and downloads.

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Full};
use thrifty::batch::BatchPolicy;
use thrifty::ledger::Status;
use thrifty::simulator::{Fault, Simulator};
use thrifty::{LlmClient, RetryPolicy, Transport};
use tokio::net::TcpListener;

use super::{chat, rows};

const MARK: &str = "x-carried-by";

/// What a gateway saw go by: method and path, and whether it had the mark.
type Seen = Arc<std::sync::Mutex<Vec<(String, bool)>>>;

/// Starts a gateway on loopback that passes requests on to a server, and notes them.
async fn gateway(to: String) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (to, noted) = (to.clone(), Arc::clone(&noted));
            let service =
                hyper::service::service_fn(move |request| pass_on(to.clone(), Arc::clone(&noted), request));
            let io = hyper_util::rt::TokioIo::new(socket);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    (base, seen)
}

async fn pass_on(
    to: String,
    noted: Seen,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, reqwest::Error> {
    let (head, body) = request.into_parts();
    let what = format!("{} {}", head.method, head.uri.path());
    noted
        .lock()
        .unwrap()
        .push((what, head.headers.contains_key(MARK)));
    let url = format!("{to}{}", head.uri.path_and_query().unwrap());
    let body = body.collect().await.unwrap().to_bytes();
    let answer = reqwest::Client::new()
        .request(head.method, url)
        .headers(head.headers)
        .body(body)
        .send()
        .await?;
    let mut response = http::Response::builder().status(answer.status());
    response.headers_mut().unwrap().extend(
        answer
            .headers()
            .iter()
            .filter(|(name, _)| name.as_str() == "content-type")
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    Ok(response.body(answer.bytes().await?.into()).unwrap())
}

#[tokio::test]
async fn calls_uploads_polls_and_downloads_go_through_the_given_client() {
    let simulator = Simulator::builder().with_batch_delay(Duration::ZERO).build();
    let server = simulator.serve().await.unwrap();
    let (gateway, seen) = gateway(server.base_url().trim_end_matches("/v1").to_owned()).await;
    let marks = HeaderMap::from_iter([(MARK.parse().unwrap(), HeaderValue::from_static("mine"))]);
    let mine = reqwest::Client::builder()
        .default_headers(marks)
        .no_proxy()
        .build()
        .unwrap();
    let config = OpenAIConfig::new()
        .with_api_base(format!("{gateway}/v1"))
        .with_api_key("k");
    let hurried = BatchPolicy::default()
        .with_max_delay(Duration::from_millis(5))
        .with_poll(Duration::from_millis(5), Duration::from_millis(5));
    let llm = LlmClient::builder(Client::with_config(config), Transport::reqwest(mine))
        .with_batch_policy(hurried)
        .build()
        .unwrap();

    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let stream = llm.chat().create_stream(chat("gpt-4o", "hi")).await.unwrap();
    assert!(stream.collect::<Vec<_>>().await.iter().all(Result::is_ok));
    llm.models().list().await.unwrap();
    let scope = llm.within(Duration::from_secs(86_400));
    scope.chat().create(chat("gpt-4o", "hi")).await.unwrap();

    let seen = seen.lock().unwrap().clone();
    assert!(seen.iter().all(|(_, marked)| *marked), "{seen:?}");
    let was_seen = |start: &str, end: &str| {
        seen.iter()
            .any(|(what, _)| what.starts_with(start) && what.ends_with(end))
    };
    for (start, end) in [
        ("POST /v1/chat", "/completions"),
        ("GET /v1/models", "/models"),
        ("POST /v1/files", "/files"),
        ("POST /v1/batches", "/batches"),
        ("GET /v1/batches/batch_", ""),
        ("GET /v1/files/", "/content"),
    ] {
        assert!(was_seen(start, end), "{start}..{end} in {seen:?}");
    }
    assert_eq!(seen.len() as u64, simulator.request_count());
    assert!(rows(&llm).await.iter().all(|row| row.status == Status::Succeeded));
}

#[tokio::test]
async fn a_connection_that_breaks_on_the_wire_is_tried_again() {
    let simulator = Simulator::new();
    let server = simulator.serve().await.unwrap();
    let config = OpenAIConfig::new()
        .with_api_base(server.base_url())
        .with_api_key("k");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let llm = LlmClient::builder(Client::with_config(config), Transport::reqwest(client))
        .with_retry(RetryPolicy::default().with_delay(Duration::from_millis(1), Duration::from_millis(1)))
        .build()
        .unwrap();
    for fault in [Fault::connection_reset_after(), Fault::truncate_body()] {
        simulator.inject(fault);
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    }
    for row in rows(&llm).await {
        assert_eq!(
            (row.attempts, row.status, row.cost.exact()),
            (2, Status::Succeeded, None)
        );
    }
    assert_eq!(simulator.book().charges().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_tower_service_is_a_transport_and_its_errors_reach_the_caller_as_they_are() {
    let transport = Transport::service(tower::service_fn(|_: HttpRequestFactory| async {
        Err::<reqwest::Response, _>(OpenAIError::InvalidArgument("not today".into()))
    }));
    let llm = LlmClient::builder(Simulator::new().client(), transport)
        .build()
        .unwrap();
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert!(matches!(error, OpenAIError::InvalidArgument(why) if why == "not today"));
    assert_eq!(rows(&llm).await[0].status, Status::Unanswered);
}
