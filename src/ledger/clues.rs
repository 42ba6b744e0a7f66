//! What calls say of how they could be cheaper, found by comparing them with those before them.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::facts::{Figures, Names, Weight};
use crate::ledger::rollup::{Width, start};
use crate::ledger::{BodyHash, LedgerEntry, Role, Status, Totals};
use crate::model::ModelId;

/// How many requests are remembered. After those the memory begins anew.
const MOST_REQUESTS: usize = 200_000;

/// How many clues of each kind are gathered; all long input is one kind. What further ones would tell is left out.
const MOST_OF_A_KIND: usize = 1 << 11;

/// How long a provider keeps a prompt at least that is not asked for again.
const CACHED_MS: i64 = 600_000;

/// Input of more tokens than this is told apart, in steps: prices for long contexts begin at a step, or above one.
const LONG_FROM: u64 = 96_000;
const LONG_STEP: u64 = 8_000;

/// A request that allows at least so many times the output that it used has a limit that is no limit.
const FAR_BELOW: u64 = 4;

/// Calls of one day, feature, model and lane that have something in common by which they could be cheaper.
///
/// Only calls of the first model asked are looked at, and only calls of the same day, feature, model and lane are
/// compared. What is told is thus at least what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Clue {
    /// What they have in common.
    #[serde(rename = "clue")]
    pub kind: ClueKind,
    /// When the day began that they were made on, in UTC.
    #[serde(rename = "at")]
    pub day: Timestamp,
    /// The feature they were for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<Arc<str>>,
    /// The model they are booked under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Their lane.
    pub lane: Lane,
    /// Their sums, as they were first booked: a correction of a cost is not in them.
    pub totals: Totals,
    /// How many output tokens they allowed in all, for each choice; told for [`ClueKind::UnusedOutput`] only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub allowed_tokens: u64,
}

impl Clue {
    /// Returns what a clue is filtered by; the other names mean nothing.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            feature: self.feature.as_deref(),
            model: self.model.as_ref().map(ModelId::as_str),
            ..Names::none(self.day, self.lane)
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What calls have in common by which they could be cheaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClueKind {
    /// One that was recorded before them asked the same, to the byte, and was answered.
    Repeated,
    /// One of the ten minutes before them began alike, for 4,096 bytes, and they read nothing from the provider's cache.
    MissedPrefix,
    /// They have long input: more tokens than this, and at most 8,000 more. It is told from 96,000 on.
    LongInput {
        /// A multiple of 8,000.
        above: u64,
    },
    /// They allowed at least four times the output that they used.
    UnusedOutput,
}

/// What a request says of itself that sums do not look at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) body: Option<BodyHash>,
    pub(super) prefix: Option<BodyHash>,
    pub(super) max_output_tokens: Option<u64>,
}

/// Compares calls with those before them, in the order in which they were recorded.
///
/// It takes about 20 MB at most beside the names of features and models.
#[derive(Debug, Default)]
pub(crate) struct ClueFinder {
    /// Days, features, models and lanes by name: a number is shorter to remember.
    parts: HashMap<Vec<u8>, u32>,
    key: Vec<u8>,
    answered: HashSet<(u32, BodyHash)>,
    begun: HashMap<(u32, BodyHash), Timestamp>,
    found: HashMap<(u32, ClueKind), Clue>,
    kinds: HashMap<Discriminant<ClueKind>, usize>,
}

impl ClueFinder {
    pub(crate) fn add(&mut self, entry: &LedgerEntry) {
        // An adjustment is the same call again.
        if entry.adjusts.is_none() {
            let asked = Asked {
                body: entry.body_hash,
                prefix: entry.prefix_hash,
                max_output_tokens: entry.max_output_tokens,
            };
            self.look_at(&Names::of(entry), &Figures::of(entry), asked);
        }
    }

    pub(super) fn look_at(&mut self, names: &Names<'_>, figures: &Figures, asked: Asked) {
        // What is asked beside an answer is asked the same on purpose.
        if names.role != Role::Primary {
            return;
        }
        let is_answer = names.status == Status::Succeeded;
        let usage = figures.usage.unwrap_or_default();
        let used = is_answer && figures.usage.is_some();
        let part = self.part(names);
        if let Some(body) = asked.body {
            if self.answered.contains(&(part, body)) {
                self.found(part, ClueKind::Repeated, names, figures, 0);
            } else if is_answer {
                if self.answered.len() >= MOST_REQUESTS {
                    self.answered.clear();
                }
                self.answered.insert((part, body));
            }
        }
        if let Some(prefix) = asked.prefix.filter(|_| used)
            && self.began_alike((part, prefix), names.at)
            && usage.cache_read_tokens == 0
        {
            self.found(part, ClueKind::MissedPrefix, names, figures, 0);
        }
        if usage.input_tokens > LONG_FROM {
            let above = (usage.input_tokens - 1) / LONG_STEP * LONG_STEP;
            self.found(part, ClueKind::LongInput { above }, names, figures, 0);
        }
        if let Some(allowed) = asked.max_output_tokens.filter(|_| used)
            && allowed / FAR_BELOW >= usage.output_tokens
        {
            self.found(part, ClueKind::UnusedOutput, names, figures, allowed);
        }
    }

    /// Returns what was found, what cost most first.
    pub(crate) fn finish(&self) -> Vec<Clue> {
        let mut clues: Vec<Clue> = self.found.values().cloned().collect();
        clues.sort_by_cached_key(|clue| {
            let names = (clue.feature.clone(), clue.model.clone(), clue.lane);
            (Reverse(clue.totals.cost), clue.kind, clue.day, names)
        });
        clues
    }

    /// Whether a call a moment before began as this one does; remembers this one.
    fn began_alike(&mut self, key: (u32, BodyHash), at: Timestamp) -> bool {
        if self.begun.len() >= MOST_REQUESTS {
            self.begun.clear();
        }
        let Some(last) = self.begun.get_mut(&key) else {
            self.begun.insert(key, at);
            return false;
        };
        let since = at.as_unix_millis().saturating_sub(last.as_unix_millis());
        *last = at.max(*last);
        (0..=CACHED_MS).contains(&since)
    }

    /// Returns the number of a day, feature, model and lane.
    fn part(&mut self, names: &Names<'_>) -> u32 {
        use crate::ledger::Dimension::{Day, Feature, Lane, Model};
        self.key.clear();
        for by in [Day, Feature, Model, Lane] {
            by.write_key(names, &mut self.key);
        }
        if let Some(part) = self.parts.get(&self.key) {
            return *part;
        }
        let part = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.insert(self.key.clone(), part);
        part
    }

    fn found(&mut self, part: u32, kind: ClueKind, names: &Names<'_>, figures: &Figures, allowed: u64) {
        let clue = match self.found.entry((part, kind)) {
            Entry::Occupied(clue) => clue.into_mut(),
            Entry::Vacant(place) => {
                let gathered = self.kinds.entry(discriminant(&kind)).or_default();
                if *gathered >= MOST_OF_A_KIND {
                    return;
                }
                *gathered += 1;
                place.insert(Clue {
                    kind,
                    day: start(names.at, Width::Day),
                    feature: names.feature.map(Arc::from),
                    model: names.model.map(ModelId::from),
                    lane: names.lane,
                    totals: Totals::default(),
                    allowed_tokens: 0,
                })
            }
        };
        clue.totals.count(figures, Weight::Add);
        clue.allowed_tokens = clue.allowed_tokens.saturating_add(allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Attribution;
    use crate::endpoint::Endpoint;
    use crate::id::{EntryId, OpId};
    use crate::money::Usd;
    use crate::pricing::Cost;
    use crate::usage::Usage;

    /// An answered call of a millisecond of a day, which cost a cent.
    fn call(millis: i64, usage: Usage) -> LedgerEntry {
        let at = Timestamp::from_unix_millis(1_790_000_000_000 + millis);
        let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
        entry.attribution = Attribution::default().with_feature("f");
        entry.status = Status::Succeeded;
        entry.usage = Some(usage);
        entry.cost = Cost::Priced(Usd::from_pico(10_000_000_000));
        entry
    }

    fn asking(body: u64) -> LedgerEntry {
        let mut entry = call(0, Usage::new(10, 10));
        entry.body_hash = Some(BodyHash::from_bits(body));
        entry
    }

    /// What is found, and in how many calls.
    fn found(entries: &[LedgerEntry]) -> Vec<(ClueKind, u64)> {
        let mut finder = ClueFinder::default();
        for entry in entries {
            finder.add(entry);
        }
        let clues = finder.finish();
        clues.iter().map(|clue| (clue.kind, clue.totals.calls)).collect()
    }

    #[test]
    fn what_was_answered_before_is_repeated() {
        let twice = [asking(1), asking(2), asking(1), asking(1)];
        assert_eq!(found(&twice), [(ClueKind::Repeated, 2)]);
        for change in [
            |entry: &mut LedgerEntry| entry.status = Status::CutShort,
            |entry: &mut LedgerEntry| entry.role = Role::Shadow,
            |entry: &mut LedgerEntry| entry.attribution = Attribution::default(),
            |entry: &mut LedgerEntry| entry.served_model = Some("other".into()),
            |entry: &mut LedgerEntry| entry.lane = Lane::Batch,
            |entry: &mut LedgerEntry| entry.at = Timestamp::from_unix_millis(0),
        ] {
            let mut before = asking(1);
            change(&mut before);
            assert_eq!(found(&[before, asking(1)]), []);
        }
    }

    #[test]
    fn a_beginning_is_missed_within_ten_minutes_of_one_like_it() {
        let ask = |minute: i64, cached| {
            let mut usage = Usage::new(2_048, 10);
            usage.cache_read_tokens = cached;
            let mut entry = call(minute * 60_000, usage);
            entry.prefix_hash = Some(BodyHash::from_bits(7));
            entry
        };
        assert_eq!(found(&[ask(0, 0), ask(9, 0)]), [(ClueKind::MissedPrefix, 1)]);
        assert_eq!(found(&[ask(0, 0), ask(11, 0)]), []);
        assert_eq!(found(&[ask(0, 0), ask(9, 1_024)]), []);
        let mut refused = ask(0, 0);
        (refused.status, refused.usage) = (Status::Failed, None);
        assert_eq!(found(&[refused.clone(), ask(1, 0), refused]), []);
    }

    #[test]
    fn long_input_is_told_apart_in_steps() {
        let long = |input| call(0, Usage::new(input, 10));
        assert_eq!(found(&[long(96_000)]), []);
        let above = |above| (ClueKind::LongInput { above }, 1);
        assert_eq!(found(&[long(96_001)]), [above(96_000)]);
        let both = [long(272_000), long(272_001)];
        assert_eq!(found(&both), [above(264_000), above(272_000)]);
    }

    #[test]
    fn many_steps_of_long_input_leave_room_for_other_kinds() {
        let long = (0..3_000).map(|step| call(0, Usage::new(100_000 + step * LONG_STEP, 10)));
        let entries: Vec<_> = long.chain([asking(1), asking(1)]).collect();
        let found = found(&entries);
        assert_eq!(found.len(), MOST_OF_A_KIND + 1);
        assert!(found.contains(&(ClueKind::Repeated, 1)));
    }

    #[test]
    fn a_limit_of_four_times_the_output_is_unused() {
        let ask = |allowed, output| {
            let mut entry = call(0, Usage::new(10, output));
            entry.max_output_tokens = Some(allowed);
            entry
        };
        assert_eq!(found(&[ask(399, 100)]), []);
        let calls = [ask(400, 100), ask(4_096, 0)];
        let mut finder = ClueFinder::default();
        for entry in &calls {
            finder.add(entry);
        }
        let [clue] = <[Clue; 1]>::try_from(finder.finish()).unwrap();
        assert_eq!(
            (clue.kind, clue.totals.calls, clue.allowed_tokens),
            (ClueKind::UnusedOutput, 2, 4_496)
        );
        let json = serde_json::to_string(&clue).unwrap();
        assert!(
            json.starts_with(r#"{"clue":"unused_output","at":1789948800000,"feature":"f""#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Clue>(&json).unwrap(), clue);
    }

    #[test]
    fn a_correction_is_the_same_call_again() {
        let mut correction = asking(1);
        correction.adjusts = Some(Box::new(crate::ledger::Adjusted {
            entry: correction.id,
            cost: correction.cost,
            price_source: None,
            baseline: None,
        }));
        assert_eq!(found(&[asking(1), correction]), []);
    }
}
