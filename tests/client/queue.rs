//! More than the server lets be enqueued at once.

use std::time::Duration;

use futures_util::future::join_all;
use thrifty::Lane;
use thrifty::simulator::Simulator;

use super::{chat, client_of, rows};

#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_the_token_queue_rides_in_parts_and_is_paid_once() {
    for prompt in ["Say what this is about. ".repeat(150), "§9$%".repeat(400)] {
        let simulator = Simulator::builder()
            .with_enqueued_tokens(20_000)
            .with_batch_delay(Duration::from_secs(1_800))
            .build();
        let llm = client_of(&simulator).build().unwrap();
        let patient = llm.within(Duration::from_secs(24 * 3_600));
        let calls = (0..80).map(|n| {
            let (patient, prompt) = (&patient, format!("{n} {prompt}"));
            async move { patient.chat().create(chat("gpt-4o", &prompt)).await.unwrap() }
        });
        let begun = tokio::time::Instant::now();
        assert_eq!(join_all(calls).await.len(), 80);
        assert!(
            begun.elapsed() < Duration::from_secs(12 * 3_600),
            "{:?}",
            begun.elapsed()
        );
        let rows = rows(&llm).await;
        assert_eq!(rows.len(), 80);
        assert!(rows.iter().all(|row| row.lane == Lane::Batch));
        assert_eq!(simulator.book().charges().len(), 80);
    }
}
