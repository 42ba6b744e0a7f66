//! What tokens cost.
//!
//! A [`PriceBook`] knows unit prices by model, [lane](Lane) and context band, and prices token counts in integers. The
//! built-in table holds OpenAI's prices; it is a file of this crate, `src/pricing/openai.toml`, in which each row says
//! where it is from and whether a second source confirms it.

#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "a generated table")]
mod builtin;
mod cell;
mod cost;
mod fees;
mod load;
mod price;
mod rates;

pub use cell::PriceSource;
pub use cost::{Cost, PartialReason, UnpricedReason};
pub use fees::Tool;
pub use load::{LoadError, LoadNote, LoadProblem, Loaded};
pub use price::Price;
pub use rates::{PriceError, Rates};

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use self::cell::Cell;
use self::fees::Fees;
use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::money::Usd;
use crate::usage::Usage;

/// The built-in table: sorted by the length of the model's id, then by the id.
type Table = &'static [(&'static str, Tariff<'static>)];

/// All that one model costs.
#[derive(Clone, Copy)]
struct Tariff<'a> {
    cells: &'a [Cell],
    /// What processing in a region adds, in percent.
    uplift: u8,
    fees: &'a Fees,
}

/// Unit prices, and how to apply them. Cheap to clone; a change makes another edition and leaves clones as they were.
///
/// # Which price a model has
/// The first of these that exists:
/// 1. your own price of exactly this id, from [`with_price`](Self::with_price);
/// 2. the book's price of exactly this id;
/// 3. for a fine-tuned model `ft:<base>:...`, the price of `ft:<base>`, never that of `<base>`;
/// 4. for an id with a real `-YYYY-MM-DD` suffix, the price of the id without it.
///
/// Otherwise the model is unknown and its cost [`Unpriced`](Cost::Unpriced). An id is never matched by its beginning:
/// `gpt-5.6-sol` is not `gpt-5`.
///
/// OpenAI answers with the snapshot that served a call. A negotiated price of `gpt-4o` is to be set for the snapshots
/// behind it too, for the book knows those by their own ids.
///
/// # Examples
/// ```
/// use thrifty::pricing::PriceBook;
/// use thrifty::{Lane, ModelId, Timestamp, Usage};
///
/// let book = PriceBook::builtin();
/// let at = Timestamp::from_unix_millis(1_795_000_000_000);
/// let mut usage = Usage::new(1_000, 100);
/// usage.cache_read_tokens = 600;
/// let cost = book.cost(&ModelId::new("gpt-4o"), Lane::Standard, &usage, at);
/// assert_eq!(cost.to_string(), "$0.00275");
///
/// let unknown = book.cost(&ModelId::new("gpt-4o-turbo"), Lane::Standard, &usage, at);
/// assert_eq!(unknown.known(), None);
/// ```
#[derive(Clone)]
pub struct PriceBook(Arc<Book>);

#[derive(Clone)]
struct Book {
    table: Table,
    edition: &'static str,
    prices: BTreeMap<ModelId, Price>,
    aliases: BTreeMap<ModelId, ModelId>,
    /// Whether calls are processed in a region, which some models charge for.
    regional: bool,
    revision: Arc<str>,
}

/// A cost, and who confirms the rates behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Quote {
    /// What it cost, as far as it is known.
    pub cost: Cost,
    /// Who confirms the rates that were used; `None` if none were.
    pub source: Option<PriceSource>,
}

impl PriceBook {
    /// Returns OpenAI's prices as of this release.
    pub fn builtin() -> Self {
        Self::of(builtin::MODELS, builtin::REVISION)
    }

    /// Returns a book without any price.
    pub fn empty() -> Self {
        Self::of(&[], "empty")
    }

    fn of(table: Table, edition: &'static str) -> Self {
        Self(Arc::new(Book {
            table,
            edition,
            prices: BTreeMap::new(),
            aliases: BTreeMap::new(),
            regional: false,
            revision: edition.into(),
        }))
    }

    /// Sets the price of exactly this id, whatever the book says.
    #[must_use]
    pub fn with_price(self, model: impl Into<ModelId>, price: Price) -> Self {
        self.with(|book| {
            book.prices.insert(model.into(), price);
        })
    }

    /// Prices `alias` as `model`, such as a deployment's name as the model behind it.
    ///
    /// It goes before anything the book knows of `alias`. The price of `model` is looked up as ever; an alias of an
    /// alias is not followed.
    #[must_use]
    pub fn with_alias(self, alias: impl Into<ModelId>, model: impl Into<ModelId>) -> Self {
        self.with(|book| {
            book.aliases.insert(alias.into(), model.into());
        })
    }

    /// Prices calls as processed in a region, the United States or the European Union, for those models of the table
    /// that charge for it. A price that you set stays as it is; one from a list has the list's uplift, if it states one.
    ///
    /// A client whose base URL names OpenAI's regional host does this by itself.
    #[must_use]
    pub fn with_regional_uplift(self) -> Self {
        self.with(|book| book.regional = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Book)) -> Self {
        let book = Arc::make_mut(&mut self.0);
        change(book);
        let changes = format!("{:?}{:?}{}", book.prices, book.aliases, book.regional);
        let hash = crc32c::crc32c(changes.as_bytes());
        book.revision = format!("{}+{hash:08x}", book.edition).into();
        self
    }

    /// Returns the name of this edition: the table's date and checksum, and a checksum of your own prices if any.
    pub fn revision(&self) -> &Arc<str> {
        &self.0.revision
    }

    /// Returns the rates of a request with so many input tokens, which choose the context band.
    ///
    /// # Errors
    /// If the model is not known, or not priced on this lane at this time.
    pub fn rates(
        &self,
        model: &ModelId,
        lane: Lane,
        input_tokens: u64,
        at: Timestamp,
    ) -> Result<Rates, UnpricedReason> {
        let tariff = self.tariff(model)?;
        let cell = tariff.cell(lane, input_tokens, at)?;
        Ok(self.regional(&tariff, &cell.rates)?.unwrap_or(cell.rates))
    }

    /// Adds to rates what processing in a region costs; `None` if they stay as they are.
    fn regional(&self, tariff: &Tariff<'_>, rates: &Rates) -> Result<Option<Rates>, UnpricedReason> {
        if !self.0.regional || tariff.uplift == 0 {
            return Ok(None);
        }
        rates
            .raised(tariff.uplift)
            .map(Some)
            .ok_or(UnpricedReason::Overflow)
    }

    /// Prices the token counts and tool calls of an answer, exactly.
    ///
    /// A count without a rate makes the cost [`Partial`](Cost::Partial), and so does a tool call whose fee is open. So
    /// do parts that are more than their whole: what is then known to have been billed are the totals at the cheapest
    /// rate that any part of them can have.
    pub fn cost(&self, model: &ModelId, lane: Lane, usage: &Usage, at: Timestamp) -> Cost {
        self.quote(model, lane, usage, at).cost
    }

    /// Prices an answer as [`cost`](Self::cost) does, and says who confirms the rates it used.
    pub fn quote(&self, model: &ModelId, lane: Lane, usage: &Usage, at: Timestamp) -> Quote {
        self.try_quote(model, lane, usage, at)
            .unwrap_or_else(|reason| Quote {
                cost: Cost::Unpriced(reason),
                source: None,
            })
    }

    fn try_quote(
        &self,
        model: &ModelId,
        lane: Lane,
        usage: &Usage,
        at: Timestamp,
    ) -> Result<Quote, UnpricedReason> {
        const OVERFLOW: UnpricedReason = UnpricedReason::Overflow;
        let tariff = self.tariff(model)?;
        let cell = tariff.cell(lane, usage.input_tokens, at)?;
        let raised = self.regional(&tariff, &cell.rates)?;
        let rates = raised.as_ref().unwrap_or(&cell.rates);
        let (tokens, used, open) = if let Ok(meters) = usage.meters() {
            let bill = rates.bill(&meters).ok_or(OVERFLOW)?;
            let open = (!bill.complete).then_some(PartialReason::UnpricedMeter);
            (bill.known, bill.used, open)
        } else {
            let known = rates.at_least(usage).ok_or(OVERFLOW)?;
            (known, rates.kinds(), Some(PartialReason::InconsistentUsage))
        };
        let fees = tariff.fees.bill(usage.tool_calls).ok_or(OVERFLOW)?;
        let known = tokens.checked_add(fees.least).ok_or(OVERFLOW)?;
        let cost = match (open, fees.most) {
            (None, Some(most)) if most == fees.least => Cost::Priced(known),
            (None, most) => Cost::Partial {
                known,
                at_most: most.and_then(|most| tokens.checked_add(most)),
                why: PartialReason::ToolFee,
            },
            (Some(why), _) => Cost::Partial {
                known,
                at_most: None,
                why,
            },
        };
        let uplifted = self.0.regional && tariff.uplift > 0;
        let source = match cell.source_of(used) {
            // Only one source knows of the uplift.
            PriceSource::Confirmed if uplifted || !fees.confirmed => PriceSource::SingleSource,
            source => source,
        };
        Ok(Quote {
            cost,
            source: Some(source),
        })
    }

    /// Returns an upper bound of what an answer can cost whose counts are at most these, each for itself.
    ///
    /// All input is taken at the dearest rate of its kinds (fresh, cache write, audio, image), in the dearest band that
    /// it can fall in, and output likewise, whatever the parts in `most` are. Cache writes that are kept for 12 hours
    /// are at most as many as it has, and so are calls of tools, each at the upper end of its fee. A model that searches
    /// before each answer does so once.
    ///
    /// # Errors
    /// As [`rates`](Self::rates), and if the bound is more than an amount of money can hold.
    /// [`Unbounded`](UnpricedReason::Unbounded) if there can be something that has no price: a tool without a fee, or
    /// one of the kinds of tokens that need a [rate of their own](Rates).
    ///
    /// # Examples
    /// ```
    /// use thrifty::pricing::PriceBook;
    /// use thrifty::{Lane, Timestamp, Usage};
    ///
    /// let book = PriceBook::builtin();
    /// let at = Timestamp::from_unix_millis(1_795_000_000_000);
    /// let mut most = Usage::new(1_000, 100);
    /// let worst = |most: &Usage| book.worst_case(&"gpt-5.6-sol".into(), Lane::Standard, most, at);
    /// assert_eq!(worst(&most), Ok("0.007".parse()?));
    ///
    /// most.cache_write_12h_tokens = 1_000;
    /// most.tool_calls.web_search = 1;
    /// assert_eq!(worst(&most), Ok("0.022".parse()?));
    /// # Ok::<(), thrifty::ParseUsdError>(())
    /// ```
    pub fn worst_case(
        &self,
        model: &ModelId,
        lane: Lane,
        most: &Usage,
        at: Timestamp,
    ) -> Result<Usd, UnpricedReason> {
        const OVERFLOW: UnpricedReason = UnpricedReason::Overflow;
        let mut worst = Err(UnpricedReason::UnpricedLane);
        let tariff = self.tariff(model)?;
        let fees = tariff.fees.bill(most.tool_calls).ok_or(OVERFLOW)?;
        let fees = fees.most.ok_or(UnpricedReason::Unbounded)?;
        for rates in cell::reachable(tariff.cells, lane, most.input_tokens, at) {
            let raised = self.regional(&tariff, rates)?;
            let rates = raised.as_ref().unwrap_or(rates);
            if !rates.price_all_of(most) {
                return Err(UnpricedReason::Unbounded);
            }
            let most = rates.at_most(most).and_then(|most| most.checked_add(fees));
            let most = most.ok_or(OVERFLOW)?;
            worst = Ok(worst.map_or(most, |worst: Usd| worst.max(most)));
        }
        worst
    }

    /// Whether a model searches before each of its answers, and is billed for that.
    pub(crate) fn has_fee_by_answer(&self, model: &ModelId) -> bool {
        self.tariff(model)
            .is_ok_and(|tariff| tariff.fees.has(Tool::Answer))
    }

    /// Compares what two models cost on the standard lane, short requests: `Greater` if `a` is the dearer.
    ///
    /// `None` if one is not known, or if one is dearer for input and the other for output.
    pub fn compare(&self, a: &ModelId, b: &ModelId, at: Timestamp) -> Option<Ordering> {
        let a = self.rates(a, Lane::Standard, 0, at).ok()?;
        let b = self.rates(b, Lane::Standard, 0, at).ok()?;
        match (a.input().cmp(&b.input()), a.output().cmp(&b.output())) {
            (input, Ordering::Equal) => Some(input),
            (Ordering::Equal, output) => Some(output),
            (input, output) => (input == output).then_some(input),
        }
    }

    fn tariff(&self, model: &ModelId) -> Result<Tariff<'_>, UnpricedReason> {
        let model = self.0.aliases.get(model).unwrap_or(model);
        let id = model.as_str();
        self.exact(id)
            .or_else(|| match model.fine_tuned_from() {
                Some(base) => self.exact(id.get(.."ft:".len() + base.len())?),
                None => self.exact(model.without_date()?),
            })
            .ok_or(UnpricedReason::UnknownModel)
    }

    fn exact(&self, id: &str) -> Option<Tariff<'_>> {
        if let Some(price) = self.0.prices.get(id) {
            return Some(price.tariff());
        }
        // By length first: most of the steps then compare no text.
        let key = (id.len(), id);
        let at = self
            .0
            .table
            .binary_search_by(|(id, _)| (id.len(), *id).cmp(&key))
            .ok()?;
        self.0.table.get(at).map(|(_, tariff)| *tariff)
    }
}

impl Tariff<'_> {
    fn cell(&self, lane: Lane, input_tokens: u64, at: Timestamp) -> Result<&Cell, UnpricedReason> {
        cell::cell(self.cells, lane, input_tokens, at).ok_or(UnpricedReason::UnpricedLane)
    }
}

impl Default for PriceBook {
    /// The built-in prices.
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceBook")
            .field("revision", &self.0.revision)
            .field("models", &self.0.table.len())
            .field("prices", &self.0.prices)
            .field("aliases", &self.0.aliases)
            .finish()
    }
}

#[cfg(test)]
mod tests;
