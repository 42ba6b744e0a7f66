use std::ops::Range;

use serde_json::json;

use super::super::{Facts, Labelled, Quality, RouteRequest, Score};
use super::*;
use crate::endpoint::Endpoint;

pub(super) const MINI: &str = "gpt-4o-mini";
pub(super) const FULL: &str = "gpt-4o";

/// Prompts of two kinds; the cheap model is good at one of them.
pub(super) fn rows(range: Range<usize>) -> Vec<Labelled> {
    range
        .map(|n| {
            let hard = n % 2 == 0;
            let text = if hard {
                "Prove that the sum is even"
            } else {
                "Translate this line to French"
            };
            Labelled::new(format!("{text}, number {n}"))
                .with_quality(MINI, !hard)
                .with_quality(FULL, n % 10 != 3)
        })
        .collect()
}

pub(super) fn model() -> Model {
    Trainer::new([MINI, FULL]).train(&rows(0..200)).unwrap()
}

#[test]
fn what_only_the_strong_model_answers_well_scores_higher() {
    let model = model();
    let (hard, easy) = (
        model.score_text("Prove that the sum is odd"),
        model.score_text("Translate this to French"),
    );
    assert!(hard > 0.3 && easy < 0.1, "{hard} {easy}");
    let [cheap, strong] = model.probabilities("Prove that the sum is odd")[..] else {
        panic!("two candidates");
    };
    assert!((strong - cheap - hard).abs() < 1e-6);
}

#[test]
fn the_same_seed_makes_the_same_model() {
    let train = |seed| {
        Trainer::new([MINI, FULL])
            .with_seed(seed)
            .train(&rows(0..200))
            .unwrap()
    };
    assert_eq!(train(7), train(7));
    assert_ne!(train(7).version(), train(8).version());
}

#[test]
fn labels_that_teach_nothing_are_refused() {
    let train = |rows: &[Labelled]| Trainer::new([MINI, FULL]).train(rows).unwrap_err().to_string();
    assert_eq!(train(&[]), "gpt-4o-mini has 0 labels, 50 are needed");
    assert_eq!(train(&rows(0..49)), "gpt-4o-mini has 49 labels, 50 are needed");
    let foreign = [rows(0..60), vec![Labelled::new("x").with_quality("o3", true)]].concat();
    assert_eq!(train(&foreign), "there are labels of o3, which is no candidate");
    let alike: Vec<Labelled> = (0..60)
        .map(|n| {
            Labelled::new(n.to_string())
                .with_quality(MINI, false)
                .with_quality(FULL, true)
        })
        .collect();
    assert_eq!(train(&alike), "all answers of each candidate are labelled alike");
    let only_one: Vec<Labelled> = (0..60)
        .map(|n| Labelled::new(n.to_string()).with_quality(MINI, n % 2 == 0))
        .collect();
    assert_eq!(train(&only_one), "gpt-4o has 0 labels, 50 are needed");
    let train = |models: &[&str]| Trainer::new(models.iter().copied()).train(&rows(0..60));
    assert!(matches!(train(&[MINI]), Err(LearnError::Candidates { count: 1 })));
    for bad in [[MINI, MINI], [MINI, ""], ["auto", FULL]] {
        assert!(matches!(train(&bad), Err(LearnError::BadCandidate { .. })));
    }
}

#[test]
fn an_update_that_is_refused_changes_nothing() {
    let mut model = model();
    let before = model.clone();
    let foreign = [rows(0..10), vec![Labelled::new("x").with_quality("o3", true)]].concat();
    assert!(matches!(
        model.update(&foreign),
        Err(LearnError::UnknownModel { .. })
    ));
    assert_eq!(model, before);
}

#[test]
fn an_update_moves_the_score_towards_what_was_seen() {
    let mut model = model();
    let before = model.score_text("Summarise the minutes");
    let seen: Vec<Labelled> = (0..50)
        .map(|n| Labelled::new(format!("Summarise the minutes of day {n}")).with_quality(MINI, Quality::GOOD))
        .collect();
    model.update(&seen).unwrap();
    assert!(model.score_text("Summarise the minutes") < before - 0.05);
}

#[test]
fn a_request_and_its_text_alone_score_the_same() {
    let (model, facts) = (model(), Facts::default());
    for text in [
        "Prove it: 1 + 1 = 2?",
        "",
        "\n\t \"quoted\" é 😀 ",
        &"long, \"very\" long. ".repeat(2_000),
    ] {
        let body = json!({"model": FULL, "messages": [{"role": "user", "content": text}]}).to_string();
        let request = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
        assert_eq!(model.score(&request), Some(model.score_text(text)));
        let body = json!({"model": FULL, "input": text}).to_string();
        let request = RouteRequest::read(&Endpoint::Responses, body.as_bytes(), &facts).unwrap();
        assert_eq!(model.score(&request), Some(model.score_text(text)));
    }
    let body = json!({"model": FULL, "messages": [{"role": "system", "content": "x"}]}).to_string();
    let request = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
    assert_eq!(model.score(&request), None);
}

#[test]
fn any_prompt_has_a_score() {
    let model = model();
    for text in [
        String::new(),
        "a".repeat(10 << 20),
        "? ".repeat(5 << 20),
        "\u{0}\u{ffff}".repeat(1_000),
    ] {
        assert!((-1.0..=1.0).contains(&model.score_text(&text)));
    }
}

#[test]
fn of_three_the_gap_is_to_the_best_of_the_dearer() {
    let rows: Vec<Labelled> = (0..300)
        .map(|n| {
            let kind = ["Greet", "Derive", "Refactor"][n % 3];
            Labelled::new(format!("{kind} {n}"))
                .with_quality("nano", n % 3 == 0)
                .with_quality(MINI, n % 3 < 2)
                .with_quality(FULL, n % 3 != 1)
        })
        .collect();
    let model = Trainer::new(["nano", MINI, FULL]).train(&rows).unwrap();
    let [easy, middle, hard] = ["Greet 7", "Derive 7", "Refactor 7"].map(|text| model.score_text(text));
    assert!(middle > easy + 0.2 && hard > easy + 0.2, "{easy} {middle} {hard}");
    let judged = model.probabilities("Derive 7");
    assert!(judged[1] > judged[0] && judged[1] > judged[2], "{judged:?}");
}

#[test]
fn the_words_that_weighed_most_are_exact() {
    let (model, facts) = (model(), Facts::default());
    let request =
        |text: &str| json!({"model": FULL, "messages": [{"role": "user", "content": text}]}).to_string();
    let log_odds = |text: &str| {
        let [cheap, strong] = model.probabilities(text)[..] else {
            panic!("two candidates");
        };
        let odds = |p: f32| (p / (1.0 - p)).ln();
        odds(strong) - odds(cheap)
    };
    let body = request("Prove Translate");
    let read = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
    let words = model.explain(&read);
    assert_eq!(words.len(), 4, "{words:?}");
    let weight = |text: &str| words.iter().find(|word| word.text == text).unwrap().weight;
    assert!(weight("Prove") > 0.0 && weight("Translate") < 0.0);
    // Another word of the same shape that was never seen adds nothing.
    let unseen = "Prxxe Trxxxlate";
    let difference = log_odds("Prove Translate") - log_odds(unseen);
    let sum: f32 = words.iter().map(|word| word.weight).sum();
    assert!((difference - sum).abs() < 1e-4, "{difference} {sum}");
    let body = json!({"model": FULL}).to_string();
    let read = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
    assert!(model.explain(&read).is_empty());
}
