//! Lines that are over while their uploaded file waits: they are not in the batch that is made.

use std::time::Duration;

use serde_json::json;
use thrifty::batch::{BatchCollector, BatchPolicy, FileStore, InMemoryStore};

use super::fake::{End, Fail, FakeApi, completed};
use super::{ask, paused, some, until};

/// The requests that ran.
fn ran(api: &FakeApi) -> Vec<u64> {
    let mut ran: Vec<_> = api
        .ran()
        .iter()
        .map(|line| line.body["n"].as_u64().unwrap())
        .collect();
    ran.sort_unstable();
    ran
}

fn one_batch_an_hour() -> BatchPolicy {
    BatchPolicy::default().with_max_batches_an_hour(1.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cancelled_while_its_batch_has_no_room_is_not_sent_again() {
    let api = FakeApi::default().with_plan(|batch, lines| match batch {
        0 => End {
            status: "failed",
            errors: vec![json!({"code": "token_limit_exceeded", "message": "full", "line": null})],
            ..End::default()
        },
        _ => completed(lines),
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let handles = some(&collector, 3).await;
    until("a batch is made", || api.batches() == 1).await;
    collector.cancel(handles[0].id()).await.unwrap();
    for handle in handles.into_iter().skip(1) {
        assert!(handle.await.is_ok());
    }
    assert_eq!((api.batches(), ran(&api)), (2, vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cancelled_while_the_server_is_busy_is_not_in_the_batch() {
    let api = FakeApi::default().failing("create", 20, Fail::Busy);
    let collector = BatchCollector::builder(api.clone()).build();
    let handles = some(&collector, 3).await;
    until("the file is there", || !api.files().is_empty()).await;
    collector.cancel(handles[0].id()).await.unwrap();
    for handle in handles.into_iter().skip(1) {
        assert!(handle.await.is_ok());
    }
    assert_eq!((api.batches(), ran(&api)), (1, vec![1, 2]));
    let uploads = api.calls().iter().filter(|call| *call == "upload").count();
    assert_eq!(uploads, 2);
}

#[test]
fn a_line_that_is_cancelled_after_a_restart_is_not_sent_with_the_file_of_the_process_before() {
    let (api, store) = (FakeApi::default(), InMemoryStore::default());
    let collector = || {
        BatchCollector::builder(api.clone())
            .with_policy(one_batch_an_hour())
            .with_store(store.clone())
            .build()
    };
    let ids = paused().block_on(async {
        let (collector, mut ids) = (collector(), Vec::new());
        for n in 0..3 {
            ids.push(collector.enqueue(&ask(n)).await.unwrap().id());
            // The others are in a file that has to wait.
            if n != 1 {
                collector.flush().await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        assert_eq!((api.batches(), api.files().len()), (1, 2));
        ids
    });
    paused().block_on(async {
        let collector = collector();
        collector.cancel(ids[1]).await.unwrap();
        let handle = collector.attach(ids[2]).await.unwrap().unwrap();
        assert!(handle.await.is_ok());
    });
    assert_eq!(ran(&api), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_which_all_lines_are_over_is_deleted_though_its_first_deletion_broke_off() {
    let dir = tempfile::tempdir().unwrap();
    // The first batch is still at work when the second one may be made.
    let api = FakeApi::default()
        .with_runs(|_| Duration::from_secs(3 * 3_600))
        .failing("delete", 1, Fail::Panic);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(one_batch_an_hour())
        .with_store(FileStore::open(dir.path().join("spool")).unwrap())
        .build();
    let first = collector.enqueue(&ask(0)).await.unwrap();
    collector.flush().await.unwrap();
    until("a batch is made", || api.batches() == 1).await;
    let second = collector.enqueue(&ask(1)).await.unwrap();
    collector.flush().await.unwrap();
    until("its file is there", || api.files().len() == 2).await;
    collector.cancel(second.id()).await.unwrap();
    until("it is deleted", || !api.deleted().is_empty()).await;
    assert_eq!((api.batches(), api.deleted()), (1, vec!["file-1".to_owned()]));
    assert!(first.await.is_ok());
}
