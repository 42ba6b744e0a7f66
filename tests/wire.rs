//! Nothing that comes over the wire makes a reader panic, and what is handed on is what came.

use bytes::Bytes;
use proptest::prelude::*;
use thrifty::wire::{
    BatchLine, BatchView, Edit, ErrorView, FileView, Page, RequestView, ResponseView, SseReader, read_usage,
    splice,
};

/// Bytes that look like the wire's often enough to get past a reader's first glance.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\n", "\r\n", "\n\n", "\r", " ", "null", "true", "-", "1e999",
            "18446744073709551616", "0.5", "\\ud800", "\\u0000", "data:", "data: [DONE]", "event: error\n", ": ping",
            "\u{feff}", "\"model\":\"gpt-4o\"", "\"usage\":{", "\"choices\":[]", "\"service_tier\":", "\"error\":{",
            "\"message\":", "\"type\":\"response.completed\"", "\"response\":{", "\"status_code\":200", "\"body\":",
            "\"custom_id\":\"a\"", "\"total_tokens\":3", "\"prompt_tokens\":1", "\"completion_tokens\":2",
            "\"input_tokens\":", "\"stream_options\":", "\"include_usage\":true", "\"max_tokens\":", "\"n\":",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The same, within an object or an event, so that whole ones are among them.
fn wrapped() -> impl Strategy<Value = Vec<u8>> {
    let around = prop::sample::select(vec![
        ("", ""),
        ("{", "}"),
        ("data: {", "}\n\n"),
        ("{\"model\":\"m\",\"usage\":{", "}}"),
        ("data: {\"choices\":[],\"usage\":{", "}}\n\n"),
        (
            "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{",
            "}}}",
        ),
        ("{\"error\":{\"message\":\"", "\"}}"),
    ]);
    (around, any_bytes())
        .prop_map(|((open, close), inside)| [open.as_bytes(), &inside, close.as_bytes()].concat())
}

/// Feeds a stream in pieces of these sizes, and returns what was handed on.
fn hand_on(mut reader: SseReader, stream: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), stream);
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).min(rest.len()));
        let (chunk, after) = rest.split_at(size);
        out.extend_from_slice(&reader.feed(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    out.extend_from_slice(&reader.finish());
    assert!(
        reader.finish().is_empty(),
        "an ended stream has nothing more to say"
    );
    out
}

/// Whether all of `part` stands in `whole` in the same order.
fn is_left_of(part: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|byte| whole.any(|other| other == byte))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_request_is_read_or_refused(body in wrapped()) {
        if let Ok(view) = RequestView::read(&body) {
            let _ = (view.model_name(), view.is_stream(), view.includes_usage(), view.output_limit(), view.choices());
            let edit = Edit::set(&body, view.model, "model", "\"other\"".to_owned());
            let spliced = splice(&body, vec![edit]);
            let model = RequestView::read(&spliced).unwrap().model_name();
            prop_assert_eq!(model.as_deref(), Some("other"));
        }
    }

    #[test]
    fn a_body_is_spliced_whatever_the_edits_say(
        body in wrapped(),
        edits in prop::collection::vec((any::<bool>(), 0..64_usize, 0..64_usize), 0..6),
    ) {
        let edits = edits.into_iter().map(|(replaces, start, end)| {
            let json = "1".to_owned();
            if replaces {
                Edit::Replace { at: start..end, json }
            } else {
                Edit::Insert { name: "n", json }
            }
        });
        let _ = splice(&body, edits.collect());
    }

    #[test]
    fn an_answer_is_read_or_not(body in wrapped()) {
        if let Some(view) = ResponseView::read(&body) {
            let _ = (view.model_name(), view.service_tier_name(), view.lane(), view.usage());
        }
        if let Some(error) = ErrorView::read(&body) {
            let _ = (error.is_quota(), error.blames_model_or_parameter());
        }
        let text = String::from_utf8_lossy(&body);
        let _ = (read_usage(text.as_bytes()), BatchLine::read(&text));
        let _ = serde_json::from_slice::<Page<BatchView>>(&body);
        let _ = serde_json::from_slice::<FileView>(&body);
    }

    #[test]
    fn a_stream_is_handed_on_as_it_came(
        events in prop::collection::vec(wrapped(), 0..5),
        sizes in prop::collection::vec(1..40_usize, 1..8),
    ) {
        let stream = events.concat();
        prop_assert_eq!(&hand_on(SseReader::new(), &stream, &sizes), &stream);
        let hiding = || SseReader::new().hiding_usage();
        let shown = hand_on(hiding(), &stream, &sizes);
        prop_assert!(is_left_of(&shown, &stream));
        prop_assert_eq!(shown, hand_on(hiding(), &stream, &[usize::MAX]));
    }

    #[test]
    fn a_stream_says_the_same_however_it_is_cut(
        events in prop::collection::vec(wrapped(), 0..5),
        sizes in prop::collection::vec(1..40_usize, 1..8),
    ) {
        let stream = events.concat();
        let facts = |sizes: &[usize]| {
            let (mut reader, mut rest) = (SseReader::new(), stream.as_slice());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                reader.feed(Bytes::copy_from_slice(chunk));
                rest = after;
            }
            reader.finish();
            format!("{:?}", reader.facts())
        };
        prop_assert_eq!(facts(&sizes), facts(&[usize::MAX]));
    }
}
