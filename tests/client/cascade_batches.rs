//! Plans with steps, of calls that may wait: the steps ride successive batches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thrifty::batch::BatchPolicy;
use thrifty::budget::{Admission, Budget};
use thrifty::ledger::{Degradation, LedgerEntry, Query, Role, Status};
use thrifty::router::verify::{Exchange, Verdict, Verifier, verifier_fn};
use thrifty::router::{CascadeRouter, Route, Step, router_fn};
use thrifty::simulator::{Fault, LineFault, Simulator};
use thrifty::tokens::TokenCounter;
use thrifty::{Lane, LlmClient, Usd, UsdSum};

use super::cascades::{FULL, MINI, short};
use super::{client_of, only_row, rows};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// Accepts the answers of all models but this one.
fn not_of(model: &'static str) -> impl Verifier {
    verifier_fn(move |exchange| {
        assert!(exchange.request().is_some() && exchange.answer().is_some());
        if *exchange.model() == *model {
            Verdict::Reject("not by this model")
        } else {
            Verdict::Accept
        }
    })
}

fn cascade(verifier: impl Verifier) -> CascadeRouter {
    CascadeRouter::new(MINI, verifier, FULL)
}

/// A client whose cheap answers never do.
fn escalating(simulator: &Simulator) -> LlmClient {
    let router = cascade(not_of(MINI));
    client_of(simulator).with_router(router).build().unwrap()
}

/// The only row of a model that was asked.
fn of(rows: &[Arc<LedgerEntry>], model: &str) -> Arc<LedgerEntry> {
    let mut of_it = rows
        .iter()
        .filter(|row| *row.sent_model.as_ref().unwrap() == *model);
    let row = of_it.next().unwrap();
    assert!(of_it.next().is_none(), "{rows:#?}");
    Arc::clone(row)
}

#[tokio::test(start_paused = true)]
async fn the_steps_ride_successive_batches() {
    let simulator = Simulator::new();
    let budget = Budget::new("all", "0.01".parse().unwrap()).with_admission(Admission::Reject);
    let llm = client_of(&simulator)
        .with_router(cascade(not_of(MINI)))
        .with_budget(budget)
        .build()
        .unwrap();
    let patient = llm.within(DAY).tracked();
    let answer = patient.chat().create(short(FULL, "hi")).await.unwrap();
    assert!(answer.model.starts_with("gpt-4o-2024"));
    let rows = rows(&llm).await;
    let (cheap, strong) = (of(&rows, MINI), of(&rows, FULL));
    assert_eq!(
        (cheap.lane, strong.lane, rows.len()),
        (Lane::Batch, Lane::Batch, 2)
    );
    assert_ne!(cheap.batch_id, strong.batch_id);
    assert_eq!((cheap.role, strong.role), (Role::Primary, Role::Step));
    assert_eq!((cheap.op_id, cheap.status), (strong.op_id, Status::Succeeded));
    assert_eq!(cheap.degradations, [Degradation::Escalated]);
    assert_eq!(cheap.baseline.unwrap().cost, Usd::ZERO);
    let receipt = patient.receipt().await.unwrap();
    assert_eq!(receipt.answer().unwrap().id, strong.id);
    let totals = llm.ledger().query(&Query::new()).await.unwrap().total;
    assert_eq!(receipt.savings(), Some(totals.savings.total()));
    assert!(llm.shutdown(Duration::ZERO).await.unwrap().is_empty());
    let cost: UsdSum = rows.iter().map(|row| row.cost.exact().unwrap()).sum();
    drop((receipt, patient));
    let status = llm.budgets().status().await.unwrap().remove(0);
    assert_eq!(
        (status.spent, status.held, status.overruns),
        (cost, UsdSum::ZERO, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_is_handed_out_from_the_first_batch() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(cascade(not_of("none")))
        .build()
        .unwrap();
    let patient = llm.within(DAY).tracked();
    patient.chat().create(short(FULL, "hi")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!((row.lane, row.degradations.len()), (Lane::Batch, 0));
    assert!(row.baseline.unwrap().routing > Usd::ZERO);
    assert_eq!(patient.receipt().await.unwrap().answer().unwrap().id, row.id);
}

#[tokio::test(start_paused = true)]
async fn a_step_for_which_no_second_batch_is_in_time_goes_at_once() {
    let simulator = Simulator::builder()
        .with_batch_delay(Duration::from_secs(3_600))
        .build();
    let llm = escalating(&simulator);
    let patient = llm.within(Duration::from_secs(9_000)).tracked();
    patient.chat().create(short(FULL, "hi")).await.unwrap();
    let rows = rows(&llm).await;
    let (cheap, strong) = (of(&rows, MINI), of(&rows, FULL));
    assert_eq!((cheap.lane, strong.role), (Lane::Batch, Role::Step));
    assert_ne!(strong.lane, Lane::Batch);
    assert_eq!(strong.degradations, [Degradation::NotBatched]);
    assert_eq!(cheap.degradations, [Degradation::Escalated]);
    assert_eq!(patient.receipt().await.unwrap().answer().unwrap().id, strong.id);
}

#[tokio::test(start_paused = true)]
async fn a_strong_line_that_fails_leaves_the_cheap_answer() {
    let simulator = Simulator::new();
    let refused = Fault::line(LineFault::Status(400)).containing(format!("\"{FULL}\""));
    simulator.inject(refused.times(100));
    let llm = escalating(&simulator);
    let patient = llm.within(DAY).tracked();
    let answer = patient.chat().create(short(FULL, "hi")).await.unwrap();
    assert!(answer.model.starts_with(MINI));
    let rows = rows(&llm).await;
    let cheap = of(&rows, MINI);
    assert_eq!(cheap.degradations, [Degradation::NotEscalated]);
    assert_eq!(of(&rows, FULL).status, Status::Failed);
    assert_eq!(patient.receipt().await.unwrap().answer().unwrap().id, cheap.id);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_its_second_batch_runs_has_booked_the_first() {
    TokenCounter::new().warm_up();
    let simulator = Simulator::builder()
        .with_batch_delay(Duration::from_secs(3_600))
        .build();
    let llm = escalating(&simulator);
    let patient = llm.within(DAY);
    let group = patient.chat();
    let call = group.create(short(FULL, "hi"));
    let impatient = tokio::time::timeout(Duration::from_secs(2 * 3_600), call);
    assert!(impatient.await.is_err());
    assert!(llm.shutdown(DAY).await.unwrap().is_empty());
    let rows = rows(&llm).await;
    let (cheap, strong) = (of(&rows, MINI), of(&rows, FULL));
    assert_eq!(
        (cheap.status, &*cheap.degradations),
        (Status::Succeeded, &[Degradation::Escalated][..])
    );
    assert_eq!(
        (strong.role, &*strong.degradations),
        (Role::Step, &[Degradation::Orphaned][..])
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_key_is_not_cascaded() {
    let simulator = Simulator::new();
    let llm = escalating(&simulator);
    let patient = llm.within(DAY).key("k");
    patient.chat().create(short(FULL, "hi")).await.unwrap();
    let row = of(&[only_row(&llm).await], FULL);
    assert_eq!(row.lane, Lane::Batch);
    assert!(
        row.reason
            .as_deref()
            .unwrap()
            .contains("not cascaded: its answer has a key")
    );
}

/// Takes 90 minutes to reject an answer.
#[derive(Debug)]
struct Slow;

#[async_trait]
impl Verifier for Slow {
    async fn judge(&self, _: &Exchange<'_>) -> Verdict {
        tokio::time::sleep(HOUR * 3 / 2).await;
        Verdict::Reject("never")
    }
}

/// The first answer overtakes its batch after two hours; the batch ends while it is judged, and is billed too.
async fn overtaken(at_most: Usd) -> Vec<Arc<LedgerEntry>> {
    TokenCounter::new().warm_up();
    let simulator = Simulator::builder().with_batch_delay(3 * HOUR).build();
    let router = router_fn(move |_| {
        let next = Step::new(Slow, "gpt-4.1-nano").judged_within(2 * HOUR);
        Route::to(FULL).with_step(next).with_steps_for_at_most(at_most)
    });
    let llm = client_of(&simulator)
        .with_router(router)
        .with_batch_policy(BatchPolicy::default().with_slack(2 * HOUR))
        .build()
        .unwrap();
    let patient = llm.within(4 * HOUR);
    patient.chat().create(short(FULL, "hi")).await.unwrap();
    rows(&llm).await
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_all_steps_counts_what_an_overtaken_line_cost() {
    let rows = overtaken("1".parse().unwrap()).await;
    let [answer, line, step] = [Role::Hedge, Role::Primary, Role::Step].map(|role| {
        let of_it = rows.iter().find(|row| row.role == role);
        of_it.unwrap().cost.exact().unwrap()
    });
    assert_eq!(rows.len(), 3, "{rows:#?}");
    // A limit with room for both, and not for the last step too; without the line there would be room for that.
    assert!(step < line, "{step} {line}");
    let rows = overtaken(answer.checked_add(line).unwrap()).await;
    assert!(rows.iter().all(|row| row.role != Role::Step), "{rows:#?}");
}
