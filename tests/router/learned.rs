//! A router that learns: in shadow, promoted, exploring, taught by ratings.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::json;
use thrifty::router::verify::Finished;
use thrifty::router::{
    AUTO, CascadeRouter, Cause, Facts, FallbackRouter, FixedRouter, HeuristicRouter, Labelled, LearnError,
    LearnedRouter, Model, NotLearned, Promotion, Rating, Route, RouteRequest, Router, RouterExt,
    ShadowRouter, Threshold, Trainer, TrainingLog, router_fn,
};
use thrifty::{Clock, Endpoint, OpId, SystemClock};

use super::{FULL, MINI, by_looks, model, reason, route, says};

const HARD: &str = "Prove that the sum of two odd numbers is even";
const EASY: &str = "Translate this line to French";

/// Prompts of two kinds. The cheap model fails on proofs.
fn rows(count: usize, from: usize) -> Vec<Labelled> {
    let row = |n: usize| {
        let hard = n.is_multiple_of(3);
        let prompt = if hard {
            format!("{HARD}, case {n}")
        } else {
            format!("{EASY}, number {n}")
        };
        Labelled::new(prompt)
            .with_quality(MINI, !hard || n.is_multiple_of(30))
            .with_quality(FULL, n % 50 != 7)
    };
    (from..from + count).map(row).collect()
}

fn learned() -> Model {
    Trainer::new([MINI, FULL]).train(&rows(300, 0)).unwrap()
}

fn line() -> Threshold {
    Threshold::at(0.3).unwrap()
}

pub(super) fn in_shadow() -> LearnedRouter {
    LearnedRouter::new(learned(), line(), by_looks()).unwrap()
}

pub(super) fn promoted() -> LearnedRouter {
    in_shadow().promoted_before()
}

fn asks_auto(text: &str) -> serde_json::Value {
    json!({"model": AUTO, "messages": [{"role": "user", "content": text}]})
}

/// Routes a request of an operation, which can be rated.
fn route_for(router: &impl Router, text: &str) -> (OpId, Route) {
    let (facts, body) = (Facts::default(), asks_auto(text).to_string());
    let op_id = OpId::new(SystemClock.now());
    let request = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
    let chosen = router.route(&request.of_operation(op_id)).now_or_never();
    (op_id, chosen.unwrap().unwrap())
}

#[test]
fn a_promoted_router_asks_the_strong_model_only_where_it_gains() {
    let router = promoted();
    for (text, expected) in [(HARD, FULL), (EASY, MINI)] {
        let route = route(&router, &says(text));
        assert_eq!(model(&route), Some(expected));
        let why = route.why().unwrap();
        assert!(matches!(why.cause, Cause::Learned { .. }) && why.judged.len() == 2);
        assert_eq!(reason(&route), why.to_string());
        assert!(!reason(&route).contains("rench") && !reason(&route).contains("odd"));
    }
    let asked_for_mini = json!({"model": MINI, "messages": [{"role": "user", "content": HARD}]});
    let kept = route(&router, &asked_for_mini);
    assert_eq!(model(&kept), Some(MINI), "never dearer than asked for");
    assert!(
        reason(&kept).contains("gpt-4o may cost more than asked for"),
        "{}",
        reason(&kept)
    );
}

#[test]
fn in_shadow_the_fallback_router_decides_and_the_reason_has_both() {
    let router = LearnedRouter::new(learned(), line(), FixedRouter::new(MINI)).unwrap();
    let chosen = route(&router, &says(HARD));
    assert_eq!(model(&chosen), Some(MINI));
    assert!(
        reason(&chosen).starts_with("fallback, in shadow: fixed; good answers: gpt-4o-mini 0."),
        "{}",
        reason(&chosen)
    );
    let untrained = LearnedRouter::untrained([MINI, FULL], by_looks()).unwrap();
    let chosen = route(&untrained, &says(EASY));
    assert_eq!(
        (model(&chosen), reason(&chosen)),
        (Some(MINI), "fallback, untrained: 0 points, strong from 3")
    );
}

#[test]
fn a_request_without_text_is_the_fallback_routers() {
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let body = json!({"model": FULL, "messages": [{"role": "user", "content": image}]});
    let chosen = route(&promoted(), &body);
    let Cause::Fallback { because, .. } = &chosen.why().unwrap().cause else {
        panic!("{chosen:?}");
    };
    assert_eq!(*because, NotLearned::NoText);
}

#[test]
fn a_fallback_router_that_keeps_auto_leaves_it_to_the_strong_model() {
    let router = LearnedRouter::untrained([MINI, FULL], router_fn(|_| Route::keep())).unwrap();
    assert_eq!(model(&route(&router, &asks_auto(EASY))), Some(FULL));
    assert_eq!(model(&route(&router, &says(EASY))), None);
}

#[tokio::test]
async fn a_fallback_router_that_keeps_auto_is_judged_by_what_it_then_asks() {
    // Of `auto` it says nothing: the strong model is asked, as without a prompt at hand.
    for keeps in [
        Arc::new(router_fn(|_| Route::keep())) as Arc<dyn Router>,
        Arc::new(ShadowRouter::new(MINI, 1.0)),
    ] {
        let router = LearnedRouter::new(learned(), line(), keeps).unwrap();
        let verdict = router.promote(&rows(400, 1_000)).await.unwrap();
        let (Promotion::Promoted(found) | Promotion::NotBetter(found)) = verdict else {
            panic!("{verdict}");
        };
        assert!((found.fallback_share - 1.0).abs() < 1e-9, "{verdict}");
    }
    // A cascade's answers are not those of its first model: nothing can be told of it.
    let cascade = CascadeRouter::new(MINI, Finished::new(), FULL);
    let router = LearnedRouter::new(learned(), line(), cascade).unwrap();
    let verdict = router.promote(&rows(400, 1_000)).await.unwrap();
    assert_eq!(verdict.to_string(), "undecided: 0 held-out rows, 100 are needed");
}

#[test]
fn a_plan_that_is_sent_to_another_model_keeps_what_holds_for_any() {
    let shadowed = || ShadowRouter::new("o3", 1.0);
    let fallback = || FallbackRouter::new(FULL).then("gpt-4.1").behind(shadowed());
    let router = LearnedRouter::untrained([MINI, FULL], fallback()).unwrap();
    let kept = route(&router, &asks_auto(EASY));
    assert_eq!(model(&kept), Some(FULL));
    assert_eq!(kept.shadow().map(|shadow| shadow.model().as_str()), Some("o3"));
    assert_eq!(kept.fallbacks(), [thrifty::ModelId::from("gpt-4.1")]);

    let dir = tempfile::tempdir().unwrap();
    let cascade = CascadeRouter::new(MINI, Finished::new(), FULL);
    let plan = FallbackRouter::new(FULL)
        .then("gpt-4.1")
        .behind(shadowed().behind(cascade));
    let router = LearnedRouter::untrained([MINI, FULL], plan).unwrap();
    let router = router
        .with_log(TrainingLog::open(dir.path()).unwrap())
        .with_exploration(0.5, 3);
    let (mut drawn, mut steps) = (0, 0);
    for _ in 0..100 {
        let chosen = route_for(&router, EASY).1;
        assert_eq!(chosen.shadow().map(|shadow| shadow.model().as_str()), Some("o3"));
        let is_drawn = model(&chosen) == Some(FULL);
        assert_eq!(is_drawn, chosen.steps().is_empty(), "{chosen:?}");
        assert_eq!(is_drawn, !chosen.fallbacks().contains(&FULL.into()));
        assert!(chosen.fallbacks().contains(&"gpt-4.1".into()));
        drawn += usize::from(is_drawn);
        steps += chosen.steps().len();
    }
    assert!(drawn > 10 && steps > 10, "{drawn} {steps}");
}

#[tokio::test]
async fn it_is_promoted_when_it_is_better_and_says_why_when_not() {
    let router = in_shadow();
    let few = router.promote(&rows(50, 1_000)).await.unwrap();
    assert_eq!(few.to_string(), "undecided: 50 held-out rows, 100 are needed");
    let verdict = router.promote(&rows(400, 1_000)).await.unwrap();
    assert!(
        matches!(verdict, Promotion::Promoted(of) if of.at_least > 0.0),
        "{verdict}"
    );
    assert!(router.is_promoted());

    // The fallback router knows the answer: nothing is better.
    let knows = router_fn(|request| match request.latest_user_text() {
        Some(text) if text.starts_with("Prove") => Route::to(FULL).because("hard"),
        _ => Route::to(MINI).because("easy"),
    });
    let router = LearnedRouter::new(learned(), line(), knows)
        .unwrap()
        .promoted_before();
    let verdict = router.promote(&rows(400, 1_000)).await.unwrap();
    assert!(matches!(verdict, Promotion::NotBetter(_)), "{verdict}");
    assert!(!router.is_promoted(), "it goes back to the shadow");
    assert!(reason(&route(&router, &says(EASY))).starts_with("fallback, in shadow: easy"));

    let untrained = LearnedRouter::untrained([MINI, FULL], by_looks()).unwrap();
    assert_eq!(
        untrained.promote(&rows(400, 0)).await.unwrap(),
        Promotion::Untrained
    );
    let foreign = [Labelled::new("x").with_quality("o3", true)];
    assert!(matches!(
        router.promote(&foreign).await,
        Err(LearnError::UnknownModel { .. })
    ));
}

#[test]
fn a_model_of_other_candidates_is_not_installed() {
    let router = LearnedRouter::untrained([MINI, "o3"], by_looks()).unwrap();
    assert!(matches!(
        router.install(learned(), line()),
        Err(LearnError::OtherCandidates)
    ));
    assert!(matches!(
        LearnedRouter::untrained([MINI, MINI], by_looks()),
        Err(LearnError::BadCandidate { .. })
    ));
}

#[test]
fn of_three_candidates_the_cheapest_that_will_do_is_asked() {
    let row = |n: usize| {
        let kind = ["Greet", "Derive", "Refactor"][n % 3];
        Labelled::new(format!("{kind} the number {n}"))
            .with_quality("gpt-4.1-nano", n.is_multiple_of(3))
            .with_quality(MINI, n % 3 < 2)
            .with_quality(FULL, true)
    };
    let rows: Vec<Labelled> = (0..600).map(row).collect();
    let model_of_three = Trainer::new(["gpt-4.1-nano", MINI, FULL]).train(&rows).unwrap();
    let router = LearnedRouter::new(model_of_three, line(), by_looks())
        .unwrap()
        .promoted_before();
    for (text, expected) in [
        ("Greet the number 7", "gpt-4.1-nano"),
        ("Derive the number 7", MINI),
        ("Refactor the number 7", FULL),
    ] {
        let route = route(&router, &asks_auto(text));
        assert_eq!(model(&route), Some(expected), "{}", reason(&route));
    }
    let asked_for_mini =
        json!({"model": MINI, "messages": [{"role": "user", "content": "Refactor the number 7"}]});
    assert_eq!(model(&route(&router, &asked_for_mini)), Some(MINI));
}

#[test]
fn exploration_is_drawn_by_the_seed_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let draw = |seed: u64, name: &str| {
        let log = TrainingLog::open(dir.path().join(name)).unwrap();
        let router = promoted().with_log(log).with_exploration(0.2, seed);
        let drawn: Vec<Route> = (0..500).map(|_| route_for(&router, EASY).1).collect();
        drawn
    };
    let drawn = draw(1, "a");
    let explored = drawn.iter().filter(|route| model(route) == Some(FULL)).count();
    assert!(
        (30..70).contains(&explored),
        "a tenth goes to the other candidate: {explored}"
    );
    for route in &drawn {
        let is_other = model(route) == Some(FULL);
        assert_eq!(
            is_other,
            reason(route).starts_with("explored, propensity 0.100; "),
            "{}",
            reason(route)
        );
    }
    assert_eq!(drawn, draw(1, "b"));
    assert_ne!(drawn, draw(2, "c"));
    // Who names the cheap model never pays for the dearer one.
    let log = TrainingLog::open(dir.path().join("d")).unwrap();
    let always = promoted().with_log(log).with_exploration(1.0, 1);
    let cheap = json!({"model": MINI, "messages": [{"role": "user", "content": EASY}]});
    assert!((0..50).all(|_| model(&route(&always, &cheap)) == Some(MINI)));
    // There is nothing to learn from what is not kept.
    let without_log = promoted().with_exploration(1.0, 1);
    assert!((0..50).all(|_| model(&route(&without_log, &asks_auto(EASY))) == Some(MINI)));
}

/// Rates what the router chose by what each model is good at.
fn rate(router: &LearnedRouter, text: &str) {
    let (op_id, route) = route_for(router, text);
    let good = model(&route) == Some(FULL) || !text.starts_with("Prove");
    router.rate(&Rating::new(op_id, good));
}

fn traffic(router: &LearnedRouter, count: usize) {
    for n in 0..count {
        let text = if n.is_multiple_of(3) { HARD } else { EASY };
        rate(router, &format!("{text}, number {n}"));
    }
}

fn coin() -> impl Router {
    router_fn(|request| {
        let length = request
            .latest_user_text()
            .map_or(0, |text| text.bytes().map(u32::from).sum());
        let choice = if length.is_multiple_of(2) { FULL } else { MINI };
        Route::to(choice).because("a coin")
    })
}

#[test]
fn ratings_are_kept_without_text_trained_on_and_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let log = TrainingLog::open(dir.path()).unwrap();
    let router = LearnedRouter::untrained([MINI, FULL], coin())
        .unwrap()
        .with_log(log.clone());
    assert_eq!(router.learn(), 0);
    traffic(&router, 1_000);
    assert_eq!(log.report().unwrap().ratings, 1_000);
    assert_no_text(dir.path());
    router
        .install(log.train(&Trainer::new([MINI, FULL])).unwrap(), line())
        .unwrap();
    assert_eq!(router.learn(), 0, "the model was trained on these");
    traffic(&router, 300);
    let before = router.model().unwrap().version();
    assert_eq!((router.learn(), router.learn()), (300, 0));
    assert_ne!(router.model().unwrap().version(), before);
    let router = router.promoted_before();
    assert_eq!(model(&route(&router, &says(HARD))), Some(FULL));
    assert_eq!(model(&route(&router, &says(EASY))), Some(MINI));
    // Nobody asked about these; a rating of them is no one's.
    router.rate(&Rating::new(OpId::new(SystemClock.now()), true));
    assert_eq!(router.learn(), 0);
}

#[test]
fn what_is_rated_of_a_plan_with_steps_teaches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = TrainingLog::open(dir.path()).unwrap();
    let cascade = CascadeRouter::new(MINI, Finished::new(), FULL);
    let router = LearnedRouter::new(learned(), line(), cascade).unwrap();
    let router = router.with_log(log.clone());
    let (op_id, chosen) = route_for(&router, EASY);
    assert_eq!(chosen.steps().len(), 1);
    router.rate(&Rating::new(op_id, true));
    router.rate(&Rating::new(op_id, true).of_model(MINI));
    assert_eq!((log.report().unwrap().ratings, router.learn()), (0, 0));

    let router = router.promoted_before();
    let (op_id, chosen) = route_for(&router, EASY);
    assert!(chosen.steps().is_empty());
    router.rate(&Rating::new(op_id, true));
    assert_eq!((log.report().unwrap().ratings, router.learn()), (1, 1));
}

fn assert_no_text(dir: &Path) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(path).unwrap().to_lowercase();
            assert!(!text.contains("prove") && !text.contains("french") && !text.contains("number"));
        }
    }
}

#[test]
fn ratings_promote_only_if_each_candidate_could_have_been_asked() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, exploration: f32| {
        let log = TrainingLog::open(dir.path().join(name)).unwrap();
        let router = LearnedRouter::new(learned(), line(), coin()).unwrap();
        let router = router.with_log(log).with_exploration(exploration, 5);
        traffic(&router, 3_000);
        router
    };
    let verdict = of("greedy", 0.0).promote_by_ratings();
    assert_eq!(verdict.to_string(), "undecided: 0 held-out rows, 100 are needed");
    let explored = of("explored", 0.2);
    let verdict = explored.promote_by_ratings();
    assert!(verdict.is_promoted() && explored.is_promoted(), "{verdict}");
    assert!(!in_shadow().promote_by_ratings().is_promoted());
}

#[test]
fn ratings_of_both_answers_promote_without_exploration() {
    let dir = tempfile::tempdir().unwrap();
    let router = LearnedRouter::new(learned(), line(), coin()).unwrap();
    let router = router.with_log(TrainingLog::open(dir.path()).unwrap());
    for n in 0..400 {
        let text = if n % 3 == 0 { HARD } else { EASY };
        let (op_id, _) = route_for(&router, &format!("{text}, number {n}"));
        router.rate(&Rating::new(op_id, n % 3 != 0).of_model(MINI));
        router.rate(&Rating::new(op_id, true).of_model(FULL));
    }
    let verdict = router.promote_by_ratings();
    assert!(
        matches!(verdict, Promotion::Promoted(of) if of.rows == 400),
        "{verdict}"
    );
}

#[test]
fn what_was_rated_before_a_model_was_installed_does_not_promote_it() {
    let dir = tempfile::tempdir().unwrap();
    let router = LearnedRouter::untrained([MINI, FULL], coin()).unwrap();
    let log = TrainingLog::open(dir.path()).unwrap();
    let router = router.with_log(log.clone()).with_exploration(0.2, 5);
    traffic(&router, 3_000);
    let (op_id, _) = route_for(&router, HARD);
    router.rate(&Rating::new(op_id, true));
    let (of_before, _) = route_for(&router, EASY);
    let trained = log.train(&Trainer::new([MINI, FULL])).unwrap();
    router.install(trained, line()).unwrap();
    let verdict = router.promote_by_ratings();
    assert_eq!(verdict.to_string(), "undecided: 0 held-out rows, 100 are needed");

    // Another rating of a prompt that was trained on teaches, and holds nothing out.
    router.rate(&Rating::new(op_id, true).of_model(MINI));
    router.rate(&Rating::new(op_id, true).of_model(FULL));
    assert_eq!(router.promote_by_ratings(), verdict);
    assert_eq!(router.learn(), 2);
    // What was asked before and is rated now is new to the model, until that learned it.
    let rate_both = || {
        for model in [MINI, FULL] {
            router.rate(&Rating::new(of_before, true).of_model(model));
        }
        router.promote_by_ratings().to_string()
    };
    assert_eq!(rate_both(), "undecided: 1 held-out rows, 100 are needed");
    assert_eq!(router.learn(), 2);
    assert_eq!(rate_both(), "undecided: 0 held-out rows, 100 are needed");
}

#[test]
fn ratings_of_only_what_the_fallback_router_sent_to_one_model_do_not_promote() {
    let dir = tempfile::tempdir().unwrap();
    let router = LearnedRouter::new(learned(), line(), coin()).unwrap();
    let router = router.with_log(TrainingLog::open(dir.path()).unwrap());
    for n in 0..800 {
        let text = if n % 3 == 0 { HARD } else { EASY };
        let (op_id, chosen) = route_for(&router, &format!("{text}, number {n}"));
        if model(&chosen) == Some(MINI) {
            router.rate(&Rating::new(op_id, n % 3 != 0).of_model(MINI));
            router.rate(&Rating::new(op_id, true).of_model(FULL));
        }
    }
    let verdict = router.promote_by_ratings();
    let Promotion::Skewed { rated, all } = verdict else {
        panic!("{verdict}");
    };
    assert!(rated < 0.01 && all > 0.4 && !router.is_promoted(), "{verdict}");
}

#[test]
fn a_saved_model_decides_alike_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("router.model");
    learned().save(&path).unwrap();
    let loaded = LearnedRouter::new(Model::load(&path).unwrap(), line(), by_looks())
        .unwrap()
        .promoted_before();
    for row in rows(100, 2_000) {
        let body = says(&row.prompt);
        assert_eq!(route(&loaded, &body), route(&promoted(), &body));
    }
    let missing = Model::load(dir.path().join("none")).unwrap_err();
    assert!(missing.to_string().starts_with("could not open "), "{missing}");
}

#[test]
fn it_stands_behind_and_before_other_routers() {
    let pinned = router_fn(|request| match request.attribution().feature() {
        Some(_) => Route::to(FULL).because("pinned"),
        None => Route::keep(),
    });
    let router = pinned.or_else(promoted());
    assert_eq!(model(&route(&router, &says(EASY))), Some(MINI));
    assert_eq!(
        promoted().candidates(),
        HeuristicRouter::new(MINI, FULL).candidates()
    );
}
