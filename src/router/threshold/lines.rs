//! The two lines of a cascade: below one the cheap answer is taken unverified, above the other the cheap model is not tried.

use super::target::Aim;
use super::{Expected, FEWEST, Paired, Target, ThresholdError, normal_quantile};
use crate::router::{CascadeRow, Course, Quality};

/// How many pairs of lines are tried.
const STEPS: u16 = 60;

/// The share of prompts, lowest score first, of which none goes straight to the strong model before any is trusted.
const VERIFIED: f64 = 0.6;

/// The two lines of [`CascadeRouter::with_prompt_score`](crate::router::CascadeRouter::with_prompt_score).
///
/// # How they are drawn
/// As a [`Threshold`](super::Threshold) is, but in pairs. At first no prompt is trusted, the 60 % of the lowest scores are
/// verified, and the others go straight to the strong model. Step by step, in 60 steps, both lines move up by quantiles of
/// the scores, and at last to infinity: all are trusted. The last pair counts before the first one that does not keep the
/// floor with its confidence; if already the first does not, all go straight. The pairs do not depend on how good any answer
/// was, so that testing them in this order needs no correction for their number (fixed sequence testing), and what is tested
/// is the mean of the paired difference `floor * strong - cascade`.
///
/// The verifier is taken as it is. For one that has a line of its own, which keeps the floor already, see
/// [`by_cost`](Self::by_cost).
///
/// # Examples
/// ```
/// use thrifty::router::{Answered, CascadeLines, CascadeRow, Course, Quality, Target};
///
/// // The cheap model is good up to a score of 0.8, and its verifier finds out where it is not.
/// let rows: Vec<(f32, CascadeRow)> = (0..1_000)
///     .map(|i| {
///         let score = i as f32 / 1_000.0;
///         let good = score < 0.8;
///         let course = if good { Course::Accepted } else { Course::Rejected };
///         (score, CascadeRow::new(course, Answered::new(good), Answered::new(Quality::GOOD)))
///     })
///     .collect();
/// let lines = CascadeLines::pick(&rows, &Target::quality_floor(0.99))?;
/// assert!((0.75..0.81).contains(&lines.trusted_below()) && lines.straight_above() > 0.8);
/// # Ok::<(), thrifty::router::ThresholdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CascadeLines {
    trusted_below: f32,
    straight_above: f32,
    expected: Option<Expected>,
}

impl CascadeLines {
    /// Draws the lines by held-out rows: what each prompt scored, and what the cascade does with it if it is verified.
    ///
    /// # Errors
    /// If there are fewer than 50 rows, a score is not a number, the models never differ, or the target is out of range or
    /// no quality floor.
    pub fn pick(rows: &[(f32, CascadeRow)], target: &Target) -> Result<Self, ThresholdError> {
        target.check()?;
        let Aim::Floor(floor) = target.aim else {
            return Err(ThresholdError::NoFloor);
        };
        check(rows)?;
        if rows.iter().all(|(_, row)| !row.differs()) {
            return Err(ThresholdError::NoDifference);
        }
        let z = normal_quantile(target.confidence);
        let mut scores: Vec<f32> = rows.iter().map(|(score, _)| *score).collect();
        scores.sort_by(f32::total_cmp);
        let keeps = |lines: &Self| {
            let worth = |quality: Quality| f64::from(quality.get());
            let short = rows.iter().map(|(score, row)| {
                let answer = lines.apply(*score, row).net();
                floor * worth(row.strong().quality) - worth(answer.quality)
            });
            Paired::of(short).bound(z) <= 0.0
        };
        let pairs = (0..STEPS).map(|step| {
            let share = f64::from(step) / f64::from(STEPS);
            let straight = quantile(&scores, VERIFIED + (1.0 - VERIFIED) * share);
            Self::undrawn(quantile(&scores, share), straight)
        });
        let all_trusted = Self::undrawn(f32::INFINITY, f32::INFINITY);
        let kept = pairs.chain([all_trusted]).take_while(keeps).last();
        let all_straight = Self::undrawn(f32::NEG_INFINITY, f32::NEG_INFINITY);
        Ok(kept.unwrap_or(all_straight).drawn_by(rows))
    }

    /// Draws only the upper line, where trying the cheap model first costs as much as it saves; no prompt is trusted unverified.
    ///
    /// It is for a verifier whose own line keeps a floor, such as a [`LearnedVerifier`](crate::router::verify::LearnedVerifier)
    /// [with a threshold](crate::router::verify::LearnedVerifier::with_threshold). Of all lines it is the one at which these
    /// rows cost least. Where the cheap model pays nowhere, all go straight.
    ///
    /// It looks at no quality, and may lower it below the verifier's floor. That floor is kept on the mean of all prompts: if
    /// those that now go straight are ones to which the cheap answers were better than the strong model's, they no longer make
    /// up for others. Compare [`expected`](Self::expected) with what you want.
    ///
    /// # Errors
    /// If there are fewer than 50 rows, a score is not a number, or a cost is not known.
    pub fn by_cost(rows: &[(f32, CascadeRow)]) -> Result<Self, ThresholdError> {
        check(rows)?;
        let mut lost = Vec::with_capacity(rows.len());
        for (row, (score, verified)) in rows.iter().enumerate() {
            let costs = verified.net().cost.zip(verified.strong().cost);
            let (net, strong) = costs.ok_or(ThresholdError::NoCost { row })?;
            lost.push((*score, i128::from(net.as_pico()) - i128::from(strong.as_pico())));
        }
        lost.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let (mut straight_above, mut most, mut sum) = (f32::INFINITY, 0, 0);
        #[expect(clippy::float_cmp, reason = "scores that differ at all can be told apart")]
        for group in lost.chunk_by(|(one, _), (other, _)| one == other) {
            sum += group.iter().map(|(_, lost)| lost).sum::<i128>();
            if sum > most {
                most = sum;
                straight_above = group
                    .first()
                    .map_or(f32::INFINITY, |(score, _)| score.next_down());
            }
        }
        Ok(Self::undrawn(f32::NEG_INFINITY, straight_above).drawn_by(rows))
    }

    /// Takes lines drawn elsewhere. `None` if one is not a number, or the first is above the second: between them a prompt
    /// would be both trusted and sent straight.
    ///
    /// A score that is exactly at a line is verified. Negative infinity as the first trusts no prompt, infinity as the second
    /// sends none straight.
    pub fn at(trusted_below: f32, straight_above: f32) -> Option<Self> {
        (trusted_below <= straight_above).then_some(Self::undrawn(trusted_below, straight_above))
    }

    const fn undrawn(trusted_below: f32, straight_above: f32) -> Self {
        Self {
            trusted_below,
            straight_above,
            expected: None,
        }
    }

    fn drawn_by(self, rows: &[(f32, CascadeRow)]) -> Self {
        let gone = rows.iter().map(|(score, row)| self.apply(*score, row));
        let expected = Expected::of(gone.map(|row| (row.net(), row.strong(), row.is_strong())));
        Self {
            expected: Some(expected),
            ..self
        }
    }

    /// Returns the score below which the cheap answer is taken unverified.
    pub const fn trusted_below(&self) -> f32 {
        self.trusted_below
    }

    /// Returns the score above which the cheap model is not tried.
    pub const fn straight_above(&self) -> f32 {
        self.straight_above
    }

    /// Returns what a cascade with these lines does with a request, of which it is known what it does if it is verified.
    #[must_use]
    pub fn apply(&self, score: f32, verified: &CascadeRow) -> CascadeRow {
        self.course(score)
            .map_or(*verified, |course| verified.unverified(course))
    }

    /// Returns what is done with a prompt by its score alone; `None` if the cheap answer is to be verified.
    pub(in crate::router) fn course(&self, score: f32) -> Option<Course> {
        if score > self.straight_above {
            Some(Course::Straight)
        } else if score < self.trusted_below {
            Some(Course::Accepted)
        } else {
            None
        }
    }

    /// Returns what the cascade did on the rows that its lines were drawn by; `None` if they were drawn elsewhere.
    ///
    /// A little better than what is to be expected of other rows, since the lines were drawn by these.
    pub const fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }
}

fn check(rows: &[(f32, CascadeRow)]) -> Result<(), ThresholdError> {
    if rows.len() < FEWEST {
        return Err(ThresholdError::TooFew {
            rows: rows.len(),
            needed: FEWEST,
        });
    }
    match rows.iter().position(|(score, _)| score.is_nan()) {
        Some(row) => Err(ThresholdError::NotANumber { row }),
        None => Ok(()),
    }
}

/// Returns the score at this share of the sorted ones.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list that is far shorter than 2^52"
)]
fn quantile(sorted: &[f32], share: f64) -> f32 {
    let last = sorted.len().saturating_sub(1);
    let place = (share * last as f64) as usize;
    sorted.get(place.min(last)).copied().unwrap_or(f32::NAN)
}
