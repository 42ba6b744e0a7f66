//! From what the calls would have cost to what they did cost, step by step, to the pico-dollar.

use crate::lane::Lane;
use crate::ledger::Totals;
use crate::money::UsdSum;
use crate::report::cells::Table;

/// One step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// A word for exports.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What was reached before the step, and by it. A level begins at nothing.
    pub(super) from: UsdSum,
    pub(super) to: UsdSum,
    pub(super) is_level: bool,
}

impl Step {
    /// Returns what the step adds; negative if it saves.
    pub(super) const fn change(&self) -> UsdSum {
        self.to.saturating_sub(self.from)
    }
}

/// Returns the steps from the baseline down to what the same calls cost, and from there up to all that is known to have
/// been spent. Lanes and costs that changed nothing are left out; routing and the provider's cache are always there.
pub(super) fn of(total: &Totals, lanes: &Table) -> Vec<Step> {
    let savings = &total.savings;
    let mut way = Way::default();
    way.level("baseline", "Baseline", savings.baseline);
    way.save(
        "routing",
        "Routing",
        savings.routing.saturating_add(savings.opinions),
    );
    for (lane, id, name) in [
        (Lane::Batch, "batch", "Batch lane"),
        (Lane::Flex, "flex", "Flex lane"),
        (Lane::Priority, "priority", "Priority lane"),
        (Lane::Standard, "late", "Sent again, out of time"),
    ] {
        let row = lanes
            .rows
            .iter()
            .find(|row| row.key.as_deref() == Some(lane.as_str()));
        let saved = row.map_or(UsdSum::ZERO, |row| row.totals.savings.lane);
        if saved != UsdSum::ZERO {
            way.save(id, name, saved);
        }
    }
    let read = savings.cache.saturating_add(savings.cache_writes);
    way.save("provider_cache", "Provider cache", read);
    way.spend("cache_writes", "Writing to that cache", savings.cache_writes);
    way.spend("opinions", "Second opinions", savings.opinions);
    way.level("actual", "Actual cost of these calls", way.at);
    let overhead = &total.overhead;
    way.spend("shadow", "Shadow calls", overhead.shadow);
    way.spend("steps", "Later steps", overhead.steps);
    way.spend("other_opinions", "Opinions without a baseline", overhead.opinions);
    way.spend("failed", "Calls without a whole answer", overhead.failed);
    let rest = total.cost.saturating_sub(way.at);
    way.save("without_baseline", "Answers without a baseline", negated(rest));
    way.level("cost", "All known cost", way.at);
    way.steps
}

fn negated(amount: UsdSum) -> UsdSum {
    UsdSum::ZERO.saturating_sub(amount)
}

#[derive(Debug, Default)]
struct Way {
    at: UsdSum,
    steps: Vec<Step>,
}

impl Way {
    fn level(&mut self, id: &'static str, name: &'static str, at: UsdSum) {
        self.at = at;
        self.steps.push(Step {
            id,
            name,
            from: UsdSum::ZERO,
            to: at,
            is_level: true,
        });
    }

    /// Adds a cost, if there is one.
    fn spend(&mut self, id: &'static str, name: &'static str, cost: UsdSum) {
        if cost != UsdSum::ZERO {
            self.save(id, name, negated(cost));
        }
    }

    fn save(&mut self, id: &'static str, name: &'static str, saved: UsdSum) {
        let from = self.at;
        self.at = from.saturating_sub(saved);
        self.steps.push(Step {
            id,
            name,
            from,
            to: self.at,
            is_level: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::clock::Timestamp;
    use crate::endpoint::Endpoint;
    use crate::id::{EntryId, OpId};
    use crate::ledger::{Baseline, LedgerEntry, Role, Status};
    use crate::money::Usd;
    use crate::pricing::Cost;
    use crate::report::cells::Row;

    prop_compose! {
        fn entry()(
            role in select(vec![Role::Primary, Role::Step, Role::Shadow, Role::Opinion]), lane in select(&Lane::ALL),
            status in select(vec![Status::Succeeded, Status::Failed]), cost in 0_i64..1_000,
            levers in proptest::option::of([0_i64..1_000, 0_i64..1_000, 0_i64..1_000, 0_i64..100]),
        ) -> LedgerEntry {
            let at = Timestamp::from_unix_millis(0);
            let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
            (entry.role, entry.lane, entry.status) = (role, lane, status);
            let usd = Usd::from_pico;
            entry.cost = Cost::Priced(usd(cost));
            entry.baseline = levers.and_then(|[asked, routed, in_lane, writes]| {
                let baseline = Baseline::of(usd(asked), usd(routed), usd(in_lane), usd(cost))?;
                Some(baseline.with_cache_writes(usd(writes)))
            });
            entry
        }
    }

    proptest! {
        #[test]
        fn the_way_has_no_gap_and_ends_at_the_cost(entries in prop::collection::vec(entry(), 0..30)) {
            let mut total = Totals::default();
            let mut rows = Lane::ALL.map(|lane| Row { key: Some(lane.as_str().into()), ..Row::default() });
            for entry in &entries {
                total.add(entry);
                let row = rows.iter_mut().find(|row| row.key.as_deref() == Some(entry.lane.as_str()));
                row.unwrap().totals.add(entry);
            }
            let steps = of(&total, &Table { rows: rows.to_vec() });
            let mut at = UsdSum::ZERO;
            for step in &steps {
                prop_assert_eq!(step.from, if step.is_level { UsdSum::ZERO } else { at });
                if step.is_level && step.id != "baseline" {
                    prop_assert_eq!(step.to, at);
                }
                at = step.to;
            }
            prop_assert_eq!(at, total.cost);
            let change = |id: &str| steps.iter().find(|step| step.id == id).map_or(UsdSum::ZERO, Step::change);
            prop_assert_eq!(change("cache_writes"), total.savings.cache_writes);
            prop_assert_eq!(change("opinions"), total.savings.opinions);
            let actual = steps.iter().find(|step| step.id == "actual").unwrap().to;
            prop_assert_eq!(actual, total.savings.baseline.saturating_sub(total.savings.total()));
        }
    }
}
