//! A web service that asks a model, with its costs on a page of its own.
//!
//! `cargo run --features dashboard --example axum_service` serves on 127.0.0.1:3000 until ctrl-c, against the embedded
//! simulator: no network, no key, no money. `-- --live` asks OpenAI, with the key in `OPENAI_API_KEY` and a token for
//! the costs in `COSTS_TOKEN`. `-- --demo` makes some calls to itself, reads its own dashboard, and ends. `--port PORT`
//! and `--dir DIR` set where it listens and where it keeps its ledger and what waits for a batch.
//!
//! Post a text to `/summary` (answered at once) or to `/tags` (rides a batch, at half the price); the header `x-user`
//! says for whom. The costs are at `/costs`: a browser asks for a name, which may be anything, and a password, which is
//! the token; Prometheus reads `/costs/metrics` with the token as its bearer token.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thrifty::batch::{BatchPolicy, FileStore};
use thrifty::dashboard::Dashboard;
use thrifty::ledger::FileLedger;
use thrifty::router::HeuristicRouter;
use thrifty::simulator::Simulator;
use thrifty::{LlmClient, Transport};
use tokio::net::TcpListener;
use tokio::sync::Notify;

type Failure = Box<dyn Error + Send + Sync>;

/// How long calls under way have to end when the service does. Batches go on at the server: what waits for them is in
/// the store, and the next start takes it up.
const DRAIN: Duration = Duration::from_secs(20);

/// What every request can reach.
#[derive(Clone)]
struct App {
    llm: LlmClient,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    std::fs::create_dir_all(&options.dir)?;
    let ledger = Arc::new(FileLedger::open(options.dir.join("costs"))?);
    let (client, transport, pace) = options.upstream();
    let llm = LlmClient::builder(client, transport)
        .with_router(HeuristicRouter::new("gpt-4o-mini", "gpt-4o"))
        .with_ledger(Arc::clone(&ledger))
        .with_batch_store(FileStore::open(options.dir.join("spool"))?)
        .with_batch_policy(pace)
        .build()?;

    let costs = Dashboard::new(ledger).with_budgets(llm.budgets().clone());
    let token: Arc<str> = options.token.as_str().into();
    let costs = costs
        .into_router()
        .layer(middleware::from_fn_with_state(token, only_with_token));
    let service = Router::new()
        .route("/summary", post(summary))
        .route("/tags", post(tags))
        .with_state(App { llm: llm.clone() })
        .nest("/costs", costs);

    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let address = listener.local_addr()?;
    println!("http://{address}/summary and /tags take a text; the costs are at http://{address}/costs");
    let stop = Arc::new(Notify::new());
    let demo = options.demo.then(|| {
        let stop = Arc::clone(&stop);
        let token = options.token.clone();
        tokio::spawn(async move {
            let seen = demo(&format!("http://{address}"), &token).await;
            stop.notify_one();
            seen
        })
    });
    let ending = async move {
        tokio::select! {
            () = stop.notified() => {}
            signal = tokio::signal::ctrl_c() => {
                if let Err(error) = signal {
                    eprintln!("ctrl-c is not heard ({error}), so the service ends");
                }
            }
        }
    };
    // First no request is taken any more and those under way are answered; then batches and the ledger are seen to.
    axum::serve(listener, service)
        .with_graceful_shutdown(ending)
        .await?;
    let pending = llm.shutdown(DRAIN).await?;
    println!(
        "\nEnded. {} calls were not answered, {} wait in the store for the next start.",
        pending.calls,
        pending.batched.len()
    );
    if let Some(demo) = demo {
        demo.await??;
    }
    Ok(())
}

/// Answers at once.
async fn summary(State(app): State<App>, headers: HeaderMap, text: String) -> Result<String, Refused> {
    ask(&scope(&app.llm, "summaries", &headers), "Summarise this:", &text).await
}

/// Takes a text that may wait until tomorrow, and answers that it did.
async fn tags(State(app): State<App>, headers: HeaderMap, text: String) -> StatusCode {
    let llm = scope(&app.llm, "tags", &headers).within(Duration::from_secs(12 * 3_600));
    tokio::spawn(async move {
        match ask(&llm, "Give five tags for this:", &text).await {
            Ok(tags) => println!("tagged: {} characters", tags.chars().count()),
            Err(Refused(error)) => eprintln!("not tagged: {error}"),
        }
    });
    StatusCode::ACCEPTED
}

/// Says whom the calls of a request are for.
fn scope(llm: &LlmClient, feature: &str, headers: &HeaderMap) -> LlmClient {
    let llm = llm.feature(feature);
    match headers.get("x-user").and_then(|user| user.to_str().ok()) {
        Some(user) => llm.user(user),
        None => llm,
    }
}

async fn ask(llm: &LlmClient, task: &str, text: &str) -> Result<String, Refused> {
    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o")
        .max_completion_tokens(200_u32)
        .messages([ChatCompletionRequestUserMessage::from(format!("{task}\n\n{text}")).into()])
        .build()?;
    let answer = llm.chat().create(request).await?;
    let texts = answer
        .choices
        .into_iter()
        .filter_map(|choice| choice.message.content);
    Ok(texts.collect())
}

struct Refused(OpenAIError);

impl From<OpenAIError> for Refused {
    fn from(error: OpenAIError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        eprintln!("no answer: {}", self.0);
        (StatusCode::BAD_GATEWAY, "there is no answer just now\n").into_response()
    }
}

/// Lets those through who know the token, as a bearer or as a password with any name.
async fn only_with_token(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| credential(value.to_str().ok()?));
    if given.is_some_and(|given| is_same(given.as_bytes(), token.as_bytes())) {
        return next.run(request).await;
    }
    let ask = [(
        header::WWW_AUTHENTICATE,
        "Basic realm=\"costs\", charset=\"UTF-8\"",
    )];
    (StatusCode::UNAUTHORIZED, ask, "this needs the token\n").into_response()
}

fn credential(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Looks at every byte whatever the first ones are, so that the time taken tells no more than the length. A service
/// that has the crate `subtle` uses that.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differing = given.iter().zip(wanted).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == wanted.len() && std::hint::black_box(differing) == 0
}

/// Uses the service as its callers would, and reads what it cost.
async fn demo(at: &str, token: &str) -> Result<(), Failure> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    for user in ["ann", "bob", "ann"] {
        let text = "Rivers carry water from the hills to the sea, and mud, and now and then a boat.";
        let call = http
            .post(format!("{at}/summary"))
            .header("x-user", user)
            .body(text);
        let answer = call.send().await?.error_for_status()?.text().await?;
        println!("{user} got {} characters", answer.chars().count());
    }
    for _ in 0..2 {
        let call = http.post(format!("{at}/tags")).body("A text about boats.");
        call.send().await?.error_for_status()?;
    }
    let metrics = format!("{at}/costs/metrics");
    let refused = http.get(&metrics).send().await?.status();
    if refused != reqwest::StatusCode::UNAUTHORIZED {
        return Err(format!("the costs are open to all: {refused}").into());
    }
    // The batch takes a second or two.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let shown = http
            .get(&metrics)
            .bearer_auth(token)
            .send()
            .await?
            .error_for_status()?;
        let shown = shown.text().await?;
        let of_batch = |line: &&str| line.starts_with("thrifty_calls{") && line.contains("lane=\"batch\"");
        if shown.lines().any(|line| of_batch(&line)) {
            println!("\nWhat {metrics} says, in part:");
            for line in shown
                .lines()
                .filter(|line| line.starts_with("thrifty_cost_usd") || of_batch(line))
            {
                println!("{line}");
            }
            break;
        }
        if tokio::time::Instant::now() > deadline {
            return Err("the batch is not in the metrics".into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let page = http.get(format!("{at}/costs")).basic_auth("anyone", Some(token));
    let page = page.send().await?.error_for_status()?.text().await?;
    println!("\nThe page has {} bytes.", page.len());
    Ok(())
}

struct Options {
    live: bool,
    demo: bool,
    port: u16,
    dir: PathBuf,
    token: String,
}

impl Options {
    fn read() -> Result<Self, Failure> {
        let (mut live, mut demo, mut port) = (false, false, None);
        let mut dir = PathBuf::from("target/axum_service");
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--live" => live = true,
                "--demo" => demo = true,
                "--port" => port = Some(args.next().ok_or("--port needs a number")?.parse()?),
                "--dir" => dir = args.next().ok_or("--dir needs a directory")?.into(),
                other => return Err(format!("unknown option {other}: see the top of the example").into()),
            }
        }
        if live && demo {
            return Err("--demo does not wait for the batches of --live: use one of them".into());
        }
        if live && std::env::var_os("OPENAI_API_KEY").is_none() {
            return Err("--live needs OPENAI_API_KEY".into());
        }
        let token = match std::env::var("COSTS_TOKEN") {
            Ok(token) if token.len() >= 16 => token,
            Ok(_) => return Err("COSTS_TOKEN needs 16 characters or more".into()),
            Err(_) if live => return Err("--live needs COSTS_TOKEN, the token for the costs".into()),
            Err(_) => {
                println!("The token for the costs is `only-for-trying`; COSTS_TOKEN sets another.");
                "only-for-trying".to_owned()
            }
        };
        Ok(Self {
            live,
            demo,
            port: port.unwrap_or(if demo { 0 } else { 3_000 }),
            dir,
            token,
        })
    }

    /// Returns what to ask, and how patiently to gather batches.
    fn upstream(&self) -> (Client<OpenAIConfig>, Transport, BatchPolicy) {
        if self.live {
            return (Client::new(), Transport::default(), BatchPolicy::default());
        }
        let simulator = Simulator::builder()
            .with_batch_delay(Duration::from_secs(1))
            .build();
        let second = Duration::from_secs(1);
        let pace = BatchPolicy::default()
            .with_max_delay(second)
            .with_poll(second, second);
        (simulator.client(), Transport::service(simulator.service()), pace)
    }
}
