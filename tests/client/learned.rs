//! A router that learns from what the application says of the answers.

use async_openai::config::Config;
use thrifty::LlmClient;
use thrifty::ledger::LedgerEntry;
use thrifty::router::{LearnedRouter, Quality, Route, Threshold, Trainer, TrainingLog, router_fn};
use thrifty::simulator::Simulator;

use std::sync::Arc;

use super::{chat, client_of, rows};

const HARD: &str = "Prove that the sum of two odd numbers is even";
const EASY: &str = "Translate this line to French";

/// Asks, and says how good the answer was: the cheap model proves nothing.
async fn ask_and_rate<C: Config + Clone + 'static>(llm: &LlmClient<C>, text: &str) -> Arc<LedgerEntry> {
    llm.chat().create(chat("auto", text)).await.unwrap();
    let row = rows(llm).await.pop().unwrap();
    let is_cheap = row.sent_model.as_ref().unwrap().as_str() == "gpt-4o-mini";
    llm.observe(row.op_id, Quality::from(!(is_cheap && text.starts_with("Prove"))));
    row
}

#[tokio::test]
async fn what_the_application_says_of_answers_makes_the_routes_better() {
    let dir = tempfile::tempdir().unwrap();
    let log = TrainingLog::open(dir.path()).unwrap();
    let alternates = router_fn(|request| match request.latest_user_text() {
        Some(text) if text.len() % 2 == 0 => Route::to("gpt-4o").because("even"),
        _ => Route::to("gpt-4o-mini").because("odd"),
    });
    let router = LearnedRouter::untrained(["gpt-4o-mini", "gpt-4o"], alternates).unwrap();
    let router = Arc::new(router.with_log(log.clone()).with_exploration(0.3, 7));
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(Arc::clone(&router))
        .build()
        .unwrap();

    let texts = |n: usize| {
        let text = if n.is_multiple_of(3) { HARD } else { EASY };
        format!("{text}{}", "!".repeat(n % 4))
    };
    for n in 0..400 {
        ask_and_rate(&llm, &texts(n)).await;
    }
    assert_eq!(log.report().unwrap().ratings, 400);
    let model = log.train(&Trainer::new(["gpt-4o-mini", "gpt-4o"])).unwrap();
    router.install(model, Threshold::at(0.3).unwrap()).unwrap();
    assert_eq!(router.learn(), 0, "the model was trained on these");
    for n in 0..600 {
        let row = ask_and_rate(&llm, &texts(n)).await;
        let reason = row.reason.as_deref().unwrap();
        assert!(
            reason.starts_with("fallback, in shadow: ") || reason.starts_with("explored, "),
            "{reason}"
        );
    }
    let verdict = router.promote_by_ratings();
    assert!(verdict.is_promoted(), "{verdict}");

    for n in 0..60 {
        let row = ask_and_rate(&llm, &texts(n)).await;
        let reason = row.reason.as_deref().unwrap();
        assert!(
            !reason.contains("Prove") && !reason.contains("French"),
            "{reason}"
        );
        if reason.starts_with("learned: ") {
            let expected = if n.is_multiple_of(3) {
                "gpt-4o"
            } else {
                "gpt-4o-mini"
            };
            assert_eq!(row.sent_model.as_ref().unwrap().as_str(), expected, "{reason}");
        }
    }
}
