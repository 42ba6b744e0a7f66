//! A Batch API in memory that answers at once, so that only the collector is measured.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::json;
use thrifty::ErrorKind;
use thrifty::batch::{ApiError, BatchApi, Effect, InputFile, NewBatch};
use thrifty::wire::{BatchView, FileView, Page};

#[derive(Debug, Clone, Default)]
pub(crate) struct Server(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    /// When the first byte of the last upload came.
    first_byte: Option<Instant>,
    uploads: usize,
    /// The output of each batch, by its input file.
    outputs: Vec<Bytes>,
    /// When the last output was asked for.
    asked: Option<Instant>,
}

impl Server {
    pub(crate) fn first_byte(&self) -> Option<Instant> {
        self.0.lock().unwrap().first_byte
    }

    pub(crate) fn asked(&self) -> Option<Instant> {
        self.0.lock().unwrap().asked
    }
}

fn view(id: usize, status: &str) -> BatchView {
    let view =
        json!({"id": format!("batch_{id}"), "status": status, "output_file_id": format!("output_{id}")});
    serde_json::from_value(view).unwrap()
}

pub(crate) fn number(id: &str) -> usize {
    id.rsplit('_').next().unwrap().parse().unwrap()
}

pub(crate) fn unused() -> ApiError {
    ApiError::new(ErrorKind::Refused, Effect::None, "no bench needs this").with_status(404)
}

#[async_trait]
impl BatchApi for Server {
    async fn upload(&self, _: &str, jsonl: InputFile) -> Result<FileView, ApiError> {
        let mut pieces = jsonl.pieces();
        let mut output = Vec::new();
        let mut first = true;
        while let Some(piece) = pieces.next().await {
            // The bench may be over.
            let Ok(piece) = piece else { return Err(unused()) };
            if std::mem::take(&mut first) {
                self.0.lock().unwrap().first_byte = Some(Instant::now());
            }
            for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let id = std::str::from_utf8(&line[14..])
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap();
                let answer = json!({"id": "batch_req_1", "custom_id": id, "error": null, "response": {
                    "status_code": 200, "request_id": "req_123", "body": {"id": "chatcmpl-1",
                    "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "choices": [{"index": 0,
                    "message": {"role": "assistant", "content": "An answer of some twenty words, as a classifier or a \
                    short summary gives it, so that the line is of the usual size."}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 250, "completion_tokens": 22, "total_tokens": 272}}}});
                output.extend_from_slice(answer.to_string().as_bytes());
                output.push(b'\n');
            }
        }
        let mut world = self.0.lock().unwrap();
        world.outputs.push(output.into());
        world.uploads += 1;
        let id = world.uploads - 1;
        Ok(serde_json::from_value(json!({"id": format!("file_{id}")})).unwrap())
    }

    async fn list_files(&self, _: Option<&str>) -> Result<Page<FileView>, ApiError> {
        Err(unused())
    }

    async fn create(&self, batch: &NewBatch) -> Result<BatchView, ApiError> {
        Ok(view(number(&batch.input_file_id), "validating"))
    }

    async fn retrieve(&self, batch_id: &str) -> Result<BatchView, ApiError> {
        Ok(view(number(batch_id), "completed"))
    }

    async fn list(&self, _: Option<&str>) -> Result<Page<BatchView>, ApiError> {
        Err(unused())
    }

    async fn cancel(&self, _: &str) -> Result<BatchView, ApiError> {
        Err(unused())
    }

    async fn download(&self, file_id: &str) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let mut world = self.0.lock().unwrap();
        world.asked = Some(Instant::now());
        let output = world.outputs[number(file_id)].clone();
        drop(world);
        let pieces = (0..output.len()).step_by(64 << 10);
        let pieces = pieces.map(move |at| Ok(output.slice(at..output.len().min(at + (64 << 10)))));
        Ok(stream::iter(pieces).boxed())
    }

    async fn delete_file(&self, _: &str) -> Result<(), ApiError> {
        Err(unused())
    }
}
