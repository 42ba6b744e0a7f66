//! Holds every figure that a page shows against a query of its own, to the last digit shown.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::Deserialize;
use thrifty::budget::BudgetStatus;
use thrifty::ledger::{CostLedger, Dimension, Distribution, Filter, Group, InMemoryLedger, Query, Totals};
use thrifty::{Lane, UsdSum};

/// A cell: what it shows, and what is shown where the pointer rests.
pub(crate) type Shown = (String, String);

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<Vec<Shown>>,
    pub(crate) foot: Vec<Vec<Shown>>,
}

/// What a ledger answers, each time anew.
pub(crate) struct Ledger<'a>(pub(crate) &'a InMemoryLedger);

impl Ledger<'_> {
    async fn groups(&self, by: &[Dimension]) -> Vec<Group> {
        let query = by.iter().cloned().fold(Query::new(), Query::group_by);
        self.0.query(&query).await.unwrap().groups
    }

    pub(crate) async fn total(&self, filter: Filter) -> (Totals, Distribution) {
        let summary = self.0.query(&Query::new().with_filter(filter)).await.unwrap();
        (summary.total, summary.latencies)
    }
}

fn is_exact(totals: &Totals) -> bool {
    totals.coverage.priced == totals.calls
}

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

fn compared() {
    COMPARED.with(|count| count.set(count.get() + 1));
}

/// Returns how many figures this test compared.
pub(crate) fn count() -> usize {
    COMPARED.with(Cell::get)
}

/// How a cost is marked, and its number.
fn unmarked(text: &str) -> (&str, String) {
    let (mark, number) = text.strip_prefix("≥ ").map_or(("", text), |number| ("≥", number));
    (mark, number.replace(',', ""))
}

/// Whether a text is an amount, rounded to the places that it shows.
fn same_amount(shown: &str, amount: UsdSum) -> bool {
    let places = shown.split_once('.').map_or(0, |(_, places)| places.len());
    shown == format!("{amount:.places$}")
}

fn assert_cost(cell: &Shown, totals: &Totals, amount: UsdSum) {
    compared();
    let nothing = totals.coverage.unpriced == totals.calls && totals.calls > 0;
    for text in [&cell.0, &cell.1] {
        if nothing {
            assert_eq!(text, "?");
            continue;
        }
        let (mark, number) = unmarked(text);
        assert_eq!(mark, if is_exact(totals) { "" } else { "≥" }, "{cell:?}");
        assert!(same_amount(&number, amount), "{cell:?} is not {amount}");
    }
    if !nothing {
        assert_eq!(unmarked(&cell.1).1, amount.to_string());
    }
}

fn assert_saved(cell: &Shown, totals: &Totals, amount: UsdSum) {
    compared();
    if totals.coverage.compared == 0 {
        assert_eq!(cell.0, "–");
    } else {
        assert!(
            same_amount(&unmarked(&cell.0).1, amount),
            "{cell:?} is not {amount}"
        );
        assert_eq!(cell.1, amount.to_string());
    }
}

fn assert_count(cell: &Shown, count: u64) {
    compared();
    assert_eq!(cell.0.replace(',', ""), count.to_string());
}

/// Tenths of a percent, rounded down.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".into();
    }
    let tenths = part * 1_000 / whole;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn money_row(row: &[Shown], totals: &Totals, latencies: &Distribution) {
    assert_cost(&row[2], totals, totals.cost);
    assert_count(&row[3], totals.calls);
    assert_eq!(row[4].0, share(totals.coverage.priced, totals.calls));
    assert_eq!(row[4].1, format!("{} calls", totals.coverage.priced));
    let each = UsdSum::from_pico(totals.cost.as_pico() / i128::from(totals.calls));
    assert_cost(&row[5], totals, each);
    for (cell, at) in [(&row[6], 50), (&row[7], 95)] {
        match latencies.percentile(at) {
            Some(latency) => assert_count(cell, latency),
            None => assert_eq!(cell.0, "–"),
        }
    }
    let savings = &totals.savings;
    let amounts = [savings.baseline, savings.routing, savings.lane, savings.cache];
    for (cell, amount) in row[8..].iter().zip(amounts) {
        assert_saved(cell, totals, amount);
    }
    assert_eq!(row.len(), 12);
}

fn count_row(row: &[Shown], totals: &Totals) {
    let usage = &totals.usage;
    let counts = [
        totals.calls,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        totals.attempts,
        totals.succeeded,
        totals.failed,
        totals.unanswered,
        totals.cut_short,
        totals.abandoned,
        totals.unreported,
    ];
    assert_eq!(row.len(), counts.len() + 1);
    for (cell, count) in row[1..].iter().zip(counts) {
        assert_count(cell, count);
    }
}

/// The tables by a dimension: a row for each group, in the order of the query, and the total.
pub(crate) async fn by(ledger: &Ledger<'_>, tables: &BTreeMap<String, Table>, key: &str, by: Dimension) {
    let money = &tables[&format!("Spend by {key}")];
    let counts = &tables[&format!("How calls by {key} ended, and their tokens")];
    let mut groups = ledger.groups(&[by]).await;
    if key == "day" {
        groups.sort_by(|a, b| a.keys.cmp(&b.keys));
    }
    assert_eq!(
        (money.body.len(), counts.body.len()),
        (groups.len(), groups.len())
    );
    for (at, group) in groups.iter().enumerate() {
        let name = group.keys[0].as_deref().unwrap_or("(none)");
        if name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.(_)".contains(c))
        {
            assert_eq!((&*money.body[at][0].0, &*counts.body[at][0].0), (name, name));
        }
        money_row(&money.body[at], &group.totals, &group.latencies);
        count_row(&counts.body[at], &group.totals);
    }
    let (total, latencies) = ledger.total(Filter::default()).await;
    assert_eq!((money.foot.len(), counts.foot.len()), (1, 1));
    money_row(&money.foot[0], &total, &latencies);
    count_row(&counts.foot[0], &total);
}

/// The table of spend over time: each cell a day and a feature. For pages by day only.
pub(crate) async fn over_time(ledger: &Ledger<'_>, table: &Table) {
    let mut cells: BTreeMap<(String, Option<String>), Totals> = BTreeMap::new();
    for group in ledger.groups(&[Dimension::Day, Dimension::Feature]).await {
        let [Some(day), Some(feature)] = &group.keys[..] else {
            panic!("the samples name both");
        };
        let others = !table.head[2..].iter().any(|name| **name == **feature);
        for key in [Some((!others).then(|| feature.to_string())), None]
            .into_iter()
            .flatten()
        {
            cells
                .entry((day.to_string(), key))
                .or_default()
                .merge(&group.totals);
        }
        let all = (day.to_string(), Some("total".to_owned()));
        cells.entry(all).or_default().merge(&group.totals);
    }
    let mut cells_seen = 0;
    for row in &table.body {
        for (name, cell) in table.head.iter().zip(row).skip(1) {
            let name = (!name.ends_with("other features")).then(|| name.clone());
            match cells.get(&(row[0].0.clone(), name)) {
                Some(totals) => assert_cost(cell, totals, totals.cost),
                None => assert_eq!(cell.0, ""),
            }
            cells_seen += 1;
        }
    }
    assert_eq!(cells_seen, table.body.len() * (table.head.len() - 1));
}

/// The waterfall: each step a sum of its own, and together the way from the baseline to the cost.
pub(crate) async fn waterfall(ledger: &Ledger<'_>, table: &Table) {
    let (total, _) = ledger.total(Filter::default()).await;
    let lever = async |lane| {
        ledger
            .total(Filter::default().with_lane(lane))
            .await
            .0
            .savings
            .lane
    };
    let minus = |amount: UsdSum| UsdSum::ZERO.saturating_sub(amount);
    let savings = &total.savings;
    let actual = savings.baseline.saturating_sub(savings.total());
    let mut sum = UsdSum::ZERO;
    for row in &table.body {
        let expected = match row[0].0.as_str() {
            "Baseline" => savings.baseline,
            "Routing" => minus(savings.routing),
            "Batch lane" => minus(lever(Lane::Batch).await),
            "Flex lane" => minus(lever(Lane::Flex).await),
            "Priority lane" => minus(lever(Lane::Priority).await),
            "Provider cache" => minus(savings.cache),
            "Calls without a whole answer" => total.overhead.failed,
            "Shadow calls" => total.overhead.shadow,
            "Actual cost of these calls" => {
                assert_eq!(sum, actual);
                actual
            }
            "All known cost" => {
                assert_eq!(sum, total.cost);
                total.cost
            }
            _ => row[2].1.parse().unwrap(),
        };
        assert_eq!(row[2].1, expected.to_string());
        assert!(same_amount(&row[2].0.replace(',', ""), expected), "{row:?}");
        compared();
        if !row[0].0.contains("cost") {
            sum += expected;
        }
    }
    assert_eq!(table.body.last().unwrap()[0].0, "All known cost");
}

/// What stands at the top, and the tokens by kind.
pub(crate) async fn head(ledger: &Ledger<'_>, tiles: &BTreeMap<String, Shown>, tokens: &Table) {
    let (total, _) = ledger.total(Filter::default()).await;
    assert_cost(&tiles["Cost"], &total, total.cost);
    assert_saved(&tiles["Saved"], &total, total.savings.total());
    let each = UsdSum::from_pico(total.cost.as_pico() / i128::from(total.calls));
    assert_cost(&tiles["Cost per request"], &total, each);
    let usage = &total.usage;
    let cached = share(usage.cache_read_tokens, usage.input_tokens);
    assert_eq!(tiles["From the provider's cache"].0, cached);
    let ended = total.calls - total.succeeded;
    assert_eq!(tiles["Without a whole answer"].0, share(ended, total.calls));
    for row in &tokens.body {
        let count = match row[0].0.as_str() {
            "input" => usage.input_tokens,
            "output" => usage.output_tokens,
            "– of it read from the provider's cache" => usage.cache_read_tokens,
            "– of it reasoning" => usage.reasoning_tokens,
            other => panic!("the samples have no {other}"),
        };
        assert_count(&row[2], count);
    }
}

/// Budgets, against what they say of themselves.
pub(crate) fn budgets(statuses: &[BudgetStatus], table: &Table) {
    assert_eq!(table.body.len(), statuses.len());
    for (row, status) in table.body.iter().zip(statuses) {
        let amounts = [status.limit.into(), status.spent, status.held, status.left];
        for (cell, amount) in row[2..6].iter().zip(amounts) {
            assert!(
                same_amount(&cell.0.replace(',', ""), amount),
                "{cell:?} is not {amount}"
            );
            assert_eq!(cell.1, amount.to_string());
            compared();
        }
    }
}
