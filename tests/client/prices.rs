//! What is billed beside text, by which host, and by which edition of the prices.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::responses::{CreateResponse, CreateResponseArgs};
use futures_util::StreamExt;
use thrifty::LlmClient;
use thrifty::ledger::{Degradation, LedgerEntry};
use thrifty::pricing::{Price, PriceBook, PriceSource};
use thrifty::simulator::Simulator;

use super::{chat, client_of, only_row, rows, scripted};

const SEARCHED: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5",
    "service_tier":"default","output":[
    {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},
    {"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"https://a.example"}},
    {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[]}],
    "usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":0},"output_tokens":100,
    "output_tokens_details":{"reasoning_tokens":0},"total_tokens":1100}}"#;

fn ask(model: &str) -> CreateResponse {
    CreateResponseArgs::default()
        .model(model)
        .input("When is high tide?")
        .build()
        .unwrap()
}

/// 1,000 x 1.25 + 100 x 10 millionths, and a search for 0.01.
fn assert_search_is_billed(row: &LedgerEntry) {
    assert_eq!(row.usage.unwrap().tool_calls.web_search, 1);
    assert_eq!(row.cost.to_string(), "$0.01225");
    assert_eq!(row.price_source, Some(PriceSource::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn a_search_of_the_web_is_billed() {
    let llm = LlmClient::builder(Client::new(), scripted([(200, SEARCHED)]))
        .build()
        .unwrap();
    llm.responses().create(ask("gpt-5")).await.unwrap();
    assert_search_is_billed(&*only_row(&llm).await);
}

#[tokio::test(start_paused = true)]
async fn a_search_of_the_web_is_billed_when_it_is_streamed() {
    let answer = SEARCHED.replace('\n', "");
    let body = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{answer}}}\n\n"
    );
    let llm = LlmClient::builder(Client::new(), scripted([(200, &body)]))
        .build()
        .unwrap();
    let mut stream = llm.responses().create_stream(ask("gpt-5")).await.unwrap();
    while stream.next().await.is_some() {}
    drop(stream);
    assert_search_is_billed(&*only_row(&llm).await);
}

#[tokio::test(start_paused = true)]
async fn cache_writes_that_may_be_kept_for_12_hours_are_a_range() {
    const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5.6-sol","choices":[],
        "usage":{"prompt_tokens":1000,"completion_tokens":0,"total_tokens":1000,
        "prompt_tokens_details":{"cache_write_tokens":500}}}"#;
    let transport = scripted([(200, ANSWER), (200, ANSWER)]);
    let llm = LlmClient::builder(Client::new(), transport).build().unwrap();
    let plain = chat("gpt-5.6-sol", "Hello");
    let mut kept = serde_json::to_value(&plain).unwrap();
    kept["messages"][0]["content"] = serde_json::json!([
        {"type": "text", "text": "Hello", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    ]);
    llm.chat().create(plain).await.unwrap();
    llm.chat()
        .create(serde_json::from_value(kept).unwrap())
        .await
        .unwrap();
    let rows = rows(&llm).await;
    // 500 x 4 + 500 x 5, or 500 x 4 + 500 x 10.
    assert_eq!(rows[0].cost.to_string(), "$0.0045");
    let baseline = rows[0].baseline.unwrap();
    assert_eq!(baseline.cache_writes, "0.0005".parse().unwrap());
    assert_eq!(baseline.cache, "-0.0005".parse().unwrap());
    assert!(
        rows[1].cost.to_string().starts_with("$0.0045 to $0.007 ("),
        "{}",
        rows[1].cost
    );
}

#[tokio::test(start_paused = true)]
async fn new_prices_hold_for_all_clones_and_scopes_and_not_for_calls_under_way() {
    let simulator = Simulator::new();
    let llm = client_of(&simulator).build().unwrap();
    let scope = llm.feature("tides");
    let before = llm.prices().revision().clone();
    let under_way = llm
        .chat()
        .create_stream(chat("gpt-4o", "Count to three."))
        .await
        .unwrap();
    let dearer =
        PriceBook::builtin().with_price("gpt-4o-2024-08-06", Price::per_mtok("1000", "1000").unwrap());
    scope.set_prices(dearer.clone());
    let _: Vec<_> = under_way.collect().await;
    llm.clone()
        .chat()
        .create(chat("gpt-4o", "Count to three."))
        .await
        .unwrap();
    let rows = rows(&llm).await;
    assert_eq!(rows[0].price_revision.as_ref(), Some(&before));
    assert_eq!(rows[0].price_source, Some(PriceSource::Confirmed));
    assert_eq!(rows[1].price_revision.as_ref(), Some(dearer.revision()));
    assert_eq!(rows[1].price_source, Some(PriceSource::Own));
    assert!(rows[1].cost.exact() > rows[0].cost.exact());
}

#[tokio::test(start_paused = true)]
async fn calls_to_a_regional_host_cost_what_the_region_adds() {
    let answer = SEARCHED.replace("\"model\":\"gpt-5\"", "\"model\":\"gpt-5.4\"");
    let transport = scripted([(200, answer.as_str()), (200, answer.as_str())]);
    let config = OpenAIConfig::new().with_api_base("https://eu.api.openai.com/v1");
    let llm = LlmClient::builder(Client::with_config(config), transport)
        .build()
        .unwrap();
    llm.responses().create(ask("gpt-5.4")).await.unwrap();
    llm.set_prices(PriceBook::builtin());
    llm.responses().create(ask("gpt-5.4")).await.unwrap();
    for row in rows(&llm).await {
        // 1.1 x (1,000 x 2.50 + 100 x 15) = 4,400 millionths, and a search for 0.01.
        assert_eq!(row.cost.to_string(), "$0.0144");
        assert_eq!(row.price_source, Some(PriceSource::SingleSource));
    }
}

#[tokio::test(start_paused = true)]
async fn counts_that_are_less_than_their_total_are_a_lower_bound() {
    const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[],
        "usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1600}}"#;
    let llm = LlmClient::builder(Client::new(), scripted([(200, ANSWER)]))
        .build()
        .unwrap();
    llm.chat().create(chat("gpt-4o", "Hello")).await.unwrap();
    let row = only_row(&llm).await;
    assert_eq!(row.degradations, [Degradation::UsageUnreadable]);
    let cost = row.cost.to_string();
    assert!(cost.starts_with("$0.0035 to "), "{cost}");
}
