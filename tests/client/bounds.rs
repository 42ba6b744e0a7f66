//! What a call can have cost at most, where no answer says what it cost.

use std::num::NonZeroU32;
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{CreateChatCompletionRequest, ServiceTier};
use thrifty::capability::CapabilityBook;
use thrifty::ledger::{Degradation, LedgerEntry, Status};
use thrifty::pricing::{Cost, PartialReason, PriceBook};
use thrifty::router::FixedRouter;
use thrifty::simulator::{Charge, Fault, LineFault, Simulator};
use thrifty::{Lane, LlmClient, RetryPolicy, Timestamp, Transport, Usd};
use tower::ServiceExt;

use super::{chat, client_of, only_row, rows};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn once() -> RetryPolicy {
    RetryPolicy::default().with_max_attempts(NonZeroU32::MIN)
}

/// A chat whose answer has a limit, so that its cost has one.
pub(super) fn short(model: &str) -> CreateChatCompletionRequest {
    let mut request = chat(model, "Name a river.");
    request.max_completion_tokens = Some(1_000);
    request
}

/// What the simulator has billed, by the built-in prices.
pub(super) fn billed(simulator: &Simulator) -> Usd {
    let (prices, book) = (PriceBook::builtin(), simulator.book());
    let cost = |charge: &Charge| {
        let at = Timestamp::from_unix_millis(charge.at * 1_000);
        let cost = prices.cost(&charge.model, charge.lane, &charge.usage, at);
        cost.exact().unwrap().as_pico()
    };
    Usd::from_pico(book.charges().iter().map(cost).sum())
}

/// The most that a row can have cost.
pub(super) fn most(row: &LedgerEntry) -> Usd {
    match row.cost {
        Cost::Priced(cost) => cost,
        Cost::Partial {
            at_most: Some(most), ..
        } => most,
        other => panic!("{other:?}"),
    }
}

/// A transport to the simulator that loses the usage of every answer.
fn without_usage(simulator: &Simulator) -> Transport {
    let service = simulator.service();
    Transport::service(tower::service_fn(move |request: HttpRequestFactory| {
        let service = service.clone();
        async move {
            let answer = service.oneshot(request).await?.text().await?;
            Ok::<_, OpenAIError>(http::Response::new(answer.replace("\"usage\"", "\"used\"")).into())
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_request_enqueued_directly_is_bounded_as_a_call_is() {
    for (is_missing, why, degradation) in [
        (true, PartialReason::LostAttempt, Degradation::Unreported),
        (false, PartialReason::NoUsage, Degradation::UsageMissing),
    ] {
        let simulator = Simulator::new();
        let transport = if is_missing {
            simulator.inject(Fault::line(LineFault::Missing));
            Transport::service(simulator.service())
        } else {
            without_usage(&simulator)
        };
        let llm = LlmClient::builder(simulator.client(), transport).build().unwrap();
        let handle = llm.collector().enqueue(&short("gpt-4o")).await.unwrap();
        assert_eq!(handle.await.is_err(), is_missing);
        let row = only_row(&llm).await;
        assert_eq!(row.degradations, [degradation]);
        let Cost::Partial { known, why: told, .. } = row.cost else {
            panic!("{:?}", row.cost);
        };
        assert_eq!((known, told), (Usd::ZERO, why));
        let billed = billed(&simulator);
        assert!(
            billed > Usd::ZERO && billed <= most(&row),
            "{billed} {}",
            row.cost
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_bounded_by_the_table_of_the_model_that_is_asked() {
    let request = |model: &str| -> CreateChatCompletionRequest {
        let image = serde_json::json!({"type": "image_url", "image_url": {"url": "https://x.example/y.png", "detail": "high"}});
        let message =
            serde_json::json!({"role": "user", "content": [{"type": "text", "text": "what?"}, image]});
        let body = serde_json::json!({"model": model, "max_completion_tokens": 10, "messages": [message]});
        serde_json::from_value(body).unwrap()
    };
    let mut bounds = Vec::new();
    for (route, asked) in [
        (Some("gpt-4o-mini"), "gpt-4o"),
        (None, "gpt-4o-mini"),
        (None, "gpt-4o"),
    ] {
        let simulator = Simulator::new();
        simulator.inject(Fault::connection_reset_after());
        let mut builder = client_of(&simulator).with_retry(once());
        if let Some(model) = route {
            builder = builder.with_router(FixedRouter::new(model));
        }
        let llm = builder.build().unwrap();
        llm.chat().create(request(asked)).await.unwrap_err();
        bounds.push(most(&*only_row(&llm).await));
    }
    assert_eq!(bounds[0], bounds[1]);
    // Eight tiles and the base of each table, 10 tokens of output, and the text by its bytes.
    assert!(bounds[0] >= Usd::from_pico((2_833 + 8 * 5_667) * 150_000));
    assert!(bounds[2] < Usd::from_pico((85 + 8 * 170 + 1_000) * 2_500_000));
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_is_bounded_by_the_model_that_it_asked() {
    let simulator = Simulator::new();
    simulator.inject(Fault::hang());
    simulator.inject(Fault::status(404));
    let llm = client_of(&simulator)
        .with_router(FixedRouter::new("o1"))
        .with_capabilities(CapabilityBook::empty())
        .build()
        .unwrap();
    llm.chat().create(short("gpt-4o-mini")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!((row.attempts, simulator.book().charges().len()), (3, 2));
    assert_eq!(row.sent_model.as_ref().unwrap().as_str(), "gpt-4o-mini");
    assert!(
        billed(&simulator) <= most(&row),
        "{} {}",
        billed(&simulator),
        row.cost
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_is_bounded_on_the_lane_that_it_asked_for() {
    let simulator = Simulator::new();
    simulator.inject(Fault::connection_reset_after());
    simulator.inject(Fault::change(|answer| answer["service_tier"] = "default".into()));
    let llm = client_of(&simulator).build().unwrap();
    let mut request = short("gpt-4o");
    request.service_tier = Some(ServiceTier::Priority);
    llm.chat().create(request.clone()).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.lane, Lane::Standard);
    // A thousand tokens of output at the priority rate, and not at the standard one.
    let Cost::Partial { known, .. } = row.cost else {
        panic!("{:?}", row.cost);
    };
    let lost = most(&row).checked_sub(known).unwrap();
    assert!(lost >= Usd::from_pico(1_000 * 17_000_000), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_line_lost_on_the_faster_lane_is_bounded_on_the_lane_that_its_body_asks_for() {
    let simulator = Simulator::builder().with_batch_delay(5 * HOUR).build();
    simulator.inject(Fault::hang().on("/chat/completions").times(9));
    let llm = client_of(&simulator).with_retry(once()).build().unwrap();
    let mut request = short("gpt-4o");
    request.service_tier = Some(ServiceTier::Priority);
    llm.within(3 * HOUR).chat().create(request).await.unwrap();
    let rows = rows(&llm).await;
    let lost = rows.iter().find(|row| row.status == Status::Unanswered).unwrap();
    assert_eq!(lost.lane, Lane::Priority);
    assert!(most(lost) >= Usd::from_pico(1_000 * 17_000_000), "{}", lost.cost);
}
