//! Sums over entries, which say how much of them is known.

use serde::{Deserialize, Serialize};

use crate::ledger::facts::{Figures, Weight};
use crate::ledger::{LedgerEntry, Overhead, Role, Status};
use crate::money::UsdSum;
use crate::pricing::{Cost, PriceSource};
use crate::usage::{ToolCalls, Usage};

/// More tokens than this of any kind are no count of one call, and are left out of sums.
const MOST_TOKENS: u64 = 1 << 40;

/// Likewise for calls of tools.
const MOST_TOOL_CALLS: u32 = 1 << 16;

/// The sums over some entries. Adding entries in any order, or merging sums of their parts, gives the same.
///
/// It counts rows, one for each model that was called. Operations are not counted: one operation's rows can fall into
/// several groups, so that such counts would not add up. An [adjustment](crate::ledger::Adjusted) is no row of its own:
/// it takes back what it replaces.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Totals {
    /// How many rows there are.
    #[serde(skip_serializing_if = "is_default")]
    pub calls: u64,
    /// How often they were sent in all, repeats included.
    #[serde(skip_serializing_if = "is_default")]
    pub attempts: u64,
    /// Rows that ended with an answer.
    #[serde(skip_serializing_if = "is_default")]
    pub succeeded: u64,
    /// Rows that the server refused, or failed.
    #[serde(skip_serializing_if = "is_default")]
    pub failed: u64,
    /// Rows without an answer.
    #[serde(skip_serializing_if = "is_default")]
    pub unanswered: u64,
    /// Streams that ended before the server said so.
    #[serde(skip_serializing_if = "is_default")]
    pub cut_short: u64,
    /// Rows that their caller dropped.
    #[serde(skip_serializing_if = "is_default")]
    pub abandoned: u64,
    /// Rows that their batch ended without.
    #[serde(skip_serializing_if = "is_default")]
    pub unreported: u64,
    /// The tokens of all rows that carry counts. Counts above 2⁴⁰ tokens or 2¹⁶ calls of tools are none, see
    /// [`Coverage::without_usage`].
    #[serde(skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// What is known to have been billed. See [`coverage`](Self::coverage) for what is not known.
    #[serde(skip_serializing_if = "is_default")]
    pub cost: UsdSum,
    /// What was saved, over the rows that can be compared.
    #[serde(skip_serializing_if = "is_default")]
    pub savings: Savings,
    /// What was spent beside the rows that can be compared.
    #[serde(skip_serializing_if = "is_default")]
    pub overhead: Overhead,
    /// How much of this is known.
    #[serde(skip_serializing_if = "is_default")]
    pub coverage: Coverage,
}

/// What was saved, lever by lever, over the [`compared`](Coverage::compared) rows only.
///
/// `baseline - routing - lane - cache` is exactly what those rows cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Savings {
    /// What the rows would have cost: the requested model, the standard lane, nothing cached.
    #[serde(skip_serializing_if = "is_default")]
    pub baseline: UsdSum,
    /// Saved by asking other models.
    #[serde(skip_serializing_if = "is_default")]
    pub routing: UsdSum,
    /// Saved by the batch and flex lanes; negative for priority.
    #[serde(skip_serializing_if = "is_default")]
    pub lane: UsdSum,
    /// Saved by the provider's prompt cache, net of what writing to it cost.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: UsdSum,
    /// What second opinions on answers cost; `routing` is less by it.
    #[serde(skip_serializing_if = "is_default")]
    pub opinions: UsdSum,
    /// What writing to the provider's cache cost more than plain input; `cache` is less by it.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_writes: UsdSum,
}

/// How much of some totals is known: counts of rows, and the money that is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Coverage {
    /// Rows whose cost is known exactly.
    #[serde(skip_serializing_if = "is_default")]
    pub priced: u64,
    /// Rows of which a part of the cost is known.
    #[serde(skip_serializing_if = "is_default")]
    pub partial: u64,
    /// Rows of whose cost nothing is known.
    #[serde(skip_serializing_if = "is_default")]
    pub unpriced: u64,
    /// Rows among `partial` for which there is no upper bound.
    #[serde(skip_serializing_if = "is_default")]
    pub unbounded: u64,
    /// What the bounded `partial` rows can have cost beyond what is known.
    #[serde(skip_serializing_if = "is_default")]
    pub open: UsdSum,
    /// The part of the known cost that rests on a rate which only one source knows.
    #[serde(skip_serializing_if = "is_default")]
    pub single_source: UsdSum,
    /// Rows without token counts, or with counts that no call can have.
    #[serde(skip_serializing_if = "is_default")]
    pub without_usage: u64,
    /// Rows whose cost and baseline are both known, so that savings can be told.
    #[serde(skip_serializing_if = "is_default")]
    pub compared: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Totals {
    /// Adds an entry.
    pub fn add(&mut self, entry: &LedgerEntry) {
        if let Some(before) = Figures::replaced_by(entry) {
            self.count(&before, Weight::TakeBack);
        }
        self.count(&Figures::of(entry), Weight::Add);
    }

    /// Adds figures, or takes them back. Counts wrap, so that what is taken back may come before what it belongs to.
    pub(super) fn count(&mut self, figures: &Figures, weight: Weight) {
        weight.add(&mut self.calls, 1);
        weight.add(&mut self.attempts, figures.attempts.into());
        let ended = match figures.status {
            Status::Succeeded => &mut self.succeeded,
            Status::Failed => &mut self.failed,
            Status::Unanswered => &mut self.unanswered,
            Status::CutShort => &mut self.cut_short,
            Status::Abandoned => &mut self.abandoned,
            Status::Unreported => &mut self.unreported,
        };
        weight.add(ended, 1);
        match figures.usage.filter(is_plausible) {
            Some(usage) => count_usage(&mut self.usage, usage, weight),
            None => weight.add(&mut self.coverage.without_usage, 1),
        }
        if let Some(known) = figures.cost.known() {
            weight.add_money(&mut self.cost, known.into());
            if figures.price_source == Some(PriceSource::SingleSource) {
                weight.add_money(&mut self.coverage.single_source, known.into());
            }
        }
        self.coverage.count(&figures.cost, weight);
        if !self.compare(figures, weight) {
            self.overhead.count(figures, weight);
        }
    }

    /// Adds other totals, of other entries.
    pub fn merge(&mut self, other: &Self) {
        self.weigh(other, Weight::Add);
    }

    /// Takes back totals that were merged before, or will be.
    pub(super) fn take_back(&mut self, other: &Self) {
        self.weigh(other, Weight::TakeBack);
    }

    fn weigh(&mut self, other: &Self, weight: Weight) {
        let add = |sum: &mut u64, more: u64| weight.add(sum, more);
        add(&mut self.calls, other.calls);
        add(&mut self.attempts, other.attempts);
        add(&mut self.succeeded, other.succeeded);
        add(&mut self.failed, other.failed);
        add(&mut self.unanswered, other.unanswered);
        add(&mut self.cut_short, other.cut_short);
        add(&mut self.abandoned, other.abandoned);
        add(&mut self.unreported, other.unreported);
        count_usage(&mut self.usage, other.usage, weight);
        weight.add_money(&mut self.cost, other.cost);
        self.savings.weigh(&other.savings, weight);
        self.overhead.weigh(&other.overhead, weight);
        self.coverage.weigh(&other.coverage, weight);
    }

    /// Returns the most that the rows can have cost, or `None` if some of them have no upper bound.
    pub fn at_most(&self) -> Option<UsdSum> {
        let bounded = self.coverage.unpriced == 0 && self.coverage.unbounded == 0;
        bounded.then(|| self.cost.saturating_add(self.coverage.open))
    }

    /// Counts what a row saved; `false` if that cannot be told.
    fn compare(&mut self, figures: &Figures, weight: Weight) -> bool {
        let (Some(cost), Some(baseline)) = (figures.cost.exact(), figures.baseline) else {
            return false;
        };
        let saved = UsdSum::from(baseline.cost).saturating_sub(cost.into());
        // A row from elsewhere may carry levers that do not explain its saving: it would spoil the sums.
        let explained = saved == UsdSum::ZERO + baseline.routing + baseline.lane + baseline.cache;
        if explained {
            weight.add(&mut self.coverage.compared, 1);
            weight.add_money(&mut self.savings.baseline, baseline.cost.into());
            weight.add_money(&mut self.savings.routing, baseline.routing.into());
            weight.add_money(&mut self.savings.lane, baseline.lane.into());
            weight.add_money(&mut self.savings.cache, baseline.cache.into());
            weight.add_money(&mut self.savings.cache_writes, baseline.cache_writes.into());
            if figures.role == Role::Opinion {
                weight.add_money(&mut self.savings.opinions, cost.into());
            }
        }
        explained
    }
}

fn is_plausible(usage: &Usage) -> bool {
    let (tokens, calls) = counts(*usage);
    tokens.iter().all(|count| *count <= MOST_TOKENS) && calls.iter().all(|count| *count <= MOST_TOOL_CALLS)
}

/// Adds counts to sums, or takes them back.
fn count_usage(sums: &mut Usage, usage: Usage, weight: Weight) {
    let (tokens, calls) = counts(usage);
    let (token_sums, call_sums) = counts_mut(sums);
    for (sum, count) in token_sums.into_iter().zip(tokens) {
        weight.add(sum, count);
    }
    for (sum, count) in call_sums.into_iter().zip(calls) {
        *sum = match weight {
            Weight::Add => sum.wrapping_add(count),
            Weight::TakeBack => sum.wrapping_sub(count),
        };
    }
}

fn counts(mut usage: Usage) -> ([u64; 10], [u32; 4]) {
    let (tokens, calls) = counts_mut(&mut usage);
    (tokens.map(|count| *count), calls.map(|count| *count))
}

fn counts_mut(usage: &mut Usage) -> ([&mut u64; 10], [&mut u32; 4]) {
    let Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        audio_input_tokens,
        audio_output_tokens,
        cache_write_12h_tokens,
        image_input_tokens,
        image_output_tokens,
        tool_calls:
            ToolCalls {
                web_search,
                file_search,
                container,
                other,
            },
    } = usage;
    let tokens = [
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        audio_input_tokens,
        audio_output_tokens,
        cache_write_12h_tokens,
        image_input_tokens,
        image_output_tokens,
    ];
    (tokens, [web_search, file_search, container, other])
}

impl Savings {
    /// Returns what all levers saved together; negative if they cost more than they saved.
    #[must_use]
    pub const fn total(&self) -> UsdSum {
        self.routing.saturating_add(self.lane).saturating_add(self.cache)
    }

    fn weigh(&mut self, other: &Self, weight: Weight) {
        weight.add_money(&mut self.baseline, other.baseline);
        weight.add_money(&mut self.routing, other.routing);
        weight.add_money(&mut self.lane, other.lane);
        weight.add_money(&mut self.cache, other.cache);
        weight.add_money(&mut self.opinions, other.opinions);
        weight.add_money(&mut self.cache_writes, other.cache_writes);
    }
}

impl Coverage {
    fn count(&mut self, cost: &Cost, weight: Weight) {
        match cost {
            Cost::Priced(_) => weight.add(&mut self.priced, 1),
            Cost::Partial { known, at_most, .. } => {
                weight.add(&mut self.partial, 1);
                match at_most {
                    Some(most) => {
                        let open = UsdSum::from(*most).saturating_sub((*known).into());
                        weight.add_money(&mut self.open, open.max(UsdSum::ZERO));
                    }
                    None => weight.add(&mut self.unbounded, 1),
                }
            }
            Cost::Unpriced(_) => weight.add(&mut self.unpriced, 1),
        }
    }

    fn weigh(&mut self, other: &Self, weight: Weight) {
        let add = |sum: &mut u64, more: u64| weight.add(sum, more);
        add(&mut self.priced, other.priced);
        add(&mut self.partial, other.partial);
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.unbounded, other.unbounded);
        weight.add_money(&mut self.open, other.open);
        weight.add_money(&mut self.single_source, other.single_source);
        add(&mut self.without_usage, other.without_usage);
        add(&mut self.compared, other.compared);
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
            single_source in any::<bool>(), is_opinion in any::<bool>(),
        ) -> LedgerEntry {
            let at = Timestamp::from_unix_millis(0);
            let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
            entry.cost = cost;
            entry.role = if is_opinion { Role::Opinion } else { Role::Primary };
            entry.price_source = single_source.then_some(PriceSource::SingleSource);
            entry.attempts = attempts;
            entry.usage = tokens.map(|(input, output)| Usage::new(input, output));
            let actual = cost.exact().filter(|_| consistent).unwrap_or(Usd::ZERO);
            let usd = |pico: i32| Usd::from_pico(pico.into());
            entry.baseline = levers.and_then(|[a, b, c]| {
                let baseline = Baseline::of(usd(a), usd(b), usd(c), actual)?;
                Some(baseline.with_cache_writes(usd(a)))
            });
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
            merged.take_back(&totals(other));
            prop_assert_eq!(merged, totals(one));
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
