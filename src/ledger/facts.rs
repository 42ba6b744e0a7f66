//! What sums and filters need to know of an entry, wherever it is read from: an entry, a line, a cell of a roll-up.

use std::borrow::Cow;

use serde::Deserialize;

use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::entry::{Adjusted, cost_source};
use crate::ledger::{Baseline, Distribution, LedgerEntry, Role, Status, Totals};
use crate::model::ModelId;
use crate::money::UsdSum;
use crate::pricing::{Cost, PriceSource};
use crate::usage::Usage;

/// What entries are filtered and split by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) at: Timestamp,
    pub(super) feature: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) tags: Tags<'a>,
    pub(super) model: Option<&'a str>,
    pub(super) sent_model: Option<&'a str>,
    pub(super) lane: Lane,
    pub(super) source: Option<&'a str>,
    pub(super) endpoint: &'a str,
    pub(super) status: Status,
    pub(super) role: Role,
}

/// Where tags are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tags<'a> {
    None,
    Of(&'a Attribution),
    Read(&'a [(Text<'a>, Text<'a>)]),
}

/// A text that is borrowed from where it was read, unless it has escapes there.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> Tags<'a> {
    fn get(self, key: &str) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Of(attribution) => attribution.tag(key),
            Self::Read(tags) => tags.iter().find(|(k, _)| k.0 == key).map(|(_, value)| &*value.0),
        }
    }
}

/// What is added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) attempts: u32,
    pub(super) role: Role,
    pub(super) status: Status,
    pub(super) usage: Option<Usage>,
    pub(super) cost: Cost,
    pub(super) price_source: Option<PriceSource>,
    pub(super) baseline: Option<Baseline>,
    pub(super) latency_ms: Option<u64>,
}

/// Whether figures are counted or uncounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Add,
    TakeBack,
}

impl Weight {
    pub(super) fn add(self, sum: &mut u64, count: u64) {
        *sum = match self {
            Self::Add => sum.wrapping_add(count),
            Self::TakeBack => sum.wrapping_sub(count),
        };
    }

    pub(super) fn add_money(self, sum: &mut UsdSum, amount: UsdSum) {
        *sum = match self {
            Self::Add => sum.saturating_add(amount),
            Self::TakeBack => sum.saturating_sub(amount),
        };
    }
}

/// Counts figures in sums, or takes them back.
pub(super) fn count(
    figures: &Figures,
    weight: Weight,
    totals: &mut Totals,
    costs: &mut Distribution,
    latencies: &mut Distribution,
) {
    totals.count(figures, weight);
    let cost = figures.cost.exact();
    let values = [
        (costs, cost.and_then(|cost| u64::try_from(cost.as_pico()).ok())),
        (latencies, figures.latency_ms),
    ];
    for (distribution, value) in values {
        match (value, weight) {
            (Some(value), Weight::Add) => distribution.add(value),
            (Some(value), Weight::TakeBack) => distribution.take_back(value),
            (None, _) => {}
        }
    }
}

impl<'a> Names<'a> {
    pub(super) fn of(entry: &'a LedgerEntry) -> Self {
        Self {
            at: entry.at,
            feature: entry.attribution.feature(),
            user: entry.attribution.user(),
            tags: Tags::Of(&entry.attribution),
            model: entry.model().map(ModelId::as_str),
            sent_model: entry.sent_model.as_ref().map(ModelId::as_str),
            lane: entry.lane,
            source: entry.source(),
            endpoint: entry.endpoint.as_str(),
            status: entry.status,
            role: entry.role,
        }
    }

    /// Returns names that are not known but for these.
    pub(super) const fn none(at: Timestamp, lane: Lane) -> Self {
        Self {
            at,
            feature: None,
            user: None,
            tags: Tags::None,
            model: None,
            sent_model: None,
            lane,
            source: None,
            endpoint: "",
            status: Status::Succeeded,
            role: Role::Primary,
        }
    }

    /// Returns the names under which what an adjustment replaces was counted.
    pub(super) fn replaced(self, before: &Adjusted) -> Self {
        Self {
            source: cost_source(&before.cost, before.price_source),
            ..self
        }
    }

    pub(super) fn tag(&self, key: &str) -> Option<&'a str> {
        self.tags.get(key)
    }
}

impl Figures {
    pub(super) fn of(entry: &LedgerEntry) -> Self {
        Self {
            attempts: entry.attempts,
            role: entry.role,
            status: entry.status,
            usage: entry.usage,
            cost: entry.cost,
            price_source: entry.price_source,
            baseline: entry.baseline,
            latency_ms: entry.latency_ms,
        }
    }

    /// Returns what an adjustment replaces; `None` for any other entry.
    pub(super) fn replaced_by(entry: &LedgerEntry) -> Option<Self> {
        let before = entry.adjusts.as_ref()?;
        Some(Self::of(entry).before(before))
    }

    /// Returns the same figures as they were before an adjustment.
    pub(super) fn before(self, adjusted: &Adjusted) -> Self {
        Self {
            cost: adjusted.cost,
            price_source: adjusted.price_source,
            baseline: adjusted.baseline,
            ..self
        }
    }
}
