//! What was spent before this process began.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::limit::{Each, Scope};
use super::{Budget, Unpriced};
use crate::clock::Timestamp;
use crate::model::ModelId;
use crate::money::UsdSum;

/// Tells what was spent before this process began, such as by a ledger.
///
/// # Contract
/// `spent` returns rows that add up to what is known to have been spent by the calls that the question is about, at
/// most. A row is for one key and model, and for an hour or less.
#[async_trait]
pub trait SpendHistory: fmt::Debug + Send + Sync + 'static {
    /// Reads what was spent.
    ///
    /// # Errors
    /// If it cannot be read; the budgets then let no call through, and ask again at the next one.
    async fn spent(
        &self,
        question: &SpendQuestion<'_>,
    ) -> Result<Vec<Spend>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Which calls a budget counts.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SpendQuestion<'a> {
    /// Only calls of this moment or later.
    pub from: Option<Timestamp>,
    /// Only calls for this feature.
    pub feature: Option<&'a Arc<str>>,
    /// Only calls for this user.
    pub user: Option<&'a Arc<str>>,
    /// Only calls with all of these tags.
    pub tags: &'a [(Arc<str>, Arc<str>)],
    /// What rows are to be told apart by.
    pub each: Option<&'a Each>,
    /// Whether rows are to be told apart by model.
    pub by_model: bool,
    /// Whether calls of unknown cost are to be counted.
    pub counts_unpriced: bool,
}

impl<'a> SpendQuestion<'a> {
    pub(super) fn of(budget: &'a Budget, from: Option<Timestamp>) -> Self {
        let Scope {
            feature,
            user,
            model,
            tags,
        } = &budget.scope;
        Self {
            from,
            feature: feature.as_ref(),
            user: user.as_ref(),
            tags,
            each: budget.each.as_ref(),
            by_model: model.is_some() || budget.each == Some(Each::Model),
            counts_unpriced: budget.unpriced != Unpriced::Refuse,
        }
    }
}

/// What some calls have cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spend {
    /// The feature, user or value of a tag, if rows are told apart by one.
    pub key: Option<Arc<str>>,
    /// The model, if rows are told apart by model.
    pub model: Option<ModelId>,
    /// Until when the calls were made at the latest; `None` if that is not known.
    pub until: Option<Timestamp>,
    /// What they can have cost at most, as far as it is known.
    pub at_most: UsdSum,
    /// How many of them have an unknown cost.
    pub unpriced: u64,
    /// The input and output tokens of those.
    pub unpriced_tokens: (u64, u64),
}
