//! How requests come in: from a caller, and from what an earlier collector left in the store.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::api::{BatchItem, Outcome};
use super::error::{BatchError, InvalidRequest};
use super::handle::Seat;
use super::line;
use super::shared::{Ending, Shared};
use super::state::{Phase, Place, Request, Row, State};
use super::store::{Content, Extent, Position, Record, RecoveryReport, StoreError, StoredRequest, Verdict};
use crate::endpoint::Endpoint;
use crate::id::RequestId;

/// How many bodies are read at once when a store is taken up.
const AT_ONCE: usize = 64;
/// How many bytes of them, but for one that is longer by itself.
const BYTES_AT_ONCE: usize = 2 << 20;

/// A request on its way in, and what its caller wants back with the outcome.
pub(super) type Prepared = (StoredRequest, Option<Arc<dyn Any + Send + Sync>>);

/// A request that is known: a new one, or the one that has its key already.
pub(super) struct Admitted {
    pub(super) id: RequestId,
    pub(super) seat: Seat,
    /// What has to be durable before the request is promised.
    pub(super) position: Position,
    /// Whether the driver has to look again.
    pub(super) calls_for_driver: bool,
    /// It has its outcome already.
    pub(super) is_settled: bool,
    /// What was to come in, if it was known.
    pub(super) again: Option<Prepared>,
}

impl Shared {
    /// Takes up what the store holds, once.
    pub(super) async fn load(&self) -> Result<&RecoveryReport, StoreError> {
        let load = || async {
            let mut state = State::loading();
            self.store.load(&mut |record| state.apply(&record)).await?;
            let mut report = self.store.recovery_report();
            let damaged = self.check(&mut state, &mut report).await?;
            state.end_answered_sends();
            state.take_back_what_is_nowhere();
            for row in state.with_deadline() {
                self.plan_rescue(&mut state, row);
            }
            self.resume(&mut state).await;
            report.pending = state.progress().pending();
            report.unacknowledged = state.verdicts();
            state.begin();
            {
                let mut own = self.lock();
                state.shut = own.shut;
                state.driven = own.driven;
                state.generation = own.generation;
                *own = state;
                self.publish(&own);
            }
            for (id, line) in damaged {
                tracing::error!(request_id = %id, ?line, "the stored line of a request is damaged; it is not sent");
                self.settle(id, Ending::of(Err(BatchError::Cancelled)));
            }
            Ok(report)
        };
        self.loaded.get_or_try_init(load).await
    }

    /// Tells the gate of the requests that are not settled.
    async fn resume(&self, state: &mut State) {
        let Some(gate) = &self.gate else { return };
        let open = state.requests().filter(|(_, request)| !request.is_settled());
        let open: Vec<_> = open.map(|(row, _)| row).collect();
        let mut open = open.into_iter().peekable();
        while open.peek().is_some() {
            let (mut rows, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
            while rows.len() < AT_ONCE
                && bytes < BYTES_AT_ONCE
                && let Some(row) = open.next()
            {
                if let Some(line) = state
                    .get(row)
                    .map(|request| request.line)
                    .zip(state.endpoint(row))
                {
                    bytes += line.0.len as usize;
                    rows.push(row);
                    lines.push(line);
                }
            }
            // Of one that cannot be read nothing is known; if it is damaged, it is not sent.
            for (row, body) in rows.into_iter().zip(self.bodies_in(&lines).await) {
                let Some(mut item) = state.item(row, body.unwrap_or_default()) else {
                    continue;
                };
                gate.resumed(&mut item);
                if let Some(context) = item.context {
                    state.set_context(row, context);
                }
            }
        }
    }

    /// Looks whether what is needed yet is there as it was stored. Returns the requests that can never be sent.
    async fn check(
        &self,
        state: &mut State,
        report: &mut RecoveryReport,
    ) -> Result<Vec<(RequestId, Extent)>, StoreError> {
        let mut needed = Vec::new();
        for (row, request) in state.requests() {
            match state.verdict(row) {
                Some(verdict) => needed.extend(verdict.body().and_then(Content::extent)),
                None if state.is_unsent(request) => needed.push(request.line),
                None => {}
            }
        }
        if needed.is_empty() {
            return Ok(Vec::new());
        }
        let damaged: HashSet<_> = self.store.check(needed).await?.into_iter().collect();
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        let is_damaged = |extent: Extent| damaged.contains(&extent);
        let (mut lines, mut answers) = (Vec::new(), Vec::new());
        for (row, request) in state.requests() {
            match state.verdict(row) {
                Some(verdict) if verdict.body().and_then(Content::extent).is_some_and(is_damaged) => {
                    answers.push((row, request.id()));
                }
                None if damaged.contains(&request.line) => lines.push((request.id(), request.line)),
                _ => {}
            }
        }
        report.damaged_lines = lines.iter().map(|(id, _)| *id).collect();
        report.damaged_answers = answers.iter().map(|(_, id)| *id).collect();
        let rows: Vec<_> = answers.iter().map(|(row, _)| *row).collect();
        for row in state.reopen(&rows) {
            state.lose_answer(row);
        }
        Ok(lines)
    }

    /// Finds out whether a request may be taken; one whose key is known is no new one.
    pub(super) async fn let_in(
        &self,
        request: StoredRequest,
        context: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<Prepared, BatchError> {
        let key = request.key.as_ref().map(|key| key.name.clone());
        if key.as_ref().is_some_and(|key| self.lock().by_key(key).is_some()) {
            return Ok((request, context));
        }
        if request
            .deadline
            .is_some_and(|deadline| deadline <= self.clock.now())
        {
            return Err(InvalidRequest::DeadlinePassed.into());
        }
        let (Some(gate), Content::Bytes(line)) = (&self.gate, &request.line) else {
            return Ok((request, context));
        };
        let mut item = BatchItem {
            id: request.id,
            endpoint: request.endpoint.clone(),
            model: request.model.clone(),
            body: line::body_of(line, &request.endpoint),
            attribution: request.attribution.clone(),
            deadline: request.deadline,
            key,
            context,
        };
        gate.admit(&mut item).await?;
        Ok((request, item.context))
    }

    /// Takes a request in, or finds the one that has its key.
    pub(super) fn admit(
        &self,
        mut request: StoredRequest,
        context: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<Admitted, BatchError> {
        let mut state = self.lock();
        if state.shut {
            return Err(BatchError::ShutDown);
        }
        if let Some(key) = &request.key
            && let Some(row) = state.by_key(&key.name)
        {
            let digest = key.digest;
            return self.admit_again(&mut state, row, digest, (request, context));
        }
        let mut records = [Record::Enqueued(request)];
        let position = self.write(&mut state, &mut records)?;
        let [Record::Enqueued(stored)] = records else {
            return Err(StoreError::new("the store changed a record into another").into());
        };
        request = stored;
        let Some(row) = state.enqueued(&request) else {
            return Err(StoreError::new("the store did not say where it put a line").into());
        };
        if let Some(context) = context {
            state.set_context(row, context);
        }
        self.plan_rescue(&mut state, row);
        self.publish(&state);
        Ok(Admitted {
            id: request.id,
            seat: state.sit(row),
            position,
            calls_for_driver: state.calls_for_driver(row, &self.policy),
            is_settled: false,
            again: None,
        })
    }

    /// Takes many requests in, by one write for all that are new.
    pub(super) fn admit_many(&self, prepared: Vec<Prepared>) -> Result<Vec<RequestId>, BatchError> {
        let mut state = self.lock();
        if state.shut {
            return Err(BatchError::ShutDown);
        }
        let mut ids = Vec::with_capacity(prepared.len());
        let mut records = Vec::with_capacity(prepared.len());
        let mut contexts = Vec::new();
        // Keys of requests that are new in this call.
        let mut keys: HashMap<Arc<str>, ([u64; 2], RequestId)> = HashMap::new();
        let mut failed = None;
        for (request, context) in prepared {
            let known = request.key.as_ref().and_then(|key| {
                let same = |id, is_same: bool| if is_same { Ok(id) } else { Err(key.name.clone()) };
                if let Some((digest, id)) = keys.get(&key.name) {
                    return Some(same(*id, *digest == key.digest));
                }
                let row = state.by_key(&key.name)?;
                Some(same(state.get(row)?.id(), state.has_digest(row, key.digest)))
            });
            match known {
                Some(Ok(id)) => ids.push(id),
                Some(Err(key)) => {
                    failed = Some(BatchError::Conflict { key });
                    break;
                }
                None => {
                    ids.push(request.id);
                    if let Some(key) = &request.key {
                        keys.insert(key.name.clone(), (key.digest, request.id));
                    }
                    contexts.extend(context.map(|context| (request.id, context)));
                    records.push(Record::Enqueued(request));
                }
            }
        }
        self.write(&mut state, &mut records)?;
        for record in &records {
            if let Record::Enqueued(request) = record
                && let Some(row) = state.enqueued(request)
            {
                self.plan_rescue(&mut state, row);
            }
        }
        for (id, context) in contexts {
            if let Some(row) = state.find(id) {
                state.set_context(row, context);
            }
        }
        self.publish(&state);
        failed.map_or(Ok(ids), Err)
    }

    fn admit_again(
        &self,
        state: &mut State,
        row: Row,
        digest: [u64; 2],
        again: Prepared,
    ) -> Result<Admitted, BatchError> {
        if !state.has_digest(row, digest) {
            let key = again.0.key.map_or_else(Arc::default, |key| key.name);
            return Err(BatchError::Conflict { key });
        }
        // Nothing new is written; what is waited for is the first one's record.
        let position = self.write(state, &mut [])?;
        // While nobody waited, its deadline may have been let pass.
        self.plan_rescue(state, row);
        let request = state.get(row);
        Ok(Admitted {
            id: request.map_or(RequestId::from_bytes([0; 16]), Request::id),
            calls_for_driver: true,
            is_settled: request.is_some_and(Request::is_settled),
            seat: state.sit(row),
            position,
            again: Some(again),
        })
    }

    /// Reads the outcome of a settled request from the store; `None` if it is not known any more. An answer that is damaged
    /// is an outcome.
    ///
    /// # Errors
    /// If it cannot be read now; it is still there.
    pub(super) async fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, StoreError> {
        let verdict = {
            let state = self.lock();
            state.find(id).and_then(|row| state.verdict(row)).cloned()
        };
        let Some(verdict) = verdict else { return Ok(None) };
        let body = match verdict.body() {
            None => Ok(Bytes::new()),
            Some(Content::Bytes(bytes)) => Ok(bytes.clone()),
            Some(Content::Stored(extent)) => self.store.read(&[*extent]).await,
        };
        match body {
            Ok(body) => Ok(Some(verdict.with_body(body))),
            Err(error) if error.is_damage() => Ok(Some(Err(error.into()))),
            Err(error) => Err(error),
        }
    }

    /// Reads the body of a request from the store.
    pub(super) async fn body(&self, id: RequestId) -> Result<Bytes, StoreError> {
        let known = {
            let state = self.lock();
            let row = state.find(id);
            row.and_then(|row| Some((state.get(row)?.line, state.endpoint(row)?)))
        };
        let Some((extent, endpoint)) = known else {
            return Ok(Bytes::new());
        };
        let line = self.store.read(&[extent]).await?;
        Ok(line::body_of(&line, &endpoint))
    }

    /// Reads the bodies in lines: by one call if all can be read.
    async fn bodies_in(&self, lines: &[(Extent, Endpoint)]) -> Vec<Result<Bytes, StoreError>> {
        let extents: Vec<_> = lines.iter().map(|(extent, _)| *extent).collect();
        let mut bodies = Vec::with_capacity(lines.len());
        if let Ok(mut all) = self.store.read(&extents).await {
            for (extent, endpoint) in lines {
                let line = all.split_to(all.len().min(extent.len as usize));
                // Whoever keeps one does not keep all.
                bodies.push(Ok(Bytes::copy_from_slice(&line::body_of(&line, endpoint))));
            }
            return bodies;
        }
        for (extent, endpoint) in lines {
            let line = self.store.read(&[*extent]).await;
            bodies.push(line.map(|line| line::body_of(&line, endpoint)));
        }
        bodies
    }

    /// Reads the bodies of those requests that an observer is told of without their context.
    pub(super) async fn bodies_to_tell(
        &self,
        ids: impl Iterator<Item = RequestId>,
    ) -> HashMap<RequestId, Bytes> {
        if self.observer.is_none() {
            return HashMap::new();
        }
        let (bare, lines): (Vec<_>, Vec<_>) = {
            let state = self.lock();
            let bare = |id: RequestId| {
                let row = state.find(id).filter(|row| !state.has_context(*row))?;
                Some((id, (state.get(row)?.line, state.endpoint(row)?)))
            };
            ids.filter_map(bare).unzip()
        };
        if bare.is_empty() {
            return HashMap::new();
        }
        let mut bodies = HashMap::with_capacity(bare.len());
        for (id, body) in bare.into_iter().zip(self.bodies_in(&lines).await) {
            match body {
                Ok(body) => {
                    bodies.insert(id, body);
                }
                Err(error) => tracing::warn!(request_id = %id, %error, "a stored body cannot be read"),
            }
        }
        bodies
    }
}

impl State {
    /// Whether a request's line may have to be uploaded.
    fn is_unsent(&self, request: &Request) -> bool {
        match request.place() {
            Place::Buffered | Place::Nowhere => true,
            Place::InFlush(_) => self
                .flush_of(request)
                .is_some_and(|flush| matches!(flush.phase, Phase::Sealed | Phase::Uploading)),
        }
    }

    /// Replaces an answer that cannot be read, and that no batch will give again, by what happened to it.
    fn lose_answer(&mut self, row: Row) {
        let extent = self
            .verdict(row)
            .and_then(Verdict::body)
            .and_then(Content::extent);
        if let Some(Extent { file, offset, .. }) = extent {
            self.replace_verdict(
                row,
                Verdict::of(&Err(StoreError::Damaged { file, offset }.into())),
            );
        }
    }
}
