//! Days on which something is wrong with the spool, the account, the disk or the server: the real client on a real spool,
//! against the simulator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use thrifty::batch::{
    BatchCollector, BatchError, BatchHandle, BatchPolicy, FileStore, LineAnswer, StoreError,
};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{Endpoint, ErrorKind, LlmClient, Transport};

use super::fake::PAGE;
use super::paused;
#[cfg(unix)]
use super::small_files;

const REQUESTS: usize = 5;

fn llm(simulator: &Simulator, store: FileStore, policy: BatchPolicy) -> LlmClient {
    let transport = Transport::service(simulator.service());
    LlmClient::builder(simulator.client(), transport)
        .with_batch_store(store)
        .with_batch_policy(policy)
        .build()
        .unwrap()
}

async fn ask(collector: &BatchCollector, n: usize) -> Result<BatchHandle<LineAnswer>, BatchError> {
    let body =
        json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": format!("question {n}")}]});
    let enqueue = collector.enqueue_raw(Endpoint::ChatCompletions, body.to_string());
    enqueue.key(format!("doc-{n}")).await
}

/// Enqueues all, as a program does that knows nothing of the runs before.
async fn all(collector: &BatchCollector) -> Result<Vec<BatchHandle<LineAnswer>>, BatchError> {
    let mut handles = Vec::new();
    for n in 0..REQUESTS {
        handles.push(ask(collector, n).await?);
    }
    Ok(handles)
}

async fn are_answered(handles: Vec<BatchHandle<LineAnswer>>, simulator: &Simulator) {
    let count = handles.len();
    for handle in handles {
        assert!(handle.await.unwrap().is_success());
    }
    assert_eq!(simulator.book().charges().len(), count, "each is billed once");
}

/// A spool in which requests wait that nobody has sent.
fn spool(simulator: &Simulator) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("spool");
    paused().block_on(async {
        let llm = llm(simulator, FileStore::open(&path).unwrap(), BatchPolicy::default());
        drop(all(llm.collector()).await.unwrap());
    });
    (dir, path)
}

/// The segment of the journal that has most to say.
fn segment(spool: &Path) -> PathBuf {
    let files = std::fs::read_dir(spool.join("journal")).unwrap();
    let segments = files.map(|file| file.unwrap().path());
    let segments = segments.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    segments
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap()
}

#[test]
fn a_spool_of_a_newer_format_is_refused_and_the_program_that_wrote_it_goes_on() {
    let simulator = Simulator::new();
    let (_dir, spool) = spool(&simulator);
    let path = segment(&spool);
    let written = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&written);
    let (header, _) = text.split_once('\n').unwrap();
    assert!(header.contains("\"thrifty_batch\":1"), "{header}");
    let newer = [header.replace(":1", ":7").as_bytes(), &written[header.len()..]].concat();
    std::fs::write(&path, &newer).unwrap();
    let error = FileStore::open(&spool).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NewerFormat {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        std::fs::read(&path).unwrap(),
        newer,
        "what is refused is left alone"
    );
    std::fs::write(&path, written).unwrap();
    goes_on(&simulator, &spool);
}

/// The unchanged program takes the spool up, and gets all its answers.
fn goes_on(simulator: &Simulator, spool: &Path) {
    paused().block_on(async {
        let store = FileStore::open(spool).unwrap();
        let llm = llm(simulator, store, BatchPolicy::default());
        are_answered(all(llm.collector()).await.unwrap(), simulator).await;
    });
}

#[test]
fn a_journal_with_a_flipped_bit_is_refused_by_name_and_whole_again_once_it_is_restored() {
    let simulator = Simulator::new();
    let (_dir, spool) = spool(&simulator);
    let path = segment(&spool);
    let written = std::fs::read(&path).unwrap();
    let lines = written.split(|byte| *byte == b'\n').count();
    assert!(lines > 3, "{lines} lines");
    let second = written.iter().position(|byte| *byte == b'\n').unwrap() + 10;
    let mut flipped = written.clone();
    flipped[second] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    let error = FileStore::open(&spool).unwrap_err();
    assert!(
        matches!(&error, StoreError::BadLine { path: bad, line: 2, .. } if *bad == path),
        "{error}"
    );
    std::fs::write(&path, written).unwrap();
    goes_on(&simulator, &spool);
}

#[test]
fn a_torn_journal_is_reported_and_the_unchanged_program_pays_for_each_line_once() {
    let simulator = Simulator::new();
    let (_dir, spool) = spool(&simulator);
    let path = segment(&spool);
    let written = std::fs::read(&path).unwrap();
    std::fs::write(&path, &written[..written.len() - 7]).unwrap();
    paused().block_on(async {
        let llm = llm(
            &simulator,
            FileStore::open(&spool).unwrap(),
            BatchPolicy::default(),
        );
        let report = llm.collector().recovery_report().await.unwrap();
        let [(torn, _, kept_in)] = &report.torn[..] else {
            panic!("{report:?}");
        };
        assert!(*torn == path && kept_in.exists());
        assert!((1..REQUESTS).contains(&report.pending), "{report:?}");
        are_answered(all(llm.collector()).await.unwrap(), &simulator).await;
    });
}

#[test]
fn requests_of_one_account_are_not_sent_with_the_credentials_of_another() {
    let simulator = Simulator::new();
    let dir = TempDir::new().unwrap();
    let open = |key: &str| {
        let builder = FileStore::builder().for_account("https://api.openai.com/v1", key);
        let store = builder.open(dir.path().join("spool")).unwrap();
        llm(&simulator, store, BatchPolicy::default())
    };
    paused().block_on(async { drop(all(open("project-a").collector()).await.unwrap()) });
    paused().block_on(async {
        let other = open("project-b");
        for error in [
            all(other.collector()).await.unwrap_err(),
            other.collector().flush().await.unwrap_err(),
        ] {
            assert!(
                matches!(&error, BatchError::Store(StoreError::OtherAccount { found, wanted })
                    if found.ends_with("project-a") && wanted.ends_with("project-b")),
                "{error:?}"
            );
        }
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(simulator.request_count(), 0);
    });
    paused().block_on(async {
        let own = open("project-a");
        are_answered(all(own.collector()).await.unwrap(), &simulator).await;
        for handle in all(own.collector()).await.unwrap() {
            assert!(own.collector().acknowledge(handle.id()));
        }
        assert!(own.shutdown(Duration::from_secs(60)).await.unwrap().is_empty());
    });
    // Once all of that is over the spool is free.
    paused().block_on(async {
        let other = open("project-b");
        drop(all(other.collector()).await.unwrap());
    });
}

#[test]
fn a_server_that_answers_every_call_with_a_page_is_a_typed_error_and_nothing_is_billed() {
    let simulator = Simulator::new();
    simulator.inject(Fault::body(PAGE).times(1_000_000));
    let dir = TempDir::new().unwrap();
    paused().block_on(async {
        let store = FileStore::open(dir.path().join("spool")).unwrap();
        let llm = llm(&simulator, store, BatchPolicy::default());
        for handle in all(llm.collector()).await.unwrap() {
            let error = handle.await.unwrap_err();
            assert!(matches!(&error, BatchError::Api(_)), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    });
    assert!(simulator.book().charges().is_empty());
}

#[test]
fn a_proxy_that_comes_between_at_any_step_costs_no_answer_and_no_second_bill() {
    for (step, pages) in [
        // An upload is tried ten times, and its file is looked for between two tries.
        ("/files", 18),
        // More than an hour.
        ("/batches", 70),
        ("/batches/*", 70),
        ("/content", 70),
        ("/files/*", 70),
    ] {
        for lost in [false, true] {
            let simulator = Simulator::builder()
                .with_batch_delay(Duration::from_secs(300))
                .with_list_lag(Duration::from_secs(45))
                .build();
            if lost {
                simulator.inject(
                    Fault::connection_reset_after()
                        .on("/batches")
                        .containing("input_file_id"),
                );
            }
            // At `/batches` the creation is one of the calls, and its page a lost answer.
            simulator.inject(Fault::body(PAGE).on(step).times(pages));
            let dir = TempDir::new().unwrap();
            paused().block_on(async {
                let store = FileStore::open(dir.path().join("spool")).unwrap();
                let llm = llm(&simulator, store, BatchPolicy::default());
                are_answered(all(llm.collector()).await.unwrap(), &simulator).await;
            });
        }
    }
}

/// The child is this test again, in a process whose files may not grow beyond 16 kB until it lifts that limit.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_spool_on_a_full_disk_takes_no_more_and_once_there_is_room_each_line_is_answered_and_billed_once() {
    const CHILD: &str = "THRIFTY_TEST_SPOOL_ON_A_FULL_DISK";
    const NAME: &str = "bad_days::a_spool_on_a_full_disk_takes_no_more_and_once_there_is_room_each_line_is_answered_and_billed_once";
    let Some(dir) = std::env::var_os(CHILD) else {
        let dir = TempDir::new().unwrap();
        small_files::run_again(NAME, CHILD, dir.path());
        let simulator = Simulator::new();
        let llm = llm(
            &simulator,
            FileStore::open(dir.path()).unwrap(),
            BatchPolicy::default(),
        );
        let report = llm.collector().recovery_report().await.unwrap();
        assert_eq!((report.pending, report.unacknowledged), (0, 0), "{report:?}");
        assert!(
            report.torn.is_empty() && report.damaged_lines.is_empty(),
            "{report:?}"
        );
        return;
    };
    let simulator = Simulator::new();
    let llm = llm(&simulator, FileStore::open(dir).unwrap(), BatchPolicy::default());
    let collector = llm.collector();
    let (mut handles, mut refused) = (Vec::new(), None);
    while refused.is_none() && handles.len() < 200 {
        match ask(collector, handles.len()).await {
            Ok(handle) => handles.push(handle),
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.expect("the disk is full before 200 requests are taken");
    assert_eq!(refused.kind(), ErrorKind::Storage, "{refused:?}");
    assert!(handles.len() >= 10, "{} taken", handles.len());
    // Full for a while, with a batch under way or about to be.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(simulator.book().charges().len() <= handles.len());

    small_files::lift();
    handles.push(ask(collector, handles.len()).await.unwrap());
    let ids: Vec<_> = handles.iter().map(BatchHandle::id).collect();
    are_answered(handles, &simulator).await;
    for id in ids {
        assert!(collector.acknowledge(id));
    }
    assert!(llm.shutdown(Duration::from_secs(30)).await.unwrap().is_empty());
}
