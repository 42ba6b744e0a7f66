//! What a request is judged by, as numbers: its hashed words and its shape.

use std::borrow::Cow;
use std::ops::Range;

use super::super::RouteRequest;
use super::super::request::{LatestMessage, TEXT_LIMIT};
use super::text::{self, Counts};
use crate::wire::{self, RequestView};

/// How many structural numbers a text has; the first is always 1.
pub(super) const SHAPES: usize = 24;

/// The structural numbers, each of the order of 1.
pub(super) type Shape = [f32; SHAPES];

/// What a request is judged by.
#[derive(Debug, Clone)]
pub(super) struct Subject<'a> {
    /// The beginning of the text; what is over the limit is not looked at.
    text: Cow<'a, str>,
    /// How long the whole text is, in bytes.
    bytes: usize,
    turns: usize,
    has_system: bool,
    has_tools: bool,
    has_schema: bool,
}

impl<'a> Subject<'a> {
    /// Takes a text that stands alone.
    pub(super) fn of_text(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(wire::beginning(text, TEXT_LIMIT)),
            bytes: text.len(),
            turns: 1,
            has_system: false,
            has_tools: false,
            has_schema: false,
        }
    }

    /// Takes a request's latest user message, and what there is beside it.
    pub(super) fn of_request(request: &RouteRequest<'a>) -> Option<Self> {
        Some(Self::of(request.latest_user_message()?, request.view()))
    }

    /// The same, of a request whose parts are known.
    pub(super) fn of(latest: LatestMessage<'a>, view: &RequestView<'_>) -> Self {
        Self {
            text: latest.text,
            bytes: latest.bytes,
            turns: latest.turns,
            has_system: latest.has_system || view.instructions.is_some(),
            has_tools: wire::has_some(view.tools) || wire::has_some(view.functions),
            has_schema: view.response_format.is_some_and(|format| !wire::is_null(format)),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Reads the text once, without allocating. Names each bucket once, with where its words stand.
    pub(super) fn read(&self, see: impl FnMut(u16, Range<usize>)) -> Shape {
        self.shape(&text::read(&self.text, see))
    }

    /// Returns the buckets, each once, and the shape.
    pub(super) fn parts(&self) -> (Vec<u16>, Shape) {
        let mut buckets = Vec::new();
        let shape = self.read(|bucket, _| buckets.push(bucket));
        (buckets, shape)
    }

    fn shape(&self, counts: &Counts) -> Shape {
        let of = |count: u16| f32::from(count);
        let log = |value: f32| value.ln_1p();
        let log_of = |count: u16| log(f32::from(count));
        let flag = |is: bool| f32::from(u8::from(is));
        let bytes = number(self.text.len()).max(1.0);
        let words = of(counts.words).max(1.0);
        let punctuation = [
            counts.formulas,
            counts.code,
            counts.brackets,
            counts.quotes,
            counts.commas,
            counts.stops,
            counts.questions,
            counts.others,
        ];
        let punctuation: f32 = punctuation.into_iter().map(of).sum();
        [
            1.0,
            log(number(self.bytes)) / 5.0,
            log_of(counts.words) / 4.0,
            of(counts.digits) / bytes * 5.0,
            of(counts.upper) / bytes * 5.0,
            punctuation / bytes * 5.0,
            of(counts.wide) / bytes * 2.0,
            log_of(counts.lines) / 2.0,
            log_of(counts.questions),
            log_of(counts.formulas) / 2.0,
            log_of(counts.code) / 2.0,
            log_of(counts.options) / 2.0,
            log_of(counts.items) / 2.0,
            log_of(counts.brackets) / 2.0,
            log_of(counts.quotes) / 2.0,
            of(counts.long_words) / words * 2.0,
            (of(counts.letters) / words / 5.0).min(4.0),
            log_of(counts.numbers) / 2.0,
            log_of(counts.commas) / 2.0,
            log_of(counts.stops) / 2.0,
            log(number(self.turns.saturating_sub(1))) / 2.0,
            flag(self.has_system),
            flag(self.has_tools),
            flag(self.has_schema),
        ]
    }
}

/// Counts beyond 16 million may be rounded; no count of these is exact to more than a few digits anyway.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) const fn number(count: usize) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn buckets(text: &str) -> BTreeSet<u16> {
        let mut buckets = BTreeSet::new();
        Subject::of_text(text).read(|bucket, _| assert!(buckets.insert(bucket)));
        buckets
    }

    #[test]
    fn case_white_space_and_transposed_letters_change_no_word() {
        let plain = buckets("Prove that the sum is even");
        assert_eq!(plain.len(), 12);
        assert_eq!(plain, buckets("  prove\tTHAT\r\n\nthe  sum is even "));
        assert_eq!(plain, buckets("Porve taht the smu is evne"));
        assert_ne!(plain, buckets("Prove that the sum is odd"));
    }

    #[test]
    fn a_letter_that_slips_over_a_space_changes_few_words() {
        let (plain, slipped) = (buckets("find the cat here"), buckets("find th ecat here"));
        // Two words, and their pairs with the words around them.
        assert_eq!(plain.difference(&slipped).count(), 4);
    }

    #[test]
    fn of_numbers_only_the_length_counts() {
        assert_eq!(buckets("add 17 and 4"), buckets("add 93 and 8"));
        assert_ne!(buckets("add 17"), buckets("add 1789"));
        assert_eq!(buckets("add 17.25 now"), buckets("add 1.234 now"));
        assert_eq!(buckets("add 1,234. Now"), buckets("add 5678 now"));
    }

    #[test]
    fn scripts_without_spaces_are_read_by_the_character() {
        let (one, other) = (buckets("証明してください"), buckets("証拠をください"));
        assert!(one.intersection(&other).count() >= 4 && one != other);
        assert_eq!(buckets("ПРИВЕТ мир"), buckets("привет мир"));
    }

    #[test]
    fn places_lead_to_the_words() {
        let text = "aa bb cc";
        let mut words = Vec::new();
        Subject::of_text(text).read(|_, place| words.push(&text[place]));
        assert_eq!(words, ["aa", "aa", "bb", "aa bb", "cc", "bb cc"]);
    }

    #[test]
    fn a_shape_tells_a_list_of_options_from_prose() {
        let options = Subject::of_text("Which one?\nA. this\nB. that\n1. first\n- second").read(|_, _| {});
        assert!(options[11] > 0.5 && options[12] > 0.5 && options[8] > 0.6);
        let prose = Subject::of_text("It was the best of times").read(|_, _| {});
        assert_eq!((prose[11], prose[12], prose[8]), (0.0, 0.0, 0.0));
    }

    proptest! {
        #[test]
        fn any_text_has_finite_numbers_and_places_inside(text in "\\PC{0,80}[\\s\\u{0}∑a1-]{0,20}", times in 1_usize..400) {
            let text = text.repeat(times);
            let shape = Subject::of_text(&text).read(|_, place| assert!(text.get(place).is_some()));
            prop_assert!(shape.iter().all(|number| number.is_finite() && number.abs() < 20.0), "{shape:?}");
        }
    }
}
