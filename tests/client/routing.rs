//! Routed calls: what is sent, what happens when a model fails, and what is left alone.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use async_openai::Client;
use async_openai::config::AzureConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest, FunctionObject,
};
use thrifty::capability::CapabilityBook;
use thrifty::ledger::{Degradation, Role, Status};
use thrifty::pricing::{Cost, PartialReason};
use thrifty::router::{FixedRouter, Route, TokenCountRouter, router_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::{LlmClient, RetryPolicy, Transport, Usd};

use super::{chat, client_of, only_row, rows};

fn once() -> RetryPolicy {
    RetryPolicy::default().with_max_attempts(NonZeroU32::MIN)
}

fn limited() -> CreateChatCompletionRequest {
    let mut request = chat("gpt-4o", "hi");
    #[expect(deprecated, reason = "reasoning models refuse it")]
    {
        request.max_tokens = Some(20);
    }
    request
}

#[tokio::test(start_paused = true)]
async fn only_the_top_level_model_is_rewritten() {
    let (bare, simulator) = (Simulator::new(), Simulator::new());
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    let mut request = chat("gpt-4o", r#"Say {"model":"gpt-4o", "x": [1, 2]} twice."#);
    request.tools = Some(vec![ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: "choose".into(),
            parameters: Some(
                serde_json::json!({"type": "object", "properties": {"model": {"model": "gpt-4o"}}}),
            ),
            ..FunctionObject::default()
        },
    })]);
    bare.client().chat().create(request.clone()).await.unwrap();
    llm.chat().create(request).await.unwrap();
    let (asked, sent) = (
        bare.requests().remove(0).body,
        simulator.requests().remove(0).body,
    );
    let asked = std::str::from_utf8(&asked).unwrap();
    let (old, new) = (r#""model":"gpt-4o","#, r#""model":"gpt-4o-mini","#);
    assert_eq!(asked.matches(old).count(), 1);
    assert_eq!(asked.replace(old, new).as_bytes(), sent);
    let row = only_row(&llm).await;
    let names = [&row.requested_model, &row.sent_model, &row.served_model];
    assert_eq!(
        names.map(|name| name.as_ref().unwrap().as_str()),
        ["gpt-4o", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"]
    );
    let usage = simulator.book().charges()[0].usage;
    let pico = |input: u64, output: u64| {
        Usd::from_pico(i64::try_from(usage.input_tokens * input + usage.output_tokens * output).unwrap())
    };
    let (cost, baseline) = (pico(150_000, 600_000), pico(2_500_000, 10_000_000));
    assert_eq!(
        (row.cost, row.baseline.unwrap().cost),
        (Cost::Priced(cost), baseline)
    );
    assert_eq!(Some(row.baseline.unwrap().routing), baseline.checked_sub(cost));
    assert_eq!(row.reason.as_deref(), Some("fixed"));
}

#[tokio::test(start_paused = true)]
async fn a_routed_model_that_is_not_there_is_replaced_by_the_one_asked_for() {
    let simulator = Simulator::builder().with_models(["gpt-4o"]).build();
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(
        (row.attempts, row.status, simulator.request_count()),
        (2, Status::Succeeded, 2)
    );
    assert_eq!(row.sent_model, row.requested_model);
    assert_eq!(row.degradations, [Degradation::RouteRefused]);
    assert_eq!(row.savings().unwrap().as_pico(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_the_routed_model_refuses_brings_back_the_one_asked_for() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-5-mini"))
        .with_capabilities(CapabilityBook::empty())
        .build()
        .unwrap();
    llm.chat().create(limited()).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(
        (row.attempts, row.sent_model.as_ref().unwrap().as_str()),
        (2, "gpt-4o")
    );
    assert_eq!(row.degradations, [Degradation::RouteRefused]);
    assert!(row.cost.exact().is_some());
}

#[tokio::test(start_paused = true)]
async fn whatever_a_routed_model_refuses_is_asked_of_the_one_asked_for() {
    for status in [400, 403, 404, 422] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator)
            .with_router(FixedRouter::new("gpt-4o-mini"))
            .build()
            .unwrap();
        simulator.inject(Fault::status(status));
        let answer = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        assert_eq!(answer.model, "gpt-4o-2024-08-06");
        assert_eq!(only_row(&llm).await.degradations, [Degradation::RouteRefused]);
        // What is refused as it was asked is the caller's.
        simulator.inject(Fault::status(status).times(2));
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
        assert_eq!(simulator.request_count(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_not_the_routes_fault_is_the_callers() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("gpt-4o-mini"))
        .build()
        .unwrap();
    simulator.inject(Fault::status(401));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    simulator.inject(Fault::status(404));
    llm.pinned()
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap_err();
    assert_eq!(simulator.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_is_refused_is_followed_by_the_next_one() {
    for (route, busy, asked) in [
        (
            Route::keep().with_fallback("gpt-nope").with_fallback("gpt-4.1"),
            1,
            vec!["gpt-4o", "gpt-nope", "gpt-4.1"],
        ),
        (
            Route::to("gpt-4o-mini")
                .with_fallback("gpt-4o")
                .with_fallback("gpt-nope")
                .with_fallback("gpt-4.1"),
            2,
            vec!["gpt-4o-mini", "gpt-4o", "gpt-nope", "gpt-4.1"],
        ),
    ] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator)
            .with_router(router_fn(move |_| route.clone()))
            .with_retry(once())
            .build()
            .unwrap();
        simulator.inject(Fault::status(503).times(busy));
        let answer = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        assert_eq!(answer.model, "gpt-4.1-2025-04-14");
        let seen: Vec<_> = simulator
            .requests()
            .iter()
            .map(|seen| seen.model().unwrap())
            .collect();
        assert_eq!(seen, asked);
        assert_eq!(rows(&llm).await.len(), asked.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_last_fallback_leaves_the_caller_the_failure_that_may_pass() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(router_fn(|_| Route::keep().with_fallback("gpt-nope")))
        .with_retry(once())
        .build()
        .unwrap();
    simulator.inject(Fault::status(503));
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert!(error.to_string().contains("overloaded"), "{error}");
    let statuses: Vec<_> = rows(&llm).await.iter().map(|row| row.http_status).collect();
    assert_eq!(statuses, [Some(503), Some(404)]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_fallback_is_a_row_of_the_same_operation() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(router_fn(|_| {
            Route::to("gpt-4o-mini").with_fallback("gpt-4.1-nano")
        }))
        .build()
        .unwrap();
    simulator.inject(Fault::status(500).times(4));
    let tracked = llm.tracked();
    tracked.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let rows = rows(&llm).await;
    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(receipt.entries(), rows);
    let told = |row: usize| {
        (
            rows[row].role,
            rows[row].status,
            rows[row].attempts,
            rows[row].op_id,
        )
    };
    let op_id = receipt.op_id();
    assert_eq!(told(0), (Role::Primary, Status::Failed, 4, op_id));
    assert_eq!(told(1), (Role::Fallback, Status::Succeeded, 1, op_id));
    assert_ne!(rows[0].id, rows[1].id);
    assert_eq!(rows[1].sent_model.as_ref().unwrap().as_str(), "gpt-4.1-nano");
    assert_eq!(
        receipt.served_model().unwrap().as_str(),
        "gpt-4.1-nano-2025-04-14"
    );
    assert_eq!(receipt.cost(), rows[1].cost.exact().map(Into::into));
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_primary_may_have_cost_is_not_forgotten() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(router_fn(|_| Route::to("gpt-4o-mini").with_fallback("gpt-4o")))
        .with_retry(once())
        .build()
        .unwrap();
    simulator.inject(Fault::connection_reset_after());
    let tracked = llm.tracked();
    tracked.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let receipt = tracked.receipt().await.unwrap();
    let first = &receipt.entries()[0];
    assert_eq!(first.status, Status::Unanswered);
    assert!(
        matches!(first.cost, Cost::Partial { known: Usd::ZERO, at_most: Some(most), why: PartialReason::LostAttempt } if most > Usd::ZERO)
    );
    assert_eq!((receipt.cost(), receipt.savings()), (None, None));
    assert_eq!(
        receipt.known_cost(),
        receipt.entries()[1].cost.exact().unwrap().into()
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_that_keeps_the_model_asks_it_before_its_fallback() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(router_fn(|_| Route::keep().with_fallback("gpt-4o-mini")))
        .with_retry(once())
        .build()
        .unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    assert_eq!(
        only_row(&llm).await.sent_model.as_ref().unwrap().as_str(),
        "gpt-4o"
    );
    simulator.inject(Fault::status(503));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let rows = rows(&llm).await;
    assert_eq!(rows[2].role, Role::Fallback);
    assert_eq!(rows[2].sent_model.as_ref().unwrap().as_str(), "gpt-4o-mini");
}

#[tokio::test(start_paused = true)]
async fn a_pin_and_a_snapshot_are_never_routed() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .build()
        .unwrap();
    llm.pinned().chat().create(chat("gpt-4o", "hi")).await.unwrap();
    llm.chat().create(chat("gpt-4o-2024-08-06", "hi")).await.unwrap();
    for row in rows(&llm).await {
        assert_eq!(row.sent_model, row.requested_model);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_serve_the_request_is_left_out() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(router_fn(|_| {
            Route::to("gpt-5-mini")
                .because("small")
                .with_fallback("gpt-4o-mini")
        }))
        .build()
        .unwrap();
    llm.chat().create(limited()).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.sent_model.as_ref().unwrap().as_str(), "gpt-4o-mini");
    assert_eq!(row.degradations, [Degradation::RouteUnfit]);
    let reason = row.reason.as_deref().unwrap();
    assert!(
        reason.starts_with("small; gpt-5-mini left out: ") && reason.contains("max_tokens"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_url_names_the_model_only_mapped_models_are_routed_to() {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    let transport = Transport::service(tower::service_fn(move |request: HttpRequestFactory| {
        let seen = Arc::clone(&seen);
        async move {
            let request = request.build().await?;
            seen.lock().unwrap().push(request.url().path().to_owned());
            let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}"#;
            Ok::<_, OpenAIError>(http::Response::new(body).into())
        }
    }));
    let azure = AzureConfig::new()
        .with_api_base("https://x.example")
        .with_deployment_id("prod-4o")
        .with_api_version("1")
        .with_api_key("k");
    let llm = LlmClient::builder(Client::with_config(azure), transport)
        .with_router(router_fn(|request| match request.attribution().feature() {
            Some("small") => Route::to("gpt-4o-mini"),
            _ => Route::to("gpt-4.1-nano"),
        }))
        .with_deployment("gpt-4o-mini", "prod-mini")
        .build()
        .unwrap();
    for feature in ["small", "tiny"] {
        llm.feature(feature)
            .chat()
            .create(chat("gpt-4o", "hi"))
            .await
            .unwrap();
    }
    let path = |deployment| format!("/openai/deployments/{deployment}/chat/completions");
    assert_eq!(*paths.lock().unwrap(), [path("prod-mini"), path("prod-4o")]);
}
