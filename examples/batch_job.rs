//! A file of requests, answered at half the price: `cargo run --example batch_job -- SPOOL REQUESTS.jsonl ANSWERS.jsonl`.
//!
//! A line of the first file is one of OpenAI's batch input: `{"custom_id":"a","method":"POST","url":"/v1/...","body":{}}`.
//! The answers come in its order. Kill the program whenever you like and run it again: what is in the spool goes on, and
//! nothing is paid twice. It asks OpenAI, or what `OPENAI_BASE_URL` names, with the key in `OPENAI_API_KEY`; without a
//! key an embedded simulator, whose answers are nonsense, and whose batches die with the program.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use async_openai::Client;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use thrifty::batch::{BatchError, BatchHandle, BatchPolicy, FileStore, LineAnswer};
use thrifty::ledger::FileLedger;
use thrifty::report::Report;
use thrifty::simulator::Simulator;
use thrifty::{Endpoint, LlmClient, Transport};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Line {
    custom_id: String,
    url: String,
    body: Box<RawValue>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(spool), Some(requests), Some(answers)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: batch_job SPOOL REQUESTS.jsonl ANSWERS.jsonl".into());
    };
    let lines = read(requests.as_ref())?;
    let mut policy = BatchPolicy::default();
    let (client, transport) = if std::env::var_os("OPENAI_API_KEY").is_some() {
        (Client::new(), Transport::default())
    } else {
        println!("There is no OPENAI_API_KEY: an embedded simulator answers.");
        let second = Duration::from_secs(1);
        policy = policy.with_max_delay(second).with_poll(second, second);
        let simulator = Simulator::builder().with_batch_delay(3 * second).build();
        (simulator.client(), Transport::service(simulator.service()))
    };
    let spool = Path::new(&spool);
    let llm = LlmClient::builder(client, transport)
        .with_ledger(FileLedger::open(spool.join("costs"))?)
        .with_batch_store(FileStore::open(spool.join("batches"))?)
        .with_batch_policy(policy)
        .build()?;

    let collector = llm.collector();
    let mut handles: Vec<BatchHandle<LineAnswer>> = Vec::new();
    for line in &lines {
        let request = collector.enqueue_raw(Endpoint::from(&*line.url), line.body.get().to_owned());
        // The key is what makes a second run go on with the first one's requests.
        handles.push(request.key(&*line.custom_id).await?);
    }
    let ids: Vec<_> = handles.iter().map(BatchHandle::id).collect();
    collector.flush().await?;

    let progress = tokio::spawn(show_progress(llm.clone(), lines.len()));
    let outcomes = tokio::select! {
        outcomes = join_all(handles) => outcomes,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            println!("\nInterrupted. Run it again to go on; the batches at the server do.");
            return Ok(());
        }
    };
    progress.abort();
    write(answers.as_ref(), &lines, &outcomes)?;
    // Only now that they are safe elsewhere may the spool forget them.
    for id in ids {
        collector.acknowledge(id);
    }
    let pending = llm.shutdown(Duration::from_secs(60)).await?;
    println!(
        "\n{} answers are in {answers}; pending: {}\n",
        outcomes.len(),
        pending.batched.len()
    );
    println!("{}", Report::of(llm.ledger()).await?.to_text());
    Ok(())
}

fn read(requests: &Path) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(fs::File::open(requests)?).lines()) {
        let line = line?;
        if !line.trim().is_empty() {
            let line = serde_json::from_str(&line);
            lines.push(line.map_err(|error| format!("{}:{number}: {error}", requests.display()))?);
        }
    }
    Ok(lines)
}

/// Writes the answers beside the file first, so that it is there whole or not at all.
fn write(answers: &Path, lines: &[Line], outcomes: &[Result<LineAnswer, BatchError>]) -> Result<(), Failure> {
    let partial = answers.with_extension("partial");
    let mut file = fs::File::create(&partial)?;
    for (line, outcome) in lines.iter().zip(outcomes) {
        let told = match outcome {
            Ok(answer) => {
                let body: Box<RawValue> = serde_json::from_slice(&answer.body)?;
                json!({"custom_id": line.custom_id, "status": answer.status, "body": body})
            }
            Err(error) => json!({"custom_id": line.custom_id, "error": error.to_string()}),
        };
        writeln!(file, "{told}")?;
    }
    file.sync_all()?;
    fs::rename(partial, answers)?;
    Ok(())
}

/// Draws a bar whenever something has changed.
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
        if progress.changed().await.is_err() {
            return;
        }
    }
}
