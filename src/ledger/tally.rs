//! Adds up entries in groups.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ledger::facts::{Figures, Names, Weight, count};
use crate::ledger::query::{DAY_MS, day as day_key};
use crate::ledger::rollup::Cell;
use crate::ledger::{Dimension, Distribution, Group, LedgerEntry, Query, Summary, Totals};

/// Adds up entries to a [`Summary`], one at a time. A ledger that has no faster way answers its queries with it.
///
/// # Examples
/// ```
/// use thrifty::ledger::{Dimension, LedgerEntry, Query, Tally};
/// use thrifty::{Endpoint, EntryId, OpId, Timestamp};
///
/// let now = Timestamp::from_unix_millis(1_790_000_000_000);
/// let entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::Responses);
/// let mut tally = Tally::new(&Query::new().group_by(Dimension::Day));
/// tally.add(&entry);
/// let summary = tally.finish();
/// assert_eq!(summary.groups[0].keys[0].as_deref(), Some("2026-09-21"));
/// ```
#[derive(Debug)]
pub struct Tally {
    query: Query,
    groups: Vec<Group>,
    by_key: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    /// The key of the day that came last: most entries are of the same day as the one before.
    day: Option<(i64, Option<Arc<str>>)>,
}

impl Tally {
    /// Starts at nothing.
    pub fn new(query: &Query) -> Self {
        Self {
            query: query.clone(),
            groups: Vec::new(),
            by_key: HashMap::new(),
            key: Vec::new(),
            day: None,
        }
    }

    /// Adds an entry, if the query's filter matches.
    pub fn add(&mut self, entry: &LedgerEntry) {
        let (names, figures) = (Names::of(entry), Figures::of(entry));
        if let Some(before) = &entry.adjusts {
            self.count(&names.replaced(before), &figures.before(before), Weight::TakeBack);
        }
        self.count(&names, &figures, Weight::Add);
    }

    /// Counts figures under their names, or takes them back.
    pub(super) fn count(&mut self, names: &Names<'_>, figures: &Figures, weight: Weight) {
        let filter = &self.query.filter;
        if !filter.matches_time(names.at) {
            return;
        }
        if let Some(group) = self.group(names, |by| by.key_of(names)) {
            count(
                figures,
                weight,
                &mut group.totals,
                &mut group.costs,
                &mut group.latencies,
            );
        }
    }

    /// Adds a cell of a roll-up, whatever its time is.
    pub(super) fn merge(&mut self, cell: &Cell) {
        if let Some(group) = self.group(&cell.names(), |by| cell.key(by)) {
            group.totals.merge(&cell.totals);
            group.costs.merge(&cell.costs);
            group.latencies.merge(&cell.latencies);
        }
    }

    /// Returns the group of these names; `None` if the filter leaves them out, at any time. `key` makes the keys of a new
    /// group.
    fn group(
        &mut self,
        names: &Names<'_>,
        key: impl Fn(&Dimension) -> Option<Arc<str>>,
    ) -> Option<&mut Group> {
        if !self.query.filter.matches_names(names) {
            return None;
        }
        self.key.clear();
        for dimension in &self.query.group_by {
            dimension.write_key(names, &mut self.key);
        }
        let index = if let Some(index) = self.by_key.get(&self.key) {
            *index
        } else {
            let keys = self.query.group_by.iter().map(|by| match by {
                Dimension::Day => day_of(&mut self.day, names.at),
                by => key(by),
            });
            let keys = keys.collect();
            self.by_key.insert(self.key.clone(), self.groups.len());
            self.groups.push(Group {
                keys,
                totals: Totals::default(),
                costs: Distribution::default(),
                latencies: Distribution::default(),
            });
            self.groups.len() - 1
        };
        self.groups.get_mut(index)
    }

    /// Returns the sums.
    pub fn finish(mut self) -> Summary {
        // What was taken back from a group may have been all of it.
        self.groups.retain(|group| group.totals != Totals::default());
        // Groups are large: their places are sorted, and each is moved once.
        let rank = |at: &usize| {
            let group = self.groups.get(*at);
            group.map(|group| (Reverse(group.totals.cost), &group.keys))
        };
        let mut places: Vec<usize> = (0..self.groups.len()).collect();
        places.sort_by(|a, b| rank(a).cmp(&rank(b)));
        let mut unsorted: Vec<Option<Group>> = self.groups.into_iter().map(Some).collect();
        let sorted = places.into_iter().filter_map(|at| unsorted.get_mut(at)?.take());
        let groups: Vec<Group> = sorted.collect();
        let mut summary = Summary::default();
        for group in &groups {
            summary.total.merge(&group.totals);
        }
        summary.costs = Distribution::sum(groups.iter().map(|group| &group.costs));
        summary.latencies = Distribution::sum(groups.iter().map(|group| &group.latencies));
        summary.groups = groups;
        summary
    }
}

fn day_of(last: &mut Option<(i64, Option<Arc<str>>)>, at: Timestamp) -> Option<Arc<str>> {
    let number = at.as_unix_millis().div_euclid(DAY_MS);
    if let Some((day, key)) = last
        && *day == number
    {
        return key.clone();
    }
    let key = day_key(at);
    *last = Some((number, key.clone()));
    key
}
