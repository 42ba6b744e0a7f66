//! Entries as a service's calls make them.

use std::sync::Arc;

use thrifty::ledger::{Baseline, BodyHash, LedgerEntry, Status};
use thrifty::pricing::Cost;
use thrifty::{Attribution, Endpoint, EntryId, Lane, OpId, Timestamp, Usage, Usd};

const MODELS: [&str; 4] = [
    "gpt-4o-mini-2024-07-18",
    "gpt-4o-2024-08-06",
    "gpt-5-mini-2025-08-07",
    "text-embedding-3-small",
];

/// Returns the entry of call number `n`, made at this moment: of one of 20 features and 500 users. Each feature has two
/// models and one lane, as services have.
pub(crate) fn entry(n: u64, at: Timestamp) -> Arc<LedgerEntry> {
    let mix = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let pick = |of: u64, shift: u32| (mix >> shift) % of;
    let index = |of: u64, shift: u32| usize::try_from(pick(of, shift)).unwrap();
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::ChatCompletions);
    let feature = index(20, 3);
    entry.attribution = Attribution::default()
        .with_feature(format!("feature-{feature}"))
        .with_user(format!("user-{}", pick(500, 9)));
    let model = *MODELS.get((feature + index(2, 1)) % MODELS.len()).unwrap();
    entry.requested_model = Some("gpt-4o".into());
    entry.sent_model = Some("gpt-4o-mini".into());
    entry.served_model = Some(model.into());
    entry.lane = *Lane::ALL.get(feature % Lane::ALL.len()).unwrap();
    entry.status = Status::Succeeded;
    entry.http_status = Some(200);
    entry.provider_id = Some(format!("chatcmpl-{mix:029}").into());
    entry.attempts = 1;
    let (input, output) = (200 + pick(4_000, 2), 20 + pick(600, 7));
    let mut usage = Usage::new(input, output);
    usage.cache_read_tokens = if n.is_multiple_of(3) { input / 2 } else { 0 };
    entry.usage = Some(usage);
    let cost = i64::try_from(input * 150_000 + output * 600_000).unwrap();
    entry.cost = Cost::Priced(Usd::from_pico(cost));
    entry.price_revision = Some("2026-11-24-1a2b3c4d".into());
    let usd = Usd::from_pico;
    entry.baseline = Baseline::of(usd(cost * 17), usd(cost * 2), usd(cost), usd(cost));
    entry.body_hash = Some(BodyHash::from_bits(mix));
    entry.prefix_hash = (input > 1_000).then(|| BodyHash::from_bits(pick(20, 3)));
    entry.max_output_tokens = Some(2_000);
    entry.reason = Some("input of at most 2000 tokens".into());
    entry.latency_ms = Some(300 + pick(9_000, 4));
    Arc::new(entry)
}
