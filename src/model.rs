//! The id of a model, as it stands on the wire.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The id of a model, such as `gpt-4o-mini`, `gpt-4o-2024-08-06` or `ft:gpt-4o-mini:acme::7p4lURel`.
///
/// Cheap to clone. Two ids are equal when their bytes are: a snapshot is another model than its alias.
///
/// # Examples
/// ```
/// use thrifty::ModelId;
///
/// let snapshot = ModelId::new("gpt-4o-2024-08-06");
/// assert_eq!(snapshot.without_date(), Some("gpt-4o"));
/// assert_eq!(ModelId::new("gpt-4o-audio").without_date(), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// Takes the id as it is; nothing is checked or changed.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as it is shared.
    pub(crate) const fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// Returns what stands before a real `-YYYY-MM-DD` suffix, or `None` if there is no such suffix.
    pub fn without_date(&self) -> Option<&str> {
        let (base, date) = self.0.split_at_checked(self.0.len().checked_sub(11)?)?;
        let [b'-', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date.as_bytes() else {
            return None;
        };
        let two = |high: &u8, low: &u8| (high.wrapping_sub(b'0')) * 10 + low.wrapping_sub(b'0');
        let digits = [y1, y2, y3, y4, m1, m2, d1, d2]
            .into_iter()
            .all(u8::is_ascii_digit);
        let real = digits && (1..=12).contains(&two(m1, m2)) && (1..=31).contains(&two(d1, d2));
        (real && !base.is_empty()).then_some(base)
    }

    /// Returns `<base>` of a fine-tuned model's id `ft:<base>:<org>:<name>:<id>`, or `None` for any other id.
    pub fn fine_tuned_from(&self) -> Option<&str> {
        let (base, _) = self.0.strip_prefix("ft:")?.split_once(':')?;
        (!base.is_empty()).then_some(base)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl From<&str> for ModelId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for ModelId {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl From<&ModelId> for ModelId {
    fn from(id: &ModelId) -> Self {
        id.clone()
    }
}

impl AsRef<str> for ModelId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for ModelId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ModelId {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for ModelId {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_date_is_a_snapshot_suffix() {
        let base = |id: &str| ModelId::new(id).without_date().map(str::to_owned);
        assert_eq!(base("gpt-4o-2024-08-06").as_deref(), Some("gpt-4o"));
        for id in [
            "gpt-4o",
            "gpt-4-0613",
            "x-2024-13-01",
            "x-2024-00-10",
            "x-2024-01-32",
            "-2024-01-01",
            "é2024-01-01",
        ] {
            assert_eq!(base(id), None, "{id}");
        }
    }

    #[test]
    fn a_fine_tuned_model_names_its_base() {
        assert_eq!(
            ModelId::new("ft:gpt-4o-mini:acme::abc").fine_tuned_from(),
            Some("gpt-4o-mini")
        );
        assert_eq!(ModelId::new("ft:gpt-4o-mini").fine_tuned_from(), None);
        assert_eq!(ModelId::new("ft::x").fine_tuned_from(), None);
    }
}
