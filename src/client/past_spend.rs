//! What budgets count of earlier processes: the ledger knows.

use std::sync::Arc;

use async_trait::async_trait;

use super::budgeting::is_free;
use crate::budget::{Each, Spend, SpendHistory, SpendQuestion};
use crate::endpoint::Endpoint;
use crate::ledger::{CostLedger, Dimension, Filter, Group, Query, Role};
use crate::model::ModelId;

/// Tells what was spent by what the ledger holds.
#[derive(Debug)]
pub(super) struct PastSpend {
    ledger: Arc<dyn CostLedger>,
    /// If it tells of calls of one role only.
    role: Option<Role>,
}

impl PastSpend {
    pub(super) const fn new(ledger: Arc<dyn CostLedger>) -> Self {
        Self { ledger, role: None }
    }

    /// Tells of shadows only.
    pub(super) const fn of_shadows(ledger: Arc<dyn CostLedger>) -> Self {
        let role = Some(Role::Shadow);
        Self { ledger, role }
    }
}

#[async_trait]
impl SpendHistory for PastSpend {
    async fn spent(
        &self,
        question: &SpendQuestion<'_>,
    ) -> Result<Vec<Spend>, Box<dyn std::error::Error + Send + Sync>> {
        let mut by = dimensions(question);
        by.extend(self.role.map(|_| Dimension::Role));
        let mut query = Query::new().with_filter(filter(question));
        query.group_by.clone_from(&by);
        // What another client has queued counts too.
        self.ledger.flush().await?;
        let summary = self.ledger.query(&query).await?;
        if summary.evicted.calls > 0 || summary.bad_lines > 0 {
            tracing::warn!(
                target: "thrifty",
                evicted = summary.evicted.calls,
                bad_lines = summary.bad_lines,
                "budgets do not count what the ledger cannot tell any more"
            );
        }
        let is_of_role = |group: &&Group| {
            let name = self.role.map(Role::as_str);
            // It was added last.
            name.is_none_or(|name| group.keys.last().is_some_and(|key| key.as_deref() == Some(name)))
        };
        let groups = summary.groups.iter().filter(is_of_role);
        Ok(groups.map(|group| spend(group, &by)).collect())
    }
}

fn filter(question: &SpendQuestion<'_>) -> Filter {
    Filter {
        feature: question.feature.cloned(),
        user: question.user.cloned(),
        tags: question.tags.to_vec(),
        from: question.from,
        ..Filter::default()
    }
}

fn dimensions(question: &SpendQuestion<'_>) -> Vec<Dimension> {
    let mut by = vec![if question.from.is_some() {
        Dimension::Hour
    } else {
        Dimension::Day
    }];
    match question.each {
        Some(Each::Feature) => by.push(Dimension::Feature),
        Some(Each::User) => by.push(Dimension::User),
        Some(Each::Tag(key)) => by.push(Dimension::Tag(Arc::clone(key))),
        Some(Each::Model) | None => {}
    }
    if question.by_model {
        // Budgets count by the model that was asked.
        by.push(Dimension::SentModel);
    }
    if question.counts_unpriced {
        by.extend([Dimension::Source, Dimension::Endpoint]);
    }
    by
}

fn spend(group: &Group, by: &[Dimension]) -> Spend {
    let mut spend = Spend::default();
    let mut is_counted = false;
    for (dimension, key) in by.iter().zip(&group.keys) {
        match dimension {
            Dimension::Hour | Dimension::Day => {
                let span = key.as_deref().and_then(|key| dimension.span_of(key));
                spend.until = span.map(|(_, end)| end);
            }
            Dimension::Feature | Dimension::User | Dimension::Tag(_) => spend.key.clone_from(key),
            Dimension::SentModel => spend.model = key.clone().map(ModelId::new),
            Dimension::Endpoint => {
                is_counted = key.as_deref().is_some_and(|name| !is_free(&Endpoint::from(name)));
            }
            _ => {}
        }
    }
    let totals = &group.totals;
    spend.at_most = totals.cost;
    spend.at_most += totals.coverage.open;
    if is_counted {
        spend.unpriced = totals.coverage.unpriced.saturating_add(totals.coverage.unbounded);
        // A group is of one source: either all of its calls are without a cost, or none.
        if totals.coverage.unpriced > 0 {
            spend.unpriced_tokens = (totals.usage.input_tokens, totals.usage.output_tokens);
        }
    }
    spend
}
