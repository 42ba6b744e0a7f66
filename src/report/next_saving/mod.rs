//! Where the next saving is: estimates, ranked by money.
//!
//! Most come from sums, some from the clues that a ledger finds by comparing entries (`estimate.rs`).

mod estimate;
mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ledger::{Clue, ClueKind, Totals};
use crate::model::ModelId;
use crate::money::UsdSum;
use crate::pricing::PriceBook;
use crate::report::cells::Cell;

use estimate::{Estimator, Spend};

/// Estimates below this are noise: a tenth of a cent.
const LEAST: i128 = 1_000_000_000;

/// What budgets hold in vain is not told below a cent.
const LEAST_HELD: i128 = 10_000_000_000;

/// How spend could be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lever {
    /// Calls that can wait, but are sent at once.
    Wait,
    /// Long input that the provider's cache hardly ever has, by sums.
    ProviderCache,
    /// Input that begins as one did a moment before, and was not in the cache; by clues.
    SamePrefix,
    /// A dear model, where a cheaper one may do.
    Route,
    /// Requests that are the same as an earlier one to the byte; by clues.
    Duplicates,
    /// Input that is just long enough to be billed at the rates of long contexts; by clues.
    LongContext,
    /// The priority lane.
    Priority,
    /// Calls that are sent more than once.
    Retries,
    /// Limits of output far above what is used, which cost nothing but room; by clues.
    OutputLimit,
}

/// What one lever could save of one feature's spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextSaving {
    pub(super) feature: Option<Arc<str>>,
    pub(super) lever: Lever,
    /// What is known to have been spent on the calls that the lever is for; for repeats, what can have been.
    pub(super) addressable: UsdSum,
    pub(super) at_least: UsdSum,
    pub(super) at_most: UsdSum,
    pub(super) evidence: String,
    pub(super) change: String,
}

impl Lever {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::ProviderCache => "provider_cache",
            Self::SamePrefix => "same_prefix",
            Self::Route => "route",
            Self::Duplicates => "duplicates",
            Self::LongContext => "long_context",
            Self::Priority => "priority",
            Self::Retries => "retries",
            Self::OutputLimit => "output_limit",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Wait => "Can it wait?",
            Self::ProviderCache => "Same beginning first",
            Self::SamePrefix => "Same beginning missed",
            Self::Route => "A cheaper model",
            Self::Duplicates => "Asked before",
            Self::LongContext => "Just too long",
            Self::Priority => "Priority without need",
            Self::Retries => "Retries",
            Self::OutputLimit => "More room than used",
        }
    }
}

/// Returns what could be saved, the most money first.
pub(super) fn find(cells: &[Cell], clues: Vec<Clue>, prices: &PriceBook, now: Timestamp) -> Vec<NextSaving> {
    let spend = estimate::by_feature_model_and_lane(cells);
    let estimator = Estimator::new(prices, now, &spend);
    let mut found = Found::default();
    for part in &spend {
        for (lever, saving) in estimator.savings(part) {
            found.add(part, lever, saving);
        }
    }
    let mut room = Room::default();
    for clue in clues {
        let (kind, allowed) = (clue.kind, clue.allowed_tokens);
        let mut part = Spend::of(clue);
        part.totals.cost = room.take(&spend, kind, &part);
        match kind {
            ClueKind::Repeated => found.add(&part, Lever::Duplicates, Saving::exactly(part.totals.cost)),
            ClueKind::MissedPrefix => {
                if let Some(saving) = estimator.provider_cache(&part) {
                    found.add(&part, Lever::SamePrefix, saving);
                }
            }
            ClueKind::LongInput { .. } => {
                if let Some(saving) = estimator.shorter(&part) {
                    found.add(&part, Lever::LongContext, saving);
                }
            }
            ClueKind::UnusedOutput => {
                if let Some(held) = estimator.held_in_vain(&part, allowed) {
                    found.add(&part, Lever::OutputLimit, Saving::up_to(UsdSum::ZERO));
                    found.hold(&part, allowed, held);
                }
            }
        }
    }
    found.ranked()
}

/// What one part of the spend could save.
#[derive(Debug)]
struct Saving {
    least: UsdSum,
    most: UsdSum,
    /// Which model to ask instead.
    model: Option<ModelId>,
}

impl Saving {
    const fn up_to(most: UsdSum) -> Self {
        Self {
            least: UsdSum::ZERO,
            most,
            model: None,
        }
    }

    const fn exactly(amount: UsdSum) -> Self {
        Self {
            least: amount,
            most: amount,
            model: None,
        }
    }
}

/// What is left of the spend of a feature on one model and lane for further clues of a kind.
///
/// Clues have costs as they were first booked, which corrections can have made smaller.
#[derive(Debug, Default)]
struct Room(HashMap<(Discriminant<ClueKind>, usize), UsdSum>);

impl Room {
    /// Returns the cost of a part, or what is left for it.
    fn take(&mut self, spend: &[Spend], kind: ClueKind, part: &Spend) -> UsdSum {
        let is_same =
            |all: &Spend| (&all.feature, &all.model, all.lane) == (&part.feature, &part.model, part.lane);
        let Some((at, all)) = spend.iter().enumerate().find(|(_, all)| is_same(all)) else {
            return UsdSum::ZERO;
        };
        let left = self.0.entry((discriminant(&kind), at)).or_insert(all.totals.cost);
        let taken = part.totals.cost.min(*left);
        *left = left.saturating_sub(taken);
        taken
    }
}

/// Savings by feature and lever.
#[derive(Debug, Default)]
struct Found(BTreeMap<(Option<Arc<str>>, Lever), Sum>);

#[derive(Debug, Default)]
struct Sum {
    totals: Totals,
    least: UsdSum,
    most: UsdSum,
    /// The model that saves the most, and how much.
    model: Option<(UsdSum, ModelId)>,
    /// How many output tokens were allowed, and what budgets held for those that were not used.
    allowed: u64,
    held: UsdSum,
    /// How many calls are known to have missed the cache, where sums say what that costs.
    missed: u64,
}

impl Sum {
    fn addressable(&self, lever: Lever) -> UsdSum {
        let known = self.totals.cost;
        match lever {
            // What an attempt without an answer cost is not known.
            Lever::Retries => known.saturating_add(self.totals.coverage.open),
            _ => known,
        }
    }
}

impl Found {
    fn add(&mut self, part: &Spend, lever: Lever, saving: Saving) {
        let sum = self.0.entry((part.feature.clone(), lever)).or_default();
        sum.totals.merge(&part.totals);
        sum.least += saving.least;
        sum.most += saving.most;
        let better = |best: &(UsdSum, ModelId)| saving.most > best.0;
        if let Some(model) = saving.model
            && sum.model.as_ref().is_none_or(better)
        {
            sum.model = Some((saving.most, model));
        }
    }

    fn hold(&mut self, part: &Spend, allowed: u64, held: UsdSum) {
        let key = (part.feature.clone(), Lever::OutputLimit);
        let sum = self.0.entry(key).or_default();
        sum.allowed = sum.allowed.saturating_add(allowed);
        sum.held += held;
    }

    /// Keeps of what sums and clues say of the cache what saves more. What sums say then has the calls of the clues too.
    fn one_row_for_the_cache(&mut self) {
        let by_clues = self
            .0
            .iter()
            .filter(|((_, lever), _)| *lever == Lever::SamePrefix);
        let missed: Vec<_> = by_clues
            .map(|((feature, _), sum)| (feature.clone(), sum.most, sum.totals.calls))
            .collect();
        for (feature, most, calls) in missed {
            let (by_sums, by_clues) = (
                (feature.clone(), Lever::ProviderCache),
                (feature, Lever::SamePrefix),
            );
            match self.0.get_mut(&by_sums) {
                Some(sum) if sum.most > most => {
                    sum.missed = calls;
                    self.0.remove(&by_clues);
                }
                _ => {
                    self.0.remove(&by_sums);
                }
            }
        }
    }

    fn ranked(mut self) -> Vec<NextSaving> {
        self.one_row_for_the_cache();
        self.0.retain(|(_, lever), sum| match lever {
            Lever::OutputLimit => sum.held.as_pico() >= LEAST_HELD,
            _ => sum.most.as_pico() >= LEAST,
        });
        let mut savings: Vec<_> = self
            .0
            .into_iter()
            .map(|((feature, lever), sum)| {
                let (evidence, change) = sum.words(lever);
                NextSaving {
                    feature,
                    lever,
                    addressable: sum.addressable(lever),
                    at_least: sum.least,
                    at_most: sum.most,
                    evidence,
                    change,
                }
            })
            .collect();
        savings.sort_by_key(|saving| (Reverse(saving.at_most), saving.lever));
        savings
    }
}

#[cfg(test)]
mod tests;
