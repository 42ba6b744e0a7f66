//! Shadows: another model asked the same, beside the answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_openai::config::OpenAIConfig;
use async_trait::async_trait;
use futures_util::StreamExt;
use thrifty::budget::{Admission, Budget, Window};
use thrifty::ledger::{CostLedger, InMemoryLedger, LedgerEntry, Query, Role, Status};
use thrifty::router::verify::{Agreement, Exchange, Verdict, Verifier, verifier_fn};
use thrifty::router::{Quality, Rating, Route, RouteError, RouteRequest, Router, ShadowRouter};
use thrifty::simulator::{Fault, Simulator};
use thrifty::tokens::TokenCounter;
use thrifty::{LlmClient, UsdSum};

use super::cascades::{FULL, MINI, says, short};
use super::{client_of, only_row, rows};

const LONG: Duration = Duration::from_secs(3_600);

fn shadowed() -> ShadowRouter {
    ShadowRouter::new(FULL, 1.0)
}

async fn ask(llm: &LlmClient<OpenAIConfig>) {
    llm.chat().create(short(MINI, "hi")).await.unwrap();
}

fn of_role(rows: &[Arc<LedgerEntry>], role: Role) -> Vec<Arc<LedgerEntry>> {
    rows.iter().filter(|row| row.role == role).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_a_row_of_the_operation_and_no_part_of_its_receipt() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).with_router(shadowed()).build().unwrap();
    let tracked = llm.tracked();
    ask(&tracked).await;
    let receipt = tracked.receipt().await.unwrap();
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
    let rows = rows(&llm).await;
    let (primary, shadow) = (
        &of_role(&rows, Role::Primary)[0],
        &of_role(&rows, Role::Shadow)[0],
    );
    assert_eq!(rows.len(), 2);
    assert_eq!(primary.op_id, shadow.op_id);
    assert_eq!(
        (shadow.sent_model.as_ref().unwrap().as_str(), shadow.status),
        (FULL, Status::Succeeded)
    );
    assert_eq!(receipt.entries(), std::slice::from_ref(primary));
    assert_eq!(receipt.cost(), Some(primary.cost.exact().unwrap().into()));
    // What it cost is lost: nobody got its answer.
    let totals = llm.ledger().query(&Query::new()).await.unwrap().total;
    let cost = UsdSum::from(shadow.cost.exact().unwrap());
    assert_eq!(totals.savings.total(), UsdSum::ZERO.saturating_sub(cost));
    assert_eq!(totals.savings.baseline, primary.cost.exact().unwrap().into());
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_fails_or_hangs_neither_fails_nor_delays_the_answer() {
    TokenCounter::new().warm_up();
    for fault in [
        Fault::status(500),
        Fault::status(400),
        Fault::connection_reset_after(),
        Fault::hang(),
    ] {
        let simulator = Simulator::new();
        simulator.inject(fault.containing(format!("\"{FULL}\"")).times(100));
        let llm = client_of(&simulator).with_router(shadowed()).build().unwrap();
        let before = tokio::time::Instant::now();
        let tracked = llm.tracked();
        ask(&tracked).await;
        assert!(tracked.receipt().await.unwrap().answer().is_some());
        assert!(before.elapsed() < Duration::from_millis(5));
        assert!(llm.shutdown(LONG).await.unwrap().is_empty());
        let rows = rows(&llm).await;
        let shadow = &of_role(&rows, Role::Shadow)[0];
        assert!(
            matches!(shadow.status, Status::Failed | Status::Unanswered),
            "{shadow:?}"
        );
    }
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Listener(Mutex<Vec<Rating>>);

#[async_trait]
impl Router for Listener {
    async fn route(&self, _: &RouteRequest<'_>) -> Result<Route, RouteError> {
        Ok(Route::keep())
    }

    fn rate(&self, rating: &Rating) {
        self.0.lock().unwrap().push(rating.clone());
    }
}

async fn ratings(router: ShadowRouter, first: &'static str, second: &'static str) -> Vec<(String, Quality)> {
    let simulator = Simulator::new();
    says(&simulator, MINI, first);
    says(&simulator, FULL, second);
    let listener = Arc::new(Listener::default());
    let router = router.behind(Arc::clone(&listener));
    let llm = client_of(&simulator).with_router(router).build().unwrap();
    ask(&llm).await;
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
    let op_id = rows(&llm).await[0].op_id;
    let told = listener.0.lock().unwrap();
    assert!(told.iter().all(|rating| rating.op_id == op_id));
    let named = told
        .iter()
        .map(|rating| (rating.model.as_ref().unwrap().to_string(), rating.quality));
    named.collect()
}

#[tokio::test(start_paused = true)]
async fn a_judge_gives_the_router_a_pair_of_ratings_or_none() {
    let good = verifier_fn(|exchange| {
        assert!(exchange.second_body().is_some() && exchange.request().is_some());
        match exchange.answer() {
            Some(answer) if answer.text() == "good" => Verdict::Accept,
            _ => Verdict::Unsure(Quality::new(0.25).unwrap()),
        }
    });
    let told = ratings(shadowed().judged_by(good), "bad", "good").await;
    let quarter = Quality::new(0.25).unwrap();
    assert_eq!(
        told,
        [(MINI.to_owned(), quarter), (FULL.to_owned(), Quality::GOOD)]
    );
    let told = ratings(shadowed().judged_by(Agreement::on_number(FULL)), "it is 4", "4.0").await;
    assert_eq!(
        told,
        [(MINI.to_owned(), Quality::GOOD), (FULL.to_owned(), Quality::GOOD)]
    );
    let panics = verifier_fn(|exchange| match exchange.answer() {
        Some(answer) if answer.text() == "good" => panic!("the judge panics, as it is to"),
        _ => Verdict::Accept,
    });
    assert_eq!(ratings(shadowed().judged_by(panics), "bad", "good").await, []);
    assert_eq!(ratings(shadowed(), "bad", "good").await, []);
}

#[tokio::test(start_paused = true)]
async fn shadows_stay_within_their_budget_also_after_a_restart() {
    let ledger: Arc<dyn CostLedger> = Arc::new(InMemoryLedger::new());
    let budget = || Budget::new("shadows", "0.004".parse().unwrap()).per(Window::total());
    let mut spent = Vec::new();
    for _ in 0..2 {
        let simulator = Simulator::new();
        let llm = client_of(&simulator)
            .with_router(shadowed())
            .with_ledger(Arc::clone(&ledger))
            .with_shadow_budget(budget())
            .build()
            .unwrap();
        for _ in 0..20 {
            ask(&llm).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(llm.shutdown(LONG).await.unwrap().is_empty());
        let rows = rows(&llm).await;
        let shadows = of_role(&rows, Role::Shadow);
        spent.push(
            shadows
                .iter()
                .map(|row| row.cost.exact().unwrap())
                .sum::<UsdSum>(),
        );
        assert_eq!(of_role(&rows, Role::Primary).len(), 20 * spent.len());
    }
    let limit: UsdSum = "0.004".parse().unwrap();
    assert!(spent[0] > UsdSum::ZERO && spent[1] <= limit, "{spent:?}");
    // There is less left than one more could cost, so that none was asked after the restart.
    assert_eq!(spent[0], spent[1]);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_shadows_run_at_once_and_the_others_are_not_asked() {
    TokenCounter::new().warm_up();
    let simulator = Simulator::new();
    simulator.inject(
        Fault::delay(Duration::from_secs(60))
            .containing(format!("\"{FULL}\""))
            .times(100),
    );
    let llm = client_of(&simulator)
        .with_router(shadowed())
        .with_max_shadows(2)
        .build()
        .unwrap();
    for _ in 0..10 {
        ask(&llm).await;
    }
    assert_eq!(llm.shutdown(Duration::ZERO).await.unwrap().calls, 2);
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
    assert_eq!(of_role(&rows(&llm).await, Role::Shadow).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_all_calls_goes_before_a_shadow_and_no_call_waits_behind_one() {
    let simulator = Simulator::new();
    let budget = Budget::new("all", "0.0012".parse().unwrap()).with_admission(Admission::Wait(LONG));
    let llm = client_of(&simulator)
        .with_router(shadowed())
        .with_budget(budget)
        .build()
        .unwrap();
    let before = tokio::time::Instant::now();
    for _ in 0..3 {
        ask(&llm).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(before.elapsed() < Duration::from_secs(4));
    assert!(of_role(&rows(&llm).await, Role::Shadow).is_empty());
    let status = llm.budgets().status().await.unwrap().remove(0);
    let cost: UsdSum = rows(&llm).await.iter().map(|row| row.cost.exact().unwrap()).sum();
    assert_eq!((status.spent, status.held), (cost, UsdSum::ZERO));
}

#[tokio::test(start_paused = true)]
async fn streams_and_the_same_model_have_no_shadow() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).with_router(shadowed()).build().unwrap();
    let mut stream = llm.chat().create_stream(short(MINI, "hi")).await.unwrap();
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    drop(stream);
    only_row(&llm).await;
    llm.chat().create(short(FULL, "hi")).await.unwrap();
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
    assert!(of_role(&rows(&llm).await, Role::Shadow).is_empty());
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_have_a_shadow_as_the_rate_says() {
    fastrand::seed(7);
    let simulator = Simulator::new();
    let budget = Budget::new("shadows", "10".parse().unwrap());
    let llm = client_of(&simulator)
        .with_router(ShadowRouter::new(FULL, 0.25))
        .with_shadow_budget(budget)
        .build()
        .unwrap();
    for _ in 0..400 {
        ask(&llm).await;
        tokio::task::yield_now().await;
    }
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
    let shadows = of_role(&rows(&llm).await, Role::Shadow).len();
    assert!((70..130).contains(&shadows), "{shadows}");
}

/// Takes its time.
#[derive(Debug)]
struct Slow;

#[async_trait]
impl Verifier for Slow {
    async fn judge(&self, _: &Exchange<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Verdict::Accept
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_while_a_shadow_is_judged() {
    let simulator = Simulator::new();
    let budget = |name: &'static str| Budget::new(name, "1".parse().unwrap());
    let llm = client_of(&simulator)
        .with_router(shadowed().judged_by(Slow))
        .with_budget(budget("all"))
        .with_shadow_budget(budget("shadows"))
        .build()
        .unwrap();
    ask(&llm).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let rows = rows(&llm).await;
    assert_eq!(of_role(&rows, Role::Shadow).len(), 1);
    let cost: UsdSum = rows.iter().map(|row| row.cost.exact().unwrap()).sum();
    let status = llm.budgets().status().await.unwrap().remove(0);
    assert_eq!((status.spent, status.held), (cost, UsdSum::ZERO));
    assert_eq!(
        llm.shutdown(Duration::ZERO).await.unwrap().calls,
        1,
        "it is judged still"
    );
    assert!(llm.shutdown(LONG).await.unwrap().is_empty());
}
