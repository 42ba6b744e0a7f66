//! The price of one answer, over a mix of models, lanes and bands. `tests/allocations.rs` holds that it allocates nothing.

use std::hint::black_box;
use std::time::Duration;

use thrifty::pricing::PriceBook;
use thrifty::{Lane, ModelId, Timestamp, Usage};

/// Snapshots, aliases, a fine-tuned model, a snapshot newer than the table, one that nobody knows.
const MODELS: [&str; 10] = [
    "gpt-4o-2024-08-06",
    "gpt-4o-mini",
    "gpt-4.1-mini-2025-04-14",
    "gpt-5-2025-08-07",
    "gpt-5.6-sol",
    "gpt-6.1-terra",
    "o3",
    "ft:gpt-4o-2024-08-06:acme::7p4lURel",
    "gpt-5.6-luna-2026-12-01",
    "unheard-of",
];

pub(crate) fn run() {
    const ROUNDS: u32 = 2_000;
    let book = PriceBook::builtin();
    let at = Timestamp::from_unix_millis(1_795_521_600_000);
    let mut calls = Vec::new();
    for model in MODELS.map(ModelId::new) {
        for lane in Lane::ALL {
            for input in [900, 300_000] {
                let mut usage = Usage::new(input, 350);
                usage.cache_read_tokens = 512;
                usage.reasoning_tokens = 128;
                calls.push((model.clone(), lane, usage));
            }
        }
    }
    let mut passes: Vec<u128> = (0..31)
        .map(|_| {
            let before = cpu_time();
            for _ in 0..ROUNDS {
                for (model, lane, usage) in &calls {
                    black_box(book.quote(black_box(model), *lane, black_box(usage), at));
                }
            }
            cpu_time().saturating_sub(before).as_nanos() * 10 / (u128::from(ROUNDS) * calls.len() as u128)
        })
        .collect();
    passes.sort_unstable();
    let median = passes.get(passes.len() / 2).unwrap();
    let (whole, tenth) = (median / 10, median % 10);
    println!("goal pricing/price: {whole}.{tenth} ns (<= 100; no allocation)");
}

/// The time this process has computed, which what else runs on the machine does not change.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap()
}
