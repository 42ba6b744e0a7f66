//! The cells that the page's script narrows tables, totals and the chart by: numbers only, as CSV.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::ledger::Totals;
use crate::report::Report;
use crate::report::cells::Table;
use crate::report::html::ROWS;

/// With more cells than this a page has them by time and column of the chart only, so that it stays small.
const MOST: usize = 10_000;

/// The columns after the keys. What is mostly nothing comes last, and is left out at a line's end.
const COUNTS: &str = "calls,cost,input,output,reasoning,routing,cached,cache,lane_saved,beside,uncompared,\
    without_usage,failed,cut_short,partial,unpriced,repeats,unanswered,abandoned,unreported";

pub(super) fn write(report: &Report, page: &mut String) -> fmt::Result {
    let mut keys = "period,feature,model,lane,";
    let mut cells = by_place(report, ROWS);
    if cells.len() > MOST {
        keys = "period,feature,";
        cells = by_place(report, 0);
    }
    write!(page, "<script type=\"text/csv\" id=\"cells\">\n{keys}{COUNTS}\n")?;
    let keys = keys.matches(',').count();
    for (places, totals) in cells {
        let places = places.iter().take(keys).map(ToString::to_string);
        let line = places.chain(counts(&totals)).collect::<Vec<_>>().join(",");
        writeln!(page, "{}", line.trim_end_matches(','))?;
    }
    writeln!(page, "</script>")
}

/// Returns the totals by period, feature, model and lane, each as its row's place in its table; what is beyond `rows`
/// has the same place, but for features that the chart tells apart.
fn by_place(report: &Report, rows: usize) -> BTreeMap<[usize; 4], Totals> {
    let timeline = &report.timeline;
    let periods: HashMap<_, _> = timeline
        .periods
        .iter()
        .map(|period| period.start)
        .zip(0..)
        .collect();
    let tables = [&report.features, &report.models, &report.lanes].map(places);
    let mut cells = BTreeMap::<_, Totals>::new();
    for cell in &report.cells {
        let start = cell.day.map(|day| timeline.step.start_of(day));
        let place = |table: usize, key| tables.get(table).and_then(|places| places.get(key)).copied();
        let Some(period) = periods.get(&start) else {
            continue;
        };
        let [feature, model, lane] = [
            place(0, &cell.feature).map(|place| place.min(rows.max(timeline.features.len()))),
            place(1, &cell.model).map(|place| place.min(rows)),
            place(2, &cell.lane).map(|place| place.min(rows)),
        ]
        .map(Option::unwrap_or_default);
        let sum = cells.entry([*period, feature, model, lane]).or_default();
        sum.merge(&cell.totals);
    }
    cells
}

fn places(table: &Table) -> HashMap<&Option<Arc<str>>, usize> {
    table.rows.iter().map(|row| &row.key).zip(0..).collect()
}

/// Returns the numbers in the order of [`COUNTS`]; nothing for zero.
fn counts(totals: &Totals) -> impl Iterator<Item = String> {
    let (usage, savings, known) = (&totals.usage, &totals.savings, &totals.coverage);
    let compared = savings.baseline.saturating_sub(savings.total());
    let count = i128::from;
    let counts = [
        count(totals.calls),
        totals.cost.as_pico(),
        count(usage.input_tokens),
        count(usage.output_tokens),
        count(usage.reasoning_tokens),
        savings.routing.as_pico(),
        count(usage.cache_read_tokens),
        savings.cache.as_pico(),
        savings.lane.as_pico(),
        totals.cost.saturating_sub(compared).as_pico(),
        count(totals.calls) - count(known.compared),
        count(known.without_usage),
        count(totals.failed),
        count(totals.cut_short),
        count(known.partial),
        count(known.unpriced),
        count(totals.attempts) - count(totals.calls),
        count(totals.unanswered),
        count(totals.abandoned),
        count(totals.unreported),
    ];
    counts.into_iter().map(|number| match number {
        0 => String::new(),
        _ => number.to_string(),
    })
}
