//! Prices what was recorded again, without changing it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt;

use crate::clock::{Clock, SystemClock};
use crate::id::EntryId;
use crate::ledger::{Adjusted, Baseline, CostLedger, Filter, LedgerEntry, LedgerError};
use crate::money::UsdSum;
use crate::pricing::{Cost, PartialReason, PriceBook, PriceSource, UnpricedReason};

/// What [`reprice`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repriced {
    /// Entries that were looked at.
    pub entries: u64,
    /// Entries whose cost changed, each by one adjustment that was recorded.
    pub adjusted: u64,
    /// By how much the known cost changed.
    pub change: UsdSum,
}

/// Prices the matching entries again by another book, and records an adjustment for each whose cost is another.
///
/// Nothing that is recorded is changed. An adjustment is an entry of its own with the same names and time, which takes
/// back the cost before and adds the new one; summaries count it as no call. Entries can be repriced any number of
/// times. Only those are whose answer carried token counts and whose cost follows from them: what was lost, abandoned or
/// cut short keeps its bounds. An adjusted entry has no baseline, since the one before is at the old prices.
///
/// Do this once at a time: two that run at once would each take back what was there before. Where old segments are
/// removed, reprice what is at least two days from its end.
///
/// It holds what it adjusted in memory, at about 100 bytes each. The new entries are flushed.
///
/// # Errors
/// If the ledger cannot be read or written. What was adjusted until then stays; calling it again does the rest.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use thrifty::ledger::{self, CostLedger, Filter, InMemoryLedger, LedgerEntry, Query};
/// use thrifty::pricing::{Cost, Price, PriceBook, UnpricedReason};
/// use thrifty::{Endpoint, EntryId, OpId, Timestamp, Usage};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let books = InMemoryLedger::new();
/// let now = Timestamp::from_unix_millis(1_795_000_000_000);
/// let mut entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::ChatCompletions);
/// entry.served_model = Some("our-own-model".into());
/// entry.usage = Some(Usage::new(1_000, 100));
/// entry.cost = Cost::Unpriced(UnpricedReason::UnknownModel);
/// books.record(&Arc::new(entry))?;
///
/// let prices = PriceBook::builtin().with_price("our-own-model", Price::per_mtok("1", "4")?);
/// let done = ledger::reprice(&books, &prices, &Filter::default()).await?;
/// assert_eq!(done.adjusted, 1);
/// let total = books.query(&Query::new()).await?.total;
/// assert_eq!((total.calls, total.cost, total.coverage.unpriced), (1, "0.0014".parse()?, 0));
/// # Ok(())
/// # }
/// ```
pub async fn reprice(
    ledger: &dyn CostLedger,
    prices: &PriceBook,
    filter: &Filter,
) -> Result<Repriced, LedgerError> {
    let mut adjusted: HashMap<EntryId, (EntryId, Standing)> = HashMap::new();
    let mut corrections = ledger.scan(filter);
    while let Some(entry) = corrections.try_next().await? {
        if let Some(before) = &entry.adjusts {
            let newest = adjusted
                .entry(before.entry)
                .or_insert_with(|| (entry.id, Standing::of(&entry)));
            if newest.0 < entry.id {
                *newest = (entry.id, Standing::of(&entry));
            }
        }
    }
    let mut done = Repriced::default();
    let mut entries = ledger.scan(filter);
    while let Some(entry) = entries.try_next().await? {
        if entry.adjusts.is_some() {
            continue;
        }
        done.entries += 1;
        let before = adjusted
            .get(&entry.id)
            .map_or_else(|| Standing::of(&entry), |(_, standing)| *standing);
        let Some(correction) = correct(&entry, before, prices) else {
            continue;
        };
        ledger.record(&Arc::new(correction.clone()))?;
        done.adjusted += 1;
        let known = |cost: Cost| cost.known().map_or(UsdSum::ZERO, UsdSum::from);
        done.change = done
            .change
            .saturating_add(known(correction.cost))
            .saturating_sub(known(before.cost));
    }
    ledger.flush().await?;
    Ok(done)
}

/// What an entry is booked at by now.
#[derive(Debug, Clone, Copy)]
struct Standing {
    cost: Cost,
    price_source: Option<PriceSource>,
    baseline: Option<Baseline>,
}

impl Standing {
    fn of(entry: &LedgerEntry) -> Self {
        Self {
            cost: entry.cost,
            price_source: entry.price_source,
            baseline: entry.baseline,
        }
    }
}

/// Returns the adjustment of an entry, if it costs something else by these prices.
fn correct(entry: &LedgerEntry, before: Standing, prices: &PriceBook) -> Option<LedgerEntry> {
    use UnpricedReason::{Overflow, UnknownModel, UnpricedLane};
    let follows_from_usage = match before.cost {
        Cost::Priced(_) => entry.usage.is_some(),
        Cost::Partial { why, .. } => why == PartialReason::UnpricedMeter,
        Cost::Unpriced(why) => matches!(why, UnknownModel | UnpricedLane | Overflow),
    };
    let usage = entry.usage.filter(|_| follows_from_usage)?;
    let quote = prices.quote(entry.model()?, entry.lane, &usage, entry.at);
    if quote.cost == before.cost {
        return None;
    }
    let mut correction = entry.clone();
    correction.id = EntryId::new(SystemClock.now());
    correction.cost = quote.cost;
    correction.price_source = quote.source;
    correction.price_revision = Some(Arc::clone(prices.revision()));
    correction.baseline = None;
    correction.adjusts = Some(Box::new(Adjusted {
        entry: entry.id,
        cost: before.cost,
        price_source: before.price_source,
        baseline: before.baseline,
    }));
    Some(correction)
}
