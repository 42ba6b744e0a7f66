//! What the two sources of the table say, cell by cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use regex::Regex;
use serde_json::Value;
use thrifty::Lane;

/// One rate of one model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) id: String,
    pub(crate) lane: Lane,
    pub(crate) above: u64,
    pub(crate) meter: &'static str,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.lane)?;
        if self.above > 0 {
            write!(f, " above {}", self.above)?;
        }
        write!(f, " {}", self.meter)
    }
}

/// Pico-dollars a token by cell.
pub(crate) type Rates = BTreeMap<Cell, i64>;

/// What a source says of OpenAI's chat, reasoning and embedding models.
pub(crate) struct Source {
    pub(crate) rates: Rates,
    /// What a search of the web costs, in pico-dollars, by model.
    pub(crate) searches: BTreeMap<String, i64>,
    pub(crate) models: Vec<Model>,
}

/// A model of a source: an id, or rules for ids.
pub(crate) enum Model {
    Id(String),
    Rules(Value),
}

impl Source {
    /// Whether the source knows a model.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.models.iter().any(|model| match model {
            Model::Id(known) => known == id,
            Model::Rules(rules) => holds(rules, id),
        })
    }
}

/// Returns who is in the price map of `litellm`.
pub(crate) fn litellm_providers(json: &str) -> BTreeSet<String> {
    let list: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
    let providers = list.values().filter_map(|entry| entry.get("litellm_provider"));
    providers.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns who is in the data of `genai-prices`.
pub(crate) fn genai_providers(json: &str) -> BTreeSet<String> {
    let list: Vec<Value> = serde_json::from_str(json).unwrap();
    let ids = list.iter().filter_map(|provider| provider.get("id"));
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Reads the price map of `litellm`.
pub(crate) fn litellm(json: &str) -> Source {
    let list: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
    let (mut rates, mut searches, mut models) = (Rates::new(), BTreeMap::new(), Vec::new());
    for (id, entry) in &list {
        let is = |name: &str, values: &[&str]| {
            let value = entry.get(name).and_then(Value::as_str);
            value.is_some_and(|value| values.contains(&value))
        };
        if !is("litellm_provider", &["openai"]) || !is("mode", &["chat", "responses", "embedding"]) {
            continue;
        }
        models.push(Model::Id(id.clone()));
        let search = entry.pointer("/search_context_cost_per_query/search_context_size_medium");
        if let Some(dollars) = search.and_then(Value::as_f64) {
            searches.insert(id.clone(), pico(dollars, 1e12));
        }
        for (key, value) in entry.as_object().unwrap() {
            if let (Some((meter, above, lane)), Some(dollars)) = (litellm_key(key), value.as_f64()) {
                let id = id.clone();
                let cell = Cell {
                    id,
                    lane,
                    above,
                    meter,
                };
                rates.insert(cell, pico(dollars, 1e12));
            }
        }
    }
    Source {
        rates,
        searches,
        models,
    }
}

fn litellm_key(key: &str) -> Option<(&'static str, u64, Lane)> {
    const METERS: [(&str, &str); 7] = [
        ("cache_creation_input_token_cost_above_12hr", "cache_write_12h"),
        ("cache_creation_input_token_cost", "cache_write"),
        ("cache_read_input_token_cost", "cache_read"),
        ("input_cost_per_audio_token", "audio_input"),
        ("output_cost_per_audio_token", "audio_output"),
        ("input_cost_per_token", "input"),
        ("output_cost_per_token", "output"),
    ];
    let (meter, rest) = METERS
        .iter()
        .find_map(|(name, meter)| Some((*meter, key.strip_prefix(name)?)))?;
    let (above, rest) = match rest
        .strip_prefix("_above_")
        .and_then(|rest| rest.split_once("k_tokens"))
    {
        Some((thousands, rest)) => (thousands.parse::<u64>().ok()? * 1_000, rest),
        None => (0, rest),
    };
    let lane = match rest {
        "" => Lane::Standard,
        "_batches" => Lane::Batch,
        "_flex" => Lane::Flex,
        "_priority" => Lane::Priority,
        _ => return None,
    };
    Some((meter, above, lane))
}

/// Reads the data of `genai-prices`, as it holds on a day, for these ids.
pub(crate) fn genai_prices(json: &str, day: &str, ids: &[&str]) -> Source {
    let list: Value = serde_json::from_str(json).unwrap();
    let of_openai = |provider: &&Value| provider.get("id").and_then(Value::as_str) == Some("openai");
    let provider = list.as_array().unwrap().iter().find(of_openai).unwrap();
    let known: Vec<&Value> = provider
        .get("models")
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .collect();
    let (mut rates, mut searches) = (Rates::new(), BTreeMap::new());
    for id in ids {
        let model = known.iter().find(|model| holds(model.get("match").unwrap(), id));
        let Some(model) = model else { continue };
        let variants = model.get("price_variants").and_then(Value::as_array);
        let mut lanes = BTreeMap::from([(Lane::Standard, in_force(model.get("prices").unwrap(), day))]);
        for variant in variants.into_iter().flatten() {
            let when = variant.get("when").unwrap();
            let condition = when.get("service_tier").or_else(|| when.get("processing"));
            let lane = match condition.and_then(Value::as_str) {
                Some("flex") => Lane::Flex,
                Some("priority") => Lane::Priority,
                Some("batch") => Lane::Batch,
                _ => continue,
            };
            if began(variant, day) {
                lanes.insert(lane, variant.get("prices"));
            }
        }
        let standard = lanes.get(&Lane::Standard).copied().flatten();
        let search = standard.and_then(|prices| prices.get("web_searches_kcount"));
        if let Some(dollars) = search.and_then(Value::as_f64) {
            searches.insert((*id).to_owned(), pico(dollars, 1e9));
        }
        for (lane, prices) in lanes {
            for (name, price) in prices.and_then(Value::as_object).into_iter().flatten() {
                let Some(meter) = genai_meter(name) else { continue };
                for (above, dollars) in bands(price) {
                    let id = (*id).to_owned();
                    let cell = Cell {
                        id,
                        lane,
                        above,
                        meter,
                    };
                    rates.insert(cell, pico(dollars, 1e6));
                }
            }
        }
    }
    let rules = |model: &&Value| Model::Rules(model.get("match").unwrap().clone());
    let models = known.iter().map(rules).collect();
    Source {
        rates,
        searches,
        models,
    }
}

fn genai_meter(name: &str) -> Option<&'static str> {
    Some(match name {
        "input_mtok" => "input",
        "output_mtok" => "output",
        "cache_read_mtok" => "cache_read",
        "cache_write_mtok" => "cache_write",
        "input_audio_mtok" => "audio_input",
        "output_audio_mtok" => "audio_output",
        _ => return None,
    })
}

fn bands(price: &Value) -> Vec<(u64, f64)> {
    if let Some(dollars) = price.as_f64() {
        return vec![(0, dollars)];
    }
    let mut bands = vec![(0, price.get("base").and_then(Value::as_f64).unwrap())];
    for tier in price.get("tiers").and_then(Value::as_array).unwrap() {
        let start = tier.get("start").and_then(Value::as_u64).unwrap();
        bands.push((start, tier.get("price").and_then(Value::as_f64).unwrap()));
    }
    bands
}

/// The prices that hold on a day: the last ones that have begun.
fn in_force<'a>(prices: &'a Value, day: &str) -> Option<&'a Value> {
    let Some(dated) = prices.as_array() else {
        return Some(prices);
    };
    let last = dated.iter().rfind(|priced| began(priced, day));
    last.and_then(|priced| priced.get("prices"))
}

fn began(priced: &Value, day: &str) -> bool {
    let from = priced.pointer("/constraint/start_date").and_then(Value::as_str);
    from.is_none_or(|from| from <= day)
}

/// Whether a rule of `genai-prices` holds for an id.
fn holds(rule: &Value, id: &str) -> bool {
    rule.as_object().unwrap().iter().all(|(name, value)| {
        let text = || value.as_str().unwrap();
        let mut rules = value.as_array().into_iter().flatten();
        match name.as_str() {
            "or" => rules.any(|rule| holds(rule, id)),
            "and" => rules.all(|rule| holds(rule, id)),
            "equals" => id.eq_ignore_ascii_case(text()),
            "starts_with" => id.starts_with(text()),
            "ends_with" => id.ends_with(text()),
            "contains" => id.contains(text()),
            "regex" => Regex::new(text()).unwrap().is_match(id),
            other => unreachable!("a rule of genai-prices that is not known: {other}"),
        }
    })
}

/// The lists are floats: what is meant is the nearest whole pico-dollar.
#[expect(clippy::cast_possible_truncation, reason = "no rate is near the largest i64")]
fn pico(dollars: f64, per_dollar: f64) -> i64 {
    (dollars * per_dollar).round() as i64
}
