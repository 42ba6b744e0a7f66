//! How amounts, counts and names are written.

use crate::ledger::Totals;
use crate::money::UsdSum;

/// Whether the cost of all rows is known exactly.
pub(super) fn exact(totals: &Totals) -> bool {
    totals.coverage.priced == totals.calls
}

/// Whether anything is known of the cost.
pub(super) fn known(totals: &Totals) -> bool {
    totals.calls == 0 || totals.coverage.priced + totals.coverage.partial > 0
}

/// Marks the text of a cost as what is known of it.
pub(super) fn cost(totals: &Totals, amount: String) -> String {
    match (known(totals), exact(totals)) {
        (false, _) => "?".into(),
        (true, false) => format!("≥ {amount}"),
        (true, true) => amount,
    }
}

/// Leaves out the text of a saving that cannot be told.
pub(super) fn saved(totals: &Totals, amount: String) -> String {
    if totals.coverage.compared == 0 {
        "–".into()
    } else {
        amount
    }
}

/// Returns what a call cost on the average, rounded down to a pico-dollar; `None` without calls.
pub(super) fn per_call(totals: &Totals) -> Option<UsdSum> {
    let pico = totals.cost.as_pico().checked_div(i128::from(totals.calls))?;
    Some(UsdSum::from_pico(pico))
}

/// Returns a share in tenths of a percent, rounded down; `None` of nothing.
pub(super) fn per_mille(part: u64, whole: u64) -> Option<u64> {
    let share = (u128::from(part) * 1_000).checked_div(u128::from(whole))?;
    u64::try_from(share).ok()
}

/// Returns a share such as `12.5%`.
pub(super) fn percent(per_mille: impl Into<i128>) -> String {
    let per_mille = per_mille.into();
    let sign = if per_mille < 0 { "-" } else { "" };
    let size = per_mille.unsigned_abs();
    format!("{sign}{}.{}%", size / 10, size % 10)
}

/// Puts commas between thousands, up to the point if there is one.
pub(super) fn grouped(number: &str) -> String {
    let (sign, digits) = number
        .strip_prefix('-')
        .map_or(("", number), |digits| ("-", digits));
    let point = digits.find('.').unwrap_or(digits.len());
    let (whole, places) = digits.split_at(point);
    let mut text = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + places
}

/// Returns how many decimal places a column needs whose largest amount is this: four digits that count, and at least
/// cents.
pub(super) fn places(largest: UsdSum) -> usize {
    match largest.as_pico().unsigned_abs() {
        10_000_000_000_000.. => 2,
        100_000_000_000.. => 4,
        _ => 6,
    }
}

/// Returns a name that can be shown: cut to so many characters, and without those that move or hide others.
pub(super) fn shown(name: Option<&str>, most: usize) -> String {
    let Some(name) = name else {
        return "(none)".into();
    };
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let visible = name
        .chars()
        .map(|c| if hides(c) { char::REPLACEMENT_CHARACTER } else { c });
    let mut shown: String = visible.clone().take(most).collect();
    if visible.count() > most {
        shown.pop();
        shown.push('…');
    }
    if shown.is_empty() { "\"\"".into() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_before_the_point_only() {
        for (plain, expected) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.890123", "-1,234,567.890123"),
            ("-123.45", "-123.45"),
        ] {
            assert_eq!(grouped(plain), expected);
        }
    }

    #[test]
    fn shares_keep_their_sign() {
        assert_eq!(percent(-5), "-0.5%");
        assert_eq!(percent(1_000), "100.0%");
        assert_eq!(per_mille(1, 0), None);
    }
}
