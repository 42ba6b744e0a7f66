//! What attempts can have cost at most, as far as no answer tells.

use crate::endpoint::Endpoint;
use crate::ledger::LedgerEntry;
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason};
use crate::router::Facts;
use crate::wire::RequestView;

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
    choices: u64,
    /// Whether input is to be kept in the provider's cache for 12 hours, which costs more than the bound knows.
    pub(super) caches_for_12h: bool,
}

impl Bound {
    /// The bound of a request that could not be read: there is none.
    pub(super) const fn unknown() -> Self {
        Self {
            input: (0, u64::MAX),
            is_of_all: true,
            of_others: Vec::new(),
            output: None,
            choices: 1,
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
            choices: view.choices(),
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

    /// Returns what one attempt can cost at most; `None` without a price or without a limit on the output.
    pub(super) fn cost(&self, facts: &Facts, entry: &LedgerEntry) -> Option<Usd> {
        if self.caches_for_12h {
            return None;
        }
        let model = entry.sent_model.as_ref()?;
        let output = if entry.endpoint == Endpoint::Embeddings {
            0
        } else {
            let capabilities = facts.capabilities.of(model);
            let most = capabilities.and_then(|capabilities| capabilities.max_output());
            self.output.or(most)?.saturating_mul(self.choices)
        };
        let of_it = self.of_others.iter().find(|(other, _)| other == model);
        let input = of_it.map_or(self.input.1, |(_, most)| *most);
        facts
            .prices
            .worst_case(model, entry.lane, input, output, entry.at)
            .ok()
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
