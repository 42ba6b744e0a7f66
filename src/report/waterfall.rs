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
/// been spent. Lanes that changed nothing are left out; routing and the provider's cache are always there.
pub(super) fn of(total: &Totals, lanes: &Table) -> Vec<Step> {
    let savings = &total.savings;
    let mut way = Way::default();
    way.level("baseline", "Baseline", savings.baseline);
    way.save("routing", "Routing", savings.routing);
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
    way.save("provider_cache", "Provider cache", savings.cache);
    way.level("actual", "Actual cost of these calls", way.at);
    let overhead = &total.overhead;
    for (id, name, cost) in [
        ("shadow", "Shadow calls", overhead.shadow),
        ("steps", "Steps and verifiers", overhead.steps),
        ("failed", "Calls without a whole answer", overhead.failed),
    ] {
        if cost != UsdSum::ZERO {
            way.save(id, name, negated(cost));
        }
    }
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
