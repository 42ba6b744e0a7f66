//! The price map of `litellm`: an object by model, whose keys name meter, band and lane.

use std::collections::BTreeMap;

use super::json::Value;
use super::{Draft, LoadError, LoadProblem, Meter, OpenRates, Rows, Source, fee};
use crate::lane::Lane;
use crate::pricing::fees::{Fees, Tool};
use crate::pricing::price::ALWAYS;
use crate::pricing::rates::Kind;

/// Dollars a token, or a call, in pico-dollars.
const DOLLARS: i32 = 12;

const METERS: [(&str, Meter); 8] = [
    ("input_cost_per_token", Meter::Input),
    ("output_cost_per_token", Meter::Output),
    ("cache_read_input_token_cost", Meter::Special(Kind::CacheRead)),
    (
        "cache_creation_input_token_cost",
        Meter::Special(Kind::CacheWrite),
    ),
    ("input_cost_per_audio_token", Meter::Special(Kind::AudioInput)),
    ("output_cost_per_audio_token", Meter::Special(Kind::AudioOutput)),
    ("input_cost_per_image_token", Meter::Special(Kind::ImageInput)),
    ("output_cost_per_image_token", Meter::Special(Kind::ImageOutput)),
];

pub(super) fn read(source: Source<'_>, provider: &str, draft: &mut Draft) -> Result<(), LoadError> {
    let list = Value::read(source)?;
    let prefix = format!("{provider}/");
    let mut models = BTreeMap::new();
    for (key, entry) in list.members()? {
        if !entry.is_object() {
            continue;
        }
        let members = entry.members()?;
        let of = |name: &str| {
            members
                .iter()
                .find(|(other, _)| other == name)
                .map(|(_, value)| value)
        };
        let owner = of("litellm_provider").map(Value::text).transpose()?;
        if owner.as_deref() != Some(provider) {
            continue;
        }
        let mode = of("mode").map(Value::text).transpose()?;
        let is_embedding = mode.as_deref() == Some("embedding");
        let Some(model) = Model::read(&entry, &members, is_embedding, draft)? else {
            continue;
        };
        let id = key.strip_prefix(&prefix).unwrap_or(&key);
        // Where a model is there with the provider in front and without, the latter is what the provider calls it.
        if id == key {
            if models.insert(id.to_owned(), model).is_some() {
                draft.left_out(&format!("{prefix}{id}"));
            }
        } else if models.contains_key(id) {
            draft.left_out(entry.path());
        } else {
            models.insert(id.to_owned(), model);
        }
    }
    if models.is_empty() {
        return Err(list.error(LoadProblem::NoProvider(provider.to_owned())));
    }
    for (id, (rows, fees, uplift)) in models {
        let price = rows.price(fees, uplift).map_err(|problem| list.error(problem))?;
        draft.prices.push((id.into(), price));
    }
    Ok(())
}

/// What of a model is read first: its rates by lane and band.
struct Model;

impl Model {
    fn read(
        entry: &Value<'_>,
        members: &[(String, Value<'_>)],
        is_embedding: bool,
        draft: &mut Draft,
    ) -> Result<Option<(Rows, Fees, u8)>, LoadError> {
        let mut bands: BTreeMap<(Lane, u64), OpenRates> = BTreeMap::new();
        let (mut fees, mut uplift) = (Fees::NONE, 0);
        for (key, value) in members {
            let path = value.path();
            if let Some((meter, above, lane)) = place(key) {
                let pico = draft
                    .price(value.number()?, DOLLARS, path)
                    .map_err(|problem| value.error(problem))?;
                bands.entry((lane, above)).or_default().set(meter, pico);
            } else if key == "search_context_cost_per_query" {
                match search_fee(value, draft)? {
                    Some(pico) => fees = fees.with(Tool::WebSearch, fee(pico)),
                    None => draft.left_out(path),
                }
            } else if key == "regional_processing_uplift_multiplier_us" {
                let percent = draft
                    .price(value.number()?, 2, path)
                    .map_err(|problem| value.error(problem))?;
                match u8::try_from(percent - 100) {
                    Ok(percent) => uplift = percent,
                    Err(_) => draft.left_out(path),
                }
            } else if key.contains("_cost") {
                draft.left_out(path);
            }
        }
        let mut rows = Rows::default();
        for ((lane, above), rates) in &bands {
            let base = bands.get(&(*lane, 0)).copied().unwrap_or_default();
            let mut rates = rates.or(&base);
            if is_embedding {
                rates.output = rates.output.or(Some(0));
            }
            match rates.whole().filter(|_| base.input.is_some()) {
                Some(rates) => rows
                    .add(*lane, ALWAYS, *above, rates)
                    .map_err(|problem| entry.error(problem))?,
                None => draft.left_out(&format!("{} ({lane})", entry.path())),
            }
        }
        Ok((!rows.0.is_empty()).then_some((rows, fees, uplift)))
    }
}

/// A search costs the same whatever its context, or there is no fee of a search.
fn search_fee(value: &Value<'_>, draft: &mut Draft) -> Result<Option<i64>, LoadError> {
    let mut fees = Vec::new();
    for (_, size) in value.members()? {
        let fee = draft.price(size.number()?, DOLLARS, size.path());
        fees.push(fee.map_err(|problem| size.error(problem))?);
    }
    Ok(fees
        .first()
        .copied()
        .filter(|first| fees.iter().all(|fee| fee == first)))
}

/// Reads a key such as `output_cost_per_token_above_272k_tokens_flex`; `None` if it names something else.
fn place(key: &str) -> Option<(Meter, u64, Lane)> {
    let (meter, mut rest) = METERS
        .into_iter()
        .find_map(|(name, meter)| Some((meter, key.strip_prefix(name)?)))?;
    let mut meter = meter;
    if meter == Meter::Special(Kind::CacheWrite)
        && let Some(after) = rest.strip_prefix("_above_12hr")
    {
        (meter, rest) = (Meter::Special(Kind::CacheWrite12h), after);
    }
    let mut above = 0;
    if let Some(band) = rest.strip_prefix("_above_") {
        let (thousands, after) = band.split_once("k_tokens")?;
        above = thousands.parse::<u64>().ok()?.checked_mul(1_000)?;
        rest = after;
    }
    let lane = match rest {
        "" => Lane::Standard,
        "_batches" => Lane::Batch,
        "_flex" => Lane::Flex,
        "_priority" => Lane::Priority,
        _ => return None,
    };
    Some((meter, above, lane))
}
