//! What a batch delivers: its lines as they run, and the files that they end in.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{Batch, Status};
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::simulator::Simulator;
use crate::simulator::book::add;
use crate::simulator::core::Core;
use crate::simulator::exchange::{Outgoing, Payload};
use crate::simulator::faults::{Fault, LineFault, Target, status_body};
use crate::simulator::files::{File, KEPT};
use crate::simulator::text::hash;
use crate::wire::{ResponseView, UsageReading};

impl Batch {
    /// Runs lines up to the `end`th.
    pub(super) fn run(&mut self, simulator: &Simulator, end: usize) {
        for number in self.ran..end.min(self.lines.len()) {
            let Some(line) = self.lines.get(number) else { break };
            let body = self.input.slice(line.body.clone());
            let fault = simulator.core.strike(Target::Line, self.endpoint.as_str(), &body);
            let fault = fault.as_ref().and_then(Fault::of_line);
            let custom_id = match fault {
                Some(LineFault::Stranger) => format!("{}-stranger", line.custom_id),
                _ => line.custom_id.clone(),
            };
            let (status, answer) = match fault {
                Some(LineFault::Status(status)) => (*status, status_body(*status)),
                Some(LineFault::StatusZero) => (0, Bytes::from_static(b"{}")),
                _ => match self.answer(simulator, &body) {
                    Some(answer) => answer,
                    None => continue,
                },
            };
            let id = self.line_id(simulator, number);
            let json = String::from_utf8_lossy(&answer);
            let json = match fault {
                Some(LineFault::BodyAsString) => json!(json).to_string().into(),
                _ => json,
            };
            let text = format!(
                "{{\"id\": \"batch_req_{id:016x}\", \"custom_id\": {}, \"response\": {{\"status_code\": {status}, \
                 \"request_id\": \"{:016x}\", \"body\": {json}}}, \"error\": null}}\n",
                json!(custom_id),
                hash(id, b"request"),
            );
            if status >= 300 {
                self.failed.push(text);
                continue;
            }
            if fault == Some(&LineFault::Missing) {
                self.missing += 1;
            } else {
                self.completed += 1;
            }
            if let Some(UsageReading::Read(usage)) = ResponseView::read(&answer).map(|view| view.usage()) {
                self.usage = add(self.usage, usage);
            }
            let times = match fault {
                Some(LineFault::Missing) => 0,
                Some(LineFault::Twice) => 2,
                _ => 1,
            };
            self.output.extend(std::iter::repeat_n(text, times));
        }
        self.ran = self.ran.max(end.min(self.lines.len()));
    }

    /// Answers a line; `None` if its answer is no plain body, which cannot be.
    fn answer(&self, simulator: &Simulator, body: &Bytes) -> Option<(u16, Bytes)> {
        let answer = match self.endpoint {
            Endpoint::Embeddings => simulator.embed(body, Lane::Batch),
            Endpoint::Responses => simulator.response_line(body),
            _ => simulator.chat_line(body),
        };
        let answer = answer.unwrap_or_else(Outgoing::from);
        match answer.body {
            Payload::Whole(bytes) => Some((answer.status.as_u16(), bytes)),
            Payload::Pieces(_) | Payload::Broken(..) => None,
        }
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
            ("output", self.output.iter().collect::<Vec<_>>()),
            ("error", self.failed.iter().chain(not_run).collect()),
        ];
        for (name, mut lines) in outputs {
            let slot = if name == "output" {
                &mut self.output_file
            } else {
                &mut self.error_file
            };
            // What was there early is not written again.
            if lines.is_empty() || slot.is_some() {
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
                expires_at: Some(Core::unix(now).saturating_add(KEPT)),
                content: lines.into_iter().map(String::as_str).collect::<String>().into(),
            };
            *slot = Some(file.id.clone());
            files.push(file);
        }
        files
    }
}
