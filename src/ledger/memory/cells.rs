//! Sums by time, feature, model, lane and source, also of entries that are no longer kept.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::names::Interner;
use super::packing::Coded;
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::facts::{Figures, Names, Weight, count};
use crate::ledger::query::Filter;
use crate::ledger::rollup::{Cell, Span, Width, start};
use crate::ledger::{Dimension, Query, Totals};

/// What a cell is found by: names by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) quarter: Timestamp,
    pub(super) feature: Option<usize>,
    pub(super) model: Option<usize>,
    pub(super) lane: Lane,
    pub(super) source: Option<&'static str>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let source = self.source.and_then(|source| source.bytes().next());
        let number = |name: Option<usize>| name.map_or(0, |number| number as u64 + 1);
        let few = u64::from(self.lane.code()) << 8 ^ u64::from(source.unwrap_or(0));
        state.write_i64(self.quarter.as_unix_millis());
        state.write_u64(number(self.feature) << 32 ^ number(self.model) << 16 ^ few);
    }
}

/// Hashes keys. They are numbers that this ledger gave out, so that nobody can choose them to collide.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    fn write_u64(&mut self, word: u64) {
        // Multiplying spreads what is low upwards, the rotation brings it down again.
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct Slot {
    key: Key,
    /// Snapshots share it; it is copied if it changes while one is there.
    cell: Arc<Cell>,
    /// How many kept rows were counted in it.
    kept: usize,
}

/// All cells, by number. A cell stays where it is as long as a row that is counted in it is kept.
#[derive(Debug)]
pub(super) struct Cells {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    by_key: HashMap<Key, usize, BuildHasherDefault<KeyHasher>>,
    /// Cells without a kept row.
    idle: usize,
    most_idle: usize,
    /// The sum of cells that were given up, and when their entries were made.
    given_up: Option<(Span, Totals)>,
}

/// What a query takes from the cells.
#[derive(Debug)]
pub(super) struct Answer {
    /// Cells to be merged as they are.
    pub(super) whole: Vec<Arc<Cell>>,
    /// Cells of which only a part can match, or that have to be split further than they are.
    pub(super) parts: Vec<Arc<Cell>>,
    /// By a cell's number, whether its kept rows are to be looked at.
    pub(super) wanted: Vec<bool>,
    /// The sum of cells that were given up, if they can match.
    pub(super) given_up: Totals,
}

impl Cells {
    /// Keeps so many cells without a kept row, at most.
    pub(super) fn new(most_idle: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::default(),
            idle: 0,
            most_idle,
            given_up: None,
        }
    }

    /// Counts figures of a row, and returns the number of their cell. `None` if they are taken back from one that was
    /// given up.
    pub(super) fn count<'a>(
        &mut self,
        key: Key,
        names: impl FnOnce() -> Names<'a>,
        figures: &Figures,
        weight: Weight,
        interner: &mut Interner,
    ) -> Option<usize> {
        let known = self.by_key.get(&key).copied();
        if known.is_none()
            && weight == Weight::TakeBack
            && let Some((span, totals)) = &mut self.given_up
            && (span.first..=span.last).contains(&key.quarter)
        {
            totals.count(figures, weight);
            return None;
        }
        let number = known.unwrap_or_else(|| self.add(key, &names(), interner));
        let slot = self.slots.get_mut(number)?.as_mut()?;
        if slot.kept == 0 {
            self.idle -= 1;
        }
        slot.kept += 1;
        let cell = Arc::make_mut(&mut slot.cell);
        count(
            figures,
            weight,
            &mut cell.totals,
            &mut cell.costs,
            &mut cell.latencies,
        );
        Some(number)
    }

    fn add(&mut self, key: Key, names: &Names<'_>, interner: &mut Interner) -> usize {
        for name in [key.feature, key.model].into_iter().flatten() {
            interner.hold(name);
        }
        let slot = Some(Slot {
            key,
            cell: Arc::new(Cell::new(names, Width::Quarter)),
            kept: 0,
        });
        self.idle += 1;
        let number = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(number) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.by_key.insert(key, number);
        number
    }

    /// Says that a row which was counted in a cell is not kept any more.
    pub(super) fn release(&mut self, number: usize, interner: &mut Interner) {
        let Some(Some(slot)) = self.slots.get_mut(number) else {
            return;
        };
        slot.kept = slot.kept.saturating_sub(1);
        if slot.kept == 0 {
            self.idle += 1;
            if self.idle > self.most_idle {
                self.give_up_oldest(interner);
            }
        }
    }

    /// Merges a quarter of the cells without kept rows into one sum, so that this is rare.
    fn give_up_oldest(&mut self, interner: &mut Interner) {
        let slots = self.slots.iter().enumerate();
        let idle = slots.filter_map(|(number, slot)| {
            Some((slot.as_ref().filter(|slot| slot.kept == 0)?.key.quarter, number))
        });
        let mut idle: Vec<(Timestamp, usize)> = idle.collect();
        idle.sort_unstable();
        for (_, number) in idle.into_iter().take(self.most_idle / 4 + 1) {
            let Some(Slot { key, cell, .. }) = self.slots.get_mut(number).and_then(Option::take) else {
                continue;
            };
            self.by_key.remove(&key);
            self.free.push(number);
            self.idle -= 1;
            for name in [key.feature, key.model].into_iter().flatten() {
                interner.release(name);
            }
            let span = Span {
                first: key.quarter,
                last: last_of(key.quarter),
            };
            let (all, totals) = self.given_up.get_or_insert((span, Totals::default()));
            (all.first, all.last) = (all.first.min(span.first), all.last.max(span.last));
            totals.merge(&cell.totals);
        }
    }

    /// Returns what the cells have for a query. What is returned does not change any more.
    pub(super) fn answer(&self, query: &Query) -> Answer {
        let can_split = can_split(query);
        let filter = &query.filter;
        let given_up = self.given_up.filter(|(span, _)| !span.is_missed_by(filter));
        let mut answer = Answer {
            whole: Vec::new(),
            parts: Vec::new(),
            wanted: Vec::new(),
            given_up: given_up.map(|(_, totals)| totals).unwrap_or_default(),
        };
        for (number, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let place = Place::of(slot.key.quarter, filter);
            if place == Place::Outside || !may_match(&slot.cell.names(), filter) {
                continue;
            }
            if place == Place::Inside && can_split {
                answer.whole.push(Arc::clone(&slot.cell));
                continue;
            }
            answer.parts.push(Arc::clone(&slot.cell));
            if slot.kept > 0 {
                // Cells come in the order of their numbers.
                answer.wanted.resize(number, false);
                answer.wanted.push(true);
            }
        }
        answer
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// Where a quarter of an hour lies, as a filter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
    Cut,
}

impl Place {
    fn of(quarter: Timestamp, filter: &Filter) -> Self {
        let last = last_of(quarter);
        if (Span { first: quarter, last }).is_missed_by(filter) {
            Self::Outside
        } else if filter.matches_time(quarter) && filter.matches_time(last) {
            Self::Inside
        } else {
            Self::Cut
        }
    }
}

/// Returns the last moment of a quarter of an hour.
fn last_of(quarter: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(
        quarter
            .as_unix_millis()
            .saturating_add(Width::Quarter.millis() - 1),
    )
}

/// Whether cells can be split as a query asks, but for its stretch of time.
fn can_split(query: &Query) -> bool {
    use Dimension::{Day, Feature, Hour, Lane, Model, Source};
    let is_kept = |by: &Dimension| matches!(by, Feature | Model | Lane | Source | Day | Hour);
    query.filter.user.is_none() && query.filter.tags.is_empty() && query.group_by.iter().all(is_kept)
}

/// Whether entries of a cell can match in what the cell knows of them.
fn may_match(names: &Names<'_>, filter: &Filter) -> bool {
    let Filter {
        feature,
        model,
        user: _,
        tags: _,
        lane,
        from: _,
        to: _,
    } = filter;
    feature
        .as_deref()
        .is_none_or(|feature| names.feature == Some(feature))
        && model
            .as_ref()
            .is_none_or(|model| names.model == Some(model.as_str()))
        && lane.is_none_or(|lane| names.lane == lane)
}

/// Returns when the quarter of an hour began that a moment is in.
pub(super) fn quarter_of(at: Timestamp) -> Timestamp {
    start(at, Width::Quarter)
}
