//! What a verifier sees: a request, and what was answered.

use std::fmt;
use std::sync::OnceLock;

use crate::attribution::Attribution;
use crate::endpoint::Endpoint;
use crate::model::ModelId;
use crate::wire::{AnswerView, RequestView};

/// A request with a model's answer to it. Nothing is decoded before it is asked for.
///
/// # Examples
/// A verifier of yours can be tested without a client:
/// ```
/// use thrifty::Endpoint;
/// use thrifty::router::verify::{Exchange, Finished, Verdict, Verifier};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let request = br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello!"}]}"#;
/// let answer = br#"{"choices":[{"message":{"content":"Hi!"},"finish_reason":"stop"}]}"#;
/// let model = "gpt-4o-mini".into();
/// let exchange = Exchange::new(&Endpoint::ChatCompletions, request, &model, answer);
/// assert_eq!(Finished::new().judge(&exchange).await, Verdict::Accept);
/// # }
/// ```
pub struct Exchange<'a> {
    endpoint: &'a Endpoint,
    request: Lazy<'a, RequestView<'a>>,
    model: &'a ModelId,
    answer: Lazy<'a, AnswerView<'a>>,
    second: Option<Lazy<'a, AnswerView<'a>>>,
    attribution: Option<&'a Attribution>,
}

/// A body, and what it says once that was asked for.
struct Lazy<'a, V> {
    body: &'a [u8],
    view: OnceLock<Option<V>>,
}

impl<'a, V> Lazy<'a, V> {
    const fn of(body: &'a [u8]) -> Self {
        Self {
            body,
            view: OnceLock::new(),
        }
    }

    fn get(&self, read: impl FnOnce(&'a [u8]) -> Option<V>) -> Option<&V> {
        self.view.get_or_init(|| read(self.body)).as_ref()
    }
}

impl<'a> Exchange<'a> {
    /// Takes a request as its caller made it, and what the model answered.
    pub const fn new(
        endpoint: &'a Endpoint,
        request: &'a [u8],
        model: &'a ModelId,
        answer: &'a [u8],
    ) -> Self {
        Self {
            endpoint,
            request: Lazy::of(request),
            model,
            answer: Lazy::of(answer),
            second: None,
            attribution: None,
        }
    }

    /// Takes what another model answered to the same request.
    #[must_use]
    pub fn with_second(mut self, answer: &'a [u8]) -> Self {
        self.second = Some(Lazy::of(answer));
        self
    }

    /// Says whom the call is for.
    #[must_use]
    pub const fn with_attribution(mut self, attribution: &'a Attribution) -> Self {
        self.attribution = Some(attribution);
        self
    }

    /// Returns the part of the API.
    pub const fn endpoint(&self) -> &Endpoint {
        self.endpoint
    }

    /// Returns the top-level members of the request; `None` if it cannot be read. The model that it names is the caller's.
    pub fn request(&self) -> Option<&RequestView<'a>> {
        self.request.get(|body| RequestView::read(body).ok())
    }

    /// Returns the request's body.
    pub const fn request_body(&self) -> &'a [u8] {
        self.request.body
    }

    /// Returns the model that was asked.
    pub const fn model(&self) -> &ModelId {
        self.model
    }

    /// Returns what the answer says; `None` if it cannot be read, or is no chat and no response.
    pub fn answer(&self) -> Option<&AnswerView<'a>> {
        self.answer.get(|body| AnswerView::read(self.endpoint, body))
    }

    /// Returns the answer's body.
    pub const fn answer_body(&self) -> &'a [u8] {
        self.answer.body
    }

    /// Returns what the second model says, as [`answer`](Self::answer) does; also `None` if none was asked yet.
    pub fn second(&self) -> Option<&AnswerView<'a>> {
        self.second
            .as_ref()?
            .get(|body| AnswerView::read(self.endpoint, body))
    }

    /// Returns the body of the second model's answer, if it was asked.
    pub fn second_body(&self) -> Option<&'a [u8]> {
        self.second.as_ref().map(|second| second.body)
    }

    /// Returns whom the call is for, if that is known.
    pub const fn attribution(&self) -> Option<&Attribution> {
        self.attribution
    }
}

/// Shows no text.
impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
