//! What stands beside the tables of sums: the figures at the top, what they know, budgets and estimates.

use serde_json::Value;
use thrifty::budget::BudgetStatus;
use thrifty::ledger::{Dimension, Group};
use thrifty::{Lane, Timestamp, UsdSum};

use crate::compared::{
    Ledger, Table, Tiles, assert_amount, assert_cost, assert_count, assert_saved, assert_text, grouped,
    is_exact, share, share_of_money,
};
use crate::samples;

/// The figures at the top that follow a range and features, and what is said of them.
pub(crate) async fn tiles(ledger: &Ledger<'_>, tiles: &Tiles) {
    let (total, _) = ledger.total().await;
    let (known, savings, usage) = (&total.coverage, &total.savings, &total.usage);
    let calls = grouped(total.calls);
    let note = |name: &str, text: String| assert_text(&tiles[name].note, &text);
    assert_cost(&tiles["Cost"].figure, &total, total.cost);
    note(
        "Cost",
        format!("{} of {calls} calls priced exactly", grouped(known.priced)),
    );
    assert_saved(&tiles["Saved"].figure, &total, savings.total());
    let saved = share_of_money(savings.total(), savings.baseline);
    let compared = grouped(known.compared);
    note(
        "Saved",
        format!("{saved} of what {compared} calls with a baseline would have cost"),
    );
    let each = UsdSum::from_pico(total.cost.as_pico() / i128::from(total.calls));
    assert_cost(&tiles["Cost per request"].figure, &total, each);
    note("Cost per request", format!("{calls} calls"));
    let cached = share(usage.cache_read_tokens, usage.input_tokens);
    assert_text(&tiles["From the provider's cache"].figure, &cached);
    let without = grouped(known.without_usage);
    note(
        "From the provider's cache",
        format!("of input tokens; {without} calls without counts"),
    );
    let ended = total.calls - total.succeeded;
    let shown = &tiles["Without a whole answer"].figure;
    assert_text(shown, &share(ended, total.calls));
    let (ended, attempts) = (grouped(ended), grouped(total.attempts));
    note(
        "Without a whole answer",
        format!("{ended} of {calls} calls; {attempts} attempts"),
    );
}

/// The run rate at noon of the month's last day: what was spent in it, carried on for half a day.
pub(crate) async fn run_rate(ledger: &Ledger<'_>, tiles: &Tiles) {
    let (begin, end, now) = (samples::at(0, 0), samples::at(30, 0), samples::at(29, 43_200_000));
    let (so_far, _) = ledger
        .total_of(ledger.filter().with_from(begin).with_to(end))
        .await;
    let millis = |to: Timestamp| i128::from(to.as_unix_millis() - begin.as_unix_millis());
    let at_end = UsdSum::from_pico(so_far.cost.as_pico() * millis(end) / millis(now));
    let tile = &tiles["Month-end run rate"];
    assert_cost(&tile.figure, &so_far, at_end);
    let mark = if is_exact(&so_far) { "" } else { "≥ " };
    let said = format!("{mark}{:.2} since 2026-09-01, carried on as it went", so_far.cost);
    assert_text(&tile.note, &said);
    assert_eq!(tile.note.1, format!("{mark}{}", so_far.cost));
}

/// What the figures know, in sentences. For ledgers of which nothing is left out.
pub(crate) async fn caveats(ledger: &Ledger<'_>, shown: &[String]) {
    let (total, _) = ledger.total().await;
    let known = &total.coverage;
    let (calls, cost) = (total.calls, total.cost);
    let mut expected = vec![format!(
        "Priced exactly: {} of {calls} calls; in part: {}; not at all: {}.",
        known.priced, known.partial, known.unpriced
    )];
    match total.at_most() {
        Some(most) if most == cost => {}
        Some(most) => expected.push(format!("The cost is at least {cost} USD and at most {most} USD.")),
        None => expected.push(format!(
            "The cost is at least {cost} USD; there is no upper bound for {} calls.",
            known.unpriced + known.unbounded
        )),
    }
    if known.single_source > UsdSum::ZERO {
        expected.push(format!(
            "Of the known cost, {} USD rest on prices that only one source knows.",
            known.single_source
        ));
    }
    expected.push(format!(
        "Baseline and savings cover {} of {calls} calls: those with an exact cost and a baseline.",
        known.compared
    ));
    if known.without_usage > 0 {
        expected.push(format!(
            "Tokens leave out {} calls without counts.",
            known.without_usage
        ));
    }
    assert_eq!(shown, expected);
}

/// Budgets, against what they say of themselves.
pub(crate) fn budgets(statuses: &[BudgetStatus], table: &Table) {
    assert_eq!(table.body.len(), statuses.len());
    let mut used = Vec::new();
    for row in &table.body {
        let named = |status: &&BudgetStatus| {
            let key = status
                .key
                .as_ref()
                .map_or(String::new(), |key| format!(" · {key}"));
            row[0].0 == format!("{}{key}", status.budget)
        };
        let status = statuses.iter().find(named).unwrap();
        let amounts = [status.limit.into(), status.spent, status.held, status.left];
        for (cell, amount) in row[2..6].iter().zip(amounts) {
            assert_amount(cell, amount);
        }
        assert_text(&row[6], &share_of_money(status.spent, status.limit.into()));
        let minute = |at: Timestamp| {
            let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).unwrap();
            at.strftime("%Y-%m-%d %H:%MZ").to_string()
        };
        assert_text(&row[8], &status.runs_out.map_or_else(|| "no".into(), minute));
        assert_count(&row[9], status.refused);
        used.push(status.spent.per_mille_of(status.limit.into()));
    }
    assert!(used.is_sorted_by(|a, b| a >= b), "the fullest first");
}

/// The days of budgets for all calls and for a feature, in a month and a week, each against a query of that day.
pub(crate) async fn burn_down(ledger: &Ledger<'_>, statuses: &[BudgetStatus], table: &Table) {
    let mut rows = table.body.iter();
    for (name, first, feature) in [
        ("invoice", 0, None),
        ("each feature · search", 27, Some("search")),
    ] {
        let named = |status: &&BudgetStatus| name.starts_with(&*status.budget);
        let limit = UsdSum::from(statuses.iter().find(named).unwrap().limit);
        let filter = |from, to| {
            let filter = ledger
                .filter()
                .with_from(samples::at(from, 0))
                .with_to(samples::at(to, 0));
            feature.map_or(filter.clone(), |feature| filter.with_feature(feature))
        };
        for day in first..30 {
            let row = rows.next().unwrap();
            assert_eq!(row[0].0, name);
            assert_text(&row[1], &format!("2026-09-{:02}", day + 1));
            let (spent, _) = ledger.total_of(filter(day, day + 1)).await;
            assert_cost(&row[2], &spent, spent.cost);
            let (so_far, _) = ledger.total_of(filter(first, day + 1)).await;
            assert_cost(&row[3], &so_far, so_far.cost);
            assert_text(&row[4], &share_of_money(so_far.cost, limit));
        }
    }
    assert_eq!(
        rows.next(),
        None,
        "a day's window, and one for each user, are not told by day"
    );
}

/// Estimates: each as the report's JSON has it, and the money that it is about as a query tells it.
pub(crate) async fn next_savings(ledger: &Ledger<'_>, json: &Value, table: &Table) {
    let by = [Dimension::Feature, Dimension::Model, Dimension::Lane];
    let groups = ledger.groups(&by).await;
    let savings = json["next_savings"].as_array().unwrap();
    let shown = table.body.len();
    assert!(shown == 15 || shown == savings.len());
    let amount = |value: &Value| value.as_str().unwrap().parse::<UsdSum>().unwrap();
    for (row, saving) in table.body.iter().zip(savings) {
        assert_eq!(row[0].0, saving["feature"].as_str().unwrap());
        for (cell, name) in row[2..5].iter().zip(["addressable", "at_least", "at_most"]) {
            assert_amount(cell, amount(&saving[name]));
        }
        let of_feature = groups
            .iter()
            .filter(|group| group.keys[0].as_deref() == saving["feature"].as_str());
        let (at_most, spent) = (amount(&saving["at_most"]), amount(&saving["addressable"]));
        assert!(amount(&saving["at_least"]) <= at_most && at_most <= spent);
        let on = |lane: Lane| {
            let lane = lane.as_str();
            move |group: &&Group| group.keys[2].as_deref() == Some(lane)
        };
        let sum = |all: UsdSum, more| all.saturating_add(more);
        let cost = |groups: Vec<&Group>| {
            groups
                .iter()
                .map(|group| group.totals.cost)
                .fold(UsdSum::ZERO, sum)
        };
        match saving["lever"].as_str().unwrap() {
            // What could wait is all that is sent at once and has a price.
            "wait" => {
                let standard = cost(of_feature.clone().filter(on(Lane::Standard)).collect());
                assert_eq!(
                    spent,
                    standard.saturating_add(cost(of_feature.filter(on(Lane::Priority)).collect()))
                );
            }
            // The priority lane was dearer by what the ledger says that it saved, with the sign turned.
            "priority" => {
                let lane: Vec<_> = of_feature.filter(on(Lane::Priority)).collect();
                let saved = lane
                    .iter()
                    .map(|group| group.totals.savings.lane)
                    .fold(UsdSum::ZERO, sum);
                assert_eq!((spent, at_most), (cost(lane), UsdSum::ZERO.saturating_sub(saved)));
            }
            _ => assert!(spent <= cost(of_feature.collect())),
        }
    }
}
