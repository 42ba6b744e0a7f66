//! What is measured of routers and scores, against sums done by hand and laws.

use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;
use thrifty::pricing::{Price, PriceBook};
use thrifty::router::verify::Finished;
use thrifty::router::{
    Answered, Calibration, CascadeLines, CascadeRouter, Curve, EvaluateError, Evaluation, Evaluator, HeldOut,
    HeuristicRouter, Labelled, Measured, Quality, Route, RouteRequest, Router, Score, ScoreRouter, Target,
    Threshold, evaluate, router_fn,
};
use thrifty::tokens::TokenCounter;
use thrifty::{Usd, UsdSum};

use super::Recorder;

/// Reads the score from the prompt, and bends it.
#[derive(Debug)]
struct Stated(fn(f32) -> f32);

impl Score for Stated {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        request.latest_user_text()?.parse().ok().map(self.0)
    }
}

fn labelled(prompt: &str, cheap: bool, strong: bool) -> Labelled {
    Labelled::new(prompt)
        .with_quality("small", cheap)
        .with_quality("large", strong)
}

/// Four prompts that state their scores. The cheap model is right twice, the strong one three times.
pub(super) fn four() -> [Labelled; 4] {
    [
        labelled("0.9", false, true),
        labelled("0.6", true, true),
        labelled("0.4", false, true),
        labelled("0.1", true, false),
    ]
}

pub(super) fn prices() -> PriceBook {
    let price = |input, output| Price::per_mtok(input, output).unwrap();
    PriceBook::empty()
        .with_price("small", price("1", "1"))
        .with_price("large", price("10", "10"))
}

fn evaluation(rows: &[Labelled]) -> Evaluation {
    let evaluator = Evaluator::new("small", "large", &prices()).with_draws(40);
    evaluator.with_assumed_output(10).read(rows).unwrap()
}

fn with_router(evaluation: Evaluation, router: &dyn Router) -> Result<Evaluation, EvaluateError> {
    let measured = evaluation.with_router("router", router);
    measured.now_or_never().unwrap()
}

fn of<'a>(evaluation: &'a Evaluation, name: &str) -> &'a Measured {
    evaluation.measured(name).unwrap()
}

fn apgr(measured: &Measured) -> f64 {
    measured.apgr.unwrap().value
}

#[track_caller]
pub(super) fn near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-6, "{one} is not {other}");
}

fn held_out(rows: &[(f32, bool, bool)]) -> Vec<HeldOut> {
    let priced = |good: bool, pico| Answered::new(Quality::from(good)).with_cost(Usd::from_pico(pico));
    let rows = rows.iter();
    rows.map(|(score, cheap, strong)| HeldOut::new(*score, priced(*cheap, 1), priced(*strong, 10)))
        .collect()
}

#[test]
fn a_curve_is_what_it_is_by_hand() {
    let rows = held_out(&[
        (0.9, false, true),
        (0.6, true, true),
        (0.4, false, true),
        (0.1, true, false),
    ]);
    let curve = Curve::of(&rows).unwrap();
    let points: Vec<_> = curve
        .points()
        .iter()
        .map(|point| (point.strong_share, point.quality))
        .collect();
    assert_eq!(
        points,
        [(0.0, 0.5), (0.25, 0.75), (0.5, 0.75), (0.75, 1.0), (1.0, 0.75)]
    );
    let costs: Vec<_> = curve
        .points()
        .iter()
        .map(|point| point.cost.unwrap().as_pico())
        .collect();
    assert_eq!(costs, [4, 13, 22, 31, 40]);
    // Recovered: 0, 1, 1, 2, 1. Half of the gap is reached halfway to the first call.
    near(curve.apgr().unwrap(), (0.5 + 1.0 + 1.5 + 1.5) / 4.0);
    near(curve.cpt(0.5).unwrap(), 0.125);
    near(curve.cpt(0.8).unwrap(), 0.2);
    near(curve.cpt(0.0).unwrap(), 0.0);
    near(curve.cpt(1.0).unwrap(), 0.25);
    near(curve.saved_at(1.0).unwrap(), 27.0 / 40.0);
    near(curve.saved_at(0.8).unwrap(), 0.81);
    near(curve.saved_at(0.0).unwrap(), 0.9);
}

#[test]
fn requests_of_one_score_are_taken_in_by_chance() {
    let rows = held_out(&[
        (0.5, false, true),
        (0.5, true, true),
        (0.5, true, true),
        (0.5, true, false),
    ]);
    let curve = Curve::of(&rows).unwrap();
    assert_eq!(curve.points().len(), 2);
    assert_eq!(curve.apgr(), None, "both models are right three times");
    let coin = Curve::of(&held_out(&[(0.0, false, true), (0.0, true, true)])).unwrap();
    near(coin.apgr().unwrap(), 0.5);
    near(coin.cpt(0.8).unwrap(), 0.8);
    near(coin.saved_at(0.75).unwrap(), 0.45);
}

#[test]
fn peers_stand_where_they_must() {
    let evaluation = evaluation(&four())
        .with_score("stated", &Stated(|score| score))
        .unwrap();
    near(apgr(of(&evaluation, "stated")), 1.125);
    near(apgr(of(&evaluation, "coin")), 0.5);
    // Gains of 1, 1, 0 and -1: recovered are 0, 2, 2 and 1 at 0, a half, three quarters and all calls.
    near(apgr(of(&evaluation, "oracle")), 1.375);
    for (name, strong_share, quality) in [("always-cheap", 0.0, 2.0 / 3.0), ("always-strong", 1.0, 1.0)] {
        let decided = of(&evaluation, name).decided.as_ref().unwrap();
        near(decided.strong_share.value, strong_share);
        near(decided.quality.unwrap().value, quality);
        near(apgr(of(&evaluation, name)), 0.5);
    }
    let strong = of(&evaluation, "always-strong").decided.as_ref().unwrap();
    near(strong.saved.unwrap().value, 0.0);
    near(strong.point.quality, 0.75);
}

#[test]
fn a_cost_is_the_tokens_of_the_request_and_of_the_answer_at_list_price() {
    let counted = labelled("How many tokens are these?", true, true).with_output_tokens("large", 7);
    let rows = [counted, labelled("Hi", false, true)];
    let evaluation = evaluation(&rows);
    let input = |model: &str| {
        let count = |text| TokenCounter::new().count_text(model, text).tokens;
        // What frames the one message of a request.
        let frame = 3 + 3 + 1;
        count("How many tokens are these?") + count("Hi") + 2 * frame
    };
    let cost = |name| of(&evaluation, name).decided.as_ref().unwrap().point.cost;
    let micro = |tokens: u64| Some(UsdSum::from_pico(i128::from(tokens) * 1_000_000));
    assert_eq!(cost("always-cheap"), micro(input("small") + 20));
    assert_eq!(cost("always-strong"), micro((input("large") + 17) * 10));
}

#[test]
fn what_is_not_known_of_money_is_not_stated() {
    let evaluator = Evaluator::new("small", "large", &prices()).with_draws(40);
    let evaluation = evaluator.read(&four()).unwrap();
    let oracle = of(&evaluation, "oracle");
    assert!(oracle.apgr.is_some() && oracle.saved_at_floor.is_none());
    let decided = of(&evaluation, "always-cheap").decided.as_ref().unwrap();
    assert!(decided.saved.is_none() && decided.point.cost.is_none());
    let unpriced = Evaluator::new("small", "large", &PriceBook::empty()).with_assumed_output(1);
    let evaluation = unpriced.read(&four()).unwrap();
    assert_eq!(of(&evaluation, "length").saved_at_floor, None);
    assert!(evaluation.to_svg().contains("share of calls to the strong model"));
}

#[test]
fn a_router_is_measured_by_its_decisions() {
    let line = Threshold::at(0.5).unwrap();
    let router = ScoreRouter::new(Stated(|score| score), line, "small", "large");
    let evaluation = with_router(evaluation(&four()), &router).unwrap();
    let measured = of(&evaluation, "router");
    let decided = measured.decided.as_ref().unwrap();
    near(decided.strong_share.value, 0.5);
    near(decided.quality.unwrap().value, 1.0);
    assert_eq!(decided.failed, 0);
    // Recovered: 0, 1 and 1 at none, half and all calls.
    near(apgr(measured), 0.75);
}

#[test]
fn a_router_that_fails_or_keeps_leaves_the_strong_model() {
    for (router, failed) in [(Recorder::failing(), 4), (Recorder::default(), 0)] {
        let evaluation = with_router(evaluation(&four()), &router).unwrap();
        let decided = of(&evaluation, "router").decided.as_ref().unwrap();
        assert_eq!((decided.failed, decided.strong_share.value), (failed, 1.0));
    }
}

#[test]
fn a_third_model_counts_by_its_own_label_and_without_one_is_an_error() {
    let rows = four().map(|row| row.with_quality("middle", true).with_output_tokens("middle", 1));
    let middle = Recorder::choosing("middle");
    let measured = with_router(evaluation(&rows), &middle).unwrap();
    let decided = of(&measured, "router").decided.as_ref().unwrap();
    near(decided.point.quality, 1.0);
    assert_eq!((decided.strong_share.value, decided.point.cost), (0.0, None));

    let error = with_router(evaluation(&four()), &middle).unwrap_err();
    assert_eq!(error.to_string(), "row 0 has no label of middle, which was asked");
}

#[test]
fn a_router_whose_plans_have_steps_is_no_always_cheap_but_an_error() {
    let cascade = CascadeRouter::new("small", Finished::new(), "large");
    let error = with_router(evaluation(&four()), &cascade).unwrap_err();
    assert!(matches!(error, EvaluateError::Steps { row: 0 }));
    assert!(error.to_string().contains("with_cascade"), "{error}");
    let error = evaluate(&cascade, &four(), &prices()).now_or_never().unwrap();
    assert!(matches!(error, Err(EvaluateError::Steps { row: 0 })));
    // Where its score spares the verifier there is nothing to verify.
    let at_once = cascade.with_prompt_score(Stated(|score| score), CascadeLines::at(0.5, 0.5).unwrap());
    let evaluation = with_router(evaluation(&four()), &at_once).unwrap();
    let decided = of(&evaluation, "router").decided.as_ref().unwrap();
    near(decided.strong_share.value, 0.5);
}

#[test]
fn rows_without_both_labels_are_left_out_and_counted() {
    let mut rows = four().to_vec();
    rows.push(Labelled::new("0.5").with_quality("small", true));
    let evaluation = evaluation(&rows);
    assert_eq!((evaluation.rows(), evaluation.left_out()), (4, 1));
    assert!(
        evaluation
            .to_string()
            .contains("4 prompts, 1 left out for want of a label")
    );
    let read = |cheap: &str| Evaluator::new(cheap, "large", &prices()).read(&rows);
    assert!(matches!(read("unheard-of"), Err(EvaluateError::NoRows)));
    let floor = Evaluator::new("small", "large", &prices()).with_floor(f64::NAN);
    assert!(matches!(floor.read(&rows), Err(EvaluateError::BadFloor)));
}

#[test]
fn without_a_gap_the_table_says_so() {
    let rows = [labelled("0.1", true, true), labelled("0.2", true, false)];
    let evaluation = evaluation(&rows)
        .with_score("stated", &Stated(|score| score))
        .unwrap();
    assert_eq!(of(&evaluation, "stated").apgr, None);
    assert!(evaluation.to_string().contains("large is not better than small"));
}

#[test]
fn the_pair_is_the_cheapest_and_the_dearest_candidate() {
    let measure = |router: &dyn Router, prices: &PriceBook| {
        let rows = four();
        let result = evaluate(router, &rows, prices).now_or_never().unwrap();
        result.map(|evaluation| evaluation.to_string())
    };
    // Named the wrong way round: the prices know better.
    let router = HeuristicRouter::new("large", "small");
    let text = measure(&router, &prices()).unwrap();
    assert!(text.starts_with("small -> large: 4 prompts"), "{text}");
    assert!(matches!(
        measure(&router, &PriceBook::empty()),
        Err(EvaluateError::NoPair)
    ));
    let closure = router_fn(|_| Route::to("small").because("always"));
    assert!(matches!(measure(&closure, &prices()), Err(EvaluateError::NoPair)));
}

#[test]
fn scores_and_costs_draw_a_line_that_a_router_then_holds() {
    let rows: Vec<_> = (0..400)
        .map(|i| labelled(&format!("{}", f64::from(i) / 400.0), i < 300, true))
        .collect();
    let evaluation = evaluation(&rows);
    let score = Arc::new(Stated(|score| score));
    let held_out = evaluation.held_out(&score).unwrap();
    let line = Threshold::pick(&held_out, &Target::quality_floor(0.99)).unwrap();
    let router = ScoreRouter::new(score, line, "small", "large");
    let evaluation = with_router(evaluation, &router).unwrap();
    let decided = of(&evaluation, "router").decided.clone().unwrap();
    near(decided.strong_share.value, line.expected().unwrap().strong_share);
    near(
        decided.saved.unwrap().value,
        line.expected().unwrap().saved.unwrap(),
    );
    assert!(decided.quality.unwrap().value >= 0.99 && decided.saved.unwrap().value > 0.5);
}

#[test]
fn the_table_the_json_and_the_picture_say_the_same() {
    let evaluation = evaluation(&four())
        .with_score("a<b>&\"", &Stated(|score| score))
        .unwrap();
    let evaluation = evaluation.with_probabilities("a<b>&\"", |_| Some((0.5, 0.75)));
    let text = evaluation.to_string();
    assert!(text.contains("1.125 [?]") && text.contains("12.5 [?]"), "{text}");
    let json = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(json["rows"], 4);
    let named = json["measured"].as_array().unwrap().last().unwrap().clone();
    near(named["apgr"]["value"].as_f64().unwrap(), 1.125);
    near(named["calibration_error"]["value"].as_f64().unwrap(), 0.0);
    let svg = evaluation.to_svg();
    assert!(svg.contains("a&lt;b&gt;&amp;&quot;") && svg.contains("APGR 1.125"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn a_calibration_error_is_the_distance_in_each_bin() {
    let said = |rows: &[(f32, bool)]| {
        let rows = rows.iter().map(|(said, good)| (*said, Quality::from(*good)));
        Calibration::of(rows).error()
    };
    // 0.15 and 0.19 share a bin: 0.17 said, 0.5 seen. 1 is in the last bin: seen 0.
    near(said(&[(0.15, true), (0.19, false)]).unwrap(), 0.33);
    let three = said(&[(0.15, true), (0.19, false), (1.0, false)]).unwrap();
    near(three, (0.66 + 1.0) / 3.0);
    assert_eq!(said(&[]), None);
    for wrong in [f32::NAN, -0.1, 1.1] {
        assert_eq!(said(&[(0.5, true), (wrong, true)]), None);
    }
}

/// Remembers the prompts that it was made of, and scores only others.
#[derive(Debug)]
struct Unseen(Vec<String>);

impl Score for Unseen {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        let prompt = request.latest_user_text()?;
        (!self.0.iter().any(|seen| *seen == prompt)).then(|| prompt.parse().unwrap())
    }
}

#[test]
fn each_row_is_scored_by_a_training_that_did_not_see_it() {
    let rows: Vec<_> = (0_u8..10)
        .map(|i| labelled(&i.to_string(), i % 2 == 0, true))
        .collect();
    let train = |rows: &[Labelled]| {
        assert!((7..=8).contains(&rows.len()));
        Ok::<_, EvaluateError>(Unseen(rows.iter().map(|row| row.prompt.clone()).collect()))
    };
    let evaluator = Evaluator::new("small", "large", &prices()).with_assumed_output(10);
    let mut held_out = evaluator.cross_fit(&rows, 4, train).unwrap();
    held_out.sort_by(|a, b| a.score.total_cmp(&b.score));
    let scores: Vec<_> = held_out.iter().map(|row| row.score).collect();
    assert_eq!(scores, (0_u8..10).map(f32::from).collect::<Vec<_>>());
    assert!(held_out.iter().all(|row| row.cheap.cost.is_some()));
    assert_eq!(held_out[3].cheap.quality, Quality::BAD);

    for (rows, folds) in [(&rows[..], 1), (&rows[..3], 4), (&[][..], 2)] {
        let result = evaluator.cross_fit(rows, folds, |_| Ok::<_, EvaluateError>(Unseen(Vec::new())));
        assert!(matches!(result, Err(EvaluateError::Folds)));
    }
    let failing = |_: &[Labelled]| Err::<Unseen, _>(EvaluateError::NoRows);
    let result = evaluator.cross_fit(&rows, 2, failing);
    assert!(matches!(result, Err(EvaluateError::Training(_))));
}

#[test]
fn an_interval_covers_what_other_rows_of_the_kind_say() {
    let traffic = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let rows = (0..300).map(|_| {
            let score = random.f32();
            labelled(&score.to_string(), random.f32() > score, random.f32() < 0.9)
        });
        rows.collect::<Vec<_>>()
    };
    let interval = |rows: &[Labelled], draws: u32| {
        let evaluator = Evaluator::new("small", "large", &PriceBook::empty()).with_draws(draws);
        let evaluation = evaluator.read(rows).unwrap();
        let evaluation = evaluation.with_score("stated", &Stated(|score| score)).unwrap();
        of(&evaluation, "stated").apgr.unwrap()
    };
    let endless: Vec<_> = (0..20).flat_map(traffic).collect();
    let truth = interval(&endless, 0).value;
    let covered = (100..140)
        .map(|seed| interval(&traffic(seed), 200))
        .filter(|interval| (interval.low.unwrap()..=interval.high.unwrap()).contains(&truth));
    let covered = covered.count();
    assert!(covered >= 34, "{covered} of 40 intervals of 95 % hold {truth}");
    assert_eq!(
        interval(&traffic(1), 200),
        interval(&traffic(1), 200),
        "the seed is fixed"
    );
}

#[test]
fn scores_that_are_no_numbers_are_refused_or_strong() {
    let mut rows = held_out(&[(0.1, true, true), (f32::NAN, true, true)]);
    assert!(matches!(
        Curve::of(&rows),
        Err(EvaluateError::NotANumber { row: 1 })
    ));
    rows.clear();
    assert!(matches!(Curve::of(&rows), Err(EvaluateError::NoRows)));
    // In a request that is no score: the strong model goes first.
    let nan = evaluation(&four()).held_out(&Stated(|_| f32::NAN)).unwrap();
    assert!(nan.iter().all(|row| row.score == f32::INFINITY));
}

fn any_rows() -> impl Strategy<Value = Vec<HeldOut>> {
    let any_row = (-8_i8..8, 0_u8..=4, 0_u8..=4);
    let quality = |quarters: u8| Answered::new(Quality::new(f32::from(quarters) / 4.0).unwrap());
    let row = any_row.prop_map(move |(score, cheap, strong)| {
        HeldOut::new(f32::from(score) / 4.0, quality(cheap), quality(strong))
    });
    prop::collection::vec(row, 1..60)
}

fn rescored(rows: &[HeldOut], score: impl Fn(&HeldOut) -> f32) -> Curve {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.score = score(row);
    }
    Curve::of(&rows).unwrap()
}

proptest! {
    #[test]
    fn a_bend_that_keeps_the_order_changes_nothing(rows in any_rows()) {
        let plain = Curve::of(&rows).unwrap();
        for bend in [|score: f32| score.exp(), |score: f32| 3.0 * score - 7.0, f32::atan] {
            prop_assert_eq!(&rescored(&rows, |row| bend(row.score)), &plain);
        }
    }

    #[test]
    fn the_order_of_the_rows_changes_nothing(rows in any_rows(), seed in any::<u64>()) {
        let mut shuffled = rows.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        prop_assert_eq!(Curve::of(&shuffled).unwrap(), Curve::of(&rows).unwrap());
    }

    #[test]
    fn nothing_beats_the_oracle_and_a_coin_is_worth_half(rows in any_rows()) {
        let gain = |row: &HeldOut| row.strong.quality.get() - row.cheap.quality.get();
        let (any, oracle, coin) = (Curve::of(&rows).unwrap(), rescored(&rows, gain), rescored(&rows, |_| 0.0));
        let (Some(apgr), Some(best), Some(half)) = (any.apgr(), oracle.apgr(), coin.apgr()) else {
            prop_assert_eq!(any.apgr().is_some(), coin.apgr().is_some());
            return Ok(());
        };
        prop_assert!((half - 0.5).abs() < 1e-9 && apgr <= best + 1e-9);
        for recovered in [0.1, 0.5, 0.8, 1.0] {
            prop_assert!(oracle.cpt(recovered).unwrap() <= any.cpt(recovered).unwrap() + 1e-9);
            prop_assert!((coin.cpt(recovered).unwrap() - recovered).abs() < 1e-6);
        }
    }

    #[test]
    fn a_score_and_its_opposite_share_one_unit(rows in any_rows()) {
        let (plain, turned) = (Curve::of(&rows).unwrap(), rescored(&rows, |row| -row.score));
        if let (Some(plain), Some(turned)) = (plain.apgr(), turned.apgr()) {
            prop_assert!((plain + turned - 1.0).abs() < 1e-9);
        }
    }
}
