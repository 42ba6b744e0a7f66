//! From sealed lines to the first byte of an upload, and from result lines to outcomes.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream;

use crate::server::Server;
use crate::{ask, collector, directory, median, one_sync, runtime};

const LINES: u64 = 50_000;

pub(crate) fn flush() {
    let (mut over, mut syncs, mut rewritten) = (Vec::new(), Vec::new(), 0);
    for _ in 0..7 {
        let (dir, server) = (directory(), Server::default());
        let sync = one_sync(dir.path());
        let took = runtime(2).block_on(async {
            let collector = collector(&server, dir.path());
            let enqueues = (0..LINES).map(|n| collector.enqueue(&ask(n)));
            collector.enqueue_many(stream::iter(enqueues)).await.unwrap();
            let before = line_bytes(dir.path());
            let start = Instant::now();
            collector.flush().await.unwrap();
            let first = loop {
                if let Some(first) = server.first_byte() {
                    break (first - start).as_secs_f64();
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            };
            rewritten = rewritten.max(line_bytes(dir.path()) - before);
            first
        });
        let sync = f64::midpoint(sync, one_sync(dir.path()));
        over.push((took - 2.0 * sync) * 1e3);
        syncs.push(sync * 1e3);
    }
    println!(
        "goal batch/flush-50k: {:.2} ms beyond two fdatasyncs (<= 1; one {:.2} ms), {rewritten} bytes rewritten (0)",
        median(over),
        median(syncs)
    );
}

/// How many bytes of lines are in the spool.
fn line_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("spool/lines")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

pub(crate) fn ingest() {
    let rates = (0..5).map(|_| {
        let (dir, server) = (directory(), Server::default());
        // One thread does everything but the syncs.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let collector = collector(&server, dir.path());
            let enqueues = (0..LINES).map(|n| collector.enqueue(&ask(n)));
            collector.enqueue_many(stream::iter(enqueues)).await.unwrap();
            let left = collector.shutdown(Duration::from_secs(60)).await.unwrap();
            assert!(left.is_empty());
            LINES as f64 / server.asked().unwrap().elapsed().as_secs_f64()
        })
    });
    println!(
        "goal batch/ingest: {:.0} result lines/s on one core (>= 150000)",
        median(rates.collect())
    );
}
