//! A ledger that can be slow or broken and counts what it is asked, and how to ask the routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_core::stream::BoxStream;
use thrifty::ErrorKind;
use thrifty::ledger::{
    CostLedger, Filter, HashKey, InMemoryLedger, LedgerEntry, LedgerError, Query, Recorded, Summary,
};
use tower::ServiceExt as _;

pub(crate) const SECRET: &str = "postgres://user:hunter2@db.internal/costs";

#[derive(Debug)]
pub(crate) struct Watched {
    inner: InMemoryLedger,
    pub(crate) queries: AtomicUsize,
    under_way: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) broken: AtomicBool,
    pub(crate) delay_ms: AtomicU64,
}

impl Watched {
    pub(crate) fn new(inner: InMemoryLedger) -> Arc<Self> {
        Arc::new(Self {
            inner,
            queries: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
        })
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl CostLedger for Watched {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        self.inner.record(entry)
    }

    fn hash_key(&self) -> Option<HashKey> {
        self.inner.hash_key()
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        self.inner.flush().await
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        let at_once = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        // Ready at once by default; a task switch in any case, so that others can come in between.
        tokio::task::yield_now().await;
        let delay = self.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(LedgerError::Backend {
                kind: ErrorKind::Storage,
                source: SECRET.into(),
            });
        }
        self.inner.query(query).await
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        self.inner.scan(filter)
    }
}

/// What a route answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn send(routes: &Router, method: Method, path: &str, tag: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = routes.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(routes: &Router, path: &str) -> Answer {
    send(routes, Method::GET, path, None).await
}
