//! What a call can cost, before it is made.

use std::time::Duration;

use crate::model::ModelId;
use crate::money::Usd;

/// The most that a call can cost, for each model that may be asked for it.
///
/// One of the models answers: a budget for all of them holds the dearest, a budget for one model its own. Models that
/// are asked one after the other are billed beside each other: [`and`](Self::and).
///
/// # Examples
/// ```
/// use thrifty::budget::Estimate;
///
/// let call = Estimate::of("gpt-4o-mini", Some("0.01".parse()?)).or("gpt-4o", Some("0.16".parse()?));
/// # let _ = call;
/// # Ok::<(), thrifty::ParseUsdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    pub(super) first: Candidate,
    pub(super) others: Vec<Candidate>,
    /// After what time nobody will tell any more what it has cost.
    pub(super) settles_within: Duration,
    /// How many attempts may be billed, of those whose greatest cost is not known.
    pub(super) attempts: u32,
}

/// One model that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) model: Option<ModelId>,
    pub(super) at_most: Option<Usd>,
    /// The most input and output tokens, if there is such a limit.
    pub(super) tokens: Option<(u64, u64)>,
    /// Whether it is billed beside the first one, not instead of it.
    pub(super) is_beside: bool,
}

impl Candidate {
    const fn new(model: Option<ModelId>, at_most: Option<Usd>) -> Self {
        Self {
            model,
            at_most,
            tokens: None,
            is_beside: false,
        }
    }
}

impl Estimate {
    /// Takes a model and the most that it can cost; `None` if that is not known.
    pub fn of(model: impl Into<ModelId>, at_most: Option<Usd>) -> Self {
        Self::of_first(Candidate::new(Some(model.into()), at_most))
    }

    /// Takes a call that names no model.
    pub const fn without_model(at_most: Option<Usd>) -> Self {
        Self::of_first(Candidate::new(None, at_most))
    }

    const fn of_first(first: Candidate) -> Self {
        Self {
            first,
            others: Vec::new(),
            settles_within: Duration::from_secs(3_600),
            attempts: 1,
        }
    }

    /// Adds a model that may be asked instead.
    #[must_use]
    pub fn or(mut self, model: impl Into<ModelId>, at_most: Option<Usd>) -> Self {
        self.others.push(Candidate::new(Some(model.into()), at_most));
        self
    }

    /// Adds a model that may be asked after the first one, and is billed beside it.
    ///
    /// # Examples
    /// ```
    /// use thrifty::budget::Estimate;
    ///
    /// let both = Estimate::of("gpt-4o-mini", Some("0.01".parse()?)).and("gpt-4o", Some("0.16".parse()?));
    /// assert_eq!(both.at_most(), Some("0.17".parse()?));
    /// # Ok::<(), thrifty::ParseUsdError>(())
    /// ```
    #[must_use]
    pub fn and(mut self, model: impl Into<ModelId>, at_most: Option<Usd>) -> Self {
        self.others.push(Candidate {
            is_beside: true,
            ..Candidate::new(Some(model.into()), at_most)
        });
        self
    }

    /// Sets the most tokens of the model that was named last, for budgets that have a rate of their own.
    #[must_use]
    pub fn with_tokens(mut self, input: u64, output: u64) -> Self {
        let last = self.others.last_mut().unwrap_or(&mut self.first);
        last.tokens = Some((input, output));
        self
    }

    /// Sets after what time nobody will tell any more what the call has cost, and its hold counts as spent. Default: an
    /// hour.
    #[must_use]
    pub const fn settles_within(mut self, time: Duration) -> Self {
        self.settles_within = time;
        self
    }

    /// Sets how many attempts may be billed, where a budget has a rate of its own for calls of unknown cost.
    #[must_use]
    pub(crate) const fn of_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Returns the candidates that are billed beside each other.
    pub(super) fn beside(&self) -> impl Iterator<Item = &Candidate> {
        std::iter::once(&self.first).chain(self.others.iter().filter(|other| other.is_beside))
    }

    /// Returns those of which one is billed instead of all the others.
    pub(super) fn instead(&self) -> impl Iterator<Item = &Candidate> {
        self.others.iter().filter(|other| !other.is_beside)
    }

    /// Returns the most that it can cost whichever model answers; `None` if that is not known of one.
    pub fn at_most(&self) -> Option<Usd> {
        let all = self
            .beside()
            .try_fold(Usd::ZERO, |sum, next| sum.checked_add(next.at_most?))?;
        self.instead()
            .try_fold(all, |most, next| Some(most.max(next.at_most?)))
    }
}
