//! Real traffic, recorded, against the simulator: the same states, the same members, the same nulls.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use thrifty::simulator::{Fault, LineFault, Simulator};

use super::raw::send;

#[derive(Deserialize)]
struct Exchange {
    method: String,
    uri: String,
    request_body: Option<String>,
    status: u16,
    body: String,
}

/// Says how what was simulated differs from what was recorded, other than in its values.
fn difference(recorded: &Value, simulated: &Value, at: &str) -> Option<String> {
    match (recorded, simulated) {
        (Value::Object(recorded), Value::Object(simulated)) => {
            recorded
                .iter()
                .find_map(|(name, recorded)| match simulated.get(name) {
                    Some(simulated) => difference(recorded, simulated, &format!("{at}.{name}")),
                    None => Some(format!("{at}.{name} is missing")),
                })
        }
        (Value::Array(recorded), Value::Array(simulated)) => {
            let pairs = recorded.iter().zip(simulated);
            pairs.enumerate().find_map(|(index, (recorded, simulated))| {
                difference(recorded, simulated, &format!("{at}[{index}]"))
            })
        }
        (Value::Null, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => None,
        _ => Some(format!("{at} was {recorded}, is {simulated}")),
    }
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

/// The lines of a file's content, by the names that the requests had.
fn lines(body: &str) -> HashMap<String, Value> {
    let lines = body.lines().map(json);
    lines
        .map(|line| (line["custom_id"].as_str().unwrap().to_owned(), line))
        .collect()
}

async fn replay(file: &Path) {
    let exchanges: Vec<Exchange> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let simulator = Simulator::new();
    if file.ends_with("resubmission_batch_completion.json") {
        // The real API counted this line as failed, and had it in no file.
        simulator.inject(Fault::line(LineFault::Missing).containing("Ramen"));
    }
    // Recorded ids, and those that stand for them here.
    let mut ids: Vec<(String, String)> = Vec::new();
    for exchange in &exchanges {
        let translate = |text: &str| {
            let mut text = text.to_owned();
            for (recorded, ours) in &ids {
                text = text.replace(recorded, ours);
            }
            text
        };
        let path = translate(exchange.uri.trim_start_matches("https://api.openai.com"));
        let body = translate(exchange.request_body.as_deref().unwrap_or_default());
        let content_type = match body.strip_prefix("--").and_then(|body| body.split_once("\r\n")) {
            Some((boundary, _)) => format!("multipart/form-data; boundary={boundary}"),
            None => "application/json".to_owned(),
        };
        let at = format!("{}: {} {path}", file.display(), exchange.method);
        if path.ends_with("/content") {
            let (status, content) = send(&simulator, "GET", &path, &content_type, "").await;
            let (recorded, simulated) = (lines(&exchange.body), lines(&content));
            assert_eq!((status, recorded.len()), (200, simulated.len()), "{at}");
            for (id, recorded) in recorded {
                assert_eq!(difference(&recorded, &simulated[&id], &at), None);
            }
            continue;
        }
        let recorded = json(&exchange.body);
        // What a poll saw depends on when it looked: we look until it is there.
        let mut simulated = Value::Null;
        for _ in 0..60 {
            let (status, answer) = send(&simulator, &exchange.method, &path, &content_type, &body).await;
            assert_eq!(status, exchange.status, "{at} {answer}");
            simulated = json(&answer);
            if simulated["status"] == recorded["status"] {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(simulated["status"], recorded["status"], "{at}");
        assert_eq!(difference(&recorded, &simulated, &at), None);
        if recorded["status"] == "completed" {
            assert_eq!(recorded["request_counts"], simulated["request_counts"], "{at}");
        }
        if recorded["object"] == "batch" {
            let window =
                |batch: &Value| batch["expires_at"].as_i64().unwrap() - batch["created_at"].as_i64().unwrap();
            assert_eq!(window(&recorded), window(&simulated), "{at}");
        }
        for name in ["id", "output_file_id", "error_file_id"] {
            if let (Some(recorded), Some(ours)) = (recorded[name].as_str(), simulated[name].as_str())
                && !ids.iter().any(|(known, _)| known == recorded)
            {
                ids.push((recorded.to_owned(), ours.to_owned()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_of_the_real_api_replays() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulator/data/recordings");
    let mut count = 0;
    for recording in std::fs::read_dir(recordings).unwrap() {
        replay(&recording.unwrap().path()).await;
        count += 1;
    }
    assert_eq!(count, 5);
}
