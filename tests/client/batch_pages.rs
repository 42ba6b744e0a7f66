//! Pages of HTML in the place of the Batch API's answers, from a gateway or a proxy, at each step of a batch's life.

use std::time::Duration;

use thrifty::Lane;
use thrifty::batch::FileStore;
use thrifty::simulator::{Fault, LineFault, Simulator};

use super::{chat, client_of, rows};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const PAGE: &str = "<html><body>hello from a proxy</body></html>";

/// The steps by their paths. The first line is refused for the moment, so that there is a file of errors, and a second
/// batch.
const STEPS: [&str; 5] = ["/files", "/batches", "/batches/*", "/content", "/files/*"];

fn pages() -> [Fault; 4] {
    [
        Fault::gateway(502),
        Fault::gateway(502).after_effect(),
        Fault::gateway(200).after_effect(),
        Fault::body(PAGE),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_page_of_html_at_any_step_of_a_batch_costs_no_answer_and_no_second_bill() {
    for step in STEPS {
        for page in pages() {
            for times in [1, 3] {
                let told = format!("{step} {times} x {page:?}");
                let dir = tempfile::tempdir().unwrap();
                let simulator = Simulator::new();
                simulator.inject(Fault::line(LineFault::Status(429)));
                simulator.inject(page.clone().on(step).times(times));
                let llm = client_of(&simulator)
                    .with_batch_store(FileStore::open(dir.path()).unwrap())
                    .build()
                    .unwrap();
                let scope = llm.within(DAY);
                let (one, two) = (scope.chat(), scope.chat());
                let (one, two) = tokio::join!(
                    one.create(chat("gpt-4o", "one")),
                    two.create(chat("gpt-4o", "two"))
                );
                assert!(one.is_ok() && two.is_ok(), "{told} {one:?} {two:?}");
                assert_eq!(simulator.book().charges().len(), 2, "{told}");
                let rows = rows(&llm).await;
                let answered = rows.iter().filter(|row| row.lane == Lane::Batch);
                assert!(answered.count() >= 2, "{told} {rows:#?}");
            }
        }
    }
}
