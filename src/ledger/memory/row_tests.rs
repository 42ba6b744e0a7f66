//! Whatever is packed is unpacked as it was.

use std::sync::Arc;

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::cells::Cells;
use super::chunk::IdBits;
use super::names::Interner;
use super::packing::Coded;
use super::row::{RowPacker, release, unpack};
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::{Adjusted, Baseline, BodyHash, Degradation, LedgerEntry, Role, Status};
use crate::model::ModelId;
use crate::money::Usd;
use crate::pricing::{Cost, PartialReason, PriceSource, UnpricedReason};
use crate::usage::{ToolCalls, Usage};

fn coded<T: Coded + std::fmt::Debug>() -> BoxedStrategy<T> {
    select(T::ALL).boxed()
}

fn number() -> BoxedStrategy<u64> {
    prop_oneof![0_u64..300, any::<u64>()].boxed()
}

fn usd() -> BoxedStrategy<Usd> {
    let pico = prop_oneof![
        -3_i64..3,
        any::<i64>(),
        any::<i32>().prop_map(|n| i64::from(n) * 100),
        Just(i64::MIN)
    ];
    pico.prop_map(Usd::from_pico).boxed()
}

fn text() -> BoxedStrategy<Arc<str>> {
    prop_oneof![Just(String::new()), "[a-z]{1,2}", any::<String>(), "\\PC{90,200}"]
        .prop_map(Arc::from)
        .boxed()
}

fn model() -> BoxedStrategy<Option<ModelId>> {
    of(text().prop_map(ModelId::new)).boxed()
}

/// Ids of this process and of others, near and far.
pub(super) fn id() -> BoxedStrategy<[u8; 16]> {
    let here =
        (0_i64..1 << 48).prop_map(|millis| EntryId::new(Timestamp::from_unix_millis(millis)).to_bytes());
    prop_oneof![here, any::<[u8; 16]>()].boxed()
}

fn cost() -> BoxedStrategy<Cost> {
    prop_oneof![
        usd().prop_map(Cost::Priced),
        (usd(), of(usd()), coded::<PartialReason>()).prop_map(|(known, at_most, why)| Cost::Partial {
            known,
            at_most,
            why
        }),
        coded::<UnpricedReason>().prop_map(Cost::Unpriced),
    ]
    .boxed()
}

fn baseline() -> BoxedStrategy<Baseline> {
    let levers = (usd(), usd(), usd(), usd());
    let baseline = levers.prop_map(|(cost, routing, lane, cache)| Baseline {
        cost,
        routing,
        lane,
        cache,
        cache_writes: routing,
    });
    baseline.boxed()
}

/// A baseline as prices make it, which its levers explain, or any other.
fn baseline_of(cost: Cost) -> BoxedStrategy<Option<Baseline>> {
    let actual = cost.exact().unwrap_or(Usd::ZERO);
    let explained = (usd(), usd(), usd()).prop_map(move |(a, b, c)| Baseline::of(a, b, c, actual));
    prop_oneof![explained, of(baseline())].boxed()
}

prop_compose! {
    fn usage()(
        counts in proptest::array::uniform10(number()), web_search in any::<u32>(), file_search in 0_u32..2,
        container in 0_u32..2, other in 0_u32..2, any_tool in any::<bool>(),
    ) -> Usage {
        let [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, audio_input_tokens,
            audio_output_tokens, cache_write_12h_tokens, image_input_tokens, image_output_tokens] = counts;
        let calls = ToolCalls { web_search, file_search, container, other };
        let tool_calls = if any_tool { calls } else { ToolCalls::default() };
        Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
            audio_input_tokens, audio_output_tokens, cache_write_12h_tokens, image_input_tokens, image_output_tokens,
            tool_calls }
    }
}

prop_compose! {
    fn attribution()(feature in of(text()), user in of(text()),
        tags in of(prop::collection::vec((text(), text()), 0..4))) -> Attribution {
        // Also none and twice the same, as JSON from elsewhere can have it.
        Attribution::from_parts(feature, user, tags.map(Arc::from))
    }
}

prop_compose! {
    fn priced()(cost in cost())(baseline in baseline_of(cost), cost in Just(cost),
        source in of(coded::<PriceSource>())) -> (Cost, Option<PriceSource>, Option<Baseline>) {
        (cost, source, baseline)
    }
}

fn endpoint() -> BoxedStrategy<Endpoint> {
    let known = select(vec![
        Endpoint::ChatCompletions,
        Endpoint::Responses,
        Endpoint::Embeddings,
    ]);
    prop_oneof![known, text().prop_map(Endpoint::Other)].boxed()
}

fn degradations() -> impl Strategy<Value = Vec<Degradation>> {
    let all = vec![
        Degradation::Retried,
        Degradation::RouterFailed,
        Degradation::Orphaned,
    ];
    prop::collection::vec(select(all), 0..4)
}

prop_compose! {
    /// Any entry whatsoever.
    pub(super) fn entry()(
        ids in (id(), id()), at in prop_oneof![any::<i64>(), 1_790_000_000_000_i64..1_790_009_000_000],
        how in (coded::<Role>(), coded::<Lane>(), coded::<Status>(), endpoint(), any::<u32>(), any::<bool>()).boxed(),
        attribution in attribution().boxed(), models in (model(), model(), model()).boxed(),
        texts in (of(text()), of(text()), of(text()), of(text())).boxed(), http_status in of(any::<u16>()), usage in of(usage()).boxed(),
        money in priced().boxed(), adjusts in of((id(), priced())).boxed(), degradations in degradations().boxed(),
        times in (of(number()), of(number())), asked in (of(any::<u64>()), of(any::<u64>()), of(number())),
    ) -> LedgerEntry {
        let (role, lane, status, endpoint, attempts, streamed) = how;
        let (requested_model, sent_model, served_model) = models;
        let (provider_id, batch_id, price_revision, reason) = texts;
        let (cost, price_source, baseline) = money;
        let adjusts = adjusts.map(|(id, (cost, price_source, baseline))| {
            Box::new(Adjusted { entry: EntryId::from_bytes(id), cost, price_source, baseline })
        });
        LedgerEntry {
            id: EntryId::from_bytes(ids.0), op_id: OpId::from_bytes(ids.1), at: Timestamp::from_unix_millis(at), role,
            attribution, endpoint, requested_model, sent_model, served_model, lane, status, http_status, provider_id,
            batch_id, attempts, streamed, usage, cost, price_revision, price_source, baseline, adjusts, reason,
            degradations, latency_ms: times.0, first_byte_ms: times.1, body_hash: asked.0.map(BodyHash::from_bits),
            prefix_hash: asked.1.map(BodyHash::from_bits), max_output_tokens: asked.2,
        }
    }
}

#[test]
fn every_value_of_an_enum_has_a_code_of_its_own() {
    fn check<T: Coded + std::fmt::Debug>() {
        for (place, value) in T::ALL.iter().enumerate() {
            assert_eq!(usize::from(value.code()), place, "{value:?}");
            assert!(place < 1 << T::WIDTH);
        }
    }
    check::<Role>();
    check::<Status>();
    check::<Lane>();
    check::<PriceSource>();
    check::<PartialReason>();
    check::<UnpricedReason>();
}

proptest! {
    #[test]
    fn an_entry_reads_back_as_it_was(entries in prop::collection::vec(entry(), 1..8)) {
        let (mut interner, mut cells) = (Interner::default(), Cells::new(0));
        let mut packer = RowPacker::default();
        let mut row = |entry: &LedgerEntry| {
            let mut bytes = Vec::new();
            packer.pack(entry, &mut interner, &mut cells).append_to(&mut bytes);
            bytes
        };
        let rows: Vec<_> = entries.iter().map(&mut row).collect();
        for (entry, row) in entries.iter().zip(&rows) {
            prop_assert!(row.len() < 600, "{} bytes", row.len());
            let known = unpack(IdBits::from(entry.id), row, interner.names());
            prop_assert_eq!(known.as_ref(), Some(entry));
            // What is cut off is told, not guessed.
            prop_assert_eq!(unpack(IdBits::from(entry.id), &row[..row.len() - 1], interner.names()), None);
        }
        for row in &rows {
            prop_assert_eq!(release(row, &mut interner, &mut cells), Some(()));
        }
        prop_assert_eq!((interner.len(), cells.len()), (0, 0));
    }
}
