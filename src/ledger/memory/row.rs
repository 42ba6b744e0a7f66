//! An entry as bytes: numbers in as few as they need, names by number.
//!
//! A row has its flags, the numbers of its cells and names, and a body, in this order. What it costs to push it out is
//! at its beginning.

use std::sync::Arc;

use super::cells::{Cells, Key, quarter_of};
use super::chunk::IdBits;
use super::figures::{
    pack_adjusted, pack_baseline, pack_cost, pack_usage, unpack_adjusted, unpack_baseline, unpack_cost,
    unpack_usage,
};
use super::names::{Interner, NameTable};
use super::packing::{Packer, Unpacker, put, take};
use super::short_text;
use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::ledger::entry::cost_source;
use crate::ledger::facts::{Figures, Names, Weight};
use crate::ledger::{BodyHash, LedgerEntry};
use crate::model::ModelId;

/// The first flag says whether there is a second cell, the others how many names there are.
const HEAD_FLAGS: u32 = 5;
const MOST_NAMES: u64 = 15;

/// The HTTP status of nearly all answers.
const OK: u16 = 0xc8;

/// Makes rows, in buffers that it uses again.
#[derive(Debug, Default)]
pub(super) struct RowPacker {
    packer: Packer,
    /// The numbers of the names, as they are in the row.
    names: Vec<u8>,
    name_count: u64,
    head: Vec<u8>,
}

/// A row in its parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>([&'a [u8]; 3]);

impl Row<'_> {
    pub(super) fn append_to(self, bytes: &mut Vec<u8>) {
        for part in self.0 {
            bytes.extend_from_slice(part);
        }
    }
}

impl RowPacker {
    /// Makes the row of an entry. Its names are held, and it is counted in its cells, until [`release`].
    pub(super) fn pack(
        &mut self,
        entry: &LedgerEntry,
        interner: &mut Interner,
        cells: &mut Cells,
    ) -> Row<'_> {
        self.packer.begin(HEAD_FLAGS);
        self.names.clear();
        self.name_count = 0;
        let (feature, model) = self.fields(entry, interner);

        let figures = Figures::of(entry);
        let key = Key {
            quarter: quarter_of(entry.at),
            feature,
            model,
            lane: entry.lane,
            source: entry.source(),
        };
        let before = entry.adjusts.as_ref().and_then(|before| {
            let key = Key {
                source: cost_source(&before.cost, before.price_source),
                ..key
            };
            let names = || Names::of(entry).replaced(before);
            cells.count(key, names, &figures.before(before), Weight::TakeBack, interner)
        });
        let names = || Names::of(entry);
        let cell = cells.count(key, names, &figures, Weight::Add, interner);

        debug_assert!(self.name_count <= MOST_NAMES, "a row has a few names");
        self.head.clear();
        let head = u64::from(before.is_some()) | self.name_count << 1;
        put(&mut self.head, self.packer.flags(head));
        for number in [cell, before].into_iter().flatten() {
            put(&mut self.head, number as u64);
        }
        Row([&self.head, &self.names, &self.packer.body])
    }

    /// Packs all fields but the id; returns the numbers of the feature and of the model to book under.
    fn fields(&mut self, entry: &LedgerEntry, interner: &mut Interner) -> (Option<usize>, Option<usize>) {
        // Without `..`: a new field has to be packed too. `unpack` takes them in the same order.
        let LedgerEntry {
            id,
            op_id,
            at,
            role,
            attribution,
            endpoint,
            requested_model,
            sent_model,
            served_model,
            lane,
            status,
            http_status,
            provider_id,
            batch_id,
            attempts,
            streamed,
            usage,
            cost,
            price_revision,
            price_source,
            baseline,
            adjusts,
            body_hash,
            prefix_hash,
            max_output_tokens,
            reason,
            degradations,
            latency_ms,
            first_byte_ms,
        } = entry;
        IdBits::of(op_id.to_bytes()).put(IdBits::from(*id), &mut self.packer.body);
        let id_millis = id.timestamp().as_unix_millis();
        self.packer.signed(at.as_unix_millis().wrapping_sub(id_millis));
        self.packer.code(*lane);
        self.packer.code(*status);
        self.packer.code(*role);
        self.endpoint(endpoint, interner);
        let (feature, user, tags) = attribution.parts();
        let feature = self.name(feature.map(|feature| interner.hold_text(feature)));
        self.name(user.map(|user| interner.hold_text(user)));
        self.name(tags.map(|tags| interner.hold_tags(tags)));
        let mut model = |model: &Option<ModelId>| {
            self.name(model.as_ref().map(|model| interner.hold_text(model.shared())))
        };
        let (requested, sent, served) = (model(requested_model), model(sent_model), model(served_model));
        self.packer.option(usage.as_ref(), pack_usage);
        pack_cost(&mut self.packer, cost);
        self.packer.option(*price_source, Packer::code);
        self.packer.option(*baseline, |packer, baseline| {
            pack_baseline(packer, baseline, cost);
        });
        self.packer.option(*latency_ms, Packer::number);
        self.packer.number(*attempts);
        // A zero for nearly all.
        self.packer
            .option(http_status.map(|status| status ^ OK), Packer::number);
        self.provider_id(provider_id.as_ref(), interner);
        self.name(
            price_revision
                .as_ref()
                .map(|revision| interner.hold_text(revision)),
        );
        self.name(reason.as_ref().map(|reason| interner.hold_text(reason)));
        self.packer.flag(*streamed);
        self.packer.option(*first_byte_ms, Packer::number);
        self.name(batch_id.as_ref().map(|batch| interner.hold_text(batch)));
        let degradations = Some(degradations).filter(|degradations| !degradations.is_empty());
        self.name(degradations.map(|degradations| interner.hold_degradations(degradations)));
        self.packer.option(adjusts.as_deref(), pack_adjusted);
        for hash in [body_hash, prefix_hash] {
            self.packer.option(hash.map(BodyHash::to_bits), Packer::number);
        }
        self.packer.option(*max_output_tokens, Packer::number);
        (feature, served.or(sent).or(requested))
    }

    fn name(&mut self, number: Option<usize>) -> Option<usize> {
        self.packer.flag(number.is_some());
        self.put_name(number);
        number
    }

    fn put_name(&mut self, number: Option<usize>) {
        if let Some(number) = number {
            put(&mut self.names, number as u64);
            self.name_count += 1;
        }
    }

    fn endpoint(&mut self, endpoint: &Endpoint, interner: &mut Interner) {
        let (code, other) = match endpoint {
            Endpoint::ChatCompletions => (0, None),
            Endpoint::Responses => (1, None),
            Endpoint::Embeddings => (2, None),
            Endpoint::Other(name) => (3, Some(name)),
        };
        self.packer.bits(code, 2);
        self.put_name(other.map(|name| interner.hold_text(name)));
    }

    fn provider_id(&mut self, id: Option<&Arc<str>>, interner: &mut Interner) {
        let (short, long) = match id {
            Some(id) if id.len() > short_text::MOST_BYTES => (None, Some(id)),
            id => (id, None),
        };
        self.name(long.map(|id| interner.hold_text(id)));
        self.packer
            .option(short, |packer, id| short_text::pack(id, &mut packer.body));
    }
}

/// Returns the cell that a row is counted in. A second one is of the same time, feature, model and lane.
pub(super) fn cell_of(mut row: &[u8]) -> Option<usize> {
    take(&mut row)?;
    usize::try_from(take(&mut row)?).ok()
}

/// Lets go of a row's names and cells, as the row is not kept any more.
pub(super) fn release(mut row: &[u8], interner: &mut Interner, cells: &mut Cells) -> Option<()> {
    let (flags, mut number) = (take(&mut row)?, || usize::try_from(take(&mut row)?).ok());
    for _ in 0..=flags & 1 {
        cells.release(number()?, interner);
    }
    for _ in 0..flags >> 1 & MOST_NAMES {
        interner.release(number()?);
    }
    Some(())
}

/// Returns the entry of a row; `None` for bytes that are no row.
pub(super) fn unpack(id: IdBits, mut row: &[u8], table: &NameTable) -> Option<LedgerEntry> {
    let flags = take(&mut row)?;
    for _ in 0..=flags & 1 {
        take(&mut row)?;
    }
    let mut names = row;
    for _ in 0..flags >> 1 & MOST_NAMES {
        take(&mut row)?;
    }
    let mut row = Unpacker::new(flags, HEAD_FLAGS, row);
    let mut name = || usize::try_from(take(&mut names)?).ok();
    macro_rules! named {
        ($of:ident) => {
            row.option(|_| table.$of(name()?))?
        };
    }
    let op_id = IdBits::take(id, &mut row.body)?;
    let id = EntryId::from_bytes(id.to_bytes());
    let at = row.signed()?.wrapping_add(id.timestamp().as_unix_millis());
    let (lane, status, role) = (row.code()?, row.code()?, row.code()?);
    let endpoint = match row.bits(2) {
        0 => Endpoint::ChatCompletions,
        1 => Endpoint::Responses,
        2 => Endpoint::Embeddings,
        _ => Endpoint::Other(table.text(name()?)?),
    };
    let attribution = Attribution::from_parts(named!(text), named!(text), named!(tags));
    let requested_model = named!(text).map(ModelId::new);
    let sent_model = named!(text).map(ModelId::new);
    let served_model = named!(text).map(ModelId::new);
    let usage = row.option(unpack_usage)?;
    let cost = unpack_cost(&mut row)?;
    let price_source = row.option(Unpacker::code)?;
    let baseline = row.option(|row| unpack_baseline(row, &cost))?;
    let latency_ms = row.option(Unpacker::number)?;
    let attempts = row.number()?;
    let http_status = row.option(Unpacker::number::<u16>)?.map(|status| status ^ OK);
    let long = named!(text);
    let short = row.option(|row| short_text::unpack(&mut row.body))?;
    Some(LedgerEntry {
        id,
        op_id: OpId::from_bytes(op_id.to_bytes()),
        at: Timestamp::from_unix_millis(at),
        role,
        attribution,
        endpoint,
        requested_model,
        sent_model,
        served_model,
        lane,
        status,
        http_status,
        provider_id: long.or(short.map(Into::into)),
        attempts,
        usage,
        cost,
        price_source,
        baseline,
        latency_ms,
        price_revision: named!(text),
        reason: named!(text),
        streamed: row.flag(),
        first_byte_ms: row.option(Unpacker::number)?,
        batch_id: named!(text),
        degradations: named!(degradations).unwrap_or_default(),
        adjusts: row.option(unpack_adjusted)?.map(Box::new),
        body_hash: row.option(Unpacker::number)?.map(BodyHash::from_bits),
        prefix_hash: row.option(Unpacker::number)?.map(BodyHash::from_bits),
        max_output_tokens: row.option(Unpacker::number)?,
    })
}
