//! Shapes for charts, in whole numbers. Text stands beside them in HTML, where it keeps its size.

use std::fmt::Write;

use crate::money::UsdSum;

/// The height of a chart and the width of a bar that is full.
pub(super) const FULL: u32 = 1_000;

/// The width of a column of a chart, the gap included.
pub(super) const COLUMN: usize = 10;

/// Returns how long a bar is for `value` if one for `whole` is full. What is negative has none.
pub(super) fn scale(value: i128, whole: i128) -> u32 {
    let (value, whole) = (value.max(0), whole.max(1));
    let length = match value.checked_mul(FULL.into()) {
        Some(value) => value / whole,
        None => value / (whole / i128::from(FULL)).max(1),
    };
    u32::try_from(length).unwrap_or(FULL).min(FULL)
}

/// A bar across a table's cell, in one colour for each part, the parts one after the other.
pub(super) fn bar(parts: &[(&str, u32)]) -> String {
    let mut from = 0;
    let mut svg = open("bar", FULL, 10);
    for (class, length) in parts {
        push_rect(&mut svg, class, from, *length);
        from += length;
    }
    svg + "</svg>"
}

/// A bar that begins anywhere.
pub(super) fn floating(class: &str, from: u32, to: u32) -> String {
    let mut svg = open("bar", FULL, 10);
    let (from, to) = (from.min(to), from.max(to));
    // What changes anything is to be seen.
    push_rect(&mut svg, class, from.min(FULL - 3), (to - from).max(3));
    svg + "</svg>"
}

fn push_rect(svg: &mut String, class: &str, from: u32, length: u32) {
    if length > 0 {
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{from}\" width=\"{length}\" height=\"10\"/>"
        );
    }
}

fn open(class: &str, width: u32, height: u32) -> String {
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    )
}

/// The amounts at which a chart has lines, from zero to one above the largest value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) ticks: Vec<UsdSum>,
    pub(super) top: i128,
}

impl Axis {
    /// Takes the shortest step of 1, 2 or 5 times a power of ten that needs at most five lines.
    pub(super) fn up_to(largest: i128) -> Self {
        let largest = largest.max(1);
        let mut power = 1_i128;
        let step = loop {
            let fits = |step: &i128| step.checked_mul(5).is_none_or(|top| top >= largest);
            if let Some(step) = [power, 2 * power, 5 * power].into_iter().find(fits) {
                break step;
            }
            power *= 10;
        };
        let lines = largest / step + i128::from(largest % step != 0);
        let ticks = (0..=lines).map(|line| UsdSum::from_pico(line * step)).collect();
        Self {
            ticks,
            top: lines * step,
        }
    }
}

/// Returns the shape of one colour's boxes in a chart of columns: each box a column's number, its lower end and its
/// height, counted from below.
pub(super) fn boxes(boxes: impl Iterator<Item = (usize, u32, u32)>) -> String {
    let mut path = String::new();
    for (column, from, height) in boxes.filter(|(_, _, height)| *height > 0) {
        let (x, y) = (column * COLUMN + 1, FULL.saturating_sub(from));
        let width = COLUMN - 2;
        let _ = write!(path, "M{x} {y}h{width}v-{height}h-{width}z");
    }
    path
}

/// The way from what was there to what is left, and on to what will be left: each point how much of the time has passed,
/// and what was left then, up to [`FULL`].
pub(super) fn burn_down(points: &[(u32, u32)], runs_out: Option<u32>) -> String {
    let mut svg = open("burn", FULL, FULL);
    let _ = write!(
        svg,
        "<path class=\"even\" d=\"M0 0L{FULL} {FULL}\"/><path class=\"burnt\" d=\"M0 0"
    );
    let mut last = (0, 0);
    for (passed, left) in points {
        last = (*passed, FULL.saturating_sub(*left));
        let _ = write!(svg, "L{} {}", last.0, last.1);
    }
    let _ = write!(svg, "V{FULL}H0z\"/>");
    if let Some(end) = runs_out {
        let _ = write!(
            svg,
            "<path class=\"ahead\" d=\"M{} {}L{end} {FULL}\"/>",
            last.0, last.1
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_axis_has_few_round_lines() {
        let ticks = |largest| {
            let axis = Axis::up_to(largest);
            axis.ticks.iter().map(|tick| tick.as_pico()).collect::<Vec<_>>()
        };
        assert_eq!(ticks(0), [0, 1]);
        assert_eq!(ticks(37), [0, 10, 20, 30, 40]);
        assert_eq!(ticks(1_000), [0, 200, 400, 600, 800, 1_000]);
    }

    proptest! {
        #[test]
        fn the_largest_value_fits_under_the_top(largest in 0_i128..i128::MAX / 100) {
            let axis = Axis::up_to(largest);
            prop_assert!(axis.top >= largest && axis.ticks.len() <= 6);
            prop_assert!(scale(largest, axis.top) <= FULL);
        }

        #[test]
        fn a_bar_is_never_longer_than_full(value in any::<i128>(), whole in any::<i128>()) {
            prop_assert!(scale(value, whole) <= FULL);
        }
    }
}
