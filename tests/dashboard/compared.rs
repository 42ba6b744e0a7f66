//! What a page shows and what a ledger answers, and how one is held against the other, to the last digit shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use thrifty::UsdSum;
use thrifty::ledger::{CostLedger, Dimension, Distribution, Filter, Group, InMemoryLedger, Query, Totals};

/// A cell: what it shows, and what is shown where the pointer rests.
pub(crate) type Shown = (String, String);

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<Vec<Shown>>,
    pub(crate) foot: Vec<Vec<Shown>>,
}

pub(crate) type Tables = BTreeMap<String, Table>;

/// One of the figures at the top.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Tile {
    pub(crate) figure: Shown,
    pub(crate) note: Shown,
}

pub(crate) type Tiles = BTreeMap<String, Tile>;

/// What a ledger answers of the entries that match, each time anew.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    inner: &'a InMemoryLedger,
    filter: Filter,
}

impl<'a> Ledger<'a> {
    pub(crate) fn whole(inner: &'a InMemoryLedger) -> Self {
        Self::of(inner, Filter::default())
    }

    pub(crate) fn of(inner: &'a InMemoryLedger, filter: Filter) -> Self {
        Self { inner, filter }
    }

    pub(crate) fn filter(&self) -> Filter {
        self.filter.clone()
    }

    pub(crate) async fn groups(&self, by: &[Dimension]) -> Vec<Group> {
        let query = Query::new().with_filter(self.filter());
        let query = by.iter().cloned().fold(query, Query::group_by);
        self.inner.query(&query).await.unwrap().groups
    }

    pub(crate) async fn total(&self) -> (Totals, Distribution) {
        self.total_of(self.filter()).await
    }

    pub(crate) async fn total_of(&self, filter: Filter) -> (Totals, Distribution) {
        let summary = self.inner.query(&Query::new().with_filter(filter)).await.unwrap();
        (summary.total, summary.latencies)
    }
}

pub(crate) fn is_exact(totals: &Totals) -> bool {
    totals.coverage.priced == totals.calls
}

thread_local! {
    /// Where the figures are that this test compared.
    static COMPARED: RefCell<HashSet<*const Shown>> = RefCell::default();
}

pub(crate) fn compared(cell: &Shown) {
    COMPARED.with_borrow_mut(|all| all.insert(cell));
}

/// Returns how many figures this test compared.
pub(crate) fn count() -> usize {
    COMPARED.with_borrow(HashSet::len)
}

/// Whatever has a digit was compared, but for names of rows and what is written in words.
pub(crate) fn assert_nothing_was_left_out(tables: &Tables, tiles: &Tiles) {
    let is_left_out = |cell: &&Shown| {
        cell.0.contains(|c: char| c.is_ascii_digit())
            && !COMPARED.with_borrow(|all| all.contains(&std::ptr::from_ref(*cell)))
    };
    for (name, table) in tables {
        for row in table.body.iter().chain(&table.foot) {
            let cells = table.head.iter().zip(row).skip(1);
            let cells =
                cells.filter(|(column, _)| !["evidence", "what to change"].contains(&column.as_str()));
            let left: Vec<_> = cells.filter(|(_, cell)| is_left_out(cell)).collect();
            assert!(left.is_empty(), "{name}: {left:?}");
        }
    }
    for (name, tile) in tiles {
        let left: Vec<_> = [&tile.figure, &tile.note]
            .into_iter()
            .filter(is_left_out)
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

/// How a cost is marked, and its number.
pub(crate) fn unmarked(text: &str) -> (&str, String) {
    let (mark, number) = text.strip_prefix("≥ ").map_or(("", text), |number| ("≥", number));
    (mark, number.replace(',', ""))
}

/// Whether a text is an amount, rounded to the places that it shows.
pub(crate) fn same_amount(shown: &str, amount: UsdSum) -> bool {
    let places = shown.split_once('.').map_or(0, |(_, places)| places.len());
    shown == format!("{amount:.places$}")
}

pub(crate) fn assert_cost(cell: &Shown, totals: &Totals, amount: UsdSum) {
    compared(cell);
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

pub(crate) fn assert_saved(cell: &Shown, totals: &Totals, amount: UsdSum) {
    compared(cell);
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

pub(crate) fn assert_count(cell: &Shown, count: u64) {
    compared(cell);
    assert_eq!(cell.0.replace(',', ""), count.to_string());
}

/// Tenths of a percent, rounded down.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".into();
    }
    let tenths = part * 1_000 / whole;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// A share of money in tenths of a percent, rounded to the nearest.
pub(crate) fn share_of_money(part: UsdSum, whole: UsdSum) -> String {
    part.per_mille_of(whole).map_or_else(
        || "–".into(),
        |tenths| {
            let sign = if tenths < 0 { "-" } else { "" };
            format!("{sign}{}.{}%", tenths.abs() / 10, tenths.abs() % 10)
        },
    )
}

pub(crate) fn assert_text(cell: &Shown, text: &str) {
    compared(cell);
    assert_eq!(cell.0, text);
}

pub(crate) fn assert_amount(cell: &Shown, amount: UsdSum) {
    compared(cell);
    assert!(
        same_amount(&cell.0.replace(',', ""), amount),
        "{cell:?} is not {amount}"
    );
    assert_eq!(cell.1, amount.to_string());
}

/// Returns a count as sentences have it.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
