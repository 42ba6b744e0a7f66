//! Counts the input tokens of a request before it is sent, safely on any input.
//!
//! Text is counted with tiktoken-rs's `o200k_base` and `cl100k_base`, whose counts are those of OpenAI's own tiktoken. Three
//! things are added:
//!
//! - **Safety.** The tokenizer alone panics on a million spaces and takes 17 s for 10 MB of random letters. Here a text
//!   is cut where that changes no count; a stretch of more than 8 kB without such a place is sampled and bounded. One
//!   call tokenizes 4 MB at most (the input of the longest context windows, and half a second of CPU), of more than
//!   128 kB of hashes or base64 every fourth kilobyte, and bounds the rest.
//! - **Requests.** Messages, tool calls, tools, schemas, images, of chat completions, responses and embeddings.
//! - **Honesty.** A [`Count`] says what it lies between and how sure it is.
//!
//! Special tokens in a text, such as `<|endoftext|>`, are counted as the ordinary text that they are to the API.
//!
//! A vocabulary is loaded on first use: 60 to 130 ms of CPU and 30 to 50 MB each; see [`TokenCounter::warm_up`].

mod bounds;
mod chat;
mod count;
mod cut;
mod encoding;
mod image_size;
mod images;
mod items;
mod meter;
mod runs;
mod tools;

pub use count::{Basis, Count};
pub use images::ImageRule;
pub(crate) use runs::may_run_again;

use std::sync::Arc;

use bytes::Bytes;

use crate::endpoint::Endpoint;
use crate::wire::RequestView;
use chat::Walk;
use encoding::{Encoding, Facts};
use images::Images;
use meter::{Meter, by_length, length};

/// Bodies that are longer than this, in bytes, are counted off the async threads.
const LONGEST_INLINE: usize = 256 * 1024;

/// Counts input tokens. Cheap to clone; the vocabularies are shared by the whole process.
///
/// A model that is not known is counted with `o200k_base`, and the count is [`Basis::Estimated`]; there are no errors.
///
/// # Examples
/// ```
/// use thrifty::Endpoint;
/// use thrifty::tokens::{Basis, TokenCounter};
/// use thrifty::wire::RequestView;
///
/// let counter = TokenCounter::new();
/// assert_eq!(counter.count_text("gpt-4o", "Hello, world!").tokens, 4);
///
/// let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello, world!"}]}"#;
/// let view = RequestView::read(body)?;
/// let count = counter.count_request(&Endpoint::ChatCompletions, &view);
/// assert_eq!((count.tokens, count.basis), (11, Basis::Exact));
/// assert_eq!(counter.exceeds(&Endpoint::ChatCompletions, &view, 8_000), Some(false));
/// # Ok::<(), thrifty::wire::UnreadableBody>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TokenCounter {
    images: Images,
}

impl TokenCounter {
    /// Creates a counter with the built-in table of images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts images of a family of models by this rule, ahead of the built-in table.
    ///
    /// A family is the start of a model's id, up to its end or a dash; the longest one that fits is used.
    #[must_use]
    pub fn with_image_rule(self, family: impl Into<Arc<str>>, rule: ImageRule) -> Self {
        Self {
            images: self.images.with(&family.into(), rule),
        }
    }

    /// Loads both vocabularies, so that no later call has to: about 200 ms of CPU and 80 MB of memory, once a process.
    ///
    /// Call it off the async threads.
    pub fn warm_up(&self) {
        for encoding in [Encoding::Cl100k, Encoding::O200k] {
            encoding.vocabulary();
        }
    }

    /// Whether both vocabularies are loaded, so that no count has to wait for that.
    pub fn is_warm(&self) -> bool {
        [Encoding::Cl100k, Encoding::O200k]
            .into_iter()
            .all(Encoding::is_loaded)
    }

    /// Counts a text on its own, without what frames it in a request.
    pub fn count_text(&self, model: &str, text: &str) -> Count {
        let mut meter = Meter::counting(Facts::of(model));
        let _ = meter.text(text);
        meter.sum()
    }

    /// Counts the input of a request.
    ///
    /// Exact for messages of text to the models whose framing OpenAI has published, and for embeddings. Tools, schemas,
    /// images, and messages to reasoning models are estimated. Audio, files, and what the provider has stored or looks
    /// up are bounded at best. A request without a model is one to an unknown model.
    ///
    /// Takes half a second of CPU at most. For long bodies in async code see
    /// [`count_request_bytes`](Self::count_request_bytes).
    pub fn count_request(&self, endpoint: &Endpoint, view: &RequestView<'_>) -> Count {
        let model = view.model_name().unwrap_or_default();
        let mut meter = Meter::counting(Facts::of(&model));
        let _ = Walk::new(&self.images, &model, &mut meter).request(endpoint, view);
        meter.sum()
    }

    /// Counts the input of a request, off the async threads if the body is longer than 256 kB or the model's
    /// vocabulary is yet to be loaded.
    ///
    /// A body that is not read as a request is a guess from its length, without an upper bound. Outside a tokio runtime everything is counted on
    /// this thread.
    ///
    /// # Cancellation
    /// A count that has begun on another thread runs to its end; nobody sees its result.
    pub async fn count_request_bytes(&self, endpoint: Endpoint, body: Bytes) -> Count {
        let is_short = body.len() <= LONGEST_INLINE;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.count_body(&endpoint, &body);
        };
        if is_short && needs_no_loading(&body) {
            return self.count_body(&endpoint, &body);
        }
        let bytes = body.len();
        let here = self.clone();
        let counted = runtime.spawn_blocking(move || here.count_body(&endpoint, &body));
        // A runtime that shuts down runs nothing any more.
        counted.await.unwrap_or_else(|_| unreadable(bytes))
    }

    /// Returns what the input of a request lies between, by the lengths of its JSON: nothing is tokenized, no vocabulary
    /// is loaded.
    ///
    /// The upper bound holds whatever the text is; for images it is the most that the table has for the model, and
    /// `u64::MAX` says that there is none. It holds for vocabularies that make no more than one token of a byte, as all
    /// of OpenAI's do.
    pub fn bounds(&self, endpoint: &Endpoint, view: &RequestView<'_>) -> (u64, u64) {
        self.bounds_for_all(endpoint, view).unwrap_or_else(|| {
            let model = view.model_name().unwrap_or_default();
            self.bounds_for(&model, endpoint, view)
        })
    }

    /// Returns bounds that hold for every model; `None` if models count a part of the input differently.
    pub(crate) fn bounds_for_all(&self, endpoint: &Endpoint, view: &RequestView<'_>) -> Option<(u64, u64)> {
        let _ = self;
        bounds::by_bytes(endpoint, view)
    }

    /// Returns the bounds as if the request named this model.
    pub(crate) fn bounds_for(&self, model: &str, endpoint: &Endpoint, view: &RequestView<'_>) -> (u64, u64) {
        let mut meter = Meter::bounding(Facts::of(model));
        let _ = Walk::new(&self.images, model, &mut meter).request(endpoint, view);
        (meter.sum().low, meter.sum().high)
    }

    /// Whether the input of a request is more than `limit` tokens; `None` if that cannot be told.
    ///
    /// Answers from [`bounds`](Self::bounds) if they suffice, and else counts until it is clear.
    pub fn exceeds(&self, endpoint: &Endpoint, view: &RequestView<'_>, limit: u64) -> Option<bool> {
        let (low, high) = self.bounds(endpoint, view);
        if low > limit || high <= limit {
            return Some(low > limit);
        }
        let model = view.model_name().unwrap_or_default();
        let mut meter = Meter::deciding(Facts::of(&model), limit, high);
        let flow = Walk::new(&self.images, &model, &mut meter).request(endpoint, view);
        verdict(flow, &meter, limit)
    }

    /// Whether a text is more than `limit` tokens; `None` if that cannot be told.
    pub fn exceeds_text(&self, model: &str, text: &str, limit: u64) -> Option<bool> {
        let bounds = by_length(text, 0);
        if bounds.low > limit || bounds.high <= limit {
            return Some(bounds.low > limit);
        }
        let mut meter = Meter::deciding(Facts::of(model), limit, length(text));
        let flow = meter.text(text);
        verdict(flow, &meter, limit)
    }

    fn count_body(&self, endpoint: &Endpoint, body: &[u8]) -> Count {
        match RequestView::read(body) {
            Ok(view) => self.count_request(endpoint, &view),
            Err(_) => unreadable(body.len()),
        }
    }
}

fn needs_no_loading(body: &[u8]) -> bool {
    RequestView::read(body).is_ok_and(|view| {
        let model = view.model_name().unwrap_or_default();
        Facts::of(&model).encoding.is_loaded()
    })
}

fn unreadable(bytes: usize) -> Count {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Count::bounded(bytes / 4, 0, u64::MAX)
}

/// A meter that broke off has decided: over if what it saw is, else under.
fn verdict(flow: meter::Flow, meter: &Meter, limit: u64) -> Option<bool> {
    match flow {
        meter::Flow::Break(()) => Some(meter.sum().low > limit),
        meter::Flow::Continue(()) => meter.sum().exceeds(limit),
    }
}
