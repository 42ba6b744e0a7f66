//! Routers that fail, dawdle or cannot choose, and the model `auto`.

use std::time::Duration;

use async_trait::async_trait;
use thrifty::ledger::{Degradation, Status};
use thrifty::router::{Quality, Rating, Route, RouteError, RouteRequest, Router, TokenCountRouter};
use thrifty::simulator::Simulator;
use thrifty::tokens::TokenCounter;
use thrifty::{ErrorKind, ModelId, Usd};

use super::{chat, client_of, only_row, ours, rows};

#[derive(Debug, Clone, Copy)]
enum Mood {
    Fails,
    Panics,
    PanicsLate,
    Hangs,
    Ponders,
}

#[async_trait]
impl Router for Mood {
    async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
        let ponder = tokio::time::sleep(Duration::from_millis(300));
        match self {
            Self::Fails => return Err(RouteError::new("no idea")),
            Self::Panics => panic!("the router panics, as it is to"),
            Self::PanicsLate => {
                ponder.await;
                panic!("the router panics late, as it is to");
            }
            Self::Hangs => std::future::pending().await,
            Self::Ponders => ponder.await,
        }
        Ok(Route::to("gpt-4o-mini").because("thought about it"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_fails_panics_or_hangs_never_fails_a_call() {
    TokenCounter::new().warm_up();
    for (mood, degradation, millis) in [
        (Mood::Fails, Degradation::RouterFailed, 0),
        (Mood::Panics, Degradation::RouterPanicked, 0),
        (Mood::PanicsLate, Degradation::RouterPanicked, 300),
        (Mood::Hangs, Degradation::RouterTimedOut, 1_000),
    ] {
        let simulator = Simulator::new();
        let llm = client_of(&simulator).with_router(mood).build().unwrap();
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        let row = only_row(&llm).await;
        assert_eq!(
            (&row.sent_model, row.status),
            (&row.requested_model, Status::Succeeded)
        );
        assert_eq!(row.degradations, [degradation]);
        let late = row.latency_ms.unwrap() - millis;
        assert!(late <= 2, "{mood:?} {late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_answers_in_time_is_followed() {
    TokenCounter::new().warm_up();
    let simulator = Simulator::new();
    let llm = client_of(&simulator).with_router(Mood::Ponders).build().unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.sent_model.as_ref().unwrap().as_str(), "gpt-4o-mini");
    assert_eq!(
        (row.reason.as_deref(), row.degradations.len()),
        (Some("thought about it"), 0)
    );
}

/// Has a reference model and never chooses.
#[derive(Debug)]
struct Undecided(Option<ModelId>);

#[async_trait]
impl Router for Undecided {
    async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(Route::keep())
    }

    fn reference_model(&self) -> Option<&ModelId> {
        self.0.as_ref()
    }
}

#[tokio::test(start_paused = true)]
async fn auto_is_the_routers_choice_counted_against_its_reference() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(TokenCountRouter::new("gpt-4o-mini", "gpt-4o"))
        .build()
        .unwrap();
    llm.chat().create(chat("auto", "hi")).await.unwrap();
    llm.pinned().chat().create(chat("auto", "hi")).await.unwrap();
    let rows = rows(&llm).await;
    let names = |row: usize| {
        [&rows[row].requested_model, &rows[row].sent_model].map(|name| name.as_ref().unwrap().as_str())
    };
    assert_eq!(names(0), ["auto", "gpt-4o-mini"]);
    assert!(rows[0].baseline.unwrap().routing > Usd::ZERO);
    assert_eq!(names(1), ["auto", "gpt-4o"]);
    assert_eq!(rows[1].savings().unwrap().as_pico(), 0);
}

#[tokio::test(start_paused = true)]
async fn auto_without_a_choice_is_the_reference_or_a_typed_error() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(Undecided(Some("gpt-4o".into())))
        .build()
        .unwrap();
    llm.chat().create(chat("auto", "hi")).await.unwrap();
    assert_eq!(
        only_row(&llm).await.sent_model.as_ref().unwrap().as_str(),
        "gpt-4o"
    );

    let llm = client_of(&simulator)
        .with_router(Undecided(None))
        .build()
        .unwrap();
    let error = llm.chat().create(chat("auto", "hi")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("reference model"), "{error}");
    assert_eq!(simulator.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_its_router_decides_was_never_sent_and_leaves_no_row() {
    TokenCounter::new().warm_up();
    let simulator = Simulator::new();
    let llm = client_of(&simulator).with_router(Mood::Hangs).build().unwrap();
    let tracked = llm.tracked();
    let call = tracked.chat();
    let impatient = tokio::time::timeout(Duration::from_millis(100), call.create(chat("gpt-4o", "hi")));
    assert!(impatient.await.is_err());
    assert_eq!((simulator.request_count(), rows(&llm).await), (0, Vec::new()));
    assert_eq!(tracked.receipt().await.unwrap().entries(), []);
    assert!(llm.shutdown(Duration::ZERO).await.unwrap().is_empty());
}

/// Knows a model for `auto`, and panics when asked what to count against.
#[derive(Debug)]
struct Unreferenced(Option<&'static str>);

#[async_trait]
impl Router for Unreferenced {
    async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(self.0.map_or_else(Route::keep, Route::to))
    }

    fn reference_model(&self) -> Option<&ModelId> {
        panic!("the reference panics, as it is to")
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_panics_is_none() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(Unreferenced(Some("gpt-4o-mini")))
        .build()
        .unwrap();
    llm.chat().create(chat("auto", "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!((row.status, row.baseline), (Status::Succeeded, None));
    assert_eq!(row.degradations, [Degradation::RouterPanicked]);

    let llm = client_of(&simulator)
        .with_router(Unreferenced(None))
        .build()
        .unwrap();
    let error = llm.chat().create(chat("auto", "hi")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Invalid);
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Listener(std::sync::Mutex<Vec<(Option<thrifty::OpId>, Option<Rating>)>>);

#[async_trait]
impl Router for Listener {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        self.0.lock().unwrap().push((request.op_id(), None));
        Ok(Route::keep())
    }

    fn rate(&self, rating: &Rating) {
        self.0.lock().unwrap().push((None, Some(rating.clone())));
    }
}

#[tokio::test]
async fn what_is_said_of_an_answer_reaches_the_router_under_the_id_that_it_was_asked_with() {
    let simulator = Simulator::new();
    let listener = std::sync::Arc::new(Listener::default());
    let llm = client_of(&simulator)
        .with_router(std::sync::Arc::clone(&listener))
        .build()
        .unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let op_id = only_row(&llm).await.op_id;
    llm.feature("any").observe(op_id, false);
    let told = listener.0.lock().unwrap();
    assert_eq!(told[0].0, Some(op_id));
    assert_eq!(told[1].1, Some(Rating::new(op_id, Quality::BAD)));
}
