//! Requests that thrifty makes itself, with the user's base URL, credentials and HTTP stack.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use reqwest::Url;

/// Where requests go and how they are signed; asked anew for each request, as credentials may change.
pub(super) trait Origin: Send + Sync {
    fn url(&self, path: &str) -> String;
    fn headers(&self) -> HeaderMap;
    fn query(&self) -> Vec<(String, String)>;
}

impl<C: Config> Origin for C {
    fn url(&self, path: &str) -> String {
        Config::url(self, path)
    }

    fn headers(&self) -> HeaderMap {
        Config::headers(self)
    }

    fn query(&self) -> Vec<(String, String)> {
        Config::query(self)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Makes requests.
#[derive(Clone)]
pub(super) struct Requests(Arc<dyn Origin>);

impl Requests {
    pub(super) fn new(config: impl Config + 'static) -> Self {
        Self(Arc::new(config))
    }

    /// Returns what makes this request, once and again.
    pub(super) fn factory(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<(HeaderValue, Bytes)>,
    ) -> HttpRequestFactory {
        let (origin, path) = (Arc::clone(&self.0), path.to_owned());
        let query: Vec<_> = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        HttpRequestFactory::new(move || {
            let request = build(&*origin, &method, &path, &query, body.as_ref());
            async move { request }
        })
    }

    /// Returns what makes a request whose body is read anew for each attempt; the body says how long it is.
    pub(super) fn upload(
        &self,
        path: &str,
        content_type: HeaderValue,
        body: impl Fn() -> (reqwest::Body, u64) + Send + Sync + 'static,
    ) -> HttpRequestFactory {
        let (origin, path) = (Arc::clone(&self.0), path.to_owned());
        HttpRequestFactory::new(move || {
            let request = build(&*origin, &Method::POST, &path, &[], None).map(|mut request| {
                let (body, len) = body();
                request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
                request.headers_mut().insert(CONTENT_LENGTH, len.into());
                *request.body_mut() = Some(body);
                request
            });
            async move { request }
        })
    }

    /// Whether a request goes where one with this path would go, with the same headers besides those of its body.
    pub(super) fn makes_alike(&self, path: &str, request: &reqwest::Request) -> bool {
        let own = build(&*self.0, request.method(), path, &[], None);
        let signs = |request: &reqwest::Request| {
            let mut headers = request.headers().clone();
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_LENGTH);
            headers
        };
        own.is_ok_and(|own| own.url() == request.url() && signs(&own) == signs(request))
    }
}

fn build(
    origin: &dyn Origin,
    method: &Method,
    path: &str,
    query: &[(String, String)],
    body: Option<&(HeaderValue, Bytes)>,
) -> Result<reqwest::Request, OpenAIError> {
    let wrong =
        |what: &dyn fmt::Display| OpenAIError::InvalidArgument(format!("the base URL is not one: {what}"));
    let mut url = Url::from_str(&origin.url(path)).map_err(|error| wrong(&error))?;
    let own = origin.query();
    if !own.is_empty() || !query.is_empty() {
        url.query_pairs_mut().extend_pairs(own.iter().chain(query));
    }
    let mut request = reqwest::Request::new(method.clone(), url);
    *request.headers_mut() = origin.headers();
    if let Some((content_type, body)) = body {
        request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        *request.body_mut() = Some(body.clone().into());
    }
    Ok(request)
}

impl fmt::Debug for Requests {
    /// Shows where requests go, never how they are signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests({})", self.0.url(""))
    }
}
