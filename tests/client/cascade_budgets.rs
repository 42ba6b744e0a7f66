//! Plans with steps and budgets: one hold covers all of it, and what has no room is not asked.

use async_openai::config::OpenAIConfig;
use proptest::prelude::*;
use thrifty::budget::{Admission, Budget};
use thrifty::ledger::{Degradation, LedgerEntry};
use thrifty::router::CascadeRouter;
use thrifty::router::verify::{Agreement, Finished, Verdict, VerifierExt, verifier_fn};
use thrifty::simulator::{Fault, Simulator};
use thrifty::tokens::TokenCounter;
use thrifty::{LlmClient, UsdSum};

use super::cascades::{FULL, MINI, says, short};
use super::{client_of, rows};

const NANO: &str = "gpt-4.1-nano";

fn hard(limit: &str) -> Budget {
    Budget::new("all", limit.parse().unwrap()).with_admission(Admission::Reject)
}

fn never() -> CascadeRouter {
    CascadeRouter::new(MINI, verifier_fn(|_| Verdict::Reject("never")), FULL)
}

async fn ask(llm: &LlmClient<OpenAIConfig>) -> Result<(), async_openai::error::OpenAIError> {
    llm.chat().create(short(FULL, "hi")).await.map(drop)
}

fn sent(row: &LedgerEntry) -> &str {
    row.sent_model.as_ref().map_or("", |model| model.as_str())
}

#[tokio::test(start_paused = true)]
async fn a_budget_with_room_for_the_first_step_only_hands_out_the_cheap_answer_and_marks_it() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(never())
        .with_budget(hard("0.0006"))
        .build()
        .unwrap();
    ask(&llm).await.unwrap();
    let all = rows(&llm).await;
    assert_eq!((all.len(), sent(&all[0])), (1, MINI));
    assert_eq!(all[0].degradations, [Degradation::NotEscalated]);
    assert!(
        all[0]
            .reason
            .as_deref()
            .unwrap()
            .ends_with("a budget has no room for the next model")
    );
    assert!(all[0].baseline.unwrap().cost > thrifty::Usd::ZERO);

    // One that does needs no mark.
    let simulator = Simulator::new();
    says(&simulator, MINI, "good");
    let llm = client_of(&simulator)
        .with_router(CascadeRouter::new(MINI, Finished::new(), FULL))
        .with_budget(hard("0.0006"))
        .build()
        .unwrap();
    ask(&llm).await.unwrap();
    let all = rows(&llm).await;
    assert_eq!((all.len(), all[0].degradations.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_for_all_of_it_is_held_before_anything_is_sent() {
    TokenCounter::new().warm_up();
    let simulator = Simulator::builder()
        .with_latency(std::time::Duration::from_secs(1))
        .build();
    let llm = client_of(&simulator)
        .with_router(never())
        .with_budget(hard("0.01"))
        .build()
        .unwrap();
    let call = {
        let llm = llm.clone();
        tokio::spawn(async move { ask(&llm).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let during = llm.budgets().status().await.unwrap().remove(0).held;
    call.await.unwrap().unwrap();
    let after = llm.budgets().status().await.unwrap().remove(0);
    let of_outputs: UsdSum = "0.00106".parse().unwrap();
    // The most output of both models, and more for what goes in.
    assert!(during > of_outputs, "{during}");
    let cost: UsdSum = rows(&llm).await.iter().map(|row| row.cost.exact().unwrap()).sum();
    assert_eq!((after.spent, after.held), (cost, UsdSum::ZERO));
    assert_eq!(rows(&llm).await.len(), 2);
}

/// What becomes of a model's call.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Answers(&'static str),
    Status(u16),
    Lost,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Answers("it is 42")),
        2 => Just(Luck::Answers("it is 43")),
        1 => Just(Luck::Answers("")),
        1 => prop::sample::select(vec![400, 404, 429, 500, 503]).prop_map(Luck::Status),
        1 => Just(Luck::Lost),
    ]
}

fn script(simulator: &Simulator, model: &str, luck: Luck) {
    let fault = match luck {
        Luck::Answers(text) => return says(simulator, model, text),
        Luck::Status(status) => Fault::status(status),
        Luck::Lost => Fault::connection_reset_after(),
    };
    simulator.inject(fault.containing(format!("\"{model}\"")).times(1_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens: the operation costs the sum of its rows, what it would have cost is counted once at most, the
    /// budget is never exceeded, and nothing is held when it is over.
    #[test]
    fn rows_add_up_to_the_operation_and_the_hold_covers_them(
        mini in luck(), nano in luck(), full in luck(), micros in 50_u64..12_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let simulator = Simulator::new();
            for (model, luck) in [(MINI, mini), (NANO, nano), (FULL, full)] {
                script(&simulator, model, luck);
            }
            let verifier = Finished::new().and(Agreement::on_number(NANO));
            let llm = client_of(&simulator)
                .with_router(CascadeRouter::new(MINI, verifier, FULL))
                .with_budget(hard(&format!("0.{micros:06}")))
                .build()
                .unwrap();
            let tracked = llm.tracked();
            let answer = tracked.chat().create(short(FULL, "hi")).await;
            let all = rows(&llm).await;
            let receipt = tracked.receipt().await.unwrap();
            prop_assert_eq!(receipt.entries().len(), all.len());
            prop_assert_eq!(receipt.cost(), all.iter().map(|row| row.cost.exact()).sum());
            prop_assert_eq!(receipt.answer().is_some(), answer.is_ok());
            prop_assert!(all.iter().all(|row| row.op_id == receipt.op_id()));
            let counted = all.iter().filter(|row| row.baseline.is_some_and(|baseline| baseline.cost > thrifty::Usd::ZERO));
            prop_assert!(counted.count() <= 1);
            let answered = receipt.answer().map(|row| row.id);
            for row in all.iter().filter(|row| row.baseline.is_some_and(|baseline| baseline.cost > thrifty::Usd::ZERO)) {
                prop_assert_eq!(Some(row.id), answered);
            }
            let status = llm.budgets().status().await.unwrap().remove(0);
            let most: UsdSum = all.iter().map(|row| row.cost.at_most().unwrap()).sum();
            prop_assert_eq!((status.spent, status.held, status.overruns), (most, UsdSum::ZERO, 0));
            prop_assert!(status.left >= UsdSum::ZERO);
            prop_assert!(llm.shutdown(std::time::Duration::ZERO).await.unwrap().is_empty());
            Ok(())
        })?;
    }
}
