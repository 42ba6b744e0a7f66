//! What is measured of cascades, against sums done by hand and laws.

use proptest::prelude::*;
use thrifty::router::{
    Answered, CascadeRow, Course, Decided, EvaluateError, Evaluator, Labelled, Misstep, Quality,
};
use thrifty::{Usd, UsdSum};

use super::evaluate::{four, near, prices};

fn answered(quality: f32, pico: i64) -> Answered {
    Answered::new(Quality::new(quality).unwrap()).with_cost(Usd::from_pico(pico))
}

fn heard(row: CascadeRow, pico: i64) -> CascadeRow {
    row.with_second_opinion(Some(Usd::from_pico(pico)))
}

fn mean(qualities: impl Iterator<Item = Quality>) -> f64 {
    let (sum, count) = qualities.fold((0.0, 0.0), |(sum, count), quality| {
        (sum + f64::from(quality.get()), count + 1.0)
    });
    sum / count
}

/// Seven requests: one of each kind of misstep, and one of each course that was right.
fn seven() -> [CascadeRow; 7] {
    let row = |course, cheap, strong| CascadeRow::new(course, answered(cheap, 10), answered(strong, 100));
    let heard = |row: CascadeRow| heard(row, 5);
    [
        heard(row(Course::Accepted, 1.0, 1.0)),
        row(Course::Accepted, 0.0, 1.0),
        heard(row(Course::Rejected, 0.0, 1.0)),
        heard(row(Course::Rejected, 1.0, 1.0)),
        row(Course::Rejected, 0.0, 0.0),
        row(Course::Straight, 0.0, 1.0),
        row(Course::Straight, 1.0, 0.0),
    ]
}

#[test]
fn quality_and_cost_of_a_cascade_are_those_done_by_hand() {
    let decided = Decided::of_cascade(&seven()).unwrap();
    // 15 + 10 + 115 + 115 + 110 + 100 + 100 of 700.
    assert_eq!(decided.point.cost, Some(UsdSum::from_pico(565)));
    near(decided.saved.unwrap().value, 135.0 / 700.0);
    // Four of the answers are good, and five of the strong model's.
    near(decided.quality.unwrap().value, 4.0 / 5.0);
    near(decided.strong_share.value, 5.0 / 7.0);
    let saved = decided.saved.unwrap();
    assert!(saved.low.unwrap() <= saved.value && saved.value <= saved.high.unwrap());
}

#[test]
fn each_misstep_is_counted_once_with_what_the_strong_answer_costs() {
    let missteps = Decided::of_cascade(&seven()).unwrap().missteps.unwrap();
    let Misstep {
        count,
        share,
        strong_cost,
        ..
    } = missteps.missed;
    assert_eq!((count, strong_cost), (1, Some(UsdSum::from_pico(100))));
    near(share, 1.0 / 7.0);
    for misstep in [missteps.needless, missteps.in_vain, missteps.hasty] {
        assert_eq!(misstep, missteps.missed);
    }
}

#[test]
fn a_cost_that_is_not_known_makes_savings_unknown_and_not_quality() {
    let mut rows = seven();
    rows[0] = rows[0].with_second_opinion(None);
    let decided = Decided::of_cascade(&rows).unwrap();
    assert_eq!((decided.saved, decided.point.cost), (None, None));
    near(decided.quality.unwrap().value, 4.0 / 5.0);
    assert_eq!(rows[0].net().cost, None);
}

#[test]
fn without_a_row_nothing_is_measured_of_a_cascade() {
    assert!(matches!(Decided::of_cascade(&[]), Err(EvaluateError::NoRows)));
}

/// Four prompts, three of them with what a third model made of them.
fn with_third() -> Vec<Labelled> {
    let third = four().into_iter().enumerate();
    let third = third.map(|(row, labelled)| match row {
        3 => labelled,
        _ => labelled.with_quality("third", true),
    });
    third.collect()
}

#[test]
fn an_evaluation_pays_for_the_second_opinion_and_for_the_rejected_answer() {
    let prices = prices().with_alias("third", "small");
    let evaluator = Evaluator::new("small", "large", &prices).with_draws(40);
    let evaluation = evaluator.with_assumed_output(10).read(&with_third()).unwrap();
    let evaluation = evaluation.with_cascade("cascade", &"third".into(), |row| match row {
        0 => (Course::Rejected, true),
        1 | 2 => (Course::Accepted, row == 2),
        _ => (Course::Straight, false),
    });
    let evaluation = evaluation.unwrap();
    let decided = evaluation.measured("cascade").unwrap().decided.clone().unwrap();
    // In prices of a small answer, of which a large one costs ten: 12 + 1 + 2 + 10 of 40.
    near(decided.saved.unwrap().value, 15.0 / 40.0);
    near(decided.quality.unwrap().value, 2.0 / 3.0);
    assert_eq!(decided.missteps.unwrap().missed.count, 1);
    assert!(
        evaluation.to_string().contains("missed 1 (25.0 %, $"),
        "{evaluation}"
    );
}

#[test]
fn a_second_opinion_without_a_label_is_an_error() {
    let evaluator = Evaluator::new("small", "large", &prices()).with_draws(0);
    let evaluation = evaluator.read(&with_third()).unwrap();
    let evaluation = evaluation.with_cascade("cascade", &"third".into(), |_| (Course::Accepted, true));
    assert!(matches!(
        evaluation,
        Err(EvaluateError::NotLabelled { row: 3, .. })
    ));
}

fn answers() -> impl Strategy<Value = Vec<(Answered, Answered, i64, u8)>> {
    let answer = |most: i64| {
        let quality = prop::sample::select(vec![0.0_f32, 0.3, 0.5, 1.0]);
        (quality, 0..most).prop_map(|(quality, pico)| answered(quality, pico))
    };
    prop::collection::vec((answer(1_000), answer(100_000), 0_i64..500, 0_u8..3), 1..40)
}

fn total(rows: &[CascadeRow]) -> (f64, i128) {
    let point = Decided::of_cascade(rows).unwrap().point;
    (point.quality, point.cost.unwrap().as_pico())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn to_accept_all_is_always_cheap_and_the_second_opinions(answers in answers()) {
        let row = |(cheap, strong, opinion, _): &(Answered, Answered, i64, u8)| {
            heard(CascadeRow::new(Course::Accepted, *cheap, *strong), *opinion)
        };
        let (quality, cost) = total(&answers.iter().map(row).collect::<Vec<_>>());
        near(quality, mean(answers.iter().map(|row| row.0.quality)));
        let paid: i64 = answers.iter().map(|row| row.0.cost.unwrap().as_pico() + row.2).sum();
        prop_assert_eq!(cost, i128::from(paid));
    }

    #[test]
    fn to_reject_all_is_always_strong_and_every_step(answers in answers()) {
        let row = |(cheap, strong, opinion, _): &(Answered, Answered, i64, u8)| {
            heard(CascadeRow::new(Course::Rejected, *cheap, *strong), *opinion)
        };
        let (quality, cost) = total(&answers.iter().map(row).collect::<Vec<_>>());
        near(quality, mean(answers.iter().map(|row| row.1.quality)));
        let all = |row: &(Answered, Answered, i64, u8)| row.0.cost.unwrap().as_pico() + row.1.cost.unwrap().as_pico() + row.2;
        prop_assert_eq!(cost, i128::from(answers.iter().map(all).sum::<i64>()));
    }

    #[test]
    fn no_cascade_is_better_than_one_that_knows_and_that_one_makes_no_misstep(answers in answers()) {
        let course = |choice: u8| match choice {
            0 => Course::Straight,
            1 => Course::Accepted,
            _ => Course::Rejected,
        };
        let any: Vec<_> = answers.iter().map(|(cheap, strong, _, choice)| CascadeRow::new(course(*choice), *cheap, *strong)).collect();
        let knows: Vec<_> = answers.iter().map(|(cheap, strong, ..)| {
            let course = if strong.quality > cheap.quality { Course::Straight } else { Course::Accepted };
            CascadeRow::new(course, *cheap, *strong)
        }).collect();
        prop_assert!(total(&any).0 <= total(&knows).0 + 1e-9);
        let missteps = Decided::of_cascade(&knows).unwrap().missteps.unwrap();
        for misstep in [missteps.missed, missteps.needless, missteps.in_vain, missteps.hasty] {
            prop_assert_eq!(misstep.count, 0);
        }
    }
}
