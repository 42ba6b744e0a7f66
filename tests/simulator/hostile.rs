//! Clients that mean harm, or are many.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use futures_util::StreamExt;
use serde_json::{Value, json};
use thrifty::simulator::{Fault, Simulator, SimulatorServer};
use tokio::io::AsyncWriteExt;

use super::raw::{get, post, send};
use super::{Result, ask};

fn over_tcp(server: &SimulatorServer) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new()
        .with_api_base(server.base_url())
        .with_api_key("any");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Client::with_config(config).with_http_service(async_openai::middleware::ReqwestService::new(http))
}

#[tokio::test]
async fn hostile_bodies_are_refused_or_answered_and_never_more() {
    let simulator = Simulator::new();
    let nested = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    let deep = nested("[", "]", 200_000);
    let user =
        |content: &str| format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":{content}}}]}}"#);
    let long = format!("\"{}\"", "word ".repeat(2_000_000));
    let recursive = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "array", "minItems": 1_000_000_000, "items": {"$ref": "#"}}}});
    let with = |member: &str, value: &str| {
        let chat = user("\"hi\"");
        format!(r#"{{"{member}":{value},{}"#, chat.get(1..).unwrap())
    };
    let huge = "9".repeat(400);
    for (body, statuses) in [
        (user(&long), &[200][..]),
        (user(&deep), &[200, 400]),
        (deep.clone(), &[400]),
        (with("tools", &deep), &[200, 400]),
        (with("n", "129"), &[400]),
        (with("n", "0"), &[400]),
        (with("n", "-1"), &[400]),
        (with("n", &huge), &[400]),
        (with("n", &u64::MAX.to_string()), &[400]),
        (with("max_tokens", &huge), &[200, 400]),
        (with("max_tokens", "0"), &[200, 400]),
        (with("stream_options", r#"{"include_usage":true}"#), &[400]),
        (with("response_format", &recursive.to_string()), &[200]),
        (with("model", "\"gpt-4o\""), &[400]),
        (
            with("tools", r#"[{"function":{"name":{}}},{"function":[]},7,null]"#),
            &[200],
        ),
        ("\u{0}".repeat(1_000_000), &[400]),
        (String::new(), &[400]),
    ] {
        let start = body.chars().take(60).collect::<String>();
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"] {
            let body = match path {
                "/v1/responses" => body.replacen("\"messages\":", "\"input\":", 1),
                "/v1/embeddings" => body.replacen("gpt-4o", "text-embedding-3-small", 1),
                _ => body.clone(),
            };
            let (status, answer) = send(&simulator, "POST", path, "application/json", &body).await;
            let is_chat = path == "/v1/chat/completions";
            assert!(
                if is_chat {
                    statuses.contains(&status)
                } else {
                    [200, 400, 403].contains(&status)
                },
                "{path} {start}: {status}"
            );
            serde_json::from_str::<Value>(&answer).unwrap();
            assert!(answer.len() < 2_000_000, "{path} {start}: {} bytes", answer.len());
        }
    }
    let many = json!({"model": "text-embedding-3-small", "input": vec!["a"; 2_049]});
    assert_eq!(post(&simulator, "/v1/embeddings", &many).await.0, 400);
    let kind = "multipart/form-data; boundary=b";
    for form in [
        "",
        "--b",
        "--b--",
        "--b\r\n\r\n--b--",
        "--b\r\nx; name=\"file\"\r\n\r\n",
    ] {
        assert_eq!(
            send(&simulator, "POST", "/v1/files", kind, form).await.0,
            400,
            "{form:?}"
        );
    }
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=99999999999999999999",
        "after=nobody",
    ] {
        let path = format!("/v1/batches?{query}");
        assert_eq!(
            send(&simulator, "GET", &path, "application/json", "").await.0,
            400,
            "{query}"
        );
    }
    assert!(get(&simulator, "/v1/models").await["data"].is_array());
}

#[tokio::test]
async fn over_tcp_worthless_bytes_and_bad_utf_8_hurt_only_their_connection() -> Result {
    let simulator = Simulator::new();
    let server = simulator.serve().await?;
    let address = server.base_url().replace("http://", "").replace("/v1", "");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\n";
    let bodies: [Vec<u8>; 4] = [
        vec![0xff; 100_000],
        format!("{head}content-length: 1000000\r\n\r\n{{").into_bytes(),
        format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        [
            format!("{head}content-length: 12\r\n\r\n").into_bytes(),
            b"{\"model\":\"\xff\xfe".to_vec(),
        ]
        .concat(),
    ];
    for body in bodies {
        let mut socket = tokio::net::TcpStream::connect(&address).await?;
        // The server may close before all of it is written.
        let _ = socket.write_all(&body).await;
    }
    assert!(over_tcp(&server).chat().create(ask("gpt-4o", "hi")).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_thousand_callers_at_once_are_all_answered_in_process_and_over_tcp() -> Result {
    let simulator = Simulator::new();
    let server = simulator.serve().await?;
    for client in [simulator.client(), over_tcp(&server)] {
        let before = simulator.book().charges().len();
        let callers = (0..1_000).map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.chat().create(ask("gpt-4o", &n.to_string())).await })
        });
        let mut ids = std::collections::HashSet::new();
        for caller in futures_util::future::join_all(callers).await {
            ids.insert(caller??.id);
        }
        assert_eq!(ids.len(), 1_000);
        assert_eq!(simulator.book().charges().len(), before + 1_000);
    }
    Ok(())
}

#[tokio::test]
async fn clients_that_hang_up_are_billed_and_nobody_else_notices() -> Result {
    let simulator = Simulator::builder()
        .with_chunk_delay(Duration::from_millis(20))
        .build();
    let server = simulator.serve().await?;
    let client = over_tcp(&server);
    for _ in 0..20 {
        let mut stream = client.chat().create_stream(ask("gpt-4o", "Go on.")).await?;
        assert!(stream.next().await.is_some());
    }
    simulator.inject(Fault::hang());
    let chat = client.chat();
    let hung = chat.create(ask("gpt-4o", "hi"));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), hung)
            .await
            .is_err()
    );
    assert_eq!(simulator.book().charges().len(), 21);
    let answer = client.chat().create(ask("gpt-4o", "hi")).await?;
    assert_eq!(answer.choices.len(), 1);
    Ok(())
}
