//! A line of a segment, read only as far as sums need it.

use std::borrow::Cow;
use std::str::FromStr;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::id::EntryId;
use crate::lane::Lane;
use crate::ledger::clues::{Asked, ClueFinder};
use crate::ledger::entry::{cost_source, once};
use crate::ledger::facts::{Figures, Names, Tags, Text, Weight};
use crate::ledger::{Adjusted, Baseline, Role, Status};
use crate::money::Usd;
use crate::pricing::{Cost, PriceSource, UnpricedReason};
use crate::usage::Usage;
use crate::wire;

/// What every line of an entry begins with: the id is the first member.
const START: &[u8] = br#"{"id":""#;
const ID_LENGTH: usize = 26;

/// Returns the id of the entry that a line holds, without reading the rest.
pub(super) fn id_of(line: &[u8]) -> Option<EntryId> {
    let id = line.strip_prefix(START)?.get(..ID_LENGTH)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

fn json<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

fn whole<T: FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn usd(value: &[u8]) -> Option<Usd> {
    whole(value.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
}

/// Reads the cost of most lines, `{"priced":"..."}`.
fn priced(value: &[u8]) -> Option<Cost> {
    let amount = value.strip_prefix(b"{\"priced\":")?.strip_suffix(b"}")?;
    usd(amount).map(Cost::Priced)
}

fn baseline(value: &[u8]) -> Option<Baseline> {
    let (mut cost, mut levers) = (None, [Usd::ZERO; 4]);
    wire::members(value, |name, value| {
        let amount = usd(value.value()?)?;
        match name {
            b"cost" => cost = Some(amount),
            b"routing" => levers[0] = amount,
            b"lane" => levers[1] = amount,
            b"cache" => levers[2] = amount,
            b"cache_writes" => levers[3] = amount,
            _ => {}
        }
        Some(())
    })?;
    let [routing, lane, cache, cache_writes] = levers;
    Some(Baseline {
        cost: cost?,
        routing,
        lane,
        cache,
        cache_writes,
    })
}

/// Reads token counts; those with more than the usual ones by their own reader.
fn usage(value: &[u8]) -> Option<Usage> {
    let (mut counts, mut is_usual) = (Usage::default(), true);
    wire::members(value, |name, value| {
        let value = value.value()?;
        let count = match name {
            b"input_tokens" => &mut counts.input_tokens,
            b"output_tokens" => &mut counts.output_tokens,
            b"cache_read_tokens" => &mut counts.cache_read_tokens,
            b"reasoning_tokens" => &mut counts.reasoning_tokens,
            _ => {
                is_usual = false;
                return Some(());
            }
        };
        *count = whole(value)?;
        Some(())
    })?;
    if is_usual { Some(counts) } else { json(value) }
}

/// Returns which of some values has this name, much faster than serde does.
fn named<T: Copy>(value: &[u8], all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
    let value = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    all.iter().copied().find(|one| name(*one).as_bytes() == value)
}

/// The members of a [`LedgerEntry`](crate::ledger::LedgerEntry) that sums and filters look at, by the same names.
#[derive(Debug)]
pub(super) struct Line<'a> {
    at: Timestamp,
    feature: Option<Cow<'a, str>>,
    user: Option<Cow<'a, str>>,
    tags: Vec<(Text<'a>, Text<'a>)>,
    endpoint: Cow<'a, str>,
    model: Option<Cow<'a, str>>,
    sent_model: Option<Cow<'a, str>>,
    lane: Lane,
    role: Role,
    status: Status,
    attempts: u32,
    usage: Option<Usage>,
    cost: Cost,
    price_source: Option<PriceSource>,
    baseline: Option<Baseline>,
    adjusts: Option<Adjusted>,
    asked: Asked,
    latency_ms: Option<u64>,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is not an entry's.
    ///
    /// A line has passed its checksum, and was written by this crate: what is not looked at is not checked either.
    pub(super) fn read(json_line: &'a [u8]) -> Option<Self> {
        // What was asked, sent and served: the last one that is there counts.
        let mut models = [None; 3];
        let (mut at, mut endpoint, mut lane, mut status, mut cost) = (None, None, None, None, None);
        let mut rest = Self {
            at: Timestamp::from_unix_millis(0),
            feature: None,
            user: None,
            tags: Vec::new(),
            endpoint: Cow::Borrowed(""),
            model: None,
            sent_model: None,
            lane: Lane::Standard,
            role: Role::default(),
            status: Status::Succeeded,
            attempts: once(),
            usage: None,
            cost: Cost::Unpriced(UnpricedReason::UnknownModel),
            price_source: None,
            baseline: None,
            adjusts: None,
            asked: Asked::default(),
            latency_ms: None,
        };
        wire::members(json_line, |name, value| {
            let value = value.value()?;
            match name {
                b"at" => at = Some(Timestamp::from_unix_millis(whole(value)?)),
                b"role" => rest.role = named(value, Role::ALL, Role::as_str)?,
                b"feature" => rest.feature = Some(wire::text(value)?),
                b"user" => rest.user = Some(wire::text(value)?),
                b"tags" => rest.tags = json(value)?,
                b"endpoint" => endpoint = Some(wire::text(value)?),
                b"requested_model" => models[0] = Some(value),
                b"sent_model" => models[1] = Some(value),
                b"served_model" => models[2] = Some(value),
                b"lane" => lane = Some(named(value, &Lane::ALL, Lane::as_str)?),
                b"status" => status = Some(named(value, Status::ALL, Status::as_str)?),
                b"attempts" => rest.attempts = whole(value)?,
                b"usage" => rest.usage = Some(usage(value)?),
                b"cost" => cost = Some(priced(value).map_or_else(|| json(value), Some)?),
                b"price_source" => rest.price_source = Some(json(value)?),
                b"baseline" => rest.baseline = Some(baseline(value)?),
                b"adjusts" => rest.adjusts = Some(json(value)?),
                b"body_hash" => rest.asked.body = Some(json(value)?),
                b"prefix_hash" => rest.asked.prefix = Some(json(value)?),
                b"max_output_tokens" => rest.asked.max_output_tokens = Some(whole(value)?),
                b"latency_ms" => rest.latency_ms = Some(whole(value)?),
                _ => {}
            }
            Some(())
        })?;
        let text = |value: Option<&'a [u8]>| value.map(wire::text).map_or(Some(None), |text| text.map(Some));
        let [_, sent_model, _] = models;
        let model = models.into_iter().flatten().next_back();
        Some(Self {
            model: text(model)?,
            sent_model: text(sent_model)?,
            at: at?,
            endpoint: endpoint?,
            lane: lane?,
            status: status?,
            cost: cost?,
            ..rest
        })
    }

    /// Hands on the names and figures of the line, and before them those that it takes back.
    pub(super) fn count(&self, mut sum: impl FnMut(&Names<'_>, &Figures, Weight)) {
        let (names, figures) = (self.names(), self.figures());
        if let Some(before) = &self.adjusts {
            sum(&names.replaced(before), &figures.before(before), Weight::TakeBack);
        }
        sum(&names, &figures, Weight::Add);
    }

    /// Lets the line be compared with those before it, unless it only corrects one.
    pub(super) fn compare(&self, finder: &mut ClueFinder) {
        if self.adjusts.is_none() {
            finder.look_at(&self.names(), &self.figures(), self.asked);
        }
    }

    pub(super) fn names(&self) -> Names<'_> {
        Names {
            at: self.at,
            feature: self.feature.as_deref(),
            user: self.user.as_deref(),
            tags: Tags::Read(&self.tags),
            model: self.model.as_deref(),
            sent_model: self.sent_model.as_deref(),
            lane: self.lane,
            source: cost_source(&self.cost, self.price_source),
            endpoint: &self.endpoint,
            status: self.status,
            role: self.role,
        }
    }

    const fn figures(&self) -> Figures {
        Figures {
            attempts: self.attempts,
            role: self.role,
            status: self.status,
            usage: self.usage,
            cost: self.cost,
            price_source: self.price_source,
            baseline: self.baseline,
            latency_ms: self.latency_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Dimension, Query, Tally};

    #[test]
    fn a_line_counts_as_its_entry_does() {
        let mut lines = 0;
        for number in 0..200 {
            let entry = crate::ledger::file::sealing_tests::corrected(
                number,
                Timestamp::from_unix_millis(1_790_000_000_000),
            );
            let json = serde_json::to_vec(&*entry).unwrap();
            let query = [
                Dimension::Feature,
                Dimension::User,
                Dimension::Status,
                Dimension::SentModel,
                Dimension::Endpoint,
                Dimension::Source,
            ];
            let query = query.into_iter().fold(Query::new(), Query::group_by);
            let (mut of_entry, mut of_line) = (Tally::new(&query), Tally::new(&query));
            of_entry.add(&entry);
            Line::read(&json).unwrap().count(|names, figures, weight| {
                lines += 1;
                of_line.count(names, figures, weight);
            });
            assert_eq!(of_line.finish(), of_entry.finish());
            assert_eq!(id_of(&json), Some(entry.id));
        }
        assert!(lines > 200, "some take back");
        for wrong in ["{}", r#"{"id":7}"#, r#"{"at":1}"#, "[]", ""] {
            assert!(Line::read(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
