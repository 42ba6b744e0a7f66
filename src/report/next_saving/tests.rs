use std::slice;
use std::sync::Arc;

use super::*;
use crate::attribution::Attribution;
use crate::clock::ManualClock;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Baseline, BodyHash, CostLedger, InMemoryLedger, LedgerEntry, Status};
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, Price, Rates};
use crate::report::Report;
use crate::usage::Usage;

const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

/// Two models, one at a tenth of the other's price; both at half by batch, and dearer above 200,000 tokens.
fn prices() -> PriceBook {
    let rates = |input: &str, output: &str| Rates::per_mtok(input, output).unwrap();
    let price = |dollars: [&'static str; 6]| {
        let [input, output, half_input, half_output, long_input, long_output] = dollars;
        Price::per_mtok(input, output)
            .unwrap()
            .with_cache_read(half_input)
            .unwrap()
            .with_lane(Lane::Batch, rates(half_input, half_output))
            .with_long_context(Lane::Standard, 200_000, rates(long_input, long_output))
    };
    PriceBook::empty()
        .with_price("dear", price(["10", "20", "5", "10", "20", "40"]))
        .with_price("cheap", price(["1", "2", "0.5", "1", "2", "4"]))
}

fn entry(model: &str, usage: Usage) -> LedgerEntry {
    let mut entry = LedgerEntry::new(EntryId::new(NOW), OpId::new(NOW), NOW, Endpoint::ChatCompletions);
    entry.attribution = Attribution::default().with_feature("f");
    entry.served_model = Some(model.into());
    entry.status = Status::Succeeded;
    entry.attempts = 1;
    entry.usage = Some(usage);
    entry.cost = prices().cost(&model.into(), Lane::Standard, &usage, NOW);
    entry
}

async fn found(entries: &[LedgerEntry]) -> Vec<NextSaving> {
    let ledger = InMemoryLedger::new();
    for entry in entries {
        ledger.record(&Arc::new(entry.clone())).unwrap();
    }
    let builder = Report::builder()
        .with_prices(prices())
        .with_clock(ManualClock::new(NOW));
    builder.of(&ledger).await.unwrap().next_savings
}

async fn of(lever: Lever, entries: &[LedgerEntry]) -> Option<(UsdSum, UsdSum)> {
    let found = found(entries).await;
    let saving = found.iter().find(|saving| saving.lever == lever)?;
    assert!(saving.at_least <= saving.at_most && saving.at_most <= saving.addressable);
    assert!(!saving.evidence.is_empty() && !saving.change.is_empty());
    Some((saving.addressable, saving.at_most))
}

/// The least and the most that a lever saves.
async fn range(lever: Lever, entries: &[LedgerEntry]) -> Option<(UsdSum, UsdSum)> {
    let found = found(entries).await;
    let saving = found.iter().find(|saving| saving.lever == lever)?;
    Some((saving.at_least, saving.at_most))
}

fn usd(text: &str) -> UsdSum {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_could_wait_would_cost_half() {
    let at_once = entry("dear", Usage::new(1_000, 100));
    assert_eq!(
        of(Lever::Wait, slice::from_ref(&at_once)).await,
        Some((usd("0.012"), usd("0.006")))
    );
    let mut batched = at_once;
    batched.lane = Lane::Batch;
    assert_eq!(of(Lever::Wait, &[batched]).await, None);
}

#[tokio::test]
async fn a_cheaper_model_is_one_that_the_ledger_knows() {
    let dear = entry("dear", Usage::new(1_000, 100));
    assert_eq!(of(Lever::Route, slice::from_ref(&dear)).await, None);
    let cheap = entry("cheap", Usage::new(1_000, 100));
    assert_eq!(
        of(Lever::Route, &[dear, cheap]).await,
        Some((usd("0.012"), usd("0.0108")))
    );
}

#[tokio::test]
async fn a_lost_attempt_is_at_most_what_it_can_have_cost() {
    let mut lost = entry("dear", Usage::new(1_000, 100));
    lost.attempts = 2;
    lost.cost = Cost::Partial {
        known: Usd::from_pico(12_000_000_000),
        at_most: Some(Usd::from_pico(20_000_000_000)),
        why: PartialReason::LostAttempt,
    };
    assert_eq!(
        of(Lever::Retries, &[lost]).await,
        Some((usd("0.02"), usd("0.008")))
    );
}

#[tokio::test]
async fn the_second_of_two_requests_that_are_the_same_could_be_saved() {
    let ask = |body, feature: &str| {
        let mut entry = entry("dear", Usage::new(1_000, 100));
        entry.attribution = Attribution::default().with_feature(feature);
        entry.body_hash = Some(BodyHash::from_bits(body));
        entry
    };
    let once = [ask(1, "f"), ask(2, "f"), ask(1, "g")];
    assert_eq!(of(Lever::Duplicates, &once).await, None);
    let twice = [ask(1, "f"), ask(2, "f"), ask(1, "f"), ask(1, "f")];
    assert_eq!(
        of(Lever::Duplicates, &twice).await,
        Some((usd("0.024"), usd("0.024")))
    );
}

#[tokio::test]
async fn what_is_asked_again_after_a_failure_is_no_duplicate() {
    let ask = |status| {
        let mut entry = entry("dear", Usage::new(1_000, 100));
        entry.body_hash = Some(BodyHash::from_bits(1));
        entry.status = status;
        entry
    };
    let again = [ask(Status::Failed), ask(Status::CutShort), ask(Status::Succeeded)];
    assert_eq!(of(Lever::Duplicates, &again).await, None);
    let twice = [
        ask(Status::Failed),
        ask(Status::Succeeded),
        ask(Status::Succeeded),
    ];
    assert_eq!(
        of(Lever::Duplicates, &twice).await,
        Some((usd("0.012"), usd("0.012")))
    );
}

#[tokio::test]
async fn a_lost_attempt_can_have_cost_more_than_the_one_that_was_answered() {
    let mut lost = entry("dear", Usage::new(1_000, 100));
    lost.attempts = 3;
    lost.cost = Cost::Partial {
        known: Usd::from_pico(12_000_000_000),
        at_most: Some(Usd::from_pico(100_000_000_000)),
        why: PartialReason::LostAttempt,
    };
    assert_eq!(
        of(Lever::Retries, &[lost]).await,
        Some((usd("0.1"), usd("0.088")))
    );
}

#[tokio::test]
async fn what_is_certain_is_told_as_the_least() {
    let mut dear = entry("dear", Usage::new(1_000, 100));
    dear.body_hash = Some(BodyHash::from_bits(1));
    let mut again = dear.clone();
    again.id = EntryId::new(NOW);
    let twice = [dear.clone(), again];
    let exactly = |text| Some((usd(text), usd(text)));
    assert_eq!(range(Lever::Duplicates, &twice).await, exactly("0.012"));
    assert_eq!(range(Lever::Wait, &twice).await, Some((usd("0"), usd("0.012"))));
    let pico = |milli: i64| Usd::from_pico(milli * 1_000_000_000);
    dear.lane = Lane::Priority;
    dear.cost = Cost::Priced(pico(24));
    dear.baseline = Baseline::of(pico(12), pico(12), pico(24), pico(24));
    assert_eq!(
        range(Lever::Priority, slice::from_ref(&dear)).await,
        exactly("0.012")
    );
    // What the lane costs more is booked as if nothing had been cached.
    dear.cost = Cost::Priced(pico(8));
    dear.baseline = Baseline::of(pico(12), pico(12), pico(24), pico(8));
    assert_eq!(
        range(Lever::Priority, &[dear]).await,
        Some((usd("0"), usd("0.008")))
    );
}

#[tokio::test]
async fn the_same_beginning_within_ten_minutes_could_have_been_cached() {
    let ask = |minute: i64, cached| {
        let mut usage = Usage::new(2_048, 0);
        usage.cache_read_tokens = cached;
        let mut entry = entry("dear", usage);
        entry.at = Timestamp::from_unix_millis(NOW.as_unix_millis() + minute * 60_000);
        entry.prefix_hash = Some(BodyHash::from_bits(7));
        entry
    };
    assert_eq!(of(Lever::SamePrefix, &[ask(0, 0), ask(11, 0)]).await, None);
    assert_eq!(of(Lever::SamePrefix, &[ask(0, 0), ask(9, 1_024)]).await, None);
    // Sums say that more could be saved, and clues of how many calls that is known.
    let both = [ask(0, 0), ask(9, 0)];
    assert_eq!(of(Lever::SamePrefix, &both).await, None);
    let missed = of(Lever::ProviderCache, &both).await;
    assert_eq!(missed, Some((usd("0.04096"), usd("0.02048"))));
    let savings = found(&both).await;
    let row = savings.iter().find(|saving| saving.lever == Lever::ProviderCache);
    assert!(row.unwrap().evidence.contains("at least 1 calls began like one"));
    // Most of what the feature reads is cached, so that sums say nothing.
    let mut cached = ask(30, 2_048);
    cached.prefix_hash = None;
    let mut mostly = both.to_vec();
    for _ in 0..3 {
        cached.id = EntryId::new(NOW);
        mostly.push(cached.clone());
    }
    let missed = of(Lever::SamePrefix, &mostly).await;
    assert_eq!(missed, Some((usd("0.02048"), usd("0.01024"))));
}

#[test]
fn clues_save_no_more_than_was_spent_after_a_correction() {
    let totals = |pico| Totals {
        cost: UsdSum::from_pico(pico),
        ..Totals::default()
    };
    let part = |pico| Spend {
        feature: None,
        model: Some("dear".into()),
        lane: Some(Lane::Standard),
        totals: totals(pico),
    };
    let (spend, mut room) = ([part(10)], Room::default());
    let mut take = |kind, pico| room.take(&spend, kind, &part(pico)).as_pico();
    assert_eq!(take(ClueKind::Repeated, 8), 8);
    assert_eq!(take(ClueKind::Repeated, 8), 2);
    assert_eq!(take(ClueKind::MissedPrefix, 20), 10);
}

#[tokio::test]
async fn input_just_above_the_threshold_is_found() {
    for (input, expected) in [
        (200_000, None),
        (210_000, Some((usd("4.2"), usd("2.31")))),
        (240_000, None),
    ] {
        assert_eq!(
            of(Lever::LongContext, &[entry("dear", Usage::new(input, 0))]).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_limit_far_above_the_output_costs_nothing_but_room() {
    let ask = |calls| {
        let mut entry = entry("dear", Usage::new(1_000, 100));
        entry.max_output_tokens = Some(4_100);
        vec![entry; calls]
    };
    let mut distinct = ask(3);
    for entry in &mut distinct {
        entry.id = EntryId::new(NOW);
    }
    let savings = found(&distinct).await;
    let last = savings.last().unwrap();
    assert_eq!(last.lever, Lever::OutputLimit);
    assert_eq!(
        (last.addressable, last.at_least, last.at_most),
        (usd("0.036"), usd("0"), usd("0"))
    );
    // 4,000 tokens at 20 dollars a million, three times.
    let words = "at least 3 calls allowed 4,100 output tokens and used 100, on the average: unused limits cost nothing, but \
                 a budget would hold up to 0.24 USD more for these calls, and rate limits count them";
    assert_eq!(last.evidence, words);
    let mut little = ask(1);
    little[0].max_output_tokens = Some(500);
    assert_eq!(of(Lever::OutputLimit, &little).await, None);
}
