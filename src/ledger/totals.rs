//! Sums over entries, which say how much of them is known.

use crate::ledger::{LedgerEntry, Status};
use crate::money::UsdSum;
use crate::pricing::{Cost, PriceSource};
use crate::usage::Usage;

/// The sums over some entries. Adding entries in any order, or merging sums of their parts, gives the same.
///
/// It counts rows, one for each model that was called. Operations are not counted: one operation's rows can fall into
/// several groups, so that such counts would not add up.
///
/// # Examples
/// ```
/// use thrifty::ledger::{LedgerEntry, Totals};
/// use thrifty::pricing::Cost;
/// use thrifty::{Endpoint, EntryId, OpId, Timestamp, UsdSum};
///
/// let now = Timestamp::from_unix_millis(0);
/// let mut entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::Embeddings);
/// entry.cost = Cost::Priced("0.002".parse()?);
/// let mut totals = Totals::default();
/// totals.add(&entry);
/// totals.add(&entry);
/// assert_eq!(totals.cost, "0.004".parse()?);
/// assert_eq!(totals.at_most(), Some(totals.cost));
/// # Ok::<(), thrifty::ParseUsdError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Totals {
    /// How many rows there are.
    pub calls: u64,
    /// How often they were sent in all, repeats included.
    pub attempts: u64,
    /// Rows that ended with an answer.
    pub succeeded: u64,
    /// Rows that the server refused, or failed.
    pub failed: u64,
    /// Rows without an answer.
    pub unanswered: u64,
    /// Streams that ended before the server said so.
    pub cut_short: u64,
    /// Rows that their caller dropped.
    pub abandoned: u64,
    /// Rows that their batch ended without.
    pub unreported: u64,
    /// The tokens of all rows that carry counts; each kind stops at the largest count.
    pub usage: Usage,
    /// What is known to have been billed. See [`coverage`](Self::coverage) for what is not known.
    pub cost: UsdSum,
    /// What was saved, over the rows that can be compared.
    pub savings: Savings,
    /// How much of this is known.
    pub coverage: Coverage,
}

/// What was saved, lever by lever, over the [`compared`](Coverage::compared) rows only.
///
/// `baseline - routing - lane - cache` is exactly what those rows cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Savings {
    /// What the rows would have cost: the requested model, the standard lane, nothing cached.
    pub baseline: UsdSum,
    /// Saved by asking other models.
    pub routing: UsdSum,
    /// Saved by the batch and flex lanes; negative for priority.
    pub lane: UsdSum,
    /// Saved by the provider's prompt cache, net of what writing to it cost.
    pub cache: UsdSum,
}

/// How much of some totals is known: counts of rows, and the money that is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Coverage {
    /// Rows whose cost is known exactly.
    pub priced: u64,
    /// Rows of which a part of the cost is known.
    pub partial: u64,
    /// Rows of whose cost nothing is known.
    pub unpriced: u64,
    /// Rows among `partial` for which there is no upper bound.
    pub unbounded: u64,
    /// What the bounded `partial` rows can have cost beyond what is known.
    pub open: UsdSum,
    /// The part of the known cost that rests on a rate which only one source knows.
    pub single_source: UsdSum,
    /// Rows without token counts.
    pub without_usage: u64,
    /// Rows whose cost and baseline are both known, so that savings can be told.
    pub compared: u64,
}

impl Totals {
    /// Adds an entry.
    pub fn add(&mut self, entry: &LedgerEntry) {
        self.calls += 1;
        self.attempts += u64::from(entry.attempts);
        *match entry.status {
            Status::Succeeded => &mut self.succeeded,
            Status::Failed => &mut self.failed,
            Status::Unanswered => &mut self.unanswered,
            Status::CutShort => &mut self.cut_short,
            Status::Abandoned => &mut self.abandoned,
            Status::Unreported => &mut self.unreported,
        } += 1;
        match entry.usage {
            Some(usage) => self.usage = self.usage.saturating_add(usage),
            None => self.coverage.without_usage += 1,
        }
        if let Some(known) = entry.cost.known() {
            self.cost += known;
            if entry.price_source == Some(PriceSource::SingleSource) {
                self.coverage.single_source += known;
            }
        }
        self.coverage.add(&entry.cost);
        self.compare(entry);
    }

    /// Adds other totals, of other entries.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.unanswered += other.unanswered;
        self.cut_short += other.cut_short;
        self.abandoned += other.abandoned;
        self.unreported += other.unreported;
        self.usage = self.usage.saturating_add(other.usage);
        self.cost += other.cost;
        self.savings.merge(&other.savings);
        self.coverage.merge(&other.coverage);
    }

    /// Returns the most that the rows can have cost, or `None` if some of them have no upper bound.
    pub fn at_most(&self) -> Option<UsdSum> {
        let bounded = self.coverage.unpriced == 0 && self.coverage.unbounded == 0;
        bounded.then(|| self.cost.saturating_add(self.coverage.open))
    }

    fn compare(&mut self, entry: &LedgerEntry) {
        let (Some(saved), Some(baseline)) = (entry.savings(), entry.baseline) else {
            return;
        };
        // A row from elsewhere may carry levers that do not explain its saving: it would spoil the sums.
        if saved == UsdSum::ZERO + baseline.routing + baseline.lane + baseline.cache {
            self.coverage.compared += 1;
            self.savings.baseline += baseline.cost;
            self.savings.routing += baseline.routing;
            self.savings.lane += baseline.lane;
            self.savings.cache += baseline.cache;
        }
    }
}

impl Savings {
    /// Returns what all levers saved together; negative if they cost more than they saved.
    #[must_use]
    pub const fn total(&self) -> UsdSum {
        self.routing.saturating_add(self.lane).saturating_add(self.cache)
    }

    fn merge(&mut self, other: &Self) {
        self.baseline += other.baseline;
        self.routing += other.routing;
        self.lane += other.lane;
        self.cache += other.cache;
    }
}

impl Coverage {
    fn add(&mut self, cost: &Cost) {
        match cost {
            Cost::Priced(_) => self.priced += 1,
            Cost::Partial { known, at_most, .. } => {
                self.partial += 1;
                match at_most {
                    Some(most) => {
                        self.open += UsdSum::from(*most)
                            .saturating_sub((*known).into())
                            .max(UsdSum::ZERO);
                    }
                    None => self.unbounded += 1,
                }
            }
            Cost::Unpriced(_) => self.unpriced += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.priced += other.priced;
        self.partial += other.partial;
        self.unpriced += other.unpriced;
        self.unbounded += other.unbounded;
        self.open += other.open;
        self.single_source += other.single_source;
        self.without_usage += other.without_usage;
        self.compared += other.compared;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::endpoint::Endpoint;
    use crate::id::{EntryId, OpId};
    use crate::ledger::Baseline;
    use crate::money::Usd;
    use crate::pricing::{PartialReason, UnpricedReason};

    fn cost() -> impl Strategy<Value = Cost> {
        let usd = || any::<i64>().prop_map(Usd::from_pico);
        let why = PartialReason::CutShort;
        prop_oneof![
            usd().prop_map(Cost::Priced),
            (usd(), proptest::option::of(usd())).prop_map(move |(known, at_most)| Cost::Partial {
                known,
                at_most,
                why
            }),
            Just(Cost::Unpriced(UnpricedReason::UnknownModel)),
        ]
    }

    prop_compose! {
        fn entry()(
            cost in cost(), tokens in proptest::option::of(any::<(u64, u64)>()), attempts in 0_u32..4,
            levers in proptest::option::of([any::<i32>(), any::<i32>(), any::<i32>()]), consistent in any::<bool>(),
            single_source in any::<bool>(),
        ) -> LedgerEntry {
            let at = Timestamp::from_unix_millis(0);
            let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
            entry.cost = cost;
            entry.price_source = single_source.then_some(PriceSource::SingleSource);
            entry.attempts = attempts;
            entry.usage = tokens.map(|(input, output)| Usage::new(input, output));
            let actual = cost.exact().filter(|_| consistent).unwrap_or(Usd::ZERO);
            let usd = |pico: i32| Usd::from_pico(pico.into());
            entry.baseline = levers.and_then(|[a, b, c]| Baseline::of(usd(a), usd(b), usd(c), actual));
            entry
        }
    }

    fn totals<'a>(entries: impl IntoIterator<Item = &'a LedgerEntry>) -> Totals {
        let mut totals = Totals::default();
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals
    }

    proptest! {
        #[test]
        fn totals_of_parts_merge_to_the_totals(entries in prop::collection::vec(entry(), 0..40), at in 0_usize..40) {
            let whole = totals(&entries);
            let (one, other) = entries.split_at(at.min(entries.len()));
            let mut merged = totals(other);
            merged.merge(&totals(one));
            prop_assert_eq!(merged, whole);
            prop_assert_eq!(totals(entries.iter().rev()), whole);
        }

        #[test]
        fn the_levers_explain_every_compared_row(entries in prop::collection::vec(entry(), 0..40)) {
            let whole = totals(&entries);
            let compared = entries.iter().filter(|entry| totals([*entry]).coverage.compared == 1);
            let cost: UsdSum = compared.filter_map(|entry| entry.cost.exact()).sum();
            prop_assert_eq!(whole.savings.baseline.saturating_sub(whole.savings.total()), cost);
            let coverage = whole.coverage;
            prop_assert_eq!(coverage.priced + coverage.partial + coverage.unpriced, whole.calls);
            let single = entries.iter().filter(|entry| entry.price_source.is_some());
            prop_assert_eq!(coverage.single_source, single.filter_map(|entry| entry.cost.known()).sum());
        }
    }
}
