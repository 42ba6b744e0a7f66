//! What a cascade did with requests whose answers are known, and where it went wrong.

use serde::Serialize;

use super::curve::{Choice, Path};
use super::interval::Bootstrap;
use super::{Decided, EvaluateError, Measured};
use crate::money::{Usd, UsdSum};
use crate::router::{Answered, Quality};

/// What a cascade did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Course {
    /// The strong model was asked at once, the cheap one never.
    Straight,
    /// The cheap answer was taken, verified or not.
    Accepted,
    /// The cheap answer was made and would not do: the strong model was asked too.
    Rejected,
}

/// A request that went through a cascade: what it did, what both models made of the request, and who else was asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CascadeRow {
    course: Course,
    cheap: Answered,
    strong: Answered,
    /// What other answers cost, that only served to judge the cheap one.
    second: Option<Usd>,
}

impl CascadeRow {
    /// Takes what was done, and both answers. Nobody else was asked.
    pub const fn new(course: Course, cheap: Answered, strong: Answered) -> Self {
        Self {
            course,
            cheap,
            strong,
            second: Some(Usd::ZERO),
        }
    }

    /// Says that a second opinion was asked for, and what it cost; `None` if that is not known.
    #[must_use]
    pub const fn with_second_opinion(mut self, cost: Option<Usd>) -> Self {
        self.second = cost;
        self
    }

    /// Returns the answer that was handed out, with the cost of all that were made.
    ///
    /// That is what lets a whole cascade stand in for a model, as in a row that a [`Threshold`](crate::router::Threshold)
    /// is drawn by.
    pub fn net(&self) -> Answered {
        let (quality, steps) = match self.course {
            Course::Straight => (self.strong.quality, [Some(Usd::ZERO), self.strong.cost]),
            Course::Accepted => (self.cheap.quality, [self.cheap.cost, Some(Usd::ZERO)]),
            Course::Rejected => (self.strong.quality, [self.cheap.cost, self.strong.cost]),
        };
        let add = |sum: Option<Usd>, step: Option<Usd>| sum?.checked_add(step?);
        Answered {
            quality,
            cost: steps.into_iter().fold(self.second, add),
        }
    }

    /// Returns the strong model's answer.
    pub(in crate::router) const fn strong(&self) -> Answered {
        self.strong
    }

    /// Whether the strong model was asked.
    pub(in crate::router) fn is_strong(&self) -> bool {
        self.course != Course::Accepted
    }

    /// Whether one answer is better than the other.
    pub(in crate::router) fn differs(&self) -> bool {
        self.cheap.quality != self.strong.quality
    }

    /// The same request, had this been done with it and nobody else been asked.
    pub(in crate::router) const fn unverified(&self, course: Course) -> Self {
        Self::new(course, self.cheap, self.strong)
    }

    pub(super) fn choice(&self) -> Choice {
        Choice {
            cheap: self.cheap,
            chosen: self.net(),
            strong: self.strong,
            is_strong: self.is_strong(),
        }
    }
}

/// How often a cascade went wrong, and what about.
///
/// A request is in one of them at most. Where the strong model was asked and was better, or the cheap answer was taken and
/// was no worse, nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Missteps {
    /// The cheap answer was taken, and the strong one would have been better: the verifier, or the score that spared it,
    /// is too easily content.
    pub missed: Misstep,
    /// The cheap answer was rejected though it was good, and the strong one is no better: the verifier is too strict.
    pub needless: Misstep,
    /// The cheap answer was rejected and was not good, but the strong one is no better: no verifier can tell.
    pub in_vain: Misstep,
    /// The strong model was asked at once and is no better than the cheap one would have been: the score of the prompt is
    /// to blame.
    pub hasty: Misstep,
}

/// A kind of misstep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Misstep {
    /// How many requests it befell.
    pub count: usize,
    /// Their share of all requests.
    pub share: f64,
    /// What the strong model's answers to them cost, or would have cost; `None` if that is not known of each.
    pub strong_cost: Option<UsdSum>,
}

impl Missteps {
    /// Counts them. An answer is good from a quality of one half on.
    ///
    /// # Errors
    /// If there is no row.
    pub fn of(rows: &[CascadeRow]) -> Result<Self, EvaluateError> {
        if rows.is_empty() {
            return Err(EvaluateError::NoRows);
        }
        let kind = |is: &dyn Fn(&CascadeRow) -> bool| Misstep::of(rows, is);
        let gains = |row: &CascadeRow| row.strong.quality > row.cheap.quality;
        let is_good = |row: &CascadeRow| row.cheap.quality >= Quality::HALF;
        Ok(Self {
            missed: kind(&|row| row.course == Course::Accepted && gains(row)),
            needless: kind(&|row| row.course == Course::Rejected && !gains(row) && is_good(row)),
            in_vain: kind(&|row| row.course == Course::Rejected && !gains(row) && !is_good(row)),
            hasty: kind(&|row| row.course == Course::Straight && !gains(row)),
        })
    }
}

impl Misstep {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
    fn of(rows: &[CascadeRow], is: &dyn Fn(&CascadeRow) -> bool) -> Self {
        let befallen = || rows.iter().filter(|row| is(row));
        let count = befallen().count();
        Self {
            count,
            share: count as f64 / rows.len() as f64,
            strong_cost: befallen().map(|row| row.strong.cost).sum(),
        }
    }
}

impl Decided {
    /// Measures a cascade: its quality, and what it saves net of every step. Whoever was asked is paid, also if the answer
    /// was rejected or served as a second opinion only.
    ///
    /// The intervals are of 200 draws, by a fixed seed.
    ///
    /// # Errors
    /// If there is no row.
    ///
    /// # Examples
    /// ```
    /// use thrifty::Usd;
    /// use thrifty::router::{Answered, CascadeRow, Course, Decided, Quality};
    ///
    /// let answered = |quality, cost| Answered::new(quality).with_cost(Usd::from_dollars(cost));
    /// let row = |course, cheap| {
    ///     let row = CascadeRow::new(course, answered(cheap, 1), answered(Quality::GOOD, 10));
    ///     row.with_second_opinion(Some(Usd::from_dollars(1)))
    /// };
    /// let rows = [row(Course::Accepted, Quality::GOOD), row(Course::Rejected, Quality::GOOD)];
    /// let decided = Decided::of_cascade(&rows)?;
    /// // 2 and 12 dollars, where always asking the strong model costs 20.
    /// assert_eq!(decided.saved.map(|saved| saved.value), Some(0.3));
    /// assert_eq!(decided.missteps.map(|missteps| missteps.needless.count), Some(1));
    /// # Ok::<(), thrifty::router::EvaluateError>(())
    /// ```
    pub fn of_cascade(rows: &[CascadeRow]) -> Result<Self, EvaluateError> {
        let missteps = Missteps::of(rows)?;
        let choices: Vec<Choice> = rows.iter().map(CascadeRow::choice).collect();
        let path = Path::by_choice(&choices);
        let measured = Measured::of("", (&path, &path.points(None)), Some(0), 1.0, Bootstrap::DEFAULT);
        let decided = measured.decided.ok_or(EvaluateError::NoRows)?;
        Ok(Self {
            missteps: Some(missteps),
            ..decided
        })
    }
}
