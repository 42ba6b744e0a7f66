//! Questions to a ledger, and their answers.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::lane::Lane;
use crate::ledger::{LedgerEntry, Totals};
use crate::model::ModelId;

const DAY_MS: i64 = 86_400_000;

/// What to split spend by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dimension {
    /// The feature the call was for.
    Feature,
    /// The model that answered, else the one asked, else the one named.
    Model,
    /// The user the call was for.
    User,
    /// The value of the tag with this key.
    Tag(Arc<str>),
    /// The day in UTC, as `YYYY-MM-DD`; no key for a moment outside the years -9999 to 9999.
    Day,
    /// The lane that answered.
    Lane,
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
        match self {
            Self::Feature => entry.attribution.feature().map(Arc::from),
            Self::Model => entry.model().map(|model| Arc::from(model.as_str())),
            Self::User => entry.attribution.user().map(Arc::from),
            Self::Tag(key) => entry.attribution.tag(key).map(Arc::from),
            Self::Day => day(entry.at),
            Self::Lane => Some(Arc::from(entry.lane.as_str())),
            Self::Endpoint => Some(Arc::from(entry.endpoint.as_str())),
            Self::Status => Some(Arc::from(entry.status.as_str())),
            Self::Role => Some(Arc::from(entry.role.as_str())),
        }
    }

    /// Appends bytes that are the same for two entries exactly if their keys are, without an allocation of their own.
    fn write_key(&self, entry: &LedgerEntry, bytes: &mut Vec<u8>) {
        let text = match self {
            Self::Feature => entry.attribution.feature(),
            Self::Model => entry.model().map(ModelId::as_str),
            Self::User => entry.attribution.user(),
            Self::Tag(key) => entry.attribution.tag(key),
            Self::Day => {
                let at = jiff::Timestamp::from_millisecond(entry.at.as_unix_millis());
                let day = at.map_or(i64::MIN, |at| at.as_millisecond().div_euclid(DAY_MS));
                return bytes.extend_from_slice(&day.to_le_bytes());
            }
            Self::Lane => Some(entry.lane.as_str()),
            Self::Endpoint => Some(entry.endpoint.as_str()),
            Self::Status => Some(entry.status.as_str()),
            Self::Role => Some(entry.role.as_str()),
        };
        // The length in front keeps ("ab", "c") apart from ("a", "bc"), and an empty name from none.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
}

fn day(at: Timestamp) -> Option<Arc<str>> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    let date = jiff::tz::TimeZone::UTC.to_datetime(at).date();
    Some(date.to_string().into())
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
        let wanted = |wanted: &Option<Arc<str>>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        wanted(&self.feature, entry.attribution.feature())
            && wanted(&self.user, entry.attribution.user())
            && self.model.as_ref().is_none_or(|m| entry.model() == Some(m))
            && self.lane.is_none_or(|lane| entry.lane == lane)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
            && self
                .tags
                .iter()
                .all(|(key, value)| entry.attribution.tag(key) == Some(value))
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
    /// Entries that the ledger had, but keeps only as this sum: they match no filter and are in no group.
    pub evicted: Totals,
}

/// The entries that have the same key in every dimension of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// One key for each dimension of the query, in its order; `None` for entries without one, such as no feature.
    pub keys: Vec<Option<Arc<str>>>,
    /// The sums of the group.
    pub totals: Totals,
}

/// Adds up entries to a [`Summary`], one at a time. A ledger that has no faster way answers its queries with it.
///
/// # Examples
/// ```
/// use thrifty::ledger::{Dimension, LedgerEntry, Query, Tally};
/// use thrifty::{Endpoint, EntryId, OpId, Timestamp};
///
/// let now = Timestamp::from_unix_millis(1_790_000_000_000);
/// let entry = LedgerEntry::new(EntryId::new(now), OpId::new(now), now, Endpoint::Responses);
/// let mut tally = Tally::new(&Query::new().group_by(Dimension::Day));
/// tally.add(&entry);
/// let summary = tally.finish();
/// assert_eq!(summary.groups[0].keys[0].as_deref(), Some("2026-09-21"));
/// ```
#[derive(Debug)]
pub struct Tally {
    query: Query,
    groups: Vec<Group>,
    by_key: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
}

impl Tally {
    /// Starts at nothing.
    pub fn new(query: &Query) -> Self {
        Self {
            query: query.clone(),
            groups: Vec::new(),
            by_key: HashMap::new(),
            key: Vec::new(),
        }
    }

    /// Adds an entry, if the query's filter matches.
    pub fn add(&mut self, entry: &LedgerEntry) {
        if !self.query.filter.matches(entry) {
            return;
        }
        self.key.clear();
        for dimension in &self.query.group_by {
            dimension.write_key(entry, &mut self.key);
        }
        let index = self.by_key.get(&self.key).copied();
        if let Some(group) = index.and_then(|index| self.groups.get_mut(index)) {
            group.totals.add(entry);
            return;
        }
        let mut totals = Totals::default();
        totals.add(entry);
        let keys = self.query.group_by.iter().map(|by| by.key(entry)).collect();
        self.by_key.insert(self.key.clone(), self.groups.len());
        self.groups.push(Group { keys, totals });
    }

    /// Returns the sums.
    pub fn finish(mut self) -> Summary {
        self.groups
            .sort_by(|a, b| (Reverse(a.totals.cost), &a.keys).cmp(&(Reverse(b.totals.cost), &b.keys)));
        let mut total = Totals::default();
        for group in &self.groups {
            total.merge(&group.totals);
        }
        Summary {
            groups: self.groups,
            total,
            evicted: Totals::default(),
        }
    }
}
