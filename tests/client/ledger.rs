//! A ledger that does not take entries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use thrifty::ledger::{
    CostLedger, FileLedger, Filter, InMemoryLedger, LedgerEntry, LedgerError, Query, Recorded, Summary,
};
use thrifty::router::FixedRouter;
use thrifty::simulator::Simulator;
use thrifty::{ErrorKind, LlmClient};

use super::{chat, client_of, rows};

/// A ledger whose disk is full until it is not, or whose code is wrong until it is not.
#[derive(Debug, Default)]
struct Stubborn {
    is_full: AtomicBool,
    panics: AtomicBool,
    inner: InMemoryLedger,
}

#[async_trait]
impl CostLedger for Stubborn {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        assert!(!self.panics.load(Ordering::Relaxed), "a ledger's bug");
        if self.is_full.load(Ordering::Relaxed) {
            return Err(LedgerError::Full { capacity: 0 });
        }
        self.inner.record(entry)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        self.inner.flush().await
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        self.inner.query(query).await
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        self.inner.scan(filter)
    }
}

fn stubborn() -> (Arc<Stubborn>, LlmClient) {
    let ledger = Arc::new(Stubborn::default());
    let llm = client_of(&Simulator::new()).with_ledger(Arc::clone(&ledger));
    (ledger, llm.build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_refuses_loses_no_answer_and_no_row() {
    let (ledger, llm) = stubborn();
    ledger.is_full.store(true, Ordering::Relaxed);
    let tracked = llm.tracked();
    for prompt in ["first", "second"] {
        tracked
            .user(prompt)
            .chat()
            .create(chat("gpt-4o", prompt))
            .await
            .unwrap();
    }
    assert!(tracked.receipt().await.unwrap().cost().is_some());
    assert_eq!(rows(&llm).await, []);
    let error = llm.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Busy, true));

    ledger.is_full.store(false, Ordering::Relaxed);
    assert!(llm.flush().await.unwrap().is_empty());
    let users: Vec<_> = rows(&llm)
        .await
        .iter()
        .map(|row| row.attribution.user().map(str::to_owned))
        .collect();
    assert_eq!(users, [Some("first".to_owned()), Some("second".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_refused_go_in_before_the_next_one() {
    let (ledger, llm) = stubborn();
    ledger.is_full.store(true, Ordering::Relaxed);
    llm.user("first")
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap();
    ledger.is_full.store(false, Ordering::Relaxed);
    llm.user("second")
        .chat()
        .create(chat("gpt-4o", "hi"))
        .await
        .unwrap();
    let rows = rows(&llm).await;
    assert_eq!(
        (rows[0].attribution.user(), rows[1].attribution.user()),
        (Some("first"), Some("second"))
    );
    assert!(llm.flush().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_panics_loses_no_answer_and_no_row() {
    let (ledger, llm) = stubborn();
    ledger.panics.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
    }
    assert_eq!(llm.flush().await.unwrap_err().kind(), ErrorKind::Storage);
    ledger.panics.store(false, Ordering::Relaxed);
    assert!(llm.flush().await.unwrap().is_empty());
    assert_eq!(rows(&llm).await.len(), 2);
}

/// A ledger whose queue holds two entries until a flush empties it.
#[derive(Debug, Default)]
struct Queueing {
    queue: Mutex<Vec<Arc<LedgerEntry>>>,
    stored: InMemoryLedger,
}

#[async_trait]
impl CostLedger for Queueing {
    fn record(&self, entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        let mut queue = self.queue.lock().unwrap();
        if queue.len() == 2 {
            return Err(LedgerError::Full { capacity: 2 });
        }
        queue.push(Arc::clone(entry));
        Ok(Recorded::Queued)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        for entry in self.queue.lock().unwrap().drain(..) {
            self.stored.record(&entry)?;
        }
        Ok(())
    }

    async fn query(&self, query: &Query) -> Result<Summary, LedgerError> {
        self.stored.query(query).await
    }

    fn scan(&self, filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        self.stored.scan(filter)
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_emptied_by_a_flush_and_by_a_shutdown() {
    let llm = client_of(&Simulator::new())
        .with_ledger(Queueing::default())
        .build()
        .unwrap();
    for calls in [7, 14] {
        for _ in 0..7 {
            llm.chat().create(chat("gpt-4o", "hi")).await.unwrap();
        }
        let pending = match calls {
            7 => llm.flush().await,
            _ => llm.shutdown(Duration::from_secs(1)).await,
        };
        assert!(pending.unwrap().is_empty());
        assert_eq!(rows(&llm).await.len(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_puts_in_only_a_few_of_the_rows_that_wait_and_a_flush_all() {
    let (ledger, llm) = stubborn();
    ledger.is_full.store(true, Ordering::Relaxed);
    for number in 0..100 {
        let user = format!("{number:03}");
        llm.user(user).chat().create(chat("gpt-4o", "hi")).await.unwrap();
    }
    ledger.is_full.store(false, Ordering::Relaxed);
    for (calls, stored) in [(101, 32), (102, 64)] {
        let user = format!("{:03}", calls - 1);
        llm.user(user).chat().create(chat("gpt-4o", "hi")).await.unwrap();
        assert_eq!(rows(&llm).await.len(), stored);
    }
    assert!(llm.flush().await.unwrap().is_empty());
    let rows = rows(&llm).await;
    let users: Vec<_> = rows.iter().map(|row| row.attribution.user().unwrap()).collect();
    assert!(users.is_sorted() && users.len() == 102);
}

#[tokio::test(start_paused = true)]
async fn equal_requests_are_told_by_a_hash_that_only_their_ledger_can_make() {
    let dir = tempfile::tempdir().unwrap();
    let shared = "A river flows to the sea. ".repeat(200);
    let asked = async |path: &str| {
        let simulator = Simulator::new();
        let ledger = FileLedger::open(dir.path().join(path)).unwrap();
        let llm = client_of(&simulator)
            .with_ledger(ledger)
            .with_router(FixedRouter::new("gpt-4o-mini"))
            .build()
            .unwrap();
        for prompt in [shared.clone(), format!("{shared} Which?"), "Short.".to_owned()] {
            let mut request = chat("gpt-4o", &prompt);
            request.max_completion_tokens = Some(90);
            llm.chat().create(request.clone()).await.unwrap();
            let patient = llm.pinned().within(Duration::from_secs(86_400));
            patient.chat().create(request).await.unwrap();
        }
        llm.flush().await.unwrap();
        rows(&llm).await
    };
    let rows = asked("one").await;
    let hash = |at: usize| (rows[at].body_hash.unwrap(), rows[at].prefix_hash);
    for at in [0, 2, 4] {
        assert_eq!(hash(at), hash(at + 1), "whatever model and lane it went to");
        assert_eq!(rows[at].max_output_tokens, Some(90));
    }
    assert_ne!(hash(0).0, hash(2).0);
    assert!(hash(0).1.is_some() && hash(0).1 == hash(2).1, "they begin alike");
    assert_eq!(hash(4).1, None, "a short body has no prefix of its own");

    let again = asked("one").await;
    assert_eq!(
        again[6].body_hash, rows[0].body_hash,
        "the key stays with the directory"
    );
    assert_ne!(asked("two").await[0].body_hash, rows[0].body_hash);
}
