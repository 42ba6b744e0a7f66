//! Bad days, by script and by chance.

use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::types::batches::{Batch, BatchStatus};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use futures_util::StreamExt;
use serde_json::{Value, json};
use thrifty::simulator::{BatchFault, Fault, LineFault, Simulator};
use thrifty::{Lane, LlmClient, Transport};

use super::batches::{line, submit};
use super::raw::{post, send};
use super::{Result, ask, refusal};

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

#[tokio::test]
async fn a_quota_a_gateway_and_a_numeric_code_are_told_as_they_come() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    simulator.inject(Fault::quota());
    assert_eq!(
        refusal(&client, ask("gpt-4o", "hi")).await,
        (429, "insufficient_quota".to_owned())
    );
    // Read as bytes: async-openai's own client retries them.
    let read = async || {
        let server = simulator.serve().await?;
        let url = format!("{}/chat/completions", server.base_url());
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.post(url).bearer_auth("k").body("{}").send().await?;
        let kind = answer.headers()["content-type"].to_str()?.to_owned();
        Ok::<_, Box<dyn std::error::Error>>((answer.status().as_u16(), kind, answer.text().await?))
    };
    simulator.inject(Fault::gateway(502));
    let (status, kind, page) = read().await?;
    assert_eq!((status, kind.as_str()), (502, "text/html"));
    assert!(page.contains("<html>"));
    let numeric = r#"{"error":{"message":"slow down","code":429}}"#;
    simulator.inject(
        Fault::status(429)
            .with_body(numeric)
            .with_header("retry-after-ms", "1500"),
    );
    assert_eq!(read().await?.2, numeric);
    assert!(simulator.book().charges().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_has_its_headers_and_an_empty_account_has_not() -> Result {
    let simulator = Simulator::new();
    let server = simulator.serve().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    for (fault, name, value) in [
        (Fault::status(429), "x-ratelimit-remaining-requests", Some("0")),
        (Fault::quota(), "x-ratelimit-remaining-requests", None),
        (
            Fault::status(429).with_retry_after("20"),
            "retry-after",
            Some("20"),
        ),
        (
            Fault::status(503).with_retry_after(date),
            "retry-after",
            Some(date),
        ),
        (
            Fault::status(429).with_header("retry-after-ms", "1500"),
            "retry-after-ms",
            Some("1500"),
        ),
        (
            Fault::status(500).with_header("x-request-id", "mine"),
            "x-request-id",
            Some("mine"),
        ),
    ] {
        simulator.inject(fault);
        let url = format!("{}/chat/completions", server.base_url());
        let answer = http.post(url).bearer_auth("k").body("{}").send().await?;
        let told = answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(told, value, "{name}");
        assert!(answer.headers().contains_key("x-request-id"));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_delayed_comes_all_the_same() -> Result {
    let simulator = Simulator::new();
    simulator.inject(Fault::delay(Duration::from_secs(90)).containing("slowly"));
    let begun = tokio::time::Instant::now();
    simulator.client().chat().create(ask("gpt-4o", "quickly")).await?;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    simulator.client().chat().create(ask("gpt-4o", "slowly")).await?;
    assert_eq!(begun.elapsed(), Duration::from_secs(90));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_says_can_be_changed() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    simulator.inject(Fault::change(|answer| answer["usage"] = Value::Null).on("/chat/completions"));
    assert_eq!(client.chat().create(ask("gpt-4o", "hi")).await?.usage, None);
    assert_eq!(simulator.book().charges().len(), 1);

    let batch = submit(&client, line("a", "gpt-4o", "x")).await?;
    let shout = |batch: &mut Value| batch["status"] = json!("VALIDATING");
    simulator.inject(Fault::change(shout).on("/batches/*"));
    assert!(client.batches().retrieve(&batch.id).await.is_err());
    assert_eq!(
        client.batches().retrieve(&batch.id).await?.status,
        BatchStatus::Validating
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_listed_though_its_creation_was_told_to_have_failed() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let bad_request = Fault::status(400).after_effect();
    simulator.inject(bad_request.on("/batches"));
    assert!(submit(&client, line("a", "gpt-4o", "x")).await.is_err());
    assert_eq!(client.batches().list().await?.data.len(), 1);
    Ok(())
}

#[tokio::test]
async fn faults_by_chance_are_those_of_the_seed() {
    let outcomes = async |seed| {
        let simulator = Simulator::builder().with_seed(seed).build();
        simulator.inject(Fault::status(400).with_probability(0.3));
        let client = simulator.client();
        let mut failed = Vec::new();
        for n in 0..200 {
            let answer = client.chat().create(ask("gpt-4o", &n.to_string())).await;
            failed.push(answer.is_err());
        }
        failed
    };
    let first = outcomes(1).await;
    assert_eq!(first, outcomes(1).await);
    assert_ne!(first, outcomes(2).await);
    let count = first.iter().filter(|failed| **failed).count();
    assert!((35..85).contains(&count), "{count}");
}

/// Runs a batch to its end.
async fn ended(simulator: &Simulator, lines: String) -> Result<Batch> {
    let client = simulator.client();
    let batch = submit(&client, lines).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(client.batches().retrieve(&batch.id).await?)
}

async fn content(simulator: &Simulator, file: Option<&String>) -> Vec<Value> {
    let Some(file) = file else { return Vec::new() };
    let content = simulator.client().files().content(file).await.unwrap();
    let lines = std::str::from_utf8(&content).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn single_lines_of_a_batch_go_wrong_in_every_way() -> Result {
    let simulator = Simulator::new();
    for (text, fault) in [
        ("word-500", LineFault::Status(500)),
        ("word-zero", LineFault::StatusZero),
        ("word-missing", LineFault::Missing),
        ("word-twice", LineFault::Twice),
        ("word-stranger", LineFault::Stranger),
        ("word-string", LineFault::BodyAsString),
    ] {
        simulator.inject(Fault::line(fault).containing(text).on("/v1/chat/completions"));
    }
    let words = ["500", "zero", "missing", "twice", "stranger", "string", "fine"];
    let lines = words.map(|word| line(word, "gpt-4o", &format!("word-{word}")));
    let batch = ended(&simulator, lines.concat()).await?;
    assert_eq!(batch.status, BatchStatus::Completed);
    let counts = batch.request_counts.unwrap();
    assert_eq!((counts.total, counts.completed, counts.failed), (7, 5, 2));

    let output = content(&simulator, batch.output_file_id.as_ref()).await;
    let of = |id: &str| {
        output
            .iter()
            .filter(|line| line["custom_id"] == id)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("zero")[0]["response"]["status_code"], 0);
    assert_eq!(
        (of("missing").len(), of("twice").len(), of("fine").len()),
        (0, 2, 1)
    );
    assert_eq!((of("stranger").len(), of("stranger-stranger").len()), (0, 1));
    let body = of("string")[0]["response"]["body"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(body)?["object"], "chat.completion");
    let errors = content(&simulator, batch.error_file_id.as_ref()).await;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["response"]["status_code"], 500);
    assert_eq!(errors[0]["error"], Value::Null);

    // Billed is what ran: all but the 500 and the zero.
    let charges = simulator.book();
    assert_eq!(charges.charges().len(), 5);
    assert!(charges.charges().iter().all(|charge| charge.lane == Lane::Batch));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whole_batches_go_wrong_in_every_way() -> Result {
    let with = async |fault: BatchFault| {
        let simulator = Simulator::new();
        simulator.inject(Fault::batch(fault));
        let batch = ended(&simulator, line("a", "gpt-4o", "x")).await?;
        Ok::<_, Box<dyn std::error::Error>>((simulator, batch))
    };
    let (_, failed) = with(BatchFault::Fails("billing_hard_limit_reached")).await?;
    assert_eq!(failed.status, BatchStatus::Failed);
    assert_eq!(failed.errors.unwrap().data[0].code, "billing_hard_limit_reached");

    let (_, stuck) = with(BatchFault::Stuck).await?;
    assert_eq!(stuck.status, BatchStatus::Finalizing);

    let (_, without) = with(BatchFault::NoFiles).await?;
    assert_eq!(
        (without.status, without.output_file_id),
        (BatchStatus::Completed, None)
    );

    let (simulator, late) = with(BatchFault::LateFiles(Duration::from_secs(120))).await?;
    assert_eq!((late.status, late.output_file_id), (BatchStatus::Completed, None));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let late = simulator.client().batches().retrieve(&late.id).await?;
    assert_eq!(content(&simulator, late.output_file_id.as_ref()).await.len(), 1);

    let simulator = Simulator::new();
    simulator.inject(Fault::batch(BatchFault::EarlyFiles));
    let early = submit(&simulator.client(), line("a", "gpt-4o", "x")).await?;
    tokio::time::sleep(Duration::from_secs(28)).await;
    let early = simulator.client().batches().retrieve(&early.id).await?;
    assert_eq!(early.status, BatchStatus::Finalizing);
    assert_eq!(content(&simulator, early.output_file_id.as_ref()).await.len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_status_that_nobody_knows_is_polled_until_its_files_are_there() -> Result {
    let simulator = Simulator::new();
    simulator.inject(Fault::batch(BatchFault::Status("paused")));
    let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service())).build()?;
    let call = tokio::spawn(async move {
        let nightly = llm.within(Duration::from_secs(86_400));
        nightly.chat().create(ask("gpt-4o", "hi")).await
    });
    let mut seen = Vec::new();
    while !call.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_, list) = send(&simulator, "GET", "/v1/batches", "application/json", "").await;
        let list: Value = serde_json::from_str(&list)?;
        seen.extend(list["data"][0]["status"].as_str().map(str::to_owned));
    }
    seen.dedup();
    assert_eq!(seen, ["validating", "paused", "completed"]);
    call.await??;
    let book = simulator.book();
    assert!(
        matches!(book.charges(), [charge] if charge.lane == Lane::Batch),
        "{book:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_tier_that_nobody_knows_is_one_line() -> Result {
    let simulator = Simulator::new();
    simulator.inject(Fault::change(|answer| answer["service_tier"] = json!("turbo")));
    let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service())).build()?;
    let call = llm.tracked();
    let answer = call.chat().create(ask("gpt-4o", "hi")).await;
    assert!(
        answer.is_err(),
        "async-openai does not know it either: {answer:?}"
    );
    let receipt = call.receipt().await.unwrap();
    assert_eq!(receipt.usage().unwrap(), &simulator.book().total());
    Ok(())
}

#[tokio::test]
async fn events_of_a_stream_are_swapped_repeated_and_left_out() -> Result {
    let simulator = Simulator::new();
    let read = async |fault: Option<Fault>| {
        if let Some(fault) = fault {
            simulator.inject(fault);
        }
        let body = json!({"model": "gpt-4o", "input": "hi", "stream": true});
        let (_, stream) = post(&simulator, "/v1/responses", &body).await;
        let numbers = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        numbers
            .map(|data| {
                serde_json::from_str::<Value>(data).unwrap()["sequence_number"]
                    .as_u64()
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    let whole = read(None).await;
    let last = whole.len() - 1;
    assert!(whole.is_sorted() && last > 6, "{whole:?}");
    assert_eq!(
        read(Some(Fault::swap_stream_after(2))).await[..5],
        [0, 1, 3, 2, 4]
    );
    assert_eq!(
        read(Some(Fault::repeat_stream_after(2))).await[..5],
        [0, 1, 2, 2, 3]
    );
    assert_eq!(read(Some(Fault::skip_stream_after(2))).await[..4], [0, 1, 3, 4]);
    for fault in [
        Fault::swap_stream_after(last),
        Fault::swap_stream_after(usize::MAX),
        Fault::repeat_stream_after(last + 1),
        Fault::skip_stream_after(last + 1),
    ] {
        assert_eq!(read(Some(fault)).await, whole);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_with_an_event_that_is_no_json_is_an_error_and_billed() -> Result {
    let simulator = Simulator::new();
    simulator.inject(Fault::garble_stream_after(2));
    let stream = simulator
        .client()
        .chat()
        .create_stream(ask("gpt-4o", "hi"))
        .await?;
    let items: Vec<_> = stream.collect().await;
    assert!(
        items[0].is_ok() && items[1].is_ok() && items[2].is_err(),
        "{items:?}"
    );
    assert_eq!(simulator.book().charges().len(), 1);
    Ok(())
}
