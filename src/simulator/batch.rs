//! One batch: its states, its validation, its lines and its output files.
//!
//! There is no task behind it. What it is follows from how much of its time has passed whenever somebody looks.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Simulator;
use super::core::Core;
use super::exchange::{Outgoing, Payload};
use super::files::File;
use super::text::hash;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::wire::RequestView;

/// Lines that one file may hold.
const MAX_LINES: usize = 50_000;

/// When validation is over, in hundredths of the batch's delay.
const VALIDATED: u32 = 10;

/// When the last line has run, in hundredths of the batch's delay.
const FINALIZING: u32 = 90;

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: String,
    input_file: String,
    endpoint: Endpoint,
    model: Option<String>,
    metadata: Value,
    /// When it was created, since the simulator's start.
    created: Duration,
    /// When each state was reached, in seconds since 1970.
    reached: Vec<(Status, i64)>,
    errors: Vec<Fault>,
    input: Bytes,
    lines: Vec<Line>,
    ran: usize,
    succeeded: Vec<String>,
    failed: Vec<String>,
    output_file: Option<String>,
    error_file: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Validating,
    Failed,
    InProgress,
    Finalizing,
    Completed,
    Cancelling,
    Cancelled,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) const fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Cancelled)
    }
}

#[derive(Debug)]
struct Line {
    custom_id: String,
    /// Where the body is in the input file.
    body: Range<usize>,
}

/// Why a whole batch fails.
#[derive(Debug)]
struct Fault {
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    line: Option<usize>,
}

impl Batch {
    /// Makes a batch over a file; `created` is the time since the simulator's start.
    pub(super) fn new(
        id: String,
        file: &File,
        endpoint: Endpoint,
        metadata: Value,
        created: Duration,
    ) -> Self {
        Self {
            id,
            input: file.content.clone(),
            input_file: file.id.clone(),
            endpoint,
            model: None,
            metadata,
            created,
            reached: Vec::new(),
            errors: Vec::new(),
            lines: Vec::new(),
            ran: 0,
            succeeded: Vec::new(),
            failed: Vec::new(),
            output_file: None,
            error_file: None,
        }
    }

    pub(super) fn status(&self) -> Status {
        self.reached
            .last()
            .map_or(Status::Validating, |(status, _)| *status)
    }

    pub(super) fn reach(&mut self, status: Status, at: Duration) {
        self.reached.push((status, Core::unix(at)));
    }

    pub(super) fn describe(&self) -> Value {
        let at = |wanted: Status| {
            let reached = self.reached.iter().find(|(status, _)| *status == wanted);
            reached.map(|(_, at)| *at)
        };
        let errors: Vec<Value> = self
            .errors
            .iter()
            .map(|fault| {
                json!({"code": fault.code, "message": fault.message, "param": fault.param, "line": fault.line})
            })
            .collect();
        let errors = (!errors.is_empty()).then(|| json!({"object": "list", "data": errors}));
        let is_validated = at(Status::InProgress).is_some();
        let created_at = Core::unix(self.created);
        json!({
            "id": self.id, "object": "batch", "endpoint": self.endpoint.as_str(), "model": self.model,
            "errors": errors, "input_file_id": self.input_file, "completion_window": "24h",
            "status": self.status().as_str(),
            "output_file_id": self.output_file, "error_file_id": self.error_file,
            "created_at": created_at, "in_progress_at": at(Status::InProgress),
            "expires_at": created_at.saturating_add(86_400), "finalizing_at": at(Status::Finalizing),
            "completed_at": at(Status::Completed), "failed_at": at(Status::Failed), "expired_at": null,
            "cancelling_at": at(Status::Cancelling), "cancelled_at": at(Status::Cancelled),
            "request_counts": {
                "total": if is_validated { self.lines.len() } else { 0 },
                "completed": self.succeeded.len(), "failed": self.failed.len(),
            },
            "metadata": self.metadata,
        })
    }

    /// Reads the input file as the real API does, which stops a batch as a whole for one bad line.
    fn validate(&mut self, simulator: &Simulator) {
        #[derive(Deserialize)]
        struct Wire<'a> {
            custom_id: Option<String>,
            method: Option<String>,
            url: Option<String>,
            #[serde(borrow)]
            body: Option<&'a RawValue>,
        }
        let input = self.input.clone();
        let mut ids = HashSet::new();
        let lines = input.split(|byte| *byte == b'\n').zip(1..);
        for (text, number) in lines.filter(|(text, _)| !text.trim_ascii().is_empty()) {
            let mut fault = |code, message: String, param| {
                self.errors.push(Fault {
                    code,
                    message,
                    param,
                    line: Some(number),
                });
            };
            let Ok(wire) = serde_json::from_slice::<Wire<'_>>(text) else {
                fault(
                    "invalid_json_line",
                    "This line is not parseable as valid JSON.".into(),
                    None,
                );
                continue;
            };
            let (Some(custom_id), Some(body)) = (wire.custom_id, wire.body) else {
                let message = "Missing required parameter: 'custom_id' or 'body'.";
                fault("missing_required_parameter", message.into(), Some("custom_id"));
                continue;
            };
            if wire.method.as_deref() != Some("POST") {
                fault(
                    "invalid_method",
                    "The method of a batch request must be POST.".into(),
                    Some("method"),
                );
            }
            if wire.url.as_deref() != Some(self.endpoint.as_str()) {
                let message = "The URL provided for this request does not prefix-match the batch endpoint.";
                fault("invalid_url", message.into(), Some("url"));
            }
            if !ids.insert(custom_id.clone()) {
                let message = format!(
                    "The custom_id '{custom_id}' for this request is a duplicate of another request. The custom_id \
                     parameter must be unique for each request in a batch."
                );
                fault("duplicate_custom_id", message, Some("custom_id"));
            }
            let view = RequestView::read(body.get().as_bytes()).unwrap_or_default();
            if view.is_stream() {
                fault(
                    "streaming_unsupported",
                    "Streaming is not supported in a batch.".into(),
                    Some("body.stream"),
                );
            }
            let model = view.model_name().unwrap_or_default().into_owned();
            if self.model.as_ref().is_some_and(|first| *first != model) {
                let message = format!("The provided model '{model}' does not match the rest of the batch.");
                fault("mismatched_model", message, Some("body.model"));
            } else if simulator.known_model(&model).is_err() {
                let message = format!("The provided model '{model}' is not supported by the Batch API.");
                fault("model_not_found", message, Some("body.model"));
            }
            self.model.get_or_insert(model);
            let start = body.get().as_ptr().addr() - input.as_ptr().addr();
            self.lines.push(Line {
                custom_id,
                body: start..start + body.get().len(),
            });
        }
        if self.lines.is_empty() && self.errors.is_empty() {
            let message = "The input file is empty.".into();
            self.errors.push(Fault {
                code: "empty_file",
                message,
                param: None,
                line: None,
            });
        } else if self.lines.len() > MAX_LINES {
            let message = format!("The input file has more than {MAX_LINES} requests.");
            self.errors.push(Fault {
                code: "too_many_requests",
                message,
                param: None,
                line: None,
            });
        }
    }

    /// Runs lines up to the `end`th.
    fn run(&mut self, simulator: &Simulator, end: usize) {
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
            let id = hash(
                hash(simulator.core.seed, self.id.as_bytes()),
                &number.to_le_bytes(),
            );
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
            } else {
                self.failed.push(text);
            }
        }
        self.ran = self.ran.max(end.min(self.lines.len()));
    }

    /// Writes the output files, in an order of the seed's, not of the input.
    fn write_files(&mut self, simulator: &Simulator, now: Duration, cancelled: &[String]) -> Vec<File> {
        let mut files = Vec::new();
        let mut rng = fastrand::Rng::with_seed(hash(simulator.core.seed, self.id.as_bytes()));
        let unfinished = cancelled.iter();
        let outputs = [
            ("output", self.succeeded.iter().collect::<Vec<_>>()),
            ("error", self.failed.iter().chain(unfinished).collect()),
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

    /// Brings the batch to where it is by now, and returns the files that it has written meanwhile.
    pub(super) fn advance(&mut self, simulator: &Simulator, now: Duration) -> Vec<File> {
        let delay = simulator.core.batch_delay;
        let due = |hundredths: u32| self.created + delay * hundredths / 100;
        let (validated, finalizing, completed) = (due(VALIDATED), due(FINALIZING), due(100));
        if self.status() == Status::Cancelling {
            let asked = self.reached.last().map_or(0, |(_, at)| *at);
            let over = asked.saturating_add(i64::try_from((delay / 10).as_secs()).unwrap_or(i64::MAX));
            return if Core::unix(now) >= over {
                self.end_cancelled(simulator, now)
            } else {
                Vec::new()
            };
        }
        if self.status() == Status::Validating && now >= validated {
            self.validate(simulator);
            self.reach(
                if self.errors.is_empty() {
                    Status::InProgress
                } else {
                    Status::Failed
                },
                validated,
            );
        }
        if self.status() == Status::InProgress {
            let (passed, span) = (
                now.saturating_sub(validated),
                finalizing.saturating_sub(validated),
            );
            let all = self.lines.len() as u128;
            let end = if now >= finalizing {
                all
            } else {
                all * passed.as_millis() / span.as_millis().max(1)
            };
            self.run(simulator, usize::try_from(end).unwrap_or(usize::MAX));
            if now >= finalizing {
                self.reach(Status::Finalizing, finalizing);
            }
        }
        if self.status() == Status::Finalizing && now >= completed {
            self.reach(Status::Completed, completed);
            return self.write_files(simulator, completed, &[]);
        }
        Vec::new()
    }

    /// Ends as cancelled: what ran is delivered, what did not says so, and nothing is if nothing had begun.
    fn end_cancelled(&mut self, simulator: &Simulator, now: Duration) -> Vec<File> {
        self.reach(Status::Cancelled, now);
        let rest = self.lines.get(self.ran..).unwrap_or_default();
        let rest: Vec<String> = rest
            .iter()
            .zip(self.ran..)
            .map(|(line, number)| {
                let id = hash(
                    hash(simulator.core.seed, self.id.as_bytes()),
                    &number.to_le_bytes(),
                );
                let error = json!({"code": "batch_cancelled",
                    "message": "This request was not executed because the batch was cancelled."});
                let line = json!({"id": format!("batch_req_{id:016x}"), "custom_id": line.custom_id,
                    "response": null, "error": error});
                format!("{line}\n")
            })
            .collect();
        self.write_files(simulator, now, &rest)
    }
}
