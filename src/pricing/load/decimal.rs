//! Decimal numbers as they are written, without a float in between.

use super::LoadProblem;

/// A number in whole units, and whether it had to be rounded to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) units: i64,
    pub(super) rounded: bool,
}

/// Reads a number times ten to the power of `shift`, and rounds it half to even.
///
/// Digits, a point and an exponent are read as JSON has them.
pub(super) fn shifted(text: &str, shift: i32) -> Result<Whole, LoadProblem> {
    let wrong = || LoadProblem::NotANumber(super::beginning(text));
    if text.starts_with('-') {
        return Err(LoadProblem::Negative(super::beginning(text)));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, power(exponent).ok_or_else(wrong)?),
        None => (text, 0),
    };
    let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(places) {
        return Err(wrong());
    }
    let digits = format!("{whole}{places}");
    let digits = digits.trim_start_matches('0');
    let places = i64::try_from(places.len()).unwrap_or(i64::MAX);
    let zeros = exponent.saturating_add(shift.into()).saturating_sub(places);
    rounded(digits, zeros).ok_or_else(|| LoadProblem::TooLarge(super::beginning(text)))
}

/// An exponent; one of absurd size stops at a size that is absurd too.
fn power(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| sign * digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40))
}

/// Takes digits without leading zeros, followed by so many zeros, or with so many places to be rounded off.
fn rounded(digits: &str, zeros: i64) -> Option<Whole> {
    if digits.is_empty() {
        return Some(Whole {
            units: 0,
            rounded: false,
        });
    }
    if let Ok(zeros) = u32::try_from(zeros) {
        let power = 10_i64.checked_pow(zeros)?;
        return Some(Whole {
            units: digits.parse::<i64>().ok()?.checked_mul(power)?,
            rounded: false,
        });
    }
    let places = usize::try_from(zeros.checked_neg()?).ok()?;
    let (kept, cut) = match digits.len().checked_sub(places) {
        Some(kept) => digits.split_at_checked(kept)?,
        // Less than a tenth of a unit.
        None => ("", "01"),
    };
    let kept = if kept.is_empty() {
        0
    } else {
        kept.parse::<i64>().ok()?
    };
    let half = match cut.strip_prefix('5') {
        Some(rest) if rest.bytes().all(|byte| byte == b'0') => std::cmp::Ordering::Equal,
        _ => cut
            .as_bytes()
            .first()
            .cmp(&Some(&b'5'))
            .then(std::cmp::Ordering::Greater),
    };
    let up = half.is_gt() || (half.is_eq() && kept % 2 == 1);
    Some(Whole {
        units: kept.checked_add(i64::from(up))?,
        rounded: cut.bytes().any(|byte| byte != b'0'),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pico(text: &str) -> (i64, bool) {
        let whole = shifted(text, 12).unwrap();
        (whole.units, whole.rounded)
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, expected) in [
            ("2.5e-06", (2_500_000, false)),
            ("0.0000025", (2_500_000, false)),
            ("25E-7", (2_500_000, false)),
            ("0", (0, false)),
            ("0.000e400", (0, false)),
            ("1", (1_000_000_000_000, false)),
            ("1e+3", (1_000_000_000_000_000, false)),
            // Float noise, which two of the public price lists carry.
            ("5.0000000000000004E-8", (50_000, true)),
            ("2.9999999999999997e-06", (3_000_000, true)),
            ("1.5e-12", (2, true)),
            ("2.5e-12", (2, true)),
            ("2.5000001e-12", (3, true)),
            ("0.5e-12", (0, true)),
            ("0.51e-12", (1, true)),
            ("9e-13", (1, true)),
            ("9e-14", (0, true)),
            ("1e-99999999999999999999", (0, true)),
        ] {
            assert_eq!(pico(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_told_from_what_is_too_much() {
        for text in [
            "", ".", "1.", ".5", "NaN", "inf", "1e", "1e+", "1.2.3", "0x1", "1_000", "+1", "٣",
        ] {
            assert!(
                matches!(shifted(text, 12), Err(LoadProblem::NotANumber(_))),
                "{text}"
            );
        }
        for text in ["-1", "-0", "-0.0", "-NaN"] {
            assert!(
                matches!(shifted(text, 12), Err(LoadProblem::Negative(_))),
                "{text}"
            );
        }
        for text in ["1e400", "10000000", "1e99999999999999999999"] {
            assert!(
                matches!(shifted(text, 12), Err(LoadProblem::TooLarge(_))),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+.eE0-9x]{0,30}", shift in -20_i32..20) {
            let _ = shifted(&text, shift);
        }

        #[test]
        fn a_whole_number_of_units_stays_what_it_is(units in 0_i64.., places in 0_usize..20) {
            let digits = format!("{units:0>width$}", width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
            let shift = i32::try_from(places).unwrap();
            prop_assert_eq!(shifted(&text, shift).unwrap(), Whole { units, rounded: false });
            let scientific = format!("{units}e-{places}");
            prop_assert_eq!(shifted(&scientific, shift).unwrap(), Whole { units, rounded: false });
        }
    }
}
