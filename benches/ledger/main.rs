//! What booking a call costs, against its goals.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says so")]

mod pricing;

fn main() {
    pricing::run();
}
