//! Requests: a member that is spliced in is read back, and every other one stays as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use thrifty::wire::{Edit, RequestView, splice};

fuzz_target!(|body: &[u8]| {
    let Ok(view) = RequestView::read(body) else { return };
    let _ = (
        view.is_stream(),
        view.includes_usage(),
        view.output_limit(),
        view.choices(),
    );
    let _ = view.model_name();
    let options = r#"{"include_usage":true}"#;
    let edits = vec![
        Edit::set(body, view.stream_options, "stream_options", options.to_owned()),
        Edit::set(body, view.model, "model", r#""another-model""#.to_owned()),
    ];
    let changed = splice(body, edits);
    let again = RequestView::read(&changed).expect("a spliced body is read as before");
    assert_eq!(again.model_name().as_deref(), Some("another-model"));
    assert!(again.includes_usage());
    let raw = |view: &RequestView<'_>| {
        [
            view.messages,
            view.input,
            view.tools,
            view.n,
            view.stream,
            view.service_tier,
        ]
        .map(|member| member.map(|member| member.get().to_owned()))
    };
    assert_eq!(raw(&view), raw(&again));
    if let Ok(mut json) = serde_json::from_slice::<Value>(body) {
        json["model"] = "another-model".into();
        json["stream_options"] = serde_json::from_str(options).expect("it is JSON");
        assert_eq!(serde_json::from_slice::<Value>(&changed).ok(), Some(json));
    }
});
