//! The contract of a router, as a test.

use std::cmp::Ordering;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::OpId;
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, UnpricedReason};
use crate::router::{AUTO, Facts, Route, RouteOutcome, RouteRequest, Router, Shadow, Step};
use crate::usage::Usage;

/// How long a router may take for one answer here, or for learning of a thousand calls.
const LIMIT: Duration = Duration::from_secs(5);

/// Checks a router against the rules of [`Router`]'s contract.
///
/// `make` returns a router that has learned nothing yet. It is asked about bodies that make no sense; those with a
/// system of their own to ask should be made with a short timeout. Rule 4 is the client's, and checked as far as it is
/// about [`reference_model`](Router::reference_model). Call it on a runtime of several threads, or rule 3 is checked
/// without any two tasks running at the same instant.
///
/// # Panics
/// If a rule is broken, with its number; or outside a tokio runtime that has its timer enabled.
///
/// # Examples
/// ```
/// use thrifty::{conformance, router::TokenCountRouter};
///
/// # #[tokio::main]
/// # async fn main() {
/// conformance::router(|| TokenCountRouter::new("gpt-4o-mini", "gpt-4o")).await;
/// # }
/// ```
pub async fn router<R: Router>(make: impl Fn() -> R) {
    answers_any_request(&make()).await;
    is_asked_from_many_tasks(Arc::new(make())).await;
    names_a_model_for_auto(&make());
    learns_of_calls_at_once(make());
}

/// Checks a router with a cheap and a strong model against what the module [`router`](crate::router) says of those.
///
/// It touches only chat and responses requests that name one of its models exactly or [`AUTO`], and answers
/// with one of the two, never with one dearer than the model asked for; neither is a step dearer. `make` returns a router for the models `cheap`
/// and `strong`, which the [built-in prices](crate::pricing::PriceBook) should know.
///
/// # Panics
/// If one of these rules is broken; or outside a tokio runtime that has its timer enabled.
///
/// # Examples
/// ```
/// use thrifty::{conformance, router::HeuristicRouter};
///
/// # #[tokio::main]
/// # async fn main() {
/// let make = || HeuristicRouter::new("gpt-4o-mini", "gpt-4o");
/// conformance::two_tier_router(make, "gpt-4o-mini", "gpt-4o").await;
/// # }
/// ```
pub async fn two_tier_router<R: Router>(make: impl Fn() -> R, cheap: &str, strong: &str) {
    let router = make();
    leaves_other_requests_alone(&router, cheap, strong).await;
    answers_with_one_of_its_models(&router, cheap, strong).await;
    assert!(
        router.reference_model().is_some(),
        "two tiers: `{AUTO}` stands for no model"
    );
}

async fn answers_any_request(router: &impl Router) {
    let (facts, attribution) = (facts(), attribution());
    for body in hostile() {
        for endpoint in endpoints() {
            let Ok(request) = RouteRequest::read(&endpoint, body.as_bytes(), &facts) else {
                continue;
            };
            let _ = ask(router, &request).await;
            let request = request
                .with_attribution(&attribution)
                .with_deadline_within(Some(Duration::MAX))
                .made_at(Timestamp::from_unix_millis(i64::MAX));
            let _ = ask(router, &request).await;
        }
    }
}

async fn is_asked_from_many_tasks(router: Arc<impl Router>) {
    let (router, facts): (Arc<dyn Router>, _) = (router, Arc::new(facts()));
    let bodies: Arc<[String]> = ["gpt-4o", AUTO].into_iter().flat_map(ordinary).collect();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (router, facts, bodies) = (Arc::clone(&router), Arc::clone(&facts), Arc::clone(&bodies));
        tasks.spawn(async move {
            for body in bodies.iter() {
                for endpoint in endpoints() {
                    let request = read(&endpoint, body, &facts);
                    let _ = ask(&router, &request).await;
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        assert!(task.is_ok(), "rule 3: asked from many tasks: {task:?}");
    }
}

fn names_a_model_for_auto(router: &impl Router) {
    if let Some(model) = router.reference_model() {
        assert!(
            !model.as_str().is_empty() && *model != AUTO,
            "rule 4: `{AUTO}` stands for `{model}`"
        );
    }
}

/// Tells the router of calls it was never asked about, where there is no runtime, as a dropped stream may.
fn learns_of_calls_at_once(router: impl Router) {
    let begin = Instant::now();
    let told = thread::spawn(move || {
        let attribution = attribution();
        let (model, usage) = (ModelId::from("gpt-4o-mini"), Usage::new(u64::MAX, 0));
        let costs = [
            Cost::Priced(Usd::from_pico(i64::MAX)),
            Cost::Partial {
                known: Usd::from_pico(0),
                at_most: None,
                why: PartialReason::CutShort,
            },
            Cost::Unpriced(UnpricedReason::UnknownModel),
        ];
        for index in 0..84 {
            for (cost, endpoint) in costs.iter().flat_map(|cost| endpoints().map(|one| (cost, one))) {
                let op_id = OpId::new(Timestamp::from_unix_millis(index));
                let mut outcome = RouteOutcome::new(op_id, &endpoint, &attribution, cost);
                outcome.succeeded = index % 2 == 0;
                outcome.requested_model = (index % 3 == 0).then_some(&model);
                outcome.sent_model = (index % 5 != 0).then_some(&model);
                outcome.usage = (index % 4 == 0).then_some(&usage);
                outcome.latency = (index % 7 != 0).then_some(Duration::MAX);
                router.observe(&outcome);
            }
        }
    });
    assert!(
        told.join().is_ok(),
        "rule 5: `observe` panics on a thread without a runtime"
    );
    let took = begin.elapsed();
    assert!(
        took < LIMIT,
        "rule 5: `observe` took {took:?} for a thousand calls"
    );
}

async fn leaves_other_requests_alone(router: &impl Router, cheap: &str, strong: &str) {
    let facts = facts();
    let others = [
        format!("{strong}-2024-08-06"),
        format!("{cheap}-2024-08-06"),
        format!("openai/{strong}"),
        format!("ft:{strong}:org::id"),
        strong.to_uppercase(),
        format!(" {cheap}"),
        String::new(),
        "another".to_owned(),
    ];
    for body in others.iter().flat_map(|other| ordinary(other)) {
        for endpoint in endpoints() {
            let request = read(&endpoint, &body, &facts);
            keeps(router, &request, "a request for another model").await;
        }
    }
    for body in [cheap, strong, AUTO].into_iter().flat_map(ordinary) {
        for endpoint in [Endpoint::Embeddings, Endpoint::of("POST", "/v1/images")] {
            let request = read(&endpoint, &body, &facts);
            keeps(router, &request, &format!("a request to {endpoint:?}")).await;
        }
    }
}

async fn keeps(router: &impl Router, request: &RouteRequest<'_>, what: &str) {
    let route = ask(router, request).await;
    assert!(
        route
            .model()
            .is_none_or(|model| model == request.requested_model()),
        "two tiers: {what} is routed: {}",
        shown(request)
    );
}

async fn answers_with_one_of_its_models(router: &impl Router, cheap: &str, strong: &str) {
    let facts = facts();
    for body in [cheap, strong, AUTO].into_iter().flat_map(ordinary) {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Responses] {
            let request = read(&endpoint, &body, &facts);
            let route = ask(router, &request).await;
            let asked = request.requested_model();
            for step in route.steps().iter().map(Step::model) {
                assert!(
                    request.is_auto() || request.compare_prices(step, asked) != Some(Ordering::Greater),
                    "two tiers: the step to `{step}` is dearer than `{asked}`, which was asked for: {}",
                    shown(&request)
                );
            }
            let chosen = match route.model() {
                Some(chosen) => chosen,
                None if request.is_auto() => {
                    fail(&format!("two tiers: no model for `{AUTO}`: {}", shown(&request)))
                }
                None => asked,
            };
            assert!(
                *chosen == *cheap || *chosen == *strong,
                "two tiers: `{chosen}` is none of them"
            );
            assert!(
                request.is_auto() || request.compare_prices(chosen, asked) != Some(Ordering::Greater),
                "two tiers: `{chosen}` is dearer than `{asked}`, which was asked for: {}",
                shown(&request)
            );
        }
    }
}

/// Asks once, and holds the answer against the rules that hold for every answer.
async fn ask(router: &impl Router, request: &RouteRequest<'_>) -> Route {
    let begin = Instant::now();
    let asked = AssertUnwindSafe(async { router.route(request).await }).catch_unwind();
    let route = match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(Ok(route))) => route,
        Ok(Ok(Err(error))) => fail(&format!("rule 1: {error} ({error:?}): {}", shown(request))),
        Ok(Err(_)) => fail(&format!("rule 1: `route` panics: {}", shown(request))),
        Err(_) => fail(&format!("rule 2: no answer within {LIMIT:?}: {}", shown(request))),
    };
    let took = begin.elapsed();
    assert!(
        took < LIMIT,
        "rule 2: `route` blocked its thread for {took:?}: {}",
        shown(request)
    );
    let steps = || route.steps().iter().map(Step::model);
    let beside = route.shadow().map(Shadow::model);
    let models = route.model().into_iter().chain(route.fallbacks()).chain(steps());
    for model in models.chain(beside) {
        assert!(!model.as_str().is_empty(), "rule 6: a model without a name");
    }
    let mut before = route.model().unwrap_or_else(|| request.requested_model());
    for model in steps() {
        assert!(model != before, "rule 6: a step asks `{model}` once more");
        before = model;
    }
    if route
        .model()
        .is_some_and(|model| model != request.requested_model())
    {
        assert!(
            route.reason().is_some_and(|reason| !reason.trim().is_empty()),
            "rule 6: {route:?} has no reason"
        );
    }
    route
}

#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
fn fail(what: &str) -> ! {
    panic!("{what}")
}

/// Reads a body of this suite's own making.
fn read<'a>(endpoint: &'a Endpoint, body: &'a str, facts: &'a Facts) -> RouteRequest<'a> {
    RouteRequest::read(endpoint, body.as_bytes(), facts)
        .unwrap_or_else(|error| fail(&format!("{error}: {body}")))
}

/// The beginning of a request that may be long.
fn shown(request: &RouteRequest<'_>) -> String {
    format!("{:.400}", format!("{request:?}"))
}

/// What a router may look up. A client loads the vocabularies on a thread of its own, which is not the router's time.
fn facts() -> Facts {
    let facts = Facts::default();
    facts.tokens.warm_up();
    facts
}

fn endpoints() -> [Endpoint; 4] {
    [
        Endpoint::ChatCompletions,
        Endpoint::Responses,
        Endpoint::Embeddings,
        Endpoint::of("POST", "/v1/images"),
    ]
}

fn attribution() -> Attribution {
    Attribution::default()
        .with_feature("\u{202e}")
        .with_user("\"user\"\n")
        .with_tag("", "")
}

/// Requests that a client may send, for a model: short and long, plain and hard, with and without limits and tools.
fn ordinary(model: &str) -> Vec<String> {
    let texts = [
        "Hi".to_owned(),
        "Prove by induction, step by step, that 2^n > n:\n- base\n- step\n```\nf(n) = 2^n;\n```".to_owned(),
        "A sentence that is one of many. ".repeat(300),
    ];
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let mut bodies = vec![
        json!({"model": model}),
        json!({"model": model, "messages": [{"role": "user", "content": image}]}),
        json!({"model": model, "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}),
    ];
    for text in texts {
        let messages = json!([{"role": "system", "content": text}, {"role": "user", "content": text}]);
        bodies.push(json!({"model": model, "messages": messages}));
        bodies.push(json!({"model": model, "messages": messages, "max_completion_tokens": 16}));
        bodies.push(json!({"model": model, "messages": messages, "tools": tools, "temperature": 0}));
        bodies.push(json!({"model": model, "input": text, "max_output_tokens": 100_000}));
        bodies.push(json!({"model": model, "input": text, "reasoning": {"effort": "high"}}));
    }
    bodies.iter().map(ToString::to_string).collect()
}

/// Objects that are requests in name only.
fn hostile() -> Vec<String> {
    let mut bodies: Vec<String> = [
        "{}",
        r#"{"model":null,"messages":null,"input":null,"tools":null,"max_tokens":null}"#,
        r#"{"model":17,"messages":17,"input":17,"tools":17,"max_tokens":"17","stream":17}"#,
        r#"{"model":"","messages":[],"input":[],"tools":[],"max_tokens":0}"#,
        r#"{"model":["gpt-4o"],"messages":{"role":"user"},"input":{"role":"user"},"tools":{}}"#,
        r#"{"model":"gpt-4o","messages":[null,17,"user",[],{}],"input":[null,17,"user",[],{}]}"#,
        r#"{"model":"gpt-4o","messages":[{"role":"user"}],"input":[{"role":"user"}]}"#,
        r#"{"model":"gpt-4o","messages":[{"role":17,"content":17}],"input":[{"role":"user","content":[17]}]}"#,
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"\ud800"}],"input":"\udfff\ud800"}"#,
        r#"{"model":"\ud800","messages":[{"role":"user","content":"\u0000"}],"input":"\u0000"}"#,
        r#"{"model":"auto","max_tokens":-1,"max_completion_tokens":1e999,"max_output_tokens":99999999999999999999}"#,
        r#"{"model":"auto","temperature":{},"top_p":[],"n":-3,"stop":17,"response_format":"json","text":[]}"#,
        r#"{"model":"auto","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#,
    ]
    .map(str::to_owned)
    .into();
    let long = [
        "a".repeat(1 << 18),
        r"\u00e9\n".repeat(1 << 13),
        "\u{1F980}".repeat(1 << 13),
        "`-?\u{2211}".repeat(1 << 13),
    ];
    for text in &long {
        bodies.push(format!(
            r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{text}"}}],"input":"{text}"}}"#
        ));
    }
    let turn = r#"{"role":"user","content":"hi"}"#;
    let turns = vec![turn; 2_000].join(",");
    bodies.push(format!(
        r#"{{"model":"auto","messages":[{turns}],"input":[{turns}]}}"#
    ));
    let (open, close) = ("[".repeat(1_000), "]".repeat(1_000));
    bodies.push(format!(
        r#"{{"model":"auto","messages":{open}{close},"input":{open}{close}}}"#
    ));
    bodies.push(format!(r#"{{"model":"{}"}}"#, "gpt-4o".repeat(10_000)));
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_hostile_body_reaches_the_router() {
        let facts = Facts::default();
        let bodies = hostile();
        let read = bodies
            .iter()
            .filter(|body| RouteRequest::read(&Endpoint::Responses, body.as_bytes(), &facts).is_ok())
            .count();
        assert!(read + 1 >= bodies.len(), "{read} of {}", bodies.len());
    }
}
