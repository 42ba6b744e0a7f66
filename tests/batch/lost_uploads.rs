//! Answers to uploads that are lost, and uploads that a killed process has left without an end.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use thrifty::batch::{BatchCollector, BatchPolicy, FileStore};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, LlmClient, Transport};

use super::fake::{Arrives, Fail, FakeApi};
use super::{Echo, ask, paused, some, until};

const LINES: u64 = 3;

fn collector(api: &FakeApi, spool: &Path, policy: BatchPolicy) -> BatchCollector {
    BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_store(FileStore::open(spool).unwrap())
        .build()
}

/// One batch ran, and each line once.
fn ran_once(api: &FakeApi) {
    assert_eq!(api.batches(), 1, "{:?}", api.calls());
    let mut ran = HashMap::new();
    for line in api.ran() {
        *ran.entry(line.custom_id).or_insert(0) += 1;
    }
    assert_eq!((ran.len() as u64, ran.into_values().max()), (LINES, Some(1)));
}

async fn answered(collector: &BatchCollector) {
    for (n, handle) in some(collector, LINES).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap(), Echo { echo: n as u64 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_upload_was_not_answered_is_found_and_used() {
    for late in [0, 1] {
        let api = FakeApi::default()
            .losing_uploads([Arrives::Whole])
            .showing_file_late(0, late);
        answered(&BatchCollector::builder(api.clone()).build()).await;
        ran_once(&api);
        assert_eq!(api.files(), ["file-0"], "shown after {late} looks");
        let uploads = api.calls().iter().filter(|call| *call == "upload").count();
        assert_eq!(uploads, 1, "shown after {late} looks");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_broke_off_is_deleted_and_the_whole_one_is_used() {
    let api =
        FakeApi::default().losing_uploads([Arrives::Half, Arrives::Nothing, Arrives::Half, Arrives::Whole]);
    answered(&BatchCollector::builder(api.clone()).build()).await;
    ran_once(&api);
    assert_eq!(api.files(), ["file-3"]);
    assert_eq!(api.deleted(), ["file-0", "file-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_line_that_was_cancelled_meanwhile_is_not_used() {
    let api = FakeApi::default()
        .losing_uploads([Arrives::Whole])
        .showing_file_late(0, 1);
    let collector = BatchCollector::builder(api.clone()).build();
    let handles = some(&collector, LINES + 1).await;
    collector.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(api.calls().join(" "), "upload list files");
    collector.cancel(handles[0].id()).await.unwrap();
    for handle in handles.into_iter().skip(1) {
        assert!(handle.await.is_ok());
    }
    ran_once(&api);
    assert_eq!(
        (api.files(), api.deleted()),
        (vec!["file-1".to_owned()], vec!["file-0".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_shown_after_both_looks_is_deleted_when_the_batch_is_over() {
    let dir = TempDir::new().unwrap();
    let api = FakeApi::default()
        .losing_uploads([Arrives::Whole])
        .showing_file_late(0, 2);
    let collector = collector(&api, dir.path(), BatchPolicy::default());
    answered(&collector).await;
    until("no file is left", || api.files().is_empty()).await;
    assert_eq!(api.batches(), 1);
    assert_eq!(api.deleted(), ["output-0", "file-1", "file-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lists_no_files_gets_the_file_anew_at_once() {
    for fail in [
        Fail::Status(404),
        Fail::Status(405),
        Fail::Status(501),
        Fail::Page,
    ] {
        let api = FakeApi::default()
            .losing_uploads([Arrives::Whole])
            .failing("list files", usize::MAX, fail);
        let collector = BatchCollector::builder(api.clone()).build();
        answered(&collector).await;
        ran_once(&api);
        assert_eq!(
            api.calls().join(" "),
            "upload list files upload create",
            "it is asked once"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_for_a_while_is_asked_again_and_not_for_ever() {
    for times in [3, usize::MAX] {
        let api = FakeApi::default().losing_uploads([Arrives::Whole]).failing(
            "list files",
            times,
            Fail::Status(503),
        );
        answered(&BatchCollector::builder(api.clone()).build()).await;
        ran_once(&api);
        let files = if times == 3 { 1 } else { 2 };
        assert_eq!(api.files().len(), files, "{times} failures");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_kept_if_the_policy_says_so() {
    let api = FakeApi::default().losing_uploads([Arrives::Half]);
    let policy = BatchPolicy::default().with_files_deleted(false);
    let collector = BatchCollector::builder(api.clone()).with_policy(policy).build();
    answered(&collector).await;
    assert_eq!((api.files().len(), api.deleted().len()), (2, 0));
}

#[test]
fn a_restart_finds_the_file_whose_upload_has_no_end_in_the_journal() {
    for (checkpoint, arrives, uploads) in [
        (false, Arrives::Whole, 1),
        (true, Arrives::Whole, 1),
        (false, Arrives::Half, 2),
        (false, Arrives::Nothing, 2),
    ] {
        let dir = TempDir::new().unwrap();
        // The process ends while it still looks for the file.
        let api = FakeApi::default()
            .losing_uploads([arrives])
            .showing_file_late(0, 1);
        let mut ids = Vec::new();
        paused().block_on(async {
            let patient = BatchPolicy::default().with_settle(Duration::from_secs(86_400));
            let collector = collector(&api, dir.path(), patient);
            for n in 0..LINES {
                ids.push(collector.enqueue(&ask(n)).await.unwrap().id());
            }
            collector.flush().await.unwrap();
            until("the file is looked for", || api.calls().len() >= 2).await;
            if checkpoint {
                collector.checkpoint().await.unwrap();
            }
            assert_eq!(api.calls().join(" "), "upload list files");
        });
        paused().block_on(async {
            let collector = collector(&api, dir.path(), BatchPolicy::default());
            for (n, id) in ids.into_iter().enumerate() {
                let handle = collector.attach(id).await.unwrap().unwrap();
                assert_eq!(handle.await.unwrap().body, json!({"echo": n}).to_string());
            }
        });
        let calls = api.calls();
        assert_eq!(calls.iter().filter(|call| *call == "upload").count(), uploads);
        assert_eq!(api.batches(), 1, "{calls:?}");
    }
}

#[test]
fn a_connection_that_breaks_after_the_upload_leaves_one_file_at_the_server() {
    paused().block_on(async {
        let simulator = Simulator::new();
        simulator.inject(Fault::connection_reset_after().on("/files"));
        let policy = BatchPolicy::default().with_files_deleted(false);
        let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
            .with_batch_policy(policy)
            .build()
            .unwrap();
        let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "question"}]});
        let collector = llm.collector();
        let handle = collector
            .enqueue_raw(Endpoint::ChatCompletions, body.to_string())
            .await
            .unwrap();
        assert!(handle.await.unwrap().is_success());
        let client = simulator.client();
        let files = client.files().list().await.unwrap().data;
        let inputs = files.iter().filter(|file| file.filename.starts_with("thrifty-"));
        assert_eq!(inputs.count(), 1, "{files:?}");
        assert_eq!(client.batches().list().await.unwrap().data.len(), 1);
        assert_eq!(simulator.book().charges().len(), 1);
    });
}
