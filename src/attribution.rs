//! Whom a call is for: the dimensions that spend is split by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The feature, user and tags that a call is booked under.
///
/// Cheap to clone. Names are kept as given; keep their number bounded, each distinct one is a row in a report.
///
/// # Examples
/// ```
/// use thrifty::Attribution;
///
/// let nightly = Attribution::default().with_feature("summaries").with_tag("tenant", "acme");
/// assert_eq!(nightly.feature(), Some("summaries"));
/// assert_eq!(nightly.tag("tenant"), Some("acme"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attribution {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Arc<[Tag]>>,
}

/// The key and the value of a tag.
pub(crate) type Tag = (Arc<str>, Arc<str>);

impl Attribution {
    /// Sets the feature, replacing one set before.
    #[must_use]
    pub fn with_feature(mut self, feature: impl Into<Arc<str>>) -> Self {
        self.feature = Some(feature.into());
        self
    }

    /// Sets the user, replacing one set before. Prefer an opaque id to a name: it is stored.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets a tag, replacing one of the same key.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        let key = key.into();
        let kept = self
            .tags()
            .filter(|(k, _)| ***k != *key)
            .map(|(k, v)| (Arc::clone(k), Arc::clone(v)));
        let mut tags: Vec<_> = kept.collect();
        tags.push((key, value.into()));
        self.tags = Some(tags.into());
        self
    }

    /// Returns the feature, if one is set.
    pub fn feature(&self) -> Option<&str> {
        self.feature.as_deref()
    }

    /// Returns the user, if one is set.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the value of a tag, if it is set.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags().find(|(k, _)| &***k == key).map(|(_, value)| &**value)
    }

    /// Returns all tags, each key once.
    pub fn tags(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.tags
            .iter()
            .flat_map(|tags| tags.iter())
            .map(|(key, value)| (key, value))
    }

    /// Returns feature, user and tags, as they are shared.
    #[expect(clippy::type_complexity, reason = "three fields, each once")]
    pub(crate) const fn parts(&self) -> (Option<&Arc<str>>, Option<&Arc<str>>, Option<&Arc<[Tag]>>) {
        let Self { feature, user, tags } = self;
        (feature.as_ref(), user.as_ref(), tags.as_ref())
    }

    /// Takes what [`parts`](Self::parts) returned.
    pub(crate) const fn from_parts(
        feature: Option<Arc<str>>,
        user: Option<Arc<str>>,
        tags: Option<Arc<[Tag]>>,
    ) -> Self {
        Self { feature, user, tags }
    }
}
