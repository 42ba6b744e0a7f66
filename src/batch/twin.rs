//! A second batch of the same file, found after a lost answer: it is cancelled, and what it ran all the same is booked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::api::{ApiError, BatchItem, Effect, LineAnswer, Settled};
use super::download::Lines;
use super::flush::{Backoff, Job};
use super::line;
use crate::error::ErrorKind;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::wire::{BatchLine, BatchView, LineOutcome};

/// How long to wait for a batch that was cancelled to end; OpenAI takes up to 10 min.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How long to wait between two looks at it.
const PAUSE: Duration = Duration::from_secs(5);

/// What was read of a second batch's results.
#[derive(Debug, Default)]
struct Told {
    /// The requests whose answers the books know.
    ids: HashSet<RequestId>,
    lines: usize,
    /// What is no line of a result.
    strangers: usize,
}

impl Job {
    /// Cancels a batch that should not be there, waits for its end, and tells the observer of the lines that it ran.
    pub(super) async fn end_twin(&self, batch_id: &str) {
        tracing::error!(flush = %self.id, batch_id, "a flush has two batches; one is cancelled");
        let end = Instant::now() + PATIENCE;
        let mut is_cancelled = false;
        let batch = loop {
            if !is_cancelled {
                match self.shared.api.cancel(batch_id).await {
                    Ok(_) => is_cancelled = true,
                    Err(error) => {
                        tracing::error!(batch_id, %error, "the second batch could not be cancelled yet");
                    }
                }
            }
            match self.shared.api.retrieve(batch_id).await {
                Ok(batch) if is_over(&batch) => break batch,
                Ok(_) => {}
                Err(error) => tracing::warn!(batch_id, %error, "the second batch cannot be read now"),
            }
            if Instant::now() >= end {
                tracing::error!(
                    batch_id,
                    "the second batch does not end; what it runs is not booked"
                );
                return;
            }
            sleep(PAUSE).await;
        };
        let Some(file_id) = batch.output_file_id else {
            return;
        };
        let (batch_id, mut told) = (batch.id.into(), Told::default());
        let mut backoff = Backoff::new(&self.shared);
        while let Err(error) = self.book_lines(&batch_id, &file_id, &mut told).await {
            if !backoff.again("download", &error).await {
                tracing::error!(%batch_id, %error, "what the second batch ran cannot be read; it is not booked");
                return;
            }
        }
    }

    /// Tells of the lines that were not told before.
    async fn book_lines(&self, batch_id: &Arc<str>, file_id: &str, told: &mut Told) -> Result<(), ApiError> {
        // An earlier reading may have been of some proxy's page.
        (told.lines, told.strangers) = (0, 0);
        let mut lines = Lines::of(self.shared.api.download(file_id).await?);
        while let Some(line) = lines.next().await? {
            self.book_line(batch_id, line, told).await;
        }
        if told.lines == 0 && told.strangers > 0 {
            // A page of some proxy, perhaps.
            let said = "no line of the file is an answer";
            return Err(ApiError::new(ErrorKind::Protocol, Effect::None, said));
        }
        Ok(())
    }

    async fn book_line(&self, batch_id: &Arc<str>, bytes: &[u8], told: &mut Told) {
        let Some(line) = std::str::from_utf8(bytes).ok().and_then(BatchLine::read) else {
            told.strangers += 1;
            return;
        };
        told.lines += 1;
        let answer = answer_in(batch_id, line).filter(|(id, _)| told.ids.insert(*id));
        let Some((id, answer)) = answer else { return };
        let body = self.shared.body(id).await.unwrap_or_default();
        if let Some((item, attempts)) = self.item(id, body) {
            self.shared.tell(&Settled {
                item: &item,
                outcome: &Ok(answer),
                batch_id: Some(batch_id),
                attempts,
                orphaned: true,
                superseded: true,
            });
        }
    }

    fn item(&self, id: RequestId, body: Bytes) -> Option<(BatchItem, u32)> {
        let state = self.shared.lock();
        let row = state.find(id)?;
        Some((state.item(row, body)?, state.get(row)?.attempts()))
    }
}

fn is_over(batch: &BatchView) -> bool {
    matches!(
        batch.status.to_ascii_lowercase().as_str(),
        "failed" | "completed" | "expired" | "cancelled"
    )
}

/// Returns the answer that a line holds, if it is one that was billed.
fn answer_in(batch_id: &Arc<str>, line: BatchLine<'_>) -> Option<(RequestId, LineAnswer)> {
    let LineOutcome::Answered {
        status,
        request_id,
        body,
    } = line.outcome
    else {
        return None;
    };
    let answer = LineAnswer {
        status,
        body: body.into_owned().into(),
        request_id: request_id.map(Into::into),
        batch_id: Some(batch_id.clone()),
        lane: Lane::Batch,
        lost_attempts: 0,
    };
    let id = line::request_of(&line.custom_id)?;
    answer.is_success().then_some((id, answer))
}
