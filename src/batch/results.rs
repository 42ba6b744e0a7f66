//! What a finished batch says of its lines. A request is settled only by a line with its id, else it is unreported.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::api::{ApiError, Effect, LineAnswer, Outcome};
use super::download::Lines;
use super::error::BatchError;
use super::faults;
use super::flush::Job;
use super::line;
use super::shared::{Ending, Shared, Then};
use super::state::{Flush, Rescue, Row, State, is_most};
use super::store::{Record, StoreError};
use crate::clock::bounded;
use crate::error::ErrorKind;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::wire::{BatchLine, BatchView, LineError, LineOutcome};

/// How many answers are stored at once.
const AT_ONCE: usize = 256;
/// How many bytes of answers are stored before they are synced: a store keeps them in memory until they are safe.
const UNSAFE: usize = 2 << 20;

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

/// Reads both files until every line is known, or the time is over. Returns the files if they have said of every line what
/// became of it.
///
/// # Errors
/// If the store has no room for what the lines say; then they can be read again.
pub(super) async fn collect(
    job: &Job,
    batch_id: &Arc<str>,
    mut batch: BatchView,
) -> Result<Vec<String>, StoreError> {
    let policy = &job.shared.policy;
    let end = Instant::now() + bounded(policy.patience);
    // How long lines may be missing counts from the first time that both files were read to their end.
    let mut until = None;
    let mut wait = policy.min_poll;
    loop {
        let mut pass = Pass {
            job,
            batch_id,
            answers: Vec::new(),
            bytes: 0,
            unsafe_bytes: 0,
            not_run: HashMap::new(),
            failures: HashMap::new(),
            lines: 0,
            strangers: 0,
        };
        let mut all_read = true;
        for file_id in [&batch.output_file_id, &batch.error_file_id]
            .into_iter()
            .flatten()
        {
            match pass.read(file_id).await {
                Ok(()) => {}
                Err(Unread::Store(error)) => return Err(error),
                Err(Unread::Api(error)) => {
                    tracing::warn!(%batch_id, %error, "a file of a finished batch cannot be read yet");
                    all_read &= error.status == Some(404);
                }
            }
        }
        pass.finish().await?;
        let left = job.open();
        if left == 0 {
            return Ok(batch
                .output_file_id
                .into_iter()
                .chain(batch.error_file_id)
                .collect());
        }
        if ran_nothing(&batch) {
            let code = Some(format!("batch_{}", batch.status.to_ascii_lowercase()).into());
            let next = Unanswered::NotRun { code, last: None };
            job.all_unanswered(Some(batch_id), &next).await?;
            return Ok(Vec::new());
        }
        if all_read {
            until.get_or_insert_with(|| Instant::now() + bounded(policy.report_wait));
        }
        if Instant::now() >= until.unwrap_or(end).min(end) {
            tracing::error!(%batch_id, lines = left, "lines that a finished batch did not report");
            let unreported = BatchError::Unreported {
                batch_id: Some(batch_id.clone()),
            };
            let next = Unanswered::Settled(Err(unreported));
            job.all_unanswered(Some(batch_id), &next).await?;
            return Ok(Vec::new());
        }
        sleep(wait).await;
        wait = (wait * 2).min(policy.pause());
        if let Ok(newer) = job.shared.api.retrieve(batch_id).await {
            batch = newer;
        }
    }
}

/// Why a file of results was not read to its end.
enum Unread {
    Api(ApiError),
    Store(StoreError),
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
    /// Read, and not stored yet.
    answers: Vec<(RequestId, Unanswered)>,
    /// The size of those.
    bytes: usize,
    unsafe_bytes: usize,
    not_run: HashMap<RequestId, Unanswered>,
    /// How many lines have which status that is no success.
    failures: HashMap<u16, u64>,
    lines: u64,
    strangers: u64,
}

impl Pass<'_> {
    async fn read(&mut self, file_id: &str) -> Result<(), Unread> {
        let content = self.job.shared.api.download(file_id).await;
        let mut content = Lines::of(content.map_err(Unread::Api)?);
        let (lines, strangers) = (self.lines, self.strangers);
        let read = loop {
            match content.next().await {
                Ok(Some(line)) => self.line(line),
                Ok(None) => break Ok(()),
                Err(error) => break Err(Unread::Api(error)),
            }
            if self.answers.len() >= AT_ONCE || self.bytes >= UNSAFE {
                self.store().await?;
            }
        };
        self.store().await?;
        read?;
        if self.lines == lines && self.strangers > strangers {
            // A page of some proxy, perhaps: it says nothing of any line.
            let said = "no line of the file is an answer to a request of ours";
            let strange = ApiError::new(ErrorKind::Protocol, Effect::None, said);
            return Err(Unread::Api(strange));
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<(), Unread> {
        let answers = std::mem::take(&mut self.answers);
        self.unsafe_bytes += std::mem::take(&mut self.bytes);
        if self.unsafe_bytes > UNSAFE {
            self.unsafe_bytes = 0;
            self.job.shared.sync().await.map_err(Unread::Store)?;
        }
        self.job
            .unanswered(answers, Some(self.batch_id))
            .await
            .map_err(Unread::Store)
    }

    fn line(&mut self, bytes: &[u8]) {
        let read = std::str::from_utf8(bytes).ok().and_then(BatchLine::read);
        let known = read.and_then(|line| Some((line::request_of(&line.custom_id)?, line.outcome)));
        let Some((id, outcome)) = known else {
            self.strangers += 1;
            return;
        };
        self.lines += 1;
        match outcome {
            LineOutcome::NotRun(error) => {
                let next = self.not_run(error);
                self.not_run.entry(id).or_insert(next);
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
                if !answer.is_success() {
                    *self.failures.entry(status).or_default() += 1;
                }
                if faults::may_pass_later(status) {
                    // A status of 0 is none that a caller could be given.
                    let last = Some(answer).filter(|_| status != 0);
                    let next = Unanswered::NotRun { code: None, last };
                    self.not_run.entry(id).or_insert(next);
                } else {
                    self.bytes += answer.body.len();
                    self.answers.push((id, Unanswered::Settled(Ok(answer))));
                }
            }
        }
    }

    /// Says what follows for a line that has an error and no answer.
    fn not_run(&self, error: LineError) -> Unanswered {
        let code: Option<Arc<str>> = error.code.map(Into::into);
        if !code.as_deref().is_some_and(faults::refuses_request) {
            return Unanswered::NotRun { code, last: None };
        }
        Unanswered::Settled(Err(BatchError::BatchFailed {
            batch_id: self.batch_id.clone(),
            code,
            message: error.message.unwrap_or_default().into(),
        }))
    }

    /// Holds further batches back if most lines have failed alike.
    fn judge(&self) {
        let most = self.failures.iter().max_by_key(|(_, lines)| **lines);
        let Some((status, _)) = most.filter(|(_, alike)| is_most(**alike, self.lines)) else {
            return;
        };
        let shared = &self.job.shared;
        let held = shared.lock().trip(&self.job.id, &shared.policy, Instant::now());
        if let Some(held) = held {
            tracing::error!(batch_id = %self.batch_id, status, lines = self.lines, ?held, "most lines of a batch have failed alike; no more of their kind are sent for a while");
        }
    }

    async fn finish(self) -> Result<(), StoreError> {
        if self.strangers > 0 {
            let lines = self.strangers;
            tracing::warn!(batch_id = %self.batch_id, lines, "lines that are no answer to a request of ours");
        }
        self.judge();
        let lines = self.not_run.into_iter().collect();
        self.job.unanswered(lines, Some(self.batch_id)).await
    }
}

/// What was decided of one line.
enum Decided<'a> {
    Ends(Ending<'a>),
    /// By what the faster lane has said before.
    EndsAsParked(Ending<'a>),
    Requeued {
        attempts: u32,
    },
    Released,
}

impl Job {
    /// Returns how many lines nothing is known of yet.
    pub(super) fn open(&self) -> usize {
        let state = self.shared.lock();
        state.flushes.get(&self.id).map_or(0, Flush::open)
    }

    pub(super) async fn all_unanswered(
        &self,
        batch_id: Option<&Arc<str>>,
        next: &Unanswered,
    ) -> Result<(), StoreError> {
        let open: Vec<_> = {
            let state = self.shared.lock();
            let rows = state.open_lines(&self.id).into_iter();
            rows.filter_map(|row| Some((state.get(row)?.id(), next.clone())))
                .collect()
        };
        self.unanswered(open, batch_id).await
    }

    /// Decides what follows for lines of this batch, stores it, and tells of it. A second line of the same request changes
    /// nothing.
    ///
    /// # Errors
    /// If the store has no room; then nothing has happened to the lines that are left.
    pub(super) async fn unanswered(
        &self,
        lines: Vec<(RequestId, Unanswered)>,
        batch_id: Option<&Arc<str>>,
    ) -> Result<(), StoreError> {
        let mut lines = lines.into_iter().peekable();
        while lines.peek().is_some() {
            // The bodies of the requests may be read for the books: so many of them that memory holds them.
            let (mut part, mut bytes) = (Vec::new(), 0);
            {
                let state = self.shared.lock();
                while part.len() < AT_ONCE
                    && bytes < UNSAFE
                    && let Some((id, next)) = lines.next()
                {
                    let row = state.find(id).and_then(|row| state.get(row));
                    bytes += row.map_or(0, |request| request.line.len as usize);
                    part.push((id, next));
                }
            }
            self.unanswered_at_once(part, batch_id).await?;
        }
        Ok(())
    }

    async fn unanswered_at_once(
        &self,
        lines: Vec<(RequestId, Unanswered)>,
        batch_id: Option<&Arc<str>>,
    ) -> Result<(), StoreError> {
        let mut bodies = self.shared.bodies_to_tell(lines.iter().map(|(id, _)| *id)).await;
        let mut ended = Vec::with_capacity(lines.len());
        {
            let mut state = self.shared.lock();
            let (mut records, mut taken) = (Vec::new(), Vec::with_capacity(lines.len()));
            for (id, next) in lines {
                let Some(row) = state.find(id) else { continue };
                if !state.take(&self.id, row) {
                    continue;
                }
                let body = bodies.remove(&id).unwrap_or_default();
                let rescue = state.rescue(row);
                let decided = self.decide(&state, row, next, &rescue, (batch_id, body));
                match &decided {
                    Decided::Ends(ending) | Decided::EndsAsParked(ending) => {
                        records.extend(Shared::records(&state, row, ending));
                    }
                    Decided::Requeued { attempts } => records.push(Record::Requeued {
                        id,
                        attempts: *attempts,
                    }),
                    Decided::Released => records.push(Record::Released { id }),
                }
                taken.push((row, decided));
            }
            if let Err(error) = self.shared.write(&mut state, &mut records) {
                for (row, _) in taken {
                    state.put_back(&self.id, row);
                }
                return Err(error);
            }
            for (row, decided) in taken {
                let ending = match decided {
                    Decided::Ends(ending) => ending,
                    Decided::EndsAsParked(ending) => {
                        state.set_rescue(row, Rescue::NotYet);
                        ending
                    }
                    Decided::Requeued { .. } | Decided::Released => continue,
                };
                ended.extend(self.shared.end(&mut state, row, ending));
            }
            for record in &records {
                state.apply(record);
            }
        }
        drop(ended);
        self.shared.publish(&self.shared.lock());
        Ok(())
    }

    fn decide<'a>(
        &self,
        state: &State,
        row: Row,
        next: Unanswered,
        rescue: &Rescue,
        (batch_id, body): (Option<&'a Arc<str>>, Bytes),
    ) -> Decided<'a> {
        let (settled, attempts) = state
            .get(row)
            .map_or((true, 0), |request| (request.is_settled(), request.attempts()));
        let batch_id = batch_id.map(|id| &**id);
        let ends = |outcome| {
            Decided::Ends(Ending {
                outcome,
                batch_id,
                body,
                then: Then::Release,
            })
        };
        match (rescue, next) {
            // Its line answers, whatever another lane has said or will say.
            (_, Unanswered::Settled(Ok(answer))) => ends(Ok(answer)),
            // Its caller has another outcome; this batch may have billed it all the same.
            (_, Unanswered::Settled(Err(error @ BatchError::Unreported { .. }))) if settled => {
                ends(Err(error))
            }
            // Its answer is on its way.
            (Rescue::Sending(_), _) => Decided::Released,
            _ if settled => Decided::Released,
            (Rescue::Failed(outcome, body), _) => Decided::EndsAsParked(Ending {
                outcome: outcome.clone(),
                batch_id,
                body: body.clone(),
                then: Then::Release,
            }),
            (Rescue::NotYet, Unanswered::Settled(outcome)) => ends(outcome),
            (Rescue::NotYet, Unanswered::Free) => Decided::Requeued { attempts },
            (Rescue::NotYet, Unanswered::NotRun { .. }) if attempts + 1 < self.shared.policy.max_attempts => {
                Decided::Requeued {
                    attempts: attempts + 1,
                }
            }
            (Rescue::NotYet, Unanswered::NotRun { code, last }) => ends(last.ok_or(BatchError::NotRun {
                attempts: attempts + 1,
                code,
            })),
        }
    }
}
