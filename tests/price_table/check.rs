//! The check of the table against its two sources, which a maintainer runs; see `CONTRIBUTING.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thrifty::pricing::{LoadError, LoadProblem, Loaded, PriceBook};
use thrifty::{Lane, Timestamp};

use super::sources::{Cell, Source, genai_prices, genai_providers, litellm, litellm_providers};
use super::table::{Difference, Fee, Model, Row, Table, Tool, pico_per_token, table};

/// How many cells of a lane the sources agree on, how many only one of them has, and how many differ.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    agreed: usize,
    /// Those of them for short requests.
    agreed_short: usize,
    single: usize,
    differing: usize,
}

#[test]
fn the_table_says_what_its_sources_say() {
    let (Some(litellm_at), Some(genai_at)) = (
        std::env::var_os("THRIFTY_LITELLM_PRICES"),
        std::env::var_os("THRIFTY_GENAI_PRICES"),
    ) else {
        println!("skipped: THRIFTY_LITELLM_PRICES and THRIFTY_GENAI_PRICES do not name the two price lists");
        return;
    };
    let table = table();
    let ids: Vec<&str> = table
        .model
        .iter()
        .flat_map(|model| &model.ids)
        .map(String::as_str)
        .collect();
    let one = litellm(&std::fs::read_to_string(litellm_at).unwrap());
    let other = std::fs::read_to_string(genai_at).unwrap();
    let other = genai_prices(&other, &table.date.to_string(), &ids);
    let mut report = Report::default();
    for model in &table.model {
        for id in &model.ids {
            report.compare(id, model, &one, &other);
        }
    }
    report.look_for_what_is_missing(&table, &ids, &one, &other);
    for id in &ids {
        report.compare_search(id, &table, &one, &other);
    }
    report.print(&table);
    let unexplained: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| explained(&table, finding).is_none())
        .map(|finding| &finding.text)
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let met = |known: &&Difference| report.findings.iter().any(|finding| known.covers(&finding.cell));
    let stale = table.difference.iter().filter(|known| !met(known));
    let stale: Vec<_> = stale.map(|known| (&known.ids, &known.why)).collect();
    assert!(stale.is_empty(), "differences that are none any more: {stale:#?}");
}

type Load = fn(PriceBook, &str, &str, &str) -> Result<Loaded, LoadError>;

#[test]
fn the_loaders_read_the_lists_of_the_sources() {
    let (Some(litellm_at), Some(genai_at)) = (
        std::env::var_os("THRIFTY_LITELLM_PRICES"),
        std::env::var_os("THRIFTY_GENAI_PRICES"),
    ) else {
        println!("skipped: THRIFTY_LITELLM_PRICES and THRIFTY_GENAI_PRICES do not name the two price lists");
        return;
    };
    let (one, other) = (
        std::fs::read_to_string(litellm_at).unwrap(),
        std::fs::read_to_string(genai_at).unwrap(),
    );
    let lists: [(&str, BTreeSet<String>, Load); 2] = [
        (&one, litellm_providers(&one), PriceBook::with_litellm),
        (&other, genai_providers(&other), PriceBook::with_genai_prices),
    ];
    for (list, providers, load) in lists {
        let mut models = 0;
        for provider in &providers {
            match load(PriceBook::empty(), "list", list, provider) {
                Ok(loaded) => models += loaded.models,
                // One that has no prices of tokens, such as for speech.
                Err(error) => assert!(matches!(error.problem(), LoadProblem::NoProvider(_)), "{error}"),
            }
        }
        println!("{models} models of {} providers are loaded", providers.len());
        assert!(models > 1_000, "{models}");
    }
    let one = PriceBook::empty()
        .with_litellm("litellm", &one, "openai")
        .unwrap();
    let other = PriceBook::empty()
        .with_genai_prices("genai-prices", &other, "openai")
        .unwrap();
    let table = table();
    let day = table.date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let day = Timestamp::from_unix_millis(day.as_millisecond());
    let mut compared = 0;
    for model in &table.model {
        for row in in_force(model).filter(|row| row.confirms("input") && row.confirms("output")) {
            for id in model.ids.iter().filter(|id| !id.starts_with("ft:")) {
                for loaded in [&one, &other] {
                    let rates = loaded
                        .book
                        .rates(&id.as_str().into(), row.lane, row.above + 1, day);
                    // What only a rule by beginning or by pattern names is not taken over.
                    let Ok(rates) = rates else { continue };
                    assert_eq!(
                        rates.input().as_pico(),
                        pico_per_token(row.input),
                        "{id} {}",
                        row.lane
                    );
                    assert_eq!(
                        rates.output().as_pico(),
                        pico_per_token(row.output),
                        "{id} {}",
                        row.lane
                    );
                    compared += 1;
                }
            }
        }
    }
    println!(
        "{compared} rows read alike; notes: {} and {}",
        one.notes.len(),
        other.notes.len()
    );
    assert!(compared > 500, "{compared}");
}

/// Returns why something is as the table has it, if the table says so.
fn explained<'a>(table: &'a Table, finding: &Finding) -> Option<&'a str> {
    let mut known = table.difference.iter();
    let known = known.find(|known| known.covers(&finding.cell));
    known.map(|known| known.why.as_str())
}

impl Difference {
    fn covers(&self, cell: &Cell) -> bool {
        let meter = self.meter.as_deref();
        self.ids.contains(&cell.id)
            && self.lane.is_none_or(|lane| lane == cell.lane)
            && meter.is_none_or(|meter| meter == cell.meter)
    }
}

/// Something that is not as it should be, unless the table explains it.
#[derive(Debug)]
struct Finding {
    cell: Cell,
    text: String,
}

#[derive(Debug, Default)]
struct Report {
    counts: BTreeMap<Lane, Counts>,
    both_know: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Report {
    /// Compares each rate that is in force with what the sources say of it.
    fn compare(&mut self, id: &str, model: &Model, one: &Source, other: &Source) {
        if one.knows(id) && other.knows(id) {
            self.both_know.insert(id.to_owned());
        }
        for row in in_force(model) {
            for (meter, rate) in row.rates() {
                let Some(rate) = rate.map(pico_per_token) else {
                    continue;
                };
                let cell = Cell {
                    id: id.to_owned(),
                    lane: row.lane,
                    above: row.above,
                    meter,
                };
                let said = [one.rates.get(&cell).copied(), other.rates.get(&cell).copied()];
                // An embedding has no output: its price is 0 where a source has one.
                if meter == "output" && rate == 0 && said.iter().flatten().all(|said| *said == 0) {
                    continue;
                }
                self.judge(cell, rate, row.confirms(meter), said);
            }
        }
    }

    /// Compares what a search of the web costs.
    fn compare_search(&mut self, id: &str, table: &Table, one: &Source, other: &Source) {
        let said = [one.searches.get(id).copied(), other.searches.get(id).copied()];
        let is_search = |fee: &&Fee| matches!(fee.tool, Tool::WebSearch | Tool::Answer);
        let mut fees = table.fee.iter().filter(is_search);
        let fee = fees.find(|fee| fee.ids.iter().any(|other| other == id));
        let range = fee.map(|fee| (fee.usd.as_pico(), fee.at_most.unwrap_or(fee.usd).as_pico()));
        let within = |said: &i64| range.is_some_and(|(least, most)| (least..=most).contains(said));
        let agreed = said[0].is_some() && said[0] == said[1];
        let confirmed = fee.is_some_and(|fee| fee.confirmed);
        if !said.iter().flatten().all(within) || agreed != confirmed {
            let cell = Cell {
                id: id.to_owned(),
                lane: Lane::Standard,
                above: 0,
                meter: "web_search",
            };
            let text = format!("{cell}: table {range:?}, confirmed {confirmed}, sources {said:?}");
            self.findings.push(Finding { cell, text });
        }
    }

    fn judge(&mut self, cell: Cell, rate: i64, confirmed: bool, said: [Option<i64>; 2]) {
        let counts = self.counts.entry(cell.lane).or_default();
        let differ = said.iter().flatten().any(|said| *said != rate);
        let sources = said.iter().flatten().count();
        let wrong = if differ {
            counts.differing += 1;
            Some("differs")
        } else if sources == 2 {
            counts.agreed += 1;
            counts.agreed_short += usize::from(cell.above == 0);
            (!confirmed).then_some("is confirmed by both sources and not marked so")
        } else {
            counts.single += 1;
            match (sources, confirmed) {
                (_, true) => Some("is marked as confirmed and is not"),
                (0, false) => Some("is in no source"),
                (_, false) => None,
            }
        };
        if let Some(wrong) = wrong {
            let [litellm, genai] = said;
            let text = format!("{cell} {wrong}: table {rate}, litellm {litellm:?}, genai-prices {genai:?}");
            self.findings.push(Finding { cell, text });
        }
    }

    /// Names what a source has of the table's models, or both have of others, and the table lacks.
    fn look_for_what_is_missing(&mut self, table: &Table, ids: &[&str], one: &Source, other: &Source) {
        let mut here = BTreeSet::new();
        for model in &table.model {
            for (id, row) in model
                .ids
                .iter()
                .flat_map(|id| in_force(model).map(move |row| (id, row)))
            {
                for (meter, rate) in row.rates().filter(|(_, rate)| rate.is_some()) {
                    let _ = rate;
                    here.insert((id.clone(), row.lane, row.above, meter));
                }
            }
        }
        for (cell, rate) in one.rates.iter().chain(&other.rates) {
            let place = (cell.id.clone(), cell.lane, cell.above, cell.meter);
            if ids.contains(&cell.id.as_str()) && here.insert(place) {
                let text = format!("{cell} is not in the table: {rate}");
                let cell = cell.clone();
                self.findings.push(Finding { cell, text });
            }
        }
        for cell in one.rates.keys().filter(|cell| !ids.contains(&cell.id.as_str())) {
            let first = cell.lane == Lane::Standard && cell.above == 0 && cell.meter == "input";
            if first && other.knows(&cell.id) {
                let text = format!("{} is a model that both sources know", cell.id);
                let cell = cell.clone();
                self.findings.push(Finding { cell, text });
            }
        }
    }

    fn print(&self, table: &Table) {
        for finding in &self.findings {
            match explained(table, finding) {
                Some(why) => println!("{}\n    {why}", finding.text),
                None => println!("NOT EXPLAINED: {}", finding.text),
            }
        }
        println!("models that both sources know: {}", self.both_know.len());
        let mut all = Counts::default();
        for (lane, counts) in &self.counts {
            println!("{lane}: {counts}");
            all.agreed += counts.agreed;
            all.agreed_short += counts.agreed_short;
            all.single += counts.single;
            all.differing += counts.differing;
        }
        println!("all: {all}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} agreeing ({} of them for short requests), {} of one source, {} differing",
            self.agreed, self.agreed_short, self.single, self.differing
        )
    }
}

/// The rows of the newest edition of each lane.
fn in_force(model: &Model) -> impl Iterator<Item = &Row> {
    model.rows.iter().filter(|row| {
        let newest = model.rows.iter().filter(|other| other.lane == row.lane);
        newest.map(|row| row.effective_from).max() == Some(row.effective_from)
    })
}
