//! Answers and lines of batches: no bytes make the readers panic, and what they read is what serde_json reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use thrifty::wire::{BatchLine, ErrorView, LineOutcome, ResponseView, UsageReading, read_usage};

fuzz_target!(|bytes: &[u8]| {
    answer(bytes);
    let _ = ErrorView::read(bytes).map(|error| (error.is_quota(), error.blames_model_or_parameter()));
    let _ = read_usage(bytes);
    let lines = std::str::from_utf8(bytes).unwrap_or_default().lines();
    for line in lines.filter_map(BatchLine::read) {
        if let LineOutcome::Answered { body, .. } = line.outcome {
            answer(body.as_bytes());
        }
    }
});

fn answer(body: &[u8]) {
    let Some(view) = ResponseView::read(body) else {
        return;
    };
    let (model, usage) = (view.model_name(), view.usage());
    let _ = (view.id(), view.lane());
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    assert_eq!(model.as_deref(), json["model"].as_str());
    if let UsageReading::Read(usage) = usage {
        let usage_json = &json["usage"];
        let named = ["prompt_tokens", "input_tokens"].map(|name| usage_json[name].as_u64());
        assert!(named.contains(&Some(usage.input_tokens)), "{usage:?} {json}");
    }
}
