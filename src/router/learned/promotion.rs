//! Whether what was learned is better than the router that decides so far.

use std::fmt;

use super::heads::{Lesson, Outcome};
use crate::router::paired::Paired;

/// How many held-out rows it takes at least: the bounds are those of a normal distribution.
const FEWEST: usize = 100;

/// How far below the mean the lower bound is, in standard errors: 95 % on one side.
const BOUND: f64 = 1.645;

/// Whether a [`LearnedRouter`](super::LearnedRouter) decides from now on, and why or why not.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Promotion {
    /// It does: it is better, and that is hardly by chance.
    Promoted(Comparison),
    /// It does not: it may be no better.
    NotBetter(Comparison),
    /// That stays as it is: there are too few rows that tell anything.
    TooFewRows {
        /// How many there are.
        rows: usize,
        /// How many are needed.
        needed: usize,
    },
    /// That stays as it is: what was rated is not what the router gets. Of the rated requests the fallback router sends another
    /// share to the dearer models than of all.
    Skewed {
        /// The share of the rated requests.
        rated: f64,
        /// The share of all requests.
        all: f64,
    },
    /// That stays as it is: nothing was learned yet.
    Untrained,
}

impl Promotion {
    /// Takes a promotion back if the fallback router's choices for all requests, of which this share is for the dearer models,
    /// are others than for the rated ones, by more than three standard errors.
    pub(super) fn unless_skewed(self, all: f64) -> Self {
        let Self::Promoted(comparison) = self else {
            return self;
        };
        let rated = comparison.fallback_share;
        let error = (all * (1.0 - all) / number(comparison.rows)).sqrt();
        if (rated - all).abs() > 3.0 * error.max(1e-3) {
            Self::Skewed { rated, all }
        } else {
            self
        }
    }

    /// Whether the learned router decides from now on.
    pub const fn is_promoted(&self) -> bool {
        matches!(self, Self::Promoted(_))
    }
}

/// How much better answers are than those of the fallback router, with the same share of calls for the dearer models.
///
/// The fallback router is mixed with always-cheap or always-strong until it asks for the dearer models as often. Of more
/// than two candidates each counts by its place.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// How many rows tell.
    pub rows: usize,
    /// The gain in mean quality.
    pub gain: f64,
    /// Its lower bound, at 95 %.
    pub at_least: f64,
    /// The share of calls for the dearer models.
    pub share: f64,
    /// The share that the fallback router asks them for.
    pub fallback_share: f64,
}

impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted(comparison) => write!(f, "promoted: {comparison}"),
            Self::NotBetter(comparison) => write!(f, "stays in shadow: {comparison}"),
            Self::TooFewRows { rows, needed } => {
                write!(f, "undecided: {rows} held-out rows, {needed} are needed")
            }
            Self::Skewed { rated, all } => write!(
                f,
                "undecided: the fallback router asks dearer models for {:.1} % of the rated requests and for {:.1} % of all",
                rated * 100.0,
                all * 100.0,
            ),
            Self::Untrained => f.write_str("undecided: nothing was learned yet"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "quality {:+.4} against the fallback router at the same share of {:.1} % dearer calls (it asks for {:.1} %), at least {:+.4}, on {} rows",
            self.gain,
            self.share * 100.0,
            self.fallback_share * 100.0,
            self.at_least,
            self.rows,
        )
    }
}

/// A held-out row: what either router would choose, and what is known of the answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) lesson: &'a Lesson,
    pub(super) learned: usize,
    pub(super) fallback: usize,
}

impl Row<'_> {
    /// Estimates how good a candidate's answer is. Of a row in which only the model that was asked is known, those weigh
    /// more that were seldom asked (inverse propensity weights: Horvitz and Thompson, 1952), and the others are 0.
    fn worth(&self, candidate: usize) -> f64 {
        let known = |outcome: &&Outcome| outcome.head == candidate;
        let outcome = self.lesson.outcomes.iter().find(known);
        outcome.map_or(0.0, |outcome| {
            f64::from(outcome.quality) * f64::from(outcome.weight)
        })
    }
}

/// Compares on these rows, of so many candidates.
pub(super) fn compare(rows: &[Row<'_>], candidates: usize) -> Promotion {
    if rows.len() < FEWEST {
        return Promotion::TooFewRows {
            rows: rows.len(),
            needed: FEWEST,
        };
    }
    let strongest = candidates.saturating_sub(1).max(1);
    let place = |choice: usize| number(choice) / number(strongest);
    let count = number(rows.len());
    let share = rows.iter().map(|row| place(row.learned)).sum::<f64>() / count;
    let fallback_share = rows.iter().map(|row| place(row.fallback)).sum::<f64>() / count;
    let (end, own) = if share <= fallback_share {
        (0, ratio(share, fallback_share))
    } else {
        (strongest, ratio(1.0 - share, 1.0 - fallback_share))
    };
    let gains = rows.iter().map(|row| {
        let mixed = own * row.worth(row.fallback) + (1.0 - own) * row.worth(end);
        row.worth(row.learned) - mixed
    });
    let gains = Paired::of(gains);
    let comparison = Comparison {
        rows: rows.len(),
        gain: gains.mean(),
        at_least: gains.bound(-BOUND),
        share,
        fallback_share,
    };
    if comparison.at_least > 0.0 {
        Promotion::Promoted(comparison)
    } else {
        Promotion::NotBetter(comparison)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 1.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
pub(super) const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::features::SHAPES;
    use super::*;

    fn lesson(qualities: [f32; 2]) -> Lesson {
        let outcomes = qualities.into_iter().enumerate().map(|(head, quality)| Outcome {
            head,
            quality,
            weight: 1.0,
        });
        Lesson {
            buckets: Vec::new(),
            shape: vec![0.0; SHAPES],
            outcomes: outcomes.collect(),
        }
    }

    /// Of every five prompts the cheap model fails on one.
    fn lessons(count: usize) -> Vec<Lesson> {
        let of = |n: usize| lesson([f32::from(u8::from(!n.is_multiple_of(5))), 1.0]);
        (0..count).map(of).collect()
    }

    fn verdict(
        lessons: &[Lesson],
        learned: impl Fn(usize) -> usize,
        fallback: impl Fn(usize) -> usize,
    ) -> Promotion {
        let rows = lessons.iter().enumerate().map(|(n, lesson)| Row {
            lesson,
            learned: learned(n),
            fallback: fallback(n),
        });
        compare(&rows.collect::<Vec<_>>(), 2)
    }

    #[test]
    fn what_finds_the_hard_prompts_is_promoted_over_a_coin() {
        let lessons = lessons(500);
        let (finds, coin) = (
            |n: usize| usize::from(n.is_multiple_of(5)),
            |n: usize| usize::from(n.is_multiple_of(2)),
        );
        let Promotion::Promoted(found) = verdict(&lessons, finds, coin) else {
            panic!("it is better");
        };
        assert!((found.share - 0.2).abs() < 1e-9 && (found.fallback_share - 0.5).abs() < 1e-9);
        // At a fifth of the calls for the strong model a coin finds a fifth of the hard prompts.
        assert!((found.gain - 0.16).abs() < 1e-9, "{found:?}");
        assert!(found.at_least > 0.1);
        assert!(!verdict(&lessons, coin, finds).is_promoted());
    }

    #[test]
    fn what_only_asks_the_strong_model_more_often_is_no_better() {
        let lessons = lessons(500);
        for fallback in [0, 1] {
            let always = verdict(&lessons, |_| 1, |_| fallback);
            assert!(
                matches!(always, Promotion::NotBetter(of) if of.gain.abs() < 1e-9),
                "{always:?}"
            );
        }
        let other_coin = verdict(
            &lessons,
            |n| usize::from(n % 7 < 3),
            |n| usize::from(n.is_multiple_of(2)),
        );
        assert!(!other_coin.is_promoted(), "{other_coin}");
    }

    #[test]
    fn a_verdict_is_a_sentence() {
        let few = verdict(&lessons(99), |_| 1, |_| 0);
        assert_eq!(few.to_string(), "undecided: 99 held-out rows, 100 are needed");
        let found = verdict(&lessons(500), |n| usize::from(n.is_multiple_of(5)), |_| 0);
        assert_eq!(
            found.to_string(),
            "promoted: quality +0.1600 against the fallback router at the same share of 20.0 % dearer calls (it asks for 0.0 %), at least +0.1364, on 500 rows"
        );
    }

    #[test]
    fn ratings_of_the_model_that_was_asked_tell_the_same_on_average() {
        let (mut random, whole) = (fastrand::Rng::with_seed(3), lessons(40_000));
        let (finds, coin) = (
            |n: usize| usize::from(n.is_multiple_of(5)),
            |n: usize| usize::from(n.is_multiple_of(3)),
        );
        let explored: Vec<Lesson> = whole
            .iter()
            .enumerate()
            .map(|(n, lesson)| {
                let mut lesson = lesson.clone();
                let other = random.f32() < 0.1;
                let asked = if other { 1 - coin(n) } else { coin(n) };
                lesson.outcomes.retain(|outcome| outcome.head == asked);
                lesson.outcomes[0].weight = if other { 10.0 } else { 1.0 / 0.9 };
                lesson
            })
            .collect();
        let (Promotion::Promoted(whole), Promotion::Promoted(explored)) =
            (verdict(&whole, finds, coin), verdict(&explored, finds, coin))
        else {
            panic!("both are better");
        };
        assert!((whole.gain - explored.gain).abs() < 0.03, "{whole} {explored}");
        assert!(whole.gain - whole.at_least < (explored.gain - explored.at_least) / 3.0);
    }
}
