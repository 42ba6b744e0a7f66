//! Stories: async-openai's own typed calls against the simulator, in process and over TCP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::batches::{
    Batch, BatchCompletionWindow, BatchEndpoint, BatchRequest, BatchRequestOutput, BatchStatus,
    ListBatchesQuery,
};
use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, ChatCompletionRequestUserMessage, ChatCompletionStreamOptions,
    CreateChatCompletionRequest, CreateChatCompletionRequestArgs, FinishReason,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use async_openai::types::responses::{CreateResponseArgs, OutputItem, ResponseStreamEvent};
use futures_util::StreamExt;
use serde_json::{Value, json};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, Lane};

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
async fn a_response_is_the_same_plain_and_streamed() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let request = CreateResponseArgs::default()
        .model("gpt-5-mini")
        .input("Tell me.")
        .build()?;
    let plain = client.responses().create(request.clone()).await?;
    assert_eq!(plain.model, "gpt-5-mini-2025-08-07");
    let mut stream = client.responses().create_stream(request).await?;
    let (mut text, mut completed, mut kinds) = (String::new(), None, Vec::new());
    while let Some(event) = stream.next().await {
        match event? {
            ResponseStreamEvent::ResponseCreated(_) => kinds.push("created"),
            ResponseStreamEvent::ResponseOutputTextDelta(event) => text.push_str(&event.delta),
            ResponseStreamEvent::ResponseCompleted(event) => completed = Some(event.response),
            _ => {}
        }
    }
    let completed = completed.unwrap();
    assert_eq!(kinds, ["created"]);
    assert_eq!(plain.output_text().as_deref(), Some(text.as_str()));
    assert_eq!(completed.output_text(), plain.output_text());
    assert_eq!(completed.usage, plain.usage);
    assert!(plain.usage.unwrap().output_tokens_details.reasoning_tokens > 0);
    assert_eq!(simulator.book().charges().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_response_calls_its_function_plain_and_streamed() -> Result {
    let client = Simulator::new().client();
    let request = serde_json::from_value::<async_openai::types::responses::CreateResponse>(json!({
        "model": "gpt-4.1", "input": "look it up",
        "tools": [{"type": "function", "name": "find", "strict": true,
            "parameters": {"type": "object", "required": ["q"], "properties": {"q": {"type": "string"}}}}],
    }))?;
    let answer = client.responses().create(request.clone()).await?;
    let [OutputItem::FunctionCall(call)] = answer.output.as_slice() else {
        panic!("{:?}", answer.output)
    };
    assert_eq!(call.name, "find");
    let mut stream = client.responses().create_stream(request).await?;
    let mut arguments = String::new();
    while let Some(event) = stream.next().await {
        if let ResponseStreamEvent::ResponseFunctionCallArgumentsDelta(event) = event? {
            arguments.push_str(&event.delta);
        }
    }
    assert_eq!(arguments, call.arguments);
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

fn line(custom_id: &str, model: &str, content: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    let line = json!({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

async fn submit(client: &Client<OpenAIConfig>, lines: String) -> Result<Batch, OpenAIError> {
    let file = CreateFileRequest {
        file: FileInput::from_bytes("in.jsonl".into(), lines.into()),
        purpose: FilePurpose::Batch,
        expires_after: None,
    };
    let file = client.files().create(file).await?;
    let request = BatchRequest {
        input_file_id: file.id,
        endpoint: BatchEndpoint::V1ChatCompletions,
        completion_window: BatchCompletionWindow::W24H,
        metadata: None,
        output_expires_after: None,
    };
    client.batches().create(request).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_from_upload_to_its_output_and_error_files() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let mut lines: String = (0..40)
        .map(|n| line(&format!("id-{n}"), "gpt-4o-mini", &format!("line {n}")))
        .collect();
    let empty = json!({"model": "gpt-4o-mini", "messages": []});
    let bad = json!({"custom_id": "bad", "method": "POST", "url": "/v1/chat/completions", "body": empty});
    lines.push_str(&bad.to_string());
    let created = submit(&client, lines).await?;
    assert_eq!(created.status, BatchStatus::Validating);
    assert_eq!(created.request_counts.unwrap().total, 0);

    let mut seen = vec![created.status];
    let (mut counts, mut batch) = (Vec::new(), None);
    while batch.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let polled = client.batches().retrieve(&created.id).await?;
        counts.push(polled.request_counts.clone().unwrap().completed);
        if seen.last() != Some(&polled.status) {
            seen.push(polled.status.clone());
        }
        batch = (polled.status == BatchStatus::Completed).then_some(polled);
    }
    let batch = batch.unwrap();
    let states = [
        BatchStatus::Validating,
        BatchStatus::InProgress,
        BatchStatus::Finalizing,
        BatchStatus::Completed,
    ];
    assert_eq!(seen, states);
    assert!(
        counts.is_sorted() && counts.iter().any(|count| (1..40).contains(count)),
        "{counts:?}"
    );
    let total = batch.request_counts.unwrap();
    assert_eq!((total.total, total.completed, total.failed), (41, 40, 1));

    let read = async |id: Option<String>| {
        let content = client.files().content(&id.unwrap()).await?;
        let lines = std::str::from_utf8(&content).unwrap().lines();
        let lines: Vec<BatchRequestOutput> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        Ok::<_, OpenAIError>(lines)
    };
    let output = read(batch.output_file_id).await?;
    let ids: Vec<&str> = output.iter().map(|line| line.custom_id.as_str()).collect();
    let in_order: Vec<String> = (0..40).map(|n| format!("id-{n}")).collect();
    assert_ne!(ids, in_order);
    assert!(in_order.iter().all(|id| ids.contains(&id.as_str())));
    let errors = read(batch.error_file_id).await?;
    assert_eq!(errors[0].custom_id, "bad");
    let response = errors[0].response.as_ref().unwrap();
    assert_eq!(response.status_code, 400);
    assert_eq!(response.body["error"]["code"], "empty_array");

    let billed: u64 = output
        .iter()
        .map(|line| {
            line.response.as_ref().unwrap().body["usage"]["completion_tokens"]
                .as_u64()
                .unwrap()
        })
        .sum();
    let book = simulator.book();
    assert_eq!(
        book.total_where(|charge| charge.lane == Lane::Batch)
            .output_tokens,
        billed
    );
    assert_eq!(book.charges().len(), 40);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn one_bad_line_fails_the_batch_at_validation_and_bills_nothing() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let stream = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": true});
    let stream = json!({"custom_id": "s", "method": "POST", "url": "/v1/chat/completions", "body": stream});
    let lines = [
        line("a", "gpt-4o", "x"),
        line("a", "gpt-4o", "x"),
        line("b", "gpt-4o-mini", "x"),
        "{not json\n".to_owned(),
        format!("{stream}\n"),
    ];
    let batch = submit(&client, lines.concat()).await?;
    assert_eq!(batch.status, BatchStatus::Validating);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let batch = client.batches().retrieve(&batch.id).await?;
    assert_eq!(batch.status, BatchStatus::Failed);
    let errors = batch.errors.unwrap().data;
    let found: Vec<(&str, Option<u32>)> = errors
        .iter()
        .map(|error| (error.code.as_str(), error.line))
        .collect();
    let expected = [
        ("duplicate_custom_id", Some(2)),
        ("mismatched_model", Some(3)),
        ("invalid_json_line", Some(4)),
        ("streaming_unsupported", Some(5)),
    ];
    assert_eq!(found, expected);
    assert!(simulator.book().charges().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_batch_delivers_and_bills_what_had_run() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let lines = (0..20).map(|n| line(&format!("{n}"), "gpt-4o", "x")).collect();
    let batch = submit(&client, lines).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(
        client.batches().cancel(&batch.id).await?.status,
        BatchStatus::Cancelling
    );
    tokio::time::sleep(Duration::from_secs(15)).await;
    let batch = client.batches().retrieve(&batch.id).await?;
    assert_eq!(batch.status, BatchStatus::Cancelled);
    let ran = batch.request_counts.unwrap().completed as usize;
    assert!((1..20).contains(&ran), "{ran}");
    assert_eq!(simulator.book().charges().len(), ran);
    let lines = async |id: Option<String>| client.files().content(&id.unwrap()).await;
    let (output, rest) = (
        lines(batch.output_file_id).await?,
        lines(batch.error_file_id).await?,
    );
    assert_eq!(std::str::from_utf8(&output)?.lines().count(), ran);
    let rest = String::from_utf8(rest.to_vec())?;
    assert_eq!(rest.lines().count(), 20 - ran);
    assert!(rest.lines().all(|line| line.contains("batch_cancelled")));
    Ok(())
}

#[tokio::test]
async fn batches_and_files_are_listed_in_pages_newest_first() -> Result {
    let client = Simulator::new().client();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(submit(&client, line(&n.to_string(), "gpt-4o", "x")).await?.id);
    }
    let page = |after: Option<String>| ListBatchesQuery {
        after,
        limit: Some(2),
    };
    let first = client.batches().query(&page(None))?.list().await?;
    assert_eq!(
        first.data.iter().map(|batch| &batch.id).collect::<Vec<_>>(),
        [&ids[2], &ids[1]]
    );
    assert!(first.has_more);
    let rest = client.batches().query(&page(first.last_id))?.list().await?;
    assert_eq!(
        (rest.data[0].id.as_str(), rest.has_more),
        (ids[0].as_str(), false)
    );

    let files = client.files().list().await?;
    assert_eq!(files.data.len(), 3);
    let id = &files.data[0].id;
    assert!(client.files().retrieve(id).await?.expires_at.is_some());
    assert!(client.files().delete(id).await?.deleted);
    assert!(client.files().content(id).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_status_strikes_its_endpoint_so_many_times_and_is_free() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let quota = Fault::status(429).with_error("insufficient_quota", "You exceeded your current quota.");
    simulator.inject(
        Fault::status(429)
            .with_retry_after("2")
            .on("/chat/completions")
            .times(2),
    );
    simulator.inject(quota.on("/chat/completions"));
    let embedding = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input("x")
        .build()?;
    client.embeddings().create(embedding).await?;
    for code in ["rate_limit_exceeded", "rate_limit_exceeded", "insufficient_quota"] {
        assert_eq!(
            refusal(&client, ask("gpt-4o", "hi")).await,
            (429, code.to_owned())
        );
    }
    client.chat().create(ask("gpt-4o", "hi")).await?;
    assert_eq!(simulator.book().charges().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_reset_before_is_a_connect_error_and_a_reset_after_is_billed() {
    let simulator = Simulator::new();
    let client = simulator.client();
    simulator.inject(Fault::connection_reset_before());
    let before = client.chat().create(ask("gpt-4o", "hi")).await;
    assert!(
        matches!(&before, Err(OpenAIError::Reqwest(error)) if error.is_connect()),
        "{before:?}"
    );
    assert_eq!(
        (simulator.request_count(), simulator.book().charges().len()),
        (0, 0)
    );

    simulator.inject(Fault::connection_reset_after());
    let Err(OpenAIError::Boxed(after)) = client.chat().create(ask("gpt-4o", "hi")).await else {
        panic!()
    };
    let kind = after.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(simulator.book().charges().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_and_broken_bodies_are_billed_too() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    simulator.inject(Fault::hang());
    let hung = tokio::time::timeout(
        Duration::from_secs(600),
        client.chat().create(ask("gpt-4o", "hi")),
    )
    .await;
    assert!(hung.is_err());
    simulator.inject(Fault::truncate_body());
    let truncated = client.chat().create(ask("gpt-4o", "hi")).await;
    assert!(matches!(truncated, Err(OpenAIError::Reqwest(_))), "{truncated:?}");
    simulator.inject(Fault::body("<html>"));
    let html = client.chat().create(ask("gpt-4o", "hi")).await;
    assert!(matches!(html, Err(OpenAIError::JSONDeserialize(..))), "{html:?}");
    simulator.inject(Fault::cut_stream_after(3));
    let stream = client.chat().create_stream(ask("gpt-4o", "hi")).await?;
    let items: Vec<_> = stream.collect().await;
    assert_eq!(items.iter().filter(|item| item.is_ok()).count(), 3);
    assert!(items.last().is_some_and(std::result::Result::is_err), "{items:?}");
    assert_eq!(simulator.book().charges().len(), 4);
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
