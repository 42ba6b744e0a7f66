//! Unit prices, in whole pico-dollars a token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::money::{ParseUsdError, Usd};
use crate::usage::{Meters, Usage};

/// Pico-dollars a token in one dollar per million tokens.
const PICO_PER_MTOK_DOLLAR: i64 = 1_000_000;

/// A text that is not a price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The text is not a decimal number of dollars.
    #[error("the price is not a decimal number")]
    NotANumber(#[source] ParseUsdError),
    /// The price is below zero.
    #[error("the price is negative: {0:?}")]
    Negative(String),
    /// The price has more than six decimals per million tokens: it is not a whole pico-dollar a token.
    #[error("the price has more than 6 decimals: {0:?}")]
    TooFine(String),
}

/// What each kind of token costs, for one lane and one context band.
///
/// Cached input without a rate of its own, read or written, is billed at the input rate. Audio without a rate of its
/// own has no price: a cost with such tokens is [`Partial`](super::Cost::Partial).
///
/// # Examples
/// ```
/// use thrifty::pricing::Rates;
///
/// let rates = Rates::per_mtok("2.50", "10.00")?.with_cache_read("1.25")?;
/// assert_eq!(rates.input().to_string(), "0.0000025");
/// # Ok::<(), thrifty::pricing::PriceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rates {
    input: i64,
    output: i64,
    cache_read: Option<i64>,
    cache_write: Option<i64>,
    audio_input: Option<i64>,
    audio_output: Option<i64>,
}

fn parse(per_mtok: &str) -> Result<i64, PriceError> {
    let pico = per_mtok.parse::<Usd>().map_err(PriceError::NotANumber)?.as_pico();
    if pico < 0 {
        return Err(PriceError::Negative(per_mtok.to_owned()));
    }
    if pico % PICO_PER_MTOK_DOLLAR != 0 {
        return Err(PriceError::TooFine(per_mtok.to_owned()));
    }
    Ok(pico / PICO_PER_MTOK_DOLLAR)
}

impl Rates {
    /// Takes the price of input and of output, in dollars per million tokens.
    ///
    /// # Errors
    /// If a text is not a decimal number, is negative, or has more than six decimals. The other methods that take a
    /// price fail likewise.
    pub fn per_mtok(input: &str, output: &str) -> Result<Self, PriceError> {
        Ok(Self {
            input: parse(input)?,
            output: parse(output)?,
            cache_read: None,
            cache_write: None,
            audio_input: None,
            audio_output: None,
        })
    }

    /// Sets the price of input read from the provider's cache. Default: the input rate.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_cache_read(mut self, per_mtok: &str) -> Result<Self, PriceError> {
        self.cache_read = Some(parse(per_mtok)?);
        Ok(self)
    }

    /// Sets the price of input written to the provider's cache. Default: the input rate.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_cache_write(mut self, per_mtok: &str) -> Result<Self, PriceError> {
        self.cache_write = Some(parse(per_mtok)?);
        Ok(self)
    }

    /// Sets the prices of audio. Default: none, so that audio is unpriced.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_audio(mut self, input: &str, output: &str) -> Result<Self, PriceError> {
        self.audio_input = Some(parse(input)?);
        self.audio_output = Some(parse(output)?);
        Ok(self)
    }

    /// Returns the price of one token of input.
    pub const fn input(&self) -> Usd {
        Usd::from_pico(self.input)
    }

    /// Returns the price of one token of output.
    pub const fn output(&self) -> Usd {
        Usd::from_pico(self.output)
    }

    /// Returns the price of one token of input read from the provider's cache.
    pub fn cache_read(&self) -> Usd {
        Usd::from_pico(self.cache_read.unwrap_or(self.input))
    }

    /// Returns the price of one token of input written to the provider's cache.
    pub fn cache_write(&self) -> Usd {
        Usd::from_pico(self.cache_write.unwrap_or(self.input))
    }

    /// Returns what the tokens cost; `None` if that is more than an amount of money can hold.
    pub(super) fn bill(&self, meters: &Meters) -> Option<Bill> {
        let mut bill = Bill {
            known: Usd::ZERO,
            complete: true,
            used: Kinds::NONE,
        };
        for (count, rate, kind) in [
            (meters.input, Some(self.input()), Kinds::INPUT),
            (meters.cache_read, Some(self.cache_read()), Kinds::CACHE_READ),
            (meters.cache_write, Some(self.cache_write()), Kinds::CACHE_WRITE),
            (meters.output, Some(self.output()), Kinds::OUTPUT),
            (
                meters.audio_input,
                self.audio_input.map(Usd::from_pico),
                Kinds::AUDIO_INPUT,
            ),
            (
                meters.audio_output,
                self.audio_output.map(Usd::from_pico),
                Kinds::AUDIO_OUTPUT,
            ),
        ] {
            match rate {
                _ if count == 0 => {}
                Some(rate) => {
                    bill.known = bill.known.checked_add(rate.checked_mul(count)?)?;
                    bill.used = bill.used.and(kind);
                }
                None => bill.complete = false,
            }
        }
        Some(bill)
    }

    /// The kinds that have a rate of their own.
    pub(super) fn kinds(&self) -> Kinds {
        [
            (self.cache_read, Kinds::CACHE_READ),
            (self.cache_write, Kinds::CACHE_WRITE),
            (self.audio_input, Kinds::AUDIO_INPUT),
            (self.audio_output, Kinds::AUDIO_OUTPUT),
        ]
        .into_iter()
        .filter(|(rate, _)| rate.is_some())
        .fold(Kinds::INPUT.and(Kinds::OUTPUT), |kinds, (_, kind)| {
            kinds.and(kind)
        })
    }

    /// The least that the totals can have cost, whatever their parts are.
    pub(super) fn at_least(&self, usage: &Usage) -> Option<Usd> {
        let cheapest = |base: i64, others: &[Option<i64>]| {
            Usd::from_pico(others.iter().flatten().fold(base, |least, rate| least.min(*rate)))
        };
        let input = cheapest(self.input, &[self.cache_read, self.cache_write, self.audio_input]);
        let output = cheapest(self.output, &[self.audio_output]);
        input
            .checked_mul(usage.input_tokens)?
            .checked_add(output.checked_mul(usage.output_tokens)?)
    }

    /// The most that so many tokens can cost, whatever their kinds are.
    pub(super) fn at_most(&self, input: u64, output: u64) -> Option<Usd> {
        let dearest = |base: i64, others: &[Option<i64>]| {
            Usd::from_pico(others.iter().flatten().fold(base, |most, rate| most.max(*rate)))
        };
        dearest(self.input, &[self.cache_read, self.cache_write, self.audio_input])
            .checked_mul(input)?
            .checked_add(dearest(self.output, &[self.audio_output]).checked_mul(output)?)
    }
}

/// What is known of the cost of some tokens.
pub(super) struct Bill {
    pub(super) known: Usd,
    pub(super) complete: bool,
    /// The kinds of tokens that were billed.
    pub(super) used: Kinds,
}

/// A set of kinds of tokens: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    const INPUT: Self = Self(1);
    const OUTPUT: Self = Self(1 << 1);
    const CACHE_READ: Self = Self(1 << 2);
    const CACHE_WRITE: Self = Self(1 << 3);
    const AUDIO_INPUT: Self = Self(1 << 4);
    const AUDIO_OUTPUT: Self = Self(1 << 5);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn holds_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// Who says that a rate is right. Spend at rates of one source only is told apart from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriceSource {
    /// Two independent sources of the built-in table say the same of every rate that was used.
    Confirmed,
    /// A rate that was used is known from one source only, or is booked for want of one.
    SingleSource,
    /// You set the price.
    Own,
}

impl PriceSource {
    /// Returns the name it has in ledgers and reports, such as `single_source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::SingleSource => "single_source",
            Self::Own => "own",
        }
    }
}

impl fmt::Display for PriceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Rates and when they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    lane: Lane,
    from: Timestamp,
    /// Holds for requests with more input than this; 0 is the base band, which also holds for no input at all.
    above: u64,
    pub(super) rates: Rates,
    /// The kinds whose rates two sources confirm; `None` if you set the price.
    confirmed: Option<Kinds>,
}

impl Cell {
    /// For the generated table: milliseconds since 1970, tokens, pico-dollars a token. `kinds` are cache read, cache
    /// write, audio input and audio output; `confirmed` has a bit for each rate, input and output first.
    pub(super) const fn new(
        lane: Lane,
        from: i64,
        above: u64,
        input: i64,
        output: i64,
        kinds: [Option<i64>; 4],
        confirmed: u16,
    ) -> Self {
        let [cache_read, cache_write, audio_input, audio_output] = kinds;
        Self {
            lane,
            from: Timestamp::from_unix_millis(from),
            above,
            rates: Rates {
                input,
                output,
                cache_read,
                cache_write,
                audio_input,
                audio_output,
            },
            confirmed: Some(Kinds(confirmed)),
        }
    }

    /// Says who confirms the rates of these kinds.
    pub(super) const fn source_of(&self, used: Kinds) -> PriceSource {
        match self.confirmed {
            None => PriceSource::Own,
            Some(confirmed) if confirmed.holds_all(used) => PriceSource::Confirmed,
            Some(_) => PriceSource::SingleSource,
        }
    }

    const fn holds_for(&self, input_tokens: u64) -> bool {
        self.above == 0 || input_tokens > self.above
    }
}

/// Returns the cells of a lane that hold at a moment: all bands of the newest edition.
fn edition(cells: &[Cell], lane: Lane, at: Timestamp) -> impl Iterator<Item = &Cell> {
    let holds = move |cell: &&Cell| cell.lane == lane && cell.from <= at;
    let newest = cells.iter().filter(holds).map(|cell| cell.from).max();
    cells
        .iter()
        .filter(holds)
        .filter(move |cell| Some(cell.from) == newest)
}

/// Returns the cell of a request with so much input.
pub(super) fn cell(cells: &[Cell], lane: Lane, input_tokens: u64, at: Timestamp) -> Option<&Cell> {
    edition(cells, lane, at)
        .filter(|cell| cell.holds_for(input_tokens))
        .max_by_key(|cell| cell.above)
}

/// Returns the rates of every band that a request with up to so much input can fall in.
pub(super) fn reachable(
    cells: &[Cell],
    lane: Lane,
    input_tokens: u64,
    at: Timestamp,
) -> impl Iterator<Item = &Rates> {
    edition(cells, lane, at)
        .filter(move |cell| cell.holds_for(input_tokens))
        .map(|cell| &cell.rates)
}

/// A model's price as you state it: rates by lane and context band.
///
/// A lane that is not set has no price: a call it serves is unpriced, not priced as another lane.
///
/// # Examples
/// ```
/// use thrifty::Lane;
/// use thrifty::pricing::{Price, PriceBook, Rates};
///
/// let price = Price::per_mtok("2.50", "10.00")?
///     .with_cache_read("1.25")?
///     .with_lane(Lane::Batch, Rates::per_mtok("1.25", "5.00")?);
/// let book = PriceBook::builtin().with_price("my-model", price);
/// # Ok::<(), thrifty::pricing::PriceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    standard: Rates,
    cells: Vec<Cell>,
}

impl Price {
    /// Takes the standard lane's price of input and of output, in dollars per million tokens.
    ///
    /// # Errors
    /// As [`Rates::per_mtok`].
    pub fn per_mtok(input: &str, output: &str) -> Result<Self, PriceError> {
        Rates::per_mtok(input, output).map(Self::from)
    }

    /// Sets the standard lane's price of input read from the provider's cache. Default: the input rate.
    ///
    /// # Errors
    /// As [`Rates::per_mtok`].
    pub fn with_cache_read(self, per_mtok: &str) -> Result<Self, PriceError> {
        let standard = self.standard.with_cache_read(per_mtok)?;
        Ok(self.with_lane(Lane::Standard, standard))
    }

    /// Sets the rates of a lane.
    #[must_use]
    pub fn with_lane(mut self, lane: Lane, rates: Rates) -> Self {
        if lane == Lane::Standard {
            self.standard = rates;
        }
        self.with_long_context(lane, 0, rates)
    }

    /// Sets the rates of a lane for requests with more than `above` input tokens. They hold for the whole request.
    ///
    /// The lane needs its own [`with_lane`](Self::with_lane) for shorter requests.
    #[must_use]
    pub fn with_long_context(mut self, lane: Lane, above: u64, rates: Rates) -> Self {
        self.cells.retain(|cell| (cell.lane, cell.above) != (lane, above));
        self.cells.push(Cell {
            lane,
            from: Timestamp::from_unix_millis(i64::MIN),
            above,
            rates,
            confirmed: None,
        });
        self
    }

    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

impl From<Rates> for Price {
    fn from(standard: Rates) -> Self {
        Self {
            standard,
            cells: Vec::new(),
        }
        .with_lane(Lane::Standard, standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_no_whole_pico_dollar_a_token_is_refused() {
        assert!(matches!(parse("0.0000001"), Err(PriceError::TooFine(_))));
        assert!(matches!(parse("-1"), Err(PriceError::Negative(_))));
        for wrong in ["NaN", "", "1e-3", "$2", "inf"] {
            assert!(matches!(parse(wrong), Err(PriceError::NotANumber(_))), "{wrong}");
        }
        assert_eq!(parse("0.000001"), Ok(1));
        assert_eq!(parse("0.138"), Ok(138_000));
    }

    #[test]
    fn a_newer_edition_replaces_all_bands_of_the_older_one() {
        let at = Timestamp::from_unix_millis;
        let cells = [
            Cell::new(Lane::Standard, i64::MIN, 0, 10, 10, [None; 4], 0b11),
            Cell::new(Lane::Standard, i64::MIN, 100, 20, 20, [None; 4], 0b11),
            Cell::new(Lane::Standard, 1_000, 0, 5, 5, [None; 4], 0b11),
        ];
        let input = |tokens, ms| {
            cell(&cells, Lane::Standard, tokens, at(ms)).map(|cell| cell.rates.input().as_pico())
        };
        assert_eq!(input(100, 999), Some(10));
        assert_eq!(input(101, 999), Some(20));
        assert_eq!(input(101, 1_000), Some(5));
        assert!(cell(&cells, Lane::Flex, 1, at(0)).is_none());
    }

    #[test]
    fn setting_a_lane_again_replaces_it() {
        let twice = Price::per_mtok("1", "2").unwrap().with_cache_read("0.5").unwrap();
        assert_eq!(twice.cells().len(), 1);
        assert_eq!(twice.cells()[0].rates.cache_read().as_pico(), 500_000);
    }
}
