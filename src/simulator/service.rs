//! The face in process: a tower service for async-openai.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::BodyExt;
use reqwest::{Body, Request, Response};
use tower::Service;

use super::Simulator;
use super::exchange::{Break, Incoming, Outgoing, Payload, Reply};

/// A [`Simulator`] as a service that takes async-openai's requests without a socket.
///
/// # Cancellation
/// A request has its effect, and is billed, when it has been read in full; to drop the future later undoes nothing.
#[derive(Debug, Clone)]
pub struct SimulatorService {
    simulator: Simulator,
}

impl SimulatorService {
    pub(super) fn new(simulator: Simulator) -> Self {
        Self { simulator }
    }
}

impl Service<HttpRequestFactory> for SimulatorService {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let simulator = self.simulator.clone();
        Box::pin(async move {
            let request = receive(request.build().await?).await?;
            let _visit = simulator.core.enter();
            let reply = simulator.answer(&request);
            pause(simulator.core.latency).await;
            match reply {
                Reply::Answer(answer) => {
                    pause(answer.delay).await;
                    Ok(respond(answer, simulator.core.chunk_delay))
                }
                Reply::Refused => Err(refused().await),
                Reply::Reset => Err(OpenAIError::Boxed(Box::new(reset()))),
                Reply::Hang => std::future::pending().await,
            }
        })
    }
}

pub(super) async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

pub(super) fn reset() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the simulator reset the connection",
    )
}

async fn receive(mut request: Request) -> Result<Incoming, OpenAIError> {
    let body = match request.body_mut().take() {
        None => Bytes::new(),
        // A body in memory is handed over as it is, a form is collected.
        Some(body) => body.collect().await?.to_bytes(),
    };
    Ok(Incoming {
        path: request.url().path().to_owned(),
        query: request.url().query().map(str::to_owned),
        headers: std::mem::take(request.headers_mut()),
        method: request.method().clone(),
        body,
    })
}

fn respond(answer: Outgoing, chunk_delay: Duration) -> Response {
    let body = match answer.body {
        Payload::Whole(bytes) => Body::from(bytes),
        Payload::Pieces(pieces) => Body::wrap_stream(delayed(pieces, chunk_delay)),
        Payload::Broken(pieces, how) => Body::wrap_stream(delayed(pieces, chunk_delay).chain(broken(how))),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.into()
}

/// What comes after the last piece of a body that is broken.
pub(super) fn broken(how: Break) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    match how {
        Break::Reset => stream::iter([Err(reset())]).left_stream(),
        Break::Silence => stream::pending().right_stream(),
    }
}

/// Brings the pieces one after the other.
pub(super) fn delayed(
    pieces: Vec<Bytes>,
    delay: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter(pieces).then(move |piece| async move {
        pause(delay).await;
        Ok(piece)
    })
}

/// Makes reqwest's own error of a connection that could not be made, by a connector that makes none.
async fn refused() -> OpenAIError {
    let client = reqwest::Client::builder()
        .no_proxy()
        .connector_layer(tower::layer::layer_fn(Refuse))
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return OpenAIError::Reqwest(error),
    };
    match client.get("http://simulator.invalid/").send().await {
        Err(error) => OpenAIError::Reqwest(error),
        Ok(_) => OpenAIError::Boxed(Box::new(reset())),
    }
}

/// A connector that never connects.
#[derive(Clone)]
struct Refuse<S>(S);

impl<S, Target> Service<Target> for Refuse<S>
where
    S: Service<Target>,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::future::Ready<Result<S::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Target) -> Self::Future {
        std::future::ready(Err(Box::new(reset())))
    }
}
