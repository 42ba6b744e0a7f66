//! Sums are exact, however they are come by.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thrifty::ledger::{CostLedger, Dimension, FileLedger, LedgerEntry, Query, Status, SyncPolicy, Totals};
use thrifty::pricing::{Cost, PartialReason, UnpricedReason};
use thrifty::{
    Attribution, Clock, Endpoint, EntryId, Lane, ManualClock, OpId, Timestamp, Usage, Usd, UsdSum,
};

/// An entry whose parts follow from its number.
fn generated(number: u64, at: Timestamp) -> LedgerEntry {
    let mix = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::ChatCompletions);
    entry.attribution = Attribution::default()
        .with_feature(format!("f{}", mix % 7))
        .with_user(format!("u{}", mix % 11));
    entry.served_model = Some(["gpt-4o", "gpt-4o-mini", "gpt-5"][(mix % 3) as usize].into());
    entry.lane = Lane::ALL[(mix % 4) as usize];
    entry.status = Status::Succeeded;
    entry.attempts = 1;
    entry.usage = Some(Usage::new(mix % 100_000, mix % 5_000));
    let usd = |pico: u64| Usd::from_pico(pico.cast_signed());
    entry.cost = match mix % 16 {
        0 => Cost::Unpriced(UnpricedReason::UnknownModel),
        1 => Cost::Partial {
            known: usd(mix % 1_000_003),
            at_most: Some(usd(mix % 1_000_003 + 17)),
            why: PartialReason::CutShort,
        },
        _ => Cost::Priced(usd(mix % 999_999_937)),
    };
    entry.latency_ms = Some(mix % 60_000);
    entry
}

/// `THRIFTY_EXACT_ENTRIES=10000000 cargo test --release --test ledger exact` takes as many as it says; by default 20,000.
#[tokio::test]
async fn entries_sums_and_shards_agree_to_the_last_pico_dollar() {
    let entries = super::times("THRIFTY_EXACT_ENTRIES", 20_000) as u64;
    let dir = TempDir::new().unwrap();
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_790_000_000_000));
    let segment = NonZeroU64::new((entries * 20).clamp(50_000, 64 << 20)).unwrap();
    let settings = || {
        FileLedger::builder()
            .with_clock(clock.clone())
            .with_sync(SyncPolicy::OnFlush)
            .with_segment_bytes(segment)
    };
    let ledger = settings().open(dir.path()).unwrap();
    let mut by_hand: BTreeMap<String, i128> = BTreeMap::new();
    let mut shards = vec![Totals::default(); 13];
    for number in 0..entries {
        if number % 100 == 0 {
            clock.advance(Duration::from_millis(1 + 864_000_000 / entries));
        }
        if number % 100_000 == 0 {
            ledger.flush().await.unwrap();
        }
        let entry = generated(number, clock.now());
        *by_hand
            .entry(entry.attribution.feature().unwrap().to_owned())
            .or_default() += entry.cost.known().map_or(0, |known| i128::from(known.as_pico()));
        shards[(number % 13) as usize].add(&entry);
        ledger.record(&Arc::new(entry)).unwrap();
    }
    ledger.flush().await.unwrap();

    let mut forwards = Totals::default();
    for shard in &shards {
        forwards.merge(shard);
    }
    let mut backwards = Totals::default();
    for shard in shards.iter().rev() {
        backwards.merge(shard);
    }
    assert_eq!(forwards, backwards);

    let from_sums = Query::new()
        .group_by(Dimension::Feature)
        .group_by(Dimension::Lane);
    let from_entries = Query::new().group_by(Dimension::User);
    for ledger in [ledger, settings().open(dir.path()).unwrap()] {
        let sums = ledger.query(&from_sums).await.unwrap();
        let scanned = ledger.query(&from_entries).await.unwrap();
        assert_eq!(sums.total, forwards);
        assert_eq!(scanned.total, forwards);
        assert_eq!(
            (&sums.costs, &sums.latencies),
            (&scanned.costs, &scanned.latencies)
        );
        let mut by_feature: BTreeMap<String, i128> = BTreeMap::new();
        for group in &sums.groups {
            *by_feature
                .entry(group.keys[0].as_deref().unwrap().to_owned())
                .or_default() += group.totals.cost.as_pico();
        }
        assert_eq!(by_feature, by_hand);
        let verified = ledger.verify().await.unwrap();
        assert_eq!(verified.differences, []);
        assert!(
            verified.segments >= 5 && verified.entries > entries / 2,
            "{verified:?}"
        );
    }
    let spent: UsdSum = forwards.cost;
    println!("goal ledger/exact: {entries} entries (10000000), {spent} USD three ways");
}
