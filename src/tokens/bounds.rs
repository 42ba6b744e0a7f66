//! What a request is between, from the lengths of its JSON.
//!
//! A byte-level vocabulary makes at most one token of a byte, and JSON text is at least as long as what it holds: an
//! escape is longer than its character, and the quotes and names around a message are longer than its framing. Only
//! what is elsewhere, or is not read as text, breaks that.

use std::sync::LazyLock;

use regex::Regex;

use super::items;
use super::meter::length;
use super::runs;
use crate::endpoint::Endpoint;
use crate::wire::{self, RequestView};

/// More than the framing of any member that needs fewer bytes than tokens: the start of the answer, the block around
/// tools, an `input` that is a bare string.
pub(super) const SLACK: u64 = 32;

/// Returns the bounds of a request of which everything is text; `None` if it has to be looked at more closely.
pub(super) fn by_bytes(endpoint: &Endpoint, view: &RequestView<'_>) -> Option<(u64, u64)> {
    let members = match endpoint {
        Endpoint::ChatCompletions => [view.messages, view.tools, view.functions, view.response_format],
        Endpoint::Responses => [view.input, view.instructions, view.tools, view.text],
        Endpoint::Embeddings => [view.input, None, None, None],
        Endpoint::Other(_) => return None,
    };
    let texts = [view.messages, view.input, view.instructions];
    let elsewhere = refers_to_more(view)
        || runs::are_asked_for(view)
        || view.web_search_options.is_some()
        || view.tools.is_some_and(items::has_hosted_tool)
        || texts.into_iter().flatten().any(|json| has_attachment(json.get()));
    if elsewhere {
        return None;
    }
    let bytes = members
        .iter()
        .flatten()
        .map(|json| length(json.get()) + SLACK)
        .sum::<u64>();
    Some((0, bytes + SLACK))
}

/// Whether the provider adds what it has stored: earlier turns, or a prompt.
pub(super) fn refers_to_more(view: &RequestView<'_>) -> bool {
    let stored = [view.previous_response_id, view.conversation, view.prompt];
    stored.into_iter().flatten().any(|raw| !wire::is_null(raw))
}

/// Whether there may be an image, audio, a file, an item that the provider has stored, or one that adds tools.
///
/// No text can look so, as its quotes are escaped; a text that is one of these words may. A letter that is written as
/// an escape, as nobody does, may be part of such a word.
pub(super) fn has_attachment(json: &str) -> bool {
    static ATTACHMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#""(?:image_url|input_image|input_audio|audio|file|input_file|item_reference|additional_tools|compaction_trigger)"|\\u00[567]"#,
        )
        .ok()
    });
    ATTACHMENT.as_ref().is_none_or(|pattern| pattern.is_match(json))
}
