//! Segments of a ledger: what is accepted carries the right checksums, and no changed byte is accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrifty::segment_lines;

fuzz_target!(|bytes: &[u8]| {
    let mut chain = 0;
    for line in segment_lines(bytes) {
        let (body, end) = line.split_at(line.len() - 18);
        chain = crc32c::crc32c_append(chain, body);
        assert_eq!(end, format!(",\"crc\":\"{chain:08x}\"}}").as_bytes());
    }
    if let [flip, at @ .., _] = bytes {
        damaged(*flip, at.len(), bytes);
    }
});

/// Seals the bytes as a segment, and then changes one byte of it.
fn damaged(flip: u8, at: usize, bytes: &[u8]) {
    let (mut segment, mut chain, mut lines) = (Vec::new(), 0, 0);
    for body in bytes.split(|byte| *byte == b'\n') {
        chain = crc32c::crc32c_append(chain, body);
        segment.extend_from_slice(body);
        segment.extend_from_slice(format!(",\"crc\":\"{chain:08x}\"}}\n").as_bytes());
        lines += 1;
    }
    assert_eq!(segment_lines(&segment).len(), lines);
    let at = at.wrapping_mul(usize::from(flip).wrapping_add(7)) % segment.len();
    let before = segment[..at].iter().filter(|byte| **byte == b'\n').count();
    segment[at] ^= flip;
    let accepted = segment_lines(&segment).len();
    assert_eq!(accepted, if flip == 0 { lines } else { before });
}
