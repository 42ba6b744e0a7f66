//! Remembers the ids of a day, to tell a duplicate from a conflict.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::EntryId;

/// How old an id can be when its entry is recorded.
pub(super) const WINDOW: Duration = Duration::from_secs(24 * 3_600);

/// How long ids are gathered before the next generation begins.
const GENERATION: Duration = Duration::from_secs(12 * 3_600);

/// The ids of the last 24 to 36 hours, each with a digest of its entry.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The newest last, each with when it began.
    generations: Vec<(Timestamp, HashMap<[u8; 16], u32>)>,
}

impl Recent {
    /// Returns the digest of the entry that was recorded with this id.
    pub(super) fn get(&self, id: EntryId) -> Option<u32> {
        let key = id.to_bytes();
        let mut newest_first = self.generations.iter().rev();
        newest_first.find_map(|(_, ids)| ids.get(&key).copied())
    }

    pub(super) fn insert(&mut self, id: EntryId, digest: u32, now: Timestamp) {
        let current = match self.generations.last_mut() {
            Some((began, ids)) if began.saturating_add(GENERATION) > now => ids,
            _ => {
                let is_needed = |began: Timestamp| began.saturating_add(GENERATION + WINDOW) > now;
                self.generations.retain(|(began, _)| is_needed(*began));
                self.generations.push((now, HashMap::new()));
                match self.generations.last_mut() {
                    Some((_, ids)) => ids,
                    None => return,
                }
            }
        };
        current.insert(id.to_bytes(), digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_a_day_and_forgotten_after_two() {
        let hours = |hours: i64| Timestamp::from_unix_millis(hours * 3_600_000);
        let ids: Vec<EntryId> = (0..72).map(|hour| EntryId::new(hours(hour))).collect();
        let mut recent = Recent::default();
        for (hour, id) in ids.iter().enumerate() {
            recent.insert(
                *id,
                u32::try_from(hour).unwrap(),
                hours(i64::try_from(hour).unwrap()),
            );
            for (earlier, id) in ids[..=hour].iter().enumerate() {
                let known = recent.get(*id);
                if hour - earlier <= 24 {
                    assert_eq!(known, Some(u32::try_from(earlier).unwrap()));
                }
                if hour - earlier > 48 {
                    assert_eq!(known, None);
                }
            }
        }
    }
}
