//! What a call costs, whom it is booked for, and that nothing else changes.

use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::responses::CreateResponseArgs;
use thrifty::ledger::{Dimension, Query, Role, Status};
use thrifty::pricing::{Cost, UnpricedReason};
use thrifty::simulator::{Charge, Fault, Simulator};
use thrifty::{Lane, Usd};

use super::{chat, client_of, only_row, rows};

/// What OpenAI's price page asks for `gpt-4o`, in pico-dollars: $2.50, $1.25 cached and $10 a million tokens.
fn gpt_4o(charge: &Charge) -> Usd {
    price(charge, [2_500_000, 1_250_000, 10_000_000])
}

fn price(charge: &Charge, [input, cached, output]: [u64; 3]) -> Usd {
    let usage = charge.usage;
    let pico = (usage.input_tokens - usage.cache_read_tokens) * input
        + usage.cache_read_tokens * cached
        + usage.output_tokens * output;
    Usd::from_pico(pico.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_chat_is_one_row_at_the_price_of_the_model_that_served_it() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    llm.chat().create(chat("gpt-4o", "Name a river.")).await.unwrap();
    let row = only_row(&llm).await;
    let book = simulator.book();
    let charge = &book.charges()[0];
    assert_eq!(row.requested_model.as_ref().unwrap().as_str(), "gpt-4o");
    assert_eq!(row.served_model.as_ref().unwrap().as_str(), "gpt-4o-2024-08-06");
    assert_eq!(
        (row.role, row.status, row.lane),
        (Role::Primary, Status::Succeeded, Lane::Standard)
    );
    assert_eq!(
        (row.attempts, row.http_status, row.usage),
        (1, Some(200), Some(charge.usage))
    );
    assert_eq!(row.cost, Cost::Priced(gpt_4o(charge)));
    assert_eq!(row.savings().unwrap().as_pico(), 0);
    assert!(row.provider_id.as_ref().unwrap().starts_with("req_"));
    assert_eq!(row.degradations, []);
}

#[tokio::test(start_paused = true)]
async fn cached_input_is_cheaper_and_counted_as_saved() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let prompt: String = (0..3_000)
        .flat_map(|number| [number.to_string(), " ".to_owned()])
        .collect();
    for _ in 0..2 {
        llm.chat().create(chat("gpt-4o", &prompt)).await.unwrap();
    }
    let (rows, book) = (rows(&llm).await, simulator.book());
    let again = &book.charges()[1];
    assert!(again.usage.cache_read_tokens >= 1_024);
    assert_eq!(rows[1].cost, Cost::Priced(gpt_4o(again)));
    let saved = again.usage.cache_read_tokens * 1_250_000;
    assert_eq!(
        rows[1].baseline.unwrap().cache.as_pico(),
        i64::try_from(saved).unwrap()
    );
    assert_eq!(rows[1].savings().unwrap().as_pico(), i128::from(saved));
}

#[tokio::test(start_paused = true)]
async fn responses_and_embeddings_are_metered_too() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let request = CreateResponseArgs::default()
        .model("gpt-5-mini")
        .input("Why is the sky blue?")
        .build();
    llm.responses().create(request.unwrap()).await.unwrap();
    let request = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input("a short text")
        .build();
    llm.embeddings().create(request.unwrap()).await.unwrap();
    let (rows, book) = (rows(&llm).await, simulator.book());
    assert!(rows[0].usage.unwrap().reasoning_tokens > 0);
    assert_eq!(
        rows[0].cost,
        Cost::Priced(price(&book.charges()[0], [250_000, 25_000, 2_000_000]))
    );
    assert_eq!(
        rows[1].cost,
        Cost::Priced(price(&book.charges()[1], [20_000, 0, 0]))
    );
    assert_eq!(rows[1].endpoint.as_str(), "/v1/embeddings");
}

#[tokio::test(start_paused = true)]
async fn a_priority_call_costs_what_its_tier_costs() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let mut request = chat("gpt-4o", "Quick: name a river.");
    request.service_tier = Some(async_openai::types::chat::ServiceTier::Priority);
    llm.chat().create(request).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.lane, Lane::Priority);
    let cost = price(&simulator.book().charges()[0], [4_250_000, 2_125_000, 17_000_000]);
    assert_eq!(row.cost, Cost::Priced(cost));
    assert!(row.baseline.unwrap().lane < Usd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_a_row_that_cost_nothing() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    simulator.inject(Fault::status(401));
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    let row = only_row(&llm).await;
    assert_eq!(
        (row.status, row.http_status, row.attempts),
        (Status::Failed, Some(401), 1)
    );
    assert_eq!(row.cost, Cost::Priced(Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn scopes_say_whom_a_call_was_for_and_survive_a_spawn() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let scope = llm.feature("summaries").user("u-17").tag("team", "search");
    let task = tokio::spawn(async move {
        let inner = scope.tag("step", "2");
        inner.chat().create(chat("gpt-4o", "hi")).await
    });
    task.await.unwrap().unwrap();
    llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    let rows = rows(&llm).await;
    let whom = &rows[0].attribution;
    assert_eq!((whom.feature(), whom.user()), (Some("summaries"), Some("u-17")));
    assert_eq!((whom.tag("team"), whom.tag("step")), (Some("search"), Some("2")));
    assert_eq!(rows[1].attribution.feature(), None);
    let spend = llm
        .ledger()
        .query(&Query::new().group_by(Dimension::Feature))
        .await
        .unwrap();
    assert_eq!((spend.groups.len(), spend.total.calls), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_tracked_call_hands_out_a_receipt() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let tracked = llm.feature("summaries").tracked();
    assert_eq!(tracked.receipt().await, None);
    tracked
        .user("u-1")
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap();
    let receipt = tracked.receipt().await.unwrap();
    assert_eq!(receipt.entries(), [only_row(&llm).await]);
    assert_eq!(receipt.op_id(), receipt.entries()[0].op_id);
    assert_eq!(receipt.served_model().unwrap().as_str(), "gpt-4o-2024-08-06");
    assert_eq!(
        receipt.cost(),
        Some(gpt_4o(&simulator.book().charges()[0]).into())
    );
    assert_eq!(tracked.receipt().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_metered_passes_and_is_booked_unpriced() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let listed = llm.feature("admin").models().list().await.unwrap();
    assert_eq!(listed, simulator.client().models().list().await.unwrap());
    let row = only_row(&llm).await;
    assert_eq!(row.cost, Cost::Unpriced(UnpricedReason::UnmeteredEndpoint));
    assert_eq!(
        (row.status, row.http_status, row.attempts),
        (Status::Succeeded, Some(200), 1)
    );
    assert_eq!(
        (row.endpoint.as_str(), row.attribution.feature()),
        ("GET /models", Some("admin"))
    );
    let spend = llm.ledger().query(&Query::new()).await.unwrap();
    assert_eq!(spend.total.coverage.unpriced, 1);
}

#[tokio::test(start_paused = true)]
async fn requests_and_answers_are_those_of_the_bare_client() {
    let (bare, wrapped) = (Simulator::new(), Simulator::new());
    let llm = client_of(&wrapped).build().unwrap();
    let request = chat("gpt-4o", "Name a river, or a \"model\": \u{1f30a}.");
    let expected = bare.client().chat().create(request.clone()).await.unwrap();
    assert_eq!(llm.chat().create(request).await.unwrap(), expected);
    bare.inject(Fault::status(400));
    wrapped.inject(Fault::status(400));
    let expected = bare
        .client()
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap_err();
    let error = llm.chat().create(chat("gpt-4o", "hi")).await.unwrap_err();
    assert_eq!(format!("{error:?}"), format!("{expected:?}"));
    assert_eq!(wrapped.requests(), bare.requests());
}
