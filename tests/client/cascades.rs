//! Plans with steps: the cheap answer is judged, and the strong model is asked if it does not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_openai::types::chat::CreateChatCompletionRequest;
use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::json;
use thrifty::ledger::{Degradation, LedgerEntry, Query, Role, Status};
use thrifty::router::verify::{Agreement, Exchange, Finished, Verdict, Verifier, verifier_fn};
use thrifty::router::{CascadeRouter, Quality, Route, Router, Step, router_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::tokens::TokenCounter;
use thrifty::{LlmClient, Usd, UsdSum};

use super::{chat, client_of, only_row, rows};

pub(super) const MINI: &str = "gpt-4o-mini";
pub(super) const FULL: &str = "gpt-4o";
const NANO: &str = "gpt-4.1-nano";

pub(super) fn short(model: &str, prompt: &str) -> CreateChatCompletionRequest {
    let mut request = chat(model, prompt);
    request.max_completion_tokens = Some(100);
    request
}

/// Lets a model say this from now on.
pub(super) fn says(simulator: &Simulator, model: &str, text: &'static str) {
    let change = Fault::change(move |answer| {
        answer["choices"][0]["message"]["content"] = json!(text);
        answer["choices"][0]["finish_reason"] = json!("stop");
    });
    simulator.inject(change.containing(format!("\"{model}\"")).times(1_000));
}

/// Lets a model fail from now on.
fn fails(simulator: &Simulator, model: &str, status: u16) {
    simulator.inject(
        Fault::status(status)
            .containing(format!("\"{model}\""))
            .times(1_000),
    );
}

/// Accepts answers that say `good`.
fn is_good() -> impl Verifier {
    verifier_fn(|exchange| match exchange.answer() {
        Some(answer) if answer.text().contains("good") => Verdict::Accept,
        _ => Verdict::Reject("it does not say that it is good"),
    })
}

fn cascade(verifier: impl Verifier) -> CascadeRouter {
    CascadeRouter::new(MINI, verifier, FULL)
}

fn sent(row: &LedgerEntry) -> &str {
    row.sent_model.as_ref().map_or("", |model| model.as_str())
}

async fn ask(llm: &LlmClient, model: &str) -> String {
    let answer = llm.chat().create(short(model, "hi")).await.unwrap();
    answer.choices[0].message.content.clone().unwrap_or_default()
}

fn has(row: &LedgerEntry, degradation: Degradation) -> bool {
    row.degradations.contains(&degradation)
}

#[tokio::test(start_paused = true)]
async fn a_cheap_answer_that_does_is_handed_out_and_nothing_else_is_asked() {
    let simulator = Simulator::new();
    says(&simulator, MINI, "good");
    let llm = client_of(&simulator)
        .with_router(cascade(is_good()))
        .build()
        .unwrap();
    assert_eq!(ask(&llm, FULL).await, "good");
    let row = only_row(&llm).await;
    assert_eq!(
        (sent(&row), row.role, row.degradations.len()),
        (MINI, Role::Primary, 0)
    );
    assert_eq!(row.reason.as_deref(), Some("cheap first, gpt-4o if need be"));
    assert!(row.baseline.unwrap().routing > Usd::ZERO);
    assert_eq!(simulator.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_do_is_a_row_of_the_same_operation_and_its_savings_are_net_of_it() {
    let simulator = Simulator::new();
    says(&simulator, MINI, "bad");
    says(&simulator, FULL, "strong");
    let llm = client_of(&simulator)
        .with_router(cascade(is_good()))
        .build()
        .unwrap();
    let tracked = llm.tracked();
    assert_eq!(ask(&tracked, FULL).await, "strong");
    let rows = rows(&llm).await;
    assert_eq!((sent(&rows[0]), sent(&rows[1]), rows.len()), (MINI, FULL, 2));
    assert_eq!((rows[0].role, rows[1].role), (Role::Primary, Role::Step));
    assert_eq!(rows[0].op_id, rows[1].op_id);
    assert_eq!(
        (rows[0].status, rows[1].status),
        (Status::Succeeded, Status::Succeeded)
    );
    assert_eq!(rows[0].degradations, [Degradation::Escalated]);
    assert!(rows[1].degradations.is_empty());
    assert!(
        rows[1]
            .reason
            .as_deref()
            .unwrap()
            .ends_with("not accepted: it does not say that it is good")
    );

    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(receipt.answer().unwrap().id, rows[1].id);
    let costs = [0, 1].map(|row: usize| UsdSum::from(rows[row].cost.exact().unwrap()));
    let cost: UsdSum = rows.iter().map(|row| row.cost.exact().unwrap()).sum();
    assert_eq!(receipt.cost(), Some(cost));
    // The strong model was asked for: all that the cheap one cost is lost.
    assert_eq!(receipt.savings(), Some(UsdSum::ZERO.saturating_sub(costs[0])));
    let totals = llm.ledger().query(&Query::new()).await.unwrap().total;
    assert_eq!((totals.savings.baseline, totals.coverage.compared), (costs[1], 2));
    assert_eq!(totals.savings.total(), UsdSum::ZERO.saturating_sub(costs[0]));
}

#[tokio::test(start_paused = true)]
async fn a_strong_model_that_fails_leaves_the_cheap_answer_and_it_is_marked() {
    for status in [400, 429, 500, 503] {
        let simulator = Simulator::new();
        says(&simulator, MINI, "bad");
        fails(&simulator, FULL, status);
        let llm = client_of(&simulator)
            .with_router(cascade(is_good()))
            .build()
            .unwrap();
        let tracked = llm.tracked();
        assert_eq!(ask(&tracked, FULL).await, "bad", "{status}");
        let rows = rows(&llm).await;
        let cheap = rows.iter().find(|row| sent(row) == MINI).unwrap();
        let strong = rows.iter().find(|row| sent(row) == FULL).unwrap();
        assert_eq!(rows.len(), 2, "{status}");
        assert_eq!(cheap.degradations, [Degradation::NotEscalated], "{status}");
        assert_eq!((strong.role, strong.status), (Role::Step, Status::Failed));
        assert!(cheap.baseline.unwrap().routing > Usd::ZERO);
        let receipt = tracked.receipt().await.unwrap();
        assert_eq!(receipt.answer().unwrap().id, cheap.id);
        assert_eq!(receipt.savings(), cheap.savings());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cheap_model_that_is_busy_is_followed_by_the_strong_one_whose_answer_nobody_judges() {
    let simulator = Simulator::new();
    fails(&simulator, MINI, 503);
    says(&simulator, FULL, "unjudged");
    let llm = client_of(&simulator)
        .with_router(cascade(is_good()))
        .build()
        .unwrap();
    assert_eq!(ask(&llm, FULL).await, "unjudged");
    let rows = rows(&llm).await;
    assert_eq!((rows[0].status, rows[1].role), (Status::Failed, Role::Fallback));
    assert_eq!(rows.len(), 2);
}

/// A verifier with a will of its own.
#[derive(Debug)]
enum Moody {
    Panics,
    Hangs,
    Flips(AtomicU32),
}

#[async_trait]
impl Verifier for Moody {
    async fn judge(&self, _: &Exchange<'_>) -> Verdict {
        match self {
            Self::Panics => panic!("the verifier panics, as it is to"),
            Self::Hangs => std::future::pending().await,
            Self::Flips(asked) if asked.fetch_add(1, Ordering::SeqCst) % 2 == 0 => Verdict::Reject("no"),
            Self::Flips(_) => Verdict::Accept,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verifier_that_panics_or_hangs_has_not_accepted_and_never_fails_a_call() {
    TokenCounter::new().warm_up();
    for (mood, millis) in [(Moody::Panics, 0), (Moody::Hangs, 1_000)] {
        let simulator = Simulator::new();
        says(&simulator, FULL, "strong");
        let llm = client_of(&simulator).with_router(cascade(mood)).build().unwrap();
        assert_eq!(ask(&llm, FULL).await, "strong");
        let rows = rows(&llm).await;
        assert_eq!(
            rows[0].degradations,
            [Degradation::VerifierFailed, Degradation::Escalated]
        );
        let late = rows[1].latency_ms.unwrap() - rows[0].latency_ms.unwrap();
        assert!((millis..millis + 3).contains(&late), "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_verifier_that_contradicts_itself_is_asked_once_for_each_answer_and_that_stands() {
    let simulator = Simulator::new();
    let flips = Arc::new(Moody::Flips(AtomicU32::new(0)));
    let router = CascadeRouter::new(NANO, Arc::clone(&flips), MINI).then(Arc::clone(&flips), FULL);
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    ask(&llm, FULL).await;
    let rows = rows(&llm).await;
    let Moody::Flips(asked) = &*flips else { panic!() };
    assert_eq!((asked.load(Ordering::SeqCst), rows.len()), (2, 2));
    assert_eq!((sent(&rows[0]), sent(&rows[1])), (NANO, MINI));
}

#[tokio::test(start_paused = true)]
async fn three_models_are_asked_one_after_the_other_and_the_last_one_stands() {
    let simulator = Simulator::new();
    let router = CascadeRouter::new(NANO, is_good(), MINI).then(is_good(), FULL);
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    let tracked = llm.tracked();
    ask(&tracked, FULL).await;
    let rows = rows(&llm).await;
    let asked: Vec<_> = rows.iter().map(|row| (sent(row), row.role)).collect();
    assert_eq!(
        asked,
        [(NANO, Role::Primary), (MINI, Role::Step), (FULL, Role::Step)]
    );
    let escalated: Vec<_> = rows.iter().map(|row| has(row, Degradation::Escalated)).collect();
    assert_eq!(escalated, [true, true, false]);
    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(sent(receipt.answer().unwrap()), FULL);
    let lost: UsdSum = rows.iter().take(2).map(|row| row.cost.exact().unwrap()).sum();
    assert_eq!(receipt.savings(), Some(UsdSum::ZERO.saturating_sub(lost)));
}

#[tokio::test(start_paused = true)]
async fn an_unsure_verifier_is_believed_from_the_number_that_the_router_names() {
    for (least, models) in [(0.7, 1), (0.71, 2)] {
        let simulator = Simulator::new();
        let unsure = verifier_fn(|_| Verdict::Unsure(Quality::new(0.7).unwrap()));
        let router = cascade(unsure).accepting_from(Quality::new(least).unwrap());
        let llm = client_of(&simulator).with_router(router).build().unwrap();
        ask(&llm, FULL).await;
        assert_eq!(rows(&llm).await.len(), models);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_straight_to_the_model_that_needs_no_judge() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(cascade(is_good()))
        .build()
        .unwrap();
    let mut stream = llm.chat().create_stream(short(FULL, "hi")).await.unwrap();
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    drop(stream);
    let row = only_row(&llm).await;
    assert_eq!((sent(&row), row.streamed), (FULL, true));
    assert_eq!(
        row.reason.as_deref(),
        Some("cheap first, gpt-4o if need be; not cascaded: it is streamed")
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_opinion_is_a_step_of_its_own_and_decides() {
    for (second, answer, models) in [
        ("it is 42", "42.0", vec![NANO, MINI]),
        ("it is 43", "strong", vec![NANO, MINI, FULL]),
        ("no idea", "strong", vec![NANO, MINI, FULL]),
    ] {
        let simulator = Simulator::new();
        says(&simulator, MINI, "42.0");
        says(&simulator, NANO, second);
        says(&simulator, FULL, "strong");
        let router = cascade(Agreement::on_number(NANO));
        let llm = client_of(&simulator).with_router(router).build().unwrap();
        let tracked = llm.tracked();
        assert_eq!(ask(&tracked, FULL).await, answer);
        let rows = rows(&llm).await;
        let mut asked: Vec<_> = rows.iter().map(|row| sent(row)).collect();
        asked.sort_by_key(|model| [NANO, MINI, FULL].iter().position(|one| one == model));
        assert_eq!(asked, models);
        let opinion = rows.iter().find(|row| sent(row) == NANO).unwrap();
        assert_eq!(opinion.role, Role::Opinion);
        assert_eq!(opinion.baseline.unwrap().cost, Usd::ZERO);
        let receipt = tracked.receipt().await.unwrap();
        assert_eq!(sent(receipt.answer().unwrap()), *models.last().unwrap());
        let cost: UsdSum = rows.iter().map(|row| row.cost.exact().unwrap()).sum();
        assert_eq!(receipt.cost(), Some(cost));
        let totals = llm.ledger().query(&Query::new()).await.unwrap().total;
        assert_eq!(receipt.savings(), Some(totals.savings.total()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_model_is_asked_only_if_there_is_something_to_compare_and_may_fail() {
    let simulator = Simulator::new();
    says(&simulator, MINI, "no number");
    let router = cascade(Agreement::on_number(NANO));
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    ask(&llm, FULL).await;
    assert_eq!(simulator.requests_by_model().get(NANO), None);

    let simulator = Simulator::new();
    says(&simulator, MINI, "42");
    fails(&simulator, NANO, 404);
    says(&simulator, FULL, "strong");
    let router = cascade(Agreement::on_number(NANO));
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    assert_eq!(ask(&llm, FULL).await, "strong");
    assert_eq!(rows(&llm).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_step_begins_too_late_or_if_it_could_cost_too_much() {
    let slow = |simulator: &Simulator| {
        let delay = Fault::delay(Duration::from_secs(61));
        simulator.inject(delay.containing(format!("\"{MINI}\"")));
    };
    for (router, is_slow, why) in [
        (cascade(is_good()), true, "there was no time for the next model"),
        (
            cascade(is_good()).with_max_spend("0.0005".parse().unwrap()),
            false,
            "the next model could cost too much",
        ),
    ] {
        let simulator = Simulator::new();
        if is_slow {
            slow(&simulator);
        }
        let llm = client_of(&simulator).with_router(router).build().unwrap();
        ask(&llm, FULL).await;
        let row = only_row(&llm).await;
        assert_eq!(row.degradations, [Degradation::NotEscalated]);
        assert!(row.reason.as_deref().unwrap().ends_with(why), "{row:?}");
    }
    let simulator = Simulator::new();
    let router = cascade(is_good()).with_max_spend("0.05".parse().unwrap());
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    ask(&llm, FULL).await;
    assert_eq!(rows(&llm).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_and_empty_answers_are_escalated() {
    for fault in [
        Fault::refusal(),
        Fault::finish_reason("length"),
        Fault::finish_reason("content_filter"),
    ] {
        let simulator = Simulator::new();
        simulator.inject(fault.containing(format!("\"{MINI}\"")));
        let llm = client_of(&simulator)
            .with_router(cascade(Finished::new()))
            .build()
            .unwrap();
        ask(&llm, FULL).await;
        assert_eq!(rows(&llm).await.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_model_that_cannot_serve_the_request_is_left_out_with_its_verifier() {
    let simulator = Simulator::new();
    // A model of embeddings answers no chat.
    let route = || Route::to("text-embedding-3-small").because("odd");
    let router = router_fn(move |_| {
        route()
            .with_step(Step::new(Moody::Panics, MINI))
            .with_step(Step::new(is_good(), FULL))
    });
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    ask(&llm, FULL).await;
    let rows = rows(&llm).await;
    let asked: Vec<_> = rows.iter().map(|row| sent(row)).collect();
    assert_eq!(asked, [MINI, FULL]);
    assert!(has(&rows[0], Degradation::RouteUnfit));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_its_answer_is_judged_or_the_next_model_is_asked_is_booked() {
    TokenCounter::new().warm_up();
    // While it is judged: what the answer cost is known, and it answered nobody.
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(cascade(Moody::Hangs))
        .build()
        .unwrap();
    let impatient = tokio::time::timeout(Duration::from_millis(500), ask(&llm, FULL));
    assert!(impatient.await.is_err());
    let row = only_row(&llm).await;
    assert_eq!(row.status, Status::Abandoned);
    assert!(row.cost.exact().unwrap() > Usd::ZERO);
    assert_eq!(row.baseline.unwrap().cost, Usd::ZERO);

    let simulator = Simulator::new();
    simulator.inject(Fault::hang().containing(format!("\"{FULL}\"")));
    let llm = client_of(&simulator)
        .with_router(cascade(is_good()))
        .build()
        .unwrap();
    let tracked = llm.tracked();
    let impatient = tokio::time::timeout(Duration::from_millis(500), ask(&tracked, FULL));
    assert!(impatient.await.is_err());
    let rows = rows(&llm).await;
    let mut ends: Vec<_> = rows.iter().map(|row| (sent(row), row.status, row.role)).collect();
    ends.sort_by_key(|(model, ..)| model.len());
    assert_eq!(
        ends,
        [
            (FULL, Status::Abandoned, Role::Step),
            (MINI, Status::Succeeded, Role::Primary)
        ]
    );
    assert_eq!(tracked.receipt().await.unwrap().answer(), None);
    assert!(llm.shutdown(Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_by_snapshot_or_is_the_cheap_model_is_left_alone() {
    for model in ["gpt-4o-2024-08-06", MINI] {
        let simulator = Simulator::new();
        let router = cascade(Moody::Panics);
        assert_eq!(router.candidates().len(), 2);
        let llm = client_of(&simulator).with_router(router).build().unwrap();
        ask(&llm, model).await;
        let row = only_row(&llm).await;
        assert_eq!(sent(&row), model);
    }
}
