//! Spend over time, by feature.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{ToSpan, Unit};

use crate::ledger::Totals;
use crate::report::cells::{Cell, Row, Table};

/// How many features are told apart over time; the rest are added up.
const FEATURES: usize = 10;

/// How much time a period covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Step {
    #[default]
    Day,
    /// From Monday to Sunday.
    Week,
    Month,
    Year,
}

/// Spend over time. Periods without entries are there too, but for years.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) step: Step,
    /// Those that are told apart, the dearest first.
    pub(super) features: Vec<Option<Arc<str>>>,
    /// How many features are in `Period::rest`.
    pub(super) others: usize,
    pub(super) periods: Vec<Period>,
}

/// The entries of a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Period {
    /// `None` for moments that no calendar has.
    pub(super) start: Option<Date>,
    pub(super) row: Row,
    /// In the order of `Timeline::features`.
    pub(super) by_feature: Vec<Totals>,
    /// What all other features have together.
    pub(super) rest: Totals,
}

impl Step {
    /// Chooses the shortest step that makes a chart of a size that can be read.
    fn for_days(days: i64) -> Self {
        match days {
            ..=92 => Self::Day,
            93..=730 => Self::Week,
            731..=7_300 => Self::Month,
            _ => Self::Year,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns when the period of a day begins.
    pub(super) fn start_of(self, day: Date) -> Date {
        match self {
            Self::Day => day,
            Self::Week => {
                let since_monday = i64::from(day.weekday().to_monday_zero_offset());
                day.checked_sub(since_monday.days()).unwrap_or(day)
            }
            Self::Month => day.first_of_month(),
            Self::Year => day.first_of_year(),
        }
    }

    fn next(self, start: Date) -> Option<Date> {
        let step = match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Year => 1.year(),
        };
        start.checked_add(step).ok()
    }

    /// Returns how a period of this step is named, the same length for each.
    pub(super) fn name(self, start: Option<Date>) -> String {
        let Some(start) = start else {
            return "(none)".into();
        };
        match self {
            Self::Day | Self::Week => start.to_string(),
            Self::Month => start.strftime("%Y-%m").to_string(),
            Self::Year => start.strftime("%Y").to_string(),
        }
    }
}

impl Timeline {
    pub(super) fn of(cells: &[Cell], features: &Table) -> Self {
        let days = || cells.iter().filter_map(|cell| cell.day);
        let span = days().min().zip(days().max());
        let length = span.and_then(|(first, last)| first.until((Unit::Day, last)).ok());
        let step = Step::for_days(length.map_or(0, |span| i64::from(span.get_days()) + 1));
        // One more column costs no more than one for what is left.
        let shown = if features.rows.len() <= FEATURES + 1 {
            FEATURES + 1
        } else {
            FEATURES
        };
        let names = features.rows.iter().take(shown).map(|row| row.key.clone());
        let mut timeline = Self {
            step,
            features: names.collect(),
            others: features.rows.len().saturating_sub(shown),
            periods: Vec::new(),
        };
        let places: HashMap<_, _> = timeline.features.iter().cloned().zip(0..).collect();
        for cell in cells {
            let start = cell.day.map(|day| step.start_of(day));
            timeline.advance_to(start);
            if let Some(period) = timeline.periods.last_mut() {
                period.add(cell, places.get(&cell.feature).copied());
            }
        }
        timeline
    }

    /// Adds periods until the last one begins at `start`. Cells come sorted by day.
    fn advance_to(&mut self, start: Option<Date>) {
        let last = self.periods.last().map(|period| period.start);
        if last == Some(start) {
            return;
        }
        let mut next = match (last.flatten(), self.step) {
            (Some(last), Step::Day | Step::Week | Step::Month) => self.step.next(last),
            _ => start,
        };
        while let (Some(begin), Some(end)) = (next, start)
            && begin < end
        {
            self.periods.push(self.empty(Some(begin)));
            next = self.step.next(begin);
        }
        self.periods.push(self.empty(start));
    }

    fn empty(&self, start: Option<Date>) -> Period {
        Period {
            start,
            row: Row {
                key: Some(self.step.name(start).into()),
                ..Row::default()
            },
            by_feature: vec![Totals::default(); self.features.len()],
            rest: Totals::default(),
        }
    }
}

impl Period {
    fn add(&mut self, cell: &Cell, place: Option<usize>) {
        self.row.totals.merge(&cell.totals);
        self.row.latencies.merge(&cell.latencies);
        let sum = place.and_then(|place| self.by_feature.get_mut(place));
        sum.unwrap_or(&mut self.rest).merge(&cell.totals);
    }
}
