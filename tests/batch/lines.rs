//! What a batch says of its lines, and what follows for each.

use std::time::Duration;

use serde_json::json;
use thrifty::ErrorKind;
use thrifty::batch::{BatchCollector, BatchError, BatchHandle, Cancelled, FileStore};

use super::fake::{End, Fail, FakeApi, Line, completed, good, not_run, with_status};
use super::{Books, ask, paused, some, until};

#[tokio::test(start_paused = true)]
async fn what_an_expired_batch_did_is_delivered_and_the_rest_rides_the_next() {
    let api = FakeApi::default().with_plan(|batch, lines| match batch {
        0 => End {
            status: "expired",
            output: lines[..4].iter().map(good).collect(),
            error: lines[4..]
                .iter()
                .map(|line| not_run(line, "batch_expired"))
                .collect(),
            ..End::default()
        },
        _ => completed(lines),
    });
    let collector = BatchCollector::builder(api.clone()).build();
    for (n, handle) in some(&collector, 10).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert_eq!((api.batches(), api.lines(1).len()), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_runs_is_given_up_after_three_batches() {
    let api = FakeApi::default().with_plan(|_, lines| End {
        status: "expired",
        error: lines.iter().map(|line| not_run(line, "batch_expired")).collect(),
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(
        matches!(&error, BatchError::NotRun { attempts: 3, code: Some(code) } if &**code == "batch_expired"),
        "{error:?}"
    );
    assert_eq!(api.batches(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_line_is_final_and_a_busy_one_is_tried_again() {
    let api = FakeApi::default().with_plan(|batch, lines| {
        let answer = |line: &Line| match (line.body["n"].as_u64(), batch) {
            (Some(0), _) => with_status(line, 400),
            (Some(1), 0) => with_status(line, 429),
            (Some(2), 0) => with_status(line, 0),
            (Some(3), _) => with_status(line, 500),
            _ => good(line),
        };
        End {
            status: "completed",
            error: lines.iter().map(answer).collect(),
            ..End::default()
        }
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let mut outcomes = Vec::new();
    for handle in some(&collector, 5).await {
        outcomes.push(handle.await);
    }
    assert!(matches!(&outcomes[0], Err(BatchError::Status(answer)) if answer.status == 400));
    assert_eq!(outcomes[1].as_ref().unwrap().echo, 1);
    assert_eq!(outcomes[2].as_ref().unwrap().echo, 2);
    assert!(matches!(&outcomes[3], Err(BatchError::Status(answer)) if answer.status == 500));
    assert_eq!(outcomes[4].as_ref().unwrap().echo, 4);
    assert_eq!(
        (0..3).map(|batch| api.lines(batch).len()).collect::<Vec<_>>(),
        [5, 3, 1]
    );
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_finished_batch_keeps_back_are_unreported() {
    let api = FakeApi::default().with_plan(|_, lines| End {
        status: "completed",
        output: vec![good(&lines[0])],
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let begun = tokio::time::Instant::now();
    let mut handles = some(&collector, 3).await.into_iter();
    assert!(handles.next().unwrap().await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(300));
    for handle in handles {
        let error = handle.await.unwrap_err();
        assert!(
            matches!(&error, BatchError::Unreported { batch_id: Some(id) } if &**id == "batch-0"),
            "{error:?}"
        );
    }
    assert!(begun.elapsed() > Duration::from_secs(600));
    assert_eq!(api.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_finished_batch_without_files_is_unreported_and_one_whose_files_are_late_is_not() {
    let api = FakeApi::default().with_plan(|_, _| End {
        status: "completed",
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 2).await {
        let error = handle.await.unwrap_err();
        assert!(
            matches!(&error, BatchError::Unreported { batch_id: Some(_) }),
            "{error:?}"
        );
    }
    assert_eq!(api.batches(), 1, "it may have run");
    let api = FakeApi::default().failing("download", 5, Fail::Status(404));
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 2).await {
        assert!(handle.await.is_ok());
    }
    assert_eq!(api.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn lines_twice_torn_or_of_others_change_nothing() {
    let books = Books::default();
    let api = FakeApi::default().with_plan(|_, lines| {
        let mut end = completed(lines);
        end.output.extend(lines.iter().map(|line| with_status(line, 400)));
        end.output.push("{\"custom_id\":".into());
        end.output.push(good(&Line {
            custom_id: "stranger".into(),
            body: json!({}),
        }));
        end.error = lines.iter().map(|line| not_run(line, "batch_expired")).collect();
        end
    });
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    for (n, handle) in some(&collector, 20).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert_eq!((books.told().len(), api.batches()), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn one_bad_line_is_dropped_and_the_rest_goes_up_again() {
    let api = FakeApi::default().with_plan(|batch, lines| match batch {
        0 => End {
            status: "failed",
            errors: vec![json!({"code": "invalid_request", "message": "bad", "line": 2})],
            ..End::default()
        },
        _ => completed(lines),
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let mut outcomes = Vec::new();
    for handle in some(&collector, 4).await {
        outcomes.push(handle.await);
    }
    let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, false]);
    assert!(matches!(&outcomes[1], Err(BatchError::BatchFailed { message, .. }) if &**message == "bad"));
    assert_eq!(api.lines(1).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_refused_as_a_whole_is_the_error_of_every_line() {
    let api = FakeApi::default().with_plan(|_, _| End {
        status: "failed",
        errors: vec![json!({"code": "model_not_found", "message": "no such model", "line": null})],
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 3).await {
        assert_eq!(handle.await.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(api.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_token_queue_is_waited_for_with_the_same_file() {
    let api = FakeApi::default().with_plan(|batch, lines| match batch {
        0 | 1 => End {
            status: "failed",
            errors: vec![json!({"code": "token_limit_exceeded", "message": "Limit", "line": null})],
            ..End::default()
        },
        _ => completed(lines),
    });
    let collector = BatchCollector::builder(api.clone()).build();
    assert!(collector.enqueue(&ask(1)).await.unwrap().await.is_ok());
    assert_eq!(api.calls(), ["upload", "create", "create", "create"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_in_the_place_of_results_is_no_verdict_however_long_it_stays() {
    let api = FakeApi::default().failing("download", 60, Fail::Page);
    let collector = BatchCollector::builder(api.clone()).build();
    let begun = tokio::time::Instant::now();
    for (n, handle) in some(&collector, 3).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert!(
        begun.elapsed() > Duration::from_secs(1_800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(api.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_again_for_a_file_without_a_line_that_has_left_it() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::default().refusing_uploads(1);
    let store = FileStore::open(dir.path().join("spool")).unwrap();
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    let handles = some(&collector, 4).await;
    let stored = || {
        let files = std::fs::read_dir(dir.path().join("spool/lines")).unwrap();
        let read = |file: std::io::Result<std::fs::DirEntry>| {
            let path = file.unwrap().path();
            (path.clone(), std::fs::read(path).unwrap())
        };
        files.map(read).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = stored();
    assert!(before.values().any(|lines| !lines.is_empty()));
    collector.flush().await.unwrap();
    collector.cancel(handles[1].id()).await.unwrap();
    until("a batch is made", || api.batches() > 0).await;
    assert_eq!(api.lines(0).len(), 3);
    assert!(stored() == before, "the lines on the disk are as they were");
}

#[test]
fn a_bad_line_is_told_by_its_number_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::default()
        .refusing_uploads(3)
        .with_plan(|batch, lines| match batch {
            0 => End {
                status: "failed",
                errors: vec![json!({"code": "invalid_request", "message": "bad", "line": 2})],
                ..End::default()
            },
            _ => completed(lines),
        });
    let collector = || {
        let store = FileStore::open(dir.path().join("spool")).unwrap();
        BatchCollector::builder(api.clone()).with_store(store).build()
    };
    let ids = paused().block_on(async {
        let collector = collector();
        let handles = some(&collector, 4).await;
        let ids: Vec<_> = handles.iter().map(BatchHandle::id).collect();
        collector.flush().await.unwrap();
        // It is in the file that is about to be uploaded, and left out of it.
        assert_eq!(collector.cancel(ids[0]).await.unwrap(), Cancelled::TooLate);
        until("a batch is made", || api.batches() > 0).await;
        assert_eq!(api.lines(0).len(), 3);
        ids
    });
    paused().block_on(async {
        let collector = collector();
        let mut outcomes = Vec::new();
        for id in &ids[1..] {
            outcomes.push(collector.attach(*id).await.unwrap().unwrap().await);
        }
        let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
        assert_eq!(
            failed,
            [false, true, false],
            "the second line is the third request"
        );
        assert_eq!(api.lines(1).len(), 2);
    });
}
