//! What budgets cost, and when they begin to refuse: `cargo bench --bench budget`.
//!
//! That they are never exceeded is a test: `cargo test --release --test client many_callers -- --nocapture`.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use futures_util::FutureExt;
use futures_util::future::join_all;
use thrifty::budget::{Admission, Budget, Budgets, Each, Estimate, Hold, Window};
use thrifty::pricing::Cost;
use thrifty::simulator::Simulator;
use thrifty::{Attribution, LlmClient, ModelId, Transport, Usd, UsdSum};

fn main() {
    reserve_and_settle();
    first_refusal();
}

/// One call against four budgets, in memory: the time of day, the lock, the accounts, and back.
fn reserve_and_settle() {
    const CALLS: u32 = 10_000;
    let limit = || "1000000".parse::<Usd>().unwrap();
    let budgets = Budgets::builder()
        .with_budget(Budget::new("all", limit()).per(Window::month()))
        .with_budget(
            Budget::new("feature", limit())
                .for_feature("summaries")
                .per(Window::day()),
        )
        .with_budget(
            Budget::new("users", limit())
                .for_each(Each::User)
                .per(Window::hour()),
        )
        .with_budget(Budget::new("model", limit()).for_model("gpt-4o"))
        .build()
        .unwrap();
    let caller = Attribution::default().with_feature("summaries").with_user("u-17");
    let model = ModelId::new("gpt-4o");
    let call = Estimate::of(&model, Some("0.01".parse().unwrap()));
    let cost = Cost::Priced("0.000001".parse().unwrap());
    let round = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            let hold: Hold = budgets
                .reserve(black_box(&caller), black_box(&call))
                .now_or_never()
                .unwrap()
                .unwrap();
            hold.settle(Some(&model), black_box(&cost), None);
        }
        start.elapsed() / CALLS
    };
    round();
    let best = (0..100).map(|_| round()).min().unwrap();
    let status = budgets.status().now_or_never().unwrap().unwrap();
    assert!(status.len() == 4 && status.iter().all(|status| status.spent > UsdSum::ZERO));
    println!("goal budget/reserve-settle-4: {} ns (<= 200)", best.as_nanos());
}

/// 64 callers share $20; each call can cost up to 16,384 tokens of output, and costs far less.
fn first_refusal() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let spent_at_first_refusal = |admission: Admission| {
        runtime.block_on(async {
            let limit: Usd = "20.00".parse().unwrap();
            let simulator = Simulator::builder()
                .with_request_log(0)
                .with_latency(Duration::from_millis(200))
                .build();
            let llm = LlmClient::builder(simulator.client(), Transport::service(simulator.service()))
                .with_budget(Budget::new("all", limit).with_admission(admission))
                .build()
                .unwrap();
            let is_refused = AtomicBool::new(false);
            let caller = |number: usize| {
                let (llm, is_refused) = (llm.clone(), &is_refused);
                let request = CreateChatCompletionRequestArgs::default()
                    .model("gpt-5.4")
                    .max_completion_tokens(16_384_u32)
                    .messages([
                        ChatCompletionRequestUserMessage::from(format!("Tell story {number}.")).into(),
                    ])
                    .build()
                    .unwrap();
                async move {
                    let mut at = None;
                    while !is_refused.load(Ordering::Relaxed) {
                        if llm.chat().create(request.clone()).await.is_err() {
                            is_refused.store(true, Ordering::Relaxed);
                            at = Some(llm.budgets().status().await.unwrap().remove(0).spent);
                        }
                    }
                    at
                }
            };
            let first = join_all((0..64).map(caller))
                .await
                .into_iter()
                .flatten()
                .min()
                .unwrap();
            first.per_mille_of(limit.into()).unwrap()
        })
    };
    let percent = |per_mille: i64| format!("{}.{} %", per_mille / 10, per_mille % 10);
    let waiting = spent_at_first_refusal(Admission::Wait(Duration::from_secs(600)));
    let without = spent_at_first_refusal(Admission::Reject);
    println!(
        "goal budget/first-refusal: at {} spent (>= 95 %; without waiting {})",
        percent(waiting),
        percent(without)
    );
}
