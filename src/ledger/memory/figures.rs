//! Tokens and money of a row.

use super::packing::{Packer, Unpacker};
use crate::id::EntryId;
use crate::ledger::{Adjusted, Baseline};
use crate::money::{Usd, UsdSum};
use crate::pricing::Cost;
use crate::usage::{ToolCalls, Usage};

pub(super) fn pack_usage(packer: &mut Packer, usage: &Usage) {
    let Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        audio_input_tokens,
        audio_output_tokens,
        cache_write_12h_tokens,
        image_input_tokens,
        image_output_tokens,
        tool_calls,
    } = *usage;
    packer.number(input_tokens);
    packer.number(output_tokens);
    for count in [
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        audio_input_tokens,
        audio_output_tokens,
        cache_write_12h_tokens,
        image_input_tokens,
        image_output_tokens,
    ] {
        packer.option(Some(count).filter(|count| *count > 0), Packer::number);
    }
    packer.option(Some(tool_calls).filter(|calls| !calls.is_none()), pack_tool_calls);
}

pub(super) fn unpack_usage(row: &mut Unpacker<'_>) -> Option<Usage> {
    let (input_tokens, output_tokens) = (row.number()?, row.number()?);
    let mut count = || Some(row.option(Unpacker::number)?.unwrap_or(0));
    Some(Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens: count()?,
        cache_write_tokens: count()?,
        reasoning_tokens: count()?,
        audio_input_tokens: count()?,
        audio_output_tokens: count()?,
        cache_write_12h_tokens: count()?,
        image_input_tokens: count()?,
        image_output_tokens: count()?,
        tool_calls: row.option(unpack_tool_calls)?.unwrap_or_default(),
    })
}

fn pack_tool_calls(packer: &mut Packer, calls: ToolCalls) {
    let ToolCalls {
        web_search,
        file_search,
        container,
        other,
    } = calls;
    for count in [web_search, file_search, container, other] {
        packer.number(count);
    }
}

fn unpack_tool_calls(row: &mut Unpacker<'_>) -> Option<ToolCalls> {
    Some(ToolCalls {
        web_search: row.number()?,
        file_search: row.number()?,
        container: row.number()?,
        other: row.number()?,
    })
}

pub(super) fn pack_cost(packer: &mut Packer, cost: &Cost) {
    match *cost {
        Cost::Priced(cost) => {
            packer.bits(0, 2);
            packer.money(cost);
        }
        Cost::Unpriced(why) => {
            packer.bits(1, 2);
            packer.code(why);
        }
        Cost::Partial { known, at_most, why } => {
            packer.bits(2, 2);
            packer.money(known);
            packer.option(at_most, Packer::money);
            packer.code(why);
        }
    }
}

pub(super) fn unpack_cost(row: &mut Unpacker<'_>) -> Option<Cost> {
    Some(match row.bits(2) {
        0 => Cost::Priced(row.money()?),
        1 => Cost::Unpriced(row.code()?),
        _ => Cost::Partial {
            known: row.money()?,
            at_most: row.option(Unpacker::money)?,
            why: row.code()?,
        },
    })
}

/// A baseline that its levers explain, down to the actual cost, is not written: the levers are.
pub(super) fn pack_baseline(packer: &mut Packer, baseline: Baseline, actual: &Cost) {
    let Baseline {
        cost,
        routing,
        lane,
        cache,
        cache_writes,
    } = baseline;
    let explained = explained(actual, [routing, lane, cache]);
    packer.option(Some(cost).filter(|cost| explained != Some(*cost)), Packer::money);
    for lever in [routing, lane, cache] {
        packer.money(lever);
    }
    packer.option(
        Some(cache_writes).filter(|cost| *cost != Usd::ZERO),
        Packer::money,
    );
}

pub(super) fn unpack_baseline(row: &mut Unpacker<'_>, actual: &Cost) -> Option<Baseline> {
    let cost = row.option(Unpacker::money)?;
    let levers = [row.money()?, row.money()?, row.money()?];
    let [routing, lane, cache] = levers;
    Some(Baseline {
        cost: cost.or_else(|| explained(actual, levers))?,
        routing,
        lane,
        cache,
        cache_writes: row.option(Unpacker::money)?.unwrap_or(Usd::ZERO),
    })
}

/// Returns the baseline that the levers and an exact cost add up to.
fn explained(actual: &Cost, levers: [Usd; 3]) -> Option<Usd> {
    let sum = levers
        .into_iter()
        .fold(UsdSum::from(actual.exact()?), |sum, lever| sum + lever);
    i64::try_from(sum.as_pico()).ok().map(Usd::from_pico)
}

/// Packed with flags of its own: few rows have one.
pub(super) fn pack_adjusted(packer: &mut Packer, adjusted: &Adjusted) {
    let Adjusted {
        entry,
        cost,
        price_source,
        baseline,
    } = adjusted;
    let mut own = Packer::default();
    own.body.extend_from_slice(&entry.to_bytes());
    pack_cost(&mut own, cost);
    own.option(*price_source, Packer::code);
    own.option(*baseline, |packer, baseline| {
        pack_baseline(packer, baseline, cost);
    });
    packer.number(own.flags(0));
    packer.body.extend_from_slice(&own.body);
}

pub(super) fn unpack_adjusted(row: &mut Unpacker<'_>) -> Option<Adjusted> {
    let mut own = Unpacker::new(row.number()?, 0, row.body);
    let (entry, rest) = own.body.split_first_chunk()?;
    own.body = rest;
    let cost = unpack_cost(&mut own)?;
    let adjusted = Adjusted {
        entry: EntryId::from_bytes(*entry),
        cost,
        price_source: own.option(Unpacker::code)?,
        baseline: own.option(|own| unpack_baseline(own, &cost))?,
    };
    row.body = own.body;
    Some(adjusted)
}
