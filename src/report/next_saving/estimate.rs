//! What sums tell: the spend of a feature on one model and lane, at other prices.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::{Clue, Totals};
use crate::model::ModelId;
use crate::money::UsdSum;
use crate::pricing::PriceBook;
use crate::report::cells::Cell;
use crate::report::next_saving::{Lever, Saving};
use crate::usage::Usage;

/// Shorter input is not cached by OpenAI, and longer in steps of `CACHED_BY`.
/// <https://platform.openai.com/docs/guides/prompt-caching>
const CACHED_FROM: u64 = 1_024;
const CACHED_BY: u64 = 128;

/// The spend of a feature on one model and lane.
#[derive(Debug)]
pub(super) struct Spend {
    pub(super) feature: Option<Arc<str>>,
    pub(super) model: Option<ModelId>,
    pub(super) lane: Option<Lane>,
    pub(super) totals: Totals,
}

impl Spend {
    pub(super) fn of(clue: Clue) -> Self {
        Self {
            feature: clue.feature,
            model: clue.model,
            lane: Some(clue.lane),
            totals: clue.totals,
        }
    }
}

pub(super) fn by_feature_model_and_lane(cells: &[Cell]) -> Vec<Spend> {
    let mut spend = BTreeMap::<_, Totals>::new();
    for cell in cells {
        let key = (&cell.feature, cell.model.as_deref(), cell.lane.as_deref());
        spend.entry(key).or_default().merge(&cell.totals);
    }
    let parts = spend.into_iter().map(|((feature, model, lane), totals)| Spend {
        feature: feature.clone(),
        model: model.map(ModelId::from),
        lane: Lane::ALL.into_iter().find(|known| lane == Some(known.as_str())),
        totals,
    });
    parts.collect()
}

/// Returns the models that answer in tokens, those with the most calls first.
fn answering(spend: &[Spend]) -> Vec<ModelId> {
    let mut calls: BTreeMap<&ModelId, u64> = BTreeMap::new();
    for part in spend {
        if let Some(model) = &part.model
            && part.totals.usage.output_tokens > 0
        {
            *calls.entry(model).or_default() += part.totals.calls;
        }
    }
    let mut models: Vec<_> = calls.into_iter().collect();
    models.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    models.into_iter().map(|(model, _)| model.clone()).collect()
}

/// Estimates by the prices of now.
#[derive(Debug)]
pub(super) struct Estimator<'a> {
    prices: &'a PriceBook,
    now: Timestamp,
    answering: Vec<ModelId>,
}

impl<'a> Estimator<'a> {
    pub(super) fn new(prices: &'a PriceBook, now: Timestamp, spend: &[Spend]) -> Self {
        Self {
            prices,
            now,
            answering: answering(spend),
        }
    }

    /// Returns what sums tell.
    pub(super) fn savings(&self, part: &Spend) -> Vec<(Lever, Saving)> {
        let all = [
            (Lever::Wait, self.wait(part)),
            (Lever::ProviderCache, self.provider_cache(part)),
            (Lever::Route, self.route(part)),
            (Lever::Priority, priority(part)),
            (Lever::Retries, retries(part)),
        ];
        let worth = |saving: &Saving| saving.most > UsdSum::ZERO;
        all.into_iter()
            .filter_map(|(lever, saving)| Some((lever, saving.filter(worth)?)))
            .collect()
    }

    /// The same calls by the batch lane, if all of them can wait.
    fn wait(&self, part: &Spend) -> Option<Saving> {
        let lane = part
            .lane
            .filter(|lane| matches!(lane, Lane::Standard | Lane::Priority))?;
        let (model, usage) = (part.model.as_ref()?, average(&part.totals)?);
        let now = self.cost(model, lane, &usage)?;
        let later = self.cost(model, Lane::Batch, &usage)?;
        saved_of(&part.totals, now, later).map(Saving::up_to)
    }

    /// The same calls with all of their input from the provider's cache, as far as it caches input of that length.
    pub(super) fn provider_cache(&self, part: &Spend) -> Option<Saving> {
        let (model, lane) = (part.model.as_ref()?, part.lane?);
        let usage = average(&part.totals)?;
        let cached = (usage.input_tokens / CACHED_BY) * CACHED_BY;
        if usage.input_tokens < CACHED_FROM || usage.cache_read_tokens * 2 >= cached {
            return None;
        }
        let mut best = usage;
        best.cache_read_tokens =
            cached.min(usage.input_tokens - usage.audio_input_tokens.min(usage.input_tokens));
        best.cache_write_tokens = 0;
        best.cache_write_12h_tokens = 0;
        let (now, then) = (self.cost(model, lane, &usage)?, self.cost(model, lane, &best)?);
        saved_of(&part.totals, now, then).map(Saving::up_to)
    }

    /// The same calls by the cheaper model that this ledger knows best.
    fn route(&self, part: &Spend) -> Option<Saving> {
        let (model, lane) = (part.model.as_ref()?, part.lane?);
        if !self.answering.contains(model) {
            return None;
        }
        let usage = average(&part.totals)?;
        let now = self.cost(model, lane, &usage)?;
        let cheaper = |other: &&ModelId| {
            let order = self.prices.compare(other, model, self.now);
            order == Some(std::cmp::Ordering::Less)
        };
        let other = self.answering.iter().find(cheaper)?;
        let most = saved_of(&part.totals, now, self.cost(other, lane, &usage)?)?;
        Some(Saving {
            model: Some(other.clone()),
            ..Saving::up_to(most)
        })
    }

    /// The same calls, a tenth shorter.
    pub(super) fn shorter(&self, part: &Spend) -> Option<Saving> {
        let (model, lane) = (part.model.as_ref()?, part.lane?);
        let mut usage = average(&part.totals)?;
        let tenth = usage.input_tokens / 10;
        let rates = |input| self.prices.rates(model, lane, input, self.now).ok();
        if rates(usage.input_tokens)? == rates(usage.input_tokens - tenth)? {
            return None;
        }
        let now = self.cost(model, lane, &usage)?;
        usage.input_tokens -= tenth;
        usage.cache_read_tokens = usage.cache_read_tokens.min(usage.input_tokens);
        saved_of(&part.totals, now, self.cost(model, lane, &usage)?).map(Saving::up_to)
    }

    /// What a budget holds more than the same calls used, if they allow so many output tokens in all.
    pub(super) fn held_in_vain(&self, part: &Spend, allowed: u64) -> Option<UsdSum> {
        let (model, lane) = (part.model.as_ref()?, part.lane?);
        let used = average(&part.totals)?;
        let mut most = used;
        most.output_tokens = allowed.checked_div(part.totals.calls)?;
        let more = self.cost(model, lane, &most)? - self.cost(model, lane, &used)?;
        let more = more.checked_mul(part.totals.calls.into())?;
        Some(UsdSum::from_pico(more))
    }

    fn cost(&self, model: &ModelId, lane: Lane, usage: &Usage) -> Option<i128> {
        let cost = self.prices.cost(model, lane, usage, self.now).exact()?;
        Some(cost.as_pico().into())
    }
}

/// What the lane was dearer by, as it was booked: exactly, unless the cache made it less.
fn priority(part: &Spend) -> Option<Saving> {
    let savings = &part.totals.savings;
    let more = UsdSum::ZERO.saturating_sub(savings.lane);
    let saving = if savings.cache == UsdSum::ZERO {
        Saving::exactly(more)
    } else {
        Saving::up_to(more.min(part.totals.cost))
    };
    (part.lane == Some(Lane::Priority)).then_some(saving)
}

/// What attempts without an answer can have cost.
fn retries(part: &Spend) -> Option<Saving> {
    let repeated = part.totals.attempts > part.totals.calls;
    repeated.then_some(Saving::up_to(part.totals.coverage.open))
}

/// Returns the part of the known cost that is saved if what costs `now` costs `then`.
fn saved_of(totals: &Totals, now: i128, then: i128) -> Option<UsdSum> {
    let saved = totals.cost.as_pico().checked_mul(now - then)?;
    saved.checked_div(now).map(UsdSum::from_pico)
}

/// Returns what a call used on the average, over those that carry counts: context bands are chosen by the call.
fn average(totals: &Totals) -> Option<Usage> {
    let calls = totals.calls.checked_sub(totals.coverage.without_usage)?;
    let usage = &totals.usage;
    let of = |sum: u64| sum.checked_div(calls);
    let mut average = Usage::new(of(usage.input_tokens)?, of(usage.output_tokens)?);
    average.cache_read_tokens = of(usage.cache_read_tokens)?;
    average.cache_write_tokens = of(usage.cache_write_tokens)?;
    average.cache_write_12h_tokens = of(usage.cache_write_12h_tokens)?;
    average.reasoning_tokens = of(usage.reasoning_tokens)?;
    average.audio_input_tokens = of(usage.audio_input_tokens)?;
    average.audio_output_tokens = of(usage.audio_output_tokens)?;
    average.image_input_tokens = of(usage.image_input_tokens)?;
    average.image_output_tokens = of(usage.image_output_tokens)?;
    Some(average)
}
