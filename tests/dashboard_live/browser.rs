//! New calls appear on a page that is open in a browser. `watch.mjs` drives Chromium; where it and its packages are looked
//! for is as in the tests of the page.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use thrifty::Usd;
use thrifty::dashboard::Dashboard;
use thrifty::ledger::{CostLedger, Query};
use thrifty::pricing::Cost;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::doubles::Watched;
use crate::{chromium, entry, noon, samples};

/// What `watch.mjs` prints in the end.
#[derive(Debug, Deserialize)]
struct Watching {
    elsewhere: Vec<String>,
    complaints: Vec<String>,
    violations: Vec<String>,
    said: String,
    calls: (String, String),
    kept: Vec<bool>,
    links: Vec<(String, u16, String)>,
    holds: BTreeMap<String, bool>,
    requests_while_hidden: usize,
    said_when_broken: String,
    said_when_mended: String,
}

/// Returns how to run `watch.mjs`; `None` if there is nothing to watch with.
fn watch(url: &str) -> Option<Command> {
    let mut node = Command::from(chromium::node("dashboard_live/watch.mjs")?);
    node.arg(url);
    node.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Some(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn new_calls_appear_without_a_reload() {
    let ledger = Watched::new(samples::month());
    let dashboard = Dashboard::new(Arc::clone(&ledger)).with_clock(noon());
    let service = axum::Router::new().nest("/costs", dashboard.into_router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/costs", listener.local_addr().unwrap());
    let Some(mut node) = watch(&url) else { return };
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    let calls = async || ledger.query(&Query::new()).await.unwrap().total.calls.to_string();

    let mut node = node.spawn().unwrap();
    let mut tell = node.stdin.take().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut all_calls = vec![calls().await];
    let seen: Watching = loop {
        let line = lines.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the browser ended; its words are above"));
        match line.as_str() {
            "record" => {
                let mut dear = entry("brand-new <b>");
                dear.cost = Cost::Priced(Usd::from_dollars(100));
                ledger.record(&Arc::new(dear)).unwrap();
                all_calls.push(calls().await);
            }
            "break" => ledger.broken.store(true, Ordering::SeqCst),
            "mend" => ledger.broken.store(false, Ordering::SeqCst),
            json => break serde_json::from_str(json).unwrap(),
        }
        tell.write_all(b"done\n").await.unwrap();
    };
    // Node ends when nobody can tell it anything more.
    drop(tell);
    assert!(node.wait().await.unwrap().success());
    serving.abort();

    println!(
        "goal report/requests: {} (0 to elsewhere; live)",
        seen.elsewhere.len()
    );
    println!("goal report/console: {} (0; live)", seen.complaints.len());
    println!("goal report/axe: {} (0; live)", seen.violations.len());
    assert_eq!(seen.elsewhere, [""; 0]);
    assert_eq!(seen.complaints, [""; 0]);
    assert_eq!(seen.violations, [""; 0]);
    assert_eq!([seen.calls.0.clone(), seen.calls.1.clone()], all_calls[..2]);
    let held = |holds: &BTreeMap<String, bool>| holds.len() == 5 && holds.values().all(|held| *held);
    assert!(held(&seen.holds), "{seen:?}");
    assert!(seen.kept.len() == 8 && !seen.kept.contains(&false), "{seen:?}");
    let served = [
        ("JSON", "application/json"),
        ("CSV", "text/csv"),
        ("metrics", "text/plain"),
    ];
    let served = served.map(|(name, kind)| (name.to_owned(), 200, kind.to_owned()));
    assert_eq!(seen.links, served);
    assert_eq!(seen.requests_while_hidden, 0);
    assert!(seen.said.starts_with("Live"), "{seen:?}");
    assert!(seen.said_when_broken.starts_with("Not live"), "{seen:?}");
    assert!(seen.said_when_mended.starts_with("Live"), "{seen:?}");
}
