//! When a batch is sent, how it is watched, and when a request stops waiting for it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::window::CompletionWindow;

/// OpenAI's limit on the embedding inputs of one batch.
pub(super) const MAX_EMBEDDING_INPUTS: usize = 50_000;

/// When a [`BatchCollector`](super::BatchCollector) flushes, polls, tries again and gives up.
///
/// # Default
/// - `max_requests`: 50,000 lines a file, OpenAI's limit
/// - `max_bytes`: 198,000,000 bytes a file, 1 % under OpenAI's limit
/// - `max_delay`: 60 s from the oldest buffered request until its file is uploaded
/// - `min_window`: 2 h; a call that may wait less long does not ride a batch, and none does that may wait less long than
///   half of the last batches took, by [`BatchCollector::min_window`](super::BatchCollector::min_window)
/// - `slack`: 10 min before its deadline a request is sent on a faster lane; where more have the same deadline than the
///   lane takes in that time, 64 at once, the first leave earlier
/// - `max_attempts`: 3 batches for a request that none of them ran
/// - `max_tries`: 10 tries of a call that the server refuses though it may still take it, such as a batch over a file
///   that is not there yet; of an upload to which a page of some proxy answers; of a list of files, a deletion, or the
///   answers of a second batch, for whatever reason; and 10 looks at a batch that is not there any more. One that an earlier
///   process made is looked for as long as `patience` until it was seen once, as other credentials do not see it
/// - `patience`: 25 h for a server that is busy, out of reach, or does not let us read: as long as a batch can take; and
///   for so long beyond its 24 h a batch may go on: one that then stands still for an hour is cancelled
/// - `min_poll`, `max_poll`: 1 s until the first look at a batch, and 30 min between two of them at most. Between those
///   it is 5 s or 2 % of the batch's age, whichever is more, so that a batch of a day takes fewer than 400 looks; calls
///   that are tried again wait for `min_poll` at first, and for 60 s at most
/// - `completion_window`: `24h`
/// - `max_batches_an_hour`: 2,000, OpenAI's limit
/// - `breaker_wait`: 10 min without new batches of an endpoint and model when most lines of one have failed alike, at
///   least 10 and with the same status; then 100 lines are tried, and each time that they fail too the wait doubles
/// - `delete_files`: the files of a batch are deleted at the server once what they say is durable here; with a store that
///   is gone with the process they are kept
/// - `settle`: 30 s between the first two looks for a batch whose creation, or a file whose upload, was not answered; four
///   times as long between the deletion of a lost batch's file and the last look
/// - `report_wait`: 10 min for lines that a finished batch has not reported
///
/// # Other servers
/// What thrifty asks of a server that speaks the Batch API is little: unknown statuses are waited out, absent fields are
/// absent, metadata and lists are used where they are there. Limits are yours to set where they are not OpenAI's:
///
/// | server | its limits | policy |
/// |---|---|---|
/// | Azure `OpenAI` | 100,000 lines, 200 MB; a batch does not expire | [`azure_openai`](Self::azure_openai) |
/// | Groq | 50,000 lines, 200 MB; windows of `24h` to `7d` | [`groq`](Self::groq) |
/// | Together | 50,000 lines, 100 MB | [`together`](Self::together) |
///
/// These limits are as their documentation was quoted in autumn 2026; none was tried against the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPolicy {
    pub(super) completion_window: CompletionWindow,
    pub(super) max_requests: usize,
    pub(super) max_bytes: usize,
    pub(super) max_delay: Duration,
    pub(super) min_window: Duration,
    pub(super) slack: Duration,
    pub(super) max_attempts: u32,
    pub(super) max_tries: u32,
    pub(super) patience: Duration,
    pub(super) min_poll: Duration,
    pub(super) max_poll: Duration,
    pub(super) max_batches_an_hour: usize,
    pub(super) breaker_wait: Duration,
    pub(super) delete_files: bool,
    pub(super) settle: Duration,
    pub(super) report_wait: Duration,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self {
            completion_window: CompletionWindow::DEFAULT,
            max_requests: 50_000,
            max_bytes: 198_000_000,
            max_delay: Duration::from_secs(60),
            min_window: Duration::from_secs(2 * 3_600),
            slack: Duration::from_secs(600),
            max_attempts: 3,
            max_tries: 10,
            patience: Duration::from_secs(25 * 3_600),
            min_poll: Duration::from_secs(1),
            max_poll: Duration::from_secs(30 * 60),
            max_batches_an_hour: 2_000,
            breaker_wait: Duration::from_secs(600),
            delete_files: true,
            settle: Duration::from_secs(30),
            report_wait: Duration::from_secs(600),
        }
    }
}

impl BatchPolicy {
    /// The default, with the limits of Azure `OpenAI`.
    #[must_use]
    pub fn azure_openai() -> Self {
        Self {
            max_requests: 100_000,
            ..Self::default()
        }
    }

    /// The default, with the longest window of Groq, `7d`.
    #[must_use]
    pub fn groq() -> Self {
        Self {
            completion_window: CompletionWindow::WEEK,
            ..Self::default()
        }
    }

    /// The default, with the limits of Together.
    #[must_use]
    pub fn together() -> Self {
        Self {
            max_bytes: 99_000_000,
            ..Self::default()
        }
    }

    /// Sets how long a server may take for a batch. A batch goes on for `patience` longer before it is looked at as one
    /// that stands still.
    #[must_use]
    pub fn with_completion_window(mut self, window: CompletionWindow) -> Self {
        self.completion_window = window;
        self
    }

    /// Sets how many lines a file has at most.
    #[must_use]
    pub fn with_max_requests(mut self, lines: NonZeroUsize) -> Self {
        self.max_requests = lines.get();
        self
    }

    /// Sets how many bytes a file has at most.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: NonZeroUsize) -> Self {
        self.max_bytes = bytes.get();
        self
    }

    /// Sets how long a request is buffered at most.
    #[must_use]
    pub fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the shortest wait for which a call rides a batch.
    #[must_use]
    pub fn with_min_window(mut self, window: Duration) -> Self {
        self.min_window = window;
        self
    }

    /// Sets how long before its deadline a request is sent on a faster lane.
    #[must_use]
    pub fn with_slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// Sets in how many batches a request is at most.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.max_attempts = attempts.get();
        self
    }

    /// Sets how often a call is tried that the server refuses.
    #[must_use]
    pub fn with_max_tries(mut self, tries: NonZeroU32) -> Self {
        self.max_tries = tries.get();
        self
    }

    /// Sets how long a server is asked again that is busy, out of reach, or does not let us read. A batch that may have
    /// been made is not given up before.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the shortest and the longest wait between two looks at a batch.
    #[must_use]
    pub fn with_poll(mut self, shortest: Duration, longest: Duration) -> Self {
        self.min_poll = shortest;
        self.max_poll = longest.max(shortest);
        self
    }

    /// Sets how many batches are made within an hour at most.
    #[must_use]
    pub fn with_max_batches_an_hour(mut self, batches: NonZeroUsize) -> Self {
        self.max_batches_an_hour = batches.get();
        self
    }

    /// Sets how long no batches of an endpoint and model are made when most lines of one have failed alike.
    #[must_use]
    pub fn with_breaker_wait(mut self, wait: Duration) -> Self {
        self.breaker_wait = wait;
        self
    }

    /// Sets whether the files of a batch that is over are deleted at the server; files that do not say of every line what
    /// became of it never are. Servers delete them by themselves after some time, OpenAI after 30 days.
    #[must_use]
    pub fn with_files_deleted(mut self, deleted: bool) -> Self {
        self.delete_files = deleted;
        self
    }

    /// Sets how long a server may take until a new batch is in its list.
    #[must_use]
    pub fn with_settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Sets how long to wait for lines that a finished batch has not reported.
    #[must_use]
    pub fn with_report_wait(mut self, wait: Duration) -> Self {
        self.report_wait = wait;
        self
    }

    /// Returns the longest wait between two tries of a call.
    pub(super) fn pause(&self) -> Duration {
        self.max_poll.min(Duration::from_secs(60))
    }

    /// Returns the shortest wait for which a call rides a batch.
    pub fn min_window(&self) -> Duration {
        self.min_window
    }

    /// Returns how long before its deadline a request is sent on a faster lane.
    pub fn slack(&self) -> Duration {
        self.slack
    }

    /// Returns how long a request is buffered at most.
    pub fn max_delay(&self) -> Duration {
        self.max_delay
    }
}
