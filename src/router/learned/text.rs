//! Reads a text once: its words and pairs of words, hashed, and counts of what its shape is told from.

use std::ops::Range;

/// How many places there are for hashed words and pairs of words.
pub(super) const BUCKETS: usize = 1 << 16;

/// What is counted of a text. No text that is read is longer than a `u16` counts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) words: u16,
    /// Letters and digits.
    pub(super) letters: u16,
    pub(super) long_words: u16,
    pub(super) numbers: u16,
    pub(super) upper: u16,
    pub(super) digits: u16,
    /// Characters beyond ASCII.
    pub(super) wide: u16,
    pub(super) lines: u16,
    pub(super) questions: u16,
    pub(super) formulas: u16,
    pub(super) code: u16,
    pub(super) brackets: u16,
    pub(super) quotes: u16,
    pub(super) commas: u16,
    pub(super) stops: u16,
    pub(super) others: u16,
    /// Lines that begin with a letter and a full stop or a bracket.
    pub(super) options: u16,
    /// Lines that begin with a number in that way, or with a dash.
    pub(super) items: u16,
}

/// Reads a text of at most 64 kB without allocating. Names each bucket once, with where its words stand.
///
/// A word's letters are hashed without their order, so that a transposed pair, the commonest slip of the hand, changes
/// nothing. A pair is the sum of its words, so that a letter that slips over the space between them leaves it as it is.
/// Letters are taken in lower case, and of a number only how many digits it has counts.
pub(super) fn read(text: &str, see: impl FnMut(u16, Range<usize>)) -> Counts {
    let bytes = text.as_bytes();
    let mut words = Words::new(see);
    let mut line_start = true;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        if letter(byte) != 0 {
            if line_start && matches!(bytes.get(at + 1), Some(b'.' | b')' | b':')) {
                let is_item = byte.is_ascii_digit();
                words.counts.items += u16::from(is_item);
                words.counts.options += u16::from(!is_item);
            }
            at = words.letters(bytes, at);
            line_start = false;
            continue;
        }
        if byte >= 0x80 {
            let Some(wide) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                break;
            };
            words.wide(at, wide);
            at += wide.len_utf8();
            line_start = false;
            continue;
        }
        words.end(at);
        let counts = &mut words.counts;
        match byte {
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                at += 1;
                continue;
            }
            b'\n' => counts.lines += 1,
            b'?' => counts.questions += 1,
            b'+' | b'=' | b'^' | b'<' | b'>' | b'*' | b'/' | b'\\' | b'|' => counts.formulas += 1,
            b'{' | b'}' | b';' | b'`' | b'_' | b'#' | b'$' => counts.code += 1,
            b'(' | b')' | b'[' | b']' => counts.brackets += 1,
            b'"' | b'\'' => counts.quotes += 1,
            b',' => counts.commas += 1,
            b'.' | b'!' | b':' => counts.stops += 1,
            _ => counts.others += 1,
        }
        if line_start && byte == b'-' {
            counts.items += 1;
        }
        line_start = byte == b'\n';
        at += 1;
    }
    words.end(at);
    words.counts
}

/// What each ASCII letter or digit adds to the hash of its word; 0 for any other byte.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const LETTERS: [u64; 256] = {
    let mut letters = [0; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            letters[byte as usize] = mix(byte.to_ascii_lowercase() as u64 + 1);
        }
        byte += 1;
    }
    letters
};

fn letter(byte: u8) -> u64 {
    LETTERS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Spreads a number over all bits. A model file depends on it: another one is another format.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^ (value >> 29)
}

/// Puts letters together to words, and words to pairs.
struct Words<F> {
    see: F,
    seen: [u64; BUCKETS / 64],
    counts: Counts,
    hash: u64,
    begin: usize,
    letters: u16,
    is_number: bool,
    before: u64,
    before_begin: usize,
}

impl<F: FnMut(u16, Range<usize>)> Words<F> {
    const fn new(see: F) -> Self {
        Self {
            see,
            seen: [0; BUCKETS / 64],
            counts: Counts {
                words: 0,
                letters: 0,
                long_words: 0,
                numbers: 0,
                upper: 0,
                digits: 0,
                wide: 0,
                lines: 0,
                questions: 0,
                formulas: 0,
                code: 0,
                brackets: 0,
                quotes: 0,
                commas: 0,
                stops: 0,
                others: 0,
                options: 0,
                items: 0,
            },
            hash: 0,
            begin: 0,
            letters: 0,
            is_number: false,
            before: 0x1234,
            before_begin: 0,
        }
    }

    /// Takes the ASCII letters and digits from here on, and returns where they end. A point or a comma between two digits
    /// is part of the number.
    fn letters(&mut self, bytes: &[u8], begin: usize) -> usize {
        if self.letters == 0 {
            self.begin = begin;
            self.is_number = bytes.get(begin).is_some_and(u8::is_ascii_digit);
        }
        let (mut at, mut hash, mut letters, mut upper, mut digits) = (begin, self.hash, 0, 0, 0);
        while let Some(byte) = bytes.get(at).copied() {
            let adds = letter(byte);
            if adds != 0 {
                hash = hash.wrapping_add(adds);
                letters += 1;
                upper += u16::from(byte.is_ascii_uppercase());
                digits += u16::from(byte.is_ascii_digit());
            } else if !(self.is_number
                && matches!(byte, b'.' | b',')
                && bytes.get(at + 1).is_some_and(u8::is_ascii_digit))
            {
                break;
            }
            at += 1;
        }
        self.hash = hash;
        self.letters += letters;
        self.counts.upper += upper;
        self.counts.digits += digits;
        at
    }

    /// Takes a character beyond ASCII. Scripts that put no spaces between words, and emoji, are words by themselves.
    fn wide(&mut self, at: usize, wide: char) {
        self.counts.wide += 1;
        let alone = wide >= '\u{2e80}';
        if alone || !wide.is_alphanumeric() {
            self.end(at);
            self.counts.formulas += u16::from(matches!(wide, '\u{2200}'..='\u{22ff}'));
        }
        if alone || wide.is_alphanumeric() {
            if self.letters == 0 {
                (self.begin, self.is_number) = (at, false);
            }
            let lower = wide.to_lowercase().next().unwrap_or(wide);
            self.hash = self.hash.wrapping_add(mix(u64::from(lower) + 1));
            self.letters += 1;
        }
        if alone {
            self.end(at + wide.len_utf8());
        }
    }

    fn end(&mut self, at: usize) {
        if self.letters == 0 {
            return;
        }
        let word = if self.is_number {
            mix(0x77 + u64::from(self.letters.min(4)))
        } else {
            self.hash
        };
        self.name(mix(word ^ 0x5151), self.begin..at);
        self.name(
            mix(self.before.wrapping_add(word) ^ 0x3777),
            self.before_begin..at,
        );
        self.counts.words += 1;
        self.counts.letters += self.letters;
        self.counts.long_words += u16::from(self.letters > 7);
        self.counts.numbers += u16::from(self.is_number);
        (self.before, self.before_begin) = (word, self.begin);
        (self.hash, self.letters) = (0, 0);
    }

    fn name(&mut self, hash: u64, place: Range<usize>) {
        let [_, _, low, high, ..] = hash.to_le_bytes();
        let bucket = u16::from_le_bytes([low, high]);
        let bit = 1 << (bucket & 63);
        if let Some(seen) = self.seen.get_mut(usize::from(bucket >> 6))
            && *seen & bit == 0
        {
            *seen |= bit;
            (self.see)(bucket, place);
        }
    }
}
