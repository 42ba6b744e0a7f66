//! Quality and cost over the share of strong calls.

use super::EvaluateError;
use crate::money::{Usd, UsdSum};
use crate::router::threshold::saved;
use crate::router::{Answered, HeldOut};

/// What a score buys: quality and cost, as its line moves from always-cheap to always-strong.
///
/// Requests with the same score are taken in by chance, so that between two points the curve is straight: a score that
/// tells nothing apart is a coin.
///
/// # Definitions
/// Those of `RouteLLM` (Ong et al., *`RouteLLM`: Learning to Route LLMs with Preference Data*, 2024). The
/// *performance gap recovered* is the share of the way from the cheap model's mean quality to the strong one's:
/// `PGR = (q - cheap) / (strong - cheap)`.
/// - [`apgr`](Self::apgr): the mean of the PGR over all shares of strong calls, here the exact area under the curve.
/// - [`cpt`](Self::cpt): the smallest share of strong calls by which so much of the gap is recovered.
///
/// # Examples
/// ```
/// use thrifty::router::{Answered, Curve, HeldOut, Quality};
///
/// let row = |score, cheap| HeldOut::new(score, Answered::new(cheap), Answered::new(Quality::GOOD));
/// let curve = Curve::of(&[row(0.9, Quality::BAD), row(0.2, Quality::GOOD)])?;
/// assert_eq!((curve.apgr(), curve.cpt(0.5)), (Some(0.75), Some(0.25)));
/// # Ok::<(), thrifty::router::EvaluateError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
}

/// A place on a [`Curve`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Point {
    /// The share of calls that the strong model answers.
    pub strong_share: f64,
    /// The mean quality of the answers.
    pub quality: f64,
    /// What all answers cost together; `None` if that is not known of each.
    pub cost: Option<UsdSum>,
}

impl Curve {
    /// Draws the curve of held-out rows.
    ///
    /// # Errors
    /// If there is no row, or a score is not a number.
    pub fn of(rows: &[HeldOut]) -> Result<Self, EvaluateError> {
        Ok(Self {
            points: Path::by_score(rows)?.points(None),
        })
    }

    /// Returns the points, from always-cheap to always-strong.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Returns the average performance gap recovered; `None` if the strong model is not the better one.
    ///
    /// A coin has 0.5. More than 1 is possible: some requests the cheap model answers better.
    pub fn apgr(&self) -> Option<f64> {
        apgr(&self.points)
    }

    /// Returns the smallest share of strong calls that recovers this share of the gap; `None` if the strong model is not
    /// the better one, or `recovered` is not from 0 to 1.
    pub fn cpt(&self, recovered: f64) -> Option<f64> {
        cpt(&self.points, recovered)
    }

    /// Returns the most that can be saved of always-strong's cost while the mean quality is at least this share of its;
    /// `None` if a cost is not known.
    ///
    /// The line is drawn in hindsight, by the rows that are measured. What a line drawn beforehand saves is less: see
    /// [`Threshold`](crate::router::Threshold).
    pub fn saved_at(&self, floor: f64) -> Option<f64> {
        saved_at(&self.points, floor)
    }
}

/// A row that changes from one answer to another, one step further on the way from always-cheap to always-strong.
#[derive(Debug, Clone, Copy)]
struct Change {
    row: usize,
    from: Answered,
    to: Answered,
    becomes_strong: f64,
}

/// All steps from always-cheap to always-strong. The rows of one step change together.
#[derive(Debug, Clone)]
pub(super) struct Path {
    cheap: Vec<Answered>,
    steps: Vec<Vec<Change>>,
}

impl Path {
    /// Takes the rows in by their score, highest first.
    pub(super) fn by_score(rows: &[HeldOut]) -> Result<Self, EvaluateError> {
        if rows.is_empty() {
            return Err(EvaluateError::NoRows);
        }
        if let Some(row) = rows.iter().position(|row| row.score.is_nan()) {
            return Err(EvaluateError::NotANumber { row });
        }
        let mut sorted: Vec<(usize, &HeldOut)> = rows.iter().enumerate().collect();
        sorted.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
        let steps = sorted.chunk_by(|(_, a), (_, b)| same(a.score, b.score));
        let change = |&(row, held_out): &(usize, &HeldOut)| Change {
            row,
            from: held_out.cheap,
            to: held_out.strong,
            becomes_strong: 1.0,
        };
        Ok(Self {
            cheap: rows.iter().map(|row| row.cheap).collect(),
            steps: steps.map(|step| step.iter().map(change).collect()).collect(),
        })
    }

    /// Takes a router's choices: first the rows that it does not leave with the cheap model, then all others.
    pub(super) fn by_choice(choices: &[Choice]) -> Self {
        let change = |row: usize, from, to, becomes_strong| Change {
            row,
            from,
            to,
            becomes_strong,
        };
        let share = |choice: &Choice| f64::from(u8::from(choice.is_strong));
        let rows = || choices.iter().enumerate();
        let chosen = rows().map(|(row, choice)| change(row, choice.cheap, choice.chosen, share(choice)));
        let rest = rows().map(|(row, choice)| change(row, choice.chosen, choice.strong, 1.0 - share(choice)));
        Self {
            cheap: choices.iter().map(|choice| choice.cheap).collect(),
            steps: vec![chosen.collect(), rest.collect()],
        }
    }

    pub(super) const fn rows(&self) -> usize {
        self.cheap.len()
    }

    /// Walks the path; with weights, as if each row were there so many times.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
    pub(super) fn points(&self, weights: Option<&[u32]>) -> Vec<Point> {
        let weight = |row: usize| weights.map_or(1, |weights| weights.get(row).copied().unwrap_or(0));
        let count: u64 = (0..self.rows()).map(|row| u64::from(weight(row))).sum();
        let mut sums = Sums::default();
        for (row, answer) in self.cheap.iter().enumerate() {
            sums.add(answer, weight(row), 1.0);
        }
        let mut points = Vec::with_capacity(self.steps.len() + 1);
        points.push(sums.point(count as f64));
        for step in &self.steps {
            for change in step {
                let weight = weight(change.row);
                sums.add(&change.from, weight, -1.0);
                sums.add(&change.to, weight, 1.0);
                sums.strong += change.becomes_strong * f64::from(weight);
            }
            points.push(sums.point(count as f64));
        }
        points
    }
}

/// Whether two scores are one; both zeros are.
#[expect(clippy::float_cmp, reason = "scores that differ at all can be told apart")]
fn same(one: f32, other: f32) -> bool {
    one == other
}

/// What a router chose for a row, beside both ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) cheap: Answered,
    pub(super) chosen: Answered,
    pub(super) strong: Answered,
    pub(super) is_strong: bool,
}

#[derive(Default)]
struct Sums {
    quality: f64,
    strong: f64,
    pico: i128,
    unpriced: i64,
}

impl Sums {
    /// Adds an answer so many times, or takes it away again.
    fn add(&mut self, answer: &Answered, times: u32, sign: f64) {
        let times_signed = if sign < 0.0 {
            -i64::from(times)
        } else {
            i64::from(times)
        };
        self.quality += answer.worth() * f64::from(times) * sign;
        match answer.cost.map(Usd::as_pico) {
            Some(pico) => self.pico += i128::from(pico) * i128::from(times_signed),
            None => self.unpriced += times_signed,
        }
    }

    fn point(&self, count: f64) -> Point {
        Point {
            strong_share: self.strong / count,
            quality: self.quality / count,
            cost: (self.unpriced == 0).then_some(UsdSum::from_pico(self.pico)),
        }
    }
}

/// Returns the performance gap recovered of each point, with its share of strong calls.
fn recovered(points: &[Point]) -> Option<impl Iterator<Item = (f64, f64)>> {
    let (cheap, strong) = (points.first()?.quality, points.last()?.quality);
    // Sums of many qualities are off by a little.
    let gap = (strong - cheap > 1e-9).then_some(strong - cheap)?;
    let recovered = move |point: &Point| (point.strong_share, (point.quality - cheap) / gap);
    Some(points.iter().map(recovered))
}

pub(super) fn apgr(points: &[Point]) -> Option<f64> {
    let (mut area, mut last) = (0.0, None);
    for (share, pgr) in recovered(points)? {
        if let Some((last_share, last_pgr)) = last {
            area += (share - last_share) * (pgr + last_pgr) / 2.0;
        }
        last = Some((share, pgr));
    }
    Some(area)
}

pub(super) fn cpt(points: &[Point], wanted: f64) -> Option<f64> {
    (0.0..=1.0).contains(&wanted).then_some(())?;
    let mut last = (0.0, 0.0);
    for (share, pgr) in recovered(points)? {
        // The last point recovers all, but for what its sum is off by.
        if pgr >= wanted - 1e-9 {
            return Some(crossing(wanted, (last.1, last.0), (pgr, share)));
        }
        last = (share, pgr);
    }
    None
}

pub(super) fn saved_at(points: &[Point], floor: f64) -> Option<f64> {
    let strong = points.last()?;
    let (wanted, full) = (floor * strong.quality, strong.cost?);
    let kept = |quality: f64| quality >= wanted - 1e-9;
    let mut best: Option<f64> = None;
    let mut last: Option<(f64, f64)> = None;
    for point in points {
        let here = (point.quality, saved(point.cost?, full)?);
        let there = last.filter(|last| kept(last.0) != kept(here.0));
        let between = there.map(|last| crossing(wanted, last, here));
        let at = kept(here.0).then_some(here.1);
        best = best.into_iter().chain(between).chain(at).reduce(f64::max);
        last = Some(here);
    }
    best
}

/// Returns where the straight line through two points reaches `x`; the second point's `y` if it is level.
fn crossing(x: f64, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> f64 {
    if (x2 - x1).abs() < f64::EPSILON {
        return y2;
    }
    y1 + (y2 - y1) * ((x - x1) / (x2 - x1)).clamp(0.0, 1.0)
}
