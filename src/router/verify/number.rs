//! The last number of a text, in a form in which what means the same is the same.

/// What may stand between thousands, if three digits follow. The first one is what all are read as.
const GROUPING: [&str; 8] = [",", "{,}", "_", "'", "\u{2019}", " ", "\u{a0}", "\u{202f}"];

/// What makes one value of two numbers, such as a fraction, a time or a power.
const JOINING: [&str; 12] = ["/", "}{", ":", "^", "^{", "^{-", "e", "E", "e-", "E-", "e+", "E+"];

/// Returns the last number of a text, without grouping, and without zeros that mean nothing. What is put together of several
/// numbers is returned as it stands.
pub(super) fn last_number(text: &str) -> Option<String> {
    // A narrow space of LaTeX ends with a comma, which would be taken for the separator.
    let text = &text.replace("\\,", "{,}");
    let end = text.as_bytes().iter().rposition(u8::is_ascii_digit)? + 1;
    let (before, written, is_joined) = split(text.get(..end)?);
    let number = written.trim_start_matches([',', '.']);
    let before = text.get(..before.len() + written.len() - number.len())?;
    // A point is part of the number, unless it ends what stands before it.
    let fraction_before = before
        .strip_suffix('.')
        .filter(|before| !before.ends_with(|sign: char| sign.is_alphanumeric() || sign == '.'));
    let sign = sign_of(fraction_before.unwrap_or(before));
    let point = if fraction_before.is_some() { "." } else { "" };
    if is_joined {
        return Some(format!("{sign}{point}{number}"));
    }
    let one_form = GROUPING
        .iter()
        .fold(number.to_owned(), |number, group| number.replace(group, ","));
    let (whole, fraction) = match fraction_before {
        Some(_) => ("", one_form.as_str()),
        None => one_form.split_once('.').unwrap_or((&one_form, "")),
    };
    if !is_grouped(whole) || fraction.contains(['.', ',']) {
        // A version, a date or a list.
        return Some(format!("{sign}{point}{one_form}"));
    }
    let whole = whole.replace(',', "");
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let is_zero = whole.is_empty() && fraction.is_empty();
    let sign = if is_zero { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// Splits a text that ends with a digit before its last number. Whether that is several that are joined is told too.
fn split(text: &str) -> (&str, &str, bool) {
    let belongs = |sign: char| sign.is_ascii_digit() || matches!(sign, ',' | '.');
    let (mut before, mut is_joined) = (text.trim_end_matches(belongs), false);
    loop {
        let digits = |text: &str| text.bytes().take(4).take_while(u8::is_ascii_digit).count();
        let last_digits = |text: &str| text.bytes().rev().take(4).take_while(u8::is_ascii_digit).count();
        let written = text.get(before.len()..).unwrap_or_default();
        let of = |signs: &[&str]| {
            let mut rests = signs.iter().filter_map(|sign| before.strip_suffix(sign));
            rests.find(|rest| last_digits(rest) > 0)
        };
        let grouped = of(&GROUPING).filter(|rest| digits(written) == 3 && last_digits(rest) <= 3);
        let joined = of(&JOINING);
        let Some(rest) = grouped.or(joined) else {
            return (before, written, is_joined);
        };
        is_joined |= grouped.is_none();
        before = rest.trim_end_matches(belongs);
    }
}

/// Whether digits are parted as thousands are, or as lakhs, if they are parted at all.
fn is_grouped(whole: &str) -> bool {
    let mut groups = whole.rsplit(',').map(str::len);
    let last = groups.next().unwrap_or_default();
    let Some(first) = groups.next_back() else {
        return true;
    };
    last == 3 && (1..=3).contains(&first) && groups.all(|group| group == 2 || group == 3)
}

/// Returns the sign that a number has, by what stands before it.
fn sign_of(before: &str) -> &'static str {
    let minus = ['-', '\u{2212}'];
    let before = before.trim_end_matches(['$', '\u{20ac}', '\u{a3}']);
    let rest = before.trim_end_matches(minus);
    let is_negative = rest.len() < before.len() && !rest.ends_with(char::is_alphanumeric);
    if is_negative { "-" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_last_ones_in_one_form() {
        for (text, number) in [
            ("The answer is 42.", "42"),
            ("$1,234.50 in all", "1234.5"),
            ("3 apples and 007.000", "7"),
            ("x = -0.0", "0"),
            ("minus: -12", "-12"),
            ("pages 10-12", "12"),
            ("it is .5", "0.5"),
            ("it is -.5", "-0.5"),
            ("$.50", "0.5"),
            ("5.", "5"),
            ("3.14.", "3.14"),
            ("1,000.5, I think", "1000.5"),
            ("12,34,567", "1234567"),
            ("so it is.5", "5"),
            ("so...5", "5"),
            ("Of 7, 5", "5"),
            ("a,5", "5"),
            ("-$5", "-5"),
            ("version 1.2.3", "1.2.3"),
            ("**\u{2212}3**", "-3"),
        ] {
            assert_eq!(last_number(text).as_deref(), Some(number), "{text}");
        }
        assert_eq!(last_number("none"), None);
    }

    #[test]
    fn what_is_put_together_of_numbers_is_not_its_last_one() {
        for (text, number) in [
            ("it is 3/4.", "3/4"),
            ("-3/4", "-3/4"),
            ("$\\frac{3}{4}$", "3}{4"),
            ("at 10:30", "10:30"),
            ("1.5e-3", "1.5e-3"),
            ("2^10", "2^10"),
            ("(1,2)", "1,2"),
            ("1.234,50", "1.234,50"),
            ("in 2023 100 did", "100"),
            ("12 000 and 13 000", "13000"),
            ("1{,}000", "1000"),
            ("1\\,000", "1000"),
        ] {
            assert_eq!(last_number(text).as_deref(), Some(number), "{text}");
        }
    }

    #[test]
    fn a_text_of_numbers_alone_takes_no_longer() {
        let text = "1/".repeat(1 << 19) + "1";
        assert_eq!(last_number(&text), Some(text));
    }
}
