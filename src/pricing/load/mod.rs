//! Price lists that others keep, and your own in a file.

mod decimal;
mod genai_prices;
mod json;
mod litellm;
#[cfg(feature = "toml")]
mod toml;

use std::fmt;

use super::PriceBook;
use super::cell::Cell;
use super::fees::{Fee, Fees};
use super::price::Price;
use super::rates::{Kind, Rates};
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::money::Usd;

/// A price book after a list was loaded into it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The book. What it holds of the list are prices of your own.
    pub book: PriceBook,
    /// How many model ids were loaded.
    pub models: usize,
    /// What could not be taken over as it stands.
    pub notes: Vec<LoadNote>,
}

/// Something of a list that was not taken over as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadNote {
    /// A rate that is no whole pico-dollar was rounded half to even.
    Rounded {
        /// Where it stands.
        path: String,
    },
    /// A price was left out: what it is for has no place in a book, or it cannot stand alone.
    LeftOut {
        /// Where it stands.
        path: String,
    },
}

impl fmt::Display for LoadNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounded { path } => write!(f, "{path} is rounded to a whole pico-dollar a token"),
            Self::LeftOut { path } => write!(f, "{path} is left out"),
        }
    }
}

/// A list that cannot be loaded. The book it was meant for is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot load prices from {name}, line {line}{}{path}: {problem}", if path.is_empty() { "" } else { ", " })]
pub struct LoadError {
    name: String,
    line: usize,
    path: String,
    problem: LoadProblem,
}

impl LoadError {
    /// Returns the line at which the reason stands, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Returns the names on the way to the reason, such as `gpt-4o.input_cost_per_token`; may be empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the reason.
    pub const fn problem(&self) -> &LoadProblem {
        &self.problem
    }
}

/// Why a list cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// The text is not in the format that it should be in.
    #[error("{0}")]
    Syntax(String),
    /// Something else should stand there.
    #[error("{0} is expected")]
    Expected(&'static str),
    /// A member is there twice.
    #[error("a member is there twice")]
    Twice,
    /// A price is no decimal number.
    #[error("the price is not a decimal number: {0:?}")]
    NotANumber(String),
    /// A price has a minus sign.
    #[error("the price is negative: {0:?}")]
    Negative(String),
    /// A price is more than an amount of money can hold.
    #[error("the price is too large: {0:?}")]
    TooLarge(String),
    /// A date is none.
    #[error("not a date as in 2026-11-24: {0:?}")]
    NotADate(String),
    /// Two rows are of the same lane, the same band and the same day.
    #[error("two prices of the {0} lane hold from the same day on for the same input")]
    Overlapping(Lane),
    /// A lane has rates for long requests and none for short ones from the same day on.
    #[error("the {0} lane has no price for short requests")]
    NoBase(Lane),
    /// The list has no models of this provider.
    #[error("there is no model of the provider {0:?}; check how the list names it")]
    NoProvider(String),
    /// Two models have the same id.
    #[error("the model {0:?} is there twice")]
    ModelTwice(String),
}

impl PriceBook {
    /// Loads the models of one provider from the price map of `litellm`, `model_prices_and_context_window.json`.
    ///
    /// `name` says in errors where the text is from. `provider` is a `litellm_provider`, such as `groq`; a model is
    /// then known without `groq/` in front. Loaded prices are prices of your own: they go before the book's, whole
    /// models at a time.
    ///
    /// A lane has a price only if the list has one for it. Where it has no rate for what is cached on that lane, the
    /// lane's input rate is booked. A band for long requests takes what it lacks from the one for short requests.
    ///
    /// # Errors
    /// If the text is not such a list, or one of its prices is none.
    ///
    /// # Examples
    /// ```
    /// use thrifty::pricing::PriceBook;
    /// use thrifty::{Lane, Timestamp, Usage};
    ///
    /// let list = r#"{"groq/llama": {"litellm_provider": "groq",
    ///     "input_cost_per_token": 5e-08, "output_cost_per_token": 8e-08}}"#;
    /// let loaded = PriceBook::builtin().with_litellm("prices.json", list, "groq")?;
    /// let now = Timestamp::from_unix_millis(0);
    /// let cost = loaded.book.cost(&"llama".into(), Lane::Standard, &Usage::new(1_000, 0), now);
    /// assert_eq!(cost.to_string(), "$0.00005");
    /// # Ok::<(), thrifty::pricing::LoadError>(())
    /// ```
    pub fn with_litellm(self, name: &str, json: &str, provider: &str) -> Result<Loaded, LoadError> {
        let mut draft = Draft::default();
        litellm::read(Source { name, text: json }, provider, &mut draft)?;
        Ok(draft.into_book(self))
    }

    /// Loads the models of one provider from the data of genai-prices, `prices.json`.
    ///
    /// `name` says in errors where the text is from; `provider` is a provider's `id`, such as `groq`. Ids are those that
    /// the list compares for equality; its rules by beginning or by pattern are not taken over. Loaded prices are prices
    /// of your own: they go before the book's, whole models at a time.
    ///
    /// A lane has a price only if the list has a variant for it, and from the day on that the variant says. Where it has
    /// no rate for what is cached on that lane, the lane's input rate is booked.
    ///
    /// # Errors
    /// If the text is not such a list, or one of its prices is none.
    pub fn with_genai_prices(self, name: &str, json: &str, provider: &str) -> Result<Loaded, LoadError> {
        let mut draft = Draft::default();
        genai_prices::read(Source { name, text: json }, provider, &mut draft)?;
        Ok(draft.into_book(self))
    }

    /// Loads prices of your own from TOML. It has the shape of this crate's own table, `src/pricing/openai.toml`.
    ///
    /// `name` says in errors where the text is from. Prices are texts, in dollars per million tokens; a fee is in
    /// dollars a call. A row holds for requests with more than `above` input tokens, from midnight UTC of
    /// `effective_from` on.
    ///
    /// # Errors
    /// If the text is not such a table, one of its prices is none, or two rows hold at the same time.
    ///
    /// # Examples
    /// ```
    /// use thrifty::pricing::PriceBook;
    ///
    /// let table = r#"
    ///     [[model]]
    ///     ids = ["llama", "llama-fast"]
    ///     rows = [
    ///       { lane = "standard", input = "0.05", output = "0.08" },
    ///       { lane = "standard", effective_from = "2026-12-01", input = "0.04", output = "0.08" },
    ///     ]
    /// "#;
    /// let loaded = PriceBook::builtin().with_toml("prices.toml", table)?;
    /// assert_eq!(loaded.models, 2);
    /// # Ok::<(), thrifty::pricing::LoadError>(())
    /// ```
    #[cfg(feature = "toml")]
    #[cfg_attr(docsrs, doc(cfg(feature = "toml")))]
    pub fn with_toml(self, name: &str, toml: &str) -> Result<Loaded, LoadError> {
        let mut draft = Draft::default();
        self::toml::read(Source { name, text: toml }, &mut draft)?;
        Ok(draft.into_book(self))
    }
}

/// A text that is being loaded.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, line: usize, path: &str, problem: LoadProblem) -> LoadError {
        LoadError {
            name: self.name.to_owned(),
            line,
            path: path.to_owned(),
            problem,
        }
    }

    /// Returns what is wrong at a byte of the text.
    fn error_at(&self, byte: usize, path: &str, problem: LoadProblem) -> LoadError {
        let before = self.text.as_bytes().get(..byte).unwrap_or_default();
        self.error(memchr::memchr_iter(b'\n', before).count() + 1, path, problem)
    }
}

/// The beginning of what was refused, for an error.
fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What has been loaded so far.
#[derive(Default)]
struct Draft {
    prices: Vec<(ModelId, Price)>,
    notes: Vec<LoadNote>,
}

impl Draft {
    fn into_book(self, book: PriceBook) -> Loaded {
        let models = self.prices.len();
        Loaded {
            book: book.with(|book| book.prices.extend(self.prices)),
            models,
            notes: self.notes,
        }
    }

    fn left_out(&mut self, path: &str) {
        let path = path.to_owned();
        self.notes.push(LoadNote::LeftOut { path });
    }

    /// Reads a price that is written in units of `10^-shift` pico-dollars, and notes if it was rounded.
    fn price(&mut self, text: &str, shift: i32, path: &str) -> Result<i64, LoadProblem> {
        let whole = decimal::shifted(text, shift)?;
        if whole.rounded {
            let path = path.to_owned();
            self.notes.push(LoadNote::Rounded { path });
        }
        Ok(whole.units)
    }
}

/// What a rate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meter {
    Input,
    Output,
    Special(Kind),
}

/// Rates of which some may be missing.
#[derive(Debug, Clone, Copy, Default)]
struct OpenRates {
    input: Option<i64>,
    output: Option<i64>,
    special: [Option<i64>; Kind::SPECIAL],
}

impl OpenRates {
    fn set(&mut self, meter: Meter, pico: i64) {
        match meter {
            Meter::Input => self.input = Some(pico),
            Meter::Output => self.output = Some(pico),
            Meter::Special(kind) => {
                if let Some(rate) = self.special.get_mut(kind as usize) {
                    *rate = Some(pico);
                }
            }
        }
    }

    /// Takes what is missing from other rates.
    fn or(mut self, other: &Self) -> Self {
        self.input = self.input.or(other.input);
        self.output = self.output.or(other.output);
        for (rate, other) in self.special.iter_mut().zip(other.special) {
            *rate = rate.or(other);
        }
        self
    }

    fn whole(&self) -> Option<Rates> {
        Some(Rates::of(self.input?, self.output?, self.special))
    }
}

/// The rows of one model.
#[derive(Debug, Default)]
struct Rows(Vec<Cell>);

impl Rows {
    /// Adds a row, unless it is there already; `Err` if another one is in its place.
    fn add(&mut self, lane: Lane, from: Timestamp, above: u64, rates: Rates) -> Result<(), LoadProblem> {
        let cell = Cell::own(lane, from, above, rates);
        match self.0.iter().find(|other| other.place() == cell.place()) {
            Some(other) if *other == cell => {}
            Some(_) => return Err(LoadProblem::Overlapping(lane)),
            None => self.0.push(cell),
        }
        Ok(())
    }

    /// Returns the rows as a price; `Err` if a lane has none for short requests.
    fn price(self, fees: Fees, uplift: u8) -> Result<Price, LoadProblem> {
        for cell in &self.0 {
            let (lane, from, _) = cell.place();
            if !self.0.iter().any(|base| base.place() == (lane, from, 0)) {
                return Err(LoadProblem::NoBase(lane));
            }
        }
        Ok(Price::loaded(self.0, fees, uplift))
    }
}

/// Returns the beginning of a day in UTC; `None` if the text is no date.
fn midnight(date: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_unix_millis(start.timestamp().as_millisecond()))
}

/// A fee of a list.
fn fee(pico: i64) -> Fee {
    Fee::own(Usd::from_pico(pico))
}

#[cfg(test)]
mod tests;
