//! What routers are worth: `cargo bench --bench router`, about three minutes on two cores.
//!
//! On labelled prompts in `benches/data`, whose origin, licence and prices are in the README there. Each goal prints the
//! mean over fixed splits and the standard deviation of single splits; peers are measured on the same rows. With
//! `-- tables`, also the whole tables of peers with their intervals, which the module's docs quote. With `-- cascade`, only
//! cascades.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run stops"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "ratios of counts that are far below 2^23"
)]

mod cascade;
mod data;
mod floor;
mod peers;
#[path = "../../examples/evaluate_router/prices.rs"]
mod prices;
mod quality;
mod robust;
mod speed;
mod splits;

use data::Set;

fn main() {
    if std::env::args().any(|arg| arg == "cascade") {
        return cascade::run(&Set::flash_pro());
    }
    let (mmlu, gsm8k, pro) = (Set::mmlu(), Set::gsm8k(), Set::flash_pro());
    if std::env::args().any(|arg| arg == "tables") {
        for set in [&mmlu, &gsm8k, &pro] {
            peers::print_table(set);
        }
    }
    quality::few_labels("router/mmlu-1531", &mmlu, 1_531, 0.64, Some(0.305));
    quality::by_folds("router/mmlu-all", &mmlu, 0.68);
    quality::few_labels("router/gsm8k-650", &gsm8k, 650, 0.62, None);
    quality::by_folds("router/mmlu-pro-flash-pro", &pro, 0.78);
    floor::run(&pro);
    cascade::run(&pro);
    robust::run([&pro, &mmlu]);
    speed::run(&mmlu, &pro);
}
