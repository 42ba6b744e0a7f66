//! What a finished batch says of its lines. A request is settled only by a line with its id, else it is unreported.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use super::api::{ApiError, LineAnswer, Outcome};
use super::error::BatchError;
use super::flush::Job;
use super::line;
use super::state::{Place, Rescue};
use crate::clock::bounded;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::wire::{BatchLine, BatchView, LineOutcome};

/// What follows for a request whose batch did not answer it.
#[derive(Debug, Clone)]
pub(super) enum Unanswered {
    /// It goes into another batch, which does not count.
    Free,
    /// It goes into another batch if it may.
    NotRun {
        code: Option<Arc<str>>,
        last: Option<LineAnswer>,
    },
    /// This is its outcome.
    Settled(Outcome),
}

/// Reads both files until every line is known, or the time is over.
pub(super) async fn collect(job: &Job, batch_id: &Arc<str>, mut batch: BatchView) {
    let policy = &job.shared.policy;
    let end = Instant::now() + bounded(policy.patience);
    // How long lines may be missing counts from the first time that both files were read to their end.
    let mut until = None;
    let mut wait = policy.min_poll;
    loop {
        let mut pass = Pass {
            job,
            batch_id,
            not_run: HashMap::new(),
            strangers: 0,
        };
        let mut all_read = true;
        for file_id in [&batch.output_file_id, &batch.error_file_id]
            .into_iter()
            .flatten()
        {
            if let Err(error) = pass.read(file_id).await {
                tracing::warn!(%batch_id, %error, "a file of a finished batch cannot be read yet");
                all_read &= error.status == Some(404);
            }
        }
        pass.finish();
        let left = job.open();
        if left == 0 {
            return;
        }
        if ran_nothing(&batch) {
            let code = Some(format!("batch_{}", batch.status.to_ascii_lowercase()).into());
            job.all_unanswered(Some(batch_id), &Unanswered::NotRun { code, last: None });
            return;
        }
        if all_read {
            until.get_or_insert_with(|| Instant::now() + bounded(policy.report_wait));
        }
        if Instant::now() >= until.unwrap_or(end).min(end) {
            tracing::error!(%batch_id, lines = left, "lines that a finished batch did not report");
            let batch_id = batch_id.clone();
            let unreported = BatchError::Unreported {
                batch_id: Some(batch_id.clone()),
            };
            job.all_unanswered(Some(&batch_id), &Unanswered::Settled(Err(unreported)));
            return;
        }
        sleep(wait).await;
        wait = (wait * 2).min(policy.max_poll);
        if let Ok(newer) = job.shared.api.retrieve(batch_id).await {
            batch = newer;
        }
    }
}

/// Whether the server says that it stopped before the first line.
fn ran_nothing(batch: &BatchView) -> bool {
    let stopped = matches!(
        batch.status.to_ascii_lowercase().as_str(),
        "cancelled" | "expired"
    );
    let none = |counts: crate::wire::RequestCounts| counts.completed == 0 && counts.failed == 0;
    let no_files = batch.output_file_id.is_none() && batch.error_file_id.is_none();
    stopped && no_files && batch.request_counts.is_some_and(none)
}

/// One reading of both files. A line that says "not run" counts only if no other line of the request says more.
struct Pass<'a> {
    job: &'a Job,
    batch_id: &'a Arc<str>,
    not_run: HashMap<RequestId, (Option<Arc<str>>, Option<LineAnswer>)>,
    strangers: u64,
}

impl Pass<'_> {
    async fn read(&mut self, file_id: &str) -> Result<(), ApiError> {
        let mut content = self.job.shared.api.download(file_id).await?;
        let mut rest: Vec<u8> = Vec::new();
        while let Some(piece) = content.next().await {
            let piece = piece?;
            let mut lines = piece.split(|byte| *byte == b'\n');
            // What stands before the first break ends the line begun in earlier pieces.
            rest.extend_from_slice(lines.next().unwrap_or_default());
            for begun in lines {
                self.line(&rest);
                rest.clear();
                rest.extend_from_slice(begun);
            }
        }
        self.line(&rest);
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        let read = std::str::from_utf8(bytes).ok().and_then(BatchLine::read);
        let known = read.and_then(|line| Some((line::request_of(&line.custom_id)?, line.outcome)));
        let Some((id, outcome)) = known else {
            self.strangers += 1;
            return;
        };
        match outcome {
            LineOutcome::NotRun(error) => {
                self.not_run
                    .entry(id)
                    .or_insert((error.code.map(Into::into), None));
            }
            LineOutcome::Answered {
                status,
                request_id,
                body,
            } => {
                let answer = LineAnswer {
                    status,
                    body: body.into_owned().into(),
                    request_id: request_id.map(Into::into),
                    batch_id: Some(self.batch_id.clone()),
                    lane: Lane::Batch,
                    lost_attempts: 0,
                };
                match status {
                    0 => {
                        self.not_run.entry(id).or_default();
                    }
                    408 | 409 | 429 | 500.. => {
                        self.not_run.entry(id).or_insert((None, Some(answer)));
                    }
                    _ => self.job.answered(id, self.batch_id, answer),
                }
            }
        }
    }

    fn finish(self) {
        if self.strangers > 0 {
            let lines = self.strangers;
            tracing::warn!(batch_id = %self.batch_id, lines, "lines that are no answer to a request of ours");
        }
        for (id, (code, last)) in self.not_run {
            self.job
                .unanswered(id, Some(self.batch_id), Unanswered::NotRun { code, last });
        }
    }
}

impl Job {
    fn open(&self) -> usize {
        let state = self.shared.lock();
        state.flushes.get(&self.id).map_or(0, |flush| flush.open.len())
    }

    /// Delivers a line's answer; a second line of the same request changes nothing.
    fn answered(&self, id: RequestId, batch_id: &Arc<str>, answer: LineAnswer) {
        let ours = self.take(id);
        if ours {
            self.shared.settle(id, Ok(answer), Some(batch_id));
            self.shared.lock().release(id);
        }
    }

    /// Takes a line off the list of those that are open; its request stays known until it is released.
    fn take(&self, id: RequestId) -> bool {
        let mut state = self.shared.lock();
        state
            .flushes
            .get_mut(&self.id)
            .is_some_and(|flush| flush.open.remove(&id))
    }

    pub(super) fn all_unanswered(&self, batch_id: Option<&Arc<str>>, next: &Unanswered) {
        let open: Vec<_> = {
            let state = self.shared.lock();
            let flush = state.flushes.get(&self.id);
            flush
                .into_iter()
                .flat_map(|flush| flush.open.iter().copied())
                .collect()
        };
        for id in open {
            self.unanswered(id, batch_id, next.clone());
        }
    }

    /// Decides what follows for a line that this batch did not answer.
    pub(super) fn unanswered(&self, id: RequestId, batch_id: Option<&Arc<str>>, next: Unanswered) {
        if !self.take(id) {
            return;
        }
        let mut state = self.shared.lock();
        let Some(entry) = state.entries.get_mut(&id) else {
            return;
        };
        let attempts = entry.attempts + 1;
        let outcome = match (&entry.rescue, next) {
            // Its caller has another outcome; this batch may have billed it all the same.
            (_, Unanswered::Settled(Err(error @ BatchError::Unreported { .. }))) if entry.settled => {
                Some(Err(error))
            }
            _ if entry.settled => None,
            // Its answer is on its way.
            (Rescue::Sending(_), _) => None,
            (Rescue::Failed(outcome), _) => {
                let outcome = outcome.clone();
                entry.rescue = Rescue::NotYet;
                Some(outcome)
            }
            (Rescue::NotYet, Unanswered::Settled(outcome)) => Some(outcome),
            (Rescue::NotYet, Unanswered::Free) => {
                let attempts = entry.attempts;
                return self.shared.requeue(&mut state, id, attempts);
            }
            (Rescue::NotYet, Unanswered::NotRun { .. }) if attempts < self.shared.policy.max_attempts => {
                return self.shared.requeue(&mut state, id, attempts);
            }
            (Rescue::NotYet, Unanswered::NotRun { code, last }) => {
                Some(last.ok_or(BatchError::NotRun { attempts, code }))
            }
        };
        drop(state);
        if let Some(outcome) = outcome {
            self.shared.settle(id, outcome, batch_id.map(|id| &**id));
        }
        self.shared.lock().release(id);
    }
}

impl super::state::State {
    /// Lets go of a request that is in no batch any more.
    fn release(&mut self, id: RequestId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.place = Place::Nowhere;
        }
        self.forget_if_over(id);
    }
}
