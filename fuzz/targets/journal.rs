//! Spools: whatever lies in one, to open it and take it up does not panic, and nothing whole is lost without a word.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrifty::batch::{OpenedSpool, open_spool};
use thrifty::segment_lines;

const NAMES: [&str; 5] = [
    "journal/1795478400000-4711-000000.jsonl",
    "lines/00000-0000000000.jsonl",
    "answers/0000000001.bodies",
    "journal/1795478400000-4711-000000.packed",
    "journal/1795478400001-4711-000001.jsonl",
];
/// Between the files of an input.
const BORDER: &[u8] = b"\n-----\n";

// The first byte says whether the journal's lines get checksums that are right.
fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let mut files: Vec<Vec<u8>> = parts(bytes)
        .into_iter()
        .take(NAMES.len())
        .map(<[u8]>::to_vec)
        .collect();
    if mode % 2 == 1 {
        for at in [0, 4] {
            if let Some(journal) = files.get_mut(at) {
                *journal = sealed(journal);
            }
        }
    }
    let Some(opened) = open(&files) else { return };
    if files.len() > 4 || files[0].windows(10).any(|window| window == b"\"snapshot\"") {
        return;
    }
    let journal = files[0].clone();
    let lines = segment_lines(&journal);
    let mut whole = lines.join(&b'\n');
    if !whole.is_empty() {
        whole.push(b'\n');
    }
    // A header alone says nothing, and goes.
    let said = if lines.len() == 1 {
        &journal[whole.len()..]
    } else {
        &journal[..]
    };
    assert!(opened.kept[0] == said, "what is cut off is put aside");
    // An empty segment is told too.
    let cut = journal.is_empty() || whole != journal;
    assert_eq!(opened.torn, usize::from(cut), "what is cut off is told");
    files[0] = whole;
    let Some(intact) = open(&files) else {
        panic!("a torn end decides whether a spool is opened");
    };
    assert_eq!(
        opened.records, intact.records,
        "the lines before a torn end are read"
    );
});

fn open(files: &[Vec<u8>]) -> Option<OpenedSpool> {
    let files: Vec<_> = NAMES.into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    open_spool(&files)
}

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(BORDER.len()).position(|window| window == BORDER) {
        // The line feed is the last one of the file before.
        parts.push(&rest[..=at]);
        rest = &rest[at + BORDER.len()..];
    }
    parts.push(rest);
    parts
}

/// Gives each line the checksum that it should have.
fn sealed(journal: &[u8]) -> Vec<u8> {
    let (mut segment, mut chain) = (Vec::new(), 0);
    for line in journal.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            segment.extend_from_slice(line);
            break;
        };
        let end = line.len().saturating_sub(18);
        let body = if line[end..].starts_with(b",\"crc\":\"") {
            &line[..end]
        } else {
            line
        };
        chain = crc32c::crc32c_append(chain, body);
        segment.extend_from_slice(body);
        segment.extend_from_slice(format!(",\"crc\":\"{chain:08x}\"}}\n").as_bytes());
    }
    segment
}
