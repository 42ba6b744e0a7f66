//! The lines of a segment: JSON objects whose last key is a checksum, chained from line to line.

use std::io::{self, BufRead};
use std::path::Path;

use serde::Deserialize;

use crate::storage::StorageError;

/// The longest line that is read, in bytes. It keeps a file without line breaks from filling the memory.
pub(super) const LONGEST_LINE: u64 = 64 << 20;

/// What the header of a segment says: `{"<key>":<version>, ...}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) key: &'static str,
    pub(crate) version: u32,
}

impl Format {
    /// Returns the header of a new segment, not sealed yet. The name makes the chains of segments differ.
    pub(crate) fn header(self, segment: &str) -> Vec<u8> {
        format!(r#"{{"{}":{},"segment":"{segment}"}}"#, self.key, self.version).into_bytes()
    }

    /// Whether a torn header can have been the start of one of this format.
    pub(crate) fn may_begin(self, torn: &[u8]) -> bool {
        let start = format!(r#"{{"{}":"#, self.key);
        torn.iter().zip(start.as_bytes()).all(|(a, b)| a == b)
    }

    /// Checks the first line of a segment, before its checksum: a newer format may have another one.
    pub(crate) fn check_header(self, path: &Path, line: &[u8]) -> Result<(), StorageError> {
        #[derive(Deserialize)]
        struct Version(u32);

        let version = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
            .ok()
            .and_then(|mut header| header.remove(self.key))
            .and_then(|value| Version::deserialize(value).ok());
        match version {
            Some(Version(found)) if found > self.version => Err(StorageError::Newer {
                path: path.to_owned(),
                found,
                known: self.version,
            }),
            Some(Version(1..)) => Ok(()),
            Some(Version(0)) | None => Err(StorageError::Foreign {
                path: path.to_owned(),
                why: "its first line is not a header",
            }),
        }
    }
}

/// `,"crc":"` + 8 lower hex digits + `"}`
const SUFFIX: usize = 18;

fn suffix(crc: u32) -> [u8; SUFFIX] {
    let mut suffix = *br#","crc":"00000000"}"#;
    let digits = suffix.iter_mut().skip(8).take(8);
    for (place, digit) in digits.enumerate() {
        let nibble = (crc >> (28 - 4 * place)) & 0xf;
        *digit = char::from_digit(nibble, 16).map_or(b'0', |c| c as u8);
    }
    suffix
}

/// Turns a JSON object with at least one key into a line that follows `chain`, and returns the new chain.
pub(crate) fn seal(object: &mut Vec<u8>, chain: u32) -> u32 {
    debug_assert!(object.starts_with(b"{\"") && object.ends_with(b"}"));
    debug_assert!(!object.contains(&b'\n'));
    object.pop();
    let crc = crc32c::crc32c_append(chain, object);
    object.extend_from_slice(&suffix(crc));
    object.push(b'\n');
    crc
}

/// Returns the chain after a line without its line break, if its checksum is right.
fn verify(line: &[u8], chain: u32) -> Option<u32> {
    let (body, end) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let crc = crc32c::crc32c_append(chain, body);
    // The whole end is compared, not the number in it: a flipped bit in the punctuation or a digit's case counts.
    (*end == suffix(crc)).then_some(crc)
}

/// Returns the chains that a line after this damaged one can follow: what it says, and what it should have said.
fn chains_after(line: &[u8], chain: u32) -> Option<[u32; 2]> {
    let (body, end) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let said = std::str::from_utf8(end.get(8..16)?)
        .ok()
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let should = crc32c::crc32c_append(chain, body);
    Some([said.unwrap_or(should), should])
}

/// Returns what a line says, as the JSON object that was sealed, but for its closing brace.
pub(crate) fn content(line: &[u8]) -> &[u8] {
    line.split_at_checked(line.len().saturating_sub(SUFFIX))
        .map_or(line, |(body, _)| body)
}

/// How far a segment was read, in whole lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Lines, the header and damaged ones included.
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    /// What the next line can follow; two values only after a damaged line.
    chains: [u32; 2],
}

impl Position {
    /// Returns the checksum of the last line.
    pub(crate) const fn chain(&self) -> u32 {
        let [chain, _] = self.chains;
        chain
    }
}

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A whole line, without its line break.
    Line(&'a [u8]),
    /// The end, after a whole line.
    End,
    /// The beginning of a line, and then the end.
    Torn(&'a [u8]),
    /// A damaged line.
    Bad(&'static str),
}

/// Reads a segment line by line and checks each.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    input: R,
    at: Position,
    line: Vec<u8>,
}

impl<R: BufRead> LineReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self::resume(input, Position::default())
    }

    /// Goes on where another reader of the same segment was; the input begins there.
    pub(crate) const fn resume(input: R, at: Position) -> Self {
        Self {
            input,
            at,
            line: Vec::new(),
        }
    }

    /// Returns how far it has read.
    pub(crate) const fn position(&self) -> Position {
        self.at
    }

    /// Returns the line that was read last, whole or not, without its line break.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// Reads the next line. After anything but a line there is no more to read, unless a damaged one is
    /// [skipped](Self::skip).
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        if self.read_line()? == 0 {
            return Ok(Next::End);
        }
        let Some(line) = self.line.strip_suffix(b"\n") else {
            let too_long = self.line.len() as u64 >= LONGEST_LINE;
            return Ok(if too_long {
                Next::Bad("it is longer than 64 MiB")
            } else {
                Next::Torn(&self.line)
            });
        };
        let Some(chain) = self.at.chains.iter().find_map(|chain| verify(line, *chain)) else {
            return Ok(Next::Bad("its checksum does not match"));
        };
        self.at = Position {
            lines: self.at.lines + 1,
            bytes: self.at.bytes + self.line.len() as u64,
            chains: [chain; 2],
        };
        Ok(Next::Line(line))
    }

    /// Passes over the damaged line that was read last, so that the next one can follow it.
    pub(crate) fn skip(&mut self) {
        let chains = chains_after(self.line(), self.at.chain()).unwrap_or(self.at.chains);
        self.at = Position {
            lines: self.at.lines + 1,
            bytes: self.at.bytes + self.line.len() as u64,
            chains,
        };
    }

    /// After a damaged line: whether a line that is whole comes later, so that the damage is not just a torn end.
    pub(crate) fn whole_line_follows(&mut self) -> io::Result<bool> {
        loop {
            self.skip();
            match self.next()? {
                Next::Line(_) => return Ok(true),
                Next::End | Next::Torn(_) => return Ok(false),
                Next::Bad(_) => {}
            }
        }
    }

    fn read_line(&mut self) -> io::Result<usize> {
        self.line.clear();
        loop {
            let read = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let room = usize::try_from(LONGEST_LINE).unwrap_or(usize::MAX) - self.line.len();
            let read = read.get(..room).unwrap_or(read);
            let end = memchr::memchr(b'\n', read).map_or(read.len(), |at| at + 1);
            let (part, _) = read.split_at(end);
            self.line.extend_from_slice(part);
            self.input.consume(end);
            if end == 0 || self.line.ends_with(b"\n") {
                return Ok(self.line.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(lines: &[&str]) -> Vec<u8> {
        let (mut all, mut chain) = (Vec::new(), 0);
        for line in lines {
            let mut line = line.as_bytes().to_vec();
            chain = seal(&mut line, chain);
            all.extend_from_slice(&line);
        }
        all
    }

    fn whole_lines(segment: &[u8]) -> (u64, bool) {
        let mut reader = LineReader::new(segment);
        loop {
            match reader.next().unwrap() {
                Next::Line(_) => {}
                Next::End => return (reader.position().lines, true),
                Next::Torn(_) | Next::Bad(_) => return (reader.position().lines, false),
            }
        }
    }

    const LINES: [&str; 4] = [r#"{"a":1}"#, r#"{"b":"x"}"#, r#"{"c":null}"#, r#"{"d":[]}"#];

    #[test]
    fn a_line_is_json_with_its_checksum_last() {
        let all = segment(&LINES[..1]);
        assert_eq!(all, b"{\"a\":1,\"crc\":\"149cdbb2\"}\n");
        serde_json::from_slice::<serde_json::Value>(&all).unwrap();
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = segment(&LINES);
        assert_eq!(whole_lines(&good), (4, true));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let line = memchr::memchr_iter(b'\n', &good[..bit / 8]).count() as u64;
            assert_eq!(whole_lines(&bad), (line, false), "bit {bit}");
        }
    }

    #[test]
    fn deleted_and_swapped_lines_are_found() {
        let good = segment(&LINES);
        let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let deleted = [lines[0], lines[2], lines[3]].concat();
        assert_eq!(whole_lines(&deleted), (1, false));
        let swapped = [lines[0], lines[2], lines[1], lines[3]].concat();
        assert_eq!(whole_lines(&swapped), (1, false));
        let repeated = [lines[0], lines[1], lines[1]].concat();
        assert_eq!(whole_lines(&repeated), (2, false));
    }

    #[test]
    fn reading_goes_on_after_a_damaged_line_and_where_another_reader_was() {
        let good = segment(&LINES);
        let second = memchr::memchr(b'\n', &good).unwrap() + 1;
        for bit in second * 8..(second + 20) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut reader = LineReader::new(&bad[..]);
            let mut whole = Vec::new();
            loop {
                match reader.next().unwrap() {
                    Next::Line(line) => whole.push(content(line).to_vec()),
                    Next::Bad(_) => reader.skip(),
                    Next::End => break,
                    Next::Torn(torn) => panic!("{torn:?}"),
                }
            }
            let damage = bad.len() - second;
            assert!(
                damage > 0 && whole.len() >= 3,
                "bit {bit}: only the damaged line is lost"
            );
            assert_eq!(whole.last().unwrap(), br#"{"d":[]"#);
        }
        for first in 0..=4 {
            let mut reader = LineReader::new(&good[..]);
            for _ in 0..first {
                assert!(matches!(reader.next().unwrap(), Next::Line(_)));
            }
            let at = reader.position();
            let rest = &good[usize::try_from(at.bytes).unwrap()..];
            let mut reader = LineReader::resume(rest, at);
            while matches!(reader.next().unwrap(), Next::Line(_)) {}
            assert_eq!(reader.position().lines, 4);
        }
    }

    #[test]
    fn a_line_of_another_segment_does_not_follow() {
        let (one, other) = (
            segment(&[r#"{"v":1,"s":"1"}"#]),
            segment(&[r#"{"v":1,"s":"2"}"#, "{\"a\":1}"]),
        );
        let second_line = other.split_inclusive(|byte| *byte == b'\n').nth(1).unwrap();
        assert_eq!(whole_lines(&[&one, second_line].concat()), (1, false));
    }
}
