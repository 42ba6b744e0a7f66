//! The contract of a batch store, as a test.

use bytes::Bytes;

use crate::attribution::Attribution;
use crate::batch::{
    BatchStore, Content, Extent, Failure, FlushId, Position, Record, RequestKey, StoreError, StoredAnswer,
    StoredRequest, Verdict,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::endpoint::Endpoint;
use crate::id::RequestId;
use crate::lane::Lane;
use crate::model::ModelId;

/// Checks a store against the rules of [`BatchStore`]'s contract.
///
/// `make` returns an empty store each time it is called, `reopen` the same one as another process finds it: a store that
/// lives in memory returns what it was given. Rules 2 and 6 are checked in so far as they can be seen without a loss of
/// power and with room on the disk.
///
/// # Panics
/// If a rule is broken, with its number.
///
/// # Examples
/// ```
/// use thrifty::{batch::InMemoryStore, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// conformance::batch_store(async || InMemoryStore::default(), async |store| store).await;
/// # }
/// ```
pub async fn batch_store<S: BatchStore>(make: impl AsyncFn() -> S, reopen: impl AsyncFn(S) -> S) {
    an_empty_store_has_no_records(&make().await).await;
    positions_grow_and_can_be_synced(&make().await).await;
    what_was_appended_can_be_read(&make().await).await;
    gives_back_what_matters(make().await, &reopen).await;
    keeps_everything_that_a_record_says(make().await, &reopen).await;
    forgets_what_is_acknowledged_and_nothing_else(make().await, &reopen).await;
    goes_on_from_a_snapshot(make().await, &reopen).await;
    takes_many_at_once_from_many(&make().await).await;
}

async fn an_empty_store_has_no_records(store: &impl BatchStore) {
    assert_eq!(all(store).await, [], "rule 3: nothing was appended");
    let start = ok(1, store.append(&mut []));
    ok(2, store.sync(start).await);
}

async fn positions_grow_and_can_be_synced(store: &impl BatchStore) {
    all(store).await;
    let mut last = ok(1, store.append(&mut []));
    for n in 0..20 {
        let next = ok(1, store.append(&mut [enqueued(n, &body(n))]));
        assert!(next > last, "rule 1: {next:?} does not come after {last:?}");
        last = next;
    }
    ok(2, store.sync(last).await);
    ok(2, store.sync(Position::new(1)).await);
}

async fn what_was_appended_can_be_read(store: &impl BatchStore) {
    all(store).await;
    let mut extents = Vec::new();
    for n in 0..50 {
        extents.push(append_one(store, n));
    }
    for (n, extent) in (0..).zip(&extents) {
        let read = ok(4, store.read(&[*extent]).await);
        assert!(read == body(n), "rule 4: line {n} is another one");
        assert!(
            extent.matches(&read),
            "rule 4: the checksum of line {n} is another one"
        );
    }
    // Neighbours, the other way round, and with gaps.
    for chosen in [
        extents.clone(),
        extents.iter().rev().copied().collect(),
        extents.iter().step_by(3).copied().collect(),
    ] {
        let place = |extent: &Extent| {
            (0..)
                .zip(&extents)
                .find(|(_, own)| *own == extent)
                .map_or(0, |(n, _)| n)
        };
        let wanted: Vec<u8> = chosen.iter().flat_map(|extent| body(place(extent))).collect();
        assert!(
            ok(4, store.read(&chosen).await) == wanted,
            "rule 4: several lines are others"
        );
        assert_eq!(ok(4, store.check(chosen).await), [], "rule 4: nothing is damaged");
    }
    let Some(last) = extents.last() else { return };
    for wrong in [
        Extent::new(last.file.wrapping_add(77), last.offset, last.len, last.crc),
        Extent::new(last.file, last.offset.wrapping_add(1_000_000), last.len, last.crc),
    ] {
        let read = store.read(&[wrong]).await;
        assert!(
            matches!(read, Err(StoreError::Damaged { .. })),
            "rule 4: what was never stored is {read:?}"
        );
        assert_eq!(
            ok(4, store.check(vec![wrong, *last]).await),
            [wrong],
            "rule 4: one is damaged"
        );
    }
}

fn append_one(store: &impl BatchStore, n: u64) -> Extent {
    let mut records = [enqueued(n, &body(n))];
    ok(1, store.append(&mut records));
    let [record] = records;
    stored(&record)
}

async fn gives_back_what_matters<S: BatchStore>(store: S, reopen: &impl AsyncFn(S) -> S) {
    all(&store).await;
    let appended = life(&store).await;
    let store = reopen(store).await;
    let loaded = all(&store).await;
    for record in &appended {
        assert!(loaded.contains(record), "rule 3: {record:?} is not given back");
    }
    let kept: Vec<_> = loaded
        .into_iter()
        .filter(|record| appended.contains(record))
        .collect();
    assert_eq!(kept, appended, "rule 3: the order is another one");
    for record in &appended {
        if let Record::Enqueued(request) = record
            && let Some(extent) = request.line.extent()
        {
            ok(4, store.read(&[extent]).await);
        }
    }
}

async fn keeps_everything_that_a_record_says<S: BatchStore>(store: S, reopen: &impl AsyncFn(S) -> S) {
    all(&store).await;
    let mut records: Vec<Record> = Vec::new();
    let failures = [
        Failure::NotRun {
            attempts: 3,
            code: Some("batch_expired".into()),
        },
        Failure::Unreported {
            batch_id: Some("batch_1".into()),
        },
        Failure::BatchFailed {
            batch_id: "batch_2".into(),
            code: None,
            message: "\"no\"\nsuch model".into(),
        },
    ];
    for (n, failure) in (1_000..).zip(failures) {
        let id = id(n);
        let verdict = Verdict::Failed(failure);
        let mut all_of_it = [
            enqueued(n, &body(n)),
            Record::Settled { id, verdict },
            Record::Released { id },
        ];
        ok(1, store.append(&mut all_of_it));
        records.extend(all_of_it);
    }
    let store = reopen(store).await;
    let loaded = all(&store).await;
    assert_eq!(loaded, records, "rule 3: a record says something else");
}

async fn forgets_what_is_acknowledged_and_nothing_else<S: BatchStore>(
    store: S,
    reopen: &impl AsyncFn(S) -> S,
) {
    all(&store).await;
    let mut lines = Vec::new();
    let mut bodies = Vec::new();
    for n in 0..10 {
        lines.push(append_one(&store, n));
        let mut settled = [answered(n)];
        ok(1, store.append(&mut settled));
        bodies.push(stored(&settled[0]));
    }
    let mut last = Position::new(0);
    for ((n, line), answer) in (0_u64..).zip(&lines).zip(&bodies) {
        if n.is_multiple_of(2) {
            let acknowledged = Record::Acknowledged {
                id: id(n),
                line: Content::Stored(*line),
                answer: Some(Content::Stored(*answer)),
            };
            last = ok(1, store.append(&mut [acknowledged]));
        }
    }
    ok(2, store.sync(last).await);
    let store = reopen(store).await;
    let mut open = Vec::new();
    for record in all(&store).await {
        match record {
            Record::Enqueued(request) => open.push(request.id),
            Record::Acknowledged { id, .. } => open.retain(|own| *own != id),
            _ => {}
        }
    }
    let odd: Vec<_> = (0..10).filter(|n: &u64| !n.is_multiple_of(2)).map(id).collect();
    assert_eq!(open, odd, "rule 3: what is acknowledged is over, the rest is not");
    for ((n, line), answer) in (0_u64..).zip(&lines).zip(&bodies) {
        if !n.is_multiple_of(2) {
            let read = ok(5, store.read(&[*line, *answer]).await);
            assert!(
                read == [body(n), answer_body(n)].concat(),
                "rule 5: line {n} is needed"
            );
        }
    }
}

async fn goes_on_from_a_snapshot<S: BatchStore>(store: S, reopen: &impl AsyncFn(S) -> S) {
    all(&store).await;
    let kept = life(&store).await;
    ok(1, store.replace(&mut kept.iter().cloned()));
    let mut later = [enqueued(77, &body(77))];
    let last = ok(1, store.append(&mut later));
    ok(2, store.sync(last).await);
    let store = reopen(store).await;
    let loaded = all(&store).await;
    let wanted: Vec<_> = kept.into_iter().chain(later).collect();
    let known: Vec<_> = loaded
        .into_iter()
        .filter(|record| wanted.contains(record))
        .collect();
    assert_eq!(known, wanted, "rule 3: after a snapshot");
    for record in &known {
        if let Record::Enqueued(request) = record
            && let Some(extent) = request.line.extent()
        {
            ok(4, store.read(&[extent]).await);
        }
    }
}

async fn takes_many_at_once_from_many(store: &impl BatchStore) {
    all(store).await;
    let threads = std::thread::scope(|scope| {
        let append = |thread: u64| {
            move || {
                let mut last = Position::new(0);
                let mut extents = Vec::new();
                for round in 0..20 {
                    let begin = thread * 1_000 + round * 10;
                    let mut records: Vec<_> = (begin..begin + 10).map(|n| enqueued(n, &body(n))).collect();
                    last = ok(1, store.append(&mut records));
                    extents.extend((begin..).zip(records.iter().map(stored)));
                }
                (last, extents)
            }
        };
        let threads = [0, 1, 2, 3].map(|thread| scope.spawn(append(thread)));
        threads.map(|thread| thread.join().ok())
    });
    for thread in threads {
        let Some((last, extents)) = thread else {
            unreachable!("rule 1: `append` panics on a thread");
        };
        ok(2, store.sync(last).await);
        for (n, extent) in extents {
            assert!(
                ok(4, store.read(&[extent]).await) == body(n),
                "rule 4: line {n} is another one"
            );
        }
    }
}

/// Appends what happens to some requests in two flushes, and returns all that still matters.
async fn life(store: &impl BatchStore) -> Vec<Record> {
    let mut records: Vec<Record> = (0..6).map(|n| enqueued(n, &body(n))).collect();
    let flush = FlushId::new("01FLUSH");
    let (input_file_id, batch_id) = ("file-1".into(), "batch-1".into());
    records.extend([
        Record::Sealed {
            flush: flush.clone(),
            lines: (0..4).map(id).collect(),
        },
        Record::UploadIntended {
            flush: flush.clone(),
            without: vec![id(3)],
        },
        Record::Uploaded {
            flush: flush.clone(),
            input_file_id,
        },
        Record::CreateIntended {
            flush: flush.clone(),
            input_file_id: "file-1".into(),
            at: Timestamp::from_unix_millis(1_790_000_000_000),
        },
        Record::Submitted { flush, batch_id },
        answered(1),
        Record::Released { id: id(1) },
    ]);
    let mut last = Position::new(0);
    for record in &mut records {
        last = ok(1, store.append(std::slice::from_mut(record)));
    }
    ok(2, store.sync(last).await);
    records
}

fn id(n: u64) -> RequestId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    RequestId::from_bytes(bytes)
}

fn body(n: u64) -> Bytes {
    let length = usize::try_from(n * 37 % 700).unwrap_or(0);
    format!("{{\"line\":{n},\"text\":\"{}\"}}\n", "\u{e9}".repeat(length)).into()
}

fn answer_body(n: u64) -> Bytes {
    format!("{{\"answer\":{n}}}").into()
}

fn enqueued(n: u64, line: &Bytes) -> Record {
    let plain = n.is_multiple_of(3);
    Record::Enqueued(StoredRequest {
        id: id(n),
        endpoint: if n.is_multiple_of(2) {
            Endpoint::ChatCompletions
        } else {
            Endpoint::Embeddings
        },
        model: ModelId::new(if n.is_multiple_of(5) {
            "gpt-4o"
        } else {
            "a model \"of\" mine"
        }),
        line: Content::Bytes(line.clone()),
        inputs: if n.is_multiple_of(2) { 0 } else { 3 },
        attribution: if plain {
            Attribution::default()
        } else {
            Attribution::default()
                .with_feature("f \u{1F600}\n")
                .with_tag("tenant", "t\"1")
        },
        deadline: (!plain).then(|| SystemClock.now()),
        key: (!plain).then(|| RequestKey {
            name: format!("doc-{n}").into(),
            digest: [n, u64::MAX - n],
        }),
    })
}

fn answered(n: u64) -> Record {
    let verdict = Verdict::Answered(StoredAnswer {
        status: 200,
        body: Content::Bytes(answer_body(n)),
        request_id: Some("req_1".into()),
        batch_id: Some("batch-1".into()),
        lane: Lane::Batch,
        lost_attempts: 0,
    });
    Record::Settled { id: id(n), verdict }
}

/// Returns where a record's content is.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
fn stored(record: &Record) -> Extent {
    let content = match record {
        Record::Enqueued(request) => Some(&request.line),
        Record::Settled {
            verdict: Verdict::Answered(answer),
            ..
        } => Some(&answer.body),
        _ => None,
    };
    match content.and_then(Content::extent) {
        Some(extent) => extent,
        None => panic!("rule 1: the content of {record:?} is not stored"),
    }
}

async fn all(store: &impl BatchStore) -> Vec<Record> {
    let mut records = Vec::new();
    ok(3, store.load(&mut |record| records.push(record)).await);
    records
}

#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
fn ok<T>(rule: u8, result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("rule {rule}: {error} ({error:?})"),
    }
}
