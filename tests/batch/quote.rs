//! What requests would cost, before they are enqueued.

use std::time::Duration;

use serde_json::json;
use thrifty::batch::{BatchCollector, BatchPolicy, InvalidRequest};
use thrifty::{Endpoint, UsdSum};

use thrifty::pricing::PriceBook;

use super::fake::FakeApi;
use super::{ask, some};

fn collector(policy: BatchPolicy) -> BatchCollector {
    BatchCollector::builder(FakeApi::default())
        .with_policy(policy)
        .build()
}

fn usd(amount: &str) -> UsdSum {
    amount.parse().unwrap()
}

#[test]
fn a_quote_is_what_the_price_list_says_for_the_input_and_for_all_output() {
    let body = |model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": "hello world"}], "max_completion_tokens": 1_000})
            .to_string()
    };
    let requests = vec![(Endpoint::ChatCompletions, body("gpt-4o")); 1_000];
    let quote = collector(BatchPolicy::default()).quote_raw(requests, &PriceBook::builtin());
    assert_eq!((quote.lines, quote.batches, quote.refused.len()), (1_000, 1, 0));
    // Two tokens, and seven around them.
    assert_eq!(quote.input_tokens, 9_000);
    // $2.50 and $10 a million tokens, and half of that.
    assert_eq!(quote.standard.input, Some(usd("0.0225")));
    assert_eq!(quote.standard.with_all_output, Some(usd("10.0225")));
    assert_eq!(quote.batch.input, Some(usd("0.01125")));
    assert_eq!(quote.batch.with_all_output, Some(usd("5.01125")));

    let unknown = vec![(Endpoint::ChatCompletions, body("nobody-knows-it"))];
    let quote = collector(BatchPolicy::default()).quote_raw(unknown, &PriceBook::builtin());
    assert_eq!((quote.lines, quote.batch.input), (1, None));
}

#[test]
fn a_quote_counts_the_files_and_names_what_would_be_refused() {
    let policy = BatchPolicy::default().with_max_requests(10.try_into().unwrap());
    let collector = collector(policy);
    let quote = collector.quote(&(0..25).map(ask).collect::<Vec<_>>(), &PriceBook::builtin());
    assert_eq!((quote.lines, quote.batches), (25, 3));
    assert_eq!(quote.batch.with_all_output, None, "no limit of output is set");
    assert_eq!(quote.expected, Duration::from_secs(3_600));

    let two = [
        (
            Endpoint::ChatCompletions,
            r#"{"model":"gpt-4o","messages":[],"stream":true}"#,
        ),
        (
            Endpoint::Embeddings,
            r#"{"model":"text-embedding-3-small","input":"a"}"#,
        ),
    ];
    let quote = collector.quote_raw(two, &PriceBook::builtin());
    assert_eq!((quote.lines, quote.batches), (1, 1));
    assert_eq!(quote.refused, [(0, InvalidRequest::Stream)]);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_quote_are_those_that_are_uploaded() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    let quote = collector.quote(&(0..12).map(ask).collect::<Vec<_>>(), &PriceBook::builtin());
    for handle in some(&collector, 12).await {
        assert!(handle.await.is_ok());
    }
    assert_eq!(api.made()[0].1 as u64, quote.bytes);
}
