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
const TEXT_LIMIT: usize = 4 << 10;

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

    /// Returns the text of the latest user message, at most 4 kB of it; `None` if there is none.
    ///
    /// System prompts, tools and earlier turns are not part of it.
    pub fn latest_user_text(&self) -> Option<Cow<'a, str>> {
        match self.endpoint {
            Endpoint::ChatCompletions => latest_user_text(self.view.messages?),
            Endpoint::Responses => {
                let input = self.view.input?;
                beginning_of(input).or_else(|| latest_user_text(input))
            }
            Endpoint::Embeddings | Endpoint::Other(_) => None,
        }
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

fn latest_user_text(messages: &RawValue) -> Option<Cow<'_, str>> {
    let messages: Vec<Message<'_>> = serde_json::from_str(messages.get()).ok()?;
    let is_user = |message: &&Message<'_>| message.role.is_some_and(|role| role.get() == "\"user\"");
    let content = messages.iter().rev().find(is_user)?.content?;
    if content.get().starts_with('"') {
        return beginning_of(content);
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).ok()?;
    let mut texts = parts.iter().filter_map(|part| beginning_of(part.text?));
    let first = texts.next()?;
    let Some(second) = texts.next() else {
        return Some(first);
    };
    let mut all = first.into_owned();
    for text in std::iter::once(second).chain(texts) {
        if all.len() >= TEXT_LIMIT {
            break;
        }
        all.push('\n');
        all.push_str(&text);
    }
    all.truncate(wire::beginning(&all, TEXT_LIMIT).len());
    Some(Cow::Owned(all))
}

/// Decodes the first 4 kB of a JSON string, however long it is; `None` for any other value.
fn beginning_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.len() <= TEXT_LIMIT {
        return wire::string(value);
    }
    let kept = wire::beginning(inner, TEXT_LIMIT);
    if !kept.contains('\\') {
        return Some(Cow::Borrowed(kept));
    }
    // The cut may lie inside an escape; the longest, a pair of surrogates, has twelve bytes.
    (0..12).find_map(|back| {
        let kept = kept.get(..kept.len().checked_sub(back)?)?;
        serde_json::from_str::<String>(&format!("\"{kept}\""))
            .ok()
            .map(Cow::Owned)
    })
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
            let long = unit.repeat(5_000);
            let body = json!({"model": "m", "messages": [{"role": "user", "content": long}]});
            let read = text(&Endpoint::ChatCompletions, &body).unwrap();
            prop_assert!(long.starts_with(&read) && read.len() <= TEXT_LIMIT && read.len() > TEXT_LIMIT / 12);
        }
    }
}
