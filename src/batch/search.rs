//! After a lost answer to `POST /batches`: is there a batch, and if not, how to be sure that there never will be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::api::ApiError;
use super::flush::{Backoff, Job};
use crate::clock::{Timestamp, bounded};
use crate::wire::BatchView;

/// The name of the metadata pair that says which flush a batch is of.
pub(super) const FLUSH: &str = "thrifty_flush";
/// How many times longer than before the second look it waits for the last one.
const LAST_LOOK: u32 = 4;
/// How far a server's clock may be behind ours, or a listing out of order.
const SKEW: Duration = Duration::from_secs(3_600);

/// Returns the batch of this flush; `None` only after its input file was deleted and it was still not there.
///
/// # Errors
/// If the listing or the deletion fails for good, so that nothing is known.
pub(super) async fn find_or_fence(
    job: &Job,
    file_id: &str,
    at: Timestamp,
) -> Result<Option<Arc<str>>, ApiError> {
    let end = Instant::now() + bounded(job.shared.policy.patience);
    loop {
        if let Some(found) = find(job, file_id, at).await? {
            return Ok(Some(found));
        }
        sleep(job.shared.policy.settle).await;
        if let Some(found) = find(job, file_id, at).await? {
            return Ok(Some(found));
        }
        match fence(job, file_id).await {
            Ok(()) => {
                // A server that had read the file by then runs it: a late list costs less than a second batch.
                sleep(job.shared.policy.settle.saturating_mul(LAST_LOOK)).await;
                return find(job, file_id, at).await;
            }
            // A file that must not be deleted is in use: the batch is there, and will be listed.
            Err(error) if Instant::now() < end => {
                tracing::warn!(flush = %job.id, %error, "the input file of a lost batch cannot be deleted");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Deletes the input file, so that no batch can start to use it any more.
async fn fence(job: &Job, file_id: &str) -> Result<(), ApiError> {
    let mut backoff = Backoff::new(&job.shared);
    loop {
        match job.shared.api.delete_file(file_id).await {
            Ok(()) => break,
            Err(error) if error.status == Some(404) => break,
            Err(error) if error.is_retryable() && backoff.insist("delete file", &error).await => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(flush) = job.shared.lock().flushes.get_mut(&job.id) {
        flush.fenced = true;
    }
    Ok(())
}

async fn find(job: &Job, file_id: &str, at: Timestamp) -> Result<Option<Arc<str>>, ApiError> {
    let mut found: Vec<BatchView> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut backoff = Backoff::new(&job.shared);
        let page = loop {
            match job.shared.api.list(after.as_deref()).await {
                Ok(page) => break page,
                Err(error) if backoff.insist("list batches", &error).await => {}
                Err(error) => return Err(error),
            }
        };
        let next = page.data.last().map(|batch| batch.id.clone());
        let times = page.data.iter().map(|batch| batch.created_at);
        let end = !page.has_more || next.is_none() || next == after || is_older(times, at);
        found.extend(page.data.into_iter().filter(|batch| is_ours(job, batch, file_id)));
        if end {
            break;
        }
        after = next;
    }
    found.sort_by_key(|batch| std::cmp::Reverse(progress(batch)));
    let mut found = found.into_iter();
    let kept = found.next();
    for twin in found {
        // Before the other one is kept: after that nobody looks for twins again.
        job.end_twin(&twin.id).await;
    }
    Ok(kept.map(|batch| batch.id.into()))
}

/// Whether a page that lists the newest first has come to what was made before that moment.
pub(super) fn is_older(mut page: impl DoubleEndedIterator<Item = Option<i64>>, at: Timestamp) -> bool {
    let limit = at.as_unix_seconds() - i64::try_from(SKEW.as_secs()).unwrap_or(0);
    match (page.next().flatten(), page.next_back().flatten()) {
        (Some(first), Some(last)) => first > last && last < limit,
        _ => false,
    }
}

fn is_ours(job: &Job, batch: &BatchView, file_id: &str) -> bool {
    let named = || {
        let pairs = batch.metadata.as_ref();
        pairs
            .and_then(|pairs| pairs.get(FLUSH))
            .and_then(|name| name.as_str())
            == Some(job.id.as_str())
    };
    // An earlier batch of the same flush carries the same metadata, but another file.
    let ours = batch
        .input_file_id
        .as_ref()
        .map_or_else(named, |input| input == file_id);
    ours && !is_failed(batch)
}

/// A failed batch ran nothing; one of the same file may have come before, refused for its token limit.
fn is_failed(batch: &BatchView) -> bool {
    batch.status.eq_ignore_ascii_case("failed")
}

fn progress(batch: &BatchView) -> (bool, u64) {
    let over = batch.status.to_ascii_lowercase().starts_with("cancel");
    (!over, batch.request_counts.map_or(0, |counts| counts.completed))
}
