//! A file of requests, answered at half the price: `cargo run --example batch_job -- SPOOL REQUESTS.jsonl ANSWERS.jsonl`.
//!
//! A line of the first file is one of OpenAI's batch input: `{"custom_id":"a","method":"POST","url":"/v1/...","body":{}}`.
//! The answers come in its order. Kill the program whenever you like and run it again: what is in the spool goes on, and
//! nothing is paid twice. It asks OpenAI, or what `OPENAI_BASE_URL` names, with the key in `OPENAI_API_KEY`; without either
//! an embedded simulator, whose answers are nonsense, and whose batches die with the program.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use async_openai::Client;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thrifty::batch::{BatchCollector, BatchError, BatchHandle, BatchPolicy, FileStore, LineAnswer};
use thrifty::ledger::FileLedger;
use thrifty::report::Report;
use thrifty::simulator::Simulator;
use thrifty::{Endpoint, LlmClient, Transport};

type Failure = Box<dyn Error + Send + Sync>;
type Outcome = Result<LineAnswer, BatchError>;

/// How many requests are enqueued at once: they share the syncs that make them durable.
const AT_ONCE: usize = 256;

#[derive(Deserialize)]
struct Line {
    custom_id: String,
    url: String,
    body: Box<RawValue>,
    /// Where it is in its file, from 1.
    #[serde(skip)]
    number: usize,
}

/// A line of the answers.
#[derive(Serialize)]
struct Answer<'a> {
    custom_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [spool, requests, answers] = &args[..] else {
        eprintln!("usage: batch_job SPOOL REQUESTS.jsonl ANSWERS.jsonl");
        return ExitCode::from(2);
    };
    match run(spool.as_ref(), requests.as_ref(), answers.as_ref()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nbatch_job: {}", told(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(spool: &Path, requests: &Path, answers: &Path) -> Result<ExitCode, Failure> {
    let lines = read(requests).map_err(|error| format!("{}: {error}", requests.display()))?;
    let mut policy = BatchPolicy::default();
    let names = ["OPENAI_API_KEY", "OPENAI_BASE_URL"];
    let (client, transport) = if names.iter().any(|name| std::env::var_os(name).is_some()) {
        (Client::new(), Transport::default())
    } else {
        println!("There is no OPENAI_API_KEY: an embedded simulator answers.");
        let second = Duration::from_secs(1);
        // It does not know the batches of an earlier run, and never will.
        policy = policy
            .with_max_delay(second)
            .with_poll(second, second)
            .with_patience(10 * second);
        let simulator = Simulator::builder().with_batch_delay(3 * second).build();
        (simulator.client(), Transport::service(simulator.service()))
    };
    let llm = LlmClient::builder(client, transport)
        .with_ledger(FileLedger::open(spool.join("costs"))?)
        .with_batch_store(FileStore::open(spool.join("batches"))?)
        .with_batch_policy(policy)
        .build()?;

    let collector = llm.collector();
    let enqueued = stream::iter(&lines).map(|line| enqueue(collector, line));
    let handles: Vec<_> = enqueued.buffered(AT_ONCE).try_collect().await?;
    let ids: Vec<_> = handles.iter().map(BatchHandle::id).collect();
    collector.flush().await?;

    let progress = tokio::spawn(show_progress(llm.clone(), lines.len()));
    let outcomes = tokio::select! {
        outcomes = join_all(handles) => outcomes,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            progress.abort();
            llm.flush().await?;
            println!("\nInterrupted. Run it again to go on; the batches at the server do.");
            return Ok(ExitCode::from(130));
        }
    };
    progress.abort();
    write(answers, &lines, &outcomes).map_err(|error| format!("{}: {error}", answers.display()))?;
    // Only now that they are safe elsewhere may the spool forget them.
    for id in ids {
        collector.acknowledge(id);
    }
    let pending = llm.shutdown(Duration::from_secs(60)).await?;
    let failed = outcomes.iter().filter(|outcome| !is_success(outcome)).count();
    println!(
        "\n{} answers are in {}, {failed} of them errors; pending: {}\n",
        outcomes.len(),
        answers.display(),
        pending.batched.len()
    );
    println!("{}", Report::of(llm.ledger()).await?.to_text());
    Ok(ExitCode::SUCCESS)
}

fn read(requests: &Path) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(fs::File::open(requests)?).lines()) {
        let line = line?;
        if !line.trim().is_empty() {
            let line: Line =
                serde_json::from_str(&line).map_err(|error| format!("line {number}: {error}"))?;
            lines.push(Line { number, ..line });
        }
    }
    Ok(lines)
}

async fn enqueue(collector: &BatchCollector, line: &Line) -> Result<BatchHandle<LineAnswer>, Failure> {
    let request = collector.enqueue_raw(Endpoint::from(&*line.url), line.body.get().to_owned());
    // The key is what makes a second run go on with the first one's requests.
    let enqueued = request.key(&*line.custom_id).await;
    enqueued.map_err(|error| format!("line {}: {}", line.number, told(&error)).into())
}

/// Writes the answers beside the file first, so that it is there whole or not at all.
fn write(answers: &Path, lines: &[Line], outcomes: &[Outcome]) -> Result<(), Failure> {
    let partial = answers.with_extension("partial");
    let mut file = BufWriter::new(fs::File::create(&partial)?);
    for (line, outcome) in lines.iter().zip(outcomes) {
        let mut answer = Answer {
            custom_id: &line.custom_id,
            status: None,
            body: None,
            error: None,
        };
        match outcome {
            Ok(line) => {
                answer.status = Some(line.status);
                match serde_json::from_slice(&line.body) {
                    Ok(body) => answer.body = Some(body),
                    Err(error) => answer.error = Some(format!("the body is no JSON: {error}")),
                }
            }
            Err(error) => answer.error = Some(told(error)),
        }
        serde_json::to_writer(&mut file, &answer)?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(partial, answers)?;
    Ok(())
}

fn is_success(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(LineAnswer::is_success)
}

/// Tells an error and what lies beneath it.
fn told(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut beneath) = (error.to_string(), error.source());
    while let Some(source) = beneath {
        told = format!("{told}: {source}");
        beneath = source.source();
    }
    told
}

/// Draws a bar when something has changed, at most ten times a second.
async fn show_progress(llm: LlmClient, all: usize) {
    let mut progress = llm.collector().progress();
    loop {
        let now = *progress.borrow_and_update();
        let done = all.saturating_sub(now.pending());
        let bar = "#".repeat(30 * done / all.max(1));
        print!(
            "\r[{bar:30}] {done} of {all}; {} uploading, {} in batches ",
            now.uploading, now.in_flight
        );
        let _ = std::io::stdout().flush();
        tokio::time::sleep(Duration::from_millis(100)).await;
        if progress.changed().await.is_err() {
            return;
        }
    }
}
