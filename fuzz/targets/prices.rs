//! Price lists that others wrote: whatever is in them, they load or are refused with a place, and no price is negative.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrifty::pricing::{LoadError, Loaded, PriceBook};
use thrifty::{Lane, ModelId, Timestamp, Usage, Usd};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    check(PriceBook::empty().with_litellm("list", text, "openai"));
    check(PriceBook::empty().with_genai_prices("list", text, "openai"));
    check(PriceBook::empty().with_toml("list", text));
});

fn check(loaded: Result<Loaded, LoadError>) {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return assert!(error.to_string().contains("list")),
    };
    // Those of the seeds.
    for model in ["gpt-4o", "gpt-5.4", "our-model"].map(ModelId::from) {
        for lane in Lane::ALL {
            for tokens in [0, 1, 300_000] {
                let usage = Usage::new(tokens, tokens);
                let now = Timestamp::from_unix_millis(1_795_000_000_000);
                let cost = loaded.book.cost(&model, lane, &usage, now);
                assert!(
                    cost.known().is_none_or(|known| known >= Usd::ZERO),
                    "{model}: {cost}"
                );
            }
        }
    }
}
