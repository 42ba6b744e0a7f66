//! What each built-in router does with a request; that they keep the contract is in `contract`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod cascaded;
mod contract;
mod evaluate;
mod learned;
mod lines;
mod threshold;
mod verifiers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use thrifty::pricing::{Cost, UnpricedReason};
use thrifty::router::{
    AUTO, Facts, FallbackRouter, FixedRouter, HeuristicRouter, Quality, Rating, Route, RouteError,
    RouteOutcome, RouteRequest, Router, RouterExt, Rule, Tier, TokenCountRouter,
};
use thrifty::{Attribution, Clock, Endpoint, ModelId, OpId, SystemClock};

const MINI: &str = "gpt-4o-mini";
const FULL: &str = "gpt-4o";

fn by_length() -> TokenCountRouter {
    TokenCountRouter::new(MINI, FULL)
}

fn by_looks() -> HeuristicRouter {
    HeuristicRouter::new(MINI, FULL)
}

/// Routes a request to chat completions, without a runtime: no built-in router waits.
fn route(router: &impl Router, body: &Value) -> Route {
    route_for(router, body, &Attribution::default())
}

fn route_for(router: &impl Router, body: &Value, attribution: &Attribution) -> Route {
    let (facts, body) = (Facts::default(), body.to_string());
    let request = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
    let request = request.with_attribution(attribution);
    router.route(&request).now_or_never().unwrap().unwrap()
}

fn model(route: &Route) -> Option<&str> {
    route.model().map(ModelId::as_str)
}

fn reason(route: &Route) -> &str {
    route.reason().map_or("", |reason| reason)
}

fn says(text: &str) -> Value {
    json!({"model": FULL, "messages": [{"role": "user", "content": text}]})
}

/// Counts what it is asked and told.
#[derive(Debug, Default)]
struct Recorder {
    fails: Option<&'static str>,
    choice: Option<ModelId>,
    asked: AtomicU32,
    told: AtomicU32,
    rated: AtomicU32,
}

impl Recorder {
    fn choosing(model: &str) -> Self {
        Self {
            choice: Some(model.into()),
            ..Self::default()
        }
    }

    fn failing() -> Self {
        Self {
            fails: Some("out of order"),
            ..Self::default()
        }
    }

    fn counts(&self) -> (u32, u32) {
        (
            self.asked.load(Ordering::SeqCst),
            self.told.load(Ordering::SeqCst),
        )
    }

    fn rated(&self) -> u32 {
        self.rated.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Router for Recorder {
    async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match (self.fails, &self.choice) {
            (Some(why), _) => Err(RouteError::new(why)),
            (None, Some(model)) => Ok(Route::to(model).because("recorded")),
            (None, None) => Ok(Route::keep()),
        }
    }

    fn observe(&self, _: &RouteOutcome<'_>) {
        self.told.fetch_add(1, Ordering::SeqCst);
    }

    fn rate(&self, _: &Rating) {
        self.rated.fetch_add(1, Ordering::SeqCst);
    }

    fn reference_model(&self) -> Option<&ModelId> {
        self.choice.as_ref()
    }
}

fn tell(router: &impl Router) {
    let (attribution, cost) = (
        Attribution::default(),
        Cost::Unpriced(UnpricedReason::UnknownModel),
    );
    let (endpoint, op_id) = (Endpoint::ChatCompletions, OpId::new(SystemClock.now()));
    router.observe(&RouteOutcome::new(op_id, &endpoint, &attribution, &cost));
    router.rate(&Rating::new(op_id, Quality::GOOD));
}

#[test]
fn a_second_router_is_asked_when_the_first_keeps_or_fails_and_only_then() {
    for (first, asked_second) in [
        (Recorder::choosing("one"), 0),
        (Recorder::default(), 1),
        (Recorder::failing(), 1),
    ] {
        let (first, second) = (Arc::new(first), Arc::new(Recorder::choosing("two")));
        let either = Arc::clone(&first).or_else(Arc::clone(&second));
        let route = route(&either, &says("Hi"));
        let wanted = if asked_second == 1 { "two" } else { "one" };
        assert_eq!(model(&route), Some(wanted));
        assert_eq!((first.counts().0, second.counts().0), (1, asked_second));
        assert_eq!(either.reference_model().map(ModelId::as_str), Some(wanted));
    }
}

#[test]
fn what_became_of_a_call_reaches_every_router_through_every_pointer() {
    let (first, second) = (Arc::new(Recorder::default()), Arc::new(Recorder::choosing("two")));
    let either = Arc::clone(&first).or_else(Arc::clone(&second));
    tell(&either);
    let boxed: Box<dyn Router> = Box::new(either);
    tell(&boxed);
    let shared: Arc<dyn Router> = Arc::from(boxed);
    tell(&shared);
    tell(&FallbackRouter::new("three").behind(Arc::clone(&shared)));
    assert_eq!((first.counts(), second.counts()), ((0, 4), (0, 4)));
    assert_eq!((first.rated(), second.rated()), (4, 4));
    assert_eq!(shared.reference_model().map(ModelId::as_str), Some("two"));
}

#[test]
fn fallbacks_come_after_the_model_that_is_asked_first_and_no_model_comes_twice() {
    let names = |route: &Route| {
        let names = route.fallbacks().iter().map(ToString::to_string);
        names.collect::<Vec<_>>()
    };
    let alone = FallbackRouter::new(MINI).then(FULL).then("o3");
    let kept = route(&alone, &says("Hi"));
    assert_eq!(
        (model(&kept), names(&kept)),
        (None, vec![MINI.to_owned(), "o3".to_owned()])
    );

    let behind = alone.behind(Recorder::choosing(MINI));
    let routed = route(&behind, &says("Hi"));
    assert_eq!(model(&routed), Some(MINI));
    assert_eq!(names(&routed), [FULL, "o3"]);
    assert_eq!(reason(&routed), "recorded");

    let (facts, body) = (
        Facts::default(),
        r#"{"model":"text-embedding-3-small","input":"a"}"#,
    );
    let request = RouteRequest::read(&Endpoint::Embeddings, body.as_bytes(), &facts).unwrap();
    let alone = FallbackRouter::new("text-embedding-3-large");
    assert_eq!(
        alone.route(&request).now_or_never().unwrap().unwrap(),
        Route::keep()
    );
}

#[test]
fn a_quality_lies_between_nothing_and_one() {
    for none in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        assert_eq!(Quality::new(none), None);
    }
    assert_eq!(Quality::new(0.5).map(Quality::get), Some(0.5));
    assert_eq!(
        (Quality::from(true), Quality::from(false)),
        (Quality::GOOD, Quality::BAD)
    );
}

#[test]
fn a_fixed_router_asks_its_model_for_all_but_embeddings() {
    let (router, facts) = (FixedRouter::new("o3"), Facts::default());
    let body = says("Hi").to_string();
    for (endpoint, wanted) in [
        (Endpoint::ChatCompletions, Some("o3")),
        (Endpoint::Responses, Some("o3")),
        (Endpoint::Embeddings, None),
        (Endpoint::of("POST", "/v1/images"), None),
    ] {
        let request = RouteRequest::read(&endpoint, body.as_bytes(), &facts).unwrap();
        let route = router.route(&request).now_or_never().unwrap().unwrap();
        assert_eq!(model(&route), wanted, "{endpoint:?}");
    }
}

#[test]
fn the_cheap_model_gets_as_many_input_tokens_as_allowed_and_no_more() {
    let body = says("one two three four five six seven eight");
    let (facts, bytes) = (Facts::default(), body.to_string());
    let request = RouteRequest::read(&Endpoint::ChatCompletions, bytes.as_bytes(), &facts).unwrap();
    let tokens = (1..100)
        .find(|limit| request.exceeds(*limit) == Some(false))
        .unwrap();
    assert!((8..30).contains(&tokens), "{tokens}");

    let at_most = route(&by_length().with_max_input(tokens), &body);
    assert_eq!(model(&at_most), Some(MINI));
    assert_eq!(reason(&at_most), format!("input of at most {tokens} tokens"));
    let over = route(&by_length().with_max_input(tokens - 1), &body);
    assert_eq!(model(&over), Some(FULL));
    assert_eq!(reason(&over), format!("input over {} tokens", tokens - 1));

    let by_default = |words: usize| route(&by_length(), &says(&"word ".repeat(words)));
    assert_eq!(model(&by_default(1_900)), Some(MINI));
    assert_eq!(model(&by_default(2_100)), Some(FULL));
}

#[test]
fn the_cheap_model_is_asked_only_if_the_output_is_limited_enough() {
    let router = by_length().with_max_output(500);
    for (limit, wanted) in [
        (json!({"max_completion_tokens": 500}), MINI),
        (json!({"max_completion_tokens": 501}), FULL),
        (json!({"max_tokens": 100}), MINI),
        (json!({}), FULL),
    ] {
        let mut body = says("Hi");
        body.as_object_mut()
            .unwrap()
            .extend(limit.as_object().unwrap().clone());
        let route = route(&router, &body);
        assert_eq!(model(&route), Some(wanted), "{limit}");
        if wanted == FULL {
            assert_eq!(reason(&route), "output not limited to 500 tokens");
        }
    }
}

#[test]
fn the_first_rule_that_applies_goes_before_the_looks_of_the_message() {
    let router = by_looks()
        .with_rule(Rule::feature("contracts", Tier::Strong))
        .with_rule(Rule::tag("plan", "free", Tier::Cheap))
        .with_rule(Rule::phrase("Translate", Tier::Cheap))
        .with_rule(Rule::tools(Tier::Strong));
    let hard = "Prove and derive, step by step:\n- why\n- how\n- when? Then translate it.";
    let contracts = Attribution::default()
        .with_feature("contracts")
        .with_tag("plan", "free");
    let free = Attribution::default().with_tag("plan", "free");
    let with_tools = |text: &str| {
        let mut body = says(text);
        body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
        body
    };
    for (body, attribution, wanted, why) in [
        (says("Hi"), &contracts, FULL, "rule for feature contracts"),
        (with_tools(hard), &free, MINI, "rule for tag plan=free"),
        (
            with_tools(hard),
            &Attribution::default(),
            MINI,
            "rule for a phrase",
        ),
        (with_tools("Hi"), &Attribution::default(), FULL, "rule for tools"),
        (
            says("Hi"),
            &Attribution::default(),
            MINI,
            "0 points, strong from 3",
        ),
    ] {
        let route = route_for(&router, &body, attribution);
        assert_eq!((model(&route), reason(&route)), (Some(wanted), why));
    }
}

#[test]
fn only_the_latest_user_message_counts() {
    let hard = "Prove, derive and compare, step by step:\n- one\n- two\n- three\n```\nx = 1;\n```";
    let turns = |first: &str, last: &str| {
        json!({"model": FULL, "messages": [
            {"role": "system", "content": hard},
            {"role": "user", "content": first},
            {"role": "assistant", "content": hard},
            {"role": "user", "content": last},
            {"role": "tool", "content": hard, "tool_call_id": "call_1"},
        ]})
    };
    assert_eq!(model(&route(&by_looks(), &turns(hard, "Thanks!"))), Some(MINI));
    assert_eq!(model(&route(&by_looks(), &turns("Thanks!", hard))), Some(FULL));
    let nobody_asks = json!({"model": FULL, "messages": [{"role": "system", "content": "Hi"}]});
    let route = route(&by_looks(), &nobody_asks);
    assert_eq!(
        (model(&route), reason(&route)),
        (Some(FULL), "no user text to judge")
    );
}

#[test]
fn a_request_that_a_model_cannot_serve_goes_to_the_other_tier() {
    let image = json!({"model": FULL, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    ]}]});
    let blind = HeuristicRouter::new("gpt-3.5-turbo", FULL);
    let routed = route(&blind, &image);
    assert_eq!(model(&routed), Some(FULL));
    assert_eq!(
        reason(&routed),
        "0 points, strong from 3; gpt-3.5-turbo: no vision"
    );
    assert_eq!(
        model(&route(&blind, &says("What is this?"))),
        Some("gpt-3.5-turbo")
    );

    let thinking = HeuristicRouter::new(MINI, "o3").with_rule(Rule::tools(Tier::Strong));
    let mut tools = json!({"model": AUTO, "tools": [], "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(
        model(&route(&thinking, &tools)),
        Some(MINI),
        "an empty list is no tools"
    );
    tools["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(model(&route(&thinking, &tools)), Some("o3"));
    tools["temperature"] = json!(0.2);
    let routed = route(&thinking, &tools);
    assert_eq!(model(&routed), Some(MINI));
    assert_eq!(reason(&routed), "rule for tools; o3: rejects `temperature`");
}

/// Any JSON, with the names that requests use likelier than others.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec![
            FULL,
            MINI,
            AUTO,
            "user",
            "text",
            "image_url",
            "data:image/png;base64,AA=="
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let names = vec![
            "model",
            "messages",
            "input",
            "role",
            "content",
            "type",
            "text",
            "image_url",
            "url",
            "detail",
            "tools",
            "function",
            "parameters",
            "max_tokens",
            "temperature",
            "response_format",
            "reasoning",
            "n",
        ];
        let name = prop::sample::select(names).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let model = prop::sample::select(vec![FULL, MINI, AUTO, "gpt-3.5-turbo", ""]);
    (model, any_json(), any_json(), any_json()).prop_map(|(model, messages, input, tools)| {
        let turns = json!([{"role": "user", "content": messages}, messages]);
        json!({"model": model, "messages": turns, "input": input, "tools": tools, "text": tools, "n": input})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_body_makes_a_built_in_router_fail(body in prop_oneof![any_body(), any_json()]) {
        let (facts, body) = (Facts::default(), body.to_string());
        let routers: [Box<dyn Router>; 5] = [
            Box::new(FallbackRouter::new(MINI).behind(by_looks())),
            Box::new(FixedRouter::new(MINI)),
            Box::new(by_length().with_max_input(20)),
            Box::new(by_looks().with_rule(Rule::tools(Tier::Strong)).with_rule(Rule::phrase("a", Tier::Cheap))),
            Box::new(HeuristicRouter::new("gpt-3.5-turbo", "o3").or_else(by_length())),
        ];
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Responses, Endpoint::Embeddings] {
            let Ok(request) = RouteRequest::read(&endpoint, body.as_bytes(), &facts) else {
                continue;
            };
            for router in &routers {
                let route = router.route(&request).now_or_never();
                prop_assert!(matches!(route, Some(Ok(_))), "{router:?}: {route:?}");
            }
        }
    }
}
