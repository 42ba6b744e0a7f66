//! The data of genai-prices: an array of providers, whose models have prices, variants of them and rules for their ids.

use std::collections::BTreeSet;

use super::json::Value;
use super::{Draft, LoadError, LoadProblem, Meter, OpenRates, Rows, Source, fee};
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::pricing::fees::{Fees, Tool};
use crate::pricing::price::ALWAYS;
use crate::pricing::rates::Kind;

/// Dollars per million tokens, in pico-dollars a token.
const PER_MTOK: i32 = 6;
/// Dollars per thousand calls, in pico-dollars a call.
const PER_THOUSAND: i32 = 9;

pub(super) fn read(source: Source<'_>, provider: &str, draft: &mut Draft) -> Result<(), LoadError> {
    let list = Value::read(source)?;
    let mut seen = BTreeSet::new();
    for owner in list.items()? {
        let id = owner.member("id")?.map(|id| id.text()).transpose()?;
        if id.as_deref() != Some(provider) {
            continue;
        }
        let models = owner
            .member("models")?
            .ok_or_else(|| owner.error(LoadProblem::Expected("models")))?;
        for model in models.items()? {
            read_model(&model, &mut seen, draft)?;
        }
    }
    if draft.prices.is_empty() {
        return Err(list.error(LoadProblem::NoProvider(provider.to_owned())));
    }
    Ok(())
}

fn read_model(model: &Value<'_>, seen: &mut BTreeSet<String>, draft: &mut Draft) -> Result<(), LoadError> {
    let missing = |what| move || model.error(LoadProblem::Expected(what));
    let id = model.member("id")?.ok_or_else(missing("an id"))?.text()?;
    let prices = model.member("prices")?.ok_or_else(missing("prices"))?;
    let is_embedding = id.contains("embed");
    let mut ids = BTreeSet::from([id]);
    if let Some(rule) = model.member("match")? {
        equals(&rule, &mut ids)?;
    }
    let mut fees = Fees::NONE;
    let mut rows = Rows::default();
    let dated = if prices.is_array() {
        prices.items()?
    } else {
        Vec::new()
    };
    if dated.is_empty() {
        let row = Row::read(&prices, is_embedding, draft)?;
        row.add_to(&mut rows, Lane::Standard, ALWAYS, draft)?;
        fees = row.fees;
    }
    for priced in dated {
        let Some(prices) = priced.member("prices")? else {
            return Err(priced.error(LoadProblem::Expected("prices")));
        };
        let Some(from) = beginning(&priced, draft)? else {
            continue;
        };
        let row = Row::read(&prices, is_embedding, draft)?;
        row.add_to(&mut rows, Lane::Standard, from, draft)?;
        fees = row.fees;
    }
    for variant in model
        .member("price_variants")?
        .map(|all| all.items())
        .transpose()?
        .unwrap_or_default()
    {
        read_variant(&variant, &mut rows, is_embedding, draft)?;
    }
    if rows.0.is_empty() {
        return Ok(());
    }
    let price = rows.price(fees, 0).map_err(|problem| model.error(problem))?;
    for id in ids {
        // The first model that an id belongs to has it.
        if seen.insert(id.clone()) {
            draft.prices.push((id.into(), price.clone()));
        }
    }
    Ok(())
}

/// Reads the price of another lane. A variant for anything else is left out.
fn read_variant(
    variant: &Value<'_>,
    rows: &mut Rows,
    is_embedding: bool,
    draft: &mut Draft,
) -> Result<(), LoadError> {
    let mut lane = None;
    if let Some(when) = variant.member("when")? {
        let conditions = when.members()?;
        if let [(name, value)] = conditions.as_slice() {
            let value = value.text()?;
            lane = match name.as_str() {
                "service_tier" | "processing" => Lane::from_service_tier(&value),
                _ => None,
            };
        }
    }
    let (Some(lane), Some(prices)) = (lane, variant.member("prices")?) else {
        draft.left_out(variant.path());
        return Ok(());
    };
    if lane == Lane::Standard {
        return Ok(());
    }
    let Some(from) = beginning(variant, draft)? else {
        return Ok(());
    };
    Row::read(&prices, is_embedding, draft)?.add_to(rows, lane, from, draft)
}

/// Collects the ids that a rule compares for equality.
fn equals(rule: &Value<'_>, ids: &mut BTreeSet<String>) -> Result<(), LoadError> {
    let mut rules = vec![rule.clone()];
    while let Some(rule) = rules.pop() {
        for (name, value) in rule.members()? {
            match name.as_str() {
                "equals" => drop(ids.insert(value.text()?)),
                "or" => rules.extend(value.items()?),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Says from when on a price holds; `None` if it holds only at some hours of a day, and is left out.
fn beginning(priced: &Value<'_>, draft: &mut Draft) -> Result<Option<Timestamp>, LoadError> {
    let Some(constraint) = priced.member("constraint")? else {
        return Ok(Some(ALWAYS));
    };
    let Some(date) = constraint.member("start_date")? else {
        draft.left_out(priced.path());
        return Ok(None);
    };
    let text = date.text()?;
    match super::midnight(&text) {
        Some(from) => Ok(Some(from)),
        None => Err(date.error(LoadProblem::NotADate(text))),
    }
}

/// The prices of one lane from one day on: rates by band, each of them without what it lacks, and fees.
struct Row<'a> {
    value: &'a Value<'a>,
    bands: Vec<(u64, OpenRates)>,
    fees: Fees,
}

impl<'a> Row<'a> {
    fn read(prices: &'a Value<'a>, is_embedding: bool, draft: &mut Draft) -> Result<Self, LoadError> {
        let mut rates: Vec<(Meter, Vec<(u64, i64)>)> = Vec::new();
        let (mut fees, mut starts) = (Fees::NONE, BTreeSet::from([0]));
        for (name, value) in prices.members()? {
            let path = value.path();
            let mut price = |value: &Value<'_>, shift| {
                let price = draft.price(value.number()?, shift, value.path());
                price.map_err(|problem| value.error(problem))
            };
            match name.as_str() {
                "web_searches_kcount" => fees = fees.with(Tool::WebSearch, fee(price(&value, PER_THOUSAND)?)),
                "storage_searches_kcount" => {
                    fees = fees.with(Tool::FileSearch, fee(price(&value, PER_THOUSAND)?));
                }
                _ => match meter(&name) {
                    None => draft.left_out(path),
                    Some(meter) => {
                        let tiers = tiers(&value, |value| price(value, PER_MTOK))?;
                        starts.extend(tiers.iter().map(|(start, _)| *start));
                        rates.push((meter, tiers));
                    }
                },
            }
        }
        let band = |start: u64| {
            let mut open = OpenRates::default();
            for (meter, tiers) in &rates {
                let reached = tiers.iter().filter(|(from, _)| *from <= start);
                if let Some((_, pico)) = reached.max_by_key(|(from, _)| *from) {
                    open.set(*meter, *pico);
                }
            }
            if is_embedding {
                open.output = open.output.or(Some(0));
            }
            (start, open)
        };
        Ok(Self {
            value: prices,
            bands: starts.into_iter().map(band).collect(),
            fees,
        })
    }

    /// Adds the bands that can stand alone.
    fn add_to(
        &self,
        rows: &mut Rows,
        lane: Lane,
        from: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), LoadError> {
        for (above, rates) in &self.bands {
            match rates.whole() {
                Some(rates) => rows
                    .add(lane, from, *above, rates)
                    .map_err(|problem| self.value.error(problem))?,
                None => draft.left_out(self.value.path()),
            }
        }
        Ok(())
    }
}

fn meter(name: &str) -> Option<Meter> {
    Some(match name {
        "input_mtok" => Meter::Input,
        "output_mtok" => Meter::Output,
        "cache_read_mtok" => Meter::Special(Kind::CacheRead),
        "cache_write_mtok" => Meter::Special(Kind::CacheWrite),
        "input_audio_mtok" => Meter::Special(Kind::AudioInput),
        "output_audio_mtok" => Meter::Special(Kind::AudioOutput),
        "input_image_mtok" => Meter::Special(Kind::ImageInput),
        "output_image_mtok" => Meter::Special(Kind::ImageOutput),
        _ => return None,
    })
}

/// Reads a price, or a price by the input it holds above.
fn tiers(
    value: &Value<'_>,
    mut price: impl FnMut(&Value<'_>) -> Result<i64, LoadError>,
) -> Result<Vec<(u64, i64)>, LoadError> {
    if !value.is_object() {
        return Ok(vec![(0, price(value)?)]);
    }
    let missing = |what| move || value.error(LoadProblem::Expected(what));
    let base = value.member("base")?.ok_or_else(missing("a base"))?;
    let mut tiers = vec![(0, price(&base)?)];
    for tier in value.member("tiers")?.ok_or_else(missing("tiers"))?.items()? {
        let start = tier
            .member("start")?
            .ok_or_else(missing("a start of each tier"))?;
        let rate = tier
            .member("price")?
            .ok_or_else(missing("a price of each tier"))?;
        let start_count = start.count()?;
        if tiers.iter().any(|(other, _)| *other == start_count) {
            return Err(start.error(LoadProblem::Expected("a start of its own for each tier")));
        }
        tiers.push((start_count, price(&rate)?));
    }
    Ok(tiers)
}
