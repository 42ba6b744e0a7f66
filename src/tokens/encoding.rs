//! Which vocabulary a model counts with, and what is published about it.

use std::collections::HashSet;
use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

/// A vocabulary of OpenAI's. `o200k_harmony` differs from `o200k_base` in special tokens only, so that it counts the
/// same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Cl100k,
    O200k,
}

/// The longest token of both vocabularies, in bytes: 128 spaces. So `bytes / 128 <= tokens <= bytes`.
pub(super) const LONGEST_TOKEN: u64 = 128;

impl Encoding {
    fn cell(self) -> &'static OnceLock<&'static CoreBPE> {
        static CL100K: OnceLock<&CoreBPE> = OnceLock::new();
        static O200K: OnceLock<&CoreBPE> = OnceLock::new();
        match self {
            Self::Cl100k => &CL100K,
            Self::O200k => &O200K,
        }
    }

    /// Loads the vocabulary if need be: once a process, 60 to 130 ms and 30 to 50 MB each.
    pub(super) fn vocabulary(self) -> &'static CoreBPE {
        self.cell().get_or_init(|| match self {
            Self::Cl100k => tiktoken_rs::cl100k_base_singleton(),
            Self::O200k => tiktoken_rs::o200k_base_singleton(),
        })
    }

    pub(super) fn is_loaded(self) -> bool {
        self.cell().get().is_some()
    }

    /// Counts a text as ordinary text; `None` if the tokenizer's regular expression gives up.
    ///
    /// `count_ordinary` would panic where this is `None`.
    pub(super) fn count(self, text: &str) -> Option<u64> {
        let count = self.vocabulary().count(text, &HashSet::new()).ok()?;
        u64::try_from(count).ok()
    }
}

/// What is known about how a model counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) encoding: Encoding,
    /// Whether the vocabulary is published as this model's.
    pub(super) vocabulary: Known,
    /// Whether the tokens around a chat message are.
    pub(super) framing: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Published,
    Assumed,
}

/// Families by the start of the id, the longer before the shorter. From tiktoken's `model.py`, and for the framing
/// from section 6 of OpenAI's cookbook "How to count tokens with tiktoken", which tells it for the families of 3.5, 4
/// and 4o; 4.1 and 4.5 are taken to be framed like 4o.
const FAMILIES: &[(&str, Encoding, Known)] = &[
    ("chatgpt-4o", Encoding::O200k, Known::Published),
    ("gpt-4o", Encoding::O200k, Known::Published),
    ("gpt-4.1", Encoding::O200k, Known::Published),
    ("gpt-4.5", Encoding::O200k, Known::Published),
    ("gpt-5", Encoding::O200k, Known::Assumed),
    ("gpt-oss", Encoding::O200k, Known::Assumed),
    ("codex-mini", Encoding::O200k, Known::Assumed),
    ("o1", Encoding::O200k, Known::Assumed),
    ("o3", Encoding::O200k, Known::Assumed),
    ("o4", Encoding::O200k, Known::Assumed),
    ("gpt-4", Encoding::Cl100k, Known::Published),
    ("gpt-3.5", Encoding::Cl100k, Known::Published),
    ("gpt-35", Encoding::Cl100k, Known::Published),
    ("text-embedding-3", Encoding::Cl100k, Known::Published),
    ("text-embedding-ada-002", Encoding::Cl100k, Known::Published),
];

impl Facts {
    /// An unknown model is taken to count with `o200k_base`, and the count says that it is an estimate.
    pub(super) fn of(model: &str) -> Self {
        let base = model.strip_prefix("ft:").unwrap_or(model);
        let known = FAMILIES.iter().find(|(family, ..)| is_of_family(base, family));
        match known {
            Some((_, encoding, framing)) => Self {
                encoding: *encoding,
                vocabulary: Known::Published,
                framing: *framing,
            },
            None => Self {
                encoding: Encoding::O200k,
                vocabulary: Known::Assumed,
                framing: Known::Assumed,
            },
        }
    }
}

/// Whether the id is the family's name, alone or followed by anything but a letter or a digit: `o1-mini` is an `o1`,
/// `o10` is not.
pub(super) fn is_of_family(model: &str, family: &str) -> bool {
    model
        .strip_prefix(family)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_counts_with_its_published_vocabulary() {
        for model in [
            "gpt-4o",
            "gpt-4o-2024-08-06",
            "gpt-4.1-nano",
            "gpt-4.5-preview",
            "chatgpt-4o-latest",
            "ft:gpt-4o-mini:acme::abc",
            "gpt-5",
            "gpt-5.4-mini",
            "gpt-5-chat-latest",
            "o1",
            "o3-mini",
            "o4-mini",
            "gpt-oss-20b",
            "gpt-oss:20b",
        ] {
            let facts = Facts::of(model);
            assert_eq!(
                (facts.encoding, facts.vocabulary),
                (Encoding::O200k, Known::Published),
                "{model}"
            );
        }
        for model in [
            "gpt-4",
            "gpt-4-0613",
            "gpt-4-turbo",
            "gpt-3.5-turbo",
            "ft:gpt-3.5-turbo:a::b",
            "text-embedding-3-small",
        ] {
            let facts = Facts::of(model);
            assert_eq!(
                (facts.encoding, facts.vocabulary),
                (Encoding::Cl100k, Known::Published),
                "{model}"
            );
        }
        for model in [
            "gpt-6",
            "gpt-40",
            "o10",
            "claude-x",
            "",
            "GPT-4o",
            "openai/gpt-4o",
        ] {
            let facts = Facts::of(model);
            assert_eq!(
                (facts.encoding, facts.vocabulary),
                (Encoding::O200k, Known::Assumed),
                "{model}"
            );
        }
        assert_eq!(Facts::of("gpt-4o").framing, Known::Published);
        assert_eq!(Facts::of("gpt-5").framing, Known::Assumed);
    }

    #[test]
    fn no_token_is_longer_than_the_bound_says() {
        for (encoding, ranks) in [(Encoding::Cl100k, 0..100_256), (Encoding::O200k, 0..199_998)] {
            let vocabulary = encoding.vocabulary();
            let lengths = ranks
                .filter_map(|rank| vocabulary.decode_bytes(&[rank]).ok())
                .map(|token| token.len() as u64);
            assert_eq!(lengths.max(), Some(LONGEST_TOKEN));
        }
    }
}
