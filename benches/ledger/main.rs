//! What booking a call costs, against its goals.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says so")]

mod pricing;

fn main() {
    pricing::run();
}
