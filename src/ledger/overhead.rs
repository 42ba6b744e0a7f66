//! What was spent beside the answers that savings are told of.

use serde::{Deserialize, Serialize};

use crate::ledger::facts::{Figures, Weight};
use crate::ledger::{Role, Status};
use crate::money::UsdSum;

/// What is known to have been spent on rows that savings are not told of, as they are not
/// [`compared`](crate::ledger::Coverage::compared). Each row counts once, in the order of the fields; what is left of
/// the cost of such rows are answers without a baseline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Overhead {
    /// Models asked beside the answer, to learn from.
    #[serde(skip_serializing_if = "is_zero")]
    pub shadow: UsdSum,
    /// Later steps of a plan.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps: UsdSum,
    /// Second opinions on answers.
    #[serde(skip_serializing_if = "is_zero")]
    pub opinions: UsdSum,
    /// Calls that brought no whole answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: UsdSum,
}

fn is_zero(sum: &UsdSum) -> bool {
    *sum == UsdSum::ZERO
}

impl Overhead {
    /// Counts a row that is not compared, or takes it back.
    pub(super) fn count(&mut self, figures: &Figures, weight: Weight) {
        let Some(known) = figures.cost.known() else {
            return;
        };
        let sum = match (figures.role, figures.status) {
            (Role::Shadow, _) => &mut self.shadow,
            (Role::Step, _) => &mut self.steps,
            (Role::Opinion, _) => &mut self.opinions,
            (_, Status::Succeeded) => return,
            _ => &mut self.failed,
        };
        weight.add_money(sum, known.into());
    }

    pub(super) fn weigh(&mut self, other: &Self, weight: Weight) {
        weight.add_money(&mut self.shadow, other.shadow);
        weight.add_money(&mut self.steps, other.steps);
        weight.add_money(&mut self.opinions, other.opinions);
        weight.add_money(&mut self.failed, other.failed);
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Timestamp;
    use crate::endpoint::Endpoint;
    use crate::id::{EntryId, OpId};
    use crate::ledger::{Baseline, LedgerEntry, Role, Status, Totals};
    use crate::money::Usd;
    use crate::pricing::Cost;

    #[test]
    fn a_row_is_overhead_only_if_savings_are_not_told_of_it() {
        let at = Timestamp::from_unix_millis(0);
        let usd = Usd::from_dollars;
        let row = |role, status, cost| {
            let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::Responses);
            (entry.role, entry.status, entry.cost) = (role, status, Cost::Priced(usd(cost)));
            entry
        };
        let mut compared = row(Role::Primary, Status::CutShort, 32);
        compared.baseline = Baseline::of(usd(40), usd(32), usd(32), usd(32));
        let rows = [
            row(Role::Shadow, Status::Succeeded, 1),
            row(Role::Shadow, Status::Failed, 2),
            row(Role::Step, Status::Succeeded, 4),
            row(Role::Opinion, Status::Failed, 64),
            row(Role::Primary, Status::CutShort, 8),
            row(Role::Fallback, Status::Succeeded, 16),
            compared,
        ];
        let mut totals = Totals::default();
        for row in &rows {
            totals.add(row);
        }
        let found = totals.overhead;
        assert_eq!(
            (found.shadow, found.steps, found.opinions, found.failed),
            (usd(3).into(), usd(4).into(), usd(64).into(), usd(8).into())
        );
        totals.take_back(&totals.clone());
        assert_eq!(totals, Totals::default());
    }
}
