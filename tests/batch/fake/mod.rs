//! A Batch API in memory that keeps to what the real one promises, on tokio's paused time.

mod server;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use thrifty::Timestamp;
use thrifty::batch::NewBatch;
use tokio::time::Instant;

/// What a proxy says.
pub(crate) const PAGE: &str = "<html>\n<body>hello from a proxy</body>\n</html>";

pub(crate) const RUN: Duration = Duration::from_secs(20);

/// How a batch ends.
#[derive(Default)]
pub(crate) struct End {
    pub(crate) status: &'static str,
    pub(crate) output: Vec<String>,
    pub(crate) error: Vec<String>,
    pub(crate) errors: Vec<Value>,
}

type Plan = Box<dyn FnMut(usize, &[Line]) -> End + Send>;

#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) custom_id: String,
    pub(crate) body: Value,
}

type Runs = Box<dyn FnMut(usize) -> Duration + Send>;

struct Batch {
    new: NewBatch,
    made: Instant,
    run: Duration,
    bytes: usize,
    end: End,
    cancelled: bool,
}

impl Batch {
    fn is_over(&self) -> bool {
        self.made.elapsed() >= self.run
    }
}

#[derive(Default)]
struct World {
    files: HashMap<String, (String, Bytes)>,
    uploads: usize,
    batches: Vec<Batch>,
    lists: usize,
    lose_creates: usize,
    drop_creates: usize,
    hang_creates: usize,
    refuse_uploads: usize,
    lose_uploads: Vec<Arrives>,
    /// From which look at the files on each is shown, by its number.
    late_files: HashMap<usize, usize>,
    looks_at_files: usize,
    hide_until_list: usize,
    plan: Option<Plan>,
    runs: Option<Runs>,
    page: usize,
    strangers: usize,
    made_at: Option<Timestamp>,
    limit: Option<(usize, bool)>,
    deaf: bool,
    looks: Vec<(&'static str, Instant)>,
    cancels: usize,
    deleted: Vec<String>,
    double_creates: usize,
    faults: Vec<(&'static str, usize, Fail)>,
    calls: Vec<String>,
}

/// What arrives of a file whose upload is not answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrives {
    Whole,
    /// It broke off.
    Half,
    Nothing,
}

/// How a call fails.
#[derive(Clone, Copy)]
pub(crate) enum Fail {
    Status(u16),
    /// It does not happen, and may be tried again.
    Busy,
    /// The input file is not there any more.
    NoFile,
    /// A page of a proxy comes instead of the answer.
    Page,
    Panic,
}

#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<World>>);

impl fmt::Debug for FakeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeApi")
    }
}

pub(crate) fn good(line: &Line) -> String {
    json!({"id": "batch_req", "custom_id": line.custom_id, "error": null, "response": {
        "status_code": 200, "request_id": "req", "body": {"echo": line.body["n"]}}})
    .to_string()
}

pub(crate) fn with_status(line: &Line, status: u16) -> String {
    json!({"custom_id": line.custom_id, "error": null, "response": {
        "status_code": status, "request_id": "req", "body": {"error": {"message": "no"}}}})
    .to_string()
}

pub(crate) fn not_run(line: &Line, code: &str) -> String {
    json!({"custom_id": line.custom_id, "response": null, "error": {"code": code, "message": "m"}})
        .to_string()
}

/// All lines answered, in reverse order.
pub(crate) fn completed(lines: &[Line]) -> End {
    End {
        status: "completed",
        output: lines.iter().rev().map(good).collect(),
        ..End::default()
    }
}

impl FakeApi {
    pub(crate) fn with_plan(self, plan: impl FnMut(usize, &[Line]) -> End + Send + 'static) -> Self {
        self.0.lock().unwrap().plan = Some(Box::new(plan));
        self
    }

    /// How long each batch runs; [`RUN`] if nothing is said.
    pub(crate) fn with_runs(self, runs: impl FnMut(usize) -> Duration + Send + 'static) -> Self {
        self.0.lock().unwrap().runs = Some(Box::new(runs));
        self
    }

    /// How many batches the list shows at once; one if nothing is said.
    pub(crate) fn with_pages_of(self, batches: usize) -> Self {
        self.0.lock().unwrap().page = batches;
        self
    }

    /// When the server says that all batches were made; it says nothing if nothing is said.
    pub(crate) fn made_at(self, at: Timestamp) -> Self {
        self.0.lock().unwrap().made_at = Some(at);
        self
    }

    /// How many batches of others are listed before ours.
    pub(crate) fn with_strangers(self, batches: usize) -> Self {
        self.0.lock().unwrap().strangers = batches;
        self
    }

    /// How many bytes may be in running batches; the error names it or not.
    pub(crate) fn with_room_for(self, bytes: usize, named: bool) -> Self {
        self.0.lock().unwrap().limit = Some((bytes, named));
        self
    }

    /// Batches are not cancelled, though the server says so.
    pub(crate) fn ignoring_cancels(self) -> Self {
        self.0.lock().unwrap().deaf = true;
        self
    }

    /// The next creations happen, but their answers are lost; the list shows them only from a later look on.
    pub(crate) fn losing_create_answers(self, times: usize, hidden_lists: usize) -> Self {
        let mut world = self.0.lock().unwrap();
        world.lose_creates = times;
        world.hide_until_list = hidden_lists;
        drop(world);
        self
    }

    /// The next creations happen twice, and their answers are lost.
    pub(crate) fn doubling_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().double_creates = times;
        self
    }

    /// The next creations do not happen, which their caller cannot know.
    pub(crate) fn dropping_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().drop_creates = times;
        self
    }

    /// The next creations happen, and are never answered.
    pub(crate) fn hanging_creates(self, times: usize) -> Self {
        self.0.lock().unwrap().hang_creates = times;
        self
    }

    pub(crate) fn refusing_uploads(self, times: usize) -> Self {
        self.0.lock().unwrap().refuse_uploads = times;
        self
    }

    /// The next uploads are not answered.
    pub(crate) fn losing_uploads(self, arrives: impl Into<Vec<Arrives>>) -> Self {
        self.0.lock().unwrap().lose_uploads = arrives.into();
        self
    }

    /// A file is shown only after so many looks at the files.
    pub(crate) fn showing_file_late(self, file: usize, looks: usize) -> Self {
        self.0.lock().unwrap().late_files.insert(file, looks);
        self
    }

    /// The ids of the files that the server has.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = self.0.lock().unwrap().files.keys().cloned().collect();
        files.sort();
        files
    }

    /// The next calls of this name fail.
    pub(crate) fn failing(self, call: &'static str, times: usize, fail: Fail) -> Self {
        self.0.lock().unwrap().faults.push((call, times, fail));
        self
    }

    pub(crate) fn batches(&self) -> usize {
        self.0.lock().unwrap().batches.len()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The calls that read batches, and when they were made.
    pub(crate) fn looks(&self) -> Vec<(&'static str, Instant)> {
        self.0.lock().unwrap().looks.clone()
    }

    /// The files that were deleted.
    pub(crate) fn deleted(&self) -> Vec<String> {
        self.0.lock().unwrap().deleted.clone()
    }

    pub(crate) fn cancels(&self) -> usize {
        self.0.lock().unwrap().cancels
    }

    /// When each batch was made, and how many bytes its file has; without those that failed.
    pub(crate) fn made(&self) -> Vec<(Instant, usize)> {
        let world = self.0.lock().unwrap();
        let ran = world.batches.iter().filter(|batch| batch.end.status != "failed");
        ran.map(|batch| (batch.made, batch.bytes)).collect()
    }

    /// The lines of all batches that were not refused.
    pub(crate) fn ran(&self) -> Vec<Line> {
        let world = self.0.lock().unwrap();
        let ran = world.batches.iter().filter(|batch| batch.end.status != "failed");
        ran.flat_map(|batch| parse(&world.files[&batch.new.input_file_id].1))
            .collect()
    }

    /// What was said when a batch was made.
    pub(crate) fn asked_for(&self, batch: usize) -> Value {
        serde_json::to_value(&self.0.lock().unwrap().batches[batch].new).unwrap()
    }

    /// The lines of each batch.
    pub(crate) fn lines(&self, batch: usize) -> Vec<Line> {
        let world = self.0.lock().unwrap();
        parse(&world.files[&world.batches[batch].new.input_file_id].1)
    }
}

fn parse(file: &Bytes) -> Vec<Line> {
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        Line {
            custom_id: line["custom_id"].as_str().unwrap().to_owned(),
            body: line["body"].clone(),
        }
    };
    std::str::from_utf8(file).unwrap().lines().map(read).collect()
}
