//! Clients that mean harm, or are many.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use futures_util::StreamExt;
use serde_json::{Value, json};
use thrifty::simulator::{Fault, Simulator, SimulatorServer};
use tokio::io::AsyncWriteExt;

use super::batches::line;
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

/// Takes something out, puts something in, or doubles something.
fn mutate(rng: &mut fastrand::Rng, body: &str) -> String {
    const PIECES: [&str; 14] = [
        "null",
        "{}",
        "[",
        "}",
        "\"",
        ",",
        "-1",
        "1e400",
        "18446744073709551615",
        "-9223372036854775808",
        "\"$ref\":\"#\",",
        "\u{1f600}",
        "\\u0000",
        "--b\r\n",
    ];
    let mut body: Vec<char> = body.chars().collect();
    for _ in 0..rng.usize(1..4) {
        let start = rng.usize(..=body.len());
        let end = rng.usize(start..=body.len().min(start + 20));
        let piece: Vec<char> = match rng.u8(..3) {
            0 => Vec::new(),
            1 => PIECES[rng.usize(..PIECES.len())].chars().collect(),
            _ => body[start..end].repeat(2),
        };
        body.splice(start..end, piece);
    }
    body.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_is_done_to_a_request_it_is_answered_or_refused() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 9},
        "b": {"enum": ["x", 1]}, "c": {"type": "array", "minItems": 3, "items": {"$ref": "#/properties/a"}}}});
    let content = json!([{"type": "text", "text": "hi"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}]);
    let line = line("a", "gpt-4o", "x");
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{line}\r\n--b--\r\n"
    );
    let simulator = Simulator::new();
    let (multipart, json) = ("multipart/form-data; boundary=b", "application/json");
    let (_, file) = send(&simulator, "POST", "/v1/files", multipart, &form).await;
    let file: Value = serde_json::from_str(&file).unwrap();
    let requests = [
        (
            "/v1/chat/completions",
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}], "n": 2})
            .to_string(),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "o3", "messages": [{"role": "user", "content": "x"}],
            "max_completion_tokens": 70, "service_tier": "flex", "stream": true, "stream_options": {},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}})
            .to_string(),
        ),
        (
            "/v1/responses",
            json!({"model": "gpt-5", "input": [{"role": "user", "content": "x"}], "store": false,
            "text": {"format": {"type": "json_schema", "schema": schema}}, "metadata": {"a": "b"}})
            .to_string(),
        ),
        (
            "/v1/embeddings",
            json!({"model": "text-embedding-3-small", "input": [[1, 2], [3]], "dimensions": 8,
            "encoding_format": "base64"})
            .to_string(),
        ),
        (
            "/v1/batches",
            json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions",
            "completion_window": "24h", "metadata": {"a": "b"}})
            .to_string(),
        ),
        ("/v1/files", form),
    ];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut answered = 0;
    for _ in 0..6_000 {
        let (path, body) = &requests[rng.usize(..requests.len())];
        let body = mutate(&mut rng, body);
        let kind = if *path == "/v1/files" { multipart } else { json };
        let (status, answer) = send(&simulator, "POST", path, kind, &body).await;
        assert!(
            [200, 400, 403, 404].contains(&status),
            "{path} {body} {status} {answer}"
        );
        answered += u32::from(status == 200);
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert!((500..5_500).contains(&answered), "{answered}");
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
