//! Many requests at once: one write and one sync for hundreds of them.

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};
use tokio::task::JoinHandle;

use super::collector::{BatchCollector, Enqueue};
use super::error::BatchError;
use super::store::{Content, StoreError};
use crate::id::RequestId;

/// How many requests are written at once.
const AT_ONCE: usize = 256;
/// How many bytes are written before they are synced: a store keeps them in memory until they are safe.
const UNSAFE: usize = 2 << 20;

fn bytes_of(line: &Content) -> usize {
    match line {
        Content::Bytes(bytes) => bytes.len(),
        Content::Stored(_) => 0,
    }
}

async fn finished(sync: JoinHandle<Result<(), StoreError>>) -> Result<(), BatchError> {
    Ok(sync.await.map_err(|_| StoreError::Interrupted)??)
}

impl BatchCollector {
    /// Takes many requests, without a handle for each: their outcomes come from [`outcomes`](Self::outcomes), or from
    /// [`attach`](Self::attach). When it returns `Ok`, all of them are as durable as the store makes them.
    ///
    /// # Errors
    /// As of a single one. It ends with the first request that cannot be taken; those before it are taken, so that
    /// requests with keys can be given again.
    ///
    /// # Cancellation
    /// What was taken by then stays taken.
    ///
    /// # Examples
    /// ```
    /// use futures_util::stream;
    /// use thrifty::Endpoint;
    /// use thrifty::batch::{BatchCollector, BatchError};
    ///
    /// async fn embed(collector: &BatchCollector, texts: Vec<String>) -> Result<usize, BatchError> {
    ///     let requests = texts.iter().enumerate().map(|(n, text)| {
    ///         let body = format!(r#"{{"model":"text-embedding-3-small","input":{text:?}}}"#);
    ///         collector.enqueue_raw(Endpoint::Embeddings, body).key(format!("text-{n}"))
    ///     });
    ///     Ok(collector.enqueue_many(stream::iter(requests)).await?.len())
    /// }
    /// ```
    pub async fn enqueue_many<T>(
        &self,
        requests: impl Stream<Item = Enqueue<T>>,
    ) -> Result<Vec<RequestId>, BatchError> {
        let shared = self.shared();
        shared.load().await?;
        shared.ensure_driver()?;
        let mut ids = Vec::new();
        let mut requests = std::pin::pin!(requests);
        let mut failed = None;
        let (mut unsafe_bytes, mut syncing) = (0, None);
        while failed.is_none()
            && let Some(first) = requests.next().await
        {
            let (mut prepared, mut bytes, mut next) = (Vec::new(), 0, Some(first));
            while let Some(request) = next.take() {
                let let_in = match request.prepare() {
                    Ok((request, context)) => shared.let_in(request, context).await,
                    Err(error) => Err(error),
                };
                match let_in {
                    Ok(request) => {
                        bytes += bytes_of(&request.0.line);
                        prepared.push(request);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                // What is not there yet is not waited for.
                if prepared.len() < AT_ONCE && bytes < UNSAFE {
                    next = requests.next().now_or_never().flatten();
                }
            }
            unsafe_bytes += bytes;
            match shared.admit_many(prepared) {
                Ok(admitted) => ids.extend(admitted),
                Err(error) => failed = Some(error),
            }
            shared.ensure_driver()?;
            shared.wake.notify_one();
            if unsafe_bytes > UNSAFE {
                unsafe_bytes = 0;
                // One sync goes on while the next requests are written.
                let shared = shared.clone();
                let next = tokio::spawn(async move { shared.sync().await });
                if let Some(last) = syncing.replace(next) {
                    finished(last).await?;
                }
            }
        }
        if let Some(last) = syncing {
            finished(last).await?;
        }
        shared.sync().await?;
        failed.map_or(Ok(ids), Err)
    }
}
