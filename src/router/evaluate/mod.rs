//! What a router is worth, measured on labelled prompts.

mod calibration;
mod cascade;
mod cases;
mod curve;
mod evaluation;
mod evaluator;
mod interval;
mod measured;
mod svg;
mod table;

pub use calibration::Calibration;
pub use cascade::{CascadeRow, Course, Misstep, Missteps};
pub use curve::{Curve, Point};
pub use evaluation::Evaluation;
pub use evaluator::Evaluator;
pub use interval::Interval;
pub use measured::{Decided, Measured};

use super::{Labelled, Router};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::model::ModelId;
use crate::pricing::PriceBook;

/// Measures a router on labelled prompts, between the cheapest and the dearest of its candidates.
///
/// As [`Evaluator`] does with its defaults; the router's row is named `router`. The labels say what every model would
/// have answered, so nothing is sent. They have to be of prompts that the router was not trained on.
///
/// A cascade is measured by [`Evaluation::with_cascade`], since labels do not say what its verifiers would.
///
/// # Errors
/// As [`Evaluator::read`] and [`Evaluation::with_router`], so also for a router that plans steps; and if the prices do not tell which candidates are the
/// cheapest and the dearest.
///
/// # Examples
/// ```
/// use thrifty::pricing::PriceBook;
/// use thrifty::router::{HeuristicRouter, evaluate, read_labelled};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let labelled = read_labelled(
///     r#"{"prompt": "Name a river.", "score": {"gpt-4o-mini": 1, "gpt-4o": 1}, "output_tokens": {"gpt-4o-mini": 3, "gpt-4o": 3}}
///        {"prompt": "Prove it, step by step: why is 2^n > n?", "score": {"gpt-4o-mini": 0, "gpt-4o": 1}, "output_tokens": {"gpt-4o-mini": 200, "gpt-4o": 90}}"#
///         .as_bytes(),
/// )?;
/// let router = HeuristicRouter::new("gpt-4o-mini", "gpt-4o").with_threshold(2);
/// let evaluation = evaluate(&router, &labelled, &PriceBook::builtin()).await?;
/// println!("{evaluation}");
/// let apgr = evaluation.measured("router").and_then(|router| router.apgr);
/// assert_eq!(apgr.map(|apgr| apgr.value), Some(0.75));
/// # Ok(())
/// # }
/// ```
pub async fn evaluate(
    router: &dyn Router,
    labelled: &[Labelled],
    prices: &PriceBook,
) -> Result<Evaluation, EvaluateError> {
    let at = SystemClock.now();
    let (cheap, strong) = ends(&router.candidates(), prices, at).ok_or(EvaluateError::NoPair)?;
    let evaluation = Evaluator::new(cheap, strong, prices)
        .priced_at(at)
        .read(labelled)?;
    evaluation.with_router("router", router).await
}

/// Returns the cheapest and the dearest model, if there are two and the prices tell.
fn ends(models: &[ModelId], prices: &PriceBook, at: Timestamp) -> Option<(ModelId, ModelId)> {
    let end = |is: fn(std::cmp::Ordering) -> bool| {
        let beats = |one: &ModelId| {
            let others = || models.iter().filter(|other| *other != one);
            others().count() > 0 && others().all(|other| prices.compare(one, other, at).is_some_and(is))
        };
        models.iter().find(|model| beats(model)).cloned()
    };
    end(std::cmp::Ordering::is_lt).zip(end(std::cmp::Ordering::is_gt))
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// No row says what both models made of it.
    #[error("no row has labels of both models")]
    NoRows,
    /// A score is not a number.
    #[error("the score of row {row} is not a number")]
    NotANumber {
        /// Which row, counted from 0.
        row: usize,
    },
    /// A model was chosen, or heard as a second opinion, and nobody said what that made of the prompt.
    #[error("row {row} has no label of {model}, which was asked")]
    NotLabelled {
        /// Which row, counted from 0.
        row: usize,
        /// Which model.
        model: ModelId,
    },
    /// The router's plan has [steps](crate::router::Step): which model's answer is handed out is said by a verifier, which
    /// labels have no answers for.
    #[error(
        "the plan for row {row} has steps, and labels have no answers to verify: measure it by `with_cascade`"
    )]
    Steps {
        /// Which row, counted from 0.
        row: usize,
    },
    /// It is not known between which two models the router chooses.
    #[error("the prices do not tell the cheapest and the dearest of the router's candidates")]
    NoPair,
    /// The floor is not a number from 0 to 1.
    #[error("the quality floor is not from 0 to 1")]
    BadFloor,
    /// There are fewer than two folds, or fewer rows than folds.
    #[error("rows can be dealt to two folds or more, and each needs one")]
    Folds,
    /// What was to be scored by could not be trained.
    #[error("training on a part of the rows failed")]
    Training(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A prompt cannot be shown as a request.
    #[error("row {row} cannot be read as a request")]
    Unreadable {
        /// Which row, counted from 0.
        row: usize,
    },
}
