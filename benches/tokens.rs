//! What counting costs: against tiktoken-rs alone on English, and on input that is made to be slow.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says so")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use thrifty::Endpoint;
use thrifty::tokens::TokenCounter;
use thrifty::wire::RequestView;

const MODEL: &str = "gpt-4o";
const ENGLISH: &str = "The ledger was found on a Tuesday, under the stairs, where nobody had thought to look since the \
    winter of 1974. It listed every purchase the household had made for eleven years: flour and lamp oil, two pairs \
    of boots, a violin that was returned within the week (\"too loud\", says a note in the margin), and, on nearly \
    every page, small sums paid to a Mr. Harrow for services that are never described. What did he do? Historians have \
    offered answers; none of them explains why the payments stop in March, three days before the flood, or who tore \
    out the last nineteen pages. We don't know, and it's unlikely that we ever will.\n\n";

fn main() {
    TokenCounter::new().warm_up();
    english();
    hostile();
}

fn english() {
    let text: String = ENGLISH.chars().cycle().take(4096).collect();
    let counter = TokenCounter::new();
    let raw = tiktoken_rs::o200k_base_singleton();
    let mut pairs: Vec<(f64, Duration)> = (0..31)
        .map(|_| {
            let alone = time(20, || raw.count_ordinary(black_box(&text)));
            let ours = time(20, || counter.count_text(MODEL, black_box(&text)));
            (ours.as_secs_f64() / alone.as_secs_f64(), alone / 20)
        })
        .collect();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, alone) = pairs.get(pairs.len() / 2).unwrap();
    println!(
        "goal tokens/english-4k: {ratio:.2}x (<= 1.15x raw tiktoken-rs; raw {} us)",
        alone.as_micros()
    );
}

fn hostile() {
    const MEGABYTE: usize = 1_000_000;
    let mut seeded = fastrand::Rng::with_seed(7);
    let mut random = |from: u32, to: u32, bytes: usize| -> String {
        let mut text = String::new();
        while text.len() < bytes {
            text.extend(char::from_u32(seeded.u32(from..to)));
        }
        text
    };
    let base64 = |text: String| {
        text.as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned() + "\n")
            .collect::<String>()
    };
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut pick = fastrand::Rng::with_seed(8);
    let lines = base64((0..MEGABYTE).filter_map(|_| pick.choice(&alphabet)).collect());
    let runs: String = (0..17)
        .map(|run| match run % 4 {
            0 => " ".repeat(60_000),
            1 => random(0x61, 0x7b, 60_000),
            2 => "\u{1f600}".repeat(15_000),
            _ => ENGLISH.chars().cycle().take(60_000).collect(),
        })
        .collect();
    // The longest stretches that are still tokenized.
    let stretches = |unit: String| format!("{unit}, ").repeat(MEGABYTE / 8_000);
    let inputs = [
        ("spaces", " ".repeat(MEGABYTE)),
        ("one letter", "a".repeat(MEGABYTE)),
        ("random letters", random(0x61, 0x7b, MEGABYTE)),
        ("zeros", "0".repeat(MEGABYTE)),
        ("emoji", "\u{1f600}".repeat(MEGABYTE / 4)),
        ("base64 lines", lines.clone()),
        ("random Chinese", random(0x4e00, 0x9fa5, MEGABYTE)),
        ("mix of 60 kB runs", runs),
    ];
    let counter = TokenCounter::new();
    let costs = inputs.iter().map(|(name, text)| {
        let cost = (0..5)
            .map(|_| time(1, || counter.count_text(MODEL, black_box(text))))
            .min()
            .unwrap_or_default();
        (cost.as_nanos() / text.len() as u128, *name)
    });
    let (worst, name) = costs.max().unwrap();
    let english: String = ENGLISH.chars().cycle().take(10 * MEGABYTE).collect();
    let bodies = [
        ("English", english),
        ("base64 lines", lines.repeat(10)),
        ("8 kB letters", stretches(random(0x61, 0x7b, 7_998)).repeat(10)),
        (
            "1 kB letters",
            format!("{}, ", random(0x61, 0x7b, 1_000)).repeat(10_000),
        ),
        ("8 kB spaces", format!("{}x,", " ".repeat(7_998)).repeat(1_250)),
        ("one-letter messages", String::new()),
    ];
    let (slowest, body) = bodies
        .iter()
        .map(|(name, text)| (request(&counter, text), *name))
        .max()
        .unwrap();
    println!(
        "goal tokens/hostile: {worst} ms/MB worst (<= 60; input {name}); 10 MB request {} ms worst (<= 500; input {body})",
        slowest.as_millis(),
    );
}

/// Times the count of a chat of 10 MB: one long message, or as many short ones.
fn request(counter: &TokenCounter, text: &str) -> Duration {
    let message = format!(
        r#"{{"role":"user","content":{}}}"#,
        serde_json::Value::from(if text.is_empty() { "x" } else { text })
    );
    let messages = vec![message.clone(); (10_000_000 / message.len()).max(1)].join(",");
    let body = format!(r#"{{"model":"{MODEL}","messages":[{messages}]}}"#);
    (0..3)
        .map(|_| {
            time(1, || {
                let view = RequestView::read(body.as_bytes()).unwrap();
                counter.count_request(&Endpoint::ChatCompletions, &view)
            })
        })
        .min()
        .unwrap_or_default()
}

fn time<T>(times: u32, mut work: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    start.elapsed()
}
