//! Streams: however the bytes are cut into chunks, they are handed on whole and tell the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use thrifty::wire::{SseReader, StreamFacts};

fuzz_target!(|bytes: &[u8]| {
    let Some((step, stream)) = bytes.split_first() else {
        return;
    };
    let step = usize::from(*step).max(1);
    for hides in [false, true] {
        let (whole, in_pieces) = (
            read(stream, stream.len().max(1), hides),
            read(stream, step, hides),
        );
        assert_eq!(whole, in_pieces);
        assert!(hides || whole.0 == stream);
    }
});

fn read(stream: &[u8], step: usize, hides: bool) -> (Vec<u8>, StreamFacts) {
    let mut reader = SseReader::new();
    if hides {
        reader = reader.hiding_usage();
    }
    let mut shown = Vec::new();
    for chunk in stream.chunks(step) {
        shown.extend_from_slice(&reader.feed(Bytes::copy_from_slice(chunk)));
    }
    shown.extend_from_slice(&reader.finish());
    (shown, reader.facts().clone())
}
