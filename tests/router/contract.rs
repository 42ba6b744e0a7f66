//! Every built-in router keeps the contract, as a value and behind a pointer; and the suites notice who does not.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::json;
use thrifty::router::verify::Finished;
use thrifty::router::{
    AUTO, CascadeRouter, Cause, FallbackRouter, FixedRouter, HeuristicRouter, LearnedRouter, Route,
    RouteError, RouteRequest, Router, RouterExt, Rule, Score, ScoreRouter, ShadowRouter, Step, Threshold,
    Tier, TokenCountRouter, TrainingLog, router_fn,
};
use thrifty::{Endpoint, conformance};

use super::learned::{in_shadow, promoted};
use super::{FULL, MINI, Recorder, by_length, by_looks, model, reason, route, says};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_of_one_model_and_of_closures_keep_the_contract() {
    conformance::router(|| FixedRouter::new(MINI)).await;
    conformance::router(|| router_fn(|_| Route::to(MINI).because("always"))).await;
    conformance::router(|| router_fn(|_| Route::keep())).await;
    conformance::router(|| FallbackRouter::new(MINI)).await;
    conformance::router(|| Some(FixedRouter::new(MINI))).await;
    conformance::router(|| None::<FixedRouter>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_by_length_keep_the_contract() {
    conformance::router(by_length).await;
    conformance::router(|| by_length().with_max_input(0).with_max_output(100)).await;
    conformance::two_tier_router(by_length, MINI, FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_by_looks_keep_the_contract() {
    conformance::router(by_looks).await;
    conformance::two_tier_router(by_looks, MINI, FULL).await;
    let with_rules = || by_looks().with_rule(Rule::tools(Tier::Strong)).with_threshold(0);
    conformance::two_tier_router(with_rules, MINI, FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_by_a_score_keep_the_contract() {
    let by_bytes = || ScoreRouter::new(Bytes, Threshold::at(200.0).unwrap(), MINI, FULL);
    conformance::router(by_bytes).await;
    conformance::two_tier_router(by_bytes, MINI, FULL).await;
    let never = || ScoreRouter::new(Arc::new(Bytes), Threshold::at(f32::INFINITY).unwrap(), MINI, FULL);
    conformance::two_tier_router(never, MINI, FULL).await;
}

/// How many bytes there are to judge by; nothing can be said of none.
#[derive(Debug)]
struct Bytes;

impl Score for Bytes {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        let bytes = u16::try_from(request.latest_user_text()?.len()).ok()?;
        Some(if bytes == 0 { f32::NAN } else { f32::from(bytes) })
    }
}

#[test]
fn what_has_no_score_goes_to_the_strong_model_and_the_reason_says_which_score_it_was() {
    let router = ScoreRouter::new(Bytes, Threshold::at(20.0).unwrap(), MINI, FULL);
    for (body, wanted, why) in [
        (says("Hi"), MINI, "score 2.000, strong from 20.000"),
        (
            says("Please say it in French."),
            FULL,
            "score 24.000, strong from 20.000",
        ),
        (says(""), FULL, "no score"),
        (json!({"model": FULL, "messages": []}), FULL, "no score"),
    ] {
        let route = route(&router, &body);
        assert_eq!((model(&route), reason(&route)), (Some(wanted), why));
        let typed = route.why().unwrap();
        assert!(
            matches!(typed.cause, Cause::Scored { score, line: 20.0 } if score.is_none() == (why == "no score"))
        );
        assert_eq!(typed.baseline, Some(FULL.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cascades_and_shadows_keep_the_contract() {
    let cascade = || CascadeRouter::new(MINI, Finished::new(), FULL);
    conformance::router(cascade).await;
    conformance::two_tier_router(cascade, MINI, FULL).await;
    conformance::two_tier_router(|| CascadeRouter::new(FULL, Finished::new(), MINI), FULL, MINI).await;
    conformance::router(|| cascade().then(Finished::new(), "gpt-4.1")).await;
    conformance::router(|| ShadowRouter::new(FULL, 1.0)).await;
    let behind = || {
        ShadowRouter::new("o3", 0.5)
            .judged_by(Finished::new())
            .behind(cascade())
    };
    conformance::two_tier_router(behind, MINI, FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_behind_a_pointer_and_of_two_keep_the_contract() {
    conformance::router(|| Arc::new(by_looks()) as Arc<dyn Router>).await;
    conformance::router(|| Box::new(by_looks()) as Box<dyn Router>).await;
    conformance::router(|| by_length().or_else(by_looks())).await;
    let either = || router_fn(|_| Route::keep()).or_else(by_looks());
    conformance::two_tier_router(either, MINI, FULL).await;
    conformance::two_tier_router(|| FallbackRouter::new("o3").behind(by_looks()), MINI, FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routers_that_learn_keep_the_contract() {
    let untrained = || LearnedRouter::untrained([MINI, FULL], by_looks()).unwrap();
    conformance::router(untrained).await;
    conformance::two_tier_router(untrained, MINI, FULL).await;
    conformance::router(in_shadow).await;
    conformance::two_tier_router(in_shadow, MINI, FULL).await;
    let dir = tempfile::tempdir().unwrap();
    let log = TrainingLog::open(dir.path()).unwrap();
    let exploring = || promoted().with_log(log.clone()).with_exploration(0.5, 3);
    conformance::router(exploring).await;
    conformance::two_tier_router(exploring, MINI, FULL).await;
}

#[tokio::test]
async fn tiers_named_the_wrong_way_round_never_cost_more_than_asked_for() {
    conformance::two_tier_router(|| TokenCountRouter::new(FULL, MINI), FULL, MINI).await;
    conformance::two_tier_router(|| HeuristicRouter::new(FULL, MINI), FULL, MINI).await;
    let route = route(
        &TokenCountRouter::new(FULL, MINI),
        &json!({"model": MINI, "messages": [{"role": "user", "content": "Hi"}]}),
    );
    assert_eq!(model(&route), Some(MINI));
    assert!(reason(&route).ends_with("gpt-4o may cost more than asked for"));
}

/// Moves requests for the cheap model or any to this one, also where vectors would no longer compare.
fn of_tiers(request: &RouteRequest<'_>, choice: &str) -> Route {
    match request.requested_model().as_str() {
        MINI | AUTO => Route::to(choice).because("better"),
        _ => Route::keep(),
    }
}

fn of_chat_tiers(request: &RouteRequest<'_>, choice: &str) -> Route {
    match request.endpoint() {
        Endpoint::ChatCompletions | Endpoint::Responses => of_tiers(request, choice),
        _ => Route::keep(),
    }
}

/// Asks the cheap model twice.
fn again(request: &RouteRequest<'_>) -> Route {
    of_tiers(request, MINI).with_step(Step::new(Finished::new(), MINI))
}

/// Asks the strong model after the cheap one that was asked for.
fn of_a_dear_step(request: &RouteRequest<'_>) -> Route {
    let route = of_chat_tiers(request, MINI);
    match route.model() {
        Some(_) => route.with_step(Step::new(Finished::new(), FULL)),
        None => route,
    }
}

#[tokio::test]
async fn the_suites_notice_a_router_that_breaks_a_rule() {
    async fn broken<R: Router>(make: impl Fn() -> R) -> String {
        let suite = std::panic::AssertUnwindSafe(async {
            conformance::router(&make).await;
            conformance::two_tier_router(&make, MINI, FULL).await;
        });
        let panic = suite.catch_unwind().await.unwrap_err();
        panic.downcast::<String>().map_or_else(
            |panic| panic.downcast::<&str>().unwrap().to_string(),
            |said| *said,
        )
    }
    let said = [
        broken(|| router_fn(|request| Route::to(request.view().model.unwrap().get()))).await,
        broken(Recorder::failing).await,
        broken(|| router_fn(|_| Route::to(MINI))).await,
        broken(|| router_fn(|_| Route::to("").because("empty"))).await,
        broken(|| router_fn(|_| Route::keep().with_fallback(""))).await,
        broken(|| router_fn(|_| Route::keep().with_step(Step::new(Finished::new(), "")))).await,
        broken(|| router_fn(again)).await,
        broken(|| FixedRouter::new(AUTO)).await,
        broken(|| FixedRouter::new(FULL)).await,
        broken(|| router_fn(|_| Route::keep())).await,
        broken(|| router_fn(|request| of_tiers(request, FULL))).await,
        broken(|| router_fn(|request| of_chat_tiers(request, FULL))).await,
        broken(|| router_fn(of_a_dear_step)).await,
        broken(|| router_fn(|request| of_chat_tiers(request, "o3"))).await,
    ];
    let rules = [
        "rule 1: `route` panics",
        "rule 1: the router could not choose a model",
        "rule 6: Route",
        "rule 6: a model without a name",
        "rule 6: a model without a name",
        "rule 6: a model without a name",
        "rule 6: a step asks `gpt-4o-mini` once more",
        "rule 4: `auto` stands for `auto`",
        "two tiers: a request for another model is routed",
        "two tiers: no model for `auto`",
        "two tiers: a request to Embeddings is routed",
        "two tiers: `gpt-4o` is dearer than `gpt-4o-mini`",
        "two tiers: the step to `gpt-4o` is dearer than `gpt-4o-mini`",
        "two tiers: `o3` is none of them",
    ];
    assert_eq!(said.len(), rules.len());
    for (said, rule) in said.iter().zip(rules) {
        assert!(said.contains(rule), "{said} is not {rule}");
    }
}

#[tokio::test]
async fn the_suites_notice_a_router_that_takes_its_time() {
    #[derive(Debug)]
    struct Sleeper;

    #[async_trait]
    impl Router for Sleeper {
        async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
            std::future::pending().await
        }
    }

    tokio::time::pause();
    let suite = tokio::spawn(conformance::router(|| Sleeper));
    let panic = suite.await.unwrap_err().into_panic();
    let said = panic.downcast::<String>().unwrap();
    assert!(said.starts_with("rule 2: no answer within 5s"), "{said}");
}
