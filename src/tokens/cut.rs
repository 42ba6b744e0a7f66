//! Where a text can be cut so that its parts count as much as the whole.
//!
//! Both vocabularies first split a text into words, numbers, punctuation and white space with a regular expression, and
//! never merge across such a split. A cut is safe where every match ends and where no match looks ahead:
//!
//! - after a letter that is followed by neither a letter, nor a mark, nor an apostrophe. Letters are matched only by
//!   the alternatives for words, which go on with letters, with marks (`o200k_base`) or with a contraction such as `'s`
//!   (`o200k_base`), and with nothing else;
//! - after a number that is followed by no number: only `\p{N}{1,3}` matches one.
//!
//! The one look-ahead, `\s+(?!\S)`, is tried on white space only and sees no further than the letter or number before
//! the cut. Letters, marks and numbers are told by the Unicode tables that the tokenizer's own expressions use: with
//! newer tables, a letter that is new would be punctuation to the tokenizer.

use std::sync::LazyLock;

use regex::Regex;

/// A part is about this long, in bytes, where the text has cuts.
pub(super) const PART: usize = 1024;

/// A stretch without a cut that is longer than this, in bytes, is not tokenized: it costs up to six times as much a
/// byte as other text, and the tokenizer gives up on a million spaces.
pub(super) const LONGEST_STRETCH: usize = 8 * 1024;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// At most [`LONGEST_STRETCH`] bytes.
    Short(&'t str),
    /// More than that, without a cut.
    Stretch(&'t str),
}

/// The parts of a text, in order; their counts add up to the count of the text.
#[derive(Debug, Clone)]
pub(super) struct Parts<'t> {
    rest: &'t str,
}

impl<'t> Parts<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// Returns what was not handed out yet.
    pub(super) fn rest(&self) -> &'t str {
        self.rest
    }

    fn take(&mut self, at: usize) -> &'t str {
        let (part, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, ""));
        self.rest = rest;
        part
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        let text = self.rest;
        if text.is_empty() {
            return None;
        }
        let about = floor(text, PART);
        let next = first_cut(text, about).unwrap_or(text.len());
        if next <= LONGEST_STRETCH {
            return Some(Part::Short(self.take(next)));
        }
        // What comes before the long stretch is counted without it.
        match last_cut(text, about) {
            Some(before) => Some(Part::Short(self.take(before))),
            None => Some(Part::Stretch(self.take(next))),
        }
    }
}

/// Returns the end of the longest prefix of at most `at` bytes that ends between two characters.
pub(super) fn floor(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns the first cut behind the character at `from`, which lies between two characters.
fn first_cut(text: &str, from: usize) -> Option<usize> {
    // The pattern is a constant and compiles, as every test here shows; if it did not, nothing would be cut.
    static BEFORE_CUT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\p{L}[^\p{L}\p{M}']|\p{N}\P{N}").ok());
    let found = BEFORE_CUT.as_ref()?.find_at(text, from)?;
    let first = found.as_str().chars().next()?;
    Some(found.start() + first.len_utf8())
}

fn last_cut(text: &str, before: usize) -> Option<usize> {
    let cuts = std::iter::successors(first_cut(text, 0), |cut| first_cut(text, *cut));
    cuts.take_while(|cut| *cut <= before).last()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::encoding::Encoding;

    fn cuts(text: &str) -> Vec<usize> {
        std::iter::successors(first_cut(text, 0), |cut| first_cut(text, *cut)).collect()
    }

    fn raw(encoding: Encoding, text: &str) -> u64 {
        encoding.vocabulary().count_ordinary(text) as u64
    }

    /// Characters that the patterns treat differently, and any others.
    fn text() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            'a',
            'B',
            'z',
            's',
            'S',
            't',
            'r',
            'e',
            'l',
            'd',
            'M',
            '\u{17f}',
            '\'',
            '\'',
            '\u{2019}',
            ' ',
            ' ',
            '\t',
            '\n',
            '\r',
            '\u{a0}',
            '\u{3000}',
            '\u{85}',
            '\u{2028}',
            '\u{200d}',
            '\u{feff}',
            '/',
            '.',
            '!',
            '_',
            '-',
            '0',
            '7',
            '\u{301}',
            '\u{93f}',
            '\u{915}',
            '\u{e01}',
            '\u{e31}',
            '\u{4f60}',
            '\u{3042}',
            '\u{30fc}',
            '\u{ac00}',
            '\u{661}',
            '\u{966}',
            '\u{2164}',
            '\u{bd}',
            '\u{24b6}',
            '\u{1c5}',
            '\u{2b0}',
            '\u{aa}',
            '\u{df}',
            '\u{1f600}',
            '\u{1f3fd}',
            '\u{fe0f}',
            '\u{627}',
            '\u{64b}',
            '\u{5d0}',
            '\u{a7cb}',
            '\u{1c89}',
            '\u{105c0}',
            '\u{16d40}',
        ]);
        let script = prop::sample::select(vec![
            (0x20_u32, 0x7f),
            (0xa0, 0x250),
            (0x250, 0x370),
            (0x370, 0x600),
            (0x600, 0x900),
            (0x900, 0xe00),
            (0xe00, 0x1100),
            (0x1100, 0x1400),
            (0x1400, 0x2000),
            (0x2000, 0x2c00),
            (0x2c00, 0x3400),
            (0x4e00, 0x9fff),
            (0xa000, 0xac00),
            (0xac00, 0xd7ff),
            (0xf900, 0xffff),
            (0x1_0000, 0x1_2000),
            (0x1_6000, 0x1_e000),
            (0x1_e000, 0x1_fc00),
            (0x2_0000, 0x3_2400),
            (0xe_0000, 0xe_01f0),
        ]);
        let of_script =
            script.prop_flat_map(|(from, to)| (from..to).prop_filter_map("a character", char::from_u32));
        prop::collection::vec(
            prop_oneof![5 => special, 4 => of_script, 1 => any::<char>()],
            0..40,
        )
        .prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn no_cut_changes_the_count_of_any_text_in_either_vocabulary(text in text()) {
            for encoding in [Encoding::Cl100k, Encoding::O200k] {
                let whole = raw(encoding, &text);
                for cut in cuts(&text) {
                    let (left, right) = text.split_at(cut);
                    prop_assert_eq!(raw(encoding, left) + raw(encoding, right), whole, "{:?} | {:?}", left, right);
                }
            }
        }

        #[test]
        fn the_parts_of_a_text_are_the_text(unit in text(), times in 0_usize..400, tail in text()) {
            let text = unit.repeat(times) + &tail;
            let parts: Vec<_> = Parts::of(&text).collect();
            let joined: String = parts.iter().map(|part| match part { Part::Short(text) | Part::Stretch(text) => *text }).collect();
            prop_assert_eq!(&joined, &text);
            for part in parts {
                match part {
                    Part::Short(part) => prop_assert!(!part.is_empty() && part.len() <= LONGEST_STRETCH),
                    Part::Stretch(part) => {
                        prop_assert!(part.len() > LONGEST_STRETCH);
                        prop_assert!(cuts(part).is_empty(), "{:?}", cuts(part));
                    }
                }
            }
        }
    }

    #[test]
    fn cuts_stand_behind_words_and_numbers_of_every_script() {
        assert_eq!(cuts("ab c's 12,3x"), [2, 6, 9, 11]);
        assert_eq!(cuts("e\u{301}. \u{4f60}\u{597d}\u{ff0c}"), [12 - 1]);
        assert!(cuts(" \n!?don't").is_empty());
        assert!(cuts(&"a".repeat(5_000)).is_empty());
    }

    #[test]
    fn a_word_before_a_long_stretch_is_counted_without_it() {
        let spaces = " ".repeat(20_000);
        let text = format!("one two{spaces}three four");
        let parts: Vec<_> = Parts::of(&text).collect();
        assert_eq!(parts.first(), Some(&Part::Short("one two")));
        assert!(matches!(parts.get(1), Some(Part::Stretch(text)) if text.ends_with("three")));
        assert_eq!(parts.get(2), Some(&Part::Short(" four")));
    }
}
