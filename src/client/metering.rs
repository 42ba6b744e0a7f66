//! From what an answer says to what it cost.

use std::sync::Arc;

use super::bound::Bound;
use crate::lane::Lane;
use crate::ledger::{Baseline, Degradation, LedgerEntry};
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, UnpricedReason};
use crate::router::Facts;
use crate::usage::Usage;
use crate::wire::{self, ResponseView, UsageReading};

/// What an answer says of itself.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) model: Option<ModelId>,
    /// The lane that answered: `None` if the answer names no tier, `Err` if it names one that is unknown.
    pub(super) lane: Result<Option<Lane>, ()>,
    pub(super) usage: UsageReading,
}

impl Reading {
    /// Reads a whole body. One that cannot be read is booked as an answer of which nothing is known.
    pub(super) fn of_body(entry: &mut LedgerEntry, body: &[u8]) -> Self {
        let view = ResponseView::read(body);
        if view.is_none() {
            entry.degradations.push(Degradation::UnreadableResponse);
        }
        let view = view.unwrap_or_default();
        if entry.provider_id.is_none() {
            entry.provider_id = view.id().map(|id| clipped(&id));
        }
        Self {
            model: view.model_name().map(|model| named(&model)),
            lane: view.lane().map_err(|_| ()),
            usage: view.usage(),
        }
    }
}

/// Ids come from a server: a long one is cut.
pub(super) fn clipped(id: &str) -> Arc<str> {
    wire::beginning(id, 128).into()
}

/// Names of models come from users and servers: a long one is cut, so that no row grows with it.
pub(super) fn named(model: &str) -> ModelId {
    ModelId::from(wire::beginning(model, 256))
}

/// Books an answer: who served it, what was used, what that cost, what it would have cost as asked.
pub(super) fn book(
    entry: &mut LedgerEntry,
    facts: &Facts,
    bound: &Bound,
    baseline: Option<&ModelId>,
    reading: Reading,
    when_unknown: PartialReason,
) {
    entry.served_model = reading.model;
    let known_tier = reading.lane.is_ok();
    match reading.lane {
        // A batch's answers name the tier `default`, or none: the lane they came by is what is billed.
        Ok(lane) if entry.lane != Lane::Batch => entry.lane = lane.unwrap_or(entry.lane),
        Ok(_) => {}
        Err(()) => entry.degradations.push(Degradation::UnknownTier),
    }
    let usage = match reading.usage {
        UsageReading::Read(usage) => Some(usage),
        UsageReading::Inconsistent(usage, _) | UsageReading::WrongTotal(usage, _) => {
            entry.degradations.push(Degradation::UsageUnreadable);
            Some(usage)
        }
        UsageReading::Missing => {
            entry.degradations.push(Degradation::UsageMissing);
            None
        }
        UsageReading::Unreadable => {
            entry.degradations.push(Degradation::UsageUnreadable);
            None
        }
    };
    entry.usage = usage;
    let prices = &facts.prices;
    entry.price_revision = Some(prices.revision().clone());
    entry.cost = match (usage, entry.model()) {
        _ if !known_tier => Cost::Unpriced(UnpricedReason::UnknownTier),
        (_, None) => Cost::Unpriced(UnpricedReason::UnknownModel),
        (Some(usage), Some(model)) => {
            let quote = prices.quote(model, entry.lane, &usage, entry.at);
            entry.price_source = quote.source;
            if bound.caches_for_12h {
                up_to_12h(quote.cost, facts, entry, usage)
            } else {
                quote.cost
            }
        }
        (None, Some(_)) => {
            let at_most = bound.cost_of(facts, entry);
            Cost::Partial {
                known: Usd::ZERO,
                at_most,
                why: when_unknown,
            }
        }
    };
    if let (UsageReading::WrongTotal(usage, total), Cost::Priced(cost)) = (reading.usage, entry.cost) {
        // A total that is more has parts that are not told; one that is less leaves nothing sure.
        let is_more = total > usage.input_tokens.saturating_add(usage.output_tokens);
        entry.cost = Cost::Partial {
            known: if is_more { cost } else { Usd::ZERO },
            at_most: bound.cost_of(facts, entry).map(|most| most.max(cost)),
            why: PartialReason::InconsistentUsage,
        };
    }
    if matches!(entry.cost, Cost::Unpriced(reason) if reason != UnpricedReason::UnknownTier) {
        entry.degradations.push(Degradation::PriceUnknown);
    }
    if let (Some(usage), Some(actual), Some(asked)) = (usage, entry.cost.exact(), baseline) {
        entry.baseline = against(facts, entry, asked, &usage, actual);
    }
}

/// Adds what cache writes cost more if they are kept for 12 hours: an answer does not say how many of them are.
fn up_to_12h(cost: Cost, facts: &Facts, entry: &LedgerEntry, mut usage: Usage) -> Cost {
    let (Some(known), Some(model)) = (cost.exact(), entry.model()) else {
        return cost;
    };
    if usage.cache_write_tokens == 0 || usage.cache_write_12h_tokens > 0 {
        return cost;
    }
    usage.cache_write_12h_tokens = usage.cache_write_tokens;
    Cost::Partial {
        known,
        at_most: facts.prices.cost(model, entry.lane, &usage, entry.at).exact(),
        why: PartialReason::CacheLifetime,
    }
}

/// Splits what was saved by lever, in the order in which the levers are pulled: model, lane, cache.
fn against(
    facts: &Facts,
    entry: &LedgerEntry,
    asked: &ModelId,
    usage: &Usage,
    actual: Usd,
) -> Option<Baseline> {
    let uncached = usage.without_cache();
    if entry.lane == Lane::Standard && *usage == uncached && entry.model() == Some(asked) {
        return Baseline::of(actual, actual, actual, actual);
    }
    let cost = |model, lane, usage| facts.prices.cost(model, lane, usage, entry.at).exact();
    let price = |model, lane| cost(model, lane, &uncached);
    let served = entry.model()?;
    let on_its_lane = if *usage == uncached {
        actual
    } else {
        price(served, entry.lane)?
    };
    let on_standard = if entry.lane == Lane::Standard {
        on_its_lane
    } else {
        price(served, Lane::Standard)?
    };
    let baseline = Baseline::of(price(asked, Lane::Standard)?, on_standard, on_its_lane, actual)?;
    if usage.cache_write_tokens == 0 {
        return Some(baseline);
    }
    let unwritten = cost(served, entry.lane, &usage.without_cache_writes());
    let writes = unwritten.and_then(|unwritten| actual.checked_sub(unwritten));
    Some(baseline.with_cache_writes(writes.unwrap_or(Usd::ZERO)))
}
