//! A price as its user states it.

use super::Tariff;
use super::cell::Cell;
use super::fees::{Fee, Fees, Tool};
use super::rates::{PriceError, Rates};
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::money::Usd;

/// When a price began that has no beginning.
pub(super) const ALWAYS: Timestamp = Timestamp::from_unix_millis(i64::MIN);

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
    cells: Vec<Cell>,
    /// What processing in a region adds, in percent.
    uplift: u8,
    fees: Fees,
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
    pub fn with_cache_read(mut self, per_mtok: &str) -> Result<Self, PriceError> {
        for cell in &mut self.cells {
            if cell.place() == (Lane::Standard, ALWAYS, 0) {
                cell.rates = cell.rates.with_cache_read(per_mtok)?;
            }
        }
        Ok(self)
    }

    /// Sets the rates of a lane.
    #[must_use]
    pub fn with_lane(self, lane: Lane, rates: Rates) -> Self {
        self.with_long_context(lane, 0, rates)
    }

    /// Sets the rates of a lane for requests with more than `above` input tokens. They hold for the whole request.
    ///
    /// The lane needs its own [`with_lane`](Self::with_lane) for shorter requests.
    #[must_use]
    pub fn with_long_context(mut self, lane: Lane, above: u64, rates: Rates) -> Self {
        let cell = Cell::own(lane, ALWAYS, above, rates);
        self.cells.retain(|other| other.place() != cell.place());
        self.cells.push(cell);
        self
    }

    /// Sets what one call of a tool costs, in dollars. Default: none, so that such a call makes a cost partial.
    ///
    /// # Errors
    /// If the text is not a decimal number, or is negative.
    pub fn with_fee(mut self, tool: Tool, dollars: &str) -> Result<Self, PriceError> {
        let fee = dollars.parse::<Usd>().map_err(PriceError::NotANumber)?;
        if fee < Usd::ZERO {
            return Err(PriceError::Negative(dollars.to_owned()));
        }
        self.fees = self.fees.with(tool, Fee::own(fee));
        Ok(self)
    }

    pub(super) fn tariff(&self) -> Tariff<'_> {
        Tariff {
            cells: &self.cells,
            uplift: self.uplift,
            fees: &self.fees,
        }
    }

    /// A price of a list; its rows do not overlap.
    pub(super) fn loaded(cells: Vec<Cell>, fees: Fees, uplift: u8) -> Self {
        Self { cells, uplift, fees }
    }
}

impl From<Rates> for Price {
    fn from(standard: Rates) -> Self {
        Self::loaded(Vec::new(), Fees::NONE, 0).with_lane(Lane::Standard, standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_lane_again_replaces_it() {
        let twice = Price::per_mtok("1", "2").unwrap().with_cache_read("0.5").unwrap();
        assert_eq!(twice.cells.len(), 1);
        assert_eq!(twice.cells[0].rates.cache_read().as_pico(), 500_000);
    }
}
