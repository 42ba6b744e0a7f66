//! What is left at the server: files that nobody needs, and a batch too many.

use std::time::Duration;

use thrifty::batch::{BatchCollector, BatchPolicy, FileStore};

use super::fake::{End, Fail, FakeApi, completed, good};
use super::{Books, ask, some, until};

#[tokio::test(start_paused = true)]
async fn files_are_deleted_once_their_lines_are_safe_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    for (durable, policy, deleted) in [
        (true, BatchPolicy::default(), ["output-0", "file-0"].as_slice()),
        (true, BatchPolicy::default().with_files_deleted(false), &[]),
        (false, BatchPolicy::default(), &[]),
    ] {
        let api = FakeApi::default();
        let builder = BatchCollector::builder(api.clone()).with_policy(policy);
        let store = || FileStore::open(dir.path().join("spool")).unwrap();
        let collector = if durable {
            builder.with_store(store()).build()
        } else {
            builder.build()
        };
        for handle in some(&collector, 3).await {
            assert!(handle.await.is_ok());
        }
        assert!(
            collector
                .shutdown(Duration::from_secs(60))
                .await
                .unwrap()
                .is_empty()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(api.deleted(), deleted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_output_of_a_batch_that_kept_lines_back_stays() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::default().with_plan(|_, lines| End {
        status: "completed",
        output: vec![good(&lines[0])],
        ..End::default()
    });
    let store = FileStore::open(dir.path().join("spool")).unwrap();
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    let answered: Vec<_> = futures_util::future::join_all(some(&collector, 2).await).await;
    assert!(answered[0].is_ok() && answered[1].is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(api.deleted(), ["file-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_file_is_deleted_and_its_lines_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::default().with_plan(|batch, lines| match batch {
        0 => End {
            status: "failed",
            errors: vec![serde_json::json!({"code": "invalid_request", "message": "bad", "line": 1})],
            ..End::default()
        },
        _ => completed(lines),
    });
    let store = FileStore::open(dir.path().join("spool")).unwrap();
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    let answered: Vec<_> = futures_util::future::join_all(some(&collector, 2).await).await;
    assert!(answered[0].is_err() && answered[1].is_ok());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(api.deleted(), ["file-0", "output-1", "file-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_made_twice_is_cancelled_and_what_it_ran_is_booked_too() {
    for cancelled_in_time in [true, false] {
        let (api, books) = (
            FakeApi::default().doubling_creates(1).with_pages_of(100),
            Books::default(),
        );
        let api = if cancelled_in_time {
            api
        } else {
            api.ignoring_cancels()
        };
        let collector = BatchCollector::builder(api.clone())
            .with_observer(books.clone())
            .build();
        let handle = collector.enqueue(&ask(1)).await.unwrap();
        let id = handle.id();
        assert_eq!(handle.await.unwrap().echo, 1);
        assert_eq!((api.batches(), api.cancels()), (2, 1));
        let first = (id, true, false, false);
        let ran_twice = (id, true, true, true);
        let expected = if cancelled_in_time {
            vec![first]
        } else {
            vec![ran_twice, first]
        };
        assert_eq!(books.told(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_batch_is_cancelled_though_the_server_is_busy_at_first() {
    let (api, books) = (
        FakeApi::default().doubling_creates(1).with_pages_of(100),
        Books::default(),
    );
    let api = api
        .with_runs(|_| Duration::from_secs(600))
        .failing("cancel", 3, Fail::Status(503));
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    let id = handle.id();
    assert_eq!(handle.await.unwrap().echo, 1);
    assert_eq!((api.batches(), api.cancels()), (2, 1));
    assert_eq!(books.told(), [(id, true, false, false)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_second_batch_ran_is_booked_once_though_it_cannot_be_read_at_first() {
    for fail in [Fail::Status(500), Fail::Page] {
        let (api, books) = (
            FakeApi::default().doubling_creates(1).with_pages_of(100),
            Books::default(),
        );
        let api = api.ignoring_cancels().failing("download", 3, fail);
        let collector = BatchCollector::builder(api.clone())
            .with_observer(books.clone())
            .build();
        let handle = collector.enqueue(&ask(1)).await.unwrap();
        let id = handle.id();
        assert_eq!(handle.await.unwrap().echo, 1);
        assert_eq!(books.told(), [(id, true, true, true), (id, true, false, false)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_server_has_deleted_is_uploaded_once_more() {
    let tries = 10;
    for (fail, answered) in [(Fail::NoFile, true), (Fail::Status(400), false)] {
        let api = FakeApi::default().failing("create", tries, fail);
        let collector = BatchCollector::builder(api.clone()).build();
        for handle in some(&collector, 3).await {
            assert_eq!(handle.await.is_ok(), answered);
        }
        let uploads = api.calls().iter().filter(|call| *call == "upload").count();
        assert_eq!((uploads, api.batches()), if answered { (2, 1) } else { (1, 0) });
    }
    let api = FakeApi::default().failing("create", 2 * tries, Fail::NoFile);
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 3).await {
        assert!(handle.await.is_err(), "not for ever");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_uploaded_once_more_also_if_an_upload_was_repeated_before() {
    let api = FakeApi::default()
        .refusing_uploads(1)
        .failing("create", 10, Fail::NoFile);
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 3).await {
        assert!(handle.await.is_ok());
    }
    let uploads = api.calls().iter().filter(|call| *call == "upload").count();
    assert_eq!((uploads, api.batches()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_calls_all_panic_is_given_up_and_so_is_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::default()
        .failing("create", usize::MAX, Fail::Panic)
        .failing("delete", usize::MAX, Fail::Panic);
    let store = FileStore::open(dir.path().join("spool")).unwrap();
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    let mut looks = Vec::new();
    for n in 0..2 {
        assert!(collector.enqueue(&ask(n)).await.unwrap().await.is_err());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        looks.push(api.looks().len());
    }
    assert_eq!(looks[1], 2 * looks[0], "the first one is not looked for again");
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_batch_that_is_given_up_is_deleted() {
    for (call, fail) in [
        ("create", Fail::Status(403)),
        ("create", Fail::NoFile),
        ("list", Fail::Status(404)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut api = FakeApi::default().failing(call, usize::MAX, fail);
        if call == "list" {
            api = api.failing("retrieve", usize::MAX, fail);
        }
        let store = FileStore::open(dir.path().join("spool")).unwrap();
        let collector = BatchCollector::builder(api.clone()).with_store(store).build();
        for handle in some(&collector, 3).await {
            assert!(handle.await.is_err());
        }
        until("no file is left", || api.files().is_empty()).await;
    }
}
