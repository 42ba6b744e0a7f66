//! A program whose process is killed, whose machine loses its power, or whose disk is full, at every call to the disk, and
//! is run again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};

use super::{
    ApiError, BatchApi, BatchCollector, BatchError, BatchHandle, BatchItem, BatchObserver, BatchPolicy,
    Cancelled, Effect, FasterLane, FileStore, InputFile, LineAnswer, NewBatch, Settled,
};
use crate::clock::{ManualClock, Timestamp};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::lane::Lane;
use crate::storage::MemoryDisk;
use crate::wire::{BatchView, FileView, Page};

/// A server that bills each line of each batch, and answers it at once.
#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<String, Vec<String>>,
    /// What each file that was ever uploaded is called, and its size.
    names: Vec<(String, String, usize)>,
    /// The input lines that each output answers.
    outputs: BTreeMap<String, Vec<String>>,
    batches: Vec<NewBatch>,
    /// Its first batch stands still until it is cancelled, and has run one line by then.
    stalls: bool,
    cancelled: bool,
    /// How often each request was billed.
    billed: BTreeMap<String, usize>,
    /// How often the request in a hurry was billed on the faster lane.
    hurried: usize,
    /// How often it was told that its answer was lost.
    lost: usize,
}

fn gone(status: u16) -> ApiError {
    ApiError::new(ErrorKind::Refused, Effect::None, "no such thing").with_status(status)
}

impl World {
    fn view(&self, index: usize) -> BatchView {
        let file = &self.batches[index].input_file_id;
        let status = match (self.stalls && index == 0, self.cancelled) {
            (true, false) => "in_progress",
            (true, true) => "cancelled",
            (false, _) => "completed",
        };
        let output = (status != "in_progress").then(|| format!("output-{index}"));
        serde_json::from_value(
            json!({"id": format!("batch-{index}"), "status": status, "input_file_id": file,
            "output_file_id": output}),
        )
        .unwrap()
    }

    fn bill(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap();
        *self.billed.entry(line["body"]["n"].to_string()).or_default() += 1;
    }
}

#[async_trait]
impl BatchApi for Server {
    async fn upload(&self, filename: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        let lost = |_| ApiError::new(ErrorKind::Connection, Effect::Unknown, "the upload broke off");
        let content = jsonl.read().await.map_err(lost)?;
        let lines = std::str::from_utf8(&content)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        let mut world = self.0.lock().unwrap();
        let id = format!("file-{}", world.names.len() + 1);
        world.files.insert(id.clone(), lines);
        world.names.push((id.clone(), filename.to_owned(), content.len()));
        Ok(serde_json::from_value(json!({"id": id})).unwrap())
    }

    async fn list_files(&self, _: Option<&str>) -> Result<Page<FileView>, ApiError> {
        let world = self.0.lock().unwrap();
        let there = world.names.iter().rev();
        let there = there.filter(|(id, ..)| world.files.contains_key(id));
        let view = |(id, name, bytes): &_| json!({"id": id, "filename": name, "bytes": bytes});
        let data: Vec<_> = there.map(view).collect();
        Ok(serde_json::from_value(json!({"data": data})).unwrap())
    }

    async fn create(&self, batch: &NewBatch) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        let lines = world
            .files
            .get(&batch.input_file_id)
            .cloned()
            .ok_or_else(|| gone(400))?;
        let output = format!("output-{}", world.batches.len());
        world.outputs.insert(output, lines.clone());
        if !world.stalls || !world.batches.is_empty() {
            for line in &lines {
                world.bill(line);
            }
        }
        world.batches.push(batch.clone());
        Ok(world.view(world.batches.len() - 1))
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        Ok(self.0.lock().unwrap().view(index))
    }

    async fn list(&self, _: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        let world = self.0.lock().unwrap();
        let data = (0..world.batches.len())
            .rev()
            .map(|index| world.view(index))
            .collect();
        Ok(Page {
            data,
            has_more: false,
        })
    }

    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        if !world.stalls || batch_id != "batch-0" {
            return Err(gone(404));
        }
        if !std::mem::replace(&mut world.cancelled, true) {
            let first = world.outputs["output-0"][0].clone();
            world.bill(&first);
        }
        Ok(world.view(0))
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let world = self.0.lock().unwrap();
        let lines = world.outputs.get(file_id).ok_or_else(|| gone(404))?;
        let ran = if world.stalls && file_id == "output-0" {
            1
        } else {
            lines.len()
        };
        let answers = lines.iter().enumerate().map(|(at, line)| {
            let line: Value = serde_json::from_str(line).unwrap();
            let body = json!({"answer": line["body"]["n"]});
            let answer = if at < ran {
                json!({"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}})
            } else {
                json!({"custom_id": line["custom_id"], "error": {"code": "batch_cancelled", "message": "cancelled"}})
            };
            Ok(Bytes::from(format!("{answer}\n")))
        });
        Ok(stream::iter(answers.collect::<Vec<_>>()).boxed())
    }

    async fn delete_file(&self, file_id: &str) -> Result<(), ApiError> {
        let mut world = self.0.lock().unwrap();
        let removed = world
            .files
            .remove(file_id)
            .or_else(|| world.outputs.remove(file_id));
        removed.map(|_| ()).ok_or_else(|| gone(404))
    }
}

#[async_trait]
impl FasterLane for Server {
    async fn send(&self, _: &BatchItem) -> Result<LineAnswer, BatchError> {
        self.0.lock().unwrap().hurried += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(LineAnswer::new(200, r#"{"answer":"at once"}"#, Lane::Standard))
    }
}

impl BatchObserver for Server {
    fn settled(&self, settled: &Settled<'_>) {
        if settled.item.model == format!("other-{HURRIED}").as_str() && settled.outcome.is_err() {
            self.0.lock().unwrap().lost += 1;
        }
    }
}

const REQUESTS: u64 = 7;
/// The requests that are cancelled before a batch is made of them, and in a hurry.
const CANCELLED: u64 = 100;
const HURRIED: u64 = 101;
const NOW: Timestamp = Timestamp::from_unix_millis(1_790_000_000_000);

const NO_ANSWER: &str = "no answer came";

/// Waits longer than anything takes while the disk works.
async fn answer_of(
    (disk, server): (&MemoryDisk, &Server),
    mut handle: BatchHandle<LineAnswer>,
) -> Result<Result<LineAnswer, BatchError>, String> {
    let hours = if server.0.lock().unwrap().stalls { 40 } else { 1 };
    for _ in 0..hours * 4 {
        match tokio::time::timeout(Duration::from_secs(900), &mut handle).await {
            Ok(answer) => return Ok(answer),
            Err(_) if disk.is_dead() => break,
            Err(_) => {}
        }
    }
    Err(NO_ANSWER.to_owned())
}

/// The program: it asks under keys, once in a hurry and once for nothing, and says that the answers are used when it has all
/// of them.
fn program(disk: &MemoryDisk, server: &Server) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let policy = BatchPolicy::default()
        .with_max_requests(3.try_into().unwrap())
        .with_patience(Duration::from_secs(3_600))
        .with_settle(Duration::from_secs(1));
    runtime.block_on(async {
        let store = FileStore::builder()
            .with_disk(disk.clone())
            .open("/var/spool")
            .map_err(|error| format!("{error:?}"))?;
        let collector = BatchCollector::builder(server.clone())
            .with_policy(policy)
            .with_store(store)
            .with_faster_lane(server.clone())
            .with_observer(server.clone())
            .with_clock(ManualClock::new(NOW))
            .build();
        let said = |error: BatchError| format!("{error:?}");
        let other = |n: u64| {
            let body = json!({"model": format!("other-{n}"), "n": n}).to_string();
            let enqueue = collector.enqueue_raw(Endpoint::ChatCompletions, body);
            enqueue.key(format!("doc-{n}"))
        };
        let cancelled = other(CANCELLED).await.map_err(said)?;
        let outcome = collector.cancel(cancelled.id()).await.map_err(said)?;
        if outcome != Cancelled::Withdrawn {
            return Err(format!("{outcome:?}"));
        }
        // So near that the faster lane is asked a second later.
        let deadline = NOW.saturating_add(Duration::from_secs(601));
        let hurried = other(HURRIED).deadline(deadline).await.map_err(said)?;
        let mut handles = Vec::new();
        for n in 0..REQUESTS {
            let body = json!({"model": "gpt-4o-mini", "n": n}).to_string();
            let enqueue = collector.enqueue_raw(Endpoint::ChatCompletions, body);
            handles.push(
                enqueue
                    .key(format!("doc-{n}"))
                    .await
                    .map_err(|error| format!("{error:?}"))?,
            );
        }
        let mut answers = Vec::new();
        let mut ids = vec![hurried.id()];
        let first = answer_of((disk, server), hurried).await?.map_err(said)?;
        answers.push(String::from_utf8(first.body.to_vec()).unwrap());
        for handle in handles {
            ids.push(handle.id());
            let answer = answer_of((disk, server), handle).await?.map_err(said)?;
            answers.push(String::from_utf8(answer.body.to_vec()).unwrap());
        }
        for id in ids {
            collector.acknowledge(id);
        }
        // The answers are used, whether or not a disk that fails now can say so.
        let _ = collector.shutdown(Duration::from_secs(60)).await;
        Ok(answers)
    })
}

#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    WithoutPower {
        torn: u64,
    },
    /// One call fails, and everything goes on.
    Fault,
    /// The disk has no room for so many calls.
    Full {
        calls: u64,
    },
    /// As `Killed`, and the next process finds no room after so many calls.
    KilledAndFull {
        after: u64,
    },
}

fn dies_at(call: u64, end: End, server: &Server) -> u64 {
    let disk = MemoryDisk::default();
    match end {
        End::Fault => disk.fail_after(call),
        End::Full { calls } => disk.fill_after(call, calls),
        End::Killed | End::WithoutPower { .. } | End::KilledAndFull { .. } => disk.die_after(call),
    }
    let at = format!("call {call}, {end:?}");
    let says_so = |answers: &Result<_, String>| {
        if let Err(error) = answers {
            let said = error.contains("StorageFull") || error == NO_ANSWER;
            assert!(
                said,
                "{at}: it is an error that says so, or nothing goes on: {error}"
            );
        }
    };
    let mut answers = program(&disk, server);
    let calls = disk.calls();
    match end {
        End::Killed | End::Fault | End::KilledAndFull { .. } => disk.kill(),
        End::WithoutPower { torn } => disk.lose_power(torn),
        End::Full { .. } => {
            says_so(&answers);
            disk.kill();
        }
    }
    if let End::KilledAndFull { after } = end
        && answers.is_err()
    {
        disk.fill_after(after, u64::MAX);
        answers = program(&disk, server);
        says_so(&answers);
        disk.kill();
    }
    let answers = answers.or_else(|_| program(&disk, server));
    let mut wanted = vec![json!({"answer": "at once"}).to_string()];
    wanted.extend((0..REQUESTS).map(|n| json!({"answer": n}).to_string()));
    assert_eq!(answers, Ok(wanted), "{at}");
    let world = server.0.lock().unwrap();
    let (sent, lost) = (world.hurried, world.lost);
    assert!(
        (1..=1 + lost).contains(&sent),
        "{at}: {sent} sent, {lost} told as lost"
    );
    let billed: Vec<_> = world.billed.values().copied().collect();
    assert_eq!(
        billed,
        vec![1; usize::try_from(REQUESTS).unwrap()],
        "{at}: each line is billed once"
    );
    calls
}

/// Every so manieth call, or each one if `THRIFTY_BATCH_POWER` is set.
fn every(nth: usize) -> usize {
    match std::env::var_os("THRIFTY_BATCH_POWER") {
        Some(_) => 1,
        None => nth,
    }
}

/// `THRIFTY_BATCH_POWER=1 cargo test --release --lib each_line_is_billed_once` dies at every call.
#[test]
fn each_line_is_billed_once_at_whatever_call_the_process_the_power_or_the_room_goes() {
    let dies_at = |call, end| dies_at(call, end, &Server::default());
    let calls = dies_at(u64::MAX, End::Killed);
    assert!(calls > 60, "{calls} calls are enough to die at");
    let mut tried = 0;
    for call in (0..calls).step_by(every(5)) {
        tried += 1;
        dies_at(call, End::Killed);
        dies_at(call, End::Fault);
        for torn in 0..3 {
            let torn = torn * 7 + call;
            dies_at(call, End::WithoutPower { torn });
        }
        for calls in [1, 5, u64::MAX] {
            dies_at(call, End::Full { calls });
        }
        dies_at(call, End::KilledAndFull { after: call % 17 });
    }
    println!("goal batch/power-loss: ends at {tried} of {calls} calls, each line billed once");
}

#[test]
fn each_line_is_billed_once_also_if_a_batch_is_cancelled_at_the_server() {
    let dies_at = |call, end| {
        let server = Server::default();
        server.0.lock().unwrap().stalls = true;
        let calls = dies_at(call, end, &server);
        assert!(server.0.lock().unwrap().cancelled);
        calls
    };
    let calls = dies_at(u64::MAX, End::Killed);
    for call in (0..calls).step_by(every(11)) {
        dies_at(call, End::Killed);
        dies_at(call, End::WithoutPower { torn: call });
        dies_at(call, End::Full { calls: 20 });
    }
}
