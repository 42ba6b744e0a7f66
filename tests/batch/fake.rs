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
use thrifty::ErrorKind;
use thrifty::batch::{ApiError, BatchApi, Effect, InputFile, NewBatch, StoreError};
use thrifty::wire::{BatchView, FileView, Page};
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

struct Batch {
    new: NewBatch,
    made: Instant,
    end: End,
    cancelled: bool,
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
    faults: Vec<(&'static str, usize, Fail)>,
    calls: Vec<String>,
}

/// How a call fails.
#[derive(Clone, Copy)]
pub(crate) enum Fail {
    Status(u16),
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

    /// The next creations happen, but their answers are lost; the list shows them only from a later look on.
    pub(crate) fn losing_create_answers(self, times: usize, hidden_lists: usize) -> Self {
        let mut world = self.0.lock().unwrap();
        world.lose_creates = times;
        world.hide_until_list = hidden_lists;
        drop(world);
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
        }
    }

    pub(crate) fn batches(&self) -> usize {
        self.0.lock().unwrap().batches.len()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
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
        let end = match &mut self.plan {
            Some(plan) => plan(index, &lines),
            None => completed(&lines),
        };
        self.batches.push(Batch {
            new: new.clone(),
            made: Instant::now(),
            end,
            cancelled: false,
        });
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
        let over = batch.made.elapsed() >= RUN;
        let file =
            |kind: &str, lines: &[String]| (over && !lines.is_empty()).then(|| format!("{kind}-{index}"));
        let status = match (over, batch.cancelled) {
            (_, true) => "cancelled",
            (true, _) => batch.end.status,
            _ => "in_progress",
        };
        let errors = (over && !batch.end.errors.is_empty()).then(|| json!({"data": batch.end.errors}));
        let view = json!({
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
        let answer = self.0.lock().unwrap().create(new);
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        self.strike("retrieve")?;
        let world = self.0.lock().unwrap();
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        Ok(world.view(index))
    }

    async fn list(&self, after: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        self.strike("list")?;
        let mut world = self.0.lock().unwrap();
        world.calls.push("list".into());
        world.lists += 1;
        let shown = if world.lists > world.hide_until_list {
            world.batches.len()
        } else {
            0
        };
        // One a page, the newest first.
        let last = after.map_or(shown, |id| id.trim_start_matches("batch-").parse().unwrap());
        let data: Vec<_> = last
            .checked_sub(1)
            .map(|index| world.view(index))
            .into_iter()
            .collect();
        Ok(serde_json::from_value(json!({"data": data, "has_more": last > 1})).unwrap())
    }

    async fn cancel(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        let mut world = self.0.lock().unwrap();
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        world.batches[index].cancelled = true;
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
        world
            .files
            .remove(file_id)
            .map(|_| ())
            .ok_or_else(|| refused(404))
    }
}
