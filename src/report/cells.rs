//! What a ledger is asked for, and sums over its answers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use jiff::civil::Date;

use crate::budget::TimeZone;
use crate::clock::Timestamp;
use crate::ledger::{CostLedger, Dimension, Distribution, Filter, Group, LedgerError, Query, Totals};

/// The entries of one day, feature, model and lane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    /// In the report's time zone; `None` for a moment that no calendar has.
    pub(super) day: Option<Date>,
    pub(super) feature: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) lane: Option<Arc<str>>,
    pub(super) totals: Totals,
    pub(super) latencies: Distribution,
}

/// The entries of one key of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Option<Arc<str>>,
    pub(super) totals: Totals,
    pub(super) latencies: Distribution,
}

/// Rows by some key, the highest known cost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
}

/// All that a ledger answered.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) cells: Vec<Cell>,
    pub(super) evicted: Totals,
    pub(super) bad_lines: u64,
}

impl Gathered {
    pub(super) async fn ask(
        ledger: &dyn CostLedger,
        filter: &Filter,
        zone: &TimeZone,
    ) -> Result<Self, LedgerError> {
        let names = Query::new()
            .group_by(Dimension::Feature)
            .group_by(Dimension::Model)
            .group_by(Dimension::Lane);
        let by_day = names.clone().group_by(Dimension::Day).with_filter(filter.clone());
        let whole = ledger.query(&by_day).await?;
        let utc = |group: &Group| group.keys.get(3)?.as_deref()?.parse::<Date>().ok();
        let mut cells = Vec::new();
        if *zone == TimeZone::UTC {
            cells.extend(whole.groups.into_iter().map(|group| {
                let day = utc(&group);
                Cell::of(group, day)
            }));
        } else {
            let days = || whole.groups.iter().filter_map(utc);
            let days: Vec<_> = local_days(days().min(), days().max(), zone).collect();
            if days.iter().all(|(_, from, _)| is_on_the_hour(*from)) {
                let by_hour = names.group_by(Dimension::Hour).with_filter(filter.clone());
                let groups = ledger.query(&by_hour).await?.groups.into_iter();
                let hours = groups.map(|group| {
                    let key = group.keys.get(3).and_then(Option::as_deref);
                    let hour = key.and_then(|key| Dimension::Hour.span_of(key));
                    let day = hour.and_then(|(begin, _)| day_of(begin, zone));
                    Cell::of(group, day)
                });
                cells = merged(hours);
            } else {
                for (day, from, to) in days {
                    let mut of_day = filter.clone();
                    of_day.from = Some(filter.from.map_or(from, |given| given.max(from)));
                    of_day.to = Some(filter.to.map_or(to, |given| given.min(to)));
                    if of_day.from >= of_day.to {
                        continue;
                    }
                    let summary = ledger.query(&names.clone().with_filter(of_day)).await?;
                    let groups = summary.groups.into_iter();
                    cells.extend(groups.map(|group| Cell::of(group, Some(day))));
                }
            }
        }
        cells.sort_by_cached_key(Cell::key);
        Ok(Self {
            cells,
            evicted: whole.evicted,
            bad_lines: whole.bad_lines,
        })
    }
}

/// Adds up cells of the same day and names.
fn merged(cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
    let mut by_key: BTreeMap<_, Cell> = BTreeMap::new();
    for cell in cells {
        match by_key.entry(cell.key()) {
            Entry::Vacant(place) => {
                place.insert(cell);
            }
            Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                sum.totals.merge(&cell.totals);
                sum.latencies.merge(&cell.latencies);
            }
        }
    }
    by_key.into_values().collect()
}

fn is_on_the_hour(at: Timestamp) -> bool {
    at.as_unix_millis().rem_euclid(3_600_000) == 0
}

/// Returns the days of a zone that two days of UTC and those between touch, each with its beginning and its end.
fn local_days(
    first: Option<Date>,
    last: Option<Date>,
    zone: &TimeZone,
) -> impl Iterator<Item = (Date, Timestamp, Timestamp)> {
    // An offset is less than a day and a half, so that two days on each side are enough.
    let first = first.and_then(|day| day.yesterday().ok());
    let until = last.and_then(|day| day.tomorrow().ok()?.tomorrow().ok());
    let days = first
        .into_iter()
        .flat_map(|day| day.series(jiff::Span::new().days(1)));
    days.take_while(move |day| until.is_some_and(|until| *day < until))
        .filter_map(|day| {
            Some((
                day,
                zone.beginning_of(day)?,
                zone.beginning_of(day.tomorrow().ok()?)?,
            ))
        })
}

/// Returns the day of a moment in a zone.
pub(super) fn day_of(at: Timestamp, zone: &TimeZone) -> Option<Date> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    Some(zone.get().to_datetime(at).date())
}

impl Cell {
    fn key(&self) -> (Option<Date>, [Option<Arc<str>>; 3]) {
        let names = [&self.feature, &self.model, &self.lane];
        (self.day, names.map(Clone::clone))
    }

    fn of(group: Group, day: Option<Date>) -> Self {
        let mut keys = group.keys.into_iter();
        let mut next = || keys.next().flatten();
        Self {
            day,
            feature: next(),
            model: next(),
            lane: next(),
            totals: group.totals,
            latencies: group.latencies,
        }
    }
}

impl Row {
    fn add(&mut self, cell: &Cell) {
        self.totals.merge(&cell.totals);
        self.latencies.merge(&cell.latencies);
    }

    /// Adds rows up under a key of their own.
    pub(super) fn sum<'a>(key: &str, rows: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self {
            key: Some(key.into()),
            ..Self::default()
        };
        for row in rows {
            sum.merge(row);
        }
        sum
    }

    fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        self.latencies.merge(&other.latencies);
    }
}

impl Table {
    pub(super) fn total(cells: &[Cell]) -> Row {
        let mut total = Row::default();
        for cell in cells {
            total.add(cell);
        }
        total
    }

    pub(super) fn by(cells: &[Cell], key: impl Fn(&Cell) -> Option<Arc<str>>) -> Self {
        let mut by_key: BTreeMap<Option<Arc<str>>, Row> = BTreeMap::new();
        for cell in cells {
            by_key.entry(key(cell)).or_default().add(cell);
        }
        let mut rows: Vec<_> = by_key.into_iter().map(|(key, row)| Row { key, ..row }).collect();
        rows.sort_by_key(|row| Reverse(row.totals.cost));
        Self { rows }
    }
}
