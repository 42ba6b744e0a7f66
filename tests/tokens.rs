//! Counting requests: against the published examples, against the tokenizer alone, and on what would break it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use thrifty::Endpoint;
use thrifty::tokens::{Basis, Count, ImageRule, TokenCounter};
use thrifty::wire::RequestView;
use tiktoken_rs::{ChatCompletionRequestMessage, FunctionCall, num_tokens_from_messages};

fn count_of(endpoint: &Endpoint, body: &Value) -> Count {
    let body = body.to_string();
    let view = RequestView::read(body.as_bytes()).unwrap();
    let counter = TokenCounter::new();
    let count = counter.count_request(endpoint, &view);
    let (low, high) = counter.bounds(endpoint, &view);
    assert!(
        count.low <= count.tokens && count.tokens <= count.high,
        "{count:?} of {body}"
    );
    assert!(
        low <= count.low && count.high <= high,
        "{count:?} in {low}..={high} of {body}"
    );
    for limit in [
        0,
        count.low,
        count.tokens,
        count.tokens.saturating_sub(1),
        count.high,
        high / 2,
        high,
    ] {
        assert_eq!(
            counter.exceeds(endpoint, &view, limit),
            count.exceeds(limit),
            "{limit} for {count:?} of {body}"
        );
    }
    count
}

fn chat(body: &Value) -> Count {
    count_of(&Endpoint::ChatCompletions, body)
}

fn cookbook_messages() -> Value {
    json!([
        {"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
        {"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
        {"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
        {"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ])
}

#[test]
fn the_cookbooks_chat_is_counted_as_the_api_counted_it() {
    for (model, tokens) in [
        ("gpt-3.5-turbo", 129),
        ("gpt-4-0613", 129),
        ("gpt-4o", 124),
        ("gpt-4o-mini-2024-07-18", 124),
    ] {
        let count = chat(&json!({"model": model, "messages": cookbook_messages()}));
        assert_eq!((count.tokens, count.basis), (tokens, Basis::Exact), "{model}");
    }
    let count = chat(&json!({"model": "gpt-5", "messages": cookbook_messages()}));
    assert_eq!((count.tokens, count.basis), (124, Basis::Estimated));
    let count = chat(&json!({"model": "gpt-6", "messages": cookbook_messages()}));
    assert_eq!((count.tokens, count.basis), (124, Basis::Estimated));
    assert!(count.low < 70 && count.high > 200);
}

#[test]
fn the_cookbooks_tool_is_counted_as_the_api_counted_it() {
    // Not through a `Value`: the order of members is part of the count.
    let body = r#"{"model":"gpt-4o","messages":[
        {"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
        {"role":"user","content":"What's the weather like in San Francisco?"}],
        "tools":[{"type":"function","function":{"name":"get_current_weather",
        "description":"Get the current weather in a given location","parameters":{"type":"object","properties":{
        "location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
        "unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},
        "required":["location"]}}}]}"#;
    let view = RequestView::read(body.as_bytes()).unwrap();
    let count = TokenCounter::new().count_request(&Endpoint::ChatCompletions, &view);
    assert_eq!((count.tokens, count.basis), (101, Basis::Estimated));
    assert!(count.low < 101 && count.high > 101);
}

#[test]
fn plain_chats_and_tool_calls_count_as_with_tiktoken_alone() {
    let call = |name: &str, arguments: &str| FunctionCall {
        name: name.into(),
        arguments: arguments.into(),
    };
    let messages = [
        ChatCompletionRequestMessage {
            role: "user".into(),
            content: Some("Was ist 2 + 2? \u{4f60}\u{597d}".into()),
            name: Some("ana".into()),
            ..Default::default()
        },
        ChatCompletionRequestMessage {
            role: "assistant".into(),
            tool_calls: vec![call("add", "{\"a\":2,\"b\":2}")],
            ..Default::default()
        },
        ChatCompletionRequestMessage {
            role: "tool".into(),
            content: Some("4\n".into()),
            ..Default::default()
        },
    ];
    let body = json!([
        {"role":"user","content":"Was ist 2 + 2? \u{4f60}\u{597d}","name":"ana"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"add","arguments":"{\"a\":2,\"b\":2}"}}]},
        {"role":"tool","tool_call_id":"c","content":"4\n"},
    ]);
    for model in ["gpt-4o", "gpt-4", "gpt-4.1-mini"] {
        let raw = |messages: &[_]| num_tokens_from_messages(model, messages).unwrap() as u64;
        let plain = chat(&json!({"model": model, "messages": [body[0], body[2]]}));
        assert_eq!(
            plain,
            Count::exact(raw(&[messages[0].clone(), messages[2].clone()]))
        );
        let with_call = chat(&json!({"model": model, "messages": body}));
        let raw = raw(&messages);
        assert!(with_call.low <= raw && raw <= with_call.high && with_call.tokens.abs_diff(raw) <= 2);
        assert_eq!(with_call.basis, Basis::Estimated);
    }
}

#[test]
fn special_tokens_in_a_text_are_ordinary_text() {
    let counter = TokenCounter::new();
    for model in ["gpt-4o", "gpt-4"] {
        assert_eq!(counter.count_text(model, "<|endoftext|>"), Count::exact(7));
        assert!(counter.count_text(model, "<|im_start|>x<|endofprompt|>").tokens > 10);
    }
}

#[test]
fn embeddings_are_counted_as_texts_or_as_tokens() {
    let embeddings = |input: Value| {
        count_of(
            &Endpoint::Embeddings,
            &json!({"model": "text-embedding-3-small", "input": input}),
        )
    };
    let one = embeddings(json!("Hello, world!"));
    assert_eq!(one, Count::exact(4));
    assert_eq!(
        embeddings(json!(["Hello, world!", "", "Hello, world!"])),
        one + one
    );
    assert_eq!(embeddings(json!([9906, 11, 1917])), Count::exact(3));
    assert_eq!(embeddings(json!([[9906, 11], [0]])), Count::exact(3));
    assert_eq!(embeddings(json!({"no": 1})).basis, Basis::Bounded);
}

#[test]
fn responses_are_framed_like_chats_and_say_that_this_is_an_estimate() {
    let responses = |body: Value| count_of(&Endpoint::Responses, &body);
    let short = responses(json!({"model":"gpt-4o","input":"Hello, world!","instructions":"Be brief."}));
    let long = responses(json!({"model":"gpt-4o","instructions":"Be brief.",
        "input":[{"role":"user","content":[{"type":"input_text","text":"Hello, world!"}]}]}));
    assert_eq!((short.tokens, short.basis), (18, Basis::Estimated));
    assert_eq!(short.tokens, long.tokens);
    let tools =
        json!([{"type":"function","name":"f","parameters":{"properties":{"file":{"type":"string"}}}}]);
    let items = json!([
        {"type":"function_call","call_id":"c","name":"f","arguments":"{\"file\":1}"},
        {"type":"function_call_output","call_id":"c","output":"done"},
        {"type":"reasoning","id":"r","summary":[]},
    ]);
    let count = responses(
        json!({"model":"gpt-4o","input":items,"tools":tools,"text":{"format":{"type":"json_schema","schema":{}}}}),
    );
    assert!(count.high < 1_000 && count.tokens > 30, "{count:?}");
}

#[test]
fn what_only_the_provider_can_see_has_no_upper_bound() {
    let message = |part: Value| json!({"model":"gpt-4o","messages":[{"role":"user","content":[part]}]});
    for (endpoint, body) in [
        (
            Endpoint::ChatCompletions,
            message(json!({"type":"file","file":{"file_id":"f"}})),
        ),
        (
            Endpoint::ChatCompletions,
            json!({"model":"gpt-4o","messages":[{"role":"assistant","audio":{"id":"a"}}]}),
        ),
        (
            Endpoint::ChatCompletions,
            json!({"model":"gpt-4o","messages":[],"web_search_options":{}}),
        ),
        (
            Endpoint::Responses,
            json!({"model":"gpt-4o","input":"x","previous_response_id":"r"}),
        ),
        (
            Endpoint::Responses,
            json!({"model":"gpt-4o","input":"x","prompt":{"id":"p"}}),
        ),
        (
            Endpoint::Responses,
            json!({"model":"gpt-4o","input":"x","tools":[{"type":"web_search"}]}),
        ),
        (
            Endpoint::Responses,
            json!({"model":"gpt-4o","input":[{"type":"item_reference","id":"i"}]}),
        ),
        (
            Endpoint::Other("POST /images".into()),
            json!({"model":"gpt-image-1","prompt":"x"}),
        ),
    ] {
        let count = count_of(&endpoint, &body);
        assert_eq!((count.high, count.basis), (u64::MAX, Basis::Bounded), "{body}");
    }
    let audio = chat(&message(
        json!({"type":"input_audio","input_audio":{"data":"A".repeat(60_000),"format":"wav"}}),
    ));
    assert!(audio.basis == Basis::Bounded && audio.high < 1_000, "{audio:?}");
}

#[test]
fn images_are_counted_by_their_size_and_never_tokenized() {
    let png = format!(
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAABAAAAAQA{}",
        "A".repeat(1_000_000)
    );
    let body = |model: &str, url: &str, detail: &str| {
        json!({"model": model, "messages": [{"role":"user","content":[
            {"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":url,"detail":detail}}]}]})
    };
    let text = chat(&json!({"model":"gpt-4o","messages":[{"role":"user","content":"What is this?"}]})).tokens;
    assert_eq!(chat(&body("gpt-4o", &png, "high")).tokens, text + 765);
    assert_eq!(chat(&body("gpt-4o", &png, "low")).tokens, text + 85);
    assert_eq!(chat(&body("gpt-4.1-mini", &png, "auto")).tokens, text + 1_659);
    let far = chat(&body("gpt-4o", "https://example.com/a.png", "auto"));
    assert!(
        far.basis == Basis::Estimated && far.low < 120 && (1_445..1_500).contains(&far.high),
        "{far:?}"
    );
    let body = body("gpt-4o", &png, "high").to_string();
    let view = RequestView::read(body.as_bytes()).unwrap();
    let own = TokenCounter::new().with_image_rule("gpt-4o", ImageRule::Tiles { base: 1, tile: 1 });
    assert_eq!(
        own.count_request(&Endpoint::ChatCompletions, &view).tokens,
        text + 5
    );
    assert!(own.bounds(&Endpoint::ChatCompletions, &view).1 < 400);
}

#[test]
fn long_stretches_are_bounded_and_the_text_around_them_is_exact() {
    let counter = TokenCounter::new();
    for unit in [
        " ",
        "a",
        "0",
        "\n",
        "_",
        "\t ",
        "\u{1f600}",
        "\u{4f60}",
        "\u{301}",
        "\u{a0}",
        "'",
        "aB\u{301}",
    ] {
        let text = format!(
            "Hello, world! {} 7, the end.",
            unit.repeat(1_010_000 / unit.chars().count())
        );
        let bytes = text.len() as u64;
        for model in ["gpt-4o", "gpt-4"] {
            let count = counter.count_text(model, &text);
            assert_eq!(count.basis, Basis::Bounded, "{unit:?}");
            assert!(
                count.low <= count.tokens && count.tokens <= count.high,
                "{unit:?} {count:?}"
            );
            assert!(
                bytes / 128 <= count.low && count.high <= bytes,
                "{unit:?} {count:?}"
            );
            assert_eq!(counter.exceeds_text(model, &text, bytes / 2), None);
            assert_eq!(counter.exceeds_text(model, &text, bytes / 200), Some(true));
        }
    }
    let words = "one two, ".repeat(500);
    let text = format!("{words}{}", " ".repeat(100_000));
    let count = counter.count_text("gpt-4o", &text);
    assert!(count.low >= counter.count_text("gpt-4o", &words).tokens - 2 + 100_000 / 128);
}

#[test]
fn a_stretch_is_guessed_from_samples_within_a_tenth() {
    let counter = TokenCounter::new();
    for unit in ["a", "xqzjv", "\u{4f60}\u{597d}\u{5417}", "\u{1f600}", "0"] {
        let text = unit.repeat(30_000 / unit.len());
        let raw = tiktoken_rs::o200k_base_singleton().count_ordinary(&text) as u64;
        let guess = counter.count_text("gpt-4o", &text).tokens;
        assert!(guess.abs_diff(raw) * 10 <= raw, "{unit}: {guess} for {raw}");
    }
}

#[test]
fn more_than_one_call_may_tokenize_is_bounded_at_the_rate_of_the_rest() {
    let counter = TokenCounter::new();
    let sentence = "The quick brown fox jumps over the lazy dog. ";
    let text = sentence.repeat(6 * 1024 * 1024 / sentence.len());
    let count = counter.count_text("gpt-4o", &text);
    let raw = 10 * (text.len() / sentence.len()) as u64;
    assert_eq!(count.basis, Basis::Bounded);
    assert!(count.tokens.abs_diff(raw) * 50 < raw, "{count:?} for {raw}");
    assert!(count.low <= raw && raw <= count.high);
    let body = json!({"model":"gpt-4o","messages":[{"role":"user","content":text}]});
    let view = body.to_string();
    let view = RequestView::read(view.as_bytes()).unwrap();
    assert_eq!(
        counter.exceeds(&Endpoint::ChatCompletions, &view, 8_000),
        Some(true)
    );
}

#[test]
fn of_much_dense_text_a_part_is_tokenized_and_the_rest_follows_it() {
    let counter = TokenCounter::new();
    let mut random = fastrand::Rng::with_seed(5);
    let lines = |random: &mut fastrand::Rng, count: usize| -> String {
        let mut line = || {
            (0..76)
                .map(|_| random.alphanumeric())
                .chain(['\n'])
                .collect::<String>()
        };
        (0..count).map(|_| line()).collect()
    };
    let raw = |text: &str| tiktoken_rs::o200k_base_singleton().count_ordinary(text) as u64;
    let short = lines(&mut random, 1_500);
    assert_eq!(counter.count_text("gpt-4o", &short), Count::exact(raw(&short)));
    let long = lines(&mut random, 8_000);
    let (count, raw) = (counter.count_text("gpt-4o", &long), raw(&long));
    assert_eq!(count.basis, Basis::Bounded);
    assert!(count.low <= raw && raw <= count.high, "{count:?} for {raw}");
    assert!(count.tokens.abs_diff(raw) * 100 < raw, "{count:?} for {raw}");
}

#[test]
fn strange_requests_are_bounded_and_never_refused() {
    for messages in [
        json!(null),
        json!(7),
        json!("text"),
        json!([]),
        json!([7, null, "x", []]),
        json!([{}]),
        json!([{"role":7}]),
        json!([{"role":"user","content":[7, {"type":"video","url":"x"}, {"type":"text"}, {"text":"x"}]}]),
        json!([{"role":"user","content":{"a":1}}]),
        json!([{"role":"assistant","tool_calls":[7, {}, {"function":{}}]}]),
        json!([{"role":"assistant","tool_calls":"x","function_call":[]}]),
        json!([{"role":"narrator <|x|>","content":"x"}]),
    ] {
        chat(&json!({"model":"gpt-4o","messages":messages}));
        chat(&json!({"messages":messages,"tools":messages,"response_format":messages}));
        count_of(
            &Endpoint::Responses,
            &json!({"model":9,"input":messages,"tools":messages,"instructions":messages}),
        );
    }
    let twice = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"a","content":"b"}]}"#;
    let lone = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"\ud800"}]}"#;
    for body in [&twice[..], &lone[..]] {
        let view = RequestView::read(body).unwrap();
        let count = TokenCounter::new().count_request(&Endpoint::ChatCompletions, &view);
        assert_eq!(count.basis, Basis::Bounded);
    }
}

#[tokio::test]
async fn large_bodies_are_counted_off_the_async_thread_with_the_same_result() {
    let counter = TokenCounter::new();
    for text in ["short".to_owned(), "a longer text, ".repeat(30_000)] {
        let body = json!({"model":"gpt-4o","messages":[{"role":"user","content":text}]}).to_string();
        let view = RequestView::read(body.as_bytes()).unwrap();
        let here = counter.count_request(&Endpoint::ChatCompletions, &view);
        let there = counter
            .count_request_bytes(Endpoint::ChatCompletions, Bytes::from(body.clone()))
            .await;
        assert_eq!(here, there);
        assert_eq!(here.basis, Basis::Exact);
    }
    let unread = counter
        .count_request_bytes(Endpoint::ChatCompletions, Bytes::from_static(b"not JSON"))
        .await;
    assert_eq!((unread.high, unread.basis), (u64::MAX, Basis::Bounded));
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z ,.'0-9]{0,200}",
        ("[ a\u{4f60}0!\n]", 0..9_000_usize).prop_map(|(unit, times)| unit.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_text_without_long_stretches_counts_as_with_the_tokenizer_alone(
        units in prop::collection::vec(("[a-zA-Z\u{4f60}\u{915}\u{93f}]{1,12}[ .,'0-9\n\u{301}\u{1f600}]{0,6}", 1..60_usize), 0..30),
    ) {
        let text: String = units.iter().map(|(unit, times)| unit.repeat(*times)).collect();
        let counter = TokenCounter::new();
        for (model, raw) in [("gpt-4o", tiktoken_rs::o200k_base_singleton()), ("gpt-4", tiktoken_rs::cl100k_base_singleton())] {
            prop_assert_eq!(counter.count_text(model, &text), Count::exact(raw.count_ordinary(&text) as u64));
        }
    }

    #[test]
    fn counts_bounds_and_limits_agree_on_any_request(
        model in prop::sample::select(vec!["gpt-4o", "gpt-4", "gpt-5", "o3", "gpt-6", "claude", ""]),
        texts in prop::collection::vec(any_text(), 1..5), name in prop::option::of("[a-z]{0,9}"), kind in 0..6_u8,
    ) {
        let (first, last) = (&texts[0], &texts[texts.len() - 1]);
        let mut messages: Vec<Value> = texts.iter().map(|text| json!({"role":"user","content":text})).collect();
        if let Some(name) = name {
            messages.push(json!({"role":"assistant","name":name,"content":null,"refusal":last}));
        }
        let tools = json!([{"type":"function","function":{"name":"f","description":first,"parameters":{"properties":{"x":{"enum":[last]}}}}},
            {"type":"custom","custom":{"name":first}}]);
        let parts: Vec<Value> = texts.iter().map(|text| json!({"type":"text","text":text})).collect();
        let body = match kind {
            0 => json!({"model":model,"messages":messages}),
            1 => json!({"model":model,"messages":messages,"tools":tools}),
            2 => json!({"model":model,"messages":[{"role":"system","content":parts}],"response_format":{"type":"json_schema","json_schema":{"name":first}}}),
            3 => json!({"model":model,"messages":[{"role":"assistant","tool_calls":[{"function":{"name":first,"arguments":last}}]}]}),
            4 => json!({"model":model,"input":first,"instructions":last}),
            _ => json!({"model":model,"input":texts}),
        };
        count_of(&Endpoint::ChatCompletions, &body);
        count_of(&Endpoint::Responses, &body);
        count_of(&Endpoint::Embeddings, &body);
    }
}
