//! What a set of requests would be and cost as batches.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::api::BatchableRequest;
use super::collector::BatchCollector;
use super::error::InvalidRequest;
use super::line::{self, Checked};
use super::policy::{BatchPolicy, MAX_EMBEDDING_INPUTS};
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::money::{Usd, UsdSum};
use crate::pricing::PriceBook;
use crate::tokens::TokenCounter;
use crate::usage::Usage;
use crate::wire::RequestView;

/// What requests would be as batches, before any of them is enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchQuote {
    /// How many of them can be lines.
    pub lines: usize,
    /// The others, by their place, and why the server would refuse them.
    pub refused: Vec<(usize, InvalidRequest)>,
    /// How many batches the lines take at least.
    pub batches: usize,
    /// How many bytes are uploaded.
    pub bytes: u64,
    /// Their input tokens, as counted here; images and files are estimates.
    pub input_tokens: u64,
    /// What they cost as batches.
    pub batch: LaneQuote,
    /// What they cost at once on the standard lane.
    pub standard: LaneQuote,
    /// By when half of the last batches of the slowest of their models have ended.
    pub expected: Duration,
}

/// What lines cost on one lane. Input is taken as uncached; fees of tools are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneQuote {
    /// The input alone; `None` if a price is not known.
    pub input: Option<UsdSum>,
    /// With as much output as each request allows; `None` if one sets no limit, or a price is not known.
    pub with_all_output: Option<UsdSum>,
}

impl LaneQuote {
    const ZERO: Self = Self {
        input: Some(UsdSum::ZERO),
        with_all_output: Some(UsdSum::ZERO),
    };

    fn add(&mut self, price: impl Fn(u64) -> Option<Usd>, output: Option<u64>) {
        let plus = |sum: Option<UsdSum>, more: Option<Usd>| Some(sum? + more?);
        self.input = plus(self.input, price(0));
        self.with_all_output = plus(self.with_all_output, output.and_then(price));
    }
}

/// How full the last file of one endpoint and model is.
#[derive(Debug, Clone, Copy, Default)]
struct Filled {
    lines: usize,
    bytes: usize,
    inputs: usize,
}

impl Filled {
    /// Puts a line in; true if it begins a new file.
    fn put(&mut self, bytes: usize, inputs: usize, policy: &BatchPolicy) -> bool {
        let fits = self.lines < policy.max_requests
            && self.bytes + bytes <= policy.max_bytes
            && self.inputs + inputs <= MAX_EMBEDDING_INPUTS;
        let begins = self.lines == 0 || !fits;
        if begins {
            *self = Self::default();
        }
        self.lines += 1;
        self.bytes += bytes;
        self.inputs += inputs;
        begins
    }
}

impl BatchCollector {
    /// Says what requests would be and cost as batches, by these prices. Nothing is enqueued, stored or sent.
    ///
    /// It counts every token: about 0.15 ms for 1,000 of English, so call it off the async threads for many requests.
    ///
    /// # Examples
    /// ```
    /// use serde_json::json;
    /// use thrifty::pricing::PriceBook;
    /// # use thrifty::simulator::Simulator;
    /// use thrifty::{Endpoint, LlmClient, Transport};
    ///
    /// # let simulator = Simulator::new();
    /// # let (openai, transport) = (simulator.client(), Transport::service(simulator.service()));
    /// let llm = LlmClient::builder(openai, transport).build()?;
    /// let body = json!({
    ///     "model": "gpt-4o-mini",
    ///     "messages": [{"role": "user", "content": "Name a river."}],
    ///     "max_completion_tokens": 100,
    /// });
    /// let thousand = vec![(Endpoint::ChatCompletions, body.to_string()); 1_000];
    /// let quote = llm.collector().quote_raw(thousand, &PriceBook::builtin());
    /// assert_eq!((quote.lines, quote.batches), (1_000, 1));
    /// assert!(quote.batch.with_all_output < quote.standard.with_all_output);
    /// # Ok::<(), thrifty::Error>(())
    /// ```
    pub fn quote_raw<B: Into<Bytes>>(
        &self,
        requests: impl IntoIterator<Item = (Endpoint, B)>,
        prices: &PriceBook,
    ) -> BatchQuote {
        let bodies = requests
            .into_iter()
            .map(|(endpoint, body)| (endpoint, Ok(body.into())));
        self.quote_bodies(bodies, prices)
    }

    /// Does the same for requests of one type.
    pub fn quote<'r, R: BatchableRequest + 'r>(
        &self,
        requests: impl IntoIterator<Item = &'r R>,
        prices: &PriceBook,
    ) -> BatchQuote {
        let policy = &self.shared().policy;
        let bodies = requests
            .into_iter()
            .map(|request| (R::endpoint(), line::body(request, policy)));
        self.quote_bodies(bodies, prices)
    }

    fn quote_bodies(
        &self,
        bodies: impl Iterator<Item = (Endpoint, Result<Bytes, InvalidRequest>)>,
        prices: &PriceBook,
    ) -> BatchQuote {
        let shared = self.shared();
        let (policy, tokens, at) = (&shared.policy, TokenCounter::default(), shared.clock.now());
        let mut quote = BatchQuote {
            lines: 0,
            refused: Vec::new(),
            batches: 0,
            bytes: 0,
            input_tokens: 0,
            batch: LaneQuote::ZERO,
            standard: LaneQuote::ZERO,
            expected: Duration::ZERO,
        };
        let mut files: HashMap<(Endpoint, ModelId), Filled> = HashMap::new();
        for (place, (endpoint, body)) in bodies.enumerate() {
            match body.and_then(|body| line::check(&endpoint, &body, policy)) {
                Ok(checked) => {
                    quote.add(&endpoint, &checked, (prices, at), &tokens);
                    let bytes = line::length(&endpoint, &checked.body);
                    quote.bytes += bytes as u64;
                    let file = files.entry((endpoint, checked.model)).or_default();
                    quote.batches += usize::from(file.put(bytes, checked.inputs.into(), policy));
                }
                Err(error) => quote.refused.push((place, error)),
            }
        }
        let state = shared.lock();
        let each = files
            .keys()
            .map(|(endpoint, model)| state.expected_turnaround(endpoint, model));
        quote.expected = each.max().unwrap_or_default();
        quote
    }
}

impl BatchQuote {
    fn add(
        &mut self,
        endpoint: &Endpoint,
        checked: &Checked,
        (prices, at): (&PriceBook, Timestamp),
        tokens: &TokenCounter,
    ) {
        let Ok(view) = RequestView::read(&checked.body) else {
            return;
        };
        let input_tokens = tokens.count_request(endpoint, &view).tokens;
        self.lines += 1;
        self.input_tokens += input_tokens;
        let output = match endpoint {
            Endpoint::Embeddings => Some(0),
            _ => view.output_limit(),
        };
        for (quote, lane) in [
            (&mut self.batch, Lane::Batch),
            (&mut self.standard, Lane::Standard),
        ] {
            let price = |output_tokens| {
                let usage = Usage {
                    input_tokens,
                    output_tokens,
                    ..Usage::default()
                };
                prices.cost(&checked.model, lane, &usage, at).exact()
            };
            quote.add(price, output);
        }
    }
}
