//! Watching a batch until it is over, or has stood still for so long that it never will be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::BatchError;
use super::flush::Job;
use super::policy::BatchPolicy;
use super::results;
use super::store::StoreError;
use crate::wire::{BatchView, RequestCounts};

/// How long a batch beyond its time may show no change, and a cancelled one may not end.
const STILL: Duration = Duration::from_secs(3_600);

impl Job {
    /// Looks at the batch until it is over.
    pub(super) async fn watch(&self, batch_id: Arc<str>, file_id: Arc<str>) -> Result<(), StoreError> {
        let policy = &self.shared.policy;
        let watch = self.shared.lookout.watch(batch_id.clone());
        let mut pace = Pace::new(policy, self.expected());
        let mut began = self.submitted_at();
        // Of a batch that an earlier process made, other credentials would show nothing.
        let mut is_known = began.is_some();
        let (mut missing, mut last_read) = (0, Instant::now());
        let mut still = Stillness::default();
        loop {
            let since = began.unwrap_or(last_read);
            let due = Instant::now() + pace.wait(since.elapsed());
            let batch = match watch.sight(&*self.shared.api, due).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(%batch_id, %error, "the batch cannot be read now");
                    missing = if error.status == Some(404) { missing + 1 } else { 0 };
                    // It may be done and paid: a refused key or a strange page is no word on that.
                    let is_gone = is_known && missing >= policy.max_tries;
                    if !is_gone && last_read.elapsed() < policy.patience {
                        continue;
                    }
                    tracing::error!(%batch_id, %error, "the batch cannot be read any more");
                    let batch_id = Some(batch_id);
                    return self.fail(&BatchError::Unreported { batch_id }).await;
                }
            };
            (is_known, missing, last_read) = (true, 0, Instant::now());
            let began = *began.get_or_insert_with(|| self.began(&batch));
            match batch.status.to_ascii_lowercase().as_str() {
                "failed" => return self.failed(&batch_id, file_id, &batch).await,
                over @ ("completed" | "expired" | "cancelled") => {
                    self.passed();
                    if over != "cancelled" {
                        self.took(began.elapsed());
                    }
                    let files = results::collect(self, &batch_id, batch).await?;
                    return self.finish(&files).await;
                }
                "in_progress" | "finalizing" => self.passed(),
                _ => {}
            }
            if watch.was_hurried() {
                pace.restart();
            }
            still.saw(&batch_id, &batch);
            if still.since.elapsed() < STILL
                || began.elapsed()
                    < policy
                        .completion_window
                        .duration()
                        .saturating_add(policy.patience)
            {
                continue;
            }
            if still.cancelled {
                tracing::error!(%batch_id, status = batch.status, "a batch does not end, though it was cancelled; it is given up");
                let files = results::collect(self, &batch_id, batch).await?;
                return self.finish(&files).await;
            }
            tracing::error!(%batch_id, status = batch.status, "a batch stands still long after its time; it is cancelled");
            // If the answer is lost, or the process ends, the next look shows what came of it.
            if let Err(error) = self.shared.api.cancel(&batch_id).await {
                tracing::warn!(%batch_id, %error, "the batch could not be cancelled");
            }
            still = Stillness {
                cancelled: true,
                ..still
            };
            still.since = Instant::now();
        }
    }

    /// Returns when a batch was made that an earlier collector or driver made.
    fn began(&self, batch: &BatchView) -> Instant {
        let now = self.shared.clock.now().as_unix_seconds();
        let age = batch.created_at.and_then(|at| u64::try_from(now - at).ok());
        let age = Duration::from_secs(age.unwrap_or(0));
        let now = Instant::now();
        now.checked_sub(age).unwrap_or(now)
    }
}

/// What a batch has shown last, and since when.
#[derive(Debug)]
struct Stillness {
    status: String,
    counts: Option<RequestCounts>,
    since: Instant,
    cancelled: bool,
}

impl Default for Stillness {
    fn default() -> Self {
        Self {
            status: String::new(),
            counts: None,
            since: Instant::now(),
            cancelled: false,
        }
    }
}

impl Stillness {
    fn saw(&mut self, batch_id: &str, batch: &BatchView) {
        let new_status = self.status != batch.status;
        if new_status && !is_known(&batch.status) {
            tracing::warn!(%batch_id, status = batch.status, "a batch status that is not known");
        }
        if new_status || self.counts != batch.request_counts {
            self.status.clone_from(&batch.status);
            self.counts = batch.request_counts;
            self.since = Instant::now();
        }
    }
}

fn is_known(status: &str) -> bool {
    let status = status.to_ascii_lowercase();
    matches!(
        &*status,
        "validating" | "in_progress" | "finalizing" | "cancelling"
    )
}

/// When to look at a batch: often enough to learn within 5 s, or 2 % of its run, that it is over, and seldom enough for
/// 400 looks a day.
#[derive(Debug)]
struct Pace {
    shortest: Duration,
    longest: Duration,
    /// The next wait at most: a batch is looked at soon after it was made, and then less and less.
    ramp: Duration,
    expected: Duration,
}

/// A little less than the 5 s.
const FLOOR: Duration = Duration::from_millis(4_900);

impl Pace {
    fn new(policy: &BatchPolicy, expected: Duration) -> Self {
        Self {
            shortest: policy.min_poll,
            longest: policy.max_poll,
            ramp: policy.min_poll,
            expected,
        }
    }

    /// Looks soon again: a server that sends notices may be slower to show what they say.
    fn restart(&mut self) {
        self.ramp = self.shortest;
    }

    fn wait(&mut self, age: Duration) -> Duration {
        let share = age / 2_000 * 39;
        let near = age.abs_diff(self.expected) <= self.expected / 20;
        let share = if near { share / 3 } else { share };
        let wait = share.max(FLOOR).clamp(self.shortest, self.longest).min(self.ramp);
        self.ramp = (self.ramp * 3 / 2).min(self.longest);
        // So that many collectors do not look at the same moment.
        wait.saturating_sub(wait / 1_000 * fastrand::u32(0..=50))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the looks at a batch of this run, and how late its end is seen.
    fn looks(run: Duration, expected: Duration) -> (u32, Duration) {
        let mut pace = Pace::new(&BatchPolicy::default(), expected);
        let (mut age, mut looks) = (Duration::ZERO, 0);
        while age < run {
            age += pace.wait(age);
            looks += 1;
        }
        (looks, age.saturating_sub(run))
    }

    proptest! {
        #[test]
        fn the_end_of_a_batch_is_seen_soon_by_few_looks(run in 1_u64..86_400, expected in 1_u64..86_400) {
            let run = Duration::from_secs(run);
            let (looks, late) = looks(run, Duration::from_secs(expected));
            prop_assert!(looks <= 400, "{looks} looks");
            prop_assert!(late <= (run / 50).max(Duration::from_secs(5)), "{late:?} after {run:?}");
        }
    }

    #[test]
    fn around_its_expected_end_a_batch_is_looked_at_more_often() {
        let hour = Duration::from_secs(3_600);
        let mut pace = Pace::new(&BatchPolicy::default(), hour);
        pace.ramp = hour;
        assert!(pace.wait(hour) * 4 < pace.wait(2 * hour));
    }
}
