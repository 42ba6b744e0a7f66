//! What decides once it is promoted: a model, and the line through its gaps.

use std::sync::Arc;

use super::Model;
use super::heads::PerHead;
use crate::router::{Threshold, Tier};

#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) model: Arc<Model>,
    pub(super) threshold: Threshold,
}

impl Policy {
    /// Returns the place of the cheapest candidate over which no dearer one gains as much as the line.
    pub(super) fn wants(&self, judged: &PerHead) -> usize {
        let last = self.model.candidates().len() - 1;
        let enough =
            |candidate: &usize| self.threshold.tier(self.model.gap_over(judged, *candidate)) == Tier::Cheap;
        (0..last).find(enough).unwrap_or(last)
    }
}
