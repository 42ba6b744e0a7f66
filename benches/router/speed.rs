//! How long the score of a text and the line take, and a training. To decode a request and to find a model is not in it.

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use thrifty::router::{Threshold, Trainer};

use crate::data::Set;
use crate::quality::train;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

pub(crate) fn run(mmlu: &Set, pro: &Set) {
    trainings(mmlu);
    let model = train(pro, &(0..pro.labelled.len()).collect::<Vec<_>>());
    let line = Threshold::at(0.0).unwrap();
    let stream: String = pro
        .labelled
        .iter()
        .map(|row| row.prompt.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    for (goal, bytes, calls, limit) in [
        (
            "router/route-1k",
            1 << 10,
            2_000,
            "<= 6 us p50; score and line only",
        ),
        (
            "router/route-4k",
            4 << 10,
            1_000,
            "<= 40 us p50; score and line only",
        ),
        (
            "router/route-64k",
            64 << 10,
            400,
            "<= 250 us p99; score and line only, of the first 8 kB, which is what is read",
        ),
    ] {
        let texts = texts(&stream, bytes, calls);
        let mut times = vec![Duration::MAX; calls];
        let region = Region::new(ALLOCATOR);
        // The fastest of five passes over all texts: what other programs take is not the router's.
        for _ in 0..5 {
            for (time, text) in times.iter_mut().zip(&texts) {
                let start = Instant::now();
                black_box(line.tier(model.score_text(black_box(text))));
                *time = start.elapsed().min(*time);
            }
        }
        let allocated = region.change().allocations;
        times.sort_unstable();
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        println!(
            "goal {goal}: p50 {:.1} us, p99 {:.1} us ({limit}; over texts, each the fastest of 5); {allocated} allocations (0)",
            micros(times[calls / 2]),
            micros(times[calls * 99 / 100]),
        );
    }
}

/// Trains on all rows, and prints the fastest of five trainings.
fn trainings(set: &Set) {
    let all: Vec<usize> = (0..set.labelled.len()).collect();
    let rows = set.rows(&all);
    let trainer = Trainer::new([set.cheap, set.strong]);
    let fastest = (0..5).map(|_| {
        let start = Instant::now();
        black_box(trainer.train(&rows).unwrap());
        start.elapsed()
    });
    println!(
        "goal router/train-14k: {:.2} s (<= 1 s; {} rows, the fastest of 5)",
        fastest.min().unwrap().as_secs_f64(),
        rows.len()
    );
}

/// Cuts so many texts of so many bytes from a stream, each from another place.
fn texts(stream: &str, bytes: usize, count: usize) -> Vec<String> {
    let step = (stream.len() - bytes - 8) / count;
    let boundary = |at: usize| (at..at + 4).find(|at| stream.is_char_boundary(*at)).unwrap();
    let start = |at: usize| boundary(at * step);
    let cut = |start: usize| {
        let end = boundary(start + bytes);
        stream[start..end].to_owned()
    };
    (0..count).map(|at| cut(start(at))).collect()
}
