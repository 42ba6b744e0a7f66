//! Turns at syncing: one syncs for all that wait.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

/// Who may sync: one at a time.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    free: Arc<Mutex<()>>,
    /// Tells those that wait that a turn is over: what they wait for may be done by now, and if not, the turn is free.
    over: Notify,
}

/// The right to sync. Giving it back tells those that wait.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    taken: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for a turn; `None` if it is no longer needed, as another one's turn has done it.
    pub(crate) async fn take_unless(self: &Arc<Self>, is_done: impl Fn() -> bool) -> Option<Turn> {
        loop {
            let mut over = pin!(self.over.notified());
            over.as_mut().enable();
            if is_done() {
                return None;
            }
            if let Ok(taken) = Arc::clone(&self.free).try_lock_owned() {
                return Some(Turn::of(self, taken));
            }
            over.await;
        }
    }

    /// Waits for a turn on a thread that may.
    pub(crate) fn take(self: &Arc<Self>) -> Turn {
        Turn::of(self, Arc::clone(&self.free).blocking_lock_owned())
    }
}

impl Turn {
    fn of(turns: &Arc<Turns>, taken: OwnedMutexGuard<()>) -> Self {
        Self {
            turns: Arc::clone(turns),
            taken: Some(taken),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.taken = None;
        self.turns.over.notify_waiters();
    }
}
