//! What the month will have cost, if it goes on as it did.

use jiff::civil::Date;

use crate::budget::TimeZone;
use crate::clock::Timestamp;
use crate::ledger::{Filter, Totals};
use crate::money::UsdSum;
use crate::report::cells::{Cell, Gathered, day_of};

const DAY_MS: i128 = 86_400_000;

/// This month's spend so far, carried on until its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunRate {
    /// The first day of the month.
    pub(super) month: Date,
    pub(super) so_far: Totals,
    pub(super) at_month_end: UsdSum,
}

/// Returns the run rate of the month that it is; `None` on its first day, if nothing was spent in it, or if the filter
/// or the ledger leaves out calls that may be a part of it.
pub(super) fn of(gathered: &Gathered, filter: &Filter, zone: &TimeZone, now: Timestamp) -> Option<RunRate> {
    let today = day_of(now, zone)?;
    let month = today.first_of_month();
    let begin = zone.beginning_of(month)?;
    let end = zone.beginning_of(today.last_of_month().tomorrow().ok()?)?;
    let whole = filter.from.is_none_or(|from| from <= begin) && filter.to.is_none_or(|to| to >= now);
    let millis =
        |from: Timestamp, to: Timestamp| i128::from(to.as_unix_millis()) - i128::from(from.as_unix_millis());
    let (passed, length) = (millis(begin, now), millis(begin, end));
    if !whole || gathered.evicted.calls > 0 || passed < DAY_MS {
        return None;
    }
    let mut so_far = Totals::default();
    let in_month = |cell: &&Cell| cell.day.is_some_and(|day| day >= month && day <= today);
    let cells = gathered.cells.iter().filter(in_month);
    cells.for_each(|cell| so_far.merge(&cell.totals));
    let pico = so_far.cost.as_pico().checked_mul(length)? / passed;
    (so_far.calls > 0).then_some(RunRate {
        month,
        so_far,
        at_month_end: UsdSum::from_pico(pico),
    })
}
