//! Questions to a ledger, and their answers.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::facts::Names;
use crate::ledger::{Distribution, LedgerEntry, Totals};
use crate::model::ModelId;

pub(super) const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// What to split spend by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dimension {
    /// The feature the call was for.
    Feature,
    /// The model that answered, else the one asked, else the one named.
    Model,
    /// The model that was asked, as it was named in the request; no key for a call that names none.
    SentModel,
    /// The user the call was for.
    User,
    /// The value of the tag with this key.
    Tag(Arc<str>),
    /// The day in UTC, as `YYYY-MM-DD`; no key for a moment outside the years -9999 to 9999.
    Day,
    /// The hour in UTC, as `YYYY-MM-DDTHHZ`; no key as for the day.
    Hour,
    /// The lane that answered.
    Lane,
    /// How the cost came to be known, as [`LedgerEntry::source`] tells it.
    Source,
    /// The part of the API.
    Endpoint,
    /// How the call ended.
    Status,
    /// What the call was for within its operation.
    Role,
}

impl Dimension {
    /// Returns the entry's key in this dimension; `None` if it has none, such as no feature.
    pub fn key(&self, entry: &LedgerEntry) -> Option<Arc<str>> {
        self.key_of(&Names::of(entry))
    }

    pub(super) fn key_of(&self, names: &Names<'_>) -> Option<Arc<str>> {
        match self {
            Self::Day => day(names.at),
            Self::Hour => hour(names.at),
            _ => self.text(names).map(Arc::from),
        }
    }

    /// Returns when the day or the hour began that a key of this dimension names, and when it ended; `None` for other keys.
    pub(crate) fn span_of(&self, key: &str) -> Option<(Timestamp, Timestamp)> {
        let (begin, length) = match self {
            Self::Day => (format!("{key}T00:00Z"), DAY_MS),
            Self::Hour => (format!("{}:00Z", key.strip_suffix('Z')?), HOUR_MS),
            _ => return None,
        };
        let begin = begin.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        let at = Timestamp::from_unix_millis;
        Some((at(begin), at(begin.saturating_add(length))))
    }

    /// Appends bytes that are the same for two entries exactly if their keys are, without an allocation of their own.
    pub(super) fn write_key(&self, names: &Names<'_>, bytes: &mut Vec<u8>) {
        let length = match self {
            Self::Day => DAY_MS,
            Self::Hour => HOUR_MS,
            _ => {
                let text = self.text(names);
                // The length in front keeps ("ab", "c") apart from ("a", "bc"), and an empty name from none.
                let length = text.map_or(u64::MAX, |text| text.len() as u64);
                bytes.extend_from_slice(&length.to_le_bytes());
                return bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
        };
        let at = jiff::Timestamp::from_millisecond(names.at.as_unix_millis());
        let start = at.map_or(i64::MIN, |at| at.as_millisecond().div_euclid(length));
        bytes.extend_from_slice(&start.to_le_bytes());
    }

    /// Returns the key of a dimension that is not of time.
    fn text<'a>(&self, names: &Names<'a>) -> Option<&'a str> {
        match self {
            Self::Day | Self::Hour => None,
            Self::Feature => names.feature,
            Self::Model => names.model,
            Self::SentModel => names.sent_model,
            Self::User => names.user,
            Self::Tag(key) => names.tag(key),
            Self::Lane => Some(names.lane.as_str()),
            Self::Source => names.source,
            Self::Endpoint => Some(names.endpoint),
            Self::Status => Some(names.status.as_str()),
            Self::Role => Some(names.role.as_str()),
        }
    }
}

pub(super) fn day(at: Timestamp) -> Option<Arc<str>> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    let date = jiff::tz::TimeZone::UTC.to_datetime(at).date();
    Some(date.to_string().into())
}

fn hour(at: Timestamp) -> Option<Arc<str>> {
    let hour = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    let hour = jiff::tz::TimeZone::UTC.to_datetime(hour).hour();
    Some(format!("{}T{hour:02}Z", day(at)?).into())
}

/// Which entries to look at. The default is all of them; every condition that is set must hold.
///
/// # Examples
/// ```
/// use thrifty::ledger::Filter;
/// use thrifty::{Lane, Timestamp};
///
/// let filter = Filter::default()
///     .with_feature("summaries")
///     .with_lane(Lane::Batch)
///     .with_from(Timestamp::from_unix_millis(1_790_000_000_000));
/// assert_eq!(filter.feature.as_deref(), Some("summaries"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Filter {
    /// Only this feature.
    pub feature: Option<Arc<str>>,
    /// Only this model, as [`LedgerEntry::model`] tells it.
    pub model: Option<ModelId>,
    /// Only this user.
    pub user: Option<Arc<str>>,
    /// Only entries with all of these tags, as keys and values.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// Only this lane.
    pub lane: Option<Lane>,
    /// Only entries of this moment or later.
    pub from: Option<Timestamp>,
    /// Only entries before this moment.
    pub to: Option<Timestamp>,
}

impl Filter {
    /// Looks only at this feature.
    #[must_use]
    pub fn with_feature(mut self, feature: impl Into<Arc<str>>) -> Self {
        self.feature = Some(feature.into());
        self
    }

    /// Looks only at this model, as [`LedgerEntry::model`] tells it.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<ModelId>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Looks only at this user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Looks only at entries with this tag, and with those asked for before.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Looks only at this lane.
    #[must_use]
    pub const fn with_lane(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Looks only at entries of this moment or later.
    #[must_use]
    pub const fn with_from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Looks only at entries before this moment.
    #[must_use]
    pub const fn with_to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// Whether the entry fulfils every condition.
    pub fn matches(&self, entry: &LedgerEntry) -> bool {
        self.matches_time(entry.at) && self.matches_names(&Names::of(entry))
    }

    pub(super) fn matches_time(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// Whether all conditions but those on time are fulfilled.
    pub(super) fn matches_names(&self, names: &Names<'_>) -> bool {
        let wanted = |wanted: Option<&str>, found: Option<&str>| wanted.is_none_or(|_| found == wanted);
        wanted(self.feature.as_deref(), names.feature)
            && wanted(self.user.as_deref(), names.user)
            && wanted(self.model.as_ref().map(ModelId::as_str), names.model)
            && self.lane.is_none_or(|lane| names.lane == lane)
            && self.tags.iter().all(|(key, value)| names.tag(key) == Some(value))
    }
}

/// A question to a ledger: which entries, and how to split them.
///
/// # Examples
/// ```
/// use thrifty::Lane;
/// use thrifty::ledger::{Dimension, Filter, Query};
///
/// let query = Query::new()
///     .group_by(Dimension::Feature)
///     .group_by(Dimension::Day)
///     .with_filter(Filter::default().with_lane(Lane::Batch));
/// assert_eq!(query.group_by.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Query {
    /// What to split by, in this order; nothing: all in one group.
    pub group_by: Vec<Dimension>,
    /// Which entries to look at.
    pub filter: Filter,
}

impl Query {
    /// Asks for all entries, in one group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits by this dimension too.
    #[must_use]
    pub fn group_by(mut self, dimension: Dimension) -> Self {
        self.group_by.push(dimension);
        self
    }

    /// Looks only at entries that match.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The groups, the highest known cost first, then by key. Groups without entries are left out.
    pub groups: Vec<Group>,
    /// The sum of all groups.
    pub total: Totals,
    /// The exact costs of all groups' entries, in pico-dollars.
    pub costs: Distribution,
    /// The latencies of all groups' entries, in milliseconds.
    pub latencies: Distribution,
    /// Entries that the ledger had, but keeps only as a sum that cannot be split or filtered as it was asked: they are
    /// in no group.
    pub evicted: Totals,
    /// Lines that the ledger had to leave out because they are damaged.
    pub bad_lines: u64,
}

/// The entries that have the same key in every dimension of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// One key for each dimension of the query, in its order; `None` for entries without one, such as no feature.
    pub keys: Vec<Option<Arc<str>>>,
    /// The sums of the group.
    pub totals: Totals,
    /// The exact costs of its entries, in pico-dollars.
    pub costs: Distribution,
    /// The latencies of its entries, in milliseconds.
    pub latencies: Distribution,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_a_day_are_read_from_their_names() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let span = |by: Dimension, key: &str| {
            let (begin, end) = by.span_of(key)?;
            Some((begin.as_unix_millis(), end.as_unix_millis()))
        };
        let hour = (at("2026-11-25T23:00:00Z"), at("2026-11-26T00:00:00Z"));
        assert_eq!(span(Dimension::Hour, "2026-11-25T23Z"), Some(hour));
        let day = (at("2028-02-28T00:00:00Z"), at("2028-02-29T00:00:00Z"));
        assert_eq!(span(Dimension::Day, "2028-02-28"), Some(day));
        for (by, key) in [
            (Dimension::Day, "no such day"),
            (Dimension::Day, "2026-11-25T23Z"),
            (Dimension::Hour, "2026-11-25"),
            (Dimension::Feature, "2026-11-25"),
        ] {
            assert_eq!(span(by, key), None);
        }
    }

    #[test]
    fn what_is_written_is_read_also_before_our_era() {
        for millis in [0, 1_790_000_000_000, -62_167_219_200_001, -300_000_000_000_000] {
            let moment = Timestamp::from_unix_millis(millis);
            for (by, key) in [(Dimension::Day, day(moment)), (Dimension::Hour, hour(moment))] {
                let (begin, end) = by.span_of(&key.unwrap()).unwrap();
                assert!(begin <= moment && moment < end, "{millis}");
            }
        }
    }
}
