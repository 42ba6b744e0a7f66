//! What a batch delivers: its lines as they run, and the files that they end in.

use std::time::Duration;

use serde_json::json;

use super::{Batch, Status};
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::simulator::Simulator;
use crate::simulator::core::Core;
use crate::simulator::exchange::{Outgoing, Payload};
use crate::simulator::files::File;
use crate::simulator::text::hash;
use crate::usage::Usage;
use crate::wire::{ResponseView, UsageReading};

impl Batch {
    /// Runs lines up to the `end`th.
    pub(super) fn run(&mut self, simulator: &Simulator, end: usize) {
        for number in self.ran..end.min(self.lines.len()) {
            let Some(line) = self.lines.get(number) else { break };
            let body = self.input.slice(line.body.clone());
            let answer = match self.endpoint {
                Endpoint::Embeddings => simulator.embed(&body, Lane::Batch),
                Endpoint::Responses => simulator.response_line(&body),
                _ => simulator.chat_line(&body),
            };
            let answer = answer.unwrap_or_else(Outgoing::from);
            let Payload::Whole(bytes) = &answer.body else {
                continue;
            };
            let id = self.line_id(simulator, number);
            let text = format!(
                "{{\"id\": \"batch_req_{id:016x}\", \"custom_id\": {}, \"response\": {{\"status_code\": {}, \
                 \"request_id\": \"{:016x}\", \"body\": {}}}, \"error\": null}}\n",
                json!(line.custom_id),
                answer.status.as_u16(),
                hash(id, b"request"),
                String::from_utf8_lossy(bytes),
            );
            if answer.status.is_success() {
                self.succeeded.push(text);
                let usage = ResponseView::read(bytes).map(|view| view.usage());
                if let Some(UsageReading::Read(usage)) = usage {
                    add(&mut self.usage, &usage);
                }
            } else {
                self.failed.push(text);
            }
        }
        self.ran = self.ran.max(end.min(self.lines.len()));
    }

    fn line_id(&self, simulator: &Simulator, number: usize) -> u64 {
        let batch = hash(simulator.core.seed, self.id.as_bytes());
        hash(batch, &number.to_le_bytes())
    }

    /// Ends before all has run: what ran is delivered, what did not says so.
    pub(super) fn end_early(&mut self, simulator: &Simulator, status: Status, at: Duration) -> Vec<File> {
        self.reach(status, at);
        let (code, message) = match status {
            Status::Expired => (
                "batch_expired",
                "This request could not be executed before the completion window expired.",
            ),
            _ => (
                "batch_cancelled",
                "This request was not executed because the batch was cancelled.",
            ),
        };
        let rest = self.lines.get(self.ran..).unwrap_or_default();
        let rest: Vec<String> = rest
            .iter()
            .zip(self.ran..)
            .map(|(line, number)| {
                let id = self.line_id(simulator, number);
                let line = json!({"id": format!("batch_req_{id:016x}"), "custom_id": line.custom_id,
                    "response": null, "error": {"code": code, "message": message}});
                format!("{line}\n")
            })
            .collect();
        self.write_files(simulator, at, &rest)
    }

    /// Writes the output files, in an order of the seed's, not of the input.
    pub(super) fn write_files(
        &mut self,
        simulator: &Simulator,
        now: Duration,
        not_run: &[String],
    ) -> Vec<File> {
        let mut files = Vec::new();
        let mut rng = fastrand::Rng::with_seed(hash(simulator.core.seed, self.id.as_bytes()));
        let outputs = [
            ("output", self.succeeded.iter().collect::<Vec<_>>()),
            ("error", self.failed.iter().chain(not_run).collect()),
        ];
        for (name, mut lines) in outputs {
            if lines.is_empty() {
                continue;
            }
            rng.shuffle(&mut lines);
            let file = File {
                id: format!(
                    "file-{:016x}",
                    hash(hash(simulator.core.seed, name.as_bytes()), self.id.as_bytes())
                ),
                name: format!("{}_{name}.jsonl", self.id),
                purpose: "batch_output".into(),
                created_at: Core::unix(now),
                expires_at: None,
                content: lines.into_iter().map(String::as_str).collect::<String>().into(),
            };
            let slot = if name == "output" {
                &mut self.output_file
            } else {
                &mut self.error_file
            };
            *slot = Some(file.id.clone());
            files.push(file);
        }
        files
    }
}

fn add(sum: &mut Usage, more: &Usage) {
    sum.input_tokens += more.input_tokens;
    sum.output_tokens += more.output_tokens;
    sum.cache_read_tokens += more.cache_read_tokens;
    sum.reasoning_tokens += more.reasoning_tokens;
}
