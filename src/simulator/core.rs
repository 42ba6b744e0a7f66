//! What all faces share: the state, and the way of a request from its path to its answer.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::book::{Book, Charge};
use super::exchange::{Incoming, Outgoing, Refusal, Reply};
use super::faults::{Fault, Faults, Target};
use super::files::Store;
use super::responses::Answer;
use super::text::hash;
use super::{SeenRequest, Simulator, SimulatorBuilder};
use crate::tokens::TokenCounter;

/// Where the simulator's time begins, in seconds since 1970.
const EPOCH: i64 = 1_790_000_000;

/// Bytes of a prompt whose hash is remembered as one step of a prefix: about 128 tokens of English.
const PREFIX_STEP: usize = 512;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) models: BTreeSet<String>,
    pub(super) seed: u64,
    pub(super) latency: Duration,
    pub(super) chunk_delay: Duration,
    pub(super) batch_delay: Duration,
    pub(super) batch_window: Duration,
    pub(super) enqueued_tokens: Option<u64>,
    pub(super) list_lag: Duration,
    pub(super) shuffles_lists: bool,
    pub(super) counter: TokenCounter,
    /// Set by the first request: a runtime's time may be paused, and building needs no runtime.
    start: OnceLock<Instant>,
    faults: Mutex<Faults>,
    memory: Mutex<Memory>,
    log: Mutex<Log>,
    charges: Mutex<Vec<Charge>>,
    store: Mutex<Store>,
    /// Those that can be asked for again, the oldest first.
    responses: Mutex<VecDeque<Answer>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

#[derive(Debug, Default)]
struct Memory {
    /// How often the same bytes were asked, so that each answer has its own id, whoever else is asking meanwhile.
    seen: HashMap<u64, u64>,
    /// Hashes of all prefixes of long prompts.
    prefixes: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Log {
    limit: usize,
    last: VecDeque<SeenRequest>,
    count: u64,
}

/// Locks; what a panicking holder left is still whole, since nothing here panics between two writes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn new(settings: SimulatorBuilder) -> Self {
        Self {
            models: settings.models.into_iter().collect(),
            seed: settings.seed,
            latency: settings.latency,
            chunk_delay: settings.chunk_delay,
            batch_delay: settings.batch_delay,
            batch_window: settings.batch_window,
            enqueued_tokens: settings.enqueued_tokens,
            list_lag: settings.list_lag,
            shuffles_lists: settings.shuffles_lists,
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            counter: TokenCounter::new(),
            start: OnceLock::new(),
            faults: Mutex::default(),
            memory: Mutex::default(),
            log: Mutex::new(Log {
                limit: settings.request_log,
                ..Log::default()
            }),
            charges: Mutex::default(),
            store: Mutex::default(),
            responses: Mutex::default(),
        }
    }

    pub(super) fn inject(&self, fault: Fault) {
        lock(&self.faults).inject(fault);
    }

    /// Returns the fault that strikes, if one does.
    pub(super) fn strike(&self, target: Target, path: &str, body: &[u8]) -> Option<Fault> {
        lock(&self.faults).strike(self.seed, target, path, body)
    }

    pub(super) fn book(&self) -> Book {
        Book::new(lock(&self.charges).clone())
    }

    pub(super) fn charge(&self, charge: Charge) {
        lock(&self.charges).push(charge);
    }

    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        lock(&self.log).last.iter().cloned().collect()
    }

    pub(super) fn request_count(&self) -> u64 {
        lock(&self.log).count
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(super) fn responses(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        lock(&self.responses)
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Counts a request as under way until what it returns is dropped.
    pub(super) fn enter(&self) -> Visit<'_> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
        Visit(self)
    }

    /// Returns how long the simulator has been running, in tokio's time.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.get_or_init(Instant::now).elapsed()
    }

    /// Returns the time of day in seconds since 1970, so long after the start.
    pub(super) fn unix(elapsed: Duration) -> i64 {
        EPOCH.saturating_add(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
    }

    /// Returns the time of day in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        Self::unix(self.elapsed())
    }

    /// Returns a number for an id: the same for the same bytes and as many before them, and never given twice but by
    /// chance.
    pub(super) fn fresh(&self, bytes: &[u8]) -> u64 {
        let name = hash(self.seed, bytes);
        let nth = match lock(&self.memory).seen.entry(name) {
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                *entry.get()
            }
            Entry::Vacant(entry) => *entry.insert(0),
        };
        hash(name, &nth.to_le_bytes())
    }

    /// Returns how many of a prompt's tokens were read from the cache, and remembers the prompt.
    pub(super) fn cached(&self, model: &str, parts: [&str; 3], tokens: u64) -> u64 {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if tokens < 1_024 || bytes == 0 {
            return 0;
        }
        let mut state = hash(0, model.as_bytes());
        let mut steps = 0;
        let mut is_known = true;
        let mut memory = lock(&self.memory);
        for part in parts {
            let mut chunks = part.as_bytes().chunks_exact(PREFIX_STEP);
            for chunk in chunks.by_ref() {
                state = hash(state, chunk);
                is_known &= !memory.prefixes.insert(state);
                steps += usize::from(is_known);
            }
            // What is left of a part is no step, but all later steps depend on it.
            state = hash(state, chunks.remainder());
        }
        let shared = (steps * PREFIX_STEP) as u64 * tokens / bytes as u64 / 128 * 128;
        if shared < 1_024 { 0 } else { shared.min(tokens) }
    }

    fn with_usual_headers(&self, answer: Outgoing, number: u64) -> Outgoing {
        let id = hash(self.seed, &number.to_le_bytes());
        answer
            .with_default_header("x-request-id", &format!("req_{id:016x}"))
            .with_default_header("openai-version", "2020-10-01")
            .with_default_header("openai-processing-ms", &self.latency.as_millis().to_string())
    }

    /// Writes a request into the log, and returns its number.
    fn remember(&self, request: &Incoming) -> u64 {
        let mut log = lock(&self.log);
        log.count += 1;
        let number = log.count;
        if log.limit == 0 {
            return number;
        }
        if log.last.len() == log.limit {
            log.last.pop_front();
        }
        log.last.push_back(SeenRequest {
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            body: request.body.clone(),
        });
        number
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Visit<'a>(&'a Core);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Simulator {
    /// Answers a request. The effect is complete when this returns, whatever becomes of the answer.
    pub(super) fn answer(&self, request: &Incoming) -> Reply {
        let core = &*self.core;
        let fault = core.strike(Target::Request, &request.path, &request.body);
        let instead = fault.as_ref().and_then(Fault::before);
        if matches!(instead, Some(Reply::Refused)) {
            return Reply::Refused;
        }
        let number = core.remember(request);
        let reply = match (instead, fault) {
            (Some(reply), _) => reply,
            (None, fault) => {
                let answer = self.dispatch(request).unwrap_or_else(Outgoing::from);
                match fault {
                    Some(fault) => fault.after(answer),
                    None => Reply::Answer(answer),
                }
            }
        };
        match reply {
            Reply::Answer(answer) => Reply::Answer(core.with_usual_headers(answer, number)),
            other => other,
        }
    }

    fn dispatch(&self, request: &Incoming) -> Result<Outgoing, Refusal> {
        if !request.headers.contains_key(AUTHORIZATION) && !request.headers.contains_key("api-key") {
            let message = "You didn't provide an API key. You need to provide your API key in an Authorization header \
                using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
        }
        let path = request.path.trim_end_matches('/');
        let path = path
            .split_once("/v1/")
            .map_or(path.trim_start_matches('/'), |(_, rest)| rest);
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["chat", "completions"]) => self.chat_completion(&request.body),
            ("POST", ["responses"]) => self.response(&request.body),
            ("GET", ["responses", id]) => self.retrieve_response(id, request),
            ("DELETE", ["responses", id]) => self.delete_response(id),
            ("POST", ["embeddings"]) => self.embeddings(&request.body),
            ("GET", ["models"]) => Ok(self.list_models()),
            ("GET", ["models", id]) => self.retrieve_model(id),
            ("POST", ["files"]) => self.create_file(request),
            ("GET", ["files"]) => self.list_files(request),
            ("GET", ["files", id]) => self.retrieve_file(id),
            ("DELETE", ["files", id]) => self.delete_file(id),
            ("GET", ["files", id, "content"]) => self.file_content(id),
            ("POST", ["batches"]) => self.create_batch(&request.body),
            ("GET", ["batches"]) => self.list_batches(request),
            ("GET", ["batches", id]) => self.retrieve_batch(id),
            ("POST", ["batches", id, "cancel"]) => self.cancel_batch(id),
            _ => Err(unknown(&request.method, &request.path)),
        }
    }
}

fn unknown(method: &Method, path: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("Invalid URL ({method} {path})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(simulator: &Simulator, prompt: &str) -> u64 {
        simulator
            .core
            .cached("gpt-4o", ["", "", prompt], prompt.len() as u64 / 4)
    }

    #[test]
    fn a_long_prefix_seen_before_is_cached_in_steps_of_128() {
        let simulator = Simulator::new();
        let shared = "a word or two ".repeat(700);
        assert_eq!(cached(&simulator, &format!("{shared}first")), 0);
        let again = cached(&simulator, &format!("{shared}then something else"));
        assert!(again >= 1_024 && again.is_multiple_of(128), "{again}");
        assert_eq!(cached(&simulator, &format!("new {shared}")), 0);
    }

    #[test]
    fn a_short_prompt_is_never_cached() {
        let simulator = Simulator::new();
        let short = "a word ".repeat(500);
        assert_eq!((cached(&simulator, &short), cached(&simulator, &short)), (0, 0));
    }

    #[test]
    fn the_same_bytes_asked_twice_get_two_ids_and_the_same_two_in_another_simulator() {
        let ids = |simulator: &Simulator| [simulator.core.fresh(b"a"), simulator.core.fresh(b"a")];
        let first = ids(&Simulator::new());
        assert_ne!(first[0], first[1]);
        assert_eq!(first, ids(&Simulator::new()));
    }
}
