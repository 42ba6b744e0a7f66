//! What a server lets be enqueued, what it refuses as a whole, and what follows when most lines fail.

use std::time::Duration;

use serde_json::json;
use thrifty::batch::{BatchCollector, BatchError, BatchPolicy, InMemoryStore};
use thrifty::{Endpoint, ErrorKind, Timestamp};
use tokio::time::Instant;

use super::fake::{End, FakeApi, Line, completed, good, not_run, with_status};
use super::{ask, paused, some};

const HOUR: Duration = Duration::from_secs(3_600);

/// A line of [`ask`] has some 160 bytes.
const THOUSAND_LINES: usize = 160_000;

fn policy(lines: usize) -> BatchPolicy {
    BatchPolicy::default().with_max_requests(lines.try_into().unwrap())
}

fn failed(code: &str, line: Option<usize>) -> End {
    End {
        status: "failed",
        errors: vec![json!({"code": code, "message": "bad", "line": line})],
        ..End::default()
    }
}

async fn all_are_answered(collector: &BatchCollector, count: u64) {
    for (n, handle) in some(collector, count).await.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_room_in_the_token_queue_and_several_run_under_it() {
    // Room for two and a half files.
    let api = FakeApi::default()
        .with_room_for(THOUSAND_LINES * 5 / 2, true)
        .with_pages_of(100)
        .with_runs(|_| HOUR);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy(1_000))
        .build();
    let begun = Instant::now();
    all_are_answered(&collector, 8_000).await;
    let made = api.made();
    // All eight went up at once; after the first refusals none is refused again.
    let refused = api.batches() - made.len();
    assert!(refused <= 8, "{refused} refused of {}", api.batches());
    // Two at a time.
    assert!(begun.elapsed() < 6 * HOUR, "{:?}", begun.elapsed());
    let mut together: Vec<_> = made.iter().map(|(at, _)| *at).collect();
    together.dedup_by(|b, a| b.duration_since(*a) < HOUR / 2);
    assert!(together.len() < made.len(), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_alone_is_too_large_for_the_token_queue_is_split() {
    for named in [true, false] {
        let api = FakeApi::default()
            .with_room_for(THOUSAND_LINES * 2, named)
            .with_pages_of(100);
        let collector = BatchCollector::builder(api.clone()).build();
        let begun = Instant::now();
        all_are_answered(&collector, 9_000).await;
        let made = api.made();
        assert!(made.iter().all(|(_, bytes)| *bytes <= THOUSAND_LINES * 2));
        assert!(made.len() < 20, "{} batches", made.len());
        assert!(begun.elapsed() < HOUR, "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_needed_first_goes_first_when_not_all_can_go() {
    let api = FakeApi::default()
        .with_room_for(THOUSAND_LINES, true)
        .with_runs(|_| HOUR);
    let collector = BatchCollector::builder(api.clone())
        .with_policy(policy(800))
        .build();
    // Teaches the limit.
    let first = some(&collector, 1_600).await;
    for handle in first {
        assert!(handle.await.is_ok());
    }
    let before = api.batches();
    let far = |hours: i64| Timestamp::from_unix_millis(4_000_000_000_000 + hours * 3_600_000);
    let mut handles = Vec::new();
    for n in 0..2_000 {
        // The later they come the sooner they are needed.
        let deadline = far(2_000 - i64::try_from(n).unwrap());
        handles.push(collector.enqueue(&ask(n)).deadline(deadline).await.unwrap());
    }
    for handle in handles {
        assert!(handle.await.is_ok());
    }
    // The first files were made before all had come.
    let batch_of = |n: u64| {
        let mut batches = before..api.batches();
        batches.find(|batch| api.lines(*batch).iter().any(|line| line.body["n"] == n))
    };
    assert!(batch_of(1_999).unwrap() < batch_of(700).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_token_queue_that_others_fill_for_ever_is_an_error_after_a_day() {
    let api = FakeApi::default().with_room_for(0, true);
    let collector = BatchCollector::builder(api.clone()).build();
    let begun = Instant::now();
    let error = collector.enqueue(&ask(1)).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(begun.elapsed() > 25 * HOUR);
    assert!(api.batches() < 80, "{} batches", api.batches());
}

#[tokio::test(start_paused = true)]
async fn no_more_batches_are_made_within_an_hour_than_the_server_takes() {
    let api = FakeApi::default().with_pages_of(100);
    let policy = policy(1).with_max_batches_an_hour(3.try_into().unwrap());
    let collector = BatchCollector::builder(api.clone()).with_policy(policy).build();
    all_are_answered(&collector, 8).await;
    let made: Vec<_> = api.made().into_iter().map(|(at, _)| at).collect();
    for window in made.windows(4) {
        assert!(window[3].duration_since(window[0]) >= HOUR, "{window:?}");
    }
    assert!(made[7].duration_since(made[0]) < 2 * HOUR + HOUR / 10);
}

#[tokio::test(start_paused = true)]
async fn no_file_has_more_bytes_or_embedding_inputs_than_the_server_takes() {
    let api = FakeApi::default().with_pages_of(100);
    let most = 10_000;
    let policy = BatchPolicy::default().with_max_bytes(most.try_into().unwrap());
    let collector = BatchCollector::builder(api.clone()).with_policy(policy).build();
    all_are_answered(&collector, 300).await;
    let made = api.made();
    assert!(made.iter().all(|(_, bytes)| *bytes <= most), "{made:?}");
    assert!((4..10).contains(&made.len()), "{} files", made.len());

    let api = FakeApi::default().with_pages_of(100);
    let collector = BatchCollector::builder(api.clone()).build();
    for n in 0..3 {
        let body = json!({"model": "text-embedding-3-small", "input": vec!["x"; 20_000], "n": n});
        let enqueue = collector.enqueue_raw(Endpoint::Embeddings, body.to_string());
        drop(enqueue.await.unwrap());
    }
    collector.shutdown(HOUR).await.unwrap();
    let lines: Vec<_> = (0..api.batches()).map(|batch| api.lines(batch).len()).collect();
    assert_eq!(lines, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_made_as_its_server_wants_it() {
    for (policy, window) in [
        (BatchPolicy::default(), "24h"),
        (BatchPolicy::azure_openai(), "24h"),
        (BatchPolicy::together(), "24h"),
        (BatchPolicy::groq(), "7d"),
    ] {
        let api = FakeApi::default();
        let collector = BatchCollector::builder(api.clone()).with_policy(policy).build();
        all_are_answered(&collector, 2).await;
        let new = api.asked_for(0);
        assert_eq!(new["completion_window"], window);
        assert_eq!(new["endpoint"], "/v1/chat/completions");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_line_that_the_server_does_not_name_is_found_by_division() {
    let bad = |line: &Line| [17, 4_711].contains(&line.body["n"].as_u64().unwrap());
    let api = FakeApi::default().with_pages_of(100).with_plan(move |_, lines| {
        if lines.iter().any(bad) {
            failed("invalid_json_line", None)
        } else {
            completed(lines)
        }
    });
    let collector = BatchCollector::builder(api.clone()).build();
    for (n, handle) in some(&collector, 6_000).await.into_iter().enumerate() {
        match handle.await {
            Ok(answer) => assert_eq!(answer.echo, n as u64),
            Err(error) => assert!(
                [17, 4_711].contains(&n) && matches!(error, BatchError::BatchFailed { .. }),
                "{n}: {error:?}"
            ),
        }
    }
    assert!(api.batches() < 70, "{} batches", api.batches());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_every_file_is_not_asked_for_ever() {
    for line in [None, Some(1)] {
        let api = FakeApi::default()
            .with_pages_of(100)
            .with_plan(move |_, _| failed("invalid_request", line));
        let collector = BatchCollector::builder(api.clone()).build();
        for handle in some(&collector, 3_000).await {
            assert_eq!(handle.await.unwrap_err().kind(), ErrorKind::Refused);
        }
        assert!(api.batches() < 100, "{line:?}: {} batches", api.batches());
    }
}

#[tokio::test(start_paused = true)]
async fn when_most_lines_fail_alike_their_lane_is_held_back_until_a_few_succeed() {
    let mut tries = 0;
    let api = FakeApi::default().with_pages_of(100).with_plan(move |_, lines| {
        let fails = lines[0].body["model"] == "gpt-4o-mini" && tries < 2;
        tries += u32::from(fails);
        let answer = |line: &Line| {
            if fails { with_status(line, 429) } else { good(line) }
        };
        End {
            status: "completed",
            output: lines.iter().map(answer).collect(),
            ..End::default()
        }
    });
    let collector = BatchCollector::builder(api.clone()).build();
    let handles = some(&collector, 2_000).await;
    let other = json!({"model": "gpt-4o", "n": 7}).to_string();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(collector.progress().borrow().held, 2_000);
    // Another model goes on.
    let other = collector
        .enqueue_raw(Endpoint::ChatCompletions, other)
        .await
        .unwrap();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap().echo, n as u64);
    }
    assert!(other.await.is_ok());
    let made = api.made();
    let lines: Vec<_> = (0..made.len()).map(|batch| api.lines(batch).len()).collect();
    assert_eq!(lines, [2_000, 1, 100, 100, 1_900]);
    for (before, after, seconds) in [(0, 2, 600), (2, 3, 1_200)] {
        let waited = made[after].0.duration_since(made[before].0);
        assert!(waited >= Duration::from_secs(seconds), "{waited:?}");
    }
    assert_eq!(collector.progress().borrow().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_line_refused_for_what_it_asks_is_final_though_it_has_no_status() {
    let api = FakeApi::default().with_plan(|_, lines| End {
        status: "completed",
        error: vec![
            not_run(&lines[0], "context_length_exceeded"),
            not_run(&lines[1], "content_policy_violation"),
        ],
        ..End::default()
    });
    let collector = BatchCollector::builder(api.clone()).build();
    for handle in some(&collector, 2).await {
        let error = handle.await.unwrap_err();
        assert!(
            matches!(error, BatchError::BatchFailed { code: Some(_), .. }),
            "{error:?}"
        );
    }
    assert_eq!(api.batches(), 1);
}

/// What a server does to files that it does not take at once.
type Refusing = fn(FakeApi) -> FakeApi;

#[test]
fn a_restart_at_any_moment_of_a_refusal_loses_nothing_and_runs_nothing_twice() {
    let too_large: Refusing = |api| api.with_room_for(THOUSAND_LINES / 5, true);
    let bad_line: Refusing = |api| {
        api.with_plan(|_, lines| {
            if lines.iter().any(|line| line.body["n"] == 77) {
                failed("invalid_json_line", None)
            } else {
                completed(lines)
            }
        })
    };
    for refusing in [too_large, bad_line] {
        for moment in (0..300).step_by(13) {
            let api = refusing(FakeApi::default().with_pages_of(100));
            let store = InMemoryStore::default();
            let collector = || {
                BatchCollector::builder(api.clone())
                    .with_store(store.clone())
                    .build()
            };
            paused().block_on(async {
                drop(some(&collector(), 400).await);
                tokio::time::sleep(Duration::from_secs(moment)).await;
            });
            paused().block_on(async {
                let collector = collector();
                let mut outcomes = collector.outcomes("test");
                for _ in 0..400 {
                    outcomes.next().await.unwrap().unwrap().ack().await.unwrap();
                }
                assert_eq!(collector.shutdown(Duration::from_secs(60)).await.unwrap(), []);
            });
            let mut ran: Vec<_> = api
                .ran()
                .iter()
                .map(|line| line.body["n"].as_u64().unwrap())
                .collect();
            ran.sort_unstable();
            let bad = api.ran().len() == 399;
            let expected: Vec<_> = (0..400).filter(|n| !bad || *n != 77).collect();
            assert_eq!(ran, expected, "restarted after {moment} s");
        }
    }
}
