//! Stories: async-openai's own typed calls against the simulator, in process and over TCP.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::batches::BatchStatus;
use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, ChatCompletionRequestUserMessage, ChatCompletionStreamOptions,
    CreateChatCompletionRequest, CreateChatCompletionRequestArgs, FinishReason,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use futures_util::StreamExt;
use serde_json::{Value, json};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, Lane};

mod batches;
mod faults;
mod files;
mod hostile;
mod raw;
mod recordings;
mod responses;
mod shapes;

use self::batches::{line, submit};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn ask(model: &str, text: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessage::from(text);
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.into()])
        .build()
        .unwrap()
}

/// A request with members that are easier written as JSON.
fn ask_with(model: &str, more: &Value) -> CreateChatCompletionRequest {
    let mut request = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

async fn refusal(client: &Client<OpenAIConfig>, request: CreateChatCompletionRequest) -> (u16, String) {
    match client.chat().create(request).await {
        Err(OpenAIError::ApiError(error)) => (
            error.status_code.as_u16(),
            error.api_error.code.unwrap_or_default(),
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_chat_is_answered_by_the_snapshot_and_billed_as_reported() -> Result {
    let simulator = Simulator::new();
    let answer = simulator
        .client()
        .chat()
        .create(ask("gpt-4o", "Name a river."))
        .await?;
    assert_eq!(answer.model, "gpt-4o-2024-08-06");
    assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::Stop));
    let usage = answer.usage.unwrap();
    assert!((20..=180).contains(&usage.completion_tokens), "{usage:?}");
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert_eq!(usage.prompt_tokens_details.unwrap().cached_tokens, Some(0));

    let book = simulator.book();
    let [charge] = book.charges() else {
        panic!("{book:?}")
    };
    assert_eq!(
        (charge.id.as_str(), charge.lane),
        (answer.id.as_str(), Lane::Standard)
    );
    assert_eq!(charge.endpoint, Endpoint::ChatCompletions);
    assert_eq!(charge.usage.input_tokens, u64::from(usage.prompt_tokens));
    assert_eq!(charge.usage.output_tokens, u64::from(usage.completion_tokens));
    Ok(())
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers_and_another_seed_others() -> Result {
    let run = async |seed| {
        let client = Simulator::builder().with_seed(seed).build().client();
        let first = client.chat().create(ask("gpt-4o", "hi")).await?;
        let second = client.chat().create(ask("gpt-4o", "hi")).await?;
        Ok::<_, OpenAIError>((first, second))
    };
    let (first, second) = run(1).await?;
    assert_eq!((first.clone(), second.clone()), run(1).await?);
    assert_ne!(first.id, second.id);
    assert_eq!(first.choices, second.choices);
    assert_ne!(first.choices, run(2).await?.0.choices);
    Ok(())
}

#[tokio::test]
async fn a_stream_says_the_same_as_a_plain_answer_and_its_usage_last() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let plain = client
        .chat()
        .create(ask("gpt-4o-mini", "Tell me a story."))
        .await?;
    let mut request = ask("gpt-4o-mini", "Tell me a story.");
    request.stream_options = Some(ChatCompletionStreamOptions {
        include_usage: Some(true),
        ..Default::default()
    });
    let mut stream = client.chat().create_stream(request).await?;
    let (mut text, mut usage, mut finished, mut chunks) = (String::new(), None, None, 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        assert!(usage.is_none(), "usage comes last");
        chunks += 1;
        if let Some(choice) = chunk.choices.first() {
            text.push_str(choice.delta.content.as_deref().unwrap_or_default());
            finished = choice.finish_reason.or(finished);
        } else {
            usage = chunk.usage;
        }
    }
    assert!(chunks > 10, "{chunks}");
    assert_eq!(Some(text), plain.choices[0].message.content);
    assert_eq!(usage, plain.usage);
    assert_eq!(finished, Some(FinishReason::Stop));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_billed_in_full() -> Result {
    let simulator = Simulator::builder()
        .with_chunk_delay(Duration::from_millis(50))
        .build();
    let client = simulator.client();
    let mut stream = client
        .chat()
        .create_stream(ask("gpt-4o", "Go on and on."))
        .await?;
    assert!(stream.next().await.is_some());
    drop(stream);
    let streamed = simulator.book().total().output_tokens;
    let plain = client.chat().create(ask("gpt-4o", "Go on and on.")).await?;
    assert_eq!(streamed, u64::from(plain.usage.unwrap().completion_tokens));
    Ok(())
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_that_fit_and_not_again_after_its_result() -> Result {
    let client = Simulator::new().client();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "required": ["city", "unit"],
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    }}}]);
    let answer = client
        .chat()
        .create(ask_with("gpt-4o", &json!({"tools": tools})))
        .await?;
    let choice = &answer.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    let Some([ChatCompletionMessageToolCalls::Function(call)]) = choice.message.tool_calls.as_deref() else {
        panic!("{choice:?}")
    };
    assert_eq!(call.function.name, "weather");
    let arguments: Value = serde_json::from_str(&call.function.arguments)?;
    assert!(arguments["city"].is_string() && ["c", "f"].contains(&arguments["unit"].as_str().unwrap()));

    let mut stream = client
        .chat()
        .create_stream(ask_with("gpt-4o", &json!({"tools": tools})))
        .await?;
    let mut streamed = String::new();
    while let Some(chunk) = stream.next().await {
        for call in chunk?
            .choices
            .into_iter()
            .filter_map(|choice| choice.delta.tool_calls)
            .flatten()
        {
            streamed.push_str(
                &call
                    .function
                    .and_then(|function| function.arguments)
                    .unwrap_or_default(),
            );
        }
    }
    assert_eq!(streamed, call.function.arguments);

    let none = ask_with("gpt-4o", &json!({"tools": tools, "tool_choice": "none"}));
    assert!(
        client.chat().create(none).await?.choices[0]
            .message
            .content
            .is_some()
    );
    let messages = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]);
    let after = ask_with("gpt-4o", &json!({"tools": tools, "messages": messages}));
    assert!(
        client.chat().create(after).await?.choices[0]
            .message
            .content
            .is_some()
    );
    Ok(())
}

#[tokio::test]
async fn a_json_schema_is_filled_and_n_choices_differ_and_add_up() -> Result {
    let client = Simulator::new().client();
    let schema =
        json!({"type": "object", "required": ["score"], "properties": {"score": {"type": "integer"}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true}});
    let answer = client
        .chat()
        .create(ask_with("gpt-4o", &json!({"response_format": format})))
        .await?;
    let filled: Value = serde_json::from_str(answer.choices[0].message.content.as_deref().unwrap())?;
    assert!(filled["score"].is_i64(), "{filled}");

    let answer = client
        .chat()
        .create(ask_with("gpt-4o", &json!({"n": 3, "max_tokens": 10})))
        .await?;
    assert_eq!(answer.choices.len(), 3);
    assert_ne!(
        answer.choices[0].message.content,
        answer.choices[1].message.content
    );
    assert!(
        answer
            .choices
            .iter()
            .all(|choice| choice.finish_reason == Some(FinishReason::Length))
    );
    assert_eq!(answer.usage.unwrap().completion_tokens, 30);
    Ok(())
}

#[tokio::test]
async fn a_reasoning_model_reports_reasoning_and_a_tier_is_served_as_asked() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let answer = client
        .chat()
        .create(ask_with("o3", &json!({"service_tier": "flex"})))
        .await?;
    assert_eq!(serde_json::to_value(answer.service_tier)?, json!("flex"));
    let usage = answer.usage.unwrap();
    let reasoning = usage.completion_tokens_details.unwrap().reasoning_tokens.unwrap();
    assert!(reasoning > 0 && reasoning < usage.completion_tokens);
    assert_eq!(simulator.book().charges()[0].lane, Lane::Flex);

    let limited = ask_with("o3", &json!({"max_completion_tokens": 1}));
    let answer = client.chat().create(limited).await?;
    assert_eq!(answer.choices[0].finish_reason, Some(FinishReason::Length));
    assert_eq!(answer.choices[0].message.content.as_deref(), Some(""));
    assert_eq!(answer.usage.unwrap().completion_tokens, 1);
    Ok(())
}

#[tokio::test]
async fn what_the_real_api_refuses_is_refused_with_its_code_and_free() {
    let simulator = Simulator::new();
    let client = simulator.client();
    for (request, status, code) in [
        (ask("gpt-9", "hi"), 404, "model_not_found"),
        (
            ask_with("o3", &json!({"max_tokens": 5})),
            400,
            "unsupported_parameter",
        ),
        (
            ask_with("gpt-5", &json!({"temperature": 0.5})),
            400,
            "unsupported_value",
        ),
        (ask_with("gpt-4o", &json!({"messages": []})), 400, "empty_array"),
        (ask("text-embedding-3-small", "hi"), 403, ""),
    ] {
        assert_eq!(refusal(&client, request).await, (status, code.to_owned()));
    }
    assert!(
        client
            .chat()
            .create(ask_with("gpt-5", &json!({"temperature": 1.0})))
            .await
            .is_ok()
    );
    assert_eq!(simulator.book().charges().len(), 1);
    assert_eq!(simulator.request_count(), 6);
}

#[tokio::test]
async fn a_long_prompt_seen_before_is_read_from_the_cache() -> Result {
    let client = Simulator::new().client();
    let shared = "number ".repeat(3_000);
    let cached = async |question: &str| {
        let answer = client
            .chat()
            .create(ask("gpt-4o", &format!("{shared}{question}")))
            .await?;
        let details = answer.usage.and_then(|usage| usage.prompt_tokens_details);
        Ok::<_, OpenAIError>(details.and_then(|details| details.cached_tokens))
    };
    assert_eq!(cached("Why?").await?, Some(0));
    let again = cached("How?").await?.unwrap();
    assert!(again >= 1_024 && again.is_multiple_of(128), "{again}");
    Ok(())
}

#[tokio::test]
async fn embeddings_come_as_floats_and_as_base64_and_at_the_length_asked_for() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let request = |inputs: &[&str]| {
        CreateEmbeddingRequestArgs::default()
            .model("text-embedding-3-large")
            .input(inputs.to_vec())
            .dimensions(64_u32)
            .build()
    };
    let floats = client.embeddings().create(request(&["one", "two"])?).await?;
    assert_eq!(floats.data.len(), 2);
    assert_eq!(floats.data[0].embedding.len(), 64);
    assert_ne!(floats.data[0].embedding, floats.data[1].embedding);
    let mut request = request(&["one", "two"])?;
    request.encoding_format = Some(async_openai::types::embeddings::EncodingFormat::Base64);
    let encoded = client.embeddings().create_base64(request).await?;
    let decoded: Vec<f32> = encoded.data.into_iter().next().unwrap().embedding.into();
    assert_eq!(decoded, floats.data[0].embedding);
    assert_eq!(
        simulator.book().total().input_tokens,
        2 * u64::from(floats.usage.prompt_tokens)
    );
    Ok(())
}

#[tokio::test]
async fn models_are_listed_and_can_be_chosen() -> Result {
    let client = Simulator::builder().with_models(["house-model"]).build().client();
    let models = client.models().list().await?;
    assert_eq!(models.data.len(), 1);
    assert_eq!(client.models().retrieve("house-model").await?.id, "house-model");
    assert_eq!(
        client.chat().create(ask("house-model", "hi")).await?.model,
        "house-model"
    );
    assert_eq!(refusal(&client, ask("gpt-4o", "hi")).await.0, 404);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn latency_passes_in_tokios_time() -> Result {
    let simulator = Simulator::builder().with_latency(Duration::from_secs(3)).build();
    let start = tokio::time::Instant::now();
    simulator.client().chat().create(ask("gpt-4o", "hi")).await?;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    Ok(())
}

#[tokio::test]
async fn over_tcp_it_answers_streams_uploads_and_fails_as_in_process() -> Result {
    let simulator = Simulator::new();
    let server = simulator.serve().await?;
    let config = OpenAIConfig::new()
        .with_api_base(server.base_url())
        .with_api_key("any");
    // A client without async-openai's own retry, which would hide the faults.
    let http = async_openai::middleware::ReqwestService::new(reqwest::Client::builder().no_proxy().build()?);
    let client = Client::with_config(config).with_http_service(http);

    let over_tcp = client.chat().create(ask("gpt-4o", "hi")).await?;
    let in_process = simulator.client().chat().create(ask("gpt-4o", "hi")).await?;
    assert_eq!(over_tcp.choices, in_process.choices);
    let stream = client.chat().create_stream(ask("gpt-4o", "hi")).await?;
    let text: String = stream
        .filter_map(async |chunk| chunk.unwrap().choices.pop()?.delta.content)
        .collect()
        .await;
    assert_eq!(Some(text), in_process.choices[0].message.content);
    assert_eq!(
        submit(&client, line("a", "gpt-4o", "x")).await?.status,
        BatchStatus::Validating
    );

    let billed = simulator.book().charges().len();
    for fault in [Fault::connection_reset_after(), Fault::truncate_body()] {
        simulator.inject(fault);
        let lost = client.chat().create(ask("gpt-4o", "hi")).await;
        assert!(matches!(lost, Err(OpenAIError::Reqwest(_))), "{lost:?}");
    }
    assert_eq!(simulator.book().charges().len(), billed + 2);
    let response = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!("{}/chat/completions", server.base_url()))
        .body("{}")
        .send()
        .await?;
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("x-request-id"));

    drop(server);
    tokio::task::yield_now().await;
    let gone = client.chat().create(ask("gpt-4o", "hi")).await;
    assert!(matches!(gone, Err(OpenAIError::Reqwest(_))), "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_as_by_the_real_api() -> Result {
    let simulator = Simulator::new();
    let server = simulator.serve().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let post = |path: &str, body: &'static str| {
        let request = http
            .post(format!("{}{path}", server.base_url()))
            .bearer_auth("any");
        request.body(body).send()
    };
    for (path, body, status) in [
        ("/chat/completions", "{\"model\":", 400),
        ("/chat/completions", "{\"messages\":[]}", 400),
        ("/responses", "{\"model\":\"gpt-4o\"}", 400),
        ("/files", "no form", 400),
        ("/batches", "{}", 400),
        ("/nowhere", "{}", 404),
    ] {
        let response = post(path, body).await?;
        assert_eq!(response.status(), status, "{path} {body}");
        let body: Value = serde_json::from_slice(&response.bytes().await?)?;
        assert!(body["error"]["message"].is_string(), "{body}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_and_how_many_at_once_can_be_asserted() -> Result {
    let simulator = Simulator::builder().with_latency(Duration::from_secs(1)).build();
    let client = simulator.client();
    let calls = (0..6).map(|n| {
        let model = if n < 4 { "gpt-4o" } else { "gpt-4o-mini" };
        let client = &client;
        async move { client.chat().create(ask(model, "hi")).await }
    });
    let answers: Vec<_> = futures_util::stream::iter(calls)
        .buffer_unordered(3)
        .collect()
        .await;
    assert!(answers.iter().all(std::result::Result::is_ok));
    assert_eq!((simulator.request_count(), simulator.peak_concurrency()), (6, 3));
    let by_model = simulator.requests_by_model();
    assert_eq!((by_model["gpt-4o"], by_model["gpt-4o-mini"]), (4, 2));
    assert_eq!(simulator.requests()[0].model().as_deref(), Some("gpt-4o"));
    Ok(())
}

#[tokio::test]
async fn an_image_is_counted_by_its_detail() -> Result {
    let client = Simulator::new().client();
    let tokens = async |part: Option<Value>| {
        let text = json!({"type": "text", "text": "What is this?"});
        let parts: Vec<Value> = [Some(text), part].into_iter().flatten().collect();
        let request = ask_with(
            "gpt-4o",
            &json!({"messages": [{"role": "user", "content": parts}]}),
        );
        Ok::<_, OpenAIError>(client.chat().create(request).await?.usage.unwrap().prompt_tokens)
    };
    let image = |detail: &str| {
        let url = "https://example.com/a.png";
        Some(json!({"type": "image_url", "image_url": {"url": url, "detail": detail}}))
    };
    let text = tokens(None).await?;
    let low = tokens(image("low")).await?;
    assert_eq!(low - text, 85, "OpenAI's base for an image at low detail");
    assert!(tokens(image("high")).await? > low);
    Ok(())
}

#[tokio::test]
async fn audio_is_metered_by_its_length() -> Result {
    let simulator = Simulator::builder().with_models(["gpt-4o-audio-preview"]).build();
    // 32,000 bytes: one second.
    let part =
        json!({"type": "input_audio", "input_audio": {"data": "A".repeat(42_664) + "AA==", "format": "wav"}});
    let request = ask_with(
        "gpt-4o-audio-preview",
        &json!({"messages": [{"role": "user", "content": [part]}]}),
    );
    let usage = simulator.client().chat().create(request).await?.usage.unwrap();
    assert_eq!(usage.prompt_tokens_details.unwrap().audio_tokens, Some(10));
    let billed = simulator.book().total();
    assert_eq!(billed.audio_input_tokens, 10);
    assert!(billed.input_tokens > 10);
    Ok(())
}
