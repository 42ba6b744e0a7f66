//! One row of a ledger.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attribution::Attribution;
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::id::{EntryId, OpId};
use crate::lane::Lane;
use crate::ledger::BodyHash;
use crate::model::ModelId;
use crate::money::{Usd, UsdSum};
use crate::pricing::{Cost, PriceSource, UnpricedReason};
use crate::usage::Usage;

/// One model that was called, or tried to be called, for one operation.
///
/// It holds counts, names, ids and money. It never holds text of a prompt or of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Names this row. Recording it twice stores it once.
    pub id: EntryId,
    /// The operation that this row belongs to: what the caller asked for once.
    pub op_id: OpId,
    /// When the call was made.
    pub at: Timestamp,
    /// What the call was for within its operation.
    #[serde(default, skip_serializing_if = "Role::is_primary")]
    pub role: Role,
    /// Whom the call was for.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// The part of the API that was called.
    pub endpoint: Endpoint,
    /// The model that the caller named; absent if none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<ModelId>,
    /// The model that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_model: Option<ModelId>,
    /// The model that answered, by the answer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<ModelId>,
    /// The lane that answered, or was asked if there was no answer.
    pub lane: Lane,
    /// How it ended.
    pub status: Status,
    /// The HTTP status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The provider's id for the request or the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Arc<str>>,
    /// The batch that carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<Arc<str>>,
    /// How often it was sent; 0 if it never was.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: u32,
    /// Whether the answer was streamed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub streamed: bool,
    /// The token counts, if the provider reported any that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Cost,
    /// Which edition of the price book priced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_revision: Option<Arc<str>>,
    /// Who confirms the rates that were used, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_source: Option<PriceSource>,
    /// What it would have cost as it was asked for, and where the difference comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// If this row only corrects what an earlier one cost: which one, and what is to be taken back.
    ///
    /// All else is as in the row that it corrects, but for the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusts: Option<Box<Adjusted>>,
    /// A keyed hash of the request's body as the caller made it. Two rows of one ledger with the same hash asked the
    /// same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hash: Option<BodyHash>,
    /// The same of the body's first 4,096 bytes, if it is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_hash: Option<BodyHash>,
    /// The most output tokens that the request allows for each choice, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Why this model was chosen, for a person to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// What did not go as it should.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degradations: Vec<Degradation>,
    /// From the call until the end of its answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// From the call until the first byte of its answer's body, in milliseconds; streams only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
}

/// Most rows are of one attempt, and do not say so.
pub(super) const fn once() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_once(attempts: &u32) -> bool {
    *attempts == 1
}

impl LedgerEntry {
    /// Makes a row for a call of which nothing is known yet: not sent, not priced.
    pub fn new(id: EntryId, op_id: OpId, at: Timestamp, endpoint: Endpoint) -> Self {
        Self {
            id,
            op_id,
            at,
            role: Role::Primary,
            attribution: Attribution::default(),
            endpoint,
            requested_model: None,
            sent_model: None,
            served_model: None,
            lane: Lane::Standard,
            status: Status::Abandoned,
            http_status: None,
            provider_id: None,
            batch_id: None,
            attempts: 0,
            streamed: false,
            usage: None,
            cost: Cost::Unpriced(UnpricedReason::UnmeteredEndpoint),
            price_revision: None,
            price_source: None,
            baseline: None,
            adjusts: None,
            body_hash: None,
            prefix_hash: None,
            max_output_tokens: None,
            reason: None,
            degradations: Vec::new(),
            latency_ms: None,
            first_byte_ms: None,
        }
    }

    /// Returns the model to book the row under: the one that answered, else the one asked, else the one named.
    pub fn model(&self) -> Option<&ModelId> {
        self.served_model
            .as_ref()
            .or(self.sent_model.as_ref())
            .or(self.requested_model.as_ref())
    }

    /// Returns how the cost came to be known: `confirmed`, `single_source` or `own` by who vouches for the price that
    /// was used, `estimated` if only bounds are known, `unpriced` if nothing is; `None` if nothing was billed.
    pub fn source(&self) -> Option<&'static str> {
        cost_source(&self.cost, self.price_source)
    }

    /// Returns how long the call took.
    pub fn latency(&self) -> Option<Duration> {
        self.latency_ms.map(Duration::from_millis)
    }

    /// Returns what was saved against the baseline; negative if it cost more. `None` unless both are known exactly.
    pub fn savings(&self) -> Option<UsdSum> {
        let (baseline, cost) = (self.baseline.as_ref()?.cost, self.cost.exact()?);
        Some(UsdSum::from(baseline).saturating_sub(cost.into()))
    }
}

/// Returns how a cost came to be known.
pub(super) fn cost_source(cost: &Cost, price: Option<PriceSource>) -> Option<&'static str> {
    match cost {
        Cost::Priced(_) => price.map(PriceSource::as_str),
        Cost::Partial { .. } => Some("estimated"),
        Cost::Unpriced(_) => Some("unpriced"),
    }
}

/// What an adjustment replaces: the cost of an earlier row, as the ledger had it until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Adjusted {
    /// The row that is corrected.
    pub entry: EntryId,
    /// What it cost before.
    pub cost: Cost,
    /// Who confirmed the rates that were used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_source: Option<PriceSource>,
    /// Its baseline before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// What a call was for within its operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The first model asked.
    #[default]
    Primary,
    /// Another model, after the one before failed.
    Fallback,
    /// A later step of a plan.
    Step,
    /// The same request on a faster lane, because the first was late.
    Hedge,
    /// A model asked beside the answer, to learn from.
    Shadow,
    /// A second opinion on the answer of a step, for its verifier.
    Opinion,
}

impl Role {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    const fn is_primary(&self) -> bool {
        matches!(self, Self::Primary)
    }

    pub(super) const ALL: &[Self] = &[
        Self::Primary,
        Self::Fallback,
        Self::Step,
        Self::Hedge,
        Self::Shadow,
        Self::Opinion,
    ];

    /// Returns the name it has in ledgers and reports, such as `primary`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Fallback => "fallback",
            Self::Step => "step",
            Self::Hedge => "hedge",
            Self::Shadow => "shadow",
            Self::Opinion => "opinion",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// With an answer.
    Succeeded,
    /// The server refused it, or failed; see the HTTP status.
    Failed,
    /// No answer came: a connection that could not be made or broke, or a time limit.
    Unanswered,
    /// A stream ended before the server said it was done.
    CutShort,
    /// The caller dropped it before its end.
    Abandoned,
    /// A batch ended without a line for it.
    Unreported,
}

impl Status {
    pub(super) const ALL: &[Self] = &[
        Self::Succeeded,
        Self::Failed,
        Self::Unanswered,
        Self::CutShort,
        Self::Abandoned,
        Self::Unreported,
    ];

    /// Returns the name it has in ledgers and reports, such as `cut_short`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
            Self::CutShort => "cut_short",
            Self::Abandoned => "abandoned",
            Self::Unreported => "unreported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
            Self::CutShort => "cut short",
            Self::Abandoned => "abandoned",
            Self::Unreported => "unreported",
        })
    }
}

/// What a call would have cost as it was asked for: the requested model, the standard lane, nothing cached.
///
/// `cost - routing - lane - cache` is the actual cost, to the last pico-dollar. A lever that cost money instead of
/// saving it is negative. The same token counts are assumed for both models, which is an approximation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Baseline {
    /// The requested model, the standard lane, nothing cached.
    pub cost: Usd,
    /// Saved by asking another model.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub routing: Usd,
    /// Saved by the batch or flex lane; negative for priority.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lane: Usd,
    /// Saved by the provider's prompt cache, net of what writing to it cost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache: Usd,
    /// What writing to that cache cost more than plain input; `cache` is less by it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_writes: Usd,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(saved: &Usd) -> bool {
    *saved == Usd::ZERO
}

impl Baseline {
    /// The baseline of a model that was called beside the one whose answer counts: what was asked for is in the row of that
    /// one, and all that this one cost is lost by routing.
    pub fn beside(cost: Usd) -> Option<Self> {
        Self::of(Usd::ZERO, cost, cost, cost)
    }

    /// Takes the baseline and the costs after each lever is pulled, in order; `None` if a difference overflows.
    pub fn of(cost: Usd, routed: Usd, in_lane: Usd, actual: Usd) -> Option<Self> {
        Some(Self {
            cost,
            routing: cost.checked_sub(routed)?,
            lane: routed.checked_sub(in_lane)?,
            cache: in_lane.checked_sub(actual)?,
            cache_writes: Usd::ZERO,
        })
    }

    /// Says which part of the cost was for writing to the provider's cache.
    #[must_use]
    pub const fn with_cache_writes(mut self, cost: Usd) -> Self {
        self.cache_writes = cost;
        self
    }
}

/// Something that did not go as it should, though the call went on. Each is also one `tracing` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Degradation {
    /// The request's body could not be read: it was passed on as it was.
    UnreadableRequest,
    /// The answer's body could not be read: it was passed on as it was.
    UnreadableResponse,
    /// The answer carried no token counts.
    UsageMissing,
    /// The answer's token counts could not be read, or contradict each other.
    UsageUnreadable,
    /// The answer named a tier that this crate does not know.
    UnknownTier,
    /// There is no price for the model or its lane.
    PriceUnknown,
    /// The router returned an error; the requested model was asked.
    RouterFailed,
    /// The router panicked; the requested model was asked.
    RouterPanicked,
    /// The router took too long; the requested model was asked.
    RouterTimedOut,
    /// The router's choice cannot serve the request; another of its choices, or the requested model, was asked.
    RouteUnfit,
    /// The routed model refused the request; it was sent once more as it was asked.
    RouteRefused,
    /// It was sent more than once.
    Retried,
    /// It could have waited for a batch and did not ride one.
    NotBatched,
    /// It left its lane for a faster one, because its deadline came near.
    LaneChanged,
    /// The batch ended without a line for it.
    Unreported,
    /// The caller was gone when its batch line came.
    Orphaned,
    /// A budget had no room for the model that was to be asked; a cheaper one was.
    Downgraded,
    /// It was not sent again after an attempt that may have been billed, since a budget had no room for another.
    NotRetried,
    /// A verifier did not accept its answer: another model was asked, and this answer was not handed out.
    Escalated,
    /// A verifier did not accept its answer, which was handed out all the same: the next model failed, a budget or
    /// another limit had no room for it, or there was no time left.
    NotEscalated,
    /// The verifier of its answer panicked or took too long, which counts as not accepted.
    VerifierFailed,
}

impl Degradation {
    /// Returns the name it has in ledgers and events, such as `router_failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnreadableRequest => "unreadable_request",
            Self::UnreadableResponse => "unreadable_response",
            Self::UsageMissing => "usage_missing",
            Self::UsageUnreadable => "usage_unreadable",
            Self::UnknownTier => "unknown_tier",
            Self::PriceUnknown => "price_unknown",
            Self::RouterFailed => "router_failed",
            Self::RouterPanicked => "router_panicked",
            Self::RouterTimedOut => "router_timed_out",
            Self::RouteUnfit => "route_unfit",
            Self::RouteRefused => "route_refused",
            Self::Retried => "retried",
            Self::NotBatched => "not_batched",
            Self::LaneChanged => "lane_changed",
            Self::Unreported => "unreported",
            Self::Orphaned => "orphaned",
            Self::Downgraded => "downgraded",
            Self::NotRetried => "not_retried",
            Self::Escalated => "escalated",
            Self::NotEscalated => "not_escalated",
            Self::VerifierFailed => "verifier_failed",
        }
    }
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
