//! Lines drawn by what they are to hold.

use proptest::prelude::*;
use thrifty::Usd;
use thrifty::router::{Answered, HeldOut, Quality, Target, Threshold, ThresholdError, Tier};

fn row(score: f32, cheap: bool, strong: bool) -> HeldOut {
    let priced = |good: bool, pico| Answered::new(Quality::from(good)).with_cost(Usd::from_pico(pico));
    HeldOut::new(score, priced(cheap, 1_000), priced(strong, 10_000))
}

/// Rows of traffic in which the strong model is good in nine of ten cases and the cheap one the less often, the higher
/// the score.
fn traffic(rows: usize, seed: u64) -> Vec<HeldOut> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = || {
        let (score, cheap, strong) = (random.f32(), random.f32(), random.f32());
        row(score, cheap < 0.95 - 0.6 * score * score, strong < 0.9)
    };
    (0..rows).map(|_| draw()).collect()
}

/// What share of the strong model's quality a line keeps on traffic without end.
fn kept(line: f32) -> f64 {
    let line = f64::from(line.clamp(0.0, 1.0));
    let cheap = 0.95 * line - 0.6 * line.powi(3) / 3.0;
    (cheap + 0.9 * (1.0 - line)) / 0.9
}

#[test]
fn a_floor_is_kept_on_other_traffic_as_often_as_the_confidence_says() {
    let often = |confidence: f64| {
        let target = Target::quality_floor(0.97).with_confidence(confidence);
        let lines = (0..200).map(|seed| Threshold::pick(&traffic(1_000, seed), &target).unwrap().line());
        let kept: Vec<f64> = lines.map(kept).collect();
        let mean = kept.iter().sum::<f64>() / 200.0;
        (kept.iter().filter(|kept| **kept >= 0.97).count(), mean)
    };
    let (sure, _) = often(0.95);
    assert!(sure >= 184, "{sure} of 200 with a confidence of 0.95");
    let (on_average, mean) = often(0.5);
    assert!(
        (80..160).contains(&on_average),
        "{on_average} of 200 without a margin"
    );
    assert!(mean >= 0.97, "{mean} on average");
}

#[test]
fn a_line_that_is_held_back_by_a_few_rows_saves_less_the_fewer_they_are() {
    let target = Target::quality_floor(0.98);
    let saved = |rows| {
        let lines = (0..20).map(|seed| Threshold::pick(&traffic(rows, seed), &target).unwrap());
        lines
            .filter_map(|line| line.expected().unwrap().saved)
            .sum::<f64>()
            / 20.0
    };
    let (few, many) = (saved(100), saved(10_000));
    assert!(
        few < many / 2.0 && many > 0.4,
        "{few} by 100 rows, {many} by 10,000"
    );
}

#[test]
fn a_share_of_calls_is_met_on_other_traffic() {
    for share in [0.0, 0.25, 0.5, 1.0] {
        let line = Threshold::pick(&traffic(1_000, 1), &Target::strong_share(share)).unwrap();
        let other = traffic(10_000, 2);
        let strong = other
            .iter()
            .map(|row| u8::from(line.tier(row.score) == Tier::Strong));
        let off = (strong.map(f64::from).sum::<f64>() / 10_000.0 - share).abs();
        assert!(off < 0.04, "{share}: {off}");
        let expected = line.expected().unwrap().strong_share;
        assert!((expected - share).abs() < 0.001, "{share}: {expected}");
    }
}

#[test]
fn money_is_spent_up_to_its_limit_and_no_further() {
    let rows = traffic(5_000, 3);
    let limit = Usd::from_pico(4_000);
    let target = Target::cost_per_call(limit);
    let line = Threshold::pick(&rows, &target).unwrap();
    let strong = line.expected().unwrap().strong_share;
    let per_call = 1_000.0 + 9_000.0 * strong;
    assert!((3_800.0..4_000.0).contains(&per_call), "{per_call}");

    let all = Threshold::pick(&rows, &Target::cost_per_call(Usd::from_pico(20_000))).unwrap();
    assert_eq!(Some(all.line()), Some(f32::NEG_INFINITY));
    let none = Threshold::pick(&rows, &Target::cost_per_call(Usd::from_pico(1_000))).unwrap();
    assert_eq!(Some(none.line()), Some(f32::INFINITY));
    let too_little = Target::cost_per_call(Usd::from_pico(900));
    assert_eq!(
        Threshold::pick(&rows, &too_little),
        Err(ThresholdError::Unreachable)
    );

    let mut unpriced = rows;
    unpriced[17].strong.cost = None;
    assert_eq!(
        Threshold::pick(&unpriced, &target),
        Err(ThresholdError::NoCost { row: 17 })
    );
    let floor = Threshold::pick(&unpriced, &Target::quality_floor(0.97)).unwrap();
    assert!(
        floor.expected().unwrap().saved.is_none(),
        "row 17 cost nobody knows what"
    );
}

#[test]
fn any_cost_and_any_limit_can_be_compared() {
    let mut rows = traffic(100, 3);
    for (row, cost) in rows.iter_mut().zip([i64::MIN, -5, i64::MAX].into_iter().cycle()) {
        (row.cheap.cost, row.strong.cost) = (Some(Usd::from_pico(cost)), Some(Usd::from_pico(cost)));
    }
    let line = Threshold::pick(&rows, &Target::cost_per_call(Usd::MAX)).unwrap();
    assert_eq!(Some(line.line()), Some(f32::NEG_INFINITY));
}

#[test]
fn rows_and_targets_that_say_nothing_are_refused() {
    let floor = Target::quality_floor(0.98);
    let rows = traffic(200, 4);
    assert_eq!(
        Threshold::pick(&rows[..49], &floor),
        Err(ThresholdError::TooFew { rows: 49, needed: 50 })
    );
    let mut broken = rows.clone();
    broken[60].score = f32::NAN;
    assert_eq!(
        Threshold::pick(&broken, &floor),
        Err(ThresholdError::NotANumber { row: 60 })
    );
    let same: Vec<_> = (0_u8..100)
        .map(|i| row(f32::from(i), i % 3 == 0, i % 3 == 0))
        .collect();
    assert_eq!(Threshold::pick(&same, &floor), Err(ThresholdError::NoDifference));
    for target in [
        Target::quality_floor(1.01),
        Target::quality_floor(f64::NAN),
        Target::strong_share(-0.1),
        floor.with_confidence(1.0),
        floor.with_confidence(0.4),
        floor.with_confidence(f64::NAN),
        Target::cost_per_call(Usd::from_pico(-1)),
    ] {
        assert_eq!(
            Threshold::pick(&rows, &target),
            Err(ThresholdError::BadTarget),
            "{target:?}"
        );
    }
    assert_eq!(Threshold::at(f32::NAN), None);
}

#[test]
fn what_is_on_the_line_or_is_no_number_goes_to_the_strong_model() {
    let line = Threshold::at(0.5).unwrap();
    let tiers = [0.499, 0.5, f32::NAN].map(|score| line.tier(score));
    assert_eq!(tiers, [Tier::Cheap, Tier::Strong, Tier::Strong]);
    assert_eq!(Threshold::at(f32::INFINITY).unwrap().tier(f32::MAX), Tier::Cheap);
    assert_eq!(
        Threshold::at(f32::NEG_INFINITY).unwrap().tier(f32::MIN),
        Tier::Strong
    );
}

#[test]
fn rows_without_a_score_stay_with_the_strong_model_whatever_the_target() {
    let mut rows = traffic(1_000, 5);
    for row in rows.iter_mut().step_by(2) {
        row.score = f32::INFINITY;
    }
    let shares = [
        Target::quality_floor(0.0),
        Target::strong_share(0.0),
        Target::cost_per_call(Usd::from_pico(5_800)),
    ];
    for target in shares {
        let line = Threshold::pick(&rows, &target).unwrap();
        let share = line.expected().unwrap().strong_share;
        assert!((0.5..0.53).contains(&share), "{target:?}: {share}");
        assert_eq!(line.tier(f32::INFINITY), Tier::Strong);
    }
    let too_little = Target::cost_per_call(Usd::from_pico(5_400));
    assert_eq!(
        Threshold::pick(&rows, &too_little),
        Err(ThresholdError::Unreachable)
    );
}

/// Rows with few different scores, so that many share one.
fn any_rows() -> impl Strategy<Value = Vec<HeldOut>> {
    let any_row = (0_i8..20, any::<bool>(), any::<bool>());
    let row = any_row.prop_map(|(score, cheap, strong)| row(f32::from(score) / 4.0, cheap, strong));
    prop::collection::vec(row, 50..200)
}

proptest! {
    #[test]
    fn a_higher_floor_or_confidence_never_asks_the_strong_model_less(
        rows in any_rows(), low in 0.0..1.0, high in 0.0..1.0, unsure in 0.5..0.99, sure in 0.5..0.99,
    ) {
        let line = |floor: f64, confidence: f64| {
            Threshold::pick(&rows, &Target::quality_floor(floor).with_confidence(confidence)).map(|line| line.line())
        };
        let (low, high) = (f64::min(low, high), f64::max(low, high));
        let (unsure, sure) = (f64::min(unsure, sure), f64::max(unsure, sure));
        if let (Ok(lax), Ok(strict)) = (line(low, unsure), line(low, sure)) {
            prop_assert!(strict <= lax);
        }
        if let (Ok(lax), Ok(strict)) = (line(low, 0.5), line(high, 0.5)) {
            prop_assert!(strict <= lax);
        }
    }

    #[test]
    fn the_floor_is_kept_on_the_rows_that_it_was_drawn_by(rows in any_rows(), floor in 0.0..=1.0) {
        if let Ok(line) = Threshold::pick(&rows, &Target::quality_floor(floor)) {
            let expected = line.expected().unwrap();
            prop_assert!(expected.quality >= floor * expected.strong_quality - 1e-9);
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(rows in any_rows(), seed in any::<u64>(), share in 0.0..=1.0) {
        let mut shuffled = rows.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let cost = Target::cost_per_call(Usd::from_pico(5_000));
        for target in [Target::quality_floor(share), Target::strong_share(share), cost] {
            let lines = [&rows, &shuffled].map(|rows| Threshold::pick(rows, &target).map(|line| line.line()));
            prop_assert_eq!(&lines[0], &lines[1]);
        }
    }
}
