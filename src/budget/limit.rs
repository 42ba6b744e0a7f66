//! A budget as its user states it.

use std::sync::Arc;
use std::time::Duration;

use super::Window;
use super::estimate::Candidate;
use super::status::LimitedCalls;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::Rates;
use crate::usage::Usage;

/// A limit on what calls may cost, and what happens to a call that could exceed it.
///
/// # Default
/// - it is for all calls; each `for_` narrows that, and all of them must hold
/// - of all time; see [`per`](Self::per)
/// - hard: it refuses. See [`soft`](Self::soft)
/// - [`Admission::Wait`] of 30 s
/// - [`HoldSize::WorstCase`]
/// - [`Unpriced::Refuse`]
/// - alerts at 50, 80 and 100 percent
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use thrifty::budget::{Admission, Budget, Each, TimeZone, Window};
///
/// let berlin = TimeZone::named("Europe/Berlin")?;
/// let nightly = Budget::new("nightly", "20.00".parse()?)
///     .for_feature("nightly")
///     .per(Window::day().in_zone(berlin))
///     .with_admission(Admission::Wait(Duration::from_secs(600)));
/// let users = Budget::new("users", "0.50".parse()?).for_each(Each::User).per(Window::day());
/// let invoice = Budget::new("invoice", "1000.00".parse()?).per(Window::month()).soft();
/// # let _ = (nightly, users, invoice);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Budget {
    pub(super) name: Arc<str>,
    pub(super) limit: Usd,
    pub(super) scope: Scope,
    pub(super) each: Option<Each>,
    pub(super) window: Window,
    pub(super) is_hard: bool,
    pub(super) admission: Admission,
    pub(super) hold: HoldSize,
    pub(super) unpriced: Unpriced,
    pub(super) alerts: Vec<u8>,
}

/// Which calls a budget is for: those that fulfil every condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) feature: Option<Arc<str>>,
    pub(super) user: Option<Arc<str>>,
    pub(super) model: Option<ModelId>,
    pub(super) tags: Vec<(Arc<str>, Arc<str>)>,
}

impl Scope {
    /// Whether whom a call is for fulfils the conditions; its model is told apart.
    #[inline]
    pub(super) fn has(&self, attribution: &Attribution) -> bool {
        let wanted = |wanted: &Option<Arc<str>>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        wanted(&self.feature, attribution.feature())
            && wanted(&self.user, attribution.user())
            && self
                .tags
                .iter()
                .all(|(key, value)| attribution.tag(key) == Some(value))
    }

    /// Whether a model fulfils the condition: it is the one, or a dated snapshot of it.
    #[inline]
    pub(super) fn has_model(&self, model: Option<&ModelId>) -> bool {
        self.model.as_ref().is_none_or(|wanted| {
            model.is_some_and(|model| model == wanted || model.without_date() == Some(wanted.as_str()))
        })
    }
}

/// What a budget makes a limit for each of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Each {
    /// Each feature.
    Feature,
    /// Each user.
    User,
    /// Each model, together with its dated snapshots.
    Model,
    /// Each value of the tag with this key.
    Tag(Arc<str>),
}

impl Each {
    /// Returns what a call counts for; `None` for calls that name none, which share a limit.
    pub(super) fn key<'a>(
        &self,
        attribution: &'a Attribution,
        model: Option<&'a ModelId>,
    ) -> Option<&'a str> {
        match self {
            Self::Feature => attribution.feature(),
            Self::User => attribution.user(),
            Self::Model => model.map(|model| model.without_date().unwrap_or(model.as_str())),
            Self::Tag(key) => attribution.tag(key),
        }
    }
}

/// What happens to a call for which a hard budget has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// It is refused at once.
    Reject,
    /// It waits up to so long for other calls to settle, or for the next window. It is refused at once if neither can
    /// make room in time. Who came first goes first.
    Wait(Duration),
    /// The client asks the dearest of the router's cheaper candidates for which there is room; without one the call is
    /// refused. A pinned call, and one in which the router has no say, is never asked of another model.
    Downgrade,
}

/// How much is held for a call until its cost is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldSize {
    /// The most that it can cost. Then `spent + held` never exceeds the limit.
    WorstCase,
    /// What so many percent of this budget's calls have stayed below, as a share of their worst case. More calls fit
    /// at a time, and **the limit may be exceeded** by what the dearest calls cost beyond that; see
    /// [`BudgetStatus::overruns`](super::BudgetStatus). The worst case is held for the first 100 calls, and by
    /// percentages from 100 on.
    Quantile(u8),
}

/// What a budget does with a call whose greatest cost is not known, such as one to a model without a price.
///
/// A soft budget lets it through in any case, and without a rate counts nothing for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unpriced {
    /// A hard budget refuses it.
    Refuse,
    /// It is held and counted at these rates, every token at the dearest rate of its direction. If there is no limit on
    /// its tokens, a hard budget refuses it.
    At(Rates),
    /// It is held and counted at this amount.
    Each(Usd),
}

impl Budget {
    /// Makes a budget. Its name is for people, and unique among those of a client.
    pub fn new(name: impl Into<Arc<str>>, limit: Usd) -> Self {
        Self {
            name: name.into(),
            limit,
            scope: Scope::default(),
            each: None,
            window: Window::total(),
            is_hard: true,
            admission: Admission::Wait(Duration::from_secs(30)),
            hold: HoldSize::WorstCase,
            unpriced: Unpriced::Refuse,
            alerts: vec![50, 80, 100],
        }
    }

    /// Takes only calls for this feature.
    pub fn for_feature(mut self, feature: impl Into<Arc<str>>) -> Self {
        self.scope.feature = Some(feature.into());
        self
    }

    /// Takes only calls for this user.
    pub fn for_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.scope.user = Some(user.into());
        self
    }

    /// Takes only calls to this model and its dated snapshots: what counts is the model that is asked. Calls that name no
    /// model in a way that is read, such as those for images, are none of them.
    pub fn for_model(mut self, model: impl Into<ModelId>) -> Self {
        self.scope.model = Some(model.into());
        self
    }

    /// Takes only calls with this tag, and with those named before.
    pub fn for_tag(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.scope.tags.push((key.into(), value.into()));
        self
    }

    /// Makes the limit one for each of these. Calls that name none share one.
    ///
    /// Each that has called in this window takes about 300 bytes of memory, in a rolling window up to 2.5 kB.
    pub fn for_each(mut self, each: Each) -> Self {
        self.each = Some(each);
        self
    }

    /// Sets the stretch of time that the limit is for.
    pub fn per(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Only counts and alerts, and never refuses.
    pub fn soft(mut self) -> Self {
        self.is_hard = false;
        self
    }

    /// Sets what happens to a call for which there is no room.
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Sets how much is held for a call.
    pub fn with_hold(mut self, hold: HoldSize) -> Self {
        self.hold = hold;
        self
    }

    /// Sets what happens to a call whose greatest cost is not known.
    pub fn with_unpriced(mut self, unpriced: Unpriced) -> Self {
        self.unpriced = unpriced;
        self
    }

    /// Sets at which percentages of the limit to alert; none turns alerts off.
    pub fn with_alerts(mut self, percent: impl IntoIterator<Item = u8>) -> Self {
        self.alerts = percent.into_iter().collect();
        self.alerts.sort_unstable();
        self.alerts.dedup();
        self
    }

    /// Returns its name.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns its limit.
    pub const fn limit(&self) -> Usd {
        self.limit
    }

    /// Returns which calls count for the limit with this key.
    pub(super) fn calls(&self, key: Option<&Arc<str>>) -> LimitedCalls {
        let Scope {
            feature,
            user,
            model,
            tags,
        } = &self.scope;
        if user.is_some() || model.is_some() || !tags.is_empty() {
            return LimitedCalls::Others;
        }
        match (&self.each, feature) {
            (None, None) => LimitedCalls::All,
            (None, Some(feature)) => LimitedCalls::OfFeature(Some(Arc::clone(feature))),
            (Some(Each::Feature), _) => LimitedCalls::OfFeature(key.cloned()),
            (Some(_), _) => LimitedCalls::Others,
        }
    }

    /// Returns what is counted for a call of which nothing is known.
    pub(super) fn unpriced_amount(&self) -> i64 {
        match self.unpriced {
            Unpriced::Each(amount) => amount.as_pico(),
            Unpriced::Refuse | Unpriced::At(_) => 0,
        }
    }

    /// Returns the smallest amount in it.
    pub(super) fn least_amount(&self) -> Usd {
        match self.unpriced {
            Unpriced::Each(amount) => amount.min(self.limit),
            Unpriced::Refuse | Unpriced::At(_) => self.limit,
        }
    }

    /// Returns since when calls count at a moment; `None` if all do.
    pub(super) fn counts_from(&self, now: Timestamp) -> Option<Timestamp> {
        const QUARTER: i64 = 900_000;
        let Some(length) = self.window.rolls() else {
            let span = self.window.around(now);
            return span.ends().map(|_| span.start);
        };
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let from = now.as_unix_millis().saturating_sub(length);
        // Ledgers keep sums by quarters of an hour. What a long window then counts too much leaves it at once.
        let is_long = length >= 64 * QUARTER;
        let from = if is_long {
            from.div_euclid(QUARTER).saturating_mul(QUARTER)
        } else {
            from
        };
        Some(Timestamp::from_unix_millis(from))
    }

    /// Returns what is to be counted for a call that could be any of these; `None` if that is not known.
    ///
    /// A worst case is cut by the share that this budget holds, in 1,024ths.
    #[inline]
    pub(super) fn share(&self, candidate: &Candidate, share: u32, attempts: u32) -> Option<i64> {
        if let Some(most) = candidate.at_most {
            let cut = i128::from(most.as_pico()) * i128::from(share) + 1_023;
            return i64::try_from(cut >> 10).ok();
        }
        let once = match self.unpriced {
            Unpriced::Each(amount) => Some(amount),
            Unpriced::At(rates) => {
                let (input, output) = candidate.tokens?;
                rates.at_most(&Usage::new(input, output))
            }
            Unpriced::Refuse => None,
        };
        once?.checked_mul(attempts.into()).map(Usd::as_pico)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_which_calls_count_as_far_as_features_tell() {
        let budget = || Budget::new("b", Usd::from_dollars(1));
        let key: Arc<str> = "chat".into();
        let of_chat = || LimitedCalls::OfFeature(Some("chat".into()));
        for (budget, key, expected) in [
            (budget(), None, LimitedCalls::All),
            (budget().for_feature("chat"), None, of_chat()),
            (budget().for_each(Each::Feature), Some(&key), of_chat()),
            (
                budget().for_each(Each::Feature),
                None,
                LimitedCalls::OfFeature(None),
            ),
            (
                budget().for_feature("chat").for_each(Each::User),
                Some(&key),
                LimitedCalls::Others,
            ),
            (
                budget().for_feature("chat").for_user("u"),
                None,
                LimitedCalls::Others,
            ),
            (budget().for_model("gpt-4o"), None, LimitedCalls::Others),
        ] {
            assert_eq!(budget.calls(key), expected);
        }
    }
}
