//! Everything that the simulator says, and everything that thrifty asks, is as OpenAI describes it.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use jsonschema::Validator;
use serde_json::{Value, json};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{LlmClient, Transport};

use super::batches::line;
use super::raw::{get, post, send};
use super::{ask, ask_with};

/// Says what of a value is not as the schema of this name has it.
fn fault(schema: &str, value: &Value) -> Option<String> {
    static VALIDATORS: OnceLock<Mutex<HashMap<String, Validator>>> = OnceLock::new();
    let mut validators = VALIDATORS.get_or_init(Mutex::default).lock().unwrap();
    let validator = validators.entry(schema.to_owned()).or_insert_with(|| {
        let mut document: Value = serde_json::from_str(include_str!("data/openapi.json")).unwrap();
        document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        document["$ref"] = json!(format!("#/components/schemas/{schema}"));
        jsonschema::validator_for(&document).unwrap()
    });
    let value = without_real_nulls(value);
    let error = validator.iter_errors(&value).next()?;
    Some(format!("{schema}{}: {error}", error.instance_path()))
}

/// Leaves out members that the real API sends as null though its description knows no null there: by the recordings,
/// the last two by the description's own examples.
fn without_real_nulls(value: &Value) -> Value {
    const NULLS: [&str; 15] = [
        "cancelled_at",
        "cancelling_at",
        "completed_at",
        "error_file_id",
        "errors",
        "expired_at",
        "expires_at",
        "failed_at",
        "finalizing_at",
        "in_progress_at",
        "output_file_id",
        "status_details",
        "system_fingerprint",
        "usage",
        "user",
    ];
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, value)| !(value.is_null() && NULLS.contains(&name.as_str())))
            .map(|(name, value)| (name.clone(), without_real_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_real_nulls).collect(),
        other => other.clone(),
    }
}

fn assert_is(schema: &str, value: &Value) {
    assert_eq!(fault(schema, value), None, "{value}");
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The chats that the simulator answers in different ways.
fn chats() -> Vec<Value> {
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "city", "strict": true, "schema": {
        "type": "object", "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["name", "people"], "additionalProperties": false}}});
    let image = json!([{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}]}]);
    let audio = json!([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AAAA".repeat(4_000), "format": "wav"}}]}]);
    let chats = [
        json!({}),
        json!({"n": 2}),
        json!({"tools": [tool]}),
        json!({"response_format": schema}),
        json!({"max_completion_tokens": 5}),
        json!({"messages": image}),
        json!({"messages": audio}),
        json!({"model": "o3"}),
        json!({"model": "gpt-3.5-turbo"}),
        json!({"service_tier": "flex"}),
    ];
    let with = |more: Value| {
        let mut chat = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]});
        chat.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        chat
    };
    chats.into_iter().map(with).collect()
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(parsed).collect()
}

#[tokio::test]
async fn chats_are_as_described_plain_and_streamed() {
    let simulator = Simulator::new();
    for mut chat in chats() {
        assert_is("CreateChatCompletionRequest", &chat);
        let (status, answer) = post(&simulator, "/v1/chat/completions", &chat).await;
        assert_eq!(status, 200, "{answer}");
        assert_is("CreateChatCompletionResponse", &parsed(&answer));
        for options in [json!({}), json!({"include_usage": true})] {
            chat["stream"] = json!(true);
            chat["stream_options"] = options;
            let (_, stream) = post(&simulator, "/v1/chat/completions", &chat).await;
            let events = events(&stream);
            assert!(events.len() > 2, "{stream}");
            for event in events {
                assert_is("CreateChatCompletionStreamResponse", &event);
            }
        }
    }
}

#[tokio::test]
async fn refusals_and_filtered_answers_are_as_described_plain_and_streamed() {
    let simulator = Simulator::new();
    let chat = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]});
    let mut streamed = chat.clone();
    streamed["stream"] = json!(true);
    for fault in [Fault::refusal(), Fault::finish_reason("content_filter")] {
        simulator.inject(fault.times(2));
        let (_, answer) = post(&simulator, "/v1/chat/completions", &chat).await;
        let answer = parsed(&answer);
        assert_is("CreateChatCompletionResponse", &answer);
        let refused = answer["choices"][0]["message"]["refusal"].is_string();
        let filtered = answer["choices"][0]["finish_reason"] == "content_filter";
        assert!(refused != filtered, "{answer}");
        let (_, stream) = post(&simulator, "/v1/chat/completions", &streamed).await;
        let events = events(&stream);
        let told = |event: &Value| {
            let choice = &event["choices"][0];
            choice["delta"]["refusal"].is_string() || choice["finish_reason"] == "content_filter"
        };
        assert!(events.iter().any(told), "{stream}");
        for event in events {
            assert_is("CreateChatCompletionStreamResponse", &event);
        }
    }
}

#[tokio::test]
async fn refused_responses_are_as_described_plain_and_streamed() {
    let simulator = Simulator::new();
    for model in ["gpt-4o", "o3"] {
        simulator.inject(Fault::refusal().times(2));
        let mut request = json!({"model": model, "input": "Name a river."});
        let (_, answer) = post(&simulator, "/v1/responses", &request).await;
        assert_is("Response", &parsed(&answer));
        assert!(answer.contains(r#""type":"refusal""#), "{answer}");
        request["stream"] = json!(true);
        let (_, stream) = post(&simulator, "/v1/responses", &request).await;
        for kind in ["delta", "done"] {
            assert!(
                stream.contains(&format!("event: response.refusal.{kind}\n")),
                "{stream}"
            );
        }
        assert!(!stream.contains("output_text"), "{stream}");
        for event in events(&stream) {
            assert_is("ResponseStreamEvent", &event);
        }
    }
}

#[tokio::test]
async fn responses_and_embeddings_are_as_described() {
    let simulator = Simulator::new();
    let tool = json!({"type": "function", "name": "weather", "strict": true, "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false}});
    for more in [
        json!({}),
        json!({"tools": [tool]}),
        json!({"model": "o3"}),
        json!({"max_output_tokens": 16}),
        json!({"store": false, "metadata": {"a": "b"}, "temperature": 0.2, "tool_choice": "none",
            "text": {"verbosity": "low"}}),
    ] {
        let mut request = json!({"model": "gpt-4o", "input": "Name a river."});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_is("CreateResponse", &request);
        let (status, answer) = post(&simulator, "/v1/responses", &request).await;
        assert_eq!(status, 200, "{answer}");
        assert_is("Response", &parsed(&answer));
        request["stream"] = json!(true);
        let (_, stream) = post(&simulator, "/v1/responses", &request).await;
        let events = events(&stream);
        assert!(events.len() > 2, "{stream}");
        for event in events {
            assert_is("ResponseStreamEvent", &event);
        }
    }
    let request = json!({"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 8});
    assert_is("CreateEmbeddingRequest", &request);
    let (_, answer) = post(&simulator, "/v1/embeddings", &request).await;
    assert_is("CreateEmbeddingResponse", &parsed(&answer));
}

#[tokio::test]
async fn models_and_refusals_are_as_described() {
    let simulator = Simulator::new();
    assert_is("ListModelsResponse", &get(&simulator, "/v1/models").await);
    assert_is("Model", &get(&simulator, "/v1/models/gpt-4o").await);
    for fault in [
        Fault::status(429),
        Fault::quota(),
        Fault::status(401),
        Fault::status(503),
    ] {
        simulator.inject(fault);
        let (_, refusal) = post(&simulator, "/v1/chat/completions", &json!({})).await;
        assert_is("ErrorResponse", &parsed(&refusal));
    }
    for body in [
        json!({}),
        json!({"model": "nobody"}),
        json!({"model": "gpt-4o", "messages": []}),
    ] {
        let (status, refusal) = post(&simulator, "/v1/chat/completions", &body).await;
        assert!(status >= 400);
        assert_is("ErrorResponse", &parsed(&refusal));
    }
}

#[tokio::test(start_paused = true)]
async fn files_and_batches_are_as_described_in_all_their_states() {
    let form = |content: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{content}\r\n--b--\r\n"
        )
    };
    let upload = async |simulator: &Simulator, lines: &str| {
        let kind = "multipart/form-data; boundary=b";
        let (_, file) = send(simulator, "POST", "/v1/files", kind, &form(lines)).await;
        let file = parsed(&file);
        assert_is("OpenAIFile", &file);
        let new = json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        assert_is("CreateBatchRequest", &new);
        let (_, batch) = post(simulator, "/v1/batches", &new).await;
        let batch = parsed(&batch);
        assert_is("Batch", &batch);
        batch
    };
    let mut states = Vec::new();
    let mut watch = async |simulator: &Simulator, batch: &Value| {
        let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        let mut batch = batch.clone();
        for _ in 0..40 {
            batch = get(simulator, &path).await;
            assert_is("Batch", &batch);
            states.push(batch["status"].as_str().unwrap().to_owned());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        batch
    };
    let lines: String = (0..20).map(|n| line(&n.to_string(), "gpt-4o", "x")).collect();

    let simulator = Simulator::new();
    let batch = upload(&simulator, &lines).await;
    let batch = watch(&simulator, &batch).await;
    let content = format!("/v1/files/{}/content", batch["output_file_id"].as_str().unwrap());
    let (_, content) = send(&simulator, "GET", &content, "application/json", "").await;
    for line in content.lines().map(parsed) {
        assert_is("CreateChatCompletionResponse", &line["response"]["body"]);
    }
    let broken = upload(&simulator, "no JSON").await;
    watch(&simulator, &broken).await;
    let cancelled = upload(&simulator, &lines).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let path = format!("/v1/batches/{}/cancel", cancelled["id"].as_str().unwrap());
    let (_, answer) = post(&simulator, &path, &json!({})).await;
    assert_is("Batch", &parsed(&answer));
    watch(&simulator, &cancelled).await;
    assert_is("ListBatchesResponse", &get(&simulator, "/v1/batches").await);
    assert_is("ListFilesResponse", &get(&simulator, "/v1/files").await);
    let file = format!("/v1/files/{}", batch["input_file_id"].as_str().unwrap());
    assert_is("OpenAIFile", &get(&simulator, &file).await);
    let (_, deleted) = send(&simulator, "DELETE", &file, "application/json", "").await;
    assert_is("DeleteFileResponse", &parsed(&deleted));

    let brief = Simulator::builder()
        .with_batch_window(Duration::from_secs(15))
        .build();
    let expired = upload(&brief, &lines).await;
    watch(&brief, &expired).await;
    states.sort_unstable();
    states.dedup();
    let all = [
        "cancelled",
        "cancelling",
        "completed",
        "expired",
        "failed",
        "finalizing",
        "in_progress",
        "validating",
    ];
    assert_eq!(states, all);
}

#[tokio::test(start_paused = true)]
async fn what_thrifty_asks_is_as_described() {
    let simulator = Simulator::new();
    let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
        .with_router(thrifty::router::FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    llm.chat().create(ask("gpt-4o", "hi")).await.unwrap();
    drop(llm.chat().create_stream(ask("gpt-4o", "hi")).await.unwrap());
    llm.chat()
        .create(ask_with("gpt-4o", &json!({"n": 2})))
        .await
        .unwrap();
    let nightly = llm.within(Duration::from_secs(86_400));
    nightly.chat().create(ask("gpt-4o", "later")).await.unwrap();

    let mut seen = Vec::new();
    for request in simulator
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
    {
        let text = std::str::from_utf8(&request.body).unwrap();
        match request.path.as_str() {
            "/v1/chat/completions" => assert_is("CreateChatCompletionRequest", &parsed(text)),
            "/v1/batches" => assert_is("CreateBatchRequest", &parsed(text)),
            "/v1/files" => {
                let lines = text.lines().filter(|line| line.starts_with('{')).map(parsed);
                for line in lines {
                    assert_is("CreateChatCompletionRequest", &line["body"]);
                }
            }
            other => panic!("{other}"),
        }
        seen.push(request.path.clone());
    }
    seen.dedup();
    assert_eq!(seen, ["/v1/chat/completions", "/v1/files", "/v1/batches"]);
}
