//! The reviewed table as it is in its file, and the Rust that is generated from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use thrifty::{Lane, Usd};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(deserialize_with = "date")]
    pub(crate) date: Date,
    pub(crate) fee: Vec<Fee>,
    pub(crate) model: Vec<Model>,
    #[serde(default)]
    pub(crate) difference: Vec<Difference>,
}

/// Where the table knowingly is not what its sources say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    pub(crate) ids: Vec<String>,
    /// All lanes if there is none.
    pub(crate) lane: Option<Lane>,
    /// All meters if there is none.
    pub(crate) meter: Option<String>,
    pub(crate) why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fee {
    pub(crate) tool: Tool,
    /// The models it holds for; all if there are none.
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    pub(crate) usd: Usd,
    pub(crate) at_most: Option<Usd>,
    pub(crate) source: String,
    #[serde(deserialize_with = "date")]
    pub(crate) verified_on: Date,
    pub(crate) confirmed: bool,
}

/// In the order in which the generated table has them.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tool {
    WebSearch,
    FileSearch,
    Container,
    Answer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) ids: Vec<String>,
    pub(crate) source: String,
    #[serde(deserialize_with = "date")]
    pub(crate) verified_on: Date,
    #[serde(default)]
    pub(crate) uplift_percent: u8,
    pub(crate) rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) lane: Lane,
    #[serde(default, deserialize_with = "some_date")]
    pub(crate) effective_from: Option<Date>,
    #[serde(default)]
    pub(crate) above: u64,
    pub(crate) input: Usd,
    pub(crate) output: Usd,
    pub(crate) cache_read: Option<Usd>,
    pub(crate) cache_write: Option<Usd>,
    pub(crate) cache_write_12h: Option<Usd>,
    pub(crate) audio_input: Option<Usd>,
    pub(crate) audio_output: Option<Usd>,
    pub(crate) image_input: Option<Usd>,
    pub(crate) image_output: Option<Usd>,
    pub(crate) confirmed: bool,
    #[serde(default)]
    pub(crate) single_source: Vec<String>,
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn some_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    date(deserializer).map(Some)
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/pricing")
        .join(name)
}

pub(crate) fn table() -> Table {
    toml::from_str(&read("openai.toml")).unwrap()
}

pub(crate) fn pico_per_token(per_mtok: Usd) -> i64 {
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
    let special = row.special().map(|(_, rate)| rate.map(pico_per_token));
    let (input, output) = (pico_per_token(row.input), pico_per_token(row.output));
    format!(
        "    Cell::new({lane}, {from}, {}, {input}, {output}, {special:?}, {:#b}),\n",
        row.above,
        confirmed(row)
    )
}

impl Row {
    /// The rates beside input and output, in the order in which the generated table has them.
    pub(crate) fn special(&self) -> [(&'static str, Option<Usd>); 7] {
        [
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("cache_write_12h", self.cache_write_12h),
            ("audio_input", self.audio_input),
            ("audio_output", self.audio_output),
            ("image_input", self.image_input),
            ("image_output", self.image_output),
        ]
    }

    /// All rates, by name.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (&'static str, Option<Usd>)> {
        let plain = [("input", Some(self.input)), ("output", Some(self.output))];
        plain.into_iter().chain(self.special())
    }

    /// Whether two sources say the same of this rate.
    pub(crate) fn confirms(&self, name: &str) -> bool {
        let whole_row = !self.confirmed && self.single_source.is_empty();
        !whole_row && !self.single_source.iter().any(|single| single == name)
    }
}

/// A bit for each rate that both sources say, the first one lowest.
fn confirmed(row: &Row) -> u16 {
    row.rates()
        .enumerate()
        .filter(|(_, (name, rate))| rate.is_some() && row.confirms(name))
        .fold(0, |bits, (bit, _)| bits | 1 << bit)
}

/// The fees of a model, as an expression.
fn fees(table: &Table, id: &str) -> String {
    let fee = |tool: Tool| {
        let of_tool = || table.fee.iter().filter(move |fee| fee.tool == tool);
        let named = of_tool().find(|fee| fee.ids.iter().any(|other| other == id));
        named.or_else(|| of_tool().find(|fee| fee.ids.is_empty()))
    };
    let expression = |fee: Option<&Fee>| match fee {
        None => "None".to_owned(),
        Some(fee) => {
            let (least, most) = (fee.usd.as_pico(), fee.at_most.unwrap_or(fee.usd).as_pico());
            assert!((0..=most).contains(&least), "a fee from {least} to {most}");
            format!("Some(Fee::new({least}, {most}, {}))", fee.confirmed)
        }
    };
    let tools = [Tool::WebSearch, Tool::FileSearch, Tool::Container, Tool::Answer];
    tools.map(|tool| expression(fee(tool))).join(", ")
}

pub(crate) fn generate(table: &Table) -> String {
    let (mut groups, mut index) = (String::new(), BTreeMap::new());
    for (number, model) in table.model.iter().enumerate() {
        let cells: String = model.rows.iter().map(cell).collect();
        let _ = write!(groups, "\nstatic PRICE_{number}: &[Cell] = &[\n{cells}];\n");
        for id in &model.ids {
            assert!(
                index.insert((id.len(), id.as_str()), number).is_none(),
                "{id} is in the table twice"
            );
        }
    }
    let (mut models, mut fee_sets) = (String::new(), Vec::new());
    for ((_, id), number) in &index {
        let fees = fees(table, id);
        let set = fee_sets
            .iter()
            .position(|known| *known == fees)
            .unwrap_or_else(|| {
                fee_sets.push(fees);
                fee_sets.len() - 1
            });
        let uplift = table.model.get(*number).map_or(0, |model| model.uplift_percent);
        let _ = writeln!(
            models,
            "    ({id:?}, Tariff {{ cells: PRICE_{number}, uplift: {uplift}, fees: &FEES_{set} }}),"
        );
    }
    groups.push('\n');
    for (number, fees) in fee_sets.iter().enumerate() {
        let _ = writeln!(groups, "static FEES_{number}: Fees = Fees::new([{fees}]);");
    }
    let hash = crc32c::crc32c(format!("{models}{groups}").as_bytes());
    format!(
        "//! OpenAI's prices. Generated from `openai.toml` by `tests/price_table.rs`; not edited by hand.\n\
         \n\
         use super::Tariff;\n\
         use super::cell::Cell;\n\
         use super::fees::{{Fee, Fees}};\n\
         use crate::lane::Lane::{{Batch, Flex, Priority, Standard}};\n\
         \n\
         pub(super) const REVISION: &str = \"openai-{}-{hash:08x}\";\n\
         \n\
         pub(super) static MODELS: super::Table = &[\n{models}];\n{groups}",
        table.date
    )
}
