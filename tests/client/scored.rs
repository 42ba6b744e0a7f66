//! A cascade whose cheap answers are judged by what was learned of answers.

use thrifty::ledger::LedgerEntry;
use thrifty::router::verify::{Agreement, Finished, LearnedVerifier, Verdict, VerifierExt};
use thrifty::router::{CascadeRouter, Labelled, LabelledAnswer, Threshold, Trainer};
use thrifty::simulator::Simulator;

use super::cascades::{FULL, MINI, says, short};
use super::{client_of, rows};

const NANO: &str = "gpt-4.1-nano";

/// Learned from answers that are bad if they doubt, or if a second model does not agree.
fn trained() -> LearnedVerifier {
    let row = |n: usize| {
        let (doubts, agreed) = (n.is_multiple_of(3), !n.is_multiple_of(4));
        let text = if doubts {
            "perhaps 42, hard to say"
        } else {
            "surely 42"
        };
        let labelled = Labelled::new(format!("hi {n}"))
            .with_quality(MINI, !doubts && agreed)
            .with_quality(FULL, true);
        let verdict = if agreed {
            Verdict::Accept
        } else {
            Verdict::Reject("no")
        };
        LabelledAnswer::new(labelled, text).with_verdict(verdict)
    };
    let rows: Vec<_> = (0..600).map(row).collect();
    let model = Trainer::new([MINI, FULL]).train_answers(&rows, None).unwrap();
    LearnedVerifier::new(model).with_threshold(Threshold::at(0.2).unwrap())
}

fn sent(row: &LedgerEntry) -> &str {
    row.sent_model.as_ref().map_or("", |model| model.as_str())
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_handed_out_or_asked_again_by_what_was_learned() {
    for (answer, second, asked) in [
        ("surely 42", "42", vec![NANO, MINI]),
        ("surely 42", "43", vec![NANO, MINI, FULL]),
        ("perhaps 42, hard to say", "42", vec![NANO, MINI, FULL]),
    ] {
        let simulator = Simulator::new();
        says(&simulator, MINI, answer);
        says(&simulator, NANO, second);
        says(&simulator, FULL, "strong");
        let verifier = Finished::new().and(trained().hearing(Agreement::on_number(NANO)));
        let llm = client_of(&simulator)
            .with_router(CascadeRouter::new(MINI, verifier, FULL))
            .build()
            .unwrap();
        let got = llm.chat().create(short(FULL, "hi 7")).await.unwrap();
        let expected = if asked.contains(&FULL) { "strong" } else { answer };
        assert_eq!(got.choices[0].message.content.as_deref(), Some(expected));
        let rows = rows(&llm).await;
        let mut models: Vec<_> = rows.iter().map(|row| sent(row)).collect();
        models.sort_by_key(|model| [NANO, MINI, FULL].iter().position(|one| one == model));
        assert_eq!(models, asked);
        let escalated = rows.iter().find(|row| sent(row) == FULL);
        if let Some(row) = escalated {
            let why = row.reason.as_deref().unwrap();
            assert!(
                why.ends_with("not accepted: the next model's answer is probably better"),
                "{why}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_model_that_nothing_was_learned_of_are_not_accepted() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator)
        .with_router(CascadeRouter::new(NANO, trained(), FULL))
        .build()
        .unwrap();
    llm.chat().create(short(FULL, "hi")).await.unwrap();
    assert_eq!(rows(&llm).await.len(), 2);
}
