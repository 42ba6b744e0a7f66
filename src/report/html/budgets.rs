//! Budgets: how each limit stands, and how what was left of it became less.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use jiff::civil::Date;

use crate::budget::{BudgetStatus, LimitedCalls};
use crate::clock::Timestamp;
use crate::ledger::{Filter, Totals};
use crate::markup::Escaped;
use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::{cost, grouped, percent, places};
use crate::report::cells::{Cell, day_of};
use crate::report::html::{ROWS, begin, begin_wide, name, rounded};
use crate::report::svg::{self, FULL, scale};

/// How many limits, the fullest, are told day by day if they can be.
const BY_DAY: usize = 20;

pub(super) fn write(report: &Report, page: &mut String) -> fmt::Result {
    if report.budgets.is_empty() {
        return Ok(());
    }
    let note = "How each limit stands in its window, the fullest first. The dotted line is an even pace, the dashed one \
                goes on as it did. The days of a week or month are the ledger's, where those are all that count.";
    begin(page, "budgets", "Budgets", note)?;
    begin_wide(page, "Budgets")?;
    write!(
        page,
        "<table class=\"sorts\">\n<thead>\n<tr><th scope=\"col\">budget</th><td></td>"
    )?;
    for (column, class) in [
        ("limit", ""),
        ("spent", ""),
        ("held", ""),
        ("left", ""),
        ("used", ""),
        ("burn-down", " class=\"graph\""),
        ("runs out", " class=\"text\""),
        ("refused", ""),
    ] {
        write!(page, "<th scope=\"col\"{class}>{column}</th>")?;
    }
    writeln!(page, "</tr>\n</thead>\n<tbody>")?;
    let used = |status: &&BudgetStatus| status.spent.per_mille_of(status.limit.into());
    let mut budgets: Vec<_> = report.budgets.iter().collect();
    budgets.sort_by_key(|status| Reverse(used(status)));
    let mut by_day = Vec::new();
    for (at, status) in budgets.iter().take(ROWS).enumerate() {
        // Each takes a pass over all cells.
        let days = if at < BY_DAY {
            days(report, status)
        } else {
            Vec::new()
        };
        write_budget(status, report.made_at, &days, page)?;
        if !days.is_empty() {
            by_day.push((status, days));
        }
    }
    writeln!(page, "</tbody>\n</table>\n</div>")?;
    if let Some(left) = budgets.len().checked_sub(ROWS).filter(|left| *left > 0) {
        let left = grouped(&left.to_string());
        writeln!(
            page,
            "<p class=\"note\">{left} more, of which less is used, are left out.</p>"
        )?;
    }
    if !by_day.is_empty() {
        write!(page, "<details>\n<summary>Burn-down as a table</summary>\n")?;
        begin_wide(page, "Budgets by day")?;
        writeln!(
            page,
            "<table>\n<thead>\n<tr><th scope=\"col\">budget</th><th scope=\"col\">day</th><th scope=\"col\">spent</th>\
             <th scope=\"col\">spent so far</th><th scope=\"col\">of the limit</th></tr>\n</thead>\n<tbody>"
        )?;
        for (status, days) in by_day {
            write_days(status, &days, page)?;
        }
        writeln!(page, "</tbody>\n</table>\n</div>\n</details>")?;
    }
    writeln!(page, "</section>")
}

/// A day of a window, up to its end.
#[derive(Debug)]
struct Day {
    date: Date,
    end: Timestamp,
    spent: Totals,
    so_far: Totals,
}

/// Returns the days of a budget's window up to now; none if cells cannot tell them: they know features only, and days of
/// the report's zone, and the budget has to have counted what they have.
fn days(report: &Report, status: &BudgetStatus) -> Vec<Day> {
    let zone = &report.zone;
    let feature = match &status.calls {
        LimitedCalls::All => None,
        LimitedCalls::OfFeature(feature) => Some(feature),
        LimitedCalls::Others => return Vec::new(),
    };
    let (Some(start), Some(end)) = (status.window_start, status.window_end) else {
        return Vec::new();
    };
    let window = day_of(start, zone).zip(day_of(report.made_at.min(end), zone));
    let Some((first, last)) = window.filter(|(first, _)| zone.beginning_of(*first) == Some(start)) else {
        return Vec::new();
    };
    if report.filter != Filter::default() {
        return Vec::new();
    }
    let mut by_day = BTreeMap::<Date, Totals>::new();
    let counted = |cell: &&Cell| feature.is_none_or(|feature| cell.feature == *feature);
    for cell in report.cells.iter().filter(counted) {
        if let Some(day) = cell.day {
            by_day.entry(day).or_default().merge(&cell.totals);
        }
    }
    let mut so_far = Totals::default();
    let mut days = Vec::new();
    for date in first
        .series(jiff::Span::new().days(1))
        .take_while(|date| *date <= last)
    {
        let spent = by_day.remove(&date).unwrap_or_default();
        so_far.merge(&spent);
        let Some(end) = date.tomorrow().ok().and_then(|next| zone.beginning_of(next)) else {
            return Vec::new();
        };
        days.push(Day {
            date,
            end,
            spent,
            so_far,
        });
    }
    let has_all = so_far.calls > 0 && so_far.cost <= status.spent;
    if has_all && days.len() > 1 {
        days
    } else {
        Vec::new()
    }
}

fn write_budget(status: &BudgetStatus, now: Timestamp, days: &[Day], page: &mut String) -> fmt::Result {
    let limit = UsdSum::from(status.limit);
    let part = |amount: UsdSum| scale(amount.as_pico(), limit.as_pico());
    let spent = part(status.spent);
    let held = part(status.held).min(FULL - spent);
    write!(
        page,
        "<tr><th scope=\"row\">{}</th><td class=\"graph\">{}</td>",
        title(status),
        svg::bar(&[("spent", spent), ("held", held)])
    )?;
    let places = places(limit);
    for amount in [limit, status.spent, status.held, status.left] {
        write!(page, "<td title=\"{amount}\">{}</td>", rounded(amount, places))?;
    }
    let used = status.spent.per_mille_of(limit).map(percent);
    let share_of_window = |at: Timestamp| {
        let (from, to) = (
            status.window_start?.as_unix_millis(),
            status.window_end?.as_unix_millis(),
        );
        let passed = i128::from(at.as_unix_millis()) - i128::from(from);
        Some(scale(passed, i128::from(to) - i128::from(from)))
    };
    let burn = share_of_window(now).map(|passed| {
        let ended = days.iter().filter(|day| day.end < now);
        let left = |day: &Day| part(limit.saturating_sub(day.so_far.cost));
        let mut points: Vec<_> = ended
            .filter_map(|day| Some((share_of_window(day.end)?, left(day))))
            .collect();
        points.push((passed, part(status.left)));
        svg::burn_down(&points, status.runs_out.and_then(share_of_window))
    });
    writeln!(
        page,
        "<td>{}</td><td>{}</td><td class=\"text short\">{}</td><td>{}</td></tr>",
        used.as_deref().unwrap_or("–"),
        burn.as_deref().unwrap_or("–"),
        status.runs_out.map_or_else(|| "no".into(), moment),
        status.refused
    )
}

fn write_days(status: &BudgetStatus, days: &[Day], page: &mut String) -> fmt::Result {
    let places = places(status.limit.into());
    let amount = |totals: &Totals| {
        let (shown, exact) = (rounded(totals.cost, places), totals.cost.to_string());
        (cost(totals, shown), cost(totals, exact))
    };
    for day in days {
        let ((spent, exact), (so_far, exact_so_far)) = (amount(&day.spent), amount(&day.so_far));
        let share = day.so_far.cost.per_mille_of(status.limit.into()).map(percent);
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td title=\"{exact}\">{spent}</td>\
             <td title=\"{exact_so_far}\">{so_far}</td><td>{}</td></tr>",
            title(status),
            Escaped(&day.date.to_string()),
            share.as_deref().unwrap_or("–")
        )?;
    }
    Ok(())
}

/// Returns a budget's name, and the key of one of its limits.
fn title(status: &BudgetStatus) -> String {
    let key = status
        .key
        .as_deref()
        .map(|key| format!(" · {}", name(Some(key)).0));
    name(Some(&status.budget)).0 + &key.unwrap_or_default()
}

/// Returns a moment to the minute, in UTC.
fn moment(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis());
    at.map_or_else(|_| "?".into(), |at| at.strftime("%Y-%m-%d %H:%MZ").to_string())
}
