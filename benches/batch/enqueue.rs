//! How fast requests become durable.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use futures_util::future::join_all;
use futures_util::stream;

use crate::server::Server;
use crate::{ask, collector, directory, median, one_sync, runtime};

pub(crate) fn by_64_callers() {
    const CALLERS: u64 = 64;
    const ROUNDS: u64 = 150;
    let (mut ratios, mut rates, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..7 {
        let dir = directory();
        let sync = one_sync(dir.path());
        let seconds = runtime(2).block_on(async {
            let collector = collector(&Server::default(), dir.path());
            drop(collector.enqueue(&ask(0)).await.unwrap());
            let start = Instant::now();
            join_all((0..CALLERS).map(|caller| {
                let collector = collector.clone();
                tokio::spawn(async move {
                    for round in 0..ROUNDS {
                        drop(collector.enqueue(&ask(caller * ROUNDS + round)).await.unwrap());
                    }
                })
            }))
            .await;
            start.elapsed().as_secs_f64()
        });
        let sync = f64::midpoint(sync, one_sync(dir.path()));
        let rate = (CALLERS * ROUNDS) as f64 / seconds;
        ratios.push(rate * sync / CALLERS as f64);
        rates.push(rate);
        syncs.push(sync);
    }
    println!(
        "goal batch/enqueue-64: {:.2} x 64 / fdatasync (>= 0.6; {:.0} requests/s durable, one fdatasync {:.2} ms)",
        median(ratios),
        median(rates),
        median(syncs) * 1e3
    );
}

pub(crate) fn many() {
    const REQUESTS: u64 = 100_000;
    let (mut ratios, mut rates, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let dir = directory();
        let requests: Vec<_> = (0..REQUESTS).map(ask).collect();
        let start = Instant::now();
        let lines: Vec<_> = requests
            .iter()
            .map(|ask| serde_json::to_vec(ask).unwrap())
            .collect();
        let serialising = start.elapsed().as_secs_f64();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(dir.path().join("raw"))
            .unwrap();
        let start = Instant::now();
        for chunk in lines.chunks(60) {
            file.write_all(&chunk.concat()).unwrap();
        }
        file.sync_data().unwrap();
        let writing = start.elapsed().as_secs_f64();
        let seconds = runtime(2).block_on(async {
            let collector = collector(&Server::default(), dir.path());
            drop(collector.enqueue(&ask(0)).await.unwrap());
            let start = Instant::now();
            let enqueues = requests.iter().map(|ask| collector.enqueue(ask));
            let ids = collector.enqueue_many(stream::iter(enqueues)).await.unwrap();
            assert_eq!(ids.len() as u64, REQUESTS);
            start.elapsed().as_secs_f64()
        });
        let limit = REQUESTS as f64 / serialising.max(writing);
        let rate = REQUESTS as f64 / seconds;
        ratios.push(rate / limit);
        rates.push(rate);
        limits.push(limit);
    }
    println!(
        "goal batch/enqueue-many: {:.2} of the slower of serialising and writing alone (>= 0.35; {:.0} requests/s \
         durable, limit {:.0})",
        median(ratios),
        median(rates),
        median(limits)
    );
}
