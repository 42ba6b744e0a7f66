//! What an entry keeps of a request beside its names.

use crate::ledger::{BodyHash, HashKey, LedgerEntry};
use crate::wire::RequestView;

/// What was asked, as far as a ledger keeps it: never the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    body_hash: Option<BodyHash>,
    prefix_hash: Option<BodyHash>,
    max_output_tokens: Option<u64>,
}

impl Asked {
    pub(super) fn of(key: Option<HashKey>, body: &[u8], view: &RequestView<'_>) -> Self {
        let hashes = key.map(|key| key.hash(body));
        Self {
            body_hash: hashes.map(|(body, _)| body),
            prefix_hash: hashes.and_then(|(_, prefix)| prefix),
            max_output_tokens: view.output_limit(),
        }
    }

    pub(super) const fn note(self, entry: &mut LedgerEntry) {
        entry.body_hash = self.body_hash;
        entry.prefix_hash = self.prefix_hash;
        entry.max_output_tokens = self.max_output_tokens;
    }
}
