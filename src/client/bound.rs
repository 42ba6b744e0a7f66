//! What attempts can have cost at most, as far as no answer tells.
//!
//! A bound is never too low, or there is none. A model that runs once for an answer reads at most its context window:
//! more input is refused, or cut off (`truncation` in OpenAI's API reference). How often one runs is in
//! [`may_run_again`]. Of `n` choices only the output is billed `n` times, and `max_output_tokens` holds for the whole
//! response (both there too).

use memchr::memmem;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::ledger::LedgerEntry;
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason};
use crate::router::Facts;
use crate::tokens::may_run_again;
use crate::usage::Usage;
use crate::wire::{self, RequestView};

/// What bounds the tokens of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The input, as the model that the body names counts it; `u64::MAX` if there is no bound.
    input: (u64, u64),
    /// Whether others count it alike.
    is_of_all: bool,
    /// The most that the input is to others, where they count it otherwise.
    of_others: Vec<(ModelId, u64)>,
    output: Option<u64>,
    /// How many choices are asked for; `None` if that cannot be read.
    choices: Option<u64>,
    traits: Traits,
    /// Whether input is to be kept in the provider's cache for 12 hours.
    pub(super) caches_for_12h: bool,
}

/// What else of a request decides what is billed.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
struct Traits {
    /// The model may run more than once.
    runs_again: bool,
    /// A search is asked for.
    searches: bool,
    /// What the answer may be is sent along; what of that does not come true is billed as output.
    predicts: bool,
    /// Audio is heard or spoken.
    has_audio: bool,
    /// Earlier input is read again, which may have parts that are to be kept for 12 hours.
    goes_on: bool,
    /// A tier is asked for whose price is not known.
    has_unknown_tier: bool,
}

impl Traits {
    /// Finds them; what is nothing but text is not looked at.
    fn of(view: &RequestView<'_>, is_text: bool) -> Self {
        let is_set = |raw: Option<&RawValue>| raw.is_some_and(|raw| !wire::is_null(raw));
        let contents = [view.messages, view.input].into_iter().flatten();
        let is_heard = !is_text && contents.into_iter().any(names_audio);
        Self {
            runs_again: !is_text && may_run_again(view),
            searches: is_set(view.web_search_options),
            predicts: is_set(view.prediction),
            has_audio: is_heard || is_set(view.audio) || view.modalities.is_some_and(names_audio),
            goes_on: is_set(view.previous_response_id) || is_set(view.conversation),
            has_unknown_tier: view
                .service_tier
                .and_then(wire::string)
                .is_some_and(|tier| tier != "auto" && Lane::from_service_tier(&tier).is_none()),
        }
    }
}

fn names_audio(json: &RawValue) -> bool {
    // A letter that is written as an escape may be part of such a word.
    let words: [&[u8]; 4] = [b"\"input_audio\"", b"\"audio\"", b"\\u006", b"\\u007"];
    words
        .iter()
        .any(|word| memmem::find(json.get().as_bytes(), word).is_some())
}

impl Bound {
    /// The bound of a request that could not be read: there is none.
    pub(super) const fn unknown() -> Self {
        Self {
            input: (0, u64::MAX),
            is_of_all: true,
            of_others: Vec::new(),
            output: None,
            choices: None,
            traits: Traits {
                runs_again: true,
                searches: false,
                predicts: false,
                has_audio: false,
                goes_on: false,
                has_unknown_tier: false,
            },
            caches_for_12h: false,
        }
    }

    pub(super) fn of(facts: &Facts, endpoint: &Endpoint, view: &RequestView<'_>) -> Self {
        let of_all = facts.tokens.bounds_for_all(endpoint, view);
        Self {
            input: of_all.unwrap_or_else(|| facts.tokens.bounds(endpoint, view)),
            is_of_all: of_all.is_some(),
            of_others: Vec::new(),
            output: view.output_limit(),
            choices: match view.n.filter(|n| !wire::is_null(n)) {
                Some(n) => wire::count(n),
                None => Some(1),
            },
            traits: Traits::of(view, of_all.is_some()),
            caches_for_12h: view.caches_for_12h(),
        }
    }

    /// Lets it hold for another model too: images count differently.
    pub(super) fn hold_for(
        &mut self,
        model: &ModelId,
        facts: &Facts,
        endpoint: &Endpoint,
        view: &RequestView<'_>,
    ) {
        if !self.is_of_all {
            let (_, most) = facts.tokens.bounds_for(model.as_str(), endpoint, view);
            self.of_others.push((model.clone(), most));
        }
    }

    /// Returns what the input lies between, to the model that the body names.
    pub(super) const fn input(&self) -> (u64, u64) {
        self.input
    }

    /// Returns how much input and output one attempt can be billed for at most; `None` without a bound.
    ///
    /// A model that cannot bound what a request of more than text is, because its context window is not known, may
    /// still bound the output.
    pub(super) fn tokens(
        &self,
        facts: &Facts,
        endpoint: &Endpoint,
        model: &ModelId,
    ) -> (Option<u64>, Option<u64>) {
        let of_it = self.of_others.iter().find(|(other, _)| other == model);
        let counted = of_it.map_or(self.input.1, |(_, most)| *most);
        let counted = (counted < u64::MAX).then_some(counted);
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Responses => {}
            // A window holds for each of the texts by itself.
            Endpoint::Embeddings => return (counted, Some(0)),
            Endpoint::Other(_) => return (None, None),
        }
        if self.traits.runs_again {
            return (None, self.output);
        }
        let known = facts.capabilities.of(model);
        let window = known.and_then(|known| known.context_window());
        let has_fee = facts.prices.has_fee_by_answer(model);
        let input = if self.traits.searches && !has_fee {
            // Nobody says how often it searches, nor for how much.
            None
        } else if has_fee || self.traits.predicts {
            window
        } else {
            counted.into_iter().chain(window).min()
        };
        let output = if self.traits.predicts {
            window
        } else {
            let most = known.and_then(|known| known.max_output());
            self.output.or(most).or(window)
        };
        // A model that searches before it answers runs once for each of the two.
        let runs = if has_fee { 2 } else { 1 };
        let times = |tokens: u64, count: u64| tokens.saturating_mul(count);
        let choices = self.choices.map(|choices| times(choices.max(1), runs));
        (
            input.map(|input| times(input, runs)),
            output
                .zip(choices)
                .map(|(output, choices)| times(output, choices)),
        )
    }

    /// Returns what one attempt can cost at most; `None` without a price, or without a bound of what is billed.
    pub(super) fn cost(
        &self,
        facts: &Facts,
        endpoint: &Endpoint,
        model: &ModelId,
        lane: Lane,
        at: Timestamp,
    ) -> Option<Usd> {
        let (Some(input), Some(output)) = self.tokens(facts, endpoint, model) else {
            return None;
        };
        if self.traits.has_unknown_tier {
            return None;
        }
        let mut most = Usage::new(input, output);
        let can_keep = || {
            let rates = facts.prices.rates(model, lane, input, at);
            rates.is_ok_and(|rates| rates.cache_write_12h().is_some())
        };
        if self.caches_for_12h || self.traits.goes_on && can_keep() {
            most.cache_write_tokens = input;
            most.cache_write_12h_tokens = input;
        }
        if self.traits.has_audio {
            most.audio_input_tokens = input;
            most.audio_output_tokens = output;
        }
        facts.prices.worst_case(model, lane, &most, at).ok()
    }

    /// Returns what the attempt of an entry can cost at most.
    pub(super) fn cost_of(&self, facts: &Facts, entry: &LedgerEntry) -> Option<Usd> {
        let model = entry.sent_model.as_ref()?;
        self.cost(facts, &entry.endpoint, model, entry.lane, entry.at)
    }
}

/// Attempts that got no answer and may have been billed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    attempts: u32,
    at_most: Option<Usd>,
}

impl Lost {
    pub(super) const NONE: Self = Self {
        attempts: 0,
        at_most: Some(Usd::ZERO),
    };

    /// Adds attempts that cost up to the bound each.
    #[must_use]
    pub(super) fn and(self, attempts: u32, bound: Option<Usd>) -> Self {
        if attempts == 0 {
            return self;
        }
        let more = bound.and_then(|bound| bound.checked_mul(attempts.into()));
        Self {
            attempts: self.attempts.saturating_add(attempts),
            at_most: self
                .at_most
                .zip(more)
                .and_then(|(most, more)| most.checked_add(more)),
        }
    }

    pub(super) const fn attempts(self) -> u32 {
        self.attempts
    }

    /// Returns the most that they can have cost; `None` without a bound.
    pub(super) const fn at_most(self) -> Option<Usd> {
        self.at_most
    }

    /// Adds to an entry what they may have cost. What would have been saved is then not known either.
    pub(super) fn book(self, entry: &mut LedgerEntry) {
        if self.attempts == 0 {
            return;
        }
        let sum = |most: Option<Usd>| {
            most.zip(self.at_most)
                .and_then(|(most, more)| most.checked_add(more))
        };
        let why = PartialReason::LostAttempt;
        entry.cost = match entry.cost {
            Cost::Priced(known) => Cost::Partial {
                known,
                at_most: sum(Some(known)),
                why,
            },
            Cost::Partial { known, at_most, .. } => Cost::Partial {
                known,
                at_most: sum(at_most),
                why,
            },
            Cost::Unpriced(reason) => Cost::Unpriced(reason),
        };
        entry.baseline = None;
    }
}
