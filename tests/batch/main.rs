//! Stories of the batch collector against a Batch API in memory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    clippy::async_yields_async,
    reason = "handles leave the runtime that made them"
)]

mod deadlines;
mod fake;
mod gate;
mod killed;
mod killed_calls;
mod leftovers;
mod limits;
mod lost_sends;
mod outcomes;
mod polling;
mod quote;
mod stores;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fake::{End, Fail, FakeApi, completed, good, not_run, with_status};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thrifty::batch::{
    BatchCollector, BatchError, BatchHandle, BatchItem, BatchObserver, BatchPolicy, BatchStore,
    BatchableRequest, Cancelled, Durability, Extent, FasterLane, InMemoryStore, InvalidRequest, LineAnswer,
    Position, Record, Settled, StoreError,
};
use thrifty::{Clock, Endpoint, ErrorKind, Lane, ManualClock, RequestId, Timestamp};

#[derive(Debug, Serialize)]
struct Ask {
    model: &'static str,
    n: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Echo {
    echo: u64,
}

impl BatchableRequest for Ask {
    type Response = Echo;

    fn endpoint() -> Endpoint {
        Endpoint::ChatCompletions
    }
}

/// A runtime whose time is virtual. With it all that runs on it ends.
fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn ask(n: u64) -> Ask {
    Ask {
        model: "gpt-4o-mini",
        n,
    }
}

/// What an observer was told: request, whether it succeeded, orphaned, superseded.
type Told = (RequestId, bool, bool, bool);

#[derive(Debug, Clone, Default)]
struct Books(Arc<Mutex<Vec<Told>>>);

impl BatchObserver for Books {
    fn settled(&self, settled: &Settled<'_>) {
        let told = (
            settled.item.id,
            settled.outcome.is_ok(),
            settled.orphaned,
            settled.superseded,
        );
        self.0.lock().unwrap().push(told);
    }
}

impl Books {
    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }
}

async fn some(collector: &BatchCollector, count: u64) -> Vec<BatchHandle<Echo>> {
    let mut handles = Vec::new();
    for n in 0..count {
        handles.push(collector.enqueue(&ask(n)).await.unwrap());
    }
    handles
}

#[tokio::test(start_paused = true)]
async fn a_thousand_lines_over_several_flushes_are_each_answered_and_booked_once() {
    let (api, books) = (FakeApi::default(), Books::default());
    let policy = BatchPolicy::default().with_max_requests(300.try_into().unwrap());
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_observer(books.clone())
        .build();
    let handles = some(&collector, 1_000).await;
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert_eq!(api.batches(), 4);
    assert_eq!((0..4).map(|batch| api.lines(batch).len()).sum::<usize>(), 1_000);
    let told = books.told();
    assert_eq!(told.len(), 1_000);
    assert!(
        told.iter()
            .all(|(_, ok, orphaned, superseded)| *ok && !orphaned && !superseded)
    );
    let progress = *collector.progress().borrow();
    assert_eq!((progress.pending(), progress.done), (0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn each_model_and_endpoint_has_a_file_of_its_own() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    for (endpoint, model) in [
        (Endpoint::ChatCompletions, "a"),
        (Endpoint::ChatCompletions, "b"),
        (Endpoint::Embeddings, "a"),
        (Endpoint::ChatCompletions, "a"),
    ] {
        let body = json!({"model": model, "input": "x"}).to_string();
        drop(collector.enqueue_raw(endpoint, body).await.unwrap());
    }
    assert_eq!(collector.flush().await.unwrap().len(), 4);
    assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
    assert_eq!(api.batches(), 3);
    let after = collector.enqueue(&ask(1)).await;
    assert!(matches!(after, Err(BatchError::ShutDown)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_create_makes_exactly_one_batch() {
    for hidden_lists in [0, 1, 2] {
        let api = FakeApi::default().losing_create_answers(1, hidden_lists);
        let collector = BatchCollector::builder(api.clone()).build();
        let handles = some(&collector, 3).await;
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.unwrap().echo, n as u64);
        }
        assert_eq!(api.batches(), 1, "shown after {hidden_lists} looks");
        let fenced = api.calls().contains(&"delete".to_owned());
        assert_eq!(fenced, hidden_lists == 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_never_made_is_fenced_before_another_one() {
    let api = FakeApi::default().dropping_creates(1);
    let collector = BatchCollector::builder(api.clone()).build();
    let handle = collector.enqueue(&ask(7)).await.unwrap();
    assert_eq!(handle.await.unwrap(), Echo { echo: 7 });
    assert_eq!(
        api.calls(),
        [
            "upload", "create", "list", "list", "delete", "list", "upload", "create"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_and_a_dead_one_is_an_error() {
    let api = FakeApi::default().refusing_uploads(3);
    let collector = BatchCollector::builder(api.clone()).build();
    assert!(collector.enqueue(&ask(1)).await.unwrap().await.is_ok());
    let api = FakeApi::default().refusing_uploads(usize::MAX);
    let collector = BatchCollector::builder(api).build();
    let begun = tokio::time::Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(matches!(error, BatchError::Api(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    // For as long as a batch can take, not for a few minutes.
    assert!(begun.elapsed() >= Duration::from_secs(25 * 3_600));
}

#[tokio::test(start_paused = true)]
async fn no_outage_makes_a_paid_batch_be_given_up() {
    for (call, times, fail) in [
        ("retrieve", 200, Fail::Status(401)),
        ("retrieve", 200, Fail::Status(503)),
        ("download", 200, Fail::Status(500)),
        ("download", 200, Fail::Status(403)),
        ("list", 200, Fail::Status(403)),
        ("delete", 20, Fail::Status(409)),
        ("retrieve", 3, Fail::Panic),
        ("download", 3, Fail::Panic),
    ] {
        let api = FakeApi::default().failing(call, times, fail);
        let api = match call {
            // The list is late, and the file that would be deleted is in use.
            "delete" => api.losing_create_answers(1, 6),
            "list" => api.losing_create_answers(1, 0),
            _ => api,
        };
        let collector = BatchCollector::builder(api.clone()).build();
        let answer = collector.enqueue(&ask(1)).await.unwrap().await;
        assert!(answer.is_ok(), "{call} {answer:?}");
        assert_eq!(api.batches(), 1, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_gone_is_unreported_after_a_few_looks() {
    let api = FakeApi::default().failing("retrieve", usize::MAX, Fail::Status(404));
    let collector = BatchCollector::builder(api).build();
    let begun = tokio::time::Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert!(matches!(error, BatchError::Unreported { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn waits_of_forever_are_waited_and_not_a_panic() {
    let policy = BatchPolicy::default()
        .with_max_delay(Duration::MAX)
        .with_report_wait(Duration::MAX)
        .with_patience(Duration::MAX);
    let collector = BatchCollector::builder(FakeApi::default())
        .with_policy(policy)
        .build();
    let handle = collector.enqueue(&ask(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(collector.progress().borrow().buffered, 1);
    collector.flush().await.unwrap();
    assert!(handle.await.is_ok());
    assert!(collector.shutdown(Duration::MAX).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_requests_are_on_the_faster_lane_at_once() {
    let (_, _, direct, clock, collector) = hurried(false);
    let mut handles = Vec::new();
    for n in 0..200 {
        handles.push(
            collector
                .enqueue(&ask(n))
                .deadline(in_an_hour(&clock))
                .await
                .unwrap(),
        );
    }
    tokio::time::sleep(Duration::from_secs(3_600 - 600 + 1)).await;
    assert_eq!(direct.sent.lock().unwrap().len(), 64);
    for handle in handles {
        assert!(handle.await.is_ok());
    }
    assert_eq!(direct.sent.lock().unwrap().len(), 200);
}

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
        let answer = |line: &fake::Line| match (line.body["n"].as_u64(), batch) {
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
async fn lines_twice_torn_or_of_others_change_nothing() {
    let books = Books::default();
    let api = FakeApi::default().with_plan(|_, lines| {
        let mut end = completed(lines);
        end.output.extend(lines.iter().map(|line| with_status(line, 400)));
        end.output.push("{\"custom_id\":".into());
        end.output.push(good(&fake::Line {
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
async fn the_same_key_and_body_is_the_same_request_and_another_body_a_conflict() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    let first = collector.enqueue(&ask(1)).key("doc").await.unwrap();
    let second = collector.enqueue(&ask(1)).key("doc").await.unwrap();
    assert_eq!(first.id(), second.id());
    let conflict = collector.enqueue(&ask(2)).key("doc").await;
    assert!(matches!(conflict, Err(BatchError::Conflict { key }) if &*key == "doc"));
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(api.lines(0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_handle_cancels_nothing_unless_it_withdraws() {
    let (api, books) = (FakeApi::default(), Books::default());
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    let kept = collector.enqueue(&ask(1)).await.unwrap();
    let kept = (kept.id(), drop(kept)).0;
    let withdrawn = collector.enqueue(&ask(2)).await.unwrap().withdraw_on_drop();
    let withdrawn = (withdrawn.id(), drop(withdrawn)).0;
    let keyed = collector
        .enqueue(&ask(3))
        .key("k")
        .await
        .unwrap()
        .withdraw_on_drop();
    let keyed = (keyed.id(), drop(keyed)).0;
    assert_eq!(books.told(), [(withdrawn, false, true, false)]);
    assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
    assert_eq!(api.lines(0).len(), 2);
    let mut told = books.told().split_off(1);
    told.sort_unstable();
    assert_eq!(told, [(kept, true, true, false), (keyed, true, true, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_cancelled_too_late_is_booked_when_it_ran() {
    let (api, books) = (FakeApi::default(), Books::default());
    let collector = BatchCollector::builder(api.clone())
        .with_observer(books.clone())
        .build();
    let buffered = collector.enqueue(&ask(1)).await.unwrap();
    assert_eq!(collector.cancel(buffered.id()), Cancelled::Withdrawn);
    assert!(matches!(buffered.await, Err(BatchError::Cancelled)));
    let sent = collector.enqueue(&ask(2)).await.unwrap();
    collector.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(collector.cancel(sent.id()), Cancelled::TooLate);
    let id = sent.id();
    assert!(matches!(sent.await, Err(BatchError::Cancelled)));
    assert_eq!(collector.cancel(id), Cancelled::Unknown);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        books.told()[1..],
        [(id, false, false, false), (id, true, true, true)]
    );
}

#[derive(Debug, Clone, Default)]
struct Direct {
    sent: Arc<Mutex<Vec<RequestId>>>,
    fails: bool,
}

#[async_trait]
impl FasterLane for Direct {
    async fn send(&self, item: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.sent.lock().unwrap().push(item.id);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let status = if self.fails { 503 } else { 200 };
        Ok(LineAnswer::new(status, r#"{"echo":99}"#, Lane::Standard))
    }
}

fn in_an_hour(clock: &ManualClock) -> Timestamp {
    clock.now().saturating_add(Duration::from_secs(3_600))
}

/// A collector whose batches hang until `batch_done`, and requests that are due in an hour.
fn hurried(fails: bool) -> (FakeApi, Books, Direct, ManualClock, BatchCollector) {
    let (api, books) = (FakeApi::default(), Books::default());
    let direct = Direct {
        fails,
        ..Direct::default()
    };
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_790_000_000_000));
    // Buffered so long that the deadline comes first.
    let policy = BatchPolicy::default().with_max_delay(Duration::from_secs(2 * 3_600));
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy)
        .with_observer(books.clone())
        .with_faster_lane(direct.clone())
        .with_clock(clock.clone())
        .build();
    (api, books, direct, clock, collector)
}

#[tokio::test(start_paused = true)]
async fn a_buffered_line_takes_the_faster_lane_when_its_deadline_is_near() {
    let (api, books, direct, clock, collector) = hurried(false);
    let begun = tokio::time::Instant::now();
    let handle = collector
        .enqueue(&ask(1))
        .deadline(in_an_hour(&clock))
        .await
        .unwrap();
    let id = handle.id();
    assert_eq!(handle.await.unwrap(), Echo { echo: 99 });
    assert_eq!(begun.elapsed().as_secs(), 3_600 - 600 + 2);
    assert_eq!(
        (api.batches(), direct.sent.lock().unwrap().clone()),
        (0, vec![id])
    );
    assert_eq!(books.told(), [(id, true, false, false)]);
    let past = collector.enqueue(&ask(1)).deadline(clock.now()).await;
    assert!(matches!(
        past,
        Err(BatchError::Invalid(InvalidRequest::DeadlinePassed))
    ));
}

#[tokio::test(start_paused = true)]
async fn of_batch_and_faster_lane_the_first_answer_wins_and_both_are_booked() {
    let (_, books, _, clock, collector) = hurried(false);
    let handle = collector
        .enqueue(&ask(1))
        .deadline(in_an_hour(&clock))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3_600 - 605)).await;
    collector.flush().await.unwrap();
    let id = handle.id();
    assert_eq!(handle.await.unwrap(), Echo { echo: 99 });
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(books.told(), [(id, true, false, false), (id, true, true, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_faster_lane_that_fails_leaves_the_batch_to_answer() {
    let (api, books, direct, clock, collector) = hurried(true);
    let handle = collector
        .enqueue(&ask(1))
        .deadline(in_an_hour(&clock))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3_600 - 605)).await;
    collector.flush().await.unwrap();
    assert_eq!(handle.await.unwrap(), Echo { echo: 1 });
    assert_eq!(
        (
            api.batches(),
            direct.sent.lock().unwrap().len(),
            books.told().len()
        ),
        // The batch's answer, and the call that may have been billed for nothing.
        (1, 1, 2)
    );
}

#[test]
fn a_driver_whose_runtime_died_starts_again_where_it_stopped() {
    let api = FakeApi::default().hanging_creates(1);
    let collector = BatchCollector::builder(api.clone()).build();
    let first = paused();
    let handle = first.block_on(async {
        let handle = collector.enqueue(&ask(1)).await.unwrap();
        collector.flush().await.unwrap();
        while api.batches() == 0 {
            tokio::task::yield_now().await;
        }
        handle
    });
    drop(first);
    assert_eq!(paused().block_on(handle).unwrap(), Echo { echo: 1 });
    assert_eq!(api.batches(), 1);
}

#[test]
fn a_handle_that_waits_elsewhere_goes_on_when_the_drivers_runtime_dies() {
    let collector = BatchCollector::builder(FakeApi::default()).build();
    let first = paused();
    let handle = first.block_on(async { collector.enqueue(&ask(1)).await.unwrap() });
    let (polled, seen) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        paused().block_on(async {
            let mut handle = handle;
            assert!(futures_util::poll!(&mut handle).is_pending());
            polled.send(()).unwrap();
            handle.await
        })
    });
    seen.recv().unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap().unwrap(), Echo { echo: 1 });
}

#[test]
fn without_a_runtime_enqueue_says_so() {
    let collector = BatchCollector::builder(FakeApi::default()).build();
    let outcome = futures_util::FutureExt::now_or_never(std::future::IntoFuture::into_future(
        collector.enqueue(&ask(1)),
    ));
    assert!(matches!(outcome, Some(Err(BatchError::NoRuntime))));
}

#[test]
fn a_second_collector_goes_on_with_what_the_store_holds() {
    for hanging in [0, 1] {
        let (api, store) = (
            FakeApi::default().hanging_creates(hanging),
            InMemoryStore::default(),
        );
        let first = paused();
        let collector = BatchCollector::builder(api.clone())
            .with_store(store.clone())
            .build();
        let (sent, buffered) = first.block_on(async {
            let sent = collector.enqueue(&ask(1)).await.unwrap().id();
            collector.flush().await.unwrap();
            while api.batches() == 0 {
                tokio::task::yield_now().await;
            }
            (sent, collector.enqueue(&ask(2)).key("k").await.unwrap().id())
        });
        drop((first, collector));
        paused().block_on(async {
            let collector = BatchCollector::builder(api.clone())
                .with_store(store.clone())
                .build();
            let again = collector.enqueue(&ask(2)).key("k").await.unwrap();
            assert_eq!(again.id(), buffered);
            let sent = collector.attach(sent).await.unwrap().unwrap();
            assert_eq!(sent.await.unwrap().body, r#"{"echo":1}"#);
            assert_eq!(again.await.unwrap(), Echo { echo: 2 });
            assert_eq!(collector.shutdown(Duration::from_secs(600)).await.unwrap(), []);
        });
        assert_eq!(api.batches(), 2);
        // The answer to the one with a key stays until it is said to be used.
        let mut left = Vec::new();
        let mut keep = |record| left.push(record);
        let loaded = futures_util::FutureExt::now_or_never(store.load(&mut keep));
        loaded.unwrap().unwrap();
        assert!(
            matches!(&left[..], [Record::Enqueued(_), Record::Settled { id, .. }, Record::Released { .. }] if *id == buffered),
            "{left:?}"
        );
    }
}

/// Notes the kind of each record beside the calls that the API has seen by then.
#[derive(Debug)]
struct Watched(InMemoryStore, FakeApi, Arc<Mutex<Vec<(String, usize)>>>);

#[async_trait]
impl BatchStore for Watched {
    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        for record in &*records {
            let name = format!("{record:?}").split([' ', '(']).next().unwrap().to_owned();
            self.2.lock().unwrap().push((name, self.1.calls().len()));
        }
        self.0.append(records)
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        self.0.sync(position).await
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        self.0.load(fold).await
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        self.0.read(extents).await
    }
}

#[tokio::test(start_paused = true)]
async fn every_intent_is_recorded_before_its_effect() {
    let (api, records) = (FakeApi::default(), Arc::default());
    let store = Watched(InMemoryStore::default(), api.clone(), Arc::clone(&records));
    let collector = BatchCollector::builder(api.clone()).with_store(store).build();
    collector.enqueue(&ask(1)).await.unwrap().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let records = records.lock().unwrap().clone();
    let expected = [
        ("Enqueued", 0),
        ("Sealed", 0),
        ("UploadIntended", 0),
        ("Uploaded", 1),
        ("CreateIntended", 1),
        ("Submitted", 2),
        ("Settled", 2),
        ("Released", 2),
        ("Closed", 2),
        ("Acknowledged", 2),
    ];
    assert_eq!(records, expected.map(|(name, calls)| (name.to_owned(), calls)));
}

#[derive(Debug)]
struct FullDisk;

#[async_trait]
impl BatchStore for FullDisk {
    fn durability(&self) -> Durability {
        Durability::Crash
    }

    fn append(&self, _records: &mut [Record]) -> Result<Position, StoreError> {
        Err(StoreError::new("no space left"))
    }

    async fn sync(&self, _position: Position) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&self, _fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read(&self, _extents: &[Extent]) -> Result<Bytes, StoreError> {
        Err(StoreError::new("nothing is stored here"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_an_error_of_the_enqueue_and_nothing_is_kept() {
    let collector = BatchCollector::builder(FakeApi::default())
        .with_store(FullDisk)
        .build();
    let error = collector.enqueue(&ask(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(collector.pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waited_for_at_its_deadline_is_rescued_once_somebody_does() {
    let (_, _, direct, clock, collector) = hurried(false);
    let handle = collector
        .enqueue(&ask(1))
        .deadline(in_an_hour(&clock))
        .await
        .unwrap();
    let id = handle.id();
    drop(handle);
    let nearly = Duration::from_secs(3_600 - 60);
    tokio::time::sleep(nearly).await;
    clock.advance(nearly);
    assert!(direct.sent.lock().unwrap().is_empty());
    let handle = collector.attach(id).await.unwrap().unwrap();
    let begun = tokio::time::Instant::now();
    assert!(handle.await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(direct.sent.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_overtaken_and_never_reports_is_in_the_books() {
    let (api, books, _, clock, collector) = hurried(false);
    let _ = api.clone().failing("retrieve", usize::MAX, Fail::Status(404));
    let handle = collector
        .enqueue(&ask(1))
        .deadline(in_an_hour(&clock))
        .await
        .unwrap();
    let id = handle.id();
    tokio::time::sleep(Duration::from_secs(3_600 - 601)).await;
    collector.flush().await.unwrap();
    assert!(handle.await.is_ok());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(books.told(), [(id, true, false, false), (id, false, true, true)]);
}
