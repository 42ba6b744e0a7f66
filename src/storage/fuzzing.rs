//! The way in for the fuzz target `segment`; in no other build.

use super::{LineReader, Next};

/// Reads bytes as a segment to their end, and returns the lines that were accepted.
pub fn segment_lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = LineReader::new(bytes);
    let mut lines = Vec::new();
    while let Ok(Next::Line(line)) = reader.next() {
        lines.push(line.to_vec());
    }
    // What recovery asks after a damaged line.
    let _ = reader.whole_line_follows();
    lines
}
