//! One look at all live batches: whoever is due looks for the others too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::api::{ApiError, BatchApi};
use crate::wire::{BatchView, RequestCounts};

/// What a look has shown of one batch.
pub(super) type Sight = Result<BatchView, ApiError>;

/// The live batches, and what the last look has shown of each.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    live: Mutex<HashMap<Arc<str>, Watched>>,
    /// One look at a time: whoever waits for it may find its own answer there.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Watched {
    due: Instant,
    sight: Option<Sight>,
    hurried: bool,
    /// What a list has told of it, and how often in a row.
    listed: Option<(String, Option<RequestCounts>)>,
    unchanged: u32,
    /// Told when there is a sight, or when somebody wants one at once.
    told: Arc<Notify>,
}

/// The place of one batch among the live ones; it leaves them when this is dropped.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    lookout: &'a Lookout,
    batch_id: Arc<str>,
    told: Arc<Notify>,
}

impl Lookout {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Watched>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self, batch_id: Arc<str>) -> Watch<'_> {
        let told = Arc::new(Notify::new());
        let watched = Watched {
            due: Instant::now(),
            sight: None,
            hurried: false,
            listed: None,
            unchanged: 0,
            told: told.clone(),
        };
        self.lock().insert(batch_id.clone(), watched);
        Watch {
            lookout: self,
            batch_id,
            told,
        }
    }

    /// Has a batch looked at now; false if it is not live.
    pub(super) fn hurry(&self, batch_id: &str) -> bool {
        let mut live = self.lock();
        let Some(watched) = live.get_mut(batch_id) else {
            return false;
        };
        watched.due = Instant::now();
        watched.hurried = true;
        watched.told.notify_one();
        true
    }

    fn is_due(&self, batch_id: &str) -> bool {
        let live = self.lock();
        live.get(batch_id)
            .is_some_and(|watched| watched.due <= Instant::now())
    }

    fn due(&self) -> Vec<Arc<str>> {
        let (live, now) = (self.lock(), Instant::now());
        let due = live.iter().filter(|(_, watched)| watched.due <= now);
        due.map(|(id, _)| id.clone()).collect()
    }

    /// Notes what was seen; false if the batch is not ours to watch.
    fn saw(&self, batch_id: &str, sight: Sight) -> bool {
        let mut live = self.lock();
        let Some(watched) = live.get_mut(batch_id) else {
            return false;
        };
        watched.sight = Some(sight);
        watched.told.notify_one();
        true
    }

    /// Whether a list is to be believed that tells the same of a batch again. Some servers find out how a batch stands only
    /// when that one is asked for: it is, after 4, 16, 64 ... lists without a change.
    fn is_believed(&self, batch: &BatchView) -> bool {
        let mut live = self.lock();
        let Some(watched) = live.get_mut(batch.id.as_str()) else {
            return true;
        };
        let listed = Some((batch.status.clone(), batch.request_counts));
        if watched.listed == listed {
            watched.unchanged += 1;
        } else {
            (watched.listed, watched.unchanged) = (listed, 1);
        }
        let is_power_of_four =
            watched.unchanged.is_power_of_two() && watched.unchanged.trailing_zeros().is_multiple_of(2);
        watched.unchanged < 4 || !is_power_of_four
    }

    /// Looks at all batches that are due, and at as many of the others as the same calls show.
    async fn look(&self, api: &dyn BatchApi) {
        let mut unseen = self.due();
        let only = self.lock().len() == 1;
        let (mut after, mut pages) = (None::<String>, 0);
        // Others of the account may have many batches; then reading on costs more than reading ours one by one.
        while !only && (pages == 0 || unseen.len() > pages) {
            pages += 1;
            let page = match api.list(after.as_deref()).await {
                Ok(page) => page,
                Err(error) if error.is_retryable() => {
                    for id in unseen {
                        self.saw(&id, Err(error.clone()));
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "batches cannot be listed; each is looked at");
                    break;
                }
            };
            let last = page.data.last().map(|batch| batch.id.clone());
            for batch in page.data {
                let id = batch.id.clone();
                if !self.is_believed(&batch) {
                    continue;
                }
                if self.saw(&id, Ok(batch)) {
                    unseen.retain(|unseen| **unseen != *id);
                }
            }
            if !page.has_more || last.is_none() || last == after {
                break;
            }
            after = last;
        }
        for id in unseen {
            let sight = api.retrieve(&id).await;
            self.saw(&id, sight);
        }
    }
}

impl Watch<'_> {
    /// Waits until something is seen of the batch, at the latest by a look at this moment.
    pub(super) async fn sight(&self, api: &dyn BatchApi, due: Instant) -> Sight {
        if let Some(watched) = self.lookout.lock().get_mut(&self.batch_id) {
            watched.due = due;
        }
        loop {
            // Whether told or by time, what is there says which.
            let _ = timeout_at(due, self.told.notified()).await;
            if let Some(sight) = self.take() {
                return sight;
            }
            if !self.lookout.is_due(&self.batch_id) {
                continue;
            }
            let _looking = self.lookout.looking.lock().await;
            if let Some(sight) = self.take() {
                return sight;
            }
            self.lookout.look(api).await;
            if let Some(sight) = self.take() {
                return sight;
            }
        }
    }

    /// Whether somebody wanted it looked at, since this was asked last.
    pub(super) fn was_hurried(&self) -> bool {
        let mut live = self.lookout.lock();
        let watched = live.get_mut(&self.batch_id);
        watched.is_some_and(|watched| std::mem::take(&mut watched.hurried))
    }

    fn take(&self) -> Option<Sight> {
        self.lookout.lock().get_mut(&self.batch_id)?.sight.take()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.lookout.lock().remove(&self.batch_id);
    }
}
