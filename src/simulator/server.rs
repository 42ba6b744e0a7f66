//! The face on loopback: HTTP/1.1 over TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Simulator;
use super::exchange::{Incoming, Outgoing, Payload, Reply};
use super::service::{broken, delayed, pause, reset};

/// How long a connection lives on before it is lost in the middle of a body: hyper drops what it has not sent by then.
const FLUSH: Duration = Duration::from_millis(20);

/// A [`Simulator`] that listens on loopback, until this is dropped.
#[derive(Debug)]
pub struct SimulatorServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl SimulatorServer {
    /// Returns the base for `OpenAIConfig::with_api_base`, such as `http://127.0.0.1:40123/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for SimulatorServer {
    fn drop(&mut self) {
        // The task owns all connections, so they end with it.
        self.accepting.abort();
    }
}

impl Simulator {
    /// Serves over HTTP on a free port of 127.0.0.1. Must be called inside a tokio runtime with IO enabled.
    ///
    /// # Errors
    /// If no port can be bound.
    ///
    /// # Examples
    /// ```
    /// use async_openai::{Client, config::OpenAIConfig};
    /// use thrifty::simulator::Simulator;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let server = Simulator::new().serve().await?;
    /// let config = OpenAIConfig::new().with_api_base(server.base_url()).with_api_key("any");
    /// let client = Client::with_config(config);
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(&self) -> io::Result<SimulatorServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(self.clone(), listener));
        Ok(SimulatorServer { address, accepting })
    }
}

async fn accept(simulator: Simulator, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => drop(connections.spawn(converse(simulator.clone(), socket))),
            // The client gave up, or there are no more handles until some connection has ended.
            Err(_) => pause(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(simulator: Simulator, socket: TcpStream) {
    // Without it, small events of a stream wait for one another; a socket that refuses it still works.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| respond(simulator.clone(), request));
    // The error is either the client's or the fault that was scripted.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

async fn respond(
    simulator: Simulator,
    request: hyper::Request<hyper::body::Incoming>,
) -> io::Result<http::Response<BoxBody<Bytes, io::Error>>> {
    let (head, body) = request.into_parts();
    let request = Incoming {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body: body.collect().await.map_err(io::Error::other)?.to_bytes(),
    };
    let _visit = simulator.core.enter();
    let reply = simulator.answer(&request);
    pause(simulator.core.latency).await;
    match reply {
        Reply::Answer(answer) => {
            pause(answer.delay).await;
            Ok(write(&simulator, answer))
        }
        Reply::Refused | Reply::Reset => Err(reset()),
        Reply::Hang => std::future::pending().await,
    }
}

fn write(simulator: &Simulator, answer: Outgoing) -> http::Response<BoxBody<Bytes, io::Error>> {
    let delay = simulator.core.chunk_delay;
    let body = match answer.body {
        Payload::Whole(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed(),
        Payload::Pieces(pieces) => {
            BodyExt::boxed(StreamBody::new(delayed(pieces, delay).map_ok(Frame::data)))
        }
        Payload::Broken(pieces, how) => {
            let sent = stream::once(pause(FLUSH)).filter_map(|()| std::future::ready(None));
            let broken = delayed(pieces, delay).chain(sent).chain(broken(how));
            BodyExt::boxed(StreamBody::new(broken.map_ok(Frame::data)))
        }
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
