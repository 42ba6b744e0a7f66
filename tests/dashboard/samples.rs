//! Ledgers to make pages of.

use std::sync::Arc;

use futures_util::StreamExt as _;
use thrifty::budget::{Budget, BudgetStatus, Budgets, Each, Window};
use thrifty::ledger::{Baseline, CostLedger, Filter, InMemoryLedger, LedgerEntry, Role, Status};
use thrifty::pricing::{Cost, PartialReason, PriceBook, UnpricedReason};
use thrifty::{Attribution, Endpoint, EntryId, Lane, ManualClock, ModelId, OpId, Timestamp, Usage, Usd};

const DAY_MS: i64 = 86_400_000;

/// 2026-09-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_788_220_800_000);

const MODELS: [&str; 6] = [
    "gpt-4o-mini",
    "gpt-4o",
    "gpt-5-mini",
    "gpt-5",
    "gpt-4.1",
    "text-embedding-3-small",
];

const FEATURES: [&str; 20] = [
    "chat",
    "summaries",
    "search",
    "nightly-tags",
    "support-draft",
    "translation",
    "moderation",
    "titles",
    "code-review",
    "sql-helper",
    "onboarding",
    "mail-triage",
    "faq",
    "extraction",
    "voice-notes",
    "reports",
    "embeddings",
    "alerts",
    "ranking",
    "experiments",
];

pub(crate) fn at(day: i64, ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(START.as_unix_millis() + day * DAY_MS + ms)
}

/// Numbers that look like chance and are the same each time.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// An entry as a client books it, priced by the book.
pub(crate) fn entry(
    feature: Option<&str>,
    asked: &str,
    served: &str,
    lane: Lane,
    usage: Usage,
    at: Timestamp,
) -> LedgerEntry {
    let mut entry = LedgerEntry::new(EntryId::new(at), OpId::new(at), at, Endpoint::ChatCompletions);
    if let Some(feature) = feature {
        entry.attribution = Attribution::default().with_feature(feature);
    }
    let (book, asked, served) = (PriceBook::builtin(), ModelId::from(asked), ModelId::from(served));
    let quote = book.quote(&served, lane, &usage, at);
    (entry.cost, entry.price_source) = (quote.cost, quote.source);
    let fresh = Usage::new(usage.input_tokens, usage.output_tokens);
    let cost = |model: &ModelId, lane, usage: &Usage| book.cost(model, lane, usage, at).exact();
    entry.baseline = (|| {
        Baseline::of(
            cost(&asked, Lane::Standard, &fresh)?,
            cost(&served, Lane::Standard, &fresh)?,
            cost(&served, lane, &fresh)?,
            entry.cost.exact()?,
        )
    })();
    entry.requested_model = Some(asked);
    entry.sent_model = Some(served.clone());
    entry.served_model = Some(served);
    entry.lane = lane;
    entry.status = Status::Succeeded;
    entry.attempts = 1;
    entry.usage = Some(usage);
    entry
}

pub(crate) fn record(ledger: &InMemoryLedger, entry: LedgerEntry) {
    ledger.record(&Arc::new(entry)).unwrap();
}

/// Thirty days of a service with twenty features and six models.
pub(crate) fn month() -> InMemoryLedger {
    let ledger = InMemoryLedger::new();
    let mut chance = Chance(7);
    for day in 0..30 {
        let busy = if day % 7 > 4 { 3 } else { 8 };
        for (number, feature) in FEATURES.iter().enumerate() {
            let calls = busy * 40 / (number as u64 + 3) + chance.below(4);
            for _ in 0..calls {
                record(&ledger, call(&mut chance, number, feature, day));
            }
        }
    }
    ledger
}

/// One call of a feature: most are routed, some ride a batch, a few go wrong.
fn call(chance: &mut Chance, number: usize, feature: &str, day: i64) -> LedgerEntry {
    let at = at(day, i64::try_from(chance.below(86_400_000)).unwrap());
    let asked = MODELS[[1, 3, 4, 2][number % 4]];
    let served = match chance.below(10) {
        _ if feature == "embeddings" => MODELS[5],
        0..6 => asked,
        6..9 => MODELS[0],
        _ => MODELS[2],
    };
    let asked = if feature == "embeddings" { MODELS[5] } else { asked };
    let lane = match number {
        3 | 15 => Lane::Batch,
        9 => Lane::Flex,
        6 => Lane::Priority,
        _ => Lane::Standard,
    };
    let mut usage = Usage::new(400 + chance.below(6_000), 20 + chance.below(900));
    if feature == "embeddings" {
        usage.output_tokens = 0;
    } else if number.is_multiple_of(3) && usage.input_tokens > 1_024 {
        usage.cache_read_tokens = usage.input_tokens / 128 * 64;
    }
    if served.starts_with("gpt-5") {
        usage.reasoning_tokens = usage.output_tokens / 2;
    }
    let mut entry = entry(Some(feature), asked, served, lane, usage, at);
    entry.latency_ms = Some(300 + chance.below(2_500) + usage.output_tokens * 9);
    match chance.below(200) {
        0 => {
            entry.status = Status::CutShort;
            entry.baseline = None;
            if let Some(cost) = entry.cost.exact() {
                let why = PartialReason::CutShort;
                entry.cost = Cost::Partial {
                    known: Usd::from_pico(cost.as_pico() / 2),
                    at_most: Some(cost),
                    why,
                };
            }
        }
        1 => {
            entry.attempts = 3;
            entry.status = Status::Failed;
            (entry.cost, entry.usage, entry.baseline) = (Cost::Priced(Usd::ZERO), None, None);
        }
        2 => {
            entry.served_model = Some("house-model".into());
            entry.cost = Cost::Unpriced(UnpricedReason::UnknownModel);
            entry.baseline = None;
        }
        3 => {
            entry.role = Role::Shadow;
            entry.baseline = None;
        }
        _ => {}
    }
    entry
}

pub(crate) fn one_entry() -> InMemoryLedger {
    let ledger = InMemoryLedger::new();
    let usage = Usage::new(1_200, 80);
    record(
        &ledger,
        entry(
            Some("only"),
            "gpt-4o",
            "gpt-4o-mini",
            Lane::Standard,
            usage,
            at(0, 0),
        ),
    );
    ledger
}

/// Two hundred features with names that want to be something else.
pub(crate) fn hostile() -> InMemoryLedger {
    let ledger = InMemoryLedger::new();
    let mut chance = Chance(11);
    for number in 0..200_i64 {
        let name = match number % 8 {
            0 => format!("<script>document.title='owned {number}'</script>"),
            1 => format!("\"' onmouseover=alert({number}) x='"),
            2 => format!("\u{202e}{number} drowkcab"),
            3 => format!("{number}{}", "long ".repeat(2_000)),
            4 => format!("</td></table></style><img src=x onerror=alert({number})>"),
            5 => format!("=HYPERLINK(\"http://x.invalid/{number}\")"),
            6 => format!("שלום {number} &amp; \u{0000}\u{1b}[31m"),
            _ => format!("]]>-->{{{{{number}}}}}${{{number}}}"),
        };
        for day in 0..3 {
            let usage = Usage::new(100 + chance.below(5_000), chance.below(400));
            let lane = Lane::ALL[usize::try_from(number).unwrap() % 2];
            record(
                &ledger,
                entry(Some(&name), "gpt-4o", "gpt-4o", lane, usage, at(day, number)),
            );
        }
    }
    ledger
}

/// A year of a few calls a day, with a week without any.
pub(crate) fn year() -> InMemoryLedger {
    let ledger = InMemoryLedger::new();
    let mut chance = Chance(5);
    for day in (0..365).filter(|day| !(100..107).contains(day)) {
        for (number, feature) in FEATURES.iter().enumerate().take(6) {
            record(&ledger, call(&mut chance, number, feature, day));
        }
    }
    ledger
}

/// Four limits at noon of the last day, which have counted a ledger's entries and three calls more.
pub(crate) async fn budgets(ledger: &InMemoryLedger) -> Vec<BudgetStatus> {
    let usd = |text: &str| text.parse::<Usd>().unwrap();
    let (clock, now) = (ManualClock::new(START), at(29, 43_200_000));
    let budgets = Budgets::builder()
        .with_clock(clock.clone())
        .with_budget(Budget::new("invoice", usd("100.00")).per(Window::month()))
        .with_budget(
            Budget::new("chat \"<b>today</b>", usd("5.00"))
                .for_feature("chat")
                .per(Window::day()),
        )
        .with_budget(
            Budget::new("each feature", usd("9.00"))
                .for_each(Each::Feature)
                .for_feature("search")
                .per(Window::week()),
        )
        .with_budget(
            Budget::new("users", usd("200.00"))
                .for_each(Each::User)
                .per(Window::total()),
        )
        .build()
        .unwrap();
    let mut entries: Vec<_> = ledger
        .scan(&Filter::default())
        .map(Result::unwrap)
        .collect()
        .await;
    entries.retain(|entry| entry.at < at(30, 0) && entry.attribution.feature().is_some());
    entries.sort_by_key(|entry| entry.at);
    for entry in entries {
        clock.set(entry.at.min(now));
        budgets.spend(&entry.attribution, entry.model(), &entry.cost, None);
    }
    clock.set(now);
    for (feature, user, cost) in [
        ("chat", "u-1", "1.25"),
        ("search", "u-2", "0.75"),
        ("chat", "u-2", "0.3"),
    ] {
        let whom = Attribution::default().with_feature(feature).with_user(user);
        budgets.spend(&whom, Some(&"gpt-4o".into()), &Cost::Priced(usd(cost)), None);
    }
    budgets.status().await.unwrap()
}
