//! Money in whole pico-dollars. It never floats and never silently wraps.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Pico-dollars in a dollar. OpenAI's prices are whole pico-dollars a token, so that costs are exact.
const PICO: i128 = 1_000_000_000_000;

/// The same, without a sign.
const PLACES: u64 = 1_000_000_000_000;

/// An amount of US dollars in whole pico-dollars (10⁻¹² USD), up to about 9.2 million dollars.
///
/// Written as a decimal string, also in JSON: a reader that knows only floats cannot spoil it.
///
/// # Examples
/// ```
/// use thrifty::Usd;
///
/// let cost: Usd = "0.000615".parse()?;
/// assert_eq!(cost.as_pico(), 615_000_000);
/// assert_eq!(cost.to_string(), "0.000615");
/// assert_eq!(format!("{cost:.2}"), "0.00");
/// # Ok::<(), thrifty::ParseUsdError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Usd(i64);

/// A sum of amounts, in whole pico-dollars. It cannot overflow by adding up [`Usd`] amounts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsdSum(i128);

/// A text that is not an amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal amount of dollars with at most 12 places, below 9.2 million: {text:?}")]
pub struct ParseUsdError {
    text: String,
}

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// Takes pico-dollars (10⁻¹² USD).
    pub const fn from_pico(pico: i64) -> Self {
        Self(pico)
    }

    /// Returns pico-dollars (10⁻¹² USD).
    pub const fn as_pico(self) -> i64 {
        self.0
    }

    /// Takes whole dollars; stops at the largest amount.
    pub const fn from_dollars(dollars: i32) -> Self {
        Self((dollars as i64).saturating_mul(1_000_000_000_000))
    }

    /// Adds; `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(pico) => Some(Self(pico)),
            None => None,
        }
    }

    /// Subtracts; `None` on overflow.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(pico) => Some(Self(pico)),
            None => None,
        }
    }

    /// Multiplies by a count; `None` on overflow.
    pub fn checked_mul(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i64::try_from(count).ok()?).map(Self)
    }
}

impl Usd {
    /// Hands on the decimal text, which has nothing to escape, without an allocation.
    pub(crate) fn with_text<T>(self, then: impl FnOnce(&str) -> T) -> T {
        then(Digits::of(self.0.into()).as_str())
    }
}

impl UsdSum {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// Takes pico-dollars (10⁻¹² USD).
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// Returns pico-dollars (10⁻¹² USD).
    pub const fn as_pico(self) -> i128 {
        self.0
    }

    /// Adds another sum; stops at the largest one.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts another sum; stops at the smallest one.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the share of `whole` that this is, in tenths of a percent, rounded to nearest; `None` of nothing.
    pub fn per_mille_of(self, whole: Self) -> Option<i64> {
        if whole.0 == 0 {
            return None;
        }
        let rounding = whole.0.abs() / 2 * self.0.signum() * whole.0.signum();
        i64::try_from(self.0.saturating_mul(1_000).saturating_add(rounding) / whole.0).ok()
    }
}

impl From<Usd> for UsdSum {
    fn from(amount: Usd) -> Self {
        Self(i128::from(amount.0))
    }
}

impl std::ops::Add<Usd> for UsdSum {
    type Output = Self;

    fn add(self, amount: Usd) -> Self {
        self.saturating_add(amount.into())
    }
}

impl std::ops::AddAssign<Usd> for UsdSum {
    fn add_assign(&mut self, amount: Usd) {
        *self = *self + amount;
    }
}

impl std::ops::AddAssign for UsdSum {
    fn add_assign(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

impl Sum<Usd> for UsdSum {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |sum, amount| sum + amount)
    }
}

/// Writes all places that are not zero, at least two; with a precision, rounds half to even.
fn write_decimal(pico: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (sign, size) = (if pico < 0 { "-" } else { "" }, pico.unsigned_abs());
    let unit = PICO.unsigned_abs();
    if let Some(places) = f.precision().map(|places| places.min(12)) {
        let step = 10_u128.pow(u32::try_from(12 - places).unwrap_or(0));
        let (mut whole, rest) = (size / step, size % step);
        if rest * 2 > step || (rest * 2 == step && whole % 2 == 1) {
            whole += 1;
        }
        let scale = unit / step;
        let sign = if whole == 0 { "" } else { sign };
        return match places {
            0 => f.pad_integral(true, "", &format!("{sign}{whole}")),
            _ => f.pad_integral(
                true,
                "",
                &format!("{sign}{}.{:0places$}", whole / scale, whole % scale),
            ),
        };
    }
    f.pad_integral(true, "", Digits::of(pico).as_str())
}

/// An amount as text: all places that are not zero, at least two.
struct Digits {
    /// Long enough for a sign, 27 digits before the point, the point, and 12 places.
    text: [u8; 48],
    start: usize,
    end: usize,
}

impl Digits {
    fn of(pico: i128) -> Self {
        let mut digits = Self {
            text: [b'0'; 48],
            start: 48,
            end: 48,
        };
        let size = pico.unsigned_abs();
        let low = |part: u128| u64::try_from(part).unwrap_or(0);
        // Most amounts fit into 64 bits, whose division is much faster.
        let (whole, places) = if let Ok(size) = u64::try_from(size) {
            (u128::from(size / PLACES), size % PLACES)
        } else {
            (size / u128::from(PLACES), low(size % u128::from(PLACES)))
        };
        digits.put(places, 12);
        digits.trim();
        digits.push(b'.');
        if let Ok(whole) = u64::try_from(whole) {
            digits.put(whole, 1);
        } else {
            digits.put(low(whole % u128::from(PLACES)), 12);
            digits.put(low(whole / u128::from(PLACES)), 1);
        }
        if pico < 0 {
            digits.push(b'-');
        }
        digits
    }

    fn push(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.text.get_mut(self.start) {
            *place = byte;
        }
    }

    /// Writes a number before what is there, with at least so many digits.
    fn put(&mut self, mut number: u64, least: usize) {
        let until = self.start.saturating_sub(least);
        while number > 0 || self.start > until {
            self.push(b'0' + (number % 10).to_le_bytes()[0]);
            number /= 10;
        }
    }

    /// Drops zeros from the end, but for the first two places.
    fn trim(&mut self) {
        while self.end > self.start + 2 && self.text.get(self.end - 1) == Some(&b'0') {
            self.end -= 1;
        }
    }

    fn as_str(&self) -> &str {
        let text = self.text.get(self.start..self.end).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// Reads an optional sign, 1 to 24 digits, and perhaps a point with 1 to 12 more.
fn parse_decimal(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.as_bytes()),
        None => (false, text.as_bytes()),
    };
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let point = digits
        .iter()
        .position(|byte| !is_digit(byte))
        .unwrap_or(digits.len());
    let (whole, rest) = digits.split_at_checked(point)?;
    let places = match rest.split_first() {
        None => &b"0"[..],
        Some((b'.', places)) => places,
        Some(_) => return None,
    };
    let known = (1..=24).contains(&whole.len()) && (1..=12).contains(&places.len());
    if !known || !places.iter().all(is_digit) {
        return None;
    }
    // Up to 18 digits fit into 64 bits, which are much faster.
    let quick = |part: &[u8]| {
        let digits = part.iter().map(|byte| u64::from(byte - b'0'));
        digits.fold(0_u64, |number, digit| number * 10 + digit)
    };
    let scale = 10_u64.pow(u32::try_from(12 - places.len()).unwrap_or(0));
    let fraction = quick(places) * scale;
    let pico = if whole.len() <= 6 {
        i128::from(quick(whole) * PLACES + fraction)
    } else {
        let digits = whole.iter().map(|byte| i128::from(byte - b'0'));
        let number = digits.fold(0_i128, |number, digit| number * 10 + digit);
        number.checked_mul(PICO)?.checked_add(fraction.into())?
    };
    Some(if negative { -pico } else { pico })
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(i128::from(self.0), f)
    }
}

impl fmt::Display for UsdSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(self.0, f)
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

impl fmt::Debug for UsdSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsdSum({self})")
    }
}

impl FromStr for Usd {
    type Err = ParseUsdError;

    fn from_str(text: &str) -> Result<Self, ParseUsdError> {
        parse_decimal(text)
            .and_then(|pico| i64::try_from(pico).ok())
            .map(Self)
            .ok_or_else(|| ParseUsdError {
                text: text.chars().take(60).collect(),
            })
    }
}

impl FromStr for UsdSum {
    type Err = ParseUsdError;

    fn from_str(text: &str) -> Result<Self, ParseUsdError> {
        parse_decimal(text).map(Self).ok_or_else(|| ParseUsdError {
            text: text.chars().take(60).collect(),
        })
    }
}

macro_rules! as_decimal_string {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Digits::of(self.0.into()).as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an amount in dollars as a decimal string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

as_decimal_string!(Usd);
as_decimal_string!(UsdSum);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_of_an_amount_reads_back(pico in any::<i64>()) {
            let amount = Usd::from_pico(pico);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            prop_assert_eq!(UsdSum::from(amount).to_string().parse(), Ok(UsdSum::from(amount)));
        }

        #[test]
        fn a_sum_does_not_depend_on_the_order(mut pico in prop::collection::vec(any::<i64>(), 0..50)) {
            let sum = |amounts: &[i64]| amounts.iter().map(|p| Usd::from_pico(*p)).sum::<UsdSum>();
            let before = sum(&pico);
            pico.reverse();
            prop_assert_eq!(before, sum(&pico));
        }
    }

    #[test]
    fn a_precision_rounds_half_to_even() {
        let show = |text: &str| format!("{:.2}", text.parse::<Usd>().unwrap());
        assert_eq!(show("0.005"), "0.00");
        assert_eq!(show("0.015"), "0.02");
        assert_eq!(show("-1.999"), "-2.00");
        assert_eq!(show("-0.001"), "0.00");
        assert_eq!(format!("{:>8.1}", Usd::from_dollars(3)), "     3.0");
    }

    #[test]
    fn wrong_amounts_are_refused() {
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "1e3",
            "NaN",
            "1.0000000000001",
            "+1",
            "--1",
            "1,0",
            "9300000",
            "٣",
        ] {
            assert!(wrong.parse::<Usd>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_rounded_to_nearest() {
        let share = |part, whole| UsdSum::from_pico(part).per_mille_of(UsdSum::from_pico(whole));
        assert_eq!(share(1, 3), Some(333));
        assert_eq!(share(2, 3), Some(667));
        assert_eq!(share(-2, 3), Some(-667));
        assert_eq!(share(1, 0), None);
    }
}
