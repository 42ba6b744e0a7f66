//! Where the line between two models is drawn, by what it is to hold.

mod expected;
mod lines;
mod target;

pub use expected::Expected;
pub(super) use expected::saved;
pub use lines::CascadeLines;
pub use target::Target;

use std::fmt;

use self::target::Aim;
use super::HeldOut;
use super::paired::Paired;
use super::tiers::Tier;
use crate::money::Usd;

/// The fewest rows that a line is drawn by: the bounds are those of a normal distribution.
const FEWEST: usize = 50;

/// The score from which on the strong model is asked.
///
/// # How a line is drawn
/// From always-strong for a floor, and from always-cheap for money, the line is moved past one score after the other,
/// for as long as the target is kept with its confidence, and stays where that fails first. Testing in an order fixed
/// beforehand needs no correction for the many lines that are tried (fixed sequence testing: Angelopoulos, Bates, Candès,
/// Jordan and Lei, *Learn then Test*, 2021).
///
/// What is tested is the mean of a paired difference, row by row, for its spread is much smaller than that of the two
/// qualities that it is made of (Fieller's test of a ratio, 1954): `D = floor * strong - routed` for a floor,
/// `D = routed cost - limit` for money. The target is kept if `mean(D) + z * sd(D) / sqrt(n) <= 0`, with `z` the normal
/// quantile of the confidence.
///
/// For a share of calls the line is a quantile of the scores.
///
/// A few hundred rows prove little: the margin shrinks with the root of their number, and by 200 it is seven times as wide as
/// by 10,000. The bound knows nothing of calls that are unlike those it was drawn by.
///
/// # Examples
/// ```
/// use thrifty::router::{Answered, HeldOut, Quality, Target, Threshold, Tier};
///
/// // The strong model is better from a score of 0.8 on.
/// let rows: Vec<HeldOut> = (0..1_000)
///     .map(|i| {
///         let score = i as f32 / 1_000.0;
///         let cheap = Answered::new(score < 0.8);
///         HeldOut::new(score, cheap, Answered::new(Quality::GOOD))
///     })
///     .collect();
/// let threshold = Threshold::pick(&rows, &Target::quality_floor(0.99))?;
/// assert_eq!(threshold.tier(0.5), Tier::Cheap);
/// assert_eq!(threshold.tier(0.9), Tier::Strong);
/// assert!((0.80..0.81).contains(&threshold.line()));
/// # Ok::<(), thrifty::router::ThresholdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    line: f32,
    expected: Option<Expected>,
}

/// Why no line could be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// Too few rows to say anything by.
    #[error("{rows} rows are too few, at least {needed} are needed")]
    TooFew {
        /// How many there are.
        rows: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A score is not a number.
    #[error("the score of row {row} is not a number")]
    NotANumber {
        /// Which row, counted from 0.
        row: usize,
    },
    /// Both models did equally well on every row, so that nothing can be told of their difference.
    #[error("on no row do the two models differ")]
    NoDifference,
    /// A share, floor or confidence that is out of its range.
    #[error("the target is out of range")]
    BadTarget,
    /// Money is to be kept, and what a row costs is not known.
    #[error("what row {row} costs is not known")]
    NoCost {
        /// Which row, counted from 0.
        row: usize,
    },
    /// Two lines are drawn for a quality floor only.
    #[error("the target is no quality floor")]
    NoFloor,
    /// Even the cheap model alone costs more than it may.
    #[error("even the cheap model alone costs too much to be sure")]
    Unreachable,
}

impl Threshold {
    /// Draws the line by held-out rows.
    ///
    /// # Errors
    /// If there are fewer than 50 rows, a score is not a number, the models never differ, the target is out of range or
    /// cannot be met, or if it is money and what an answer of a row costs is not known.
    pub fn pick(rows: &[HeldOut], target: &Target) -> Result<Self, ThresholdError> {
        target.check()?;
        if rows.len() < FEWEST {
            return Err(ThresholdError::TooFew {
                rows: rows.len(),
                needed: FEWEST,
            });
        }
        if let Some(row) = rows.iter().position(|row| row.score.is_nan()) {
            return Err(ThresholdError::NotANumber { row });
        }
        if rows.iter().all(|row| row.cheap.quality == row.strong.quality) {
            return Err(ThresholdError::NoDifference);
        }
        let z = normal_quantile(target.confidence);
        let mut sorted: Vec<&HeldOut> = rows.iter().collect();
        sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
        let line = match target.aim {
            Aim::Floor(floor) => floor_line(&sorted, floor, z),
            Aim::Share(share) => share_line(&sorted, share),
            Aim::Money(most) => money_line(rows, &sorted, most, z)?,
        };
        Ok(Self {
            line,
            expected: Some(Expected::of(rows.iter().map(|row| {
                let is_strong = row.score >= line;
                let chosen = if is_strong { row.strong } else { row.cheap };
                (chosen, row.strong, is_strong)
            }))),
        })
    }

    /// Takes a line drawn elsewhere; `None` if it is not a number. Infinity is always-cheap, its negative always-strong.
    pub fn at(line: f32) -> Option<Self> {
        (!line.is_nan()).then_some(Self { line, expected: None })
    }

    /// Returns the score from which on the strong model is asked.
    pub const fn line(&self) -> f32 {
        self.line
    }

    /// Returns the tier of a request with this score. What is not a number is not known to be easy: strong.
    pub fn tier(&self, score: f32) -> Tier {
        if score < self.line {
            Tier::Cheap
        } else {
            Tier::Strong
        }
    }

    /// Returns what the line did on the rows that it was drawn by; `None` if it was drawn elsewhere.
    ///
    /// A little better than what is to be expected of other rows, since the line was drawn by these.
    pub const fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }
}

impl fmt::Display for Threshold {
    /// Writes the line, and what is to be expected of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strong from {:.3}", self.line)?;
        self.expected.map_or(Ok(()), |expected| write!(f, ", {expected}"))
    }
}

/// Moves from always-strong towards always-cheap for as long as the floor is kept.
fn floor_line(sorted: &[&HeldOut], floor: f64, z: f64) -> f32 {
    let strong = |row: &HeldOut| (floor - 1.0) * row.strong.worth();
    let cheap = |row: &HeldOut| floor * row.strong.worth() - row.cheap.worth();
    let mut all = Paired::of(sorted.iter().map(|row| strong(row)));
    let mut line = f32::NEG_INFINITY;
    for (above, group) in groups(sorted) {
        for row in group {
            all.replace(strong(row), cheap(row));
        }
        if all.bound(z) > 0.0 {
            break;
        }
        line = above;
    }
    line
}

/// Moves from always-cheap towards always-strong for as long as the money lasts.
fn money_line(rows: &[HeldOut], sorted: &[&HeldOut], most: Usd, z: f64) -> Result<f32, ThresholdError> {
    if let Some(row) = rows.iter().position(|row| row.costs().is_none()) {
        return Err(ThresholdError::NoCost { row });
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a bound by its spread needs no more digits"
    )]
    let over = |cost: Option<Usd>| {
        let pico = |amount: Usd| i128::from(amount.as_pico());
        cost.map_or(0.0, |cost| (pico(cost) - pico(most)) as f64)
    };
    let cheapest = |row: &HeldOut| {
        if row.score < f32::INFINITY {
            row.cheap
        } else {
            row.strong
        }
    };
    let mut all = Paired::of(sorted.iter().map(|row| over(cheapest(row).cost)));
    if all.bound(z) > 0.0 {
        return Err(ThresholdError::Unreachable);
    }
    let steps: Vec<_> = groups(sorted).collect();
    let mut line = f32::INFINITY;
    for (at, (_, group)) in steps.iter().enumerate().rev() {
        for row in *group {
            all.replace(over(row.cheap.cost), over(row.strong.cost));
        }
        if all.bound(z) > 0.0 {
            break;
        }
        let below = at.checked_sub(1).and_then(|below| steps.get(below));
        line = below.map_or(f32::NEG_INFINITY, |(above, _)| *above);
    }
    Ok(line)
}

/// Returns the line whose share of strong calls is closest.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
fn share_line(sorted: &[&HeldOut], share: f64) -> f32 {
    let wanted = (1.0 - share) * sorted.len() as f64;
    let (mut line, mut cheap, mut off) = (f32::NEG_INFINITY, 0, wanted);
    for (above, group) in groups(sorted) {
        cheap += group.len();
        let distance = (cheap as f64 - wanted).abs();
        if distance < off {
            (line, off) = (above, distance);
        }
    }
    line
}

/// Returns the rows of each score, lowest first, with a line above them: halfway to the next score. No line is above
/// infinity, which is the score of rows without one.
#[expect(clippy::float_cmp, reason = "scores that differ at all can be told apart")]
fn groups<'a, 'b>(sorted: &'a [&'b HeldOut]) -> impl Iterator<Item = (f32, &'a [&'b HeldOut])> {
    let mut groups = sorted.chunk_by(|a, b| a.score == b.score).peekable();
    std::iter::from_fn(move || {
        let group = groups.next()?;
        let score = group.first()?.score;
        (score < f32::INFINITY).then_some(())?;
        let next = groups.peek().and_then(|next| next.first());
        let above = next.map_or(f32::INFINITY, |next| {
            let middle = f32::midpoint(score, next.score);
            let is_between = middle > score && middle < next.score;
            if is_between { middle } else { next.score }
        });
        Some((above, group))
    })
}

/// Returns the point below which a normal variable stays with this probability, from 0.5 to below 1.
///
/// Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.2.23: off by less than 4.5e-4.
fn normal_quantile(probability: f64) -> f64 {
    let tail = 1.0 - probability;
    if tail >= 0.5 {
        return 0.0;
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_the_normal_distribution() {
        for (probability, quantile) in [(0.5, 0.0), (0.75, 0.674_49), (0.9, 1.281_55), (0.975, 1.959_96)] {
            assert!((normal_quantile(probability) - quantile).abs() < 4.5e-4);
        }
    }
}
