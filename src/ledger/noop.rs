//! A ledger that keeps nothing.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::ledger::{CostLedger, Filter, LedgerEntry, LedgerError, Query, Recorded, Summary};

/// Keeps nothing and knows nothing: every query is answered with no entries.
///
/// For services that keep their books elsewhere. It breaks rules 3, 4 and 6 of [`CostLedger`]'s contract by design.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopLedger;

#[async_trait]
impl CostLedger for NoopLedger {
    fn record(&self, _entry: &Arc<LedgerEntry>) -> Result<Recorded, LedgerError> {
        Ok(Recorded::Stored)
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn query(&self, _query: &Query) -> Result<Summary, LedgerError> {
        Ok(Summary::default())
    }

    fn scan(&self, _filter: &Filter) -> BoxStream<'_, Result<Arc<LedgerEntry>, LedgerError>> {
        Box::pin(futures_util::stream::empty())
    }
}
