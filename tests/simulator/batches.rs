//! Batches, from upload to output, on good days and bad ones.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::batches::{
    Batch, BatchCompletionWindow, BatchEndpoint, BatchRequest, BatchRequestOutput, BatchStatus,
    ListBatchesQuery,
};
use async_openai::types::files::{CreateFileRequest, FileInput, FilePurpose};
use serde_json::json;
use thrifty::Lane;
use thrifty::simulator::Simulator;

use super::Result;

pub(super) fn line(custom_id: &str, model: &str, content: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    let line = json!({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

pub(super) async fn submit(client: &Client<OpenAIConfig>, lines: String) -> Result<Batch, OpenAIError> {
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

async fn lines_of(client: &Client<OpenAIConfig>, file: Option<String>) -> Vec<BatchRequestOutput> {
    let content = client.files().content(&file.unwrap()).await.unwrap();
    let lines = std::str::from_utf8(&content).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_outlasts_its_window_expires_with_what_had_run() -> Result {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let simulator = Simulator::builder().with_batch_delay(hours(40)).build();
    let client = simulator.client();
    let lines = (0..20).map(|n| line(&format!("{n}"), "gpt-4o", "x")).collect();
    let batch = submit(&client, lines).await?;
    tokio::time::sleep(hours(23)).await;
    let running = client.batches().retrieve(&batch.id).await?;
    assert_eq!(running.status, BatchStatus::InProgress);
    tokio::time::sleep(hours(1)).await;
    let expired = client.batches().retrieve(&batch.id).await?;
    assert_eq!(expired.status, BatchStatus::Expired);
    assert_eq!(
        (expired.expired_at, expired.expires_at),
        (expired.expires_at, batch.expires_at)
    );

    let output = lines_of(&client, expired.output_file_id).await;
    let rest = lines_of(&client, expired.error_file_id).await;
    assert!(!output.is_empty() && !rest.is_empty());
    assert_eq!(
        (output.len() + rest.len(), simulator.book().charges().len()),
        (20, output.len())
    );
    for line in rest {
        assert!(line.response.is_none());
        assert_eq!(line.error.unwrap().code, "batch_expired");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_expires_before_its_validation_has_run_nothing() -> Result {
    let simulator = Simulator::builder()
        .with_batch_window(Duration::from_secs(2))
        .build();
    let client = simulator.client();
    let batch = submit(&client, line("a", "gpt-4o", "x")).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let batch = client.batches().retrieve(&batch.id).await?;
    let files = (&batch.output_file_id, &batch.error_file_id);
    assert_eq!((batch.status, files), (BatchStatus::Expired, (&None, &None)));
    assert!(simulator.book().charges().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn enqueued_tokens_are_limited_by_model_until_a_batch_is_over() -> Result {
    let simulator = Simulator::builder().with_enqueued_tokens(1_000).build();
    let client = simulator.client();
    let long = "a word or two ".repeat(200);
    let first = submit(&client, line("a", "gpt-4o", &long)).await?;
    let second = submit(&client, line("a", "gpt-4o", &long)).await?;
    let other = submit(&client, line("a", "gpt-4o-mini", &long)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = async |batch: &Batch| client.batches().retrieve(&batch.id).await;
    assert_eq!(status(&first).await?.status, BatchStatus::InProgress);
    assert_eq!(status(&other).await?.status, BatchStatus::InProgress);
    let refused = status(&second).await?;
    assert_eq!(refused.status, BatchStatus::Failed);
    let errors = refused.errors.unwrap().data;
    assert_eq!(
        (errors[0].code.as_str(), errors[0].line),
        ("token_limit_exceeded", None)
    );
    assert!(errors[0].message.contains("Limit: 1,000 enqueued tokens"));

    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(status(&first).await?.status, BatchStatus::Completed);
    let request = BatchRequest {
        input_file_id: second.input_file_id,
        endpoint: BatchEndpoint::V1ChatCompletions,
        completion_window: BatchCompletionWindow::W24H,
        metadata: None,
        output_expires_after: None,
    };
    let again = client.batches().create(request).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(status(&again).await?.status, BatchStatus::Completed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn more_than_2000_batches_an_hour_are_refused_at_their_creation() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let first = submit(&client, line("a", "gpt-4o", "x")).await?;
    let create = async || {
        let request = BatchRequest {
            input_file_id: first.input_file_id.clone(),
            endpoint: BatchEndpoint::V1ChatCompletions,
            completion_window: BatchCompletionWindow::W24H,
            metadata: None,
            output_expires_after: None,
        };
        client.batches().create(request).await
    };
    for _ in 1..2_000 {
        create().await?;
    }
    let Err(OpenAIError::ApiError(error)) = create().await else {
        panic!("the 2,001st batch was made");
    };
    assert_eq!(error.status_code.as_u16(), 429);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    create().await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_input_is_deleted_before_its_validation_fails_and_bills_nothing() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let batch = submit(&client, line("a", "gpt-4o", "x")).await?;
    client.files().delete(&batch.input_file_id).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let batch = client.batches().retrieve(&batch.id).await?;
    assert_eq!(batch.status, BatchStatus::Failed);
    assert!(simulator.book().charges().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_a_batch_is_the_sum_of_its_lines() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let batch = submit(&client, (0..5).map(|n| line(&n.to_string(), "o3", "x")).collect()).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let usage = client.batches().retrieve(&batch.id).await?.usage.unwrap();
    let total = simulator.book().total();
    assert!(total.reasoning_tokens > 0);
    assert_eq!(
        (u64::from(usage.input_tokens), u64::from(usage.output_tokens)),
        (total.input_tokens, total.output_tokens)
    );
    assert_eq!(
        u64::from(usage.output_tokens_details.reasoning_tokens),
        total.reasoning_tokens
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_list_may_lag_behind_and_be_out_of_order() -> Result {
    let lag = Duration::from_secs(20);
    let simulator = Simulator::builder()
        .with_list_lag(lag)
        .with_shuffled_lists()
        .build();
    let client = simulator.client();
    let mut made = Vec::new();
    for n in 0..12 {
        made.push(submit(&client, line(&n.to_string(), "gpt-4o", "x")).await?.id);
    }
    assert!(client.batches().list().await?.data.is_empty());
    assert!(client.batches().retrieve(&made[0]).await.is_ok());
    tokio::time::sleep(lag).await;
    let listed: Vec<_> = client
        .batches()
        .list()
        .await?
        .data
        .into_iter()
        .map(|batch| batch.id)
        .collect();
    made.reverse();
    assert_ne!(listed, made);
    assert!(made.iter().all(|id| listed.contains(id)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn files_are_gone_when_they_expire() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let day = Duration::from_secs(86_400);
    let batch = submit(&client, line("a", "gpt-4o", "x")).await?;
    tokio::time::sleep(day * 29).await;
    let output = client
        .batches()
        .retrieve(&batch.id)
        .await?
        .output_file_id
        .unwrap();
    assert!(client.files().retrieve(&batch.input_file_id).await.is_ok());
    tokio::time::sleep(day).await;
    assert!(client.files().retrieve(&batch.input_file_id).await.is_err());
    assert!(client.files().content(&output).await.is_ok());
    tokio::time::sleep(day).await;
    assert!(client.files().content(&output).await.is_err());
    Ok(())
}
