//! What only entries tell: the same request twice, the same beginning, input that is just too long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt;

use crate::clock::Timestamp;
use crate::ledger::{BodyHash, CostLedger, Filter, LedgerEntry, LedgerError, Role, Status, Totals};
use crate::report::next_saving::estimate::{Estimator, Spend};
use crate::report::next_saving::{Found, Lever, Saving};

/// How many requests are remembered. What comes after that is compared with those.
const MOST: usize = 2_000_000;

/// How long the provider keeps a prompt at least that is not asked for again.
const CACHED_MS: i64 = 600_000;

pub(super) async fn read(
    ledger: &dyn CostLedger,
    filter: &Filter,
    estimator: &Estimator<'_>,
    found: &mut Found,
) -> Result<(), LedgerError> {
    let mut reader = Reader::default();
    let mut entries = ledger.scan(filter);
    while let Some(entry) = entries.try_next().await? {
        reader.add(&entry, estimator, found);
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Reader {
    /// Features by name: a number is shorter to remember.
    features: HashMap<Option<Arc<str>>, u32>,
    bodies: HashSet<(u32, BodyHash)>,
    prefixes: HashMap<(u32, BodyHash), Timestamp>,
}

impl Reader {
    fn add(&mut self, entry: &LedgerEntry, estimator: &Estimator<'_>, found: &mut Found) {
        // An adjustment is the same call again, and a shadow is asked the same on purpose.
        if entry.adjusts.is_some() || entry.role != Role::Primary {
            return;
        }
        let mut totals = Totals::default();
        totals.add(entry);
        let part = Spend {
            feature: entry.attribution.feature().map(Arc::from),
            model: entry.model().cloned(),
            lane: Some(entry.lane),
            totals,
        };
        let next = u32::try_from(self.features.len()).unwrap_or(u32::MAX);
        let feature = *self.features.entry(part.feature.clone()).or_insert(next);
        if let Some(body) = entry.body_hash {
            if self.bodies.contains(&(feature, body)) {
                found.add(&part, Lever::Duplicates, Saving::exactly(part.totals.cost));
            } else if entry.status == Status::Succeeded && self.bodies.len() < MOST {
                self.bodies.insert((feature, body));
            }
        }
        if let Some(prefix) = entry.prefix_hash {
            let missed = part.totals.usage.cache_read_tokens == 0;
            if missed
                && self.began_alike((feature, prefix), entry.at)
                && let Some(saving) = estimator.provider_cache(&part)
            {
                found.add(&part, Lever::SamePrefix, saving);
            }
        }
        if let Some(saving) = estimator.shorter(&part) {
            found.add(&part, Lever::LongContext, saving);
        }
    }

    /// Whether a call a moment before began as this one does; remembers this one.
    fn began_alike(&mut self, key: (u32, BodyHash), at: Timestamp) -> bool {
        let is_full = self.prefixes.len() >= MOST;
        match self.prefixes.get_mut(&key) {
            Some(last) => {
                let since = at.as_unix_millis().saturating_sub(last.as_unix_millis());
                *last = at.max(*last);
                (0..=CACHED_MS).contains(&since)
            }
            None if is_full => false,
            None => {
                self.prefixes.insert(key, at);
                false
            }
        }
    }
}
