//! Batches: creation, listing, retrieval and cancellation.

use std::sync::MutexGuard;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Batch, Enqueued, Status};
use crate::endpoint::Endpoint;
use crate::simulator::Simulator;
use crate::simulator::ask::read;
use crate::simulator::core::Core;
use crate::simulator::exchange::{Incoming, Outgoing, Refusal};
use crate::simulator::files::{Store, no_file, page};
use crate::simulator::text::hash;

/// Batches that may be created in an hour.
const AN_HOUR: usize = 2_000;
const HOUR: Duration = Duration::from_secs(3_600);

impl Simulator {
    /// Returns what is stored, all batches being where they are by now, and all files gone that have expired.
    pub(in crate::simulator) fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.core.store();
        let now = self.core.elapsed();
        let at = Core::unix(now);
        store
            .files
            .retain(|file| file.expires_at.is_none_or(|expires| at < expires));
        if store.batches.iter().all(Batch::is_over) {
            return store;
        }
        let mut enqueued = Enqueued::new();
        for batch in &store.batches {
            batch.count_enqueued(&mut enqueued);
        }
        let Store { batches, files } = &mut *store;
        for batch in batches.iter_mut().filter(|batch| !batch.is_over()) {
            let has_input = files.iter().any(|file| file.id == batch.input_file);
            files.extend(batch.advance(self, now, has_input, &mut enqueued));
        }
        store
    }

    pub(in crate::simulator) fn create_batch(&self, body: &Bytes) -> Result<Outgoing, Refusal> {
        #[derive(Deserialize)]
        struct Wire {
            input_file_id: String,
            endpoint: String,
            completion_window: String,
            #[serde(default)]
            metadata: Option<Map<String, Value>>,
        }
        read(body)?;
        let wire: Wire = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(error.to_string()).with_code("invalid_type"))?;
        if wire.completion_window != "24h" {
            let message = format!(
                "Invalid value: '{}'. Supported values are: '24h'.",
                wire.completion_window
            );
            return Err(Refusal::bad_request(message)
                .about("completion_window")
                .with_code("invalid_value"));
        }
        let endpoint = Endpoint::from(&*wire.endpoint);
        if !endpoint.is_metered() {
            let message = format!(
                "Invalid value: '{}'. Supported values are: '/v1/chat/completions', '/v1/embeddings', and \
                 '/v1/responses'.",
                wire.endpoint
            );
            return Err(Refusal::bad_request(message)
                .about("endpoint")
                .with_code("invalid_value"));
        }
        let now = self.core.elapsed();
        let mut store = self.store();
        let is_recent = |batch: &&Batch| now.saturating_sub(batch.created) < HOUR;
        if store.batches.iter().rev().take_while(is_recent).count() >= AN_HOUR {
            let message = format!("Rate limit reached for batch creation. Limit: {AN_HOUR} an hour.");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, message).with_code("rate_limit_exceeded"));
        }
        let file = store
            .file(&wire.input_file_id)
            .ok_or_else(|| no_file(&wire.input_file_id))?;
        if file.purpose != "batch" {
            let message = format!("Invalid file purpose '{}'; expected 'batch'.", file.purpose);
            return Err(Refusal::bad_request(message).about("input_file_id"));
        }
        let batch = Batch::new(
            self,
            format!("batch_{:016x}", self.core.fresh(body)),
            file,
            endpoint,
            json!(wire.metadata),
            now,
        );
        let answer = batch.describe(now);
        store.batches.push(batch);
        Ok(Outgoing::json(&answer))
    }

    pub(in crate::simulator) fn list_batches(&self, request: &Incoming) -> Result<Outgoing, Refusal> {
        let store = self.store();
        let now = self.core.elapsed();
        let shown = |batch: &&Batch| now.saturating_sub(batch.created) >= self.core.list_lag;
        let mut newest_first: Vec<&Batch> = store.batches.iter().rev().filter(shown).collect();
        if self.core.shuffles_lists {
            newest_first.sort_by_key(|batch| hash(self.core.seed, batch.id.as_bytes()));
        }
        page(
            request,
            newest_first
                .into_iter()
                .map(|batch| (batch.id.as_str(), batch.describe(now)))
                .collect(),
            20,
            100,
        )
    }

    pub(in crate::simulator) fn retrieve_batch(&self, id: &str) -> Result<Outgoing, Refusal> {
        self.with_batch(id, |batch, now| Ok(Outgoing::json(&batch.describe(now))))
    }

    pub(in crate::simulator) fn cancel_batch(&self, id: &str) -> Result<Outgoing, Refusal> {
        self.with_batch(id, |batch, now| {
            let status = batch.status();
            if status.is_terminal() {
                let message = format!("Cannot cancel a batch with status '{}'.", status.as_str());
                return Err(Refusal::new(StatusCode::CONFLICT, message));
            }
            if status != Status::Cancelling {
                batch.reach(Status::Cancelling, now);
            }
            Ok(Outgoing::json(&batch.describe(now)))
        })
    }

    fn with_batch(
        &self,
        id: &str,
        then: impl FnOnce(&mut Batch, Duration) -> Result<Outgoing, Refusal>,
    ) -> Result<Outgoing, Refusal> {
        let mut store = self.store();
        let batch = store.batches.iter_mut().find(|batch| batch.id == id);
        let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("No batch found with id '{id}'."));
        then(batch.ok_or_else(missing)?, self.core.elapsed())
    }
}
