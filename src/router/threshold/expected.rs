//! What a line did on the rows that it was drawn by.

use std::fmt;

use crate::money::{Usd, UsdSum};
use crate::router::Answered;

/// What a line did on the rows that it was drawn by.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Expected {
    /// How many rows there were.
    pub rows: usize,
    /// The share of them that went to the strong model.
    pub strong_share: f64,
    /// The mean quality of the answers.
    pub quality: f64,
    /// The mean quality of the strong model's answers.
    pub strong_quality: f64,
    /// The share of the strong model's cost that was saved; `None` if a cost is not known.
    pub saved: Option<f64>,
}

impl Expected {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
    /// Takes the answer that each row was given, the strong model's, and whether that was asked.
    pub(super) fn of(rows: impl Iterator<Item = (Answered, Answered, bool)>) -> Self {
        let rows: Vec<(Answered, Answered, bool)> = rows.collect();
        let count = rows.len() as f64;
        let mean =
            |worth: &dyn Fn(&(Answered, Answered, bool)) -> f64| rows.iter().map(worth).sum::<f64>() / count;
        let costs: Option<Vec<(Usd, Usd)>> = rows
            .iter()
            .map(|(given, strong, _)| given.cost.zip(strong.cost))
            .collect();
        Self {
            rows: rows.len(),
            strong_share: mean(&|(_, _, is_strong)| f64::from(u8::from(*is_strong))),
            quality: mean(&|(given, ..)| given.worth()),
            strong_quality: mean(&|(_, strong, _)| strong.worth()),
            saved: costs.and_then(|costs| {
                let spent = costs.iter().map(|(given, _)| *given).sum();
                let full = costs.iter().map(|(_, strong)| *strong).sum();
                saved(spent, full)
            }),
        }
    }
}

/// Returns the share of `full` that is not spent; `None` if there was nothing to spend.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
pub(in crate::router) fn saved(spent: UsdSum, full: UsdSum) -> Option<f64> {
    let unspent = full.saturating_sub(spent).as_pico() as f64;
    (full > UsdSum::ZERO).then(|| unspent / full.as_pico() as f64)
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        let strong_calls = percent(self.strong_share);
        write!(f, "on {} rows {strong_calls:.1} % strong calls", self.rows)?;
        if self.strong_quality > 0.0 {
            let kept = percent(self.quality / self.strong_quality);
            write!(f, ", {kept:.1} % of the strong model's quality")?;
        }
        self.saved.map_or(Ok(()), |saved| {
            write!(f, ", {:.1} % of its cost saved", percent(saved))
        })
    }
}
