//! JSON of which every value knows where it stands, and every number is the text it was written as.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{LoadError, LoadProblem, Source};

/// A value and its place in the text.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    source: Source<'a>,
    path: String,
    raw: &'a RawValue,
}

impl<'a> Value<'a> {
    /// Reads a text. What is not JSON is told with its line.
    pub(super) fn read(source: Source<'a>) -> Result<Self, LoadError> {
        let raw = serde_json::from_str(source.text)
            .map_err(|error| source.error(error.line(), "", LoadProblem::Syntax(error.to_string())))?;
        Ok(Self {
            source,
            path: String::new(),
            raw,
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns what is wrong with this value.
    pub(super) fn error(&self, problem: LoadProblem) -> LoadError {
        let at = self
            .raw
            .get()
            .as_ptr()
            .addr()
            .wrapping_sub(self.source.text.as_ptr().addr());
        self.source.error_at(at, &self.path, problem)
    }

    fn as_a<T: serde::Deserialize<'a>>(&self, expected: &'static str) -> Result<T, LoadError> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.error(LoadProblem::Expected(expected)))
    }

    fn child(&self, name: fmt::Arguments<'_>, raw: &'a RawValue) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            source: self.source,
            path: format!("{}{dot}{name}", self.path),
            raw,
        }
    }

    /// Returns the members of an object, in their order; `null` is left out.
    pub(super) fn members(&self) -> Result<Vec<(String, Self)>, LoadError> {
        let object: Members<'a> = serde_json::from_str(self.raw.get()).map_err(|error| {
            self.error(match error.classify() {
                serde_json::error::Category::Data if self.is_object() => LoadProblem::Twice,
                _ => LoadProblem::Expected("an object"),
            })
        })?;
        let members = object.0.into_iter().filter(|(_, raw)| raw.get() != "null");
        Ok(members
            .map(|(name, raw)| {
                let child = self.child(format_args!("{name}"), raw);
                (name, child)
            })
            .collect())
    }

    /// Returns a member of an object.
    pub(super) fn member(&self, name: &str) -> Result<Option<Self>, LoadError> {
        let found = self.members()?.into_iter().find(|(other, _)| other == name);
        Ok(found.map(|(_, value)| value))
    }

    /// Returns the items of an array.
    pub(super) fn items(&self) -> Result<Vec<Self>, LoadError> {
        let items: Vec<&'a RawValue> = self.as_a("an array")?;
        let numbered = items.into_iter().enumerate();
        Ok(numbered
            .map(|(at, raw)| self.child(format_args!("{at}"), raw))
            .collect())
    }

    pub(super) fn text(&self) -> Result<String, LoadError> {
        self.as_a("a text")
    }

    pub(super) fn count(&self) -> Result<u64, LoadError> {
        self.as_a("a count")
    }

    /// Returns a number as it is written.
    pub(super) fn number(&self) -> Result<&'a str, LoadError> {
        let text = self.raw.get();
        if text.starts_with(|start: char| start == '-' || start.is_ascii_digit()) {
            Ok(text)
        } else {
            Err(self.error(LoadProblem::NotANumber(super::beginning(text))))
        }
    }

    pub(super) fn is_object(&self) -> bool {
        self.raw.get().starts_with('{')
    }

    pub(super) fn is_array(&self) -> bool {
        self.raw.get().starts_with('[')
    }
}

/// The members of an object; none may be there twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                    members.push((name, raw));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
