//! Labelled prompts as requests, with what each model's answer cost.

use std::collections::BTreeMap;

use super::EvaluateError;
use super::curve::Choice;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::money::Usd;
use crate::router::{Answered, Facts, HeldOut, Labelled, RouteRequest, Score};
use crate::usage::Usage;
use crate::wire::RequestView;

/// A labelled prompt as a request that names the strong model.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Which of the labelled rows it is.
    pub(super) row: usize,
    pub(super) prompt: String,
    body: Vec<u8>,
    pub(super) cheap: Answered,
    pub(super) strong: Answered,
    /// What other models made of it.
    pub(super) others: BTreeMap<ModelId, Answered>,
}

/// Turns labelled rows into cases.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) cheap: &'a ModelId,
    pub(super) strong: &'a ModelId,
    pub(super) facts: &'a Facts,
    pub(super) assumed_output: Option<u64>,
    pub(super) at: Timestamp,
}

impl Reader<'_> {
    /// Reads a row; `None` if it does not say what both models made of it.
    pub(super) fn read(&self, row: usize, labelled: &Labelled) -> Option<Case> {
        let answered = |model: &ModelId| {
            let quality = *labelled.qualities.get(model)?;
            Some(Answered {
                quality,
                cost: self.cost(model, labelled),
            })
        };
        let others = labelled
            .qualities
            .keys()
            .filter(|model| *model != self.cheap && *model != self.strong);
        Some(Case {
            row,
            prompt: labelled.prompt.clone(),
            body: labelled.as_chat(self.strong),
            cheap: answered(self.cheap)?,
            strong: answered(self.strong)?,
            others: others
                .filter_map(|model| Some((model.clone(), answered(model)?)))
                .collect(),
        })
    }

    fn cost(&self, model: &ModelId, labelled: &Labelled) -> Option<Usd> {
        let prices = &self.facts.prices;
        // A price is looked up first: to count tokens takes far longer.
        prices.rates(model, Lane::Standard, 0, self.at).ok()?;
        let output = labelled
            .output_tokens
            .get(model)
            .copied()
            .or(self.assumed_output)?;
        let body = labelled.as_chat(model);
        let view = RequestView::read(&body).ok()?;
        let input = self.facts.tokens.count_request(&Endpoint::ChatCompletions, &view);
        let usage = Usage::new(input.tokens, output);
        prices.cost(model, Lane::Standard, &usage, self.at).exact()
    }
}

impl Case {
    /// Shows the request to whoever judges it.
    pub(super) fn show<'a>(
        &'a self,
        facts: &'a Facts,
        at: Timestamp,
    ) -> Result<RouteRequest<'a>, EvaluateError> {
        let read = RouteRequest::read(&Endpoint::ChatCompletions, &self.body, facts);
        read.map(|request| request.made_at(at))
            .map_err(|_| EvaluateError::Unreadable { row: self.row })
    }

    /// Gives the row a score.
    pub(super) const fn held_out(&self, score: f32) -> HeldOut {
        HeldOut::new(score, self.cheap, self.strong)
    }

    /// Asks for the row's score; without one, or with one that is no number, the strong model goes first.
    pub(super) fn scored(
        &self,
        score: &dyn Score,
        facts: &Facts,
        at: Timestamp,
    ) -> Result<HeldOut, EvaluateError> {
        let score = score.score(&self.show(facts, at)?);
        let score = score.filter(|score| !score.is_nan());
        Ok(self.held_out(score.unwrap_or(f32::INFINITY)))
    }

    /// Leaves the row with one of the two models.
    pub(super) const fn choice(&self, is_strong: bool) -> Choice {
        Choice {
            cheap: self.cheap,
            chosen: if is_strong { self.strong } else { self.cheap },
            strong: self.strong,
            is_strong,
        }
    }
}
