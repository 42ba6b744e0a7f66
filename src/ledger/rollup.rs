//! Sums by time, feature, model, lane and source, from which most questions are answered without reading entries.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::facts::{Figures, Names, Weight, count};
use crate::ledger::query::DAY_MS;
use crate::ledger::{Dimension, Distribution, Filter, Query, Totals};

/// How much time a cell covers. Each width is a multiple of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Width {
    Quarter,
    Day,
}

impl Width {
    pub(super) const fn millis(self) -> i64 {
        match self {
            Self::Quarter => 900_000,
            Self::Day => DAY_MS,
        }
    }

    /// Returns the widest cells from which a query can be answered exactly, for entries of this span; `None` if it
    /// takes the entries themselves.
    pub(super) fn for_query(query: &Query, span: Span) -> Option<Self> {
        use Dimension::{Day, Feature, Hour, Lane, Model, Source};
        let filter = &query.filter;
        let is_kept = |by: &Dimension| matches!(by, Feature | Model | Lane | Source | Day | Hour);
        if filter.user.is_some() || !filter.tags.is_empty() || !query.group_by.iter().all(is_kept) {
            return None;
        }
        let by_hour = query.group_by.contains(&Hour);
        let cut = |moment: Option<Timestamp>, width: Self| {
            moment.is_some_and(|at| at.as_unix_millis().rem_euclid(width.millis()) != 0)
        };
        let fits = |width: &Self| {
            let ends = [span.cutting_from(filter), span.cutting_to(filter)];
            (*width != Self::Day || !by_hour) && !ends.into_iter().any(|end| cut(end, *width))
        };
        [Self::Day, Self::Quarter].into_iter().find(fits)
    }
}

/// From when until when some entries were made, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Span {
    /// Whether a filter leaves all of it out.
    pub(super) fn is_missed_by(self, filter: &Filter) -> bool {
        filter.from.is_some_and(|from| self.last < from) || filter.to.is_some_and(|to| self.first >= to)
    }

    /// Returns the filter's beginning, if it leaves out a part.
    fn cutting_from(self, filter: &Filter) -> Option<Timestamp> {
        filter.from.filter(|from| self.first < *from)
    }

    /// Returns the filter's end, if it leaves out a part.
    fn cutting_to(self, filter: &Filter) -> Option<Timestamp> {
        filter.to.filter(|to| self.last >= *to)
    }

    /// Whether a filter's stretch of time has the cell in it that begins here. Cells and filter must fit, as by
    /// [`Width::for_query`].
    pub(super) fn has(self, begin: Timestamp, filter: &Filter) -> bool {
        self.cutting_from(filter).is_none_or(|from| begin >= from)
            && self.cutting_to(filter).is_none_or(|to| begin < to)
    }
}

/// The sums of the entries of one stretch of time, feature, model, lane and source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cell {
    /// Where the stretch of time begins.
    pub(super) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Arc<str>>,
    lane: Lane,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Arc<str>>,
    pub(super) totals: Totals,
    /// In pico-dollars.
    pub(super) costs: Distribution,
    /// In milliseconds.
    pub(super) latencies: Distribution,
}

impl Cell {
    pub(super) fn new(names: &Names<'_>, width: Width) -> Self {
        Self {
            at: start(names.at, width),
            feature: names.feature.map(Arc::from),
            model: names.model.map(Arc::from),
            lane: names.lane,
            source: names.source.map(Arc::from),
            totals: Totals::default(),
            costs: Distribution::default(),
            latencies: Distribution::default(),
        }
    }

    /// Returns the cell's key in a dimension, without a copy of its text where it has one.
    pub(super) fn key(&self, by: &Dimension) -> Option<Arc<str>> {
        match by {
            Dimension::Feature => self.feature.clone(),
            Dimension::Model => self.model.clone(),
            Dimension::Source => self.source.clone(),
            other => other.key_of(&self.names()),
        }
    }

    /// Returns what the cell can be split and filtered by; the other names mean nothing.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            feature: self.feature.as_deref(),
            model: self.model.as_deref(),
            source: self.source.as_deref(),
            ..Names::none(self.at, self.lane)
        }
    }
}

/// Returns when the stretch of time began that a moment is in.
pub(super) fn start(at: Timestamp, width: Width) -> Timestamp {
    let width = width.millis();
    Timestamp::from_unix_millis(at.as_unix_millis().div_euclid(width).saturating_mul(width))
}

/// Cells of one width. Adding entries in any order gives the same cells.
#[derive(Debug)]
pub(super) struct Rollup {
    width: Width,
    cells: Vec<Cell>,
    by_key: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    span: Option<Span>,
}

impl Rollup {
    pub(super) fn new(width: Width) -> Self {
        Self {
            width,
            cells: Vec::new(),
            by_key: HashMap::new(),
            key: Vec::new(),
            span: None,
        }
    }

    pub(super) fn count(&mut self, names: &Names<'_>, figures: &Figures, weight: Weight) {
        let span = self.span.get_or_insert(Span {
            first: names.at,
            last: names.at,
        });
        (span.first, span.last) = (span.first.min(names.at), span.last.max(names.at));
        if let Some(cell) = self.cell(names) {
            count(
                figures,
                weight,
                &mut cell.totals,
                &mut cell.costs,
                &mut cell.latencies,
            );
        }
    }

    /// Returns the same sums in wider cells, sorted.
    pub(super) fn widened(&self, width: Width) -> Vec<Cell> {
        let mut wider = Self::new(width);
        for cell in &self.cells {
            if let Some(sum) = wider.cell(&cell.names()) {
                sum.totals.merge(&cell.totals);
                sum.costs.merge(&cell.costs);
                sum.latencies.merge(&cell.latencies);
            }
        }
        let key = |cell: &Cell| {
            (
                cell.at,
                cell.feature.clone(),
                cell.model.clone(),
                cell.lane,
                cell.source.clone(),
            )
        };
        wider.cells.sort_by_cached_key(key);
        wider.cells
    }

    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Returns when the counted entries were made; `None` if there are none.
    pub(super) const fn span(&self) -> Option<Span> {
        self.span
    }

    fn cell(&mut self, names: &Names<'_>) -> Option<&mut Cell> {
        self.key.clear();
        let begin = start(names.at, self.width).as_unix_millis();
        self.key.extend_from_slice(&begin.to_le_bytes());
        for by in [
            Dimension::Feature,
            Dimension::Model,
            Dimension::Lane,
            Dimension::Source,
        ] {
            by.write_key(names, &mut self.key);
        }
        let index = if let Some(index) = self.by_key.get(&self.key) {
            *index
        } else {
            self.by_key.insert(self.key.clone(), self.cells.len());
            self.cells.push(Cell::new(names, self.width));
            self.cells.len() - 1
        };
        self.cells.get_mut(index)
    }
}
