//! What must not allocate, counted by the allocator itself.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use thrifty::pricing::{Price, PriceBook};
use thrifty::{Lane, ModelId, Timestamp, Usage};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// The only test of this binary: the counts are those of the process.
#[test]
fn pricing_an_answer_allocates_nothing() {
    let own = Price::per_mtok("1", "2").unwrap();
    let builtin = PriceBook::builtin();
    let changed = builtin
        .clone()
        .with_price("mine", own)
        .with_alias("prod", "gpt-4o");
    let regional = builtin.clone().with_regional_uplift();
    let at = Timestamp::from_unix_millis(1_795_521_600_000);
    let models = [
        "gpt-4o",
        "gpt-5.6-sol-2026-12-01",
        "ft:gpt-4o-2024-08-06:acme::x",
        "mine",
        "prod",
        "unheard-of",
    ]
    .map(ModelId::new);
    let mut usage = Usage::new(300_000, 10);
    usage.cache_read_tokens = 7;
    usage.tool_calls.web_search = 1;
    let mut contradictory = usage;
    contradictory.cache_read_tokens = u64::MAX;
    let mut known = 0;
    let region = Region::new(ALLOCATOR);
    for book in [&builtin, &changed, &regional] {
        for model in &models {
            for lane in Lane::ALL {
                for usage in [usage, contradictory] {
                    let quote = book.quote(model, lane, &usage, at);
                    known += usize::from(quote.cost.known().is_some());
                }
            }
        }
    }
    let counted = region.change();
    assert_eq!((counted.allocations, counted.reallocations), (0, 0));
    assert!(known > 30, "{known}");
    let counts = Region::new(ALLOCATOR);
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert_eq!(counts.change().allocations, 1, "the allocator counts");
}
