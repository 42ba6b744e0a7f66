//! Remembers the newest entries by id, to tell a duplicate from a conflict.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};

use crate::id::EntryId;

const REMEMBERED: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Recent {
    by_id: HashMap<EntryId, u64>,
    oldest_first: VecDeque<EntryId>,
}

/// Returns a digest of an entry as it is written. Two different entries have the same once in 10¹⁹ cases.
pub(super) fn content_of(json: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(json);
    hasher.finish()
}

impl Recent {
    pub(super) fn get(&self, id: EntryId) -> Option<u64> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn insert(&mut self, id: EntryId, content: u64) {
        if self.oldest_first.len() >= REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.by_id.insert(id, content);
        self.oldest_first.push_back(id);
    }
}
