//! The way of one file: upload, create, watch. Each step reads the phase, so that a new driver goes on where one stopped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::api::{ApiError, Effect, NewBatch};
use super::error::BatchError;
use super::input::InputFile;
use super::results::Unanswered;
use super::search;
use super::shared::{Ending, Shared};
use super::state::{Phase, Request, Row, State};
use super::store::{FlushId, Record, StoreError};
use crate::clock::{Timestamp, bounded};
use crate::error::ErrorKind;
use crate::id::RequestId;

/// Works on a flush until it is closed, also if the code behind [`BatchApi`](super::BatchApi) panics now and then.
pub(super) async fn drive(shared: Arc<Shared>, id: FlushId) {
    let job = Job { shared, id };
    for _ in 0..job.shared.policy.max_tries {
        if AssertUnwindSafe(work(&job)).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(flush = %job.id, "a call of the batch API panicked");
        sleep(job.shared.policy.pause()).await;
    }
    let error = BatchError::Unreported { batch_id: None };
    let given_up = AssertUnwindSafe(job.fail(&error)).catch_unwind().await;
    let closed = match given_up {
        Ok(closed) => closed,
        // What panicked now is the deletion of its files.
        Err(_) if job.open() == 0 => job.shared.close(&job.id).await,
        // Its lines would be in no file, and a restart would send them again.
        Err(_) => Err(StoreError::new("a call of it panicked")),
    };
    if let Err(error) = closed {
        tracing::error!(%error, flush = %job.id, "the batch store failed; the batch is looked at after a restart");
    }
}

async fn work(job: &Job) {
    let mut pause = job.shared.policy.min_poll;
    loop {
        let phase = job
            .shared
            .lock()
            .flushes
            .get(&job.id)
            .map(|flush| flush.phase.clone());
        let step = match phase {
            None => return,
            Some(Phase::Sealed) => job.upload(Sent::No).await,
            Some(Phase::Uploading) => job.upload(Sent::Perhaps).await,
            Some(Phase::Uploaded { file_id }) => job.create(file_id).await,
            Some(Phase::Creating { file_id, at }) => job.find_lost_batch(file_id, at).await,
            Some(Phase::Submitted { batch_id, file_id }) => job.watch(batch_id, file_id).await,
        };
        if let Err(error) = step {
            tracing::error!(%error, flush = %job.id, "the batch store failed; the step is tried again");
            sleep(pause).await;
            pause = (pause * 2).min(job.shared.policy.pause());
        }
    }
}

/// Whether the last upload may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    No,
    Perhaps,
}

/// One flush and all it needs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) id: FlushId,
}

impl Job {
    async fn upload(&self, mut sent: Sent) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(&self.shared);
        loop {
            if sent == Sent::Perhaps
                && let Some(input_file_id) = self.find_lost_file().await
            {
                return self.uploaded(input_file_id).await;
            }
            let (file, without, uploads) = self.build();
            if file.is_empty() {
                return self.finish(&[]).await;
            }
            let filename = self.filename(uploads);
            let flush = self.id.clone();
            self.shared
                .commit(Record::UploadIntended { flush, without })
                .await?;
            let uploaded = self.shared.api.upload(&filename, file).await;
            sent = match &uploaded {
                Err(error) if error.effect != Effect::None => Sent::Perhaps,
                _ => Sent::No,
            };
            match uploaded {
                Ok(file) => return self.uploaded(file.id.into()).await,
                // What broke the upload off may be a line that the store cannot give: the file is not there as a whole.
                Err(error) if error.status.is_none() && self.drop_damaged().await? => sent = Sent::No,
                Err(error) if error.is_retryable() && backoff.insist("upload", &error).await => {}
                // A page of some proxy, perhaps. A file too many bills nothing.
                Err(error) if error.kind == ErrorKind::Protocol && backoff.again("upload", &error).await => {}
                Err(error) => return self.fail(&BatchError::Api(error)).await,
            }
        }
    }

    /// Gathers the file's lines, without those that no longer need a batch. Nothing is read or copied yet.
    pub(super) fn build(&self) -> (InputFile, Vec<RequestId>, u32) {
        let state = self.shared.lock();
        let rows = state.lines_of(&self.id);
        let (mut lines, mut without) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows.flatten() {
            let Some(request) = state.get(row) else { continue };
            if needs_batch(&state, row, request) {
                lines.push((request.line, request.attempts()));
            } else {
                without.push(request.id());
            }
        }
        let uploads = state.uploads(&self.id);
        (InputFile::new(self.shared.store.clone(), lines), without, uploads)
    }

    /// Settles the requests whose stored line is damaged; false if there is none.
    async fn drop_damaged(&self) -> Result<bool, StoreError> {
        let lines: Vec<_> = {
            let state = self.shared.lock();
            let rows = state.open_lines(&self.id);
            let lines = rows.into_iter().filter_map(|row| state.get(row));
            lines.map(|request| (request.line, request.id())).collect()
        };
        let extents = lines.iter().map(|(line, _)| *line).collect();
        let damaged = self.shared.store.check(extents).await?;
        for (line, id) in &lines {
            if damaged.contains(line) {
                let (file, offset) = (line.file, line.offset);
                let lost = Err(StoreError::Damaged { file, offset }.into());
                self.shared.settle(*id, Ending::of(lost));
            }
        }
        Ok(!damaged.is_empty())
    }

    async fn create(&self, file_id: Arc<str>) -> Result<(), StoreError> {
        let Some(endpoint) = self.endpoint() else {
            return self.finish(&[]).await;
        };
        let metadata = vec![(search::FLUSH.to_owned(), self.id.to_string())];
        let new = NewBatch::new(&*file_id, endpoint, metadata)
            .with_completion_window(self.shared.policy.completion_window);
        // Only if it has lain there: a large file whose lines are cancelled one by one would be uploaded for ever.
        let is_stale = (self.is_of_earlier_driver() && self.has_stale_lines())
            || (self.turn().await && self.has_stale_lines());
        if is_stale {
            return self.build_anew(&file_id).await;
        }
        let (mut backoff, began) = (Backoff::new(&self.shared), Instant::now());
        loop {
            let at = self.shared.clock.now();
            let (flush, input_file_id) = (self.id.clone(), file_id.clone());
            self.shared
                .commit(Record::CreateIntended {
                    flush,
                    input_file_id,
                    at,
                })
                .await?;
            // The next file of its model may be made.
            self.shared.wake.notify_one();
            match self.shared.api.create(&new).await {
                Ok(batch) => {
                    if let Some(flush) = self.shared.lock().flushes.get_mut(&self.id) {
                        flush.made_at = Some(Instant::now());
                    }
                    return self.submitted(batch.id.into()).await;
                }
                Err(error) if error.effect != Effect::None => {
                    tracing::warn!(flush = %self.id, %error, "the answer to a new batch was lost");
                    return self.find_lost_batch(file_id, at).await;
                }
                Err(error) if error.is_retryable() && backoff.insist("create", &error).await => {
                    // Not after each short wait: the file may be large.
                    if began.elapsed() >= self.shared.policy.pause() && self.has_stale_lines() {
                        return self.build_anew(&file_id).await;
                    }
                }
                // A file may be unknown for a moment after its upload.
                Err(error)
                    if matches!(error.status, Some(400 | 404 | 409))
                        && backoff.again("create", &error).await => {}
                // A file that lay there for long may be gone: servers delete them after some time.
                Err(error) if names_a_file(&error) && self.may_upload_anew() => {
                    tracing::warn!(flush = %self.id, %error, "the uploaded file is uploaded anew");
                    return self.build_anew(&file_id).await;
                }
                Err(error) => return self.fail(&BatchError::Api(error)).await,
            }
        }
    }

    /// Whether its file is gone for the first time.
    fn may_upload_anew(&self) -> bool {
        let mut state = self.shared.lock();
        let flush = state.flushes.get_mut(&self.id);
        flush.is_some_and(|flush| !std::mem::replace(&mut flush.uploaded_anew, true))
    }

    fn endpoint(&self) -> Option<crate::endpoint::Endpoint> {
        let state = self.shared.lock();
        let line = state.open_lines(&self.id).into_iter().next()?;
        state.endpoint(line)
    }

    /// Notes which batch it is, for as long as that takes: a server may not list it for a while, and whoever looked for it
    /// then would make another one.
    async fn submitted(&self, batch_id: Arc<str>) -> Result<(), StoreError> {
        let mut pause = self.shared.policy.min_poll;
        loop {
            let (flush, batch_id) = (self.id.clone(), batch_id.clone());
            let submitted = &mut [Record::Submitted { flush, batch_id }];
            let appended = self.shared.append(&mut self.shared.lock(), submitted);
            match appended {
                Ok(position) => return self.shared.store.sync(position).await,
                Err(error) => {
                    tracing::error!(%error, flush = %self.id, "the batch store failed; which batch was made is stored later");
                    sleep(pause).await;
                    pause = (pause * 2).min(self.shared.policy.pause());
                }
            }
        }
    }

    /// Returns when the batch was made, if it was made by this driver.
    pub(super) fn submitted_at(&self) -> Option<Instant> {
        self.shared.lock().flushes.get(&self.id)?.made_at
    }

    /// Returns how long its batch is supposed to take.
    pub(super) fn expected(&self) -> Duration {
        let mut state = self.shared.lock();
        let lane = state.lane_of(&self.id);
        lane.map(|lane| lane.turnaround.expected()).unwrap_or_default()
    }

    /// Takes note of how long its batch took.
    pub(super) fn took(&self, took: Duration) {
        if let Some(lane) = self.shared.lock().lane_of(&self.id) {
            lane.turnaround.saw(took);
        }
    }

    /// Takes note that the server has taken its file.
    pub(super) fn passed(&self) {
        if let Some(lane) = self.shared.lock().lane_of(&self.id) {
            lane.refused = 0;
        }
    }

    /// Waits until its batch may be made, by what the server lets be enqueued; true if it had to.
    async fn turn(&self) -> bool {
        let mut waited = false;
        loop {
            let closed = self.shared.closed.notified();
            let until = {
                let mut state = self.shared.lock();
                state.wait_for_turn(&self.id, &self.shared.policy, Instant::now())
            };
            let Some(until) = until else { return waited };
            waited = true;
            let _ = timeout_at(until, closed).await;
        }
    }

    /// Whether a line in the uploaded file needs no batch any more.
    pub(super) fn has_stale_lines(&self) -> bool {
        let state = self.shared.lock();
        state
            .lines_of(&self.id)
            .flatten()
            .filter_map(|row| Some((row, state.get(row)?)))
            .any(|(row, request)| !needs_batch(&state, row, request))
    }

    /// Finds out whether a batch exists whose creation was not answered, and makes sure that it never will if not.
    async fn find_lost_batch(&self, file_id: Arc<str>, at: Timestamp) -> Result<(), StoreError> {
        // The fence deletes the file, which must not happen to one that a restart would make a batch of.
        self.shared.sync().await?;
        match search::find_or_fence(self, &file_id, at).await {
            Ok(Some(batch_id)) => self.submitted(batch_id).await,
            Ok(None) => {
                let flush = self.id.clone();
                self.shared.commit(Record::CreateAbandoned { flush }).await
            }
            Err(error) => {
                tracing::error!(flush = %self.id, %error, "whether a batch was made cannot be found out");
                self.fail(&BatchError::Unreported { batch_id: None }).await
            }
        }
    }

    /// Gives every line that is still open the same error, and closes the flush.
    pub(super) async fn fail(&self, error: &BatchError) -> Result<(), StoreError> {
        tracing::error!(flush = %self.id, error = error as &dyn std::error::Error, "a batch is given up");
        self.all_unanswered(None, &Unanswered::Settled(Err(error.clone())))
            .await?;
        self.finish(&[]).await
    }

    /// Closes the flush, after its input file and these of its batch were deleted at the server.
    pub(super) async fn finish(&self, of_batch: &[String]) -> Result<(), StoreError> {
        let input = self.shared.lock().input_file(&self.id);
        let files: Vec<_> = of_batch
            .iter()
            .map(String::as_str)
            .chain(input.as_deref())
            .collect();
        self.delete_files(files).await;
        self.shared.close(&self.id).await
    }
}

/// Whether a refusal to make a batch is about its file.
fn names_a_file(error: &ApiError) -> bool {
    matches!(error.status, Some(400 | 404)) && error.message.to_ascii_lowercase().contains("file")
}

/// Whether a line is to be in its batch: nobody has answered it, or is about to.
fn needs_batch(state: &State, row: Row, request: &Request) -> bool {
    !request.is_settled() && !state.is_being_sent(row)
}

/// Waits between tries of one call, and counts them.
#[derive(Debug)]
pub(super) struct Backoff {
    left: u32,
    end: Instant,
    wait: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(shared: &Shared) -> Self {
        let policy = &shared.policy;
        Self {
            left: policy.max_tries.saturating_sub(1),
            end: Instant::now() + bounded(policy.patience),
            wait: policy.min_poll,
            longest: policy.pause(),
        }
    }

    /// Waits; false at once if the time is over.
    pub(super) async fn insist(&mut self, call: &str, error: &ApiError) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        self.pause(call, error).await;
        true
    }

    /// Waits; false at once if there were enough tries.
    pub(super) async fn again(&mut self, call: &str, error: &ApiError) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        self.pause(call, error).await;
        true
    }

    /// Waits as long as the server asks, up to the longest wait, and longer each time.
    async fn pause(&mut self, call: &str, error: &ApiError) {
        tracing::warn!(call, %error, "a call of the batch API is tried again");
        let asked = error.retry_after.unwrap_or_default().min(self.longest);
        sleep(jittered(self.wait).max(asked)).await;
        self.wait = (self.wait * 2).min(self.longest);
    }
}

/// Takes up to a fifth off, so that many collectors do not ask at the same moment.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.saturating_sub(wait / 100 * fastrand::u32(0..=20))
}
