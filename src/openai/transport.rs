//! What carries requests to the server.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_openai::error::OpenAIError;
use async_openai::middleware::{HttpRequestFactory, ReqwestService};
use futures_util::future::BoxFuture;
use tower::{Service, ServiceExt};

/// The HTTP stack that carries every request: calls, uploads, polls and downloads.
///
/// It is an argument of its own because a `reqwest::Client` cannot be taken out of the `async_openai::Client` that is
/// wrapped: without it, your proxy, timeouts and default headers would vanish in silence.
///
/// # Examples
/// ```
/// use thrifty::Transport;
///
/// let direct = Transport::default();
/// let proxied = Transport::reqwest(reqwest::Client::builder().no_proxy().build()?);
/// # let _ = (direct, proxied);
/// # Ok::<(), reqwest::Error>(())
/// ```
#[derive(Clone)]
pub struct Transport(Arc<dyn Carry>);

impl Transport {
    /// Uses this HTTP client, with its proxy, timeouts and default headers.
    pub fn reqwest(client: reqwest::Client) -> Self {
        Self::service(ReqwestService::new(client))
    }

    /// Uses a tower service, the same that `async_openai::Client::with_http_service` takes.
    ///
    /// thrifty retries around it. If your service retries too, switch one of the two off.
    pub fn service<S>(service: S) -> Self
    where
        S: Service<HttpRequestFactory, Response = reqwest::Response> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<OpenAIError> + Send + Sync + 'static,
    {
        Self(Arc::new(Erased(service)))
    }

    /// Sends one attempt. `first` is the request already built; `rebuild` makes further ones if the stack asks again.
    pub(crate) fn send(
        &self,
        first: reqwest::Request,
        rebuild: &HttpRequestFactory,
    ) -> BoxFuture<'static, Result<reqwest::Response, OpenAIError>> {
        let (first, rebuild) = (Mutex::new(Some(first)), rebuild.clone());
        self.0.carry(HttpRequestFactory::new(move || {
            let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let rebuild = rebuild.clone();
            async move {
                match first {
                    Some(request) => Ok(request),
                    None => rebuild.build().await,
                }
            }
        }))
    }
}

impl Default for Transport {
    /// A `reqwest::Client` of its own, with the TLS that the features of your build choose.
    fn default() -> Self {
        Self::reqwest(reqwest::Client::new())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({})", self.0.name())
    }
}

/// Erases the service's type at the boundary, so that nothing above is generic over it.
trait Carry: Send + Sync {
    fn carry(
        &self,
        request: HttpRequestFactory,
    ) -> BoxFuture<'static, Result<reqwest::Response, OpenAIError>>;
    fn name(&self) -> &'static str;
}

struct Erased<S>(S);

impl<S> Carry for Erased<S>
where
    S: Service<HttpRequestFactory, Response = reqwest::Response> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<OpenAIError> + Send + Sync + 'static,
{
    fn carry(
        &self,
        request: HttpRequestFactory,
    ) -> BoxFuture<'static, Result<reqwest::Response, OpenAIError>> {
        let service = self.0.clone();
        Box::pin(async move { service.oneshot(request).await.map_err(Into::into) })
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<S>()
    }
}
