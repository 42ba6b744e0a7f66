//! A Batch API in memory that keeps to what the real one promises, on tokio's paused time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use thrifty::batch::{ApiError, BatchApi, Effect, InputFile, NewBatch, StoreError};
use thrifty::wire::{BatchView, FileView, Page};
use thrifty::{ErrorKind, Timestamp};
use tokio::time::Instant;

pub(crate) const RUN: Duration = Duration::from_secs(20);

/// How a batch ends.
#[derive(Default)]
pub(crate) struct End {
    pub(crate) status: &'static str,
    pub(crate) output: Vec<String>,
    pub(crate) error: Vec<String>,
    pub(crate) errors: Vec<Value>,
}

type Plan = Box<dyn FnMut(usize, &[Line]) -> End + Send>;

#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) custom_id: String,
    pub(crate) body: Value,
}

type Runs = Box<dyn FnMut(usize) -> Duration + Send>;

struct Batch {
    new: NewBatch,
    made: Instant,
    run: Duration,
    bytes: usize,
    end: End,
    cancelled: bool,
}

impl Batch {
    fn is_over(&self) -> bool {
        self.made.elapsed() >= self.run
    }
}

#[derive(Default)]
struct World {
    files: HashMap<String, (String, Bytes)>,
    uploads: usize,
    batches: Vec<Batch>,
    lists: usize,
    lose_creates: usize,
    drop_creates: usize,
    hang_creates: usize,
    refuse_uploads: usize,
    hide_until_list: usize,
    plan: Option<Plan>,
    runs: Option<Runs>,
    page: usize,
    strangers: usize,
    made_at: Option<Timestamp>,
    limit: Option<(usize, bool)>,
    deaf: bool,
    looks: Vec<(&'static str, Instant)>,
    cancels: usize,
    deleted: Vec<String>,
    double_creates: usize,
    faults: Vec<(&'static str, usize, Fail)>,
    calls: Vec<String>,
}

/// How a call fails.
#[derive(Clone, Copy)]
pub(crate) enum Fail {
    Status(u16),
    /// The input file is not there any more.
    NoFile,
    Panic,
}

#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<World>>);

impl fmt::Debug for FakeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeApi")
    }
}

pub(crate) fn good(line: &Line) -> String {
    json!({"id": "batch_req", "custom_id": line.custom_id, "error": null, "response": {
        "status_code": 200, "request_id": "req", "body": {"echo": line.body["n"]}}})
    .to_string()
}

pub(crate) fn with_status(line: &Line, status: u16) -> String {
    json!({"custom_id": line.custom_id, "error": null, "response": {
        "status_code": status, "request_id": "req", "body": {"error": {"message": "no"}}}})
    .to_string()
}

pub(crate) fn not_run(line: &Line, code: &str) -> String {
    json!({"custom_id": line.custom_id, "response": null, "error": {"code": code, "message": "m"}})
        .to_string()
}

/// All lines answered, in reverse order.
pub(crate) fn completed(lines: &[Line]) -> End {
    End {
        status: "completed",
        output: lines.iter().rev().map(good).collect(),
        ..End::default()
    }
}

impl FakeApi {
    pub(crate) fn with_plan(self, plan: impl FnMut(usize, &[Line]) -> End + Send + 'static) -> Self {
        self.0.lock().unwrap().plan = Some(Box::new(plan));
        self
    }

    /// How long each batch runs; [`RUN`] if nothing is said.
    pub(crate) fn with_runs(self, runs: impl FnMut(usize) -> Duration + Send + 'static) -> Self {
        self.0.lock().unwrap().runs = Some(Box::new(runs));
        self
    }

    /// How many batches the list shows at once; one if nothing is said.
    pub(crate) fn with_pages_of(self, batches: usize) -> Self {
        self.0.lock().unwrap().page = batches;
        self
    }

    /// When the server says that all batches were made; it says nothing if nothing is said.
    pub(crate) fn made_at(self, at: Timestamp) -> Self {
        self.0.lock().unwrap().made_at = Some(at);
        self
    }

    /// How many batches of others are listed before ours.
    pub(crate) fn with_strangers(self, batches: usize) -> Self {
        self.0.lock().unwrap().strangers = batches;
        self
    }

    /// How many bytes may be in running batches; the error names it or not.
    pub(crate) fn with_room_for(self, bytes: usize, named: bool) -> Self {
        self.0.lock().unwrap().limit = Some((bytes, named));
        self
    }

    /// Batches are not cancelled, though the server says so.
    pub(crate) fn ignoring_cancels(self) -> Self {
        self.0.lock().unwrap().deaf = true;
        self
    }

    /// The next creations happen, but their answers are lost; the list shows them only from a later look on.
    pub(crate) fn losing_create_answers(self, times: usize, hidden_lists: usize) -> Self {
        let mut world = self.0.lock().unwrap();
        world.lose_creates = times;
        world.hide_until_list = hidden_lists;
        drop(world);
        self
    }

    /// The next creations happen twice, and their answers are lost.
    pub(crate) fn doubling_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().double_creates = times;
        self
    }

    /// The next creations do not happen, which their caller cannot know.
    pub(crate) fn dropping_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().drop_creates = times;
        self
    }

    /// The next creations happen, and are never answered.
    pub(crate) fn hanging_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().hang_creates = times;
        self
    }

    pub(crate) fn refusing_uploads(self, times: usize) -> Self {
        self.0.lock().unwrap().refuse_uploads = times;
        self
    }

    /// The next calls of this name fail.
    pub(crate) fn failing(self, call: &'static str, times: usize, fail: Fail) -> Self {
        self.0.lock().unwrap().faults.push((call, times, fail));
        self
    }

    fn strike(&self, call: &str) -> Result<(), ApiError> {
        let fail = {
            let mut world = self.0.lock().unwrap();
            let waiting = |fault: &&mut (&str, usize, Fail)| fault.0 == call && fault.1 > 0;
            let fault = world.faults.iter_mut().find(waiting);
            fault.map(|fault| {
                fault.1 -= 1;
                fault.2
            })
        };
        match fail {
            None => Ok(()),
            Some(Fail::Panic) => panic!("the {call} panics, as it is to"),
            Some(Fail::Status(status)) if status >= 500 => {
                Err(ApiError::new(ErrorKind::Busy, Effect::Unknown, "busy").with_status(status))
            }
            Some(Fail::Status(status)) => Err(refused(status)),
            Some(Fail::NoFile) => {
                let said = "the server answered 404: No such File object";
                Err(ApiError::new(ErrorKind::Refused, Effect::None, said).with_status(404))
            }
        }
    }

    pub(crate) fn batches(&self) -> usize {
        self.0.lock().unwrap().batches.len()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The calls that read batches, and when they were made.
    pub(crate) fn looks(&self) -> Vec<(&'static str, Instant)> {
        self.0.lock().unwrap().looks.clone()
    }

    /// The files that were deleted.
    pub(crate) fn deleted(&self) -> Vec<String> {
        self.0.lock().unwrap().deleted.clone()
    }

    pub(crate) fn cancels(&self) -> usize {
        self.0.lock().unwrap().cancels
    }

    /// When each batch was made, and how many bytes its file has; without those that failed.
    pub(crate) fn made(&self) -> Vec<(Instant, usize)> {
        let world = self.0.lock().unwrap();
        let ran = world.batches.iter().filter(|batch| batch.end.status != "failed");
        ran.map(|batch| (batch.made, batch.bytes)).collect()
    }

    /// The lines of all batches that were not refused.
    pub(crate) fn ran(&self) -> Vec<Line> {
        let world = self.0.lock().unwrap();
        let ran = world.batches.iter().filter(|batch| batch.end.status != "failed");
        ran.flat_map(|batch| parse(&world.files[&batch.new.input_file_id].1))
            .collect()
    }

    /// The lines of each batch.
    pub(crate) fn lines(&self, batch: usize) -> Vec<Line> {
        let world = self.0.lock().unwrap();
        parse(&world.files[&world.batches[batch].new.input_file_id].1)
    }
}

fn parse(file: &Bytes) -> Vec<Line> {
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        Line {
            custom_id: line["custom_id"].as_str().unwrap().to_owned(),
            body: line["body"].clone(),
        }
    };
    std::str::from_utf8(file).unwrap().lines().map(read).collect()
}

fn refused(status: u16) -> ApiError {
    ApiError::new(ErrorKind::Refused, Effect::None, "no such thing").with_status(status)
}

/// A batch that the server has no room for; the limit is in tokens, three bytes each.
fn no_room(tokens: usize, named: bool) -> End {
    let named = if named {
        format!(" Limit: {tokens} enqueued tokens.")
    } else {
        String::new()
    };
    let message = format!("Enqueued token limit reached.{named}");
    End {
        status: "failed",
        errors: vec![json!({"code": "token_limit_exceeded", "message": message, "line": null})],
        ..End::default()
    }
}

impl World {
    /// `None` is no answer, ever.
    fn create(&mut self, new: &NewBatch) -> Option<Result<BatchView, ApiError>> {
        self.calls.push("create".into());
        if self.drop_creates > 0 {
            self.drop_creates -= 1;
            return Some(Err(ApiError::new(
                ErrorKind::Timeout,
                Effect::Unknown,
                "no answer",
            )));
        }
        let Some((_, file)) = self.files.get(&new.input_file_id) else {
            return Some(Err(refused(400)));
        };
        let lines = parse(file);
        let index = self.batches.len();
        let bytes = file.len();
        let running = |batch: &&Batch| !batch.is_over() && batch.end.status != "failed";
        let enqueued: usize = self.batches.iter().filter(running).map(|batch| batch.bytes).sum();
        let over = self.limit.filter(|(limit, _)| enqueued + bytes > *limit);
        let end = match (over, &mut self.plan) {
            (Some((limit, named)), _) => no_room(limit / 3, named),
            (None, Some(plan)) => plan(index, &lines),
            (None, None) => completed(&lines),
        };
        let run = match &mut self.runs {
            Some(runs) if end.status != "failed" => runs(index),
            _ => RUN,
        };
        self.batches.push(Batch {
            new: new.clone(),
            made: Instant::now(),
            run,
            bytes,
            end,
            cancelled: false,
        });
        if self.double_creates > 0 {
            self.double_creates -= 1;
            self.lose_creates += 1;
            return self.create(new);
        }
        if self.lose_creates > 0 {
            self.lose_creates -= 1;
            return Some(Err(ApiError::new(
                ErrorKind::Connection,
                Effect::Unknown,
                "reset",
            )));
        }
        if self.hang_creates > 0 {
            self.hang_creates -= 1;
            return None;
        }
        Some(Ok(self.view(index)))
    }

    fn view(&self, index: usize) -> BatchView {
        let batch = &self.batches[index];
        let over = batch.is_over();
        let file =
            |kind: &str, lines: &[String]| (over && !lines.is_empty()).then(|| format!("{kind}-{index}"));
        let status = match (over, batch.cancelled) {
            (_, true) => "cancelled",
            (true, _) => batch.end.status,
            _ if batch.end.status == "failed" => "validating",
            _ => "in_progress",
        };
        let errors = (over && !batch.end.errors.is_empty()).then(|| json!({"data": batch.end.errors}));
        let counts = batch
            .cancelled
            .then(|| json!({"total": 1, "completed": 0, "failed": 0}));
        let view = json!({
            "request_counts": counts,
            "created_at": self.made_at.map(Timestamp::as_unix_seconds),
            "id": format!("batch-{index}"), "status": status, "input_file_id": batch.new.input_file_id,
            "output_file_id": file("output", &batch.end.output), "error_file_id": file("error", &batch.end.error),
            "errors": errors, "metadata": serde_json::to_value(&batch.new).unwrap()["metadata"],
        });
        serde_json::from_value(view).unwrap()
    }
}

#[async_trait]
impl BatchApi for FakeApi {
    async fn upload(&self, filename: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        self.strike("upload")?;
        let lost =
            |error: StoreError| ApiError::new(ErrorKind::Connection, Effect::Unknown, error.to_string());
        let (said, jsonl) = (jsonl.len(), jsonl.read().await.map_err(lost)?);
        assert_eq!(said, jsonl.len() as u64, "a file has the length that it says");
        let mut world = self.0.lock().unwrap();
        world.calls.push("upload".into());
        if world.refuse_uploads > 0 {
            world.refuse_uploads -= 1;
            return Err(ApiError::new(ErrorKind::Busy, Effect::None, "busy").with_status(503));
        }
        assert!(
            world.files.values().all(|(name, _)| name != filename),
            "{filename} twice"
        );
        let id = format!("file-{}", world.uploads);
        world.uploads += 1;
        world.files.insert(id.clone(), (filename.to_owned(), jsonl));
        Ok(serde_json::from_value(json!({"id": id})).unwrap())
    }

    async fn create(&self, new: &NewBatch) -> Result<BatchView, ApiError> {
        self.strike("create")?;
        let answer = self.0.lock().unwrap().create(new);
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        self.strike("retrieve")?;
        let mut world = self.0.lock().unwrap();
        world.looks.push(("retrieve", Instant::now()));
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        Ok(world.view(index))
    }

    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        self.strike("list")?;
        let mut world = self.0.lock().unwrap();
        world.calls.push("list".into());
        world.looks.push(("list", Instant::now()));
        world.lists += 1;
        let shown = if world.lists > world.hide_until_list {
            world.batches.len()
        } else {
            0
        };
        // The newest first.
        let all = shown + world.strangers;
        let last: usize = after.map_or(all, |id| id.rsplit('-').next().unwrap().parse().unwrap());
        let first = last.saturating_sub(world.page.max(1));
        let view = |index: usize| match index {
            _ if index < shown => world.view(index),
            _ => serde_json::from_value(json!({"id": format!("theirs-{index}"), "status": "completed"}))
                .unwrap(),
        };
        let data: Vec<BatchView> = (first..last).rev().map(view).collect();
        Ok(serde_json::from_value(json!({"data": data, "has_more": first > 0})).unwrap())
    }

    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        world.cancels += 1;
        world.batches[index].cancelled = !world.deaf;
        Ok(world.view(index))
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        self.strike("download")?;
        let world = self.0.lock().unwrap();
        let (kind, index) = file_id.split_once('-').unwrap();
        let end = &world.batches[index.parse::<usize>().unwrap()].end;
        let lines = if kind == "output" { &end.output } else { &end.error };
        let content = Bytes::from(lines.join("\n"));
        // Pieces that never end where a line does.
        let pieces: Vec<_> = content
            .chunks(7)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(futures_util::stream::iter(pieces).boxed())
    }

    async fn delete_file(&self, file_id: &str) -> Result<(), ApiError> {
        self.strike("delete")?;
        let mut world = self.0.lock().unwrap();
        world.calls.push("delete".into());
        world.deleted.push(file_id.to_owned());
        world
            .files
            .remove(file_id)
            .map(|_| ())
            .ok_or_else(|| refused(404))
    }
}
