//! The calls themselves, and what they find.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::json;
use thrifty::batch::{ApiError, BatchApi, Effect, InputFile, NewBatch, StoreError};
use thrifty::wire::{BatchView, FileView, Page};
use thrifty::{ErrorKind, Timestamp};
use tokio::time::Instant;

use super::{Arrives, Batch, End, Fail, FakeApi, PAGE, RUN, World, completed, parse};

impl FakeApi {
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
            Some(Fail::Busy) => Err(ApiError::new(ErrorKind::Busy, Effect::None, "busy").with_status(429)),
            Some(Fail::Page) => {
                Err(ApiError::new(ErrorKind::Protocol, Effect::Unknown, PAGE).with_status(200))
            }
            Some(Fail::NoFile) => {
                let said = "the server answered 404: No such File object";
                Err(ApiError::new(ErrorKind::Refused, Effect::None, said).with_status(404))
            }
        }
    }
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
        let lost = (!world.lose_uploads.is_empty()).then(|| world.lose_uploads.remove(0));
        let kept = match lost {
            None | Some(Arrives::Whole) => jsonl.len(),
            Some(Arrives::Half) => jsonl.len() / 2,
            Some(Arrives::Nothing) => 0,
        };
        let id = format!("file-{}", world.uploads);
        world.uploads += 1;
        if kept > 0 {
            let file = (filename.to_owned(), jsonl.slice(..kept));
            world.files.insert(id.clone(), file);
        }
        if lost.is_some() {
            return Err(ApiError::new(ErrorKind::Connection, Effect::Unknown, "reset"));
        }
        Ok(serde_json::from_value(json!({"id": id})).unwrap())
    }

    async fn list_files(&self, after: Option<&str>) -> Result<Page<FileView>, ApiError> {
        self.0.lock().unwrap().calls.push("list files".into());
        self.strike("list files")?;
        let mut world = self.0.lock().unwrap();
        world.looks_at_files += usize::from(after.is_none());
        let number = |id: &str| id.rsplit('-').next().unwrap().parse::<usize>().unwrap();
        let after = after.map_or(usize::MAX, number);
        let is_shown = |number: usize| {
            let late = world.late_files.get(&number);
            number < after && late.is_none_or(|looks| world.looks_at_files > *looks)
        };
        let files = world.files.iter();
        let mut shown: Vec<_> = files
            .map(|(id, (name, content))| (number(id), name, content.len()))
            .filter(|(number, ..)| is_shown(*number))
            .collect();
        // The newest first, one at a time.
        shown.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
        let data: Vec<_> = shown
            .iter()
            .take(1)
            .map(|(number, name, bytes)| json!({"id": format!("file-{number}"), "filename": name, "bytes": bytes}))
            .collect();
        Ok(serde_json::from_value(json!({"data": data, "has_more": shown.len() > 1})).unwrap())
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
        self.strike("cancel")?;
        let mut world = self.0.lock().unwrap();
        let index: usize = batch_id.trim_start_matches("batch-").parse().unwrap();
        world.cancels += 1;
        world.batches[index].cancelled = !world.deaf;
        Ok(world.view(index))
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        if let Err(error) = self.strike("download") {
            if error.message == PAGE {
                return Ok(futures_util::stream::iter([Ok(Bytes::from_static(PAGE.as_bytes()))]).boxed());
            }
            return Err(error);
        }
        let world = self.0.lock().unwrap();
        let (kind, index) = file_id.split_once('-').unwrap();
        let end = &world.batches[index.parse::<usize>().unwrap()].end;
        let lines = if kind == "output" { &end.output } else { &end.error };
        let content = Bytes::from(lines.join("\n"));
        // Pieces that never end where a line does.
        let pieces: Vec<_> = content
            .chunks(7.max(content.len() / 10_000))
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
