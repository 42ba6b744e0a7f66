//! Keeps `src/pricing/builtin.rs` what `src/pricing/openai.toml` says, and checks the table's rows.

#![expect(clippy::unwrap_used, reason = "a test: what cannot be read fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::Date;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use thrifty::{Lane, Usd};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "date")]
    date: Date,
    model: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    ids: Vec<String>,
    source: String,
    #[serde(deserialize_with = "date")]
    verified_on: Date,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    lane: Lane,
    #[serde(default, deserialize_with = "some_date")]
    effective_from: Option<Date>,
    #[serde(default)]
    above: u64,
    input: Usd,
    output: Usd,
    cache_read: Option<Usd>,
    cache_write: Option<Usd>,
    audio_input: Option<Usd>,
    audio_output: Option<Usd>,
    confirmed: bool,
    #[serde(default)]
    single_source: Vec<String>,
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn some_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    date(deserializer).map(Some)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/pricing")
        .join(name)
}

fn table() -> Table {
    toml::from_str(&read("openai.toml")).unwrap()
}

fn pico_per_token(per_mtok: Usd) -> i64 {
    let pico = per_mtok.as_pico();
    assert!(
        pico >= 0 && pico % 1_000_000 == 0,
        "{per_mtok} per million tokens"
    );
    pico / 1_000_000
}

fn cell(row: &Row) -> String {
    let lane = match row.lane {
        Lane::Standard => "Standard",
        Lane::Batch => "Batch",
        Lane::Flex => "Flex",
        Lane::Priority => "Priority",
        _ => unreachable!("{} has no name in the table", row.lane),
    };
    let from = match row.effective_from {
        Some(date) => date
            .duration_since(jiff::civil::date(1970, 1, 1))
            .as_millis()
            .to_string(),
        None => "i64::MIN".to_owned(),
    };
    let kinds = [row.cache_read, row.cache_write, row.audio_input, row.audio_output]
        .map(|rate| rate.map(pico_per_token));
    let (input, output) = (pico_per_token(row.input), pico_per_token(row.output));
    format!(
        "    Cell::new({lane}, {from}, {}, {input}, {output}, {kinds:?}, {:#b}),\n",
        row.above,
        confirmed(row)
    )
}

/// A bit for each rate that both sources say, the first one lowest.
fn confirmed(row: &Row) -> u16 {
    let rates = [
        ("input", Some(row.input)),
        ("output", Some(row.output)),
        ("cache_read", row.cache_read),
        ("cache_write", row.cache_write),
        ("audio_input", row.audio_input),
        ("audio_output", row.audio_output),
    ];
    let whole_row = !row.confirmed && row.single_source.is_empty();
    let confirmed = |(name, rate): &(&str, Option<Usd>)| {
        rate.is_some() && !whole_row && !row.single_source.iter().any(|single| single == name)
    };
    rates
        .iter()
        .enumerate()
        .filter(|(_, rate)| confirmed(rate))
        .fold(0, |bits, (bit, _)| bits | 1 << bit)
}

fn generate(table: &Table) -> String {
    let (mut groups, mut index) = (String::new(), BTreeMap::new());
    for (number, model) in table.model.iter().enumerate() {
        let cells: String = model.rows.iter().map(cell).collect();
        let _ = write!(groups, "\nstatic PRICE_{number}: &[Cell] = &[\n{cells}];\n");
        for id in &model.ids {
            assert!(
                index.insert(id.as_str(), number).is_none(),
                "{id} is in the table twice"
            );
        }
    }
    let mut models = String::new();
    for (id, number) in &index {
        let _ = writeln!(models, "    ({id:?}, PRICE_{number}),");
    }
    let hash = crc32c::crc32c(format!("{models}{groups}").as_bytes());
    format!(
        "//! OpenAI's prices. Generated from `openai.toml` by `tests/price_table.rs`; not edited by hand.\n\
         \n\
         use super::price::Cell;\n\
         use crate::lane::Lane::{{Batch, Flex, Priority, Standard}};\n\
         \n\
         pub(super) const REVISION: &str = \"openai-{}-{hash:08x}\";\n\
         \n\
         pub(super) static MODELS: super::Table = &[\n{models}];\n{groups}",
        table.date
    )
}

#[test]
fn the_built_in_table_is_generated_from_the_reviewed_one() {
    let generated = generate(&table());
    if std::env::var_os("THRIFTY_WRITE_PRICES").is_some_and(|value| value == "1") {
        std::fs::write(path("builtin.rs"), &generated).unwrap();
    }
    assert!(
        read("builtin.rs") == generated,
        "builtin.rs is not what openai.toml says: run `THRIFTY_WRITE_PRICES=1 cargo test --test price_table`"
    );
}

#[test]
fn every_row_says_what_confirms_it() {
    let table = table();
    for model in &table.model {
        let ids = &model.ids;
        assert!(!ids.is_empty() && !model.source.is_empty() && model.verified_on <= table.date);
        for row in &model.rows {
            assert!(!row.confirmed || row.single_source.is_empty(), "{ids:?}");
            assert!(!row.confirmed || model.source.contains(", "), "{ids:?}");
            for meter in &row.single_source {
                let named = match meter.as_str() {
                    "input" | "output" => true,
                    "cache_read" => row.cache_read.is_some(),
                    "cache_write" => row.cache_write.is_some(),
                    "audio_input" => row.audio_input.is_some(),
                    "audio_output" => row.audio_output.is_some(),
                    _ => false,
                };
                assert!(named, "{ids:?}: {meter}");
            }
        }
    }
}

#[test]
fn every_edition_of_a_lane_has_one_base_row_and_no_row_twice() {
    for model in table().model {
        let mut seen = BTreeSet::new();
        for row in &model.rows {
            assert!(
                seen.insert((&row.lane, row.effective_from, row.above)),
                "{:?}: a row of {} twice",
                model.ids,
                row.lane
            );
        }
        for (lane, from, _) in &seen {
            assert!(
                seen.contains(&(lane, *from, 0)),
                "{:?}: no base row of {lane}",
                model.ids
            );
        }
    }
}

#[test]
fn a_long_request_is_never_cheaper_per_token_than_a_short_one() {
    for model in table().model {
        for long in model.rows.iter().filter(|row| row.above > 0) {
            let base = |row: &&Row| {
                row.above == 0 && row.lane == long.lane && row.effective_from == long.effective_from
            };
            let base = model.rows.iter().find(base).unwrap();
            assert!(
                long.input >= base.input && long.output >= base.output,
                "{:?}",
                model.ids
            );
        }
    }
}
