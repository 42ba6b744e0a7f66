//! One batch: its states and what it says of itself.
//!
//! There is no task behind it. What it is follows from how much of its time has passed whenever somebody looks.

mod output;
mod routes;
mod validate;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use self::validate::{Complaint, Line};
use super::Simulator;
use super::core::Core;
use super::faults::{BatchFault, Fault, Target};
use super::files::File;
use crate::endpoint::Endpoint;
use crate::usage::Usage;

/// When validation is over, in hundredths of the batch's delay.
const VALIDATED: u32 = 10;

/// When the last line has run, in hundredths of the batch's delay.
const FINALIZING: u32 = 90;

/// How long a cancellation takes at most.
const LONGEST_CANCELLATION: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: String,
    input_file: String,
    endpoint: Endpoint,
    model: Option<String>,
    metadata: Value,
    /// When it was created, since the simulator's start.
    created: Duration,
    expires: Duration,
    /// When each state was reached, in seconds since 1970.
    reached: Vec<(Status, i64)>,
    errors: Vec<Complaint>,
    input: Bytes,
    lines: Vec<Line>,
    /// Tokens of all prompts, if there is a limit to them.
    tokens: u64,
    ran: usize,
    completed: usize,
    /// Lines that are in no file.
    missing: usize,
    /// The lines of the output file.
    output: Vec<String>,
    /// The lines of the error file.
    failed: Vec<String>,
    fault: Option<BatchFault>,
    usage: Usage,
    output_file: Option<String>,
    error_file: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Validating,
    Failed,
    InProgress,
    Finalizing,
    Completed,
    Expired,
    Cancelling,
    Cancelled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Completed | Self::Expired | Self::Cancelled
        )
    }
}

/// What the batches under way have enqueued, by model.
pub(super) type Enqueued = HashMap<String, u64>;

impl Batch {
    /// Makes a batch over a file; `created` is the time since the simulator's start.
    fn new(
        simulator: &Simulator,
        id: String,
        file: &File,
        endpoint: Endpoint,
        metadata: Value,
        created: Duration,
    ) -> Self {
        let fault = simulator.core.strike(Target::Batch, "/v1/batches", &file.content);
        let fault = fault.as_ref().and_then(Fault::of_batch).cloned();
        Self {
            id,
            input: file.content.clone(),
            input_file: file.id.clone(),
            endpoint,
            model: None,
            metadata,
            created,
            expires: created.saturating_add(simulator.core.batch_window),
            reached: Vec::new(),
            errors: Vec::new(),
            lines: Vec::new(),
            tokens: 0,
            ran: 0,
            completed: 0,
            missing: 0,
            output: Vec::new(),
            failed: Vec::new(),
            fault,
            usage: Usage::default(),
            output_file: None,
            error_file: None,
        }
    }

    fn status(&self) -> Status {
        self.reached
            .last()
            .map_or(Status::Validating, |(status, _)| *status)
    }

    /// The status that it says it has.
    fn status_name(&self) -> &'static str {
        match (&self.fault, self.status()) {
            (Some(BatchFault::Status(name)), Status::InProgress | Status::Finalizing) => name,
            (_, status) => status.as_str(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.status().is_terminal()
    }

    /// Adds what it has enqueued, which counts until it is over.
    pub(super) fn count_enqueued(&self, enqueued: &mut Enqueued) {
        if let Some(model) = self.model.clone().filter(|_| !self.is_over()) {
            *enqueued.entry(model).or_default() += self.tokens;
        }
    }

    fn reach(&mut self, status: Status, at: Duration) {
        self.reached.push((status, Core::unix(at)));
    }

    fn describe(&self, now: Duration) -> Value {
        let at = |wanted: Status| {
            let reached = self.reached.iter().find(|(status, _)| *status == wanted);
            reached.map(|(_, at)| *at)
        };
        let errors: Vec<Value> = self.errors.iter().map(Complaint::describe).collect();
        let errors = (!errors.is_empty()).then(|| json!({"object": "list", "data": errors}));
        let (output_file, error_file) = if self.shows_files(now) {
            (self.output_file.as_deref(), self.error_file.as_deref())
        } else {
            (None, None)
        };
        let is_validated = at(Status::InProgress).is_some();
        let usage = &self.usage;
        let mut batch = json!({
            "id": self.id, "object": "batch", "endpoint": self.endpoint.as_str(),
            "errors": errors, "input_file_id": self.input_file, "completion_window": "24h",
            "status": self.status_name(),
            "output_file_id": output_file, "error_file_id": error_file,
            "created_at": Core::unix(self.created), "in_progress_at": at(Status::InProgress),
            "expires_at": Core::unix(self.expires), "finalizing_at": at(Status::Finalizing),
            "completed_at": at(Status::Completed), "failed_at": at(Status::Failed),
            "expired_at": at(Status::Expired),
            "cancelling_at": at(Status::Cancelling), "cancelled_at": at(Status::Cancelled),
            "request_counts": {
                "total": if is_validated { self.lines.len() } else { 0 },
                "completed": self.completed, "failed": self.failed.len() + self.missing,
            },
            "usage": {
                "input_tokens": usage.input_tokens,
                "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
                "total_tokens": usage.input_tokens + usage.output_tokens,
            },
            "metadata": self.metadata,
        });
        // Nobody knows it before the validation.
        if let (Some(members), Some(model)) = (batch.as_object_mut(), &self.model) {
            members.insert("model".to_owned(), json!(model));
        }
        batch
    }

    fn shows_files(&self, now: Duration) -> bool {
        let ended = self.reached.last().map_or(0, |(_, at)| *at);
        match self.fault {
            Some(BatchFault::NoFiles) => false,
            Some(BatchFault::LateFiles(late)) => {
                let late = i64::try_from(late.as_secs()).unwrap_or(i64::MAX);
                Core::unix(now) >= ended.saturating_add(late)
            }
            _ => true,
        }
    }

    /// Brings the batch to where it is by now, and returns the files that it has written meanwhile.
    ///
    /// `has_input` says whether its input file is still there, `enqueued` what the other batches have enqueued.
    pub(super) fn advance(
        &mut self,
        simulator: &Simulator,
        now: Duration,
        has_input: bool,
        enqueued: &mut Enqueued,
    ) -> Vec<File> {
        let delay = simulator.core.batch_delay;
        let due = |hundredths: u32| self.created + delay * hundredths / 100;
        let (validated, finalizing, completed) = (due(VALIDATED), due(FINALIZING), due(100));
        if self.status() == Status::Cancelling {
            let asked = self.reached.last().map_or(0, |(_, at)| *at);
            let takes = (delay / 10).min(LONGEST_CANCELLATION).as_secs();
            let over = asked.saturating_add(i64::try_from(takes).unwrap_or(i64::MAX));
            return if Core::unix(now) >= over {
                self.end_early(simulator, Status::Cancelled, now)
            } else {
                Vec::new()
            };
        }
        let expires = self.expires;
        if self.status() == Status::Validating && now >= validated && validated < expires {
            self.validate(simulator, has_input, enqueued);
            let next = if self.errors.is_empty() {
                Status::InProgress
            } else {
                Status::Failed
            };
            self.reach(next, validated);
        }
        if self.status() == Status::InProgress {
            let passed = now.min(expires).saturating_sub(validated);
            let span = finalizing.saturating_sub(validated);
            let all = self.lines.len() as u128;
            let end = if passed >= span {
                all
            } else {
                all * passed.as_millis() / span.as_millis().max(1)
            };
            self.run(simulator, usize::try_from(end).unwrap_or(usize::MAX));
            if passed >= span {
                self.reach(Status::Finalizing, finalizing);
                if self.fault == Some(BatchFault::EarlyFiles) {
                    return self.write_files(simulator, finalizing, &[]);
                }
            }
        }
        if matches!(self.status(), Status::Validating | Status::InProgress) && now >= expires {
            return self.end_early(simulator, Status::Expired, expires);
        }
        let is_stuck = self.fault == Some(BatchFault::Stuck);
        if self.status() == Status::Finalizing && now >= completed && !is_stuck {
            self.reach(Status::Completed, completed);
            if self.fault != Some(BatchFault::EarlyFiles) {
                return self.write_files(simulator, completed, &[]);
            }
        }
        Vec::new()
    }

    fn validate(&mut self, simulator: &Simulator, has_input: bool, enqueued: &mut Enqueued) {
        if !has_input {
            let message = format!("No such File object: {}", self.input_file);
            self.errors.push(Complaint::of_all("file_not_found", message));
            return;
        }
        let checked = validate::check(simulator, &self.input, &self.endpoint);
        (self.lines, self.errors) = (checked.lines, checked.errors);
        self.model = checked.model;
        let model = self.model.clone().unwrap_or_default();
        let before = enqueued.entry(model.clone()).or_default();
        let limit = simulator.core.enqueued_tokens.unwrap_or(u64::MAX);
        if self.errors.is_empty() && *before + checked.tokens > limit {
            let message = format!(
                "Enqueued token limit reached for {model} in organization org-simulator. Limit: {} enqueued tokens. \
                 Please try again once some in_progress batches have been completed.",
                with_commas(limit)
            );
            self.errors
                .push(Complaint::of_all("token_limit_exceeded", message));
        }
        if let Some(BatchFault::Fails(code)) = self.fault {
            self.errors
                .push(Complaint::of_all(code, "The batch failed, as it was to."));
        }
        if self.errors.is_empty() {
            self.tokens = checked.tokens;
            *before += checked.tokens;
        }
    }
}

/// Writes a number as the API's messages do: `2,000,000`.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
