//! A batch that failed as a whole: no line of it ran, and nothing was billed.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::error::BatchError;
use super::faults;
use super::flush::{Job, jittered};
use super::results::Unanswered;
use super::state::{Refused, Request};
use super::store::{FlushId, Record, StoreError};
use crate::wire::{BatchView, LineError};

/// How many files of a lane may be refused one after the other, until what is in the last one is given up.
const MAX_IN_A_ROW: u32 = 20;

/// How many parts a refused file is made into, to find the line that it is refused for.
const PARTS: [char; 4] = ['a', 'b', 'c', 'd'];

/// The longest name of a flush; each division makes it longer.
const LONGEST_NAME: usize = 40;

impl Job {
    /// Deals with a batch of which no line ran.
    pub(super) async fn failed(
        &self,
        batch_id: &Arc<str>,
        file_id: Arc<str>,
        batch: &BatchView,
    ) -> Result<(), StoreError> {
        let faults = batch.errors.as_ref().map_or(&[][..], |errors| &errors.data);
        let is_limit = |fault: &&LineError| {
            fault.line.is_none() && fault.code.as_deref() == Some("token_limit_exceeded")
        };
        if let Some(fault) = faults.iter().find(is_limit) {
            return self.no_room(batch_id, file_id, fault).await;
        }
        let found = self.drop_lines(batch_id, faults).await?;
        let (in_a_row, open, fenced) = {
            let mut state = self.shared.lock();
            let in_a_row = state.lane_of(&self.id).map_or(0, |lane| {
                lane.refused = lane.refused.saturating_add(1);
                lane.refused
            });
            let flush = state.flushes.get(&self.id);
            let (open, fenced) = flush.map_or((0, false), |flush| (flush.open(), flush.fenced));
            (in_a_row, open, fenced)
        };
        tracing::warn!(%batch_id, by_line = found, in_a_row, "the server refused a whole batch");
        let first = refusal(batch_id, faults.first());
        let endless = in_a_row >= MAX_IN_A_ROW;
        // After a fence the failure is of our own making, but must not go on forever.
        let next = if open == 0 || (found && !endless) {
            Unanswered::Free
        } else if fenced {
            Unanswered::NotRun {
                code: None,
                last: None,
            }
        } else if !endless && may_be_of_a_line(faults) && self.divide()? {
            // Nothing is left in it.
            Unanswered::Free
        } else {
            Unanswered::Settled(Err(first))
        };
        self.all_unanswered(Some(batch_id), &next).await?;
        self.finish(&[]).await
    }

    /// Gives the lines that the server has named their errors; false if there are none.
    async fn drop_lines(&self, batch_id: &Arc<str>, faults: &[LineError]) -> Result<bool, StoreError> {
        let named: Vec<_> = {
            let state = self.shared.lock();
            let lines: Vec<_> = state.lines_of(&self.id).collect();
            let at = |fault: &LineError| {
                let index = usize::try_from(fault.line?.checked_sub(1)?).ok()?;
                lines.get(index).copied().flatten()
            };
            let named = faults.iter().filter_map(|fault| Some((at(fault)?, fault)));
            named
                .filter_map(|(row, fault)| Some((state.get(row).map(Request::id)?, fault)))
                .map(|(id, fault)| (id, Unanswered::Settled(Err(refusal(batch_id, Some(fault))))))
                .collect()
        };
        let found = !named.is_empty();
        self.unanswered(named, Some(batch_id)).await?;
        Ok(found)
    }

    /// Puts the lines into smaller files, which are refused or not by themselves; false if that is not possible.
    fn divide(&self) -> Result<bool, StoreError> {
        let lines: Vec<_> = {
            let state = self.shared.lock();
            let open = state.open_lines(&self.id).into_iter();
            open.filter_map(|row| state.get(row).map(Request::id)).collect()
        };
        if lines.len() < 2 || self.id.as_str().len() >= LONGEST_NAME {
            return Ok(false);
        }
        tracing::warn!(flush = %self.id, lines = lines.len(), "a refused file is divided to find the line that is refused");
        let parts = lines.chunks(lines.len().div_ceil(PARTS.len()));
        let sealed = PARTS.iter().zip(parts).map(|(part, lines)| Record::Sealed {
            flush: FlushId::new(format!("{}{part}", self.id)),
            lines: lines.to_vec(),
        });
        let mut sealed: Vec<_> = sealed.collect();
        self.shared.append(&mut self.shared.lock(), &mut sealed)?;
        Ok(true)
    }

    /// Has a batch made later, or its lines put into smaller ones, that the server had no room for.
    async fn no_room(
        &self,
        batch_id: &Arc<str>,
        file_id: Arc<str>,
        fault: &LineError,
    ) -> Result<(), StoreError> {
        let named = fault.message.as_deref().and_then(faults::token_limit);
        let policy = &self.shared.policy;
        let (next, pause) = {
            let mut state = self.shared.lock();
            let next = state.refused_for_tokens(&self.id, named, policy, Instant::now());
            (next, state.pause_of_refused(&self.id, policy))
        };
        tracing::warn!(%batch_id, limit = named, ?next, "the limit of enqueued tokens is reached");
        match next {
            Refused::GiveUp | Refused::Split => {
                let next = if next == Refused::Split {
                    Unanswered::Free
                } else {
                    Unanswered::Settled(Err(refusal(batch_id, Some(fault))))
                };
                self.all_unanswered(Some(batch_id), &next).await?;
                self.finish(&[]).await
            }
            Refused::Wait { alone } => {
                let (flush, input_file_id) = (self.id.clone(), file_id.clone());
                let back = Record::Uploaded { flush, input_file_id };
                self.shared.commit(back).await?;
                if alone {
                    sleep(jittered(pause)).await;
                } else {
                    // One of ours that ends makes room.
                    let _ = timeout(jittered(pause), self.shared.closed.notified()).await;
                }
                if self.has_stale_lines() {
                    return self.build_anew(&file_id).await;
                }
                Ok(())
            }
        }
    }
}

/// Whether another set of lines might be taken.
fn may_be_of_a_line(faults: &[LineError]) -> bool {
    let codes = faults.iter().filter_map(|fault| fault.code.as_deref());
    !codes.into_iter().any(faults::refuses_account)
}

fn refusal(batch_id: &Arc<str>, fault: Option<&LineError>) -> BatchError {
    BatchError::BatchFailed {
        batch_id: batch_id.clone(),
        code: fault.and_then(|fault| fault.code.as_deref()).map(Into::into),
        message: fault
            .and_then(|fault| fault.message.as_deref())
            .unwrap_or("no reason given")
            .into(),
    }
}
