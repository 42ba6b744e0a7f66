//! What a router sees of a request.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::AUTO;
use crate::attribution::Attribution;
use crate::capability::{CapabilityBook, Needs, Unfit};
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::OpId;
use crate::model::ModelId;
use crate::pricing::PriceBook;
use crate::tokens::{Count, TokenCounter};
use crate::wire::{self, RequestView, UnreadableBody};

/// How much of the latest user message [`RouteRequest::latest_user_text`] returns at most, in bytes.
pub(super) const TEXT_LIMIT: usize = 8 << 10;

/// What a router may look things up in: prices, what models can do, and a token counter.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Facts {
    /// What tokens cost.
    pub prices: PriceBook,
    /// What models can do.
    pub capabilities: CapabilityBook,
    /// Counts tokens.
    pub tokens: TokenCounter,
}

/// A request, as a router sees it. Nothing is decoded or counted before it is asked for.
///
/// # Examples
/// A router of yours can be tested without a client:
/// ```
/// use thrifty::Endpoint;
/// use thrifty::router::{Facts, RouteRequest};
///
/// let facts = Facts::default();
/// let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello!"}]}"#;
/// let request = RouteRequest::read(&Endpoint::ChatCompletions, body, &facts)?;
/// assert_eq!(request.requested_model().as_str(), "gpt-4o");
/// assert_eq!(request.latest_user_text().as_deref(), Some("Hello!"));
/// assert_eq!(request.exceeds(1_000), Some(false));
/// # Ok::<(), thrifty::wire::UnreadableBody>(())
/// ```
#[derive(Debug)]
pub struct RouteRequest<'a> {
    endpoint: &'a Endpoint,
    view: RequestView<'a>,
    requested_model: ModelId,
    attribution: Cow<'a, Attribution>,
    within: Option<Duration>,
    op_id: Option<OpId>,
    at: Timestamp,
    input_bounds: (u64, u64),
    needs: Needs,
    facts: &'a Facts,
}

impl<'a> RouteRequest<'a> {
    /// Reads a request's body.
    ///
    /// # Errors
    /// If the body is not a JSON object, or has a member that matters twice. A body without a model is read as one
    /// that asks for a model with an empty name.
    pub fn read(endpoint: &'a Endpoint, body: &'a [u8], facts: &'a Facts) -> Result<Self, UnreadableBody> {
        let view = RequestView::read(body)?;
        let model = ModelId::from(&*view.model_name().unwrap_or_default());
        let bounds = facts.tokens.bounds(endpoint, &view);
        Ok(Self::of(endpoint, &view, model, facts, bounds))
    }

    /// Takes a body that is already read.
    pub(crate) fn of(
        endpoint: &'a Endpoint,
        view: &RequestView<'a>,
        requested_model: ModelId,
        facts: &'a Facts,
        input_bounds: (u64, u64),
    ) -> Self {
        Self {
            endpoint,
            requested_model,
            attribution: Cow::Owned(Attribution::default()),
            within: None,
            op_id: None,
            at: Timestamp::from_unix_millis(0),
            needs: Needs::of(endpoint, view).with_input_tokens(input_bounds.0),
            view: *view,
            input_bounds,
            facts,
        }
    }

    /// Says whom the call is for.
    #[must_use]
    pub fn with_attribution(mut self, attribution: &'a Attribution) -> Self {
        self.attribution = Cow::Borrowed(attribution);
        self
    }

    /// Says how long the answer may take.
    #[must_use]
    pub const fn with_deadline_within(mut self, within: Option<Duration>) -> Self {
        self.within = within;
        self
    }

    /// Says which operation the call belongs to: what becomes of it is told under that id.
    #[must_use]
    pub const fn of_operation(mut self, op_id: OpId) -> Self {
        self.op_id = Some(op_id);
        self
    }

    /// Says when the call is made; prices depend on it.
    #[must_use]
    pub const fn made_at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Returns the part of the API.
    pub const fn endpoint(&self) -> &Endpoint {
        self.endpoint
    }

    /// Returns the model that the caller named.
    pub const fn requested_model(&self) -> &ModelId {
        &self.requested_model
    }

    /// Whether the caller leaves the choice to the router.
    pub fn is_auto(&self) -> bool {
        self.requested_model == AUTO
    }

    /// Returns whom the call is for.
    pub fn attribution(&self) -> &Attribution {
        &self.attribution
    }

    /// Returns how long the answer may take, if the caller said so.
    pub const fn within(&self) -> Option<Duration> {
        self.within
    }

    /// Returns the operation that the call belongs to, if it belongs to one.
    pub const fn op_id(&self) -> Option<OpId> {
        self.op_id
    }

    /// Returns the top-level members of the body.
    pub const fn view(&self) -> &RequestView<'a> {
        &self.view
    }

    /// Returns the limit on output tokens, if the caller set one.
    pub fn output_limit(&self) -> Option<u64> {
        self.view.output_limit()
    }

    /// Returns bounds of the input tokens, from lengths alone: nothing is tokenized.
    pub const fn input_token_bounds(&self) -> (u64, u64) {
        self.input_bounds
    }

    /// Counts the input tokens. This takes time: about 0.15 ms for 1,000 tokens of English (`benches/tokens.rs`).
    pub fn input_tokens(&self) -> Count {
        self.facts.tokens.count_request(self.endpoint, &self.view)
    }

    /// Whether the input has more tokens than `limit`; `None` if that cannot be told locally.
    ///
    /// Answered from lengths alone where they suffice, else counted only as far as needed.
    pub fn exceeds(&self, limit: u64) -> Option<bool> {
        let (low, high) = self.input_bounds;
        if low > limit || high <= limit {
            return Some(low > limit);
        }
        self.facts.tokens.exceeds(self.endpoint, &self.view, limit)
    }

    /// Returns the text of the latest user message, at most 8 kB of it; `None` if there is none.
    ///
    /// System prompts, tools and earlier turns are not part of it.
    pub fn latest_user_text(&self) -> Option<Cow<'a, str>> {
        Some(self.latest_user_message()?.text)
    }

    /// Returns the beginning of the latest user message, and what can be told of the conversation on the way to it.
    pub(super) fn latest_user_message(&self) -> Option<LatestMessage<'a>> {
        LatestMessage::of(self.endpoint, &self.view)
    }

    /// Whether a model can serve the request, as far as is known; what is unknown never rules a model out.
    ///
    /// # Errors
    /// The first thing that the request needs and the model lacks.
    pub fn fits(&self, model: &ModelId) -> Result<(), Unfit> {
        match self.facts.capabilities.of(model) {
            Some(capabilities) => capabilities.fits(&self.needs),
            None => Ok(()),
        }
    }

    /// Compares what two models cost; `None` if a price is unknown, or one is dearer only for input or only for output.
    pub fn compare_prices(&self, one: &ModelId, other: &ModelId) -> Option<Ordering> {
        self.facts.prices.compare(one, other, self.at)
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

/// The latest user message of a request.
#[derive(Debug)]
pub(super) struct LatestMessage<'a> {
    /// The beginning of its text.
    pub(super) text: Cow<'a, str>,
    /// How long the whole text is, in bytes.
    pub(super) bytes: usize,
    /// How many user messages there are, this one included.
    pub(super) turns: usize,
    pub(super) has_system: bool,
}

impl<'a> LatestMessage<'a> {
    pub(super) fn of(endpoint: &Endpoint, view: &RequestView<'a>) -> Option<Self> {
        match endpoint {
            Endpoint::ChatCompletions => Self::of_messages(view.messages?),
            Endpoint::Responses => {
                let input = view.input?;
                match beginning_of(input) {
                    Some((text, bytes)) => Some(Self::alone(text, bytes)),
                    None => Self::of_messages(input),
                }
            }
            Endpoint::Embeddings | Endpoint::Other(_) => None,
        }
    }

    const fn alone(text: Cow<'a, str>, bytes: usize) -> Self {
        Self {
            text,
            bytes,
            turns: 1,
            has_system: false,
        }
    }

    fn of_messages(messages: &'a RawValue) -> Option<Self> {
        let messages: Vec<Message<'a>> = serde_json::from_str(messages.get()).ok()?;
        let roles = || messages.iter().filter_map(|message| message.role);
        let is_user = |message: &&Message<'_>| message.role.is_some_and(|role| role.get() == "\"user\"");
        let content = messages.iter().rev().find(is_user)?.content?;
        let (text, bytes) = match beginning_of(content) {
            Some(text) => text,
            None => text_of_parts(content)?,
        };
        Some(Self {
            text,
            bytes,
            turns: messages.iter().filter(is_user).count(),
            has_system: roles().any(|role| matches!(role.get(), "\"system\"" | "\"developer\"")),
        })
    }
}

fn text_of_parts(content: &RawValue) -> Option<(Cow<'_, str>, usize)> {
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).ok()?;
    let mut texts = parts.iter().filter_map(|part| beginning_of(part.text?));
    let (first, mut bytes) = texts.next()?;
    let Some(second) = texts.next() else {
        return Some((first, bytes));
    };
    let mut all = first.into_owned();
    for (text, more) in std::iter::once(second).chain(texts) {
        bytes += 1 + more;
        if all.len() < TEXT_LIMIT {
            all.push('\n');
            all.push_str(&text);
        }
    }
    all.truncate(wire::beginning(&all, TEXT_LIMIT).len());
    Some((Cow::Owned(all), bytes))
}

/// Decodes the first 8 kB of a JSON string, however long it is, and tells how long it is decoded; `None` for any other
/// value.
fn beginning_of(value: &RawValue) -> Option<(Cow<'_, str>, usize)> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.len() <= TEXT_LIMIT {
        let text = wire::string(value)?;
        let bytes = text.len();
        return Some((text, bytes));
    }
    let (end, bytes) = measure(inner);
    let kept = inner.get(..end)?;
    if !kept.contains('\\') {
        return Some((Cow::Borrowed(kept), bytes));
    }
    let text = serde_json::from_str::<String>(&format!("\"{kept}\"")).ok()?;
    Some((Cow::Owned(text), bytes))
}

/// Returns where the first 8 kB of what stands in a JSON string end, and how many bytes it has when it is decoded.
fn measure(inner: &str) -> (usize, usize) {
    let (mut at, mut decoded, mut end) = (0, 0, None);
    while let Some(rest) = inner.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        if end.is_none() && decoded + plain > TEXT_LIMIT {
            end = Some(at + wire::beginning(rest, TEXT_LIMIT - decoded).len());
        }
        let (raw, bytes) = rest.get(plain..).map_or((0, 0), escape);
        if end.is_none() && decoded + plain + bytes > TEXT_LIMIT {
            end = Some(at + plain);
        }
        at += plain + raw;
        decoded += plain + bytes;
    }
    (end.unwrap_or(inner.len()), decoded)
}

/// Returns how long the escape is that a text begins with, and how many bytes it stands for.
fn escape(text: &str) -> (usize, usize) {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    match text.as_bytes() {
        [] => (0, 0),
        [_, b'u', ..] => match unit(2) {
            Some(0..0x80) => (6, 1),
            Some(0x80..0x800) => (6, 2),
            Some(0xd800..0xdc00) if text.get(6..8) == Some("\\u") => (12, 4),
            Some(_) => (6, 3),
            None => (text.len(), 0),
        },
        _ => (text.len().min(2), 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(endpoint: &Endpoint, body: &serde_json::Value) -> Option<String> {
        let (facts, body) = (Facts::default(), body.to_string());
        let request = RouteRequest::read(endpoint, body.as_bytes(), &facts).unwrap();
        request.latest_user_text().map(Cow::into_owned)
    }

    #[test]
    fn only_the_latest_user_message_is_read() {
        let body = json!({"model": "m", "messages": [
            {"role": "system", "content": "You prove theorems."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "one"}]},
            {"role": "tool", "content": "17"},
        ]});
        assert_eq!(
            text(&Endpoint::ChatCompletions, &body).as_deref(),
            Some("last\none")
        );
        let plain = json!({"model": "m", "input": "hi \"you\""});
        assert_eq!(text(&Endpoint::Responses, &plain).as_deref(), Some("hi \"you\""));
        let items = json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]});
        assert_eq!(text(&Endpoint::Responses, &items).as_deref(), Some("hi"));
        for none in [
            json!({"model": "m"}),
            json!({"messages": 3}),
            json!({"messages": [{"role": "user", "content": null}]}),
        ] {
            assert_eq!(text(&Endpoint::ChatCompletions, &none), None);
        }
    }

    proptest! {
        #[test]
        fn a_long_message_is_cut_to_a_prefix_of_itself(unit in "[a\\n\"é😀\u{1}]{1,7}") {
            let long = unit.repeat(10_000);
            let body = json!({"model": "m", "messages": [{"role": "user", "content": long}]});
            let read = text(&Endpoint::ChatCompletions, &body).unwrap();
            prop_assert!(long.starts_with(&read) && read.len() <= TEXT_LIMIT && read.len() > TEXT_LIMIT - 4);
        }

        #[test]
        fn the_length_of_a_message_is_that_of_its_text(unit in "[a\\n\"é😀\u{1}]{1,7}", times in 1_usize..5_000) {
            let long = unit.repeat(times);
            let escaped: Vec<String> = long.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let escaped = escaped.concat();
            for content in [json!(long).to_string(), format!("\"{escaped}\""), json!([{"text": long}]).to_string()] {
                let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
                let facts = Facts::default();
                let request = RouteRequest::read(&Endpoint::ChatCompletions, body.as_bytes(), &facts).unwrap();
                let latest = request.latest_user_message().unwrap();
                prop_assert_eq!(latest.bytes, long.len());
                prop_assert_eq!(latest.text, wire::beginning(&long, TEXT_LIMIT));
            }
        }
    }
}
