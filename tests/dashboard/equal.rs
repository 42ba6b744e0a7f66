//! The tables of a page against queries of their own.

use std::collections::BTreeMap;

use thrifty::ledger::{Dimension, Distribution, Totals};
use thrifty::{Lane, UsdSum};

use crate::compared::{
    Ledger, Shown, Table, Tables, assert_amount, assert_cost, assert_count, assert_saved, assert_text, share,
    share_of_money,
};

/// Whether latencies can be told: not of a part of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latencies {
    Told,
    Unknown,
}

fn money_row(row: &[Shown], totals: &Totals, latencies: Option<&Distribution>) {
    assert_cost(&row[2], totals, totals.cost);
    assert_count(&row[3], totals.calls);
    assert_text(&row[4], &share(totals.coverage.priced, totals.calls));
    assert_eq!(row[4].1, format!("{} calls", totals.coverage.priced));
    let each = UsdSum::from_pico(totals.cost.as_pico() / i128::from(totals.calls));
    assert_cost(&row[5], totals, each);
    for (cell, at) in [(&row[6], 50), (&row[7], 95)] {
        match latencies.and_then(|latencies| latencies.percentile(at)) {
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
pub(crate) async fn by(
    ledger: &Ledger<'_>,
    tables: &Tables,
    (key, by): &(&str, Dimension),
    latencies: Latencies,
) {
    let money = &tables[&format!("Spend by {key}")];
    let counts = &tables[&format!("How calls by {key} ended, and their tokens")];
    let told = |distribution| (latencies == Latencies::Told).then_some(distribution);
    let mut groups = ledger.groups(std::slice::from_ref(by)).await;
    if *key == "day" {
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
        money_row(&money.body[at], &group.totals, told(&group.latencies));
        count_row(&counts.body[at], &group.totals);
    }
    let (total, distribution) = ledger.total().await;
    assert_eq!((money.foot.len(), counts.foot.len()), (1, 1));
    money_row(&money.foot[0], &total, told(&distribution));
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
        let key = (!others).then(|| feature.to_string());
        cells
            .entry((day.to_string(), key))
            .or_default()
            .merge(&group.totals);
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

/// The waterfall: each lane a query of its own, and all steps together the way from the baseline to the cost.
pub(crate) async fn waterfall(ledger: &Ledger<'_>, table: &Table) {
    let (total, _) = ledger.total().await;
    let lane = async |lane| {
        ledger
            .total_of(ledger.filter().with_lane(lane))
            .await
            .0
            .savings
            .lane
    };
    let minus = |amount: UsdSum| UsdSum::ZERO.saturating_sub(amount);
    let (savings, overhead) = (&total.savings, &total.overhead);
    let actual = savings.baseline.saturating_sub(savings.total());
    let spent_beside = overhead
        .shadow
        .saturating_add(overhead.steps)
        .saturating_add(overhead.opinions)
        .saturating_add(overhead.failed);
    let without_baseline = total.cost.saturating_sub(actual).saturating_sub(spent_beside);
    let steps = [
        ("Baseline", savings.baseline),
        ("Routing", minus(savings.routing.saturating_add(savings.opinions))),
        ("Batch lane", minus(lane(Lane::Batch).await)),
        ("Flex lane", minus(lane(Lane::Flex).await)),
        ("Priority lane", minus(lane(Lane::Priority).await)),
        ("Sent again, out of time", minus(lane(Lane::Standard).await)),
        (
            "Provider cache",
            minus(savings.cache.saturating_add(savings.cache_writes)),
        ),
        ("Writing to that cache", savings.cache_writes),
        ("Second opinions", savings.opinions),
        ("Actual cost of these calls", actual),
        ("Shadow calls", overhead.shadow),
        ("Later steps", overhead.steps),
        ("Opinions without a baseline", overhead.opinions),
        ("Calls without a whole answer", overhead.failed),
        ("Answers without a baseline", without_baseline),
        ("All known cost", total.cost),
    ];
    let always = [
        "Baseline",
        "Routing",
        "Provider cache",
        "Actual cost of these calls",
        "Answers without a baseline",
        "All known cost",
    ];
    let shown = steps
        .iter()
        .filter(|(name, amount)| always.contains(name) || *amount != UsdSum::ZERO);
    let mut rows = table.body.iter();
    let mut sum = UsdSum::ZERO;
    for (name, amount) in shown {
        let row = rows.next().unwrap();
        assert_eq!(row[0].0, *name);
        assert_amount(&row[2], *amount);
        assert_text(&row[3], &share_of_money(*amount, savings.baseline));
        if name.ends_with("of these calls") || name.ends_with("known cost") {
            assert_eq!(sum, *amount, "the steps add up to {name}");
        } else {
            sum += *amount;
        }
    }
    assert_eq!(rows.next(), None);
}

/// The tokens by kind.
pub(crate) async fn tokens(ledger: &Ledger<'_>, table: &Table) {
    let (total, _) = ledger.total().await;
    let usage = &total.usage;
    let all = usage.input_tokens + usage.output_tokens;
    for row in &table.body {
        let (count, whole) = match row[0].0.as_str() {
            "input" => (usage.input_tokens, all),
            "output" => (usage.output_tokens, all),
            "– of it read from the provider's cache" => (usage.cache_read_tokens, usage.input_tokens),
            "– of it reasoning" => (usage.reasoning_tokens, usage.output_tokens),
            other => panic!("the samples have no {other}"),
        };
        assert_count(&row[2], count);
        assert_text(&row[3], &share(count, whole));
    }
}
