//! The numbers of one router or score.

use serde::Serialize;

use super::Missteps;
use super::curve::{self, Path, Point};
use super::interval::{Bootstrap, Interval};
use crate::router::threshold::saved;

/// What was measured of a router or score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// What it is called.
    pub name: String,
    /// The average performance gap recovered, see [`Curve`](super::Curve); `None` if the strong model is not better.
    pub apgr: Option<Interval>,
    /// The share of strong calls that recovers half of the gap.
    pub cpt50: Option<Interval>,
    /// The share of strong calls that recovers four fifths of the gap.
    pub cpt80: Option<Interval>,
    /// The share of the strong model's cost that can be saved at the floor, its line drawn in hindsight.
    pub saved_at_floor: Option<Interval>,
    /// What a router decided; `None` for a score, which has no line of its own.
    pub decided: Option<Decided>,
    /// How far its probabilities are off, see [`Calibration`](super::Calibration); `None` if it gave none.
    pub calibration_error: Option<Interval>,
}

/// What the decisions of a router or a cascade came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decided {
    /// The share of calls that went to the strong model.
    pub strong_share: Interval,
    /// The mean quality, as a share of the strong model's.
    pub quality: Option<Interval>,
    /// The share of the strong model's cost that was saved; `None` if a cost is not known.
    pub saved: Option<Interval>,
    /// What the chosen answers cost.
    pub point: Point,
    /// How often it made no choice.
    pub failed: usize,
    /// Where a cascade went wrong; `None` for what chooses by the prompt alone.
    pub missteps: Option<Missteps>,
}

impl Measured {
    /// Measures a path and its points; `failed` is stated of a router, whose choices are the middle of its path.
    pub(super) fn of(
        name: &str,
        (path, points): (&Path, &[Point]),
        failed: Option<usize>,
        floor: f64,
        bootstrap: Bootstrap,
    ) -> Self {
        let numbers = |weights: Option<&[u32]>| {
            let drawn = weights.map(|weights| path.points(Some(weights)));
            let points = drawn.as_deref().unwrap_or(points);
            let decided = failed.and(points.get(1).zip(points.last()));
            [
                curve::apgr(points),
                curve::cpt(points, 0.5),
                curve::cpt(points, 0.8),
                curve::saved_at(points, floor),
                decided.map(|(chosen, _)| chosen.strong_share),
                decided.and_then(|(chosen, strong)| {
                    (strong.quality > 0.0).then(|| chosen.quality / strong.quality)
                }),
                decided.and_then(|(chosen, strong)| saved(chosen.cost?, strong.cost?)),
            ]
        };
        let [apgr, cpt50, cpt80, saved_at_floor, strong_share, quality, saved] =
            bootstrap.intervals(path.rows(), numbers);
        let point = points.get(1).copied();
        let decided = failed.zip(strong_share).zip(point);
        Self {
            name: name.to_owned(),
            apgr,
            cpt50,
            cpt80,
            saved_at_floor,
            decided: decided.map(|((failed, strong_share), point)| Decided {
                strong_share,
                quality,
                saved,
                point,
                failed,
                missteps: None,
            }),
            calibration_error: None,
        }
    }
}
