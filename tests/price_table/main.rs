//! Keeps `src/pricing/builtin.rs` what `src/pricing/openai.toml` says, and checks the table's rows.

#![expect(clippy::unwrap_used, reason = "a test: what cannot be read fails it")]

mod check;
mod sources;
mod table;

use std::collections::BTreeSet;

use table::{Row, generate, path, pico_per_token, read, table};
use thrifty::Usd;

#[test]
fn the_built_in_table_is_generated_from_the_reviewed_one() {
    let generated = generate(&table());
    if std::env::var_os("THRIFTY_WRITE_PRICES").is_some_and(|value| value == "1") {
        std::fs::write(path("builtin.rs"), &generated).unwrap();
    }
    assert!(
        read("builtin.rs") == generated,
        "builtin.rs is not what openai.toml says: run `THRIFTY_WRITE_PRICES=1 cargo test --test price_table`"
    );
}

#[test]
fn every_row_says_what_confirms_it() {
    let table = table();
    for model in &table.model {
        let ids = &model.ids;
        assert!(!ids.is_empty() && !model.source.is_empty() && model.verified_on <= table.date);
        for row in &model.rows {
            assert!(!row.confirmed || row.single_source.is_empty(), "{ids:?}");
            assert!(!row.confirmed || model.source.contains(", "), "{ids:?}");
            for meter in &row.single_source {
                let named = |(name, rate): (&str, Option<Usd>)| name == meter && rate.is_some();
                assert!(row.rates().any(named), "{ids:?}: {meter}");
            }
        }
    }
}

#[test]
fn every_fee_says_what_confirms_it_and_names_models_of_the_table_once() {
    let table = table();
    let mut seen = BTreeSet::new();
    for fee in &table.fee {
        assert!(fee.verified_on <= table.date && !fee.source.is_empty());
        assert!(!fee.confirmed || fee.source.contains(", "), "{:?}", fee.tool);
        assert!(!fee.ids.is_empty() || seen.insert((fee.tool, "all")));
        for id in &fee.ids {
            assert!(
                table.model.iter().any(|model| model.ids.contains(id)),
                "no model {id}"
            );
            assert!(seen.insert((fee.tool, id)), "two fees of {id}");
        }
    }
}

#[test]
fn a_rate_of_a_region_is_a_whole_number_too() {
    for model in table().model {
        let rates = model
            .rows
            .iter()
            .flat_map(Row::rates)
            .filter_map(|(_, rate)| rate);
        for rate in rates {
            let raised = pico_per_token(rate) * (100 + i64::from(model.uplift_percent));
            assert_eq!(raised % 100, 0, "{:?}", model.ids);
        }
    }
}

#[test]
fn every_edition_of_a_lane_has_one_base_row_and_no_row_twice() {
    for model in table().model {
        let mut seen = BTreeSet::new();
        for row in &model.rows {
            assert!(
                seen.insert((&row.lane, row.effective_from, row.above)),
                "{:?}: a row of {} twice",
                model.ids,
                row.lane
            );
        }
        for (lane, from, _) in &seen {
            assert!(
                seen.contains(&(lane, *from, 0)),
                "{:?}: no base row of {lane}",
                model.ids
            );
        }
    }
}

#[test]
fn a_long_request_is_never_cheaper_per_token_than_a_short_one() {
    for model in table().model {
        for long in model.rows.iter().filter(|row| row.above > 0) {
            let base = |row: &&Row| {
                row.above == 0 && row.lane == long.lane && row.effective_from == long.effective_from
            };
            let base = model.rows.iter().find(base).unwrap();
            assert!(
                long.input >= base.input && long.output >= base.output,
                "{:?}",
                model.ids
            );
        }
    }
}
