//! Where the next saving is: estimates, ranked by money.
//!
//! Most come from sums (`estimate.rs`). Some take entries (`entries.rs`), which are read only if that was asked for.

mod entries;
mod estimate;
mod words;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ledger::{CostLedger, Filter, LedgerError, Totals};
use crate::model::ModelId;
use crate::money::UsdSum;
use crate::pricing::PriceBook;
use crate::report::cells::Cell;

use estimate::{Estimator, Spend};

/// Estimates below this are noise: a tenth of a cent.
const LEAST: i128 = 1_000_000_000;

/// Where estimates come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Evidence {
    #[default]
    Sums,
    /// Also what entries say, each of which is read.
    Entries,
}

/// How spend could be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lever {
    /// Calls that can wait, but are sent at once.
    Wait,
    /// Long input that the provider's cache hardly ever has, by sums.
    ProviderCache,
    /// Input that begins as one did a moment before, and was not in the cache; by entries.
    SamePrefix,
    /// A dear model, where a cheaper one may do.
    Route,
    /// Requests that are the same as an earlier one to the byte; by entries.
    Duplicates,
    /// Input that is just long enough to be billed at the rates of long contexts; by entries.
    LongContext,
    /// The priority lane.
    Priority,
    /// Calls that are sent more than once.
    Retries,
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
        }
    }
}

/// Returns what could be saved, the most money first.
pub(super) async fn find(
    cells: &[Cell],
    prices: &PriceBook,
    now: Timestamp,
    evidence: Evidence,
    (ledger, filter): (&dyn CostLedger, &Filter),
) -> Result<Vec<NextSaving>, LedgerError> {
    let spend = estimate::by_feature_model_and_lane(cells);
    let estimator = Estimator::new(prices, now, &spend);
    let mut found = Found::default();
    for part in &spend {
        for (lever, saving) in estimator.savings(part) {
            found.add(part, lever, saving);
        }
    }
    if evidence == Evidence::Entries {
        // What entries say of the cache is better than what sums let one guess.
        found.0.retain(|(_, lever), _| *lever != Lever::ProviderCache);
        entries::read(ledger, filter, &estimator, &mut found).await?;
    }
    Ok(found.ranked())
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

    fn ranked(self) -> Vec<NextSaving> {
        let worth = self.0.into_iter().filter(|(_, sum)| sum.most.as_pico() >= LEAST);
        let mut savings: Vec<_> = worth
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
