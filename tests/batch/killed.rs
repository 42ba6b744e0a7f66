//! Real processes, ended by a real SIGKILL, that are run again unchanged.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_openai::config::OpenAIConfig;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use thrifty::batch::{BatchPolicy, BatchStore, Durability, Extent, FileStore, Position, Record, StoreError};
use thrifty::simulator::{Simulator, SimulatorServer};
use thrifty::{Endpoint, LlmClient, Transport};
use tokio::runtime::Runtime;

/// Tells a child of this test what to do: the step to die at, the server, the spool.
const CHILD: &str = "THRIFTY_TEST_BATCH_CHILD";
/// How many requests the program makes.
pub(crate) const REQUESTS: usize = 24;
/// How many of them go into a batch.
const LINES: usize = 10;

/// A store that ends the process at a step: before or after one of its calls.
#[derive(Debug)]
struct Deadly {
    store: FileStore,
    steps: Arc<AtomicUsize>,
}

impl Deadly {
    fn step(&self) {
        if self.steps.fetch_sub(1, Ordering::SeqCst) == 1 {
            die();
        }
    }
}

/// Ends this process as nothing can prevent.
fn die() -> ! {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

#[async_trait]
impl BatchStore for Deadly {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn append(&self, records: &mut [Record]) -> Result<Position, StoreError> {
        if records.is_empty() {
            return self.store.append(records);
        }
        self.step();
        let appended = self.store.append(records);
        self.step();
        appended
    }

    async fn sync(&self, position: Position) -> Result<(), StoreError> {
        let synced = self.store.sync(position).await;
        self.step();
        synced
    }

    async fn load(&self, fold: &mut (dyn FnMut(Record) + Send)) -> Result<(), StoreError> {
        self.store.load(fold).await
    }

    async fn read(&self, extents: &[Extent]) -> Result<Bytes, StoreError> {
        self.step();
        self.store.read(extents).await
    }

    async fn check(&self, extents: Vec<Extent>) -> Result<Vec<Extent>, StoreError> {
        self.store.check(extents).await
    }

    fn wants_snapshot(&self) -> bool {
        self.store.wants_snapshot()
    }

    fn replace(&self, snapshot: &mut dyn Iterator<Item = Record>) -> Result<(), StoreError> {
        self.store.replace(snapshot)
    }
}

fn policy(lines: usize) -> BatchPolicy {
    // All in one batch have to be there however slow the machine is.
    let delay = if lines < REQUESTS { 20 } else { 2_000 };
    BatchPolicy::default()
        .with_max_requests(lines.try_into().unwrap())
        .with_max_delay(Duration::from_millis(delay))
        .with_poll(Duration::from_millis(3), Duration::from_millis(20))
        .with_settle(Duration::from_millis(20))
}

fn body(n: usize) -> String {
    json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": format!("question {n}")}]})
        .to_string()
}

/// A child is this test again, told by its environment to be the program: it asks, writes down the answers, and only
/// then says that they are used.
#[test]
fn a_child_is_the_program() {
    let Some(task) = std::env::var_os(CHILD) else {
        return;
    };
    let task = task.into_string().unwrap();
    let mut task = task.splitn(4, ' ');
    let steps: usize = task.next().unwrap().parse().unwrap();
    let lines: usize = task.next().unwrap().parse().unwrap();
    let base = task.next().unwrap().to_owned();
    let dir = task.next().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Deadly {
            store: FileStore::open(Path::new(dir).join("spool")).unwrap(),
            steps: Arc::new(AtomicUsize::new(steps)),
        };
        let config = OpenAIConfig::new().with_api_base(base).with_api_key("sk-none");
        let llm = LlmClient::builder(async_openai::Client::with_config(config), Transport::default())
            .with_batch_policy(policy(lines))
            .with_batch_store(store)
            .build()
            .unwrap();
        let collector = llm.collector();
        let mut handles = Vec::new();
        for n in 0..REQUESTS {
            let enqueue = collector.enqueue_raw(Endpoint::ChatCompletions, body(n));
            handles.push((n, enqueue.key(format!("doc-{n}")).await.unwrap()));
        }
        let mut answers = BTreeMap::new();
        let mut ids = Vec::new();
        for (n, handle) in handles {
            ids.push(handle.id());
            let answer = handle.await.unwrap();
            assert_eq!(answer.status, 200);
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            answers.insert(n, answer["choices"][0]["message"]["content"].clone());
        }
        let new = Path::new(dir).join("answers.new");
        std::fs::write(&new, serde_json::to_vec(&answers).unwrap()).unwrap();
        std::fs::rename(new, Path::new(dir).join("answers")).unwrap();
        // What is acknowledged is gone for a next run, which has the answers in a file.
        for id in ids {
            collector.acknowledge(id);
        }
        collector.shutdown(Duration::from_secs(60)).await.unwrap();
    });
    std::io::stdout()
        .write_all(b"the program ran to its end\n")
        .unwrap();
}

/// Runs the program: the step to die at, how many lines a batch has, the server, and its directory.
pub(crate) fn child(steps: usize, lines: usize, base: &str, dir: &Path) -> Child {
    let mut task = std::ffi::OsString::from(format!("{steps} {lines} {base} "));
    task.push(dir);
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::a_child_is_the_program", "--nocapture"])
        .env(CHILD, OsStr::new(&task))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a child; whether it ran to its end. One that fails otherwise than by a kill fails the test.
pub(crate) fn ended(child: Child) -> bool {
    use std::os::unix::process::ExitStatusExt;

    let output = child.wait_with_output().unwrap();
    if output.status.signal() == Some(9) {
        return false;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    true
}

/// Serves a simulator on loopback for as long as both are kept.
pub(crate) fn served(simulator: &Simulator) -> (Runtime, SimulatorServer) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(simulator.serve()).unwrap();
    (runtime, server)
}

/// Runs the program until it ends by itself, killing it as it is told, and checks what it got and what it was billed.
fn runs(mut kill: impl FnMut(usize) -> Kill) -> usize {
    let dir = TempDir::new().unwrap();
    let simulator = Simulator::builder()
        .with_batch_delay(Duration::from_millis(5))
        .build();
    let (_runtime, server) = served(&simulator);
    let base = server.base_url();
    let mut kills = 0;
    let mut run = 0;
    // Killed between writing its answers and saying so, the program starts from its file.
    while !dir.path().join("answers").exists() {
        let told = kill(run);
        run += 1;
        let steps = match told {
            Kill::AtStep(step) => step,
            _ => usize::MAX,
        };
        let mut program = child(steps, LINES, &base, dir.path());
        if let Kill::After(time) = told {
            std::thread::sleep(time);
            program.kill().unwrap();
        }
        kills += usize::from(!ended(program));
    }
    check(&simulator, dir.path(), 0);
    kills
}

/// What the program got, and what it was billed: each line once, and so many more that ran twice before that was found.
pub(crate) fn check(simulator: &Simulator, dir: &Path, twice: usize) {
    let answers: BTreeMap<usize, Value> =
        serde_json::from_slice(&std::fs::read(dir.join("answers")).unwrap()).unwrap();
    assert_eq!(answers.len(), REQUESTS, "every answer is delivered");
    let book = simulator.book();
    let mut billed: BTreeMap<String, usize> = BTreeMap::new();
    for charge in book.charges() {
        *billed.entry(format!("{charge:?}")).or_default() += 1;
    }
    assert_eq!(
        book.charges().len(),
        REQUESTS + twice,
        "each line is billed once: {billed:?}"
    );
}

enum Kill {
    AtStep(usize),
    After(Duration),
    Never,
}

/// `THRIFTY_BATCH_KILLS=1000 cargo test --release --test batch killed` kills as often as it says at random moments; by
/// default 4 times, and at 12 of the steps.
#[test]
fn a_program_that_is_killed_and_run_again_pays_for_each_line_once() {
    let wanted = std::env::var("THRIFTY_BATCH_KILLS")
        .ok()
        .map(|kills| kills.parse::<usize>().unwrap());
    // Enqueues have three steps each: those at the end, and what follows, have names of their own in the journal.
    let steps = (0..).map(|step| 1 + step * 3).take_while(|step| *step < 180);
    let steps: Vec<_> = match wanted {
        Some(_) => (1..180).collect(),
        None => steps.step_by(5).collect(),
    };
    let (mut at_steps, all_steps) = (0, steps.len());
    for step in steps {
        // Once at the step, and then to the end.
        at_steps += runs(|run| if run == 0 { Kill::AtStep(step) } else { Kill::Never });
    }
    let (mut at_random, wanted) = (0, wanted.unwrap_or(4));
    let mut random = fastrand::Rng::with_seed(4);
    while at_random < wanted {
        at_random += runs(|run| {
            if run < 4 {
                Kill::After(Duration::from_millis(random.u64(5..180)))
            } else {
                Kill::Never
            }
        });
    }
    assert!(
        at_steps * 2 > all_steps,
        "{at_steps} of {all_steps} steps were reached"
    );
    println!(
        "goal batch/kills: {at_steps} at a step (30), {at_random} at random (1000); each line billed once"
    );
}
