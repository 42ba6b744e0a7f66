//! Prices in TOML, in the shape of this crate's own table.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::{Draft, LoadError, LoadProblem, Meter, OpenRates, Rows, Source, fee, midnight};
use crate::lane::Lane;
use crate::pricing::fees::{Fees, Tool};
use crate::pricing::price::ALWAYS;
use crate::pricing::rates::Kind;

/// Dollars per million tokens, in pico-dollars a token.
const PER_MTOK: i32 = 6;
/// Dollars a call, in pico-dollars.
const DOLLARS: i32 = 12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default, rename = "date")]
    _date: IgnoredAny,
    #[serde(default, rename = "difference")]
    _difference: IgnoredAny,
    #[serde(default)]
    model: Vec<Model>,
    #[serde(default)]
    fee: Vec<OneFee>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    ids: Vec<Spanned<String>>,
    #[serde(default)]
    uplift_percent: u8,
    rows: Vec<Spanned<Row>>,
    #[serde(default, rename = "source")]
    _source: IgnoredAny,
    #[serde(default, rename = "verified_on")]
    _verified_on: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    lane: Lane,
    effective_from: Option<Spanned<String>>,
    #[serde(default)]
    above: u64,
    input: Spanned<String>,
    output: Spanned<String>,
    cache_read: Option<Spanned<String>>,
    cache_write: Option<Spanned<String>>,
    cache_write_12h: Option<Spanned<String>>,
    audio_input: Option<Spanned<String>>,
    audio_output: Option<Spanned<String>>,
    image_input: Option<Spanned<String>>,
    image_output: Option<Spanned<String>>,
    #[serde(default, rename = "confirmed")]
    _confirmed: IgnoredAny,
    #[serde(default, rename = "single_source")]
    _single_source: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneFee {
    tool: FeeOf,
    /// The models it holds for; all of the table if there are none.
    #[serde(default)]
    ids: Vec<String>,
    usd: Spanned<String>,
    at_most: Option<Spanned<String>>,
    #[serde(default, rename = "source")]
    _source: IgnoredAny,
    #[serde(default, rename = "verified_on")]
    _verified_on: IgnoredAny,
    #[serde(default, rename = "confirmed")]
    _confirmed: IgnoredAny,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum FeeOf {
    WebSearch,
    FileSearch,
    Container,
    Answer,
}

impl From<FeeOf> for Tool {
    fn from(of: FeeOf) -> Self {
        match of {
            FeeOf::WebSearch => Self::WebSearch,
            FeeOf::FileSearch => Self::FileSearch,
            FeeOf::Container => Self::Container,
            FeeOf::Answer => Self::Answer,
        }
    }
}

pub(super) fn read(source: Source<'_>, draft: &mut Draft) -> Result<(), LoadError> {
    let table: Table = toml::from_str(source.text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        source.error_at(at, "", LoadProblem::Syntax(error.message().to_owned()))
    })?;
    let mut fees: BTreeMap<&str, Fees> = BTreeMap::new();
    let everywhere = |fee: &&OneFee| fee.ids.is_empty();
    // What holds for all models first, so that what names a model goes over it.
    for one in table
        .fee
        .iter()
        .filter(everywhere)
        .chain(table.fee.iter().filter(|fee| !everywhere(fee)))
    {
        let least = price(source, draft, &one.usd, DOLLARS, "fee.usd")?;
        let most = one.at_most.as_ref();
        let most = most
            .map(|most| price(source, draft, most, DOLLARS, "fee.at_most"))
            .transpose()?;
        let cost = fee(least).up_to(most.unwrap_or(least));
        let of_table = || {
            table
                .model
                .iter()
                .flat_map(|model| &model.ids)
                .map(|id| id.get_ref().as_str())
        };
        let named = one.ids.iter().map(String::as_str);
        let ids: Vec<_> = if one.ids.is_empty() {
            of_table().collect()
        } else {
            named.collect()
        };
        for id in ids {
            let fees = fees.entry(id).or_insert(Fees::NONE);
            *fees = fees.with(one.tool.into(), cost);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for model in &table.model {
        for id in &model.ids {
            let name = id.get_ref();
            let wrong = |at: usize, problem| source.error_at(at, name, problem);
            if !seen.insert(name.as_str()) {
                return Err(wrong(id.span().start, LoadProblem::ModelTwice(name.clone())));
            }
            let mut rows = Rows::default();
            for row in &model.rows {
                add(source, draft, name, row, &mut rows)?;
            }
            let fees = fees.get(name.as_str()).copied().unwrap_or(Fees::NONE);
            let price = rows.price(fees, model.uplift_percent);
            let price = price.map_err(|problem| wrong(id.span().start, problem))?;
            draft.prices.push((name.as_str().into(), price));
        }
    }
    Ok(())
}

fn add(
    source: Source<'_>,
    draft: &mut Draft,
    id: &str,
    row: &Spanned<Row>,
    rows: &mut Rows,
) -> Result<(), LoadError> {
    let (span, row) = (row.span(), row.get_ref());
    let from = match &row.effective_from {
        None => ALWAYS,
        Some(date) => midnight(date.get_ref()).ok_or_else(|| {
            let problem = LoadProblem::NotADate(super::beginning(date.get_ref()));
            source.error_at(date.span().start, &format!("{id}.effective_from"), problem)
        })?,
    };
    let mut rates = OpenRates::default();
    let special = [
        ("cache_read", &row.cache_read, Kind::CacheRead),
        ("cache_write", &row.cache_write, Kind::CacheWrite),
        ("cache_write_12h", &row.cache_write_12h, Kind::CacheWrite12h),
        ("audio_input", &row.audio_input, Kind::AudioInput),
        ("audio_output", &row.audio_output, Kind::AudioOutput),
        ("image_input", &row.image_input, Kind::ImageInput),
        ("image_output", &row.image_output, Kind::ImageOutput),
    ];
    let special = special
        .into_iter()
        .filter_map(|(name, text, kind)| Some((name, text.as_ref()?, Meter::Special(kind))));
    let plain = [
        ("input", &row.input, Meter::Input),
        ("output", &row.output, Meter::Output),
    ];
    for (name, text, meter) in plain.into_iter().chain(special) {
        let pico = price(source, draft, text, PER_MTOK, &format!("{id}.{name}"))?;
        rates.set(meter, pico);
    }
    let Some(rates) = rates.whole() else { return Ok(()) };
    rows.add(row.lane, from, row.above, rates)
        .map_err(|problem| source.error_at(span.start, id, problem))
}

fn price(
    source: Source<'_>,
    draft: &mut Draft,
    text: &Spanned<String>,
    shift: i32,
    path: &str,
) -> Result<i64, LoadError> {
    let price = draft.price(text.get_ref(), shift, path);
    price.map_err(|problem| source.error_at(text.span().start, path, problem))
}
