//! What a call carries besides its request: whom it is for, and how long it may take.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_openai::config::Config;

use super::LlmClient;
use super::receipt::{Receipt, Tracker};
use crate::attribution::Attribution;

/// Attribution and urgency of the calls made through a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) attribution: Attribution,
    pub(super) within: Option<Duration>,
    pub(super) key: Option<Arc<str>>,
    pub(super) pinned: bool,
    pub(super) tracker: Option<Arc<Tracker>>,
}

/// Each of these returns another client for narrower use; the one it is called on stays as it was.
///
/// A scope is a value: it crosses `tokio::spawn`, threads and struct fields like any other client. Bind it before you
/// use it, since async-openai's groups borrow it:
/// ```
/// # use thrifty::{LlmClient, Transport};
/// # let client = async_openai::Client::with_config(async_openai::config::OpenAIConfig::new().with_api_key("k"));
/// # let llm = LlmClient::builder(client, Transport::default()).build()?;
/// let scope = llm.feature("summaries").user("u-17");
/// let chat = scope.chat();
/// # let _ = chat;
/// # Ok::<(), thrifty::Error>(())
/// ```
impl<C: Config + Clone> LlmClient<C> {
    fn scoped(&self, change: impl FnOnce(&mut Scope)) -> Self {
        let mut scope = Scope::clone(&self.scope);
        change(&mut scope);
        Self::over(self.client.clone(), Arc::clone(&self.shared), Arc::new(scope))
    }

    /// Books calls under this feature.
    #[must_use]
    pub fn feature(&self, feature: impl Into<Arc<str>>) -> Self {
        self.scoped(|scope| scope.attribution = std::mem::take(&mut scope.attribution).with_feature(feature))
    }

    /// Books calls under this user. Prefer an opaque id: it is stored.
    #[must_use]
    pub fn user(&self, user: impl Into<Arc<str>>) -> Self {
        self.scoped(|scope| scope.attribution = std::mem::take(&mut scope.attribution).with_user(user))
    }

    /// Books calls under this tag, beside others.
    #[must_use]
    pub fn tag(&self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.scoped(|scope| scope.attribution = std::mem::take(&mut scope.attribution).with_tag(key, value))
    }

    /// Says that the answer may take this long.
    ///
    /// A call whose time is at least the collector's [`min_window`](crate::batch::BatchCollector::min_window) rides a
    /// batch at half the price, if its endpoint and body can; its future then resolves when its line does. Streams and
    /// others go at once, and their ledger entry says why; so do calls with headers, a query or a path of their own,
    /// which a batch cannot carry. They go by the flex lane if they may take
    /// [15 minutes](crate::LlmClientBuilder::with_flex_window), leave the lane open and have a price there.
    ///
    /// If the batch refuses the model that a router chose, the call goes on at once, as it was asked. The fallbacks and
    /// shadows of a route are for calls that go at once. Each step of a route rides a batch of its own, while there is time
    /// for another; then it goes at once. A call with a [`key`](Self::key) has no steps: it is asked of the model of the last.
    ///
    /// # Cancellation
    /// Dropping the future withdraws the request if it was not uploaded yet and has no [`key`](Self::key); otherwise
    /// the answer is booked as orphaned.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        self.scoped(|scope| scope.within = Some(time))
    }

    /// Names batched requests: the same key and body again attach to the request that is already under way.
    ///
    /// There is one ledger entry for both, of the first operation; the receipt of the second has no entries, and a
    /// cost of zero. It has no effect on calls that go at once.
    #[must_use]
    pub fn key(&self, key: impl Into<Arc<str>>) -> Self {
        self.scoped(|scope| scope.key = Some(key.into()))
    }

    /// Asks exactly the model that each request names, whatever the router would say.
    #[must_use]
    pub fn pinned(&self) -> Self {
        self.scoped(|scope| scope.pinned = true)
    }

    /// Hands out a receipt for each call.
    #[must_use]
    pub fn tracked(&self) -> Tracked<C> {
        let tracker = Arc::new(Tracker::default());
        Tracked {
            client: self.scoped(|scope| scope.tracker = Some(Arc::clone(&tracker))),
            tracker,
        }
    }
}

/// A client that hands out a receipt for each call made through it, or through scopes made from it.
#[derive(Debug)]
pub struct Tracked<C: Config> {
    client: LlmClient<C>,
    tracker: Arc<Tracker>,
}

impl<C: Config> Tracked<C> {
    /// Waits for the next operation to settle and returns its receipt; `None` if none is under way.
    ///
    /// Receipts come in the order in which operations settle. A stream settles when its end has been read, or when it
    /// is dropped. A call that overtook its batch settles when the batch has told of its line, which is billed too: up
    /// to a day after the answer, and longer if the server cannot be reached. [`try_receipt`](Self::try_receipt) does
    /// not wait for that. At most 1,024 wait to be taken; beyond that the oldest is dropped.
    ///
    /// # Cancellation
    /// Nothing is lost: the receipt waits for the next call of this method.
    pub async fn receipt(&self) -> Option<Receipt> {
        self.tracker.next().await
    }

    /// Returns the next receipt, if an operation has settled whose receipt was not taken yet. It never waits.
    pub fn try_receipt(&self) -> Option<Receipt> {
        self.tracker.take()
    }
}

impl<C: Config> Deref for Tracked<C> {
    type Target = LlmClient<C>;

    fn deref(&self) -> &LlmClient<C> {
        &self.client
    }
}
