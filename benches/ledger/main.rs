//! What keeping and asking costs: `cargo bench --bench ledger`; with `-- 10m` also over ten million entries, which takes
//! some minutes and 8 GB of disk.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops")]
#![expect(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more digits than it prints"
)]

mod file;
mod memory;
mod pricing;
mod samples;

fn main() {
    let ten_million = std::env::args().any(|arg| arg == "10m");
    if memory::is_measured() {
        return;
    }
    pricing::run();
    memory::run();
    file::run(ten_million);
}
