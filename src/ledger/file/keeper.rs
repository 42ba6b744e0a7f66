//! A thread that syncs and seals while the service does other things.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::ledger::file::Inner;

/// How often it looks whether midnight has passed, or a segment's time.
const IDLE: Duration = Duration::from_secs(60);

/// Whether there was more to do when a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Work,
    Nothing,
}

/// The handle of the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    signal: Arc<Signal>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signal {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    work: bool,
    stop: bool,
}

impl Signal {
    fn set(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits so long at most, or until `until` holds, and returns what is asked.
    fn wait(&self, most: Duration, until: impl Fn(&Asked) -> bool) -> Asked {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .changed
            .wait_timeout_while(asked, most, |asked| !until(asked))
            .unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}

impl Keeper {
    /// Starts the thread. What is recorded is synced so long after it at the latest.
    pub(super) fn start(inner: Weak<Inner>, interval: Duration) -> std::io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let asked = Arc::clone(&signal);
        let thread = thread::Builder::new()
            .name("thrifty-ledger".into())
            .spawn(move || {
                loop {
                    asked.wait(IDLE, |asked| asked.work || asked.stop);
                    // Records of the next moments are synced together.
                    let now = asked.wait(interval, |asked| asked.stop);
                    let Some(inner) = inner.upgrade() else { return };
                    if now.stop && !now.work {
                        return;
                    }
                    asked.set(|asked| asked.work = false);
                    let left = inner.keep();
                    if now.stop {
                        return;
                    }
                    if left == Left::Work {
                        asked.set(|asked| asked.work = true);
                    }
                }
            })?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }

    /// Says that there is something to sync.
    pub(super) fn wake(&self) {
        self.signal.set(|asked| asked.work = true);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal.set(|asked| asked.stop = true);
        let Some(thread) = self.thread.take() else { return };
        // The last handle can be let go by the thread itself, which cannot wait for its own end.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}
