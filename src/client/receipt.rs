//! What one operation turned out to be: which models were called for it, and what it cost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::id::OpId;
use crate::ledger::{LedgerEntry, Status};
use crate::model::ModelId;
use crate::money::UsdSum;
use crate::usage::Usage;

/// How many receipts wait to be taken; beyond that the oldest is dropped. The ledger has their entries all the same.
const MAX_WAITING: usize = 1_024;

/// The ledger entries of one operation, in the order in which they settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    op_id: OpId,
    entries: Vec<Arc<LedgerEntry>>,
    /// Which of them answered.
    answer: Option<usize>,
}

impl Receipt {
    /// Returns the operation's id; each of its ledger entries has it too.
    pub const fn op_id(&self) -> OpId {
        self.op_id
    }

    /// Returns one entry for each model that was called, or tried to be.
    pub fn entries(&self) -> &[Arc<LedgerEntry>] {
        &self.entries
    }

    /// Returns the entry that answered; `None` if none did.
    pub fn answer(&self) -> Option<&LedgerEntry> {
        self.entries.get(self.answer?).map(|entry| &**entry)
    }

    /// Returns the model that answered.
    pub fn served_model(&self) -> Option<&ModelId> {
        self.answer()?.model()
    }

    /// Returns why that model was chosen, or why the call did not ride a batch; `None` if neither was said.
    pub fn reason(&self) -> Option<&str> {
        let of_answer = self.answer().and_then(|entry| entry.reason.as_deref());
        of_answer.or_else(|| self.entries.iter().find_map(|entry| entry.reason.as_deref()))
    }

    /// Returns the token counts of the answer, if the provider reported them.
    pub fn usage(&self) -> Option<&Usage> {
        self.answer()?.usage.as_ref()
    }

    /// Returns the exact cost of the operation; `None` if a part of it is not known.
    pub fn cost(&self) -> Option<UsdSum> {
        self.entries.iter().map(|entry| entry.cost.exact()).sum()
    }

    /// Returns what is known to have been billed, which may be less than the cost.
    pub fn known_cost(&self) -> UsdSum {
        self.entries.iter().filter_map(|entry| entry.cost.known()).sum()
    }

    /// Returns what was saved against asking the requested model on the standard lane with nothing cached, net of
    /// entries that failed, came too late or did not do. `None` unless all of it is known exactly.
    pub fn savings(&self) -> Option<UsdSum> {
        let baseline = self.answer()?.baseline.as_ref()?.cost;
        Some(UsdSum::from(baseline).saturating_sub(self.cost()?))
    }
}

/// Collects the receipts of a tracked client.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    receipts: VecDeque<Receipt>,
}

impl Tracker {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Option<Receipt> {
        self.state().receipts.pop_front()
    }

    pub(super) async fn next(&self) -> Option<Receipt> {
        loop {
            let settled = self.settled.notified();
            {
                let mut state = self.state();
                if let Some(receipt) = state.receipts.pop_front() {
                    return Some(receipt);
                }
                if state.open == 0 {
                    return None;
                }
            }
            settled.await;
        }
    }
}

/// The entries of one operation of a tracked client. It is shared by all that may still record one; when the last of
/// them is gone, the receipt is handed out.
#[derive(Debug)]
pub(super) struct OpenReceipt {
    tracker: Arc<Tracker>,
    op_id: OpId,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    all: Vec<Arc<LedgerEntry>>,
    answer: Option<usize>,
}

impl OpenReceipt {
    pub(super) fn new(tracker: &Arc<Tracker>, op_id: OpId) -> Self {
        tracker.state().open += 1;
        Self {
            tracker: Arc::clone(tracker),
            op_id,
            entries: Mutex::default(),
        }
    }

    pub(super) fn add(&self, entry: &Arc<LedgerEntry>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // What answers later comes too late for the caller: a line of a batch that was overtaken.
        if entry.status == Status::Succeeded && entries.answer.is_none() {
            entries.answer = Some(entries.all.len());
        }
        entries.all.push(Arc::clone(entry));
    }

    /// Adds an entry whose answer was not handed out.
    pub(super) fn add_beside(&self, entry: &Arc<LedgerEntry>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.all.push(Arc::clone(entry));
    }
}

impl Drop for OpenReceipt {
    fn drop(&mut self) {
        let entries = std::mem::take(self.entries.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut state = self.tracker.state();
        state.open = state.open.saturating_sub(1);
        if state.receipts.len() == MAX_WAITING {
            state.receipts.pop_front();
        }
        state.receipts.push_back(Receipt {
            op_id: self.op_id,
            entries: entries.all,
            answer: entries.answer,
        });
        drop(state);
        self.tracker.settled.notify_waiters();
    }
}
