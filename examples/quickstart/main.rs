//! 160 real prompts through one client: some at once, some streamed, some with tools or a schema, most in a batch at
//! half the price. Then: where the money went.
//!
//! `cargo run --example quickstart` runs against the embedded simulator. `-- --live` runs against OpenAI, or what
//! `OPENAI_BASE_URL` names, with the key in `OPENAI_API_KEY`. `-- --dir DIR` sets where the ledger is kept. A live run
//! gathers its batch for a minute and then asks for it less and less often; `-- --hurried` does both every second, for
//! a server whose batches take seconds.

mod requests;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use futures_util::{StreamExt, stream};
use thrifty::batch::BatchPolicy;
use thrifty::ledger::FileLedger;
use thrifty::pricing::PriceBook;
use thrifty::report::Report;
use thrifty::router::HeuristicRouter;
use thrifty::simulator::Simulator;
use thrifty::tokens::TokenCounter;
use thrifty::{Clock, Lane, LlmClient, ModelId, SystemClock, Transport, Usage, UsdSum};

use crate::requests::{Job, Kind};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    let jobs = requests::jobs()?;
    let mut pace = BatchPolicy::default();
    if options.hurried || !options.live {
        let second = Duration::from_secs(1);
        pace = pace.with_max_delay(second).with_poll(second, second);
    }
    let (client, transport) = if options.live {
        quote(&jobs);
        (Client::new(), Transport::default())
    } else {
        println!("This runs against the embedded simulator: no network, no key, no money.");
        let simulator = Simulator::builder()
            .with_batch_delay(Duration::from_secs(8))
            .build();
        (simulator.client(), Transport::service(simulator.service()))
    };
    std::fs::create_dir_all(&options.dir)?;
    let llm = LlmClient::builder(client, transport)
        .with_router(HeuristicRouter::new("gpt-4o-mini", "gpt-4o").with_threshold(2))
        .with_ledger(FileLedger::open(options.dir.join("costs"))?)
        .with_batch_policy(pace)
        .build()?;

    let patient = jobs.iter().filter(|job| job.kind == Kind::MayWait).count();
    println!(
        "{} requests, {patient} of them may wait for a batch.\n",
        jobs.len()
    );
    let progress = tokio::spawn(show_progress(llm.clone()));
    let at_once = stream::iter(jobs.iter().filter(|job| job.kind != Kind::MayWait).cloned());
    let at_once = at_once.map(|job| job.run(llm.clone())).buffer_unordered(8);
    let waiting = stream::iter(jobs.iter().filter(|job| job.kind == Kind::MayWait).cloned());
    let waiting = waiting
        .map(|job| job.run(llm.clone()))
        .buffer_unordered(patient.max(1));
    let answers: Vec<_> = stream::select(at_once, waiting).collect().await;
    progress.abort();

    let pending = llm.shutdown(Duration::from_secs(60)).await?;
    let failed: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    println!(
        "\n{} answers, {} failed, {} still pending.\n",
        answers.len() - failed.len(),
        failed.len(),
        pending.calls
    );
    for failure in failed.iter().take(3) {
        println!("failed: {failure}");
    }

    let report = Report::of(llm.ledger()).await?;
    println!("{}", report.to_text());
    let html = options.dir.join("report.html");
    report.write_html(&html)?;
    println!("The same as a page: {}", html.display());
    println!(
        "The ledger, one JSON line a call: {}",
        options.dir.join("costs").display()
    );
    Ok(())
}

struct Options {
    live: bool,
    hurried: bool,
    dir: PathBuf,
}

impl Options {
    fn read() -> Result<Self, Failure> {
        let mut options = Self {
            live: false,
            hurried: false,
            dir: PathBuf::from("target/quickstart"),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--live" => options.live = true,
                "--hurried" => options.hurried = true,
                "--dir" => options.dir = args.next().ok_or("--dir needs a directory")?.into(),
                other => {
                    return Err(format!("unknown option {other}: use --live, --hurried or --dir DIR").into());
                }
            }
        }
        if options.live && std::env::var_os("OPENAI_API_KEY").is_none() {
            return Err("--live needs OPENAI_API_KEY".into());
        }
        Ok(options)
    }
}

/// Prints what a live run can cost at most, if no request is routed to the cheaper model.
fn quote(jobs: &[Job]) {
    let (prices, tokens, now) = (PriceBook::builtin(), TokenCounter::new(), SystemClock.now());
    let most: Option<UsdSum> = jobs
        .iter()
        .map(|job| {
            let input = tokens.count_text(job.model(), &job.prompt).high + 300;
            let (lane, output) = match job.kind {
                Kind::MayWait => (Lane::Batch, requests::MAX_OUTPUT),
                Kind::Embedding => (Lane::Standard, 0),
                _ => (Lane::Standard, requests::MAX_OUTPUT),
            };
            prices
                .worst_case(
                    &ModelId::from(job.model()),
                    lane,
                    &Usage::new(input, output.into()),
                    now,
                )
                .ok()
        })
        .sum();
    match most {
        Some(most) => println!("A live run: {} requests, at most ${most:.2}.", jobs.len()),
        None => println!("A live run: {} requests; a price is unknown.", jobs.len()),
    }
}

/// Shows how the batch is coming along, a line for each change.
async fn show_progress(llm: LlmClient<OpenAIConfig>) {
    let mut progress = llm.collector().progress();
    while progress.changed().await.is_ok() {
        let now = *progress.borrow_and_update();
        println!(
            "batch: {:>3} buffered, {:>3} uploading, {:>3} in flight, {:>3} done",
            now.buffered, now.uploading, now.in_flight, now.done
        );
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}
