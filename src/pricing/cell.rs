//! Rates and when they hold, and who confirms them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rates::{Kind, Kinds, Rates};
use crate::clock::Timestamp;
use crate::lane::Lane;

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
    /// For the generated table: milliseconds since 1970, tokens, pico-dollars a token. `special` is in the order of
    /// [`Kind`]; `confirmed` has a bit for each rate, input and output first.
    pub(super) const fn new(
        lane: Lane,
        from: i64,
        above: u64,
        input: i64,
        output: i64,
        special: [Option<i64>; Kind::SPECIAL],
        confirmed: u16,
    ) -> Self {
        Self {
            lane,
            from: Timestamp::from_unix_millis(from),
            above,
            rates: Rates::of(input, output, special),
            confirmed: Some(Kinds::from_bits(confirmed)),
        }
    }

    /// Rates that you state.
    pub(super) const fn own(lane: Lane, from: Timestamp, above: u64, rates: Rates) -> Self {
        Self {
            lane,
            from,
            above,
            rates,
            confirmed: None,
        }
    }

    /// Which rates these are: a price has no two of one lane, beginning and band.
    pub(super) const fn place(&self) -> (Lane, Timestamp, u64) {
        (self.lane, self.from, self.above)
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

/// Returns the cell of a request with so much input.
///
/// Each edition of a lane has a base band, which holds for any input: the newest cell that holds is one of the newest
/// edition.
pub(super) fn cell(cells: &[Cell], lane: Lane, input_tokens: u64, at: Timestamp) -> Option<&Cell> {
    let mut best: Option<&Cell> = None;
    for cell in cells {
        let holds = cell.lane == lane && cell.from <= at && cell.holds_for(input_tokens);
        if holds && best.is_none_or(|best| (best.from, best.above) <= (cell.from, cell.above)) {
            best = Some(cell);
        }
    }
    best
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_edition_replaces_all_bands_of_the_older_one() {
        let at = Timestamp::from_unix_millis;
        let new = |from, above, rate| {
            let special = [None; Kind::SPECIAL];
            Cell::new(Lane::Standard, from, above, rate, rate, special, 0b11)
        };
        let cells = [new(i64::MIN, 0, 10), new(i64::MIN, 100, 20), new(1_000, 0, 5)];
        let input = |tokens, ms| {
            cell(&cells, Lane::Standard, tokens, at(ms)).map(|cell| cell.rates.input().as_pico())
        };
        assert_eq!(input(100, 999), Some(10));
        assert_eq!(input(101, 999), Some(20));
        assert_eq!(input(101, 1_000), Some(5));
        assert!(cell(&cells, Lane::Flex, 1, at(0)).is_none());
    }
}
