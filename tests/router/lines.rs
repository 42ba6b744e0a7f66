//! The two lines of a cascade, by what they are to hold.

use proptest::prelude::*;
use thrifty::Usd;
use thrifty::router::{Answered, CascadeLines, CascadeRow, Course, Quality, Target, ThresholdError};

fn row(score: f32, accepted: bool, cheap: bool, strong: bool) -> (f32, CascadeRow) {
    let priced = |good: bool, pico| Answered::new(Quality::from(good)).with_cost(Usd::from_pico(pico));
    let course = if accepted {
        Course::Accepted
    } else {
        Course::Rejected
    };
    let row = CascadeRow::new(course, priced(cheap, 1_000), priced(strong, 10_000));
    (score, row.with_second_opinion(Some(Usd::from_pico(500))))
}

/// Rows of traffic in which the cheap model is good the less often, the higher the score, and the verifier is right in
/// nine of ten cases.
fn traffic(rows: usize, seed: u64) -> Vec<(f32, CascadeRow)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = || {
        let score = random.f32();
        let (cheap, strong) = (random.f32() < 0.98 - 0.8 * score, random.f32() < 0.9);
        row(score, cheap == (random.f32() < 0.9), cheap, strong)
    };
    (0..rows).map(|_| draw()).collect()
}

fn worth(quality: Quality) -> f64 {
    f64::from(quality.get())
}

/// The sum of qualities, and what the cascade costs.
fn gone(lines: &CascadeLines, rows: &[(f32, CascadeRow)]) -> (f64, i64) {
    let answers = rows.iter().map(|(score, row)| lines.apply(*score, row).net());
    answers.fold((0.0, 0), |(quality, cost), answer| {
        (
            quality + worth(answer.quality),
            cost + answer.cost.unwrap().as_pico(),
        )
    })
}

#[test]
fn a_floor_is_kept_on_other_traffic_as_often_as_the_confidence_says() {
    let other = traffic(5_000, 1_000);
    let strong = CascadeLines::by_cost(&other)
        .unwrap()
        .expected()
        .unwrap()
        .strong_quality
        * 5_000.0;
    let often = |confidence: f64| {
        let target = Target::quality_floor(0.97).with_confidence(confidence);
        let lines = (0..100).map(|seed| CascadeLines::pick(&traffic(1_000, seed), &target).unwrap());
        lines
            .filter(|lines| gone(lines, &other).0 >= 0.97 * strong)
            .count()
    };
    let (sure, on_average) = (often(0.95), often(0.5));
    assert!(sure >= 90, "{sure} of 100 with a confidence of 0.95");
    assert!(on_average < sure, "{on_average} of 100 without a margin");
}

#[test]
fn the_upper_line_by_cost_is_the_cheapest_of_all() {
    let rows = traffic(500, 3);
    let by_cost = CascadeLines::by_cost(&rows).unwrap();
    assert_eq!(Some(by_cost.trusted_below()), Some(f32::NEG_INFINITY));
    let (_, cost) = gone(&by_cost, &rows);
    let straight = rows.iter().map(|(line, _)| {
        let answers = rows.iter().map(|(score, row)| {
            let verified = row.net().cost.unwrap().as_pico();
            if score > line { 10_000 } else { verified }
        });
        answers.sum::<i64>()
    });
    assert_eq!(Some(cost), straight.min());
    let saved = by_cost.expected().unwrap().saved.unwrap();
    let all: i64 = i64::try_from(rows.len()).unwrap() * 10_000;
    let (left, all) = (u32::try_from(all - cost).unwrap(), u32::try_from(all).unwrap());
    assert!((saved - f64::from(left) / f64::from(all)).abs() < 1e-9);
}

#[test]
fn where_the_cheap_model_never_pays_all_go_straight() {
    let rows: Vec<_> = (0_u8..100)
        .map(|i| row(f32::from(i), i == 4, false, true))
        .collect();
    let lines = CascadeLines::by_cost(&rows).unwrap();
    let asked = rows
        .iter()
        .filter(|(score, row)| lines.apply(*score, row).net().cost.unwrap() != Usd::from_pico(10_000));
    assert_eq!(
        asked.count(),
        5,
        "up to the one that was accepted: it saves more than four tries cost"
    );
    let never: Vec<_> = (0_u8..100)
        .map(|i| row(f32::from(i), false, false, true))
        .collect();
    let lines = CascadeLines::by_cost(&never).unwrap();
    assert_eq!(lines.expected().unwrap().saved, Some(0.0));
}

#[test]
fn lines_that_overlap_or_are_no_numbers_are_none() {
    let at = |trusted_below, straight_above| {
        let lines = CascadeLines::at(trusted_below, straight_above)?;
        assert_eq!(lines.expected(), None);
        Some((lines.trusted_below(), lines.straight_above()))
    };
    let all = (f32::NEG_INFINITY, f32::INFINITY);
    for (low, high) in [(0.2, 0.8), (0.5, 0.5), all] {
        assert_eq!(at(low, high), Some((low, high)));
    }
    for (low, high) in [(0.8, 0.2), (f32::NAN, 0.5), (0.5, f32::NAN)] {
        assert_eq!(at(low, high), None);
    }
}

#[test]
fn where_no_cheap_answer_is_worse_all_are_trusted() {
    let rows: Vec<_> = (0_u8..100)
        .map(|i| row(f32::from(i), false, true, i % 2 == 0))
        .collect();
    let target = Target::quality_floor(1.0).with_confidence(0.5);
    let lines = CascadeLines::pick(&rows, &target).unwrap();
    assert_eq!(lines.expected().map(|expected| expected.strong_share), Some(0.0));
    assert_eq!(
        (lines.trusted_below(), lines.straight_above()),
        (f32::INFINITY, f32::INFINITY)
    );
}

#[test]
fn rows_and_targets_that_say_nothing_are_refused() {
    let (rows, floor) = (traffic(100, 4), Target::quality_floor(0.98));
    let few = ThresholdError::TooFew { rows: 49, needed: 50 };
    assert_eq!(CascadeLines::pick(&rows[..49], &floor), Err(few.clone()));
    assert_eq!(CascadeLines::by_cost(&rows[..49]), Err(few));
    let mut broken = rows.clone();
    broken[60].0 = f32::NAN;
    let no_number = ThresholdError::NotANumber { row: 60 };
    assert_eq!(CascadeLines::pick(&broken, &floor), Err(no_number.clone()));
    assert_eq!(CascadeLines::by_cost(&broken), Err(no_number));
    let same: Vec<_> = (0_u8..100)
        .map(|i| row(f32::from(i), true, i % 3 == 0, i % 3 == 0))
        .collect();
    assert_eq!(
        CascadeLines::pick(&same, &floor),
        Err(ThresholdError::NoDifference)
    );
    let share = Target::strong_share(0.5);
    assert_eq!(CascadeLines::pick(&rows, &share), Err(ThresholdError::NoFloor));
    let beyond = Target::quality_floor(1.5);
    assert_eq!(CascadeLines::pick(&rows, &beyond), Err(ThresholdError::BadTarget));
    let mut unpriced = rows;
    unpriced[17].1 = unpriced[17].1.with_second_opinion(None);
    assert_eq!(
        CascadeLines::by_cost(&unpriced),
        Err(ThresholdError::NoCost { row: 17 })
    );
    let lines = CascadeLines::pick(&unpriced, &floor).unwrap();
    assert!(lines.trusted_below() > f32::NEG_INFINITY || lines.straight_above() == f32::NEG_INFINITY);
}

/// Rows with few different scores, so that many share one.
fn any_rows() -> impl Strategy<Value = Vec<(f32, CascadeRow)>> {
    let any_row = (0_i8..20, any::<bool>(), any::<bool>(), any::<bool>());
    let row =
        any_row.prop_map(|(score, accepted, cheap, strong)| row(f32::from(score), accepted, cheap, strong));
    prop::collection::vec(row, 50..150)
}

proptest! {
    #[test]
    fn the_floor_is_kept_on_the_rows_that_the_lines_were_drawn_by(rows in any_rows(), floor in 0.0..=1.0) {
        if let Ok(lines) = CascadeLines::pick(&rows, &Target::quality_floor(floor)) {
            let expected = lines.expected().unwrap();
            prop_assert!(expected.quality >= floor * expected.strong_quality - 1e-9);
        }
    }

    #[test]
    fn a_higher_floor_or_confidence_moves_no_line_up(
        rows in any_rows(), low in 0.0..1.0, high in 0.0..1.0, unsure in 0.5..0.99, sure in 0.5..0.99,
    ) {
        let lines = |floor: f64, confidence: f64| {
            let target = Target::quality_floor(floor).with_confidence(confidence);
            CascadeLines::pick(&rows, &target).map(|lines| (lines.trusted_below(), lines.straight_above()))
        };
        let (low, high) = (f64::min(low, high), f64::max(low, high));
        let (unsure, sure) = (f64::min(unsure, sure), f64::max(unsure, sure));
        for (lax, strict) in [(lines(low, unsure), lines(low, sure)), (lines(low, 0.5), lines(high, 0.5))] {
            if let (Ok(lax), Ok(strict)) = (lax, strict) {
                prop_assert!(strict.0 <= lax.0 && strict.1 <= lax.1, "{strict:?} {lax:?}");
            }
        }
    }

    #[test]
    fn by_cost_never_costs_more_than_verifying_all_or_none(rows in any_rows()) {
        let lines = CascadeLines::by_cost(&rows).unwrap();
        let cost = |rows: &mut dyn Iterator<Item = CascadeRow>| rows.map(|row| row.net().cost.unwrap().as_pico()).sum::<i64>();
        let by_lines = cost(&mut rows.iter().map(|(score, row)| lines.apply(*score, row)));
        let all = cost(&mut rows.iter().map(|(_, row)| *row));
        let none = i64::try_from(rows.len()).unwrap() * 10_000;
        prop_assert!(by_lines <= all.min(none));
    }
}
