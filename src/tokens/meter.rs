//! Adds up what a request is made of: by tokenizing, or from lengths alone, or until a limit is decided.

use std::ops::ControlFlow;

use super::count::Count;
use super::cut::{self, Part, Parts};
use super::encoding::{Facts, Known, LONGEST_TOKEN};

/// Breaks when a limit is decided.
pub(super) type Flow = ControlFlow<()>;

/// What one call may tokenize: bytes of ordinary text. What comes after is bounded.
///
/// Prose takes 25 to 35 ns a byte, the densest text that is tokenized in full 100, so that this is less than half a
/// second (measured by `benches/tokens.rs`).
pub(super) const WORK: u64 = 4 * 1024 * 1024;

/// What a byte of a part counts that is longer than cuts would have made it.
const DEAR: u64 = 4;

/// How many bytes of dense text one call tokenizes in full, dense being more than a token for two bytes. Hashes and base64
/// are, at three times the cost of prose a byte; prose and code are not.
const DENSE: u64 = 128 * 1024;

/// How many parts are guessed, once there was more than that, for each that is tokenized.
const SKIPPED: u8 = 3;

/// What the call for a part costs whatever its length, in bytes of ordinary text.
const CALL: u64 = 16;

#[derive(Debug, Clone, Copy)]
enum Task {
    Count,
    Bound,
    Decide { limit: u64, most: u64 },
}

#[derive(Debug)]
pub(super) struct Meter {
    facts: Facts,
    task: Task,
    sum: Count,
    /// The most that what was seen so far can be, by lengths alone.
    seen: u64,
    work: u64,
    tokenized: (u64, u64),
    dense: u64,
    skip: u8,
}

impl Meter {
    /// A meter that tokenizes.
    pub(super) fn counting(facts: Facts) -> Self {
        Self::new(facts, Task::Count)
    }

    /// A meter that looks at lengths only and never loads a vocabulary.
    pub(super) fn bounding(facts: Facts) -> Self {
        Self::new(facts, Task::Bound)
    }

    /// A meter that tokenizes until it is clear whether there are more than `limit` tokens, where there are at most
    /// `most` in all.
    pub(super) fn deciding(facts: Facts, limit: u64, most: u64) -> Self {
        Self::new(facts, Task::Decide { limit, most })
    }

    fn new(facts: Facts, task: Task) -> Self {
        Self {
            facts,
            task,
            sum: Count::ZERO,
            seen: 0,
            work: WORK,
            tokenized: (0, 0),
            dense: 0,
            skip: 0,
        }
    }

    pub(super) fn sum(&self) -> Count {
        self.sum
    }

    /// Adds what is known already, and is at most `most` by the bytes it came from.
    pub(super) fn add(&mut self, count: Count, most: u64) -> Flow {
        self.sum += match self.task {
            Task::Bound => Count::bounded(count.tokens, count.low, most.max(count.high)),
            Task::Count | Task::Decide { .. } => count,
        };
        self.seen = self.seen.saturating_add(most);
        let Task::Decide { limit, most } = self.task else {
            return Flow::Continue(());
        };
        let rest = most.saturating_sub(self.seen);
        let open = most == u64::MAX || self.sum.high.saturating_add(rest) > limit;
        if self.sum.low > limit || !open {
            return Flow::Break(());
        }
        Flow::Continue(())
    }

    /// Adds tokens around a message, published or assumed for this model; `range` is for the latter.
    pub(super) fn framing(&mut self, tokens: u64, range: (u64, u64)) -> Flow {
        let count = match self.facts.framing {
            Known::Published => Count::exact(tokens),
            Known::Assumed => Count::estimated(tokens, range.0, range.1),
        };
        self.add(count, range.1)
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) -> Flow {
        if matches!(self.task, Task::Bound) {
            return self.add(by_length(text, length(text) / 4), length(text));
        }
        let mut parts = Parts::of(text);
        while let Some((count, bytes)) = self.next_part(&mut parts) {
            self.add(count, bytes)?;
        }
        Flow::Continue(())
    }

    /// Adds a text in a form that is not published, with `framing` tokens around it.
    ///
    /// It is taken to be between half and twice as many tokens, and at most `most`.
    pub(super) fn estimated_text(&mut self, text: &str, framing: u64, most: u64) -> Flow {
        let mut count = Count::exact(framing);
        if matches!(self.task, Task::Bound) {
            count = Count::bounded(length(text) / 4, 0, most);
        } else {
            let mut parts = Parts::of(text);
            while let Some((part, _)) = self.next_part(&mut parts) {
                count += part;
            }
            let (low, high) = (count.low / 2, count.high.saturating_mul(2).min(most));
            count += Count::estimated(0, 0, 0);
            (count.low, count.high) = (low.min(high), high);
            count.tokens = count.tokens.clamp(count.low, count.high);
        }
        self.add(count, most)
    }

    /// Counts the next part, or all that is left when no work is left.
    fn next_part(&mut self, parts: &mut Parts<'_>) -> Option<(Count, u64)> {
        let rest = parts.rest();
        if self.work == 0 && !rest.is_empty() {
            *parts = Parts::of("");
            return Some((at_rate(rest, self.tokenized), length(rest)));
        }
        let (text, count) = match parts.next()? {
            Part::Short(text) if self.skip > 0 && text.len() >= cut::PART => {
                self.skip -= 1;
                (text, at_rate(text, self.tokenized))
            }
            Part::Short(text) => (text, self.tokenize(text)),
            Part::Stretch(text) => (text, self.sample(text)),
        };
        Some((count, length(text)))
    }

    fn tokenize(&mut self, text: &str) -> Count {
        let bytes = length(text);
        let dear = text.len() > cut::PART + cut::PART / 4;
        self.work = self
            .work
            .saturating_sub(CALL + bytes * if dear { DEAR } else { 1 });
        let Some(tokens) = self.facts.encoding.count(text) else {
            return by_length(text, bytes / 4);
        };
        self.tokenized.0 += bytes;
        self.tokenized.1 += tokens;
        if tokens > bytes / 2 && text.len() >= cut::PART {
            self.dense += bytes;
            self.skip = if self.dense > DENSE { SKIPPED } else { 0 };
        }
        match self.facts.vocabulary {
            Known::Published => Count::exact(tokens),
            Known::Assumed => Count::estimated(tokens, tokens / 2, tokens.saturating_mul(2).min(bytes)),
        }
    }

    /// Guesses a stretch from four samples of a quarter of a kilobyte.
    fn sample(&mut self, text: &str) -> Count {
        const SAMPLES: usize = 4;
        const BYTES: usize = 256;
        let (mut bytes, mut tokens) = (0, 0);
        for sample in 0..SAMPLES {
            let from = cut::floor(text, text.len() / SAMPLES * sample);
            let tail = text.get(from..).unwrap_or_default();
            let piece = tail.get(..cut::floor(tail, BYTES)).unwrap_or_default();
            bytes += length(piece);
            tokens += self.facts.encoding.count(piece).unwrap_or(length(piece));
        }
        self.work = self.work.saturating_sub(bytes);
        at_rate(text, (bytes, tokens))
    }
}

/// Guesses a text from another one, of which bytes and tokens are known.
fn at_rate(text: &str, (bytes, tokens): (u64, u64)) -> Count {
    let guess = u128::from(length(text)) * u128::from(tokens) / u128::from(bytes.max(1));
    by_length(text, u64::try_from(guess).unwrap_or(u64::MAX))
}

/// What a text is between by its length alone, whatever the vocabulary merges: no token is longer than
/// [`LONGEST_TOKEN`], and none is empty.
pub(super) fn by_length(text: &str, guess: u64) -> Count {
    let bytes = length(text);
    Count::bounded(guess, bytes.div_ceil(LONGEST_TOKEN), bytes)
}

pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
