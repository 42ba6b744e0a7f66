//! Streams: handed on as they come, metered as they go by, booked however they end.

use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionResponseStream, ChatCompletionStreamOptions, CreateChatCompletionRequest,
    CreateChatCompletionStreamResponse,
};
use async_openai::types::responses::CreateResponseArgs;
use futures_util::StreamExt;
use serde_json::Value;
use thrifty::ledger::{Degradation, LedgerEntry, Status};
use thrifty::pricing::{Cost, PartialReason};
use thrifty::simulator::{Charge, Fault, Simulator};
use thrifty::{Lane, LlmClient, RetryPolicy, Transport, Usd};

use super::bounds::{billed, most};
use super::{chat, client_of, only_row, rows};

fn usage_asked_for(asked: bool) -> CreateChatCompletionRequest {
    let mut request = chat("gpt-4o", "Tell me of a river.");
    request.stream_options = asked.then_some(ChatCompletionStreamOptions {
        include_usage: Some(true),
        include_obfuscation: None,
    });
    request
}

async fn all(mut stream: ChatCompletionResponseStream) -> Vec<CreateChatCompletionStreamResponse> {
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk.unwrap());
    }
    chunks
}

/// $2.50 and $10 a million tokens, nothing cached.
fn gpt_4o(charge: &Charge) -> Usd {
    let pico = charge.usage.input_tokens * 2_500_000 + charge.usage.output_tokens * 10_000_000;
    Usd::from_pico(pico.try_into().unwrap())
}

/// Lets the task that async-openai reads the stream with take notice, and time pass.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What the row's cost is known to be within.
fn bounds(row: &LedgerEntry, expected: PartialReason) -> (Usd, Usd) {
    match row.cost {
        Cost::Partial {
            known,
            at_most: Some(most),
            why,
        } if why == expected => (known, most),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_usage_chunk_is_hidden_from_a_caller_who_did_not_ask_for_it() {
    let (bare, simulator) = (Simulator::new(), Simulator::new());
    let llm = client_of(&simulator).build().unwrap();
    let expected = all(bare
        .client()
        .chat()
        .create_stream(usage_asked_for(false))
        .await
        .unwrap())
    .await;
    let chunks = all(llm.chat().create_stream(usage_asked_for(false)).await.unwrap()).await;
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.usage.is_none() && chunk.choices.len() == 1)
    );
    let text = |chunks: &[CreateChatCompletionStreamResponse]| -> String {
        chunks
            .iter()
            .filter_map(|chunk| chunk.choices[0].delta.content.as_deref())
            .collect()
    };
    assert_eq!((text(&chunks), chunks.len()), (text(&expected), expected.len()));
    let row = only_row(&llm).await;
    let book = simulator.book();
    assert_eq!(
        (row.status, row.streamed, row.usage),
        (Status::Succeeded, true, Some(book.charges()[0].usage))
    );
    assert_eq!(row.cost, Cost::Priced(gpt_4o(&book.charges()[0])));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_asked_for_usage_sees_it_and_the_request_is_untouched() {
    let (bare, simulator) = (Simulator::new(), Simulator::new());
    let llm = client_of(&simulator).build().unwrap();
    let expected = all(bare
        .client()
        .chat()
        .create_stream(usage_asked_for(true))
        .await
        .unwrap())
    .await;
    let chunks = all(llm.chat().create_stream(usage_asked_for(true)).await.unwrap()).await;
    assert_eq!(chunks, expected);
    assert!(chunks.last().unwrap().usage.is_some());
    assert_eq!(simulator.requests(), bare.requests());
    assert_eq!(
        only_row(&llm).await.cost,
        Cost::Priced(gpt_4o(&simulator.book().charges()[0]))
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_stream_options_are_added_to_the_request() {
    let (bare, simulator) = (Simulator::new(), Simulator::new());
    let llm = client_of(&simulator).build().unwrap();
    all(bare
        .client()
        .chat()
        .create_stream(usage_asked_for(false))
        .await
        .unwrap())
    .await;
    all(llm.chat().create_stream(usage_asked_for(false)).await.unwrap()).await;
    let (sent, asked) = (simulator.requests().remove(0), bare.requests().remove(0));
    let sent = String::from_utf8(sent.body.to_vec()).unwrap();
    let without = sent.replacen("\"stream_options\":{\"include_usage\":true},", "", 1);
    assert_eq!(without.as_bytes(), asked.body);
}

#[tokio::test(start_paused = true)]
async fn without_injection_a_stream_is_booked_with_bounds() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).without_usage_injection().build().unwrap();
    all(llm.chat().create_stream(usage_asked_for(false)).await.unwrap()).await;
    let row = only_row(&llm).await;
    assert_eq!(row.status, Status::Succeeded);
    assert_eq!(row.degradations, [Degradation::UsageMissing]);
    let (known, most) = bounds(&row, PartialReason::NoUsage);
    assert!(known == Usd::ZERO && most >= gpt_4o(&simulator.book().charges()[0]));
    assert!(!String::from_utf8_lossy(&simulator.requests()[0].body).contains("stream_options"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_midway_is_abandoned_with_bounds_on_its_cost() {
    let simulator = Simulator::builder()
        .with_chunk_delay(Duration::from_secs(1))
        .build();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.tracked();
    let mut stream = tracked
        .chat()
        .create_stream(usage_asked_for(false))
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(rows(&llm).await, []);
    drop(stream);
    let receipt = tracked.receipt().await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(receipt.entries(), std::slice::from_ref(&row));
    assert_eq!((row.status, row.streamed), (Status::Abandoned, true));
    assert_eq!(row.served_model.as_ref().unwrap().as_str(), "gpt-4o-2024-08-06");
    let (_, most) = bounds(&row, PartialReason::Abandoned);
    assert!(most >= gpt_4o(&simulator.book().charges()[0]));
    assert_eq!(llm.shutdown(Duration::ZERO).await.unwrap().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_before_its_usage_is_cut_short_and_its_caller_told() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::cut_stream_after(3));
    let mut stream = llm.chat().create_stream(usage_asked_for(false)).await.unwrap();
    let mut last = None;
    while let Some(chunk) = stream.next().await {
        last = Some(chunk);
    }
    last.unwrap().unwrap_err();
    let row = only_row(&llm).await;
    assert_eq!((row.status, row.attempts), (Status::CutShort, 1));
    let (_, most) = bounds(&row, PartialReason::CutShort);
    assert!(most >= gpt_4o(&simulator.book().charges()[0]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_the_servers_end_is_cut_short_though_its_usage_is_known() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let event = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#;
    simulator.inject(Fault::body(format!("{event}\n\n")));
    all(llm.chat().create_stream(usage_asked_for(true)).await.unwrap()).await;
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.cost),
        (Status::CutShort, Cost::Priced(Usd::from_pico(30_000_000)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_ends_after_the_idle_timeout_and_a_slow_one_does_not() {
    let idle = Duration::from_secs(20);
    let retry = RetryPolicy::default().with_idle_timeout(idle);
    let slow = Simulator::builder()
        .with_chunk_delay(Duration::from_secs(19))
        .build();
    let llm: LlmClient = client_of(&slow).with_retry(retry).build().unwrap();
    let whole = all(llm.chat().create_stream(usage_asked_for(false)).await.unwrap()).await;
    assert!(whole.len() > 10);
    assert_eq!(only_row(&llm).await.status, Status::Succeeded);

    let silent = Simulator::builder().with_chunk_delay(idle * 2).build();
    let llm = client_of(&silent).with_retry(retry).build().unwrap();
    let begun = tokio::time::Instant::now();
    let mut stream = llm.chat().create_stream(usage_asked_for(false)).await.unwrap();
    stream.next().await.unwrap().unwrap_err();
    assert!(stream.next().await.is_none());
    assert!((idle..idle + Duration::from_millis(10)).contains(&begun.elapsed()));
    let row = only_row(&llm).await;
    assert_eq!(row.status, Status::CutShort);
    bounds(&row, PartialReason::CutShort);
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream_is_a_failed_call() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let error = r#"data: {"error":{"message":"overloaded","type":"server_error","code":null,"param":null}}"#;
    simulator.inject(Fault::body(format!("{error}\n\n")));
    let mut stream = llm.chat().create_stream(usage_asked_for(false)).await.unwrap();
    stream.next().await.unwrap().unwrap_err();
    a_moment().await;
    assert_eq!(only_row(&llm).await.status, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_responses_api_is_metered() {
    let (bare, simulator) = (Simulator::new(), Simulator::new());
    let llm = client_of(&simulator).build().unwrap();
    let request = CreateResponseArgs::default()
        .model("gpt-4o")
        .input("Tell me of a river.")
        .build()
        .unwrap();
    let mut expected = bare
        .client()
        .responses()
        .create_stream(request.clone())
        .await
        .unwrap();
    let mut stream = llm.responses().create_stream(request).await.unwrap();
    let mut events = 0;
    while let Some(event) = stream.next().await {
        let plain = |event| serde_json::to_value(event).unwrap();
        let wanted: Value = plain(expected.next().await.unwrap().unwrap());
        assert_eq!(plain(event.unwrap()), wanted);
        events += 1;
    }
    assert!(events > 10 && expected.next().await.is_none());
    assert_eq!(simulator.requests(), bare.requests());
    let row = only_row(&llm).await;
    assert_eq!((row.status, row.streamed), (Status::Succeeded, true));
    assert_eq!(row.cost, Cost::Priced(gpt_4o(&simulator.book().charges()[0])));
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_when_its_first_byte_came() {
    let simulator = Simulator::builder()
        .with_latency(Duration::from_millis(300))
        .with_chunk_delay(Duration::from_millis(100))
        .build();
    let llm = client_of(&simulator).build().unwrap();
    let chunks = all(llm.chat().create_stream(usage_asked_for(false)).await.unwrap()).await;
    let row = only_row(&llm).await;
    assert_eq!(row.first_byte_ms, Some(400));
    // The hidden usage chunk and the end come after what the caller saw.
    assert_eq!(row.latency_ms, Some(300 + 100 * (chunks.len() as u64 + 2)));
}

#[tokio::test(start_paused = true)]
async fn the_tier_auto_in_an_answer_names_none() {
    // As recorded of OpenAI: only the last event, which does not come, names the tier that answered.
    let created = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"r","object":"response","created_at":1,"status":"in_progress","model":"gpt-4o-2024-08-06","output":[],"service_tier":"auto","usage":null}}

"#;
    let simulator = Simulator::new();
    simulator.inject(Fault::body(created));
    let llm = client_of(&simulator).build().unwrap();
    let request = CreateResponseArgs::default()
        .model("gpt-4o")
        .input("Name a river.")
        .max_output_tokens(1_000_u32)
        .build();
    let stream = llm.responses().create_stream(request.unwrap()).await.unwrap();
    assert_eq!(stream.count().await, 1);
    let row = only_row(&llm).await;
    assert_eq!((row.lane, row.status), (Lane::Standard, Status::CutShort));
    assert_eq!(row.degradations, [Degradation::UsageMissing]);
    assert!(billed(&simulator) > Usd::ZERO && billed(&simulator) <= most(&row));
}

/// A transport that sends these pieces of a body one after the other, with so much time before each.
fn in_pieces(
    content_type: Option<&'static str>,
    pieces: &'static [&'static str],
    pause: Duration,
) -> Transport {
    Transport::service(tower::service_fn(move |request: HttpRequestFactory| async move {
        request.build().await?;
        let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(piece.as_bytes())
        });
        let mut answer = http::Response::builder();
        if let Some(content_type) = content_type {
            answer = answer.header("content-type", content_type);
        }
        let body = reqwest::Body::wrap_stream(pieces);
        Ok::<_, OpenAIError>(answer.body(body).unwrap().into())
    }))
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_handed_on_as_it_comes_whatever_it_calls_itself() {
    const PIECES: &[&str] = &[
        "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2,\"total_tokens\":6}}\n\n",
        "data: [DONE]\n\n",
    ];
    let pause = Duration::from_secs(10);
    for content_type in [None, Some("text/event-stream"), Some("application/octet-stream")] {
        let transport = in_pieces(content_type, PIECES, pause);
        let llm = LlmClient::builder(Simulator::new().client(), transport)
            .build()
            .unwrap();
        let begun = tokio::time::Instant::now();
        let mut stream = llm.chat().create_stream(usage_asked_for(false)).await.unwrap();
        stream.next().await.unwrap().unwrap();
        assert!(
            begun.elapsed() < pause * 2,
            "{content_type:?} {:?}",
            begun.elapsed()
        );
        assert!(stream.next().await.is_none(), "{content_type:?}");
        let row = only_row(&llm).await;
        assert_eq!((row.status, row.streamed), (Status::Succeeded, true));
        assert_eq!(row.cost, Cost::Priced(Usd::from_pico(30_000_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_of_a_megabyte_in_a_stream_makes_no_row_of_a_megabyte() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let name = "é".repeat(500_000);
    simulator.inject(Fault::body(format!(
        "data: {{\"model\":\"{name}\",\"choices\":[]}}\n\ndata: [DONE]\n\n"
    )));
    let stream = llm.chat().create_stream(usage_asked_for(true)).await.unwrap();
    stream.count().await;
    let row = only_row(&llm).await;
    let kept = row.served_model.as_ref().unwrap().as_str();
    assert!(kept.len() <= 256 && name.starts_with(kept), "{}", kept.len());
}
