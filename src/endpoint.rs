//! Which part of the API a request speaks to.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of OpenAI's API, told from method and path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /chat/completions`
    ChatCompletions,
    /// `POST /responses`
    Responses,
    /// `POST /embeddings`
    Embeddings,
    /// Anything else, by method and first path segment, such as `POST /images`; ids are never part of it.
    Other(Arc<str>),
}

impl Endpoint {
    /// Tells the endpoint from a method and a URL path, whatever base path stands before it.
    ///
    /// # Examples
    /// ```
    /// use thrifty::Endpoint;
    ///
    /// assert_eq!(Endpoint::of("POST", "/v1/chat/completions"), Endpoint::ChatCompletions);
    /// assert_eq!(Endpoint::of("GET", "/v1/files/file-abc/content").to_string(), "GET /files");
    /// ```
    pub fn of(method: &str, path: &str) -> Self {
        let path = path.trim_end_matches('/');
        if method == "POST" {
            if path.ends_with("/chat/completions") {
                return Self::ChatCompletions;
            }
            if path.ends_with("/responses") {
                return Self::Responses;
            }
            if path.ends_with("/embeddings") {
                return Self::Embeddings;
            }
        }
        let is_base = |segment: &&str| segment.is_empty() || matches!(*segment, "v1" | "api" | "openai");
        let name = path.split('/').find(|segment| !is_base(segment)).unwrap_or("");
        let plain = name.len() <= 32
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
        Self::Other(format!("{method} /{}", if plain { name } else { "?" }).into())
    }

    /// Returns the endpoint's name in ledgers: the path of a known one, else method and first segment.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Embeddings => "/v1/embeddings",
            Self::Other(name) => name,
        }
    }

    /// Whether a model answers there with text of its own: chat completions and responses. Routers choose among models
    /// for these.
    pub const fn is_chat(&self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Responses)
    }

    /// Whether this crate reads, routes and prices calls to this endpoint.
    pub fn is_metered(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Endpoint {
    fn from(name: &str) -> Self {
        match name {
            "/v1/chat/completions" => Self::ChatCompletions,
            "/v1/responses" => Self::Responses,
            "/v1/embeddings" => Self::Embeddings,
            other => Self::Other(other.into()),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer).map(|name| Self::from(&*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_strange_paths_never_reach_the_name() {
        for (method, path, name) in [
            ("GET", "/v1/models/gpt-4o", "GET /models"),
            ("POST", "/v1/threads/thread_abc123/runs", "POST /threads"),
            ("GET", "/v1/responses/resp_1", "GET /responses"),
            ("DELETE", "/v1/FILE-1", "DELETE /?"),
            ("GET", "/", "GET /"),
        ] {
            assert_eq!(Endpoint::of(method, path).as_str(), name);
        }
    }

    #[test]
    fn a_deployment_path_still_tells_its_endpoint() {
        let path = "/openai/deployments/prod-4o/chat/completions";
        assert_eq!(Endpoint::of("POST", path), Endpoint::ChatCompletions);
    }
}
