//! Counts tokens. A stand-in with the interface that the simulator needs.

use crate::endpoint::Endpoint;
use crate::wire::RequestView;

/// A count of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// The tokens.
    pub tokens: u64,
}

/// Counts tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenCounter;

impl TokenCounter {
    /// Makes a counter.
    pub fn new() -> Self {
        Self
    }

    /// Counts a text.
    pub fn count_text(&self, model: &str, text: &str) -> Count {
        let encoding = match model {
            "gpt-4" => tiktoken_rs::cl100k_base_singleton(),
            _ => tiktoken_rs::o200k_base_singleton(),
        };
        let tokens = encoding.encode_ordinary(text).len() as u64;
        Count { tokens }
    }

    /// Counts a request.
    pub fn count_request(&self, _endpoint: &Endpoint, view: &RequestView<'_>) -> Count {
        let parts = [view.messages, view.input, view.tools];
        let bytes: usize = parts.into_iter().flatten().map(|raw| raw.get().len()).sum();
        Count {
            tokens: (bytes as u64) / 4 + 3,
        }
    }
}
