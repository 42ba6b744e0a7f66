//! What was measured.

use serde::Serialize;

use super::cases::Case;
use super::curve::{Choice, Path, Point};
use super::{Calibration, CascadeRow, Course, EvaluateError, Evaluator, Measured, Missteps, svg};
use crate::model::ModelId;
use crate::router::{HeldOut, Router, Score};

/// What was measured, as a table ([`Display`](std::fmt::Display)), as JSON ([`Serialize`]) and as a
/// [picture](Self::to_svg).
///
/// Where the strong model is not better than the cheap one there is no gap to recover: those numbers are missing.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub(super) by: Evaluator,
    cases: Vec<Case>,
    left_out: usize,
    pub(super) measured: Vec<Measured>,
    /// The points of each that was measured.
    pub(super) curves: Vec<Vec<Point>>,
}

impl Evaluation {
    /// Measures what every evaluation has.
    pub(super) fn begin(by: Evaluator, cases: Vec<Case>, labelled: usize) -> Result<Self, EvaluateError> {
        let mut this = Self {
            by,
            left_out: labelled - cases.len(),
            cases,
            measured: Vec::new(),
            curves: Vec::new(),
        };
        for (name, strong) in [("always-cheap", false), ("always-strong", true)] {
            let choices = this.cases.iter().map(|case| case.choice(strong));
            this.add_choices(name, &choices.collect::<Vec<_>>(), 0);
        }
        this.add_scores("coin", |_| 0.0)?;
        #[expect(clippy::cast_precision_loss, reason = "a score needs no more digits")]
        this.add_scores("length", |case| case.prompt.len() as f32)?;
        #[expect(clippy::cast_possible_truncation, reason = "a score needs no more digits")]
        this.add_scores("oracle", |case| case.held_out(0.0).gain() as f32)?;
        Ok(this)
    }

    /// Measures a score, whose line may lie anywhere. A row without a score goes to the strong model first.
    ///
    /// # Errors
    /// None is known; a prompt that cannot be shown as a request would be one.
    pub fn with_score(mut self, name: &str, score: &dyn Score) -> Result<Self, EvaluateError> {
        let rows = self.held_out(score)?;
        self.add(name, &Path::by_score(&rows)?, None);
        Ok(self)
    }

    /// Measures a router, which has drawn its line. Between always-cheap, its choices and always-strong a coin is thrown:
    /// that is how calls can be moved from one to the other without a score.
    ///
    /// A router that fails leaves a request with the strong model, as it does in the client; how often is counted. It is
    /// told nothing of what comes of its choices.
    ///
    /// Models to ask after an error and shadows are passed over: no call fails here.
    ///
    /// # Errors
    /// If it chooses a model whose answer has no label, or plans [steps](crate::router::Step), as a
    /// [`CascadeRouter`](crate::router::CascadeRouter) does: measure that by [`with_cascade`](Self::with_cascade).
    pub async fn with_router(mut self, name: &str, router: &dyn Router) -> Result<Self, EvaluateError> {
        let (mut choices, mut failed) = (Vec::with_capacity(self.cases.len()), 0);
        for case in &self.cases {
            let request = case.show(&self.by.facts, self.by.at)?;
            let route = router.route(&request).await;
            if route.as_ref().is_ok_and(|route| !route.steps().is_empty()) {
                return Err(EvaluateError::Steps { row: case.row });
            }
            failed += usize::from(route.is_err());
            let chosen = route.ok().and_then(|route| route.model().cloned());
            choices.push(self.choice(case, &chosen.unwrap_or_else(|| self.by.strong.clone()))?);
        }
        self.add_choices(name, &choices, failed);
        Ok(self)
    }

    /// Measures a cascade: its quality, its cost net of every step, and where it went wrong ([`Missteps`]).
    ///
    /// `course` is given the number of a labelled row, from 0, and says what the cascade does with it, and whether `second`
    /// is heard. Labels have no texts that a verifier could be asked about, so you say what it found: such as whether the
    /// two cheap models agreed. What the second opinion costs is told by its label, as for the two models.
    ///
    /// # Errors
    /// If the second model is heard on a row that has no label of it.
    ///
    /// # Examples
    /// ```
    /// use thrifty::pricing::PriceBook;
    /// use thrifty::router::{Course, Evaluator, Labelled};
    ///
    /// let row = |prompt: &str, cheap| {
    ///     Labelled::new(prompt)
    ///         .with_quality("gpt-4o-mini", cheap)
    ///         .with_quality("gpt-4.1-nano", cheap)
    ///         .with_quality("gpt-4o", true)
    /// };
    /// let labelled = [row("2 + 2?", true), row("17 * 23?", false), row("3 * 3?", true)];
    /// let agreed = [true, false, true];
    /// let evaluation = Evaluator::new("gpt-4o-mini", "gpt-4o", &PriceBook::builtin())
    ///     .with_assumed_output(300)
    ///     .read(&labelled)?
    ///     .with_cascade("agreement", &"gpt-4.1-nano".into(), |row| match agreed[row] {
    ///         true => (Course::Accepted, true),
    ///         false => (Course::Rejected, true),
    ///     })?;
    /// println!("{evaluation}");
    /// # Ok::<(), thrifty::router::EvaluateError>(())
    /// ```
    pub fn with_cascade(
        mut self,
        name: &str,
        second: &ModelId,
        course: impl Fn(usize) -> (Course, bool),
    ) -> Result<Self, EvaluateError> {
        let rows = self.cases.iter().map(|case| {
            let (course, is_heard) = course(case.row);
            let row = CascadeRow::new(course, case.cheap, case.strong);
            if !is_heard {
                return Ok(row);
            }
            let second = self.choice(case, second)?.chosen;
            Ok(row.with_second_opinion(second.cost))
        });
        let rows = rows.collect::<Result<Vec<_>, EvaluateError>>()?;
        let missteps = Missteps::of(&rows)?;
        self.add_choices(name, &rows.iter().map(CascadeRow::choice).collect::<Vec<_>>(), 0);
        let decided = self
            .measured
            .last_mut()
            .and_then(|measured| measured.decided.as_mut());
        if let Some(decided) = decided {
            decided.missteps = Some(missteps);
        }
        Ok(self)
    }

    /// Adds to a row of the table how well its probabilities fit. `probabilities` returns those that the cheap and the
    /// strong model's answers to a prompt are good.
    #[must_use]
    pub fn with_probabilities(
        mut self,
        name: &str,
        probabilities: impl Fn(&str) -> Option<(f32, f32)>,
    ) -> Self {
        let said = self.cases.iter().filter_map(|case| {
            let (cheap, strong) = probabilities(&case.prompt)?;
            Some([(cheap, case.cheap.quality), (strong, case.strong.quality)])
        });
        let calibration = Calibration::of(said.flatten());
        let rows = calibration.len() / 2;
        let [error] = self.by.bootstrap.intervals(rows, |weights| {
            // Both answers to a prompt are drawn together.
            [calibration.weighted(|at| weights.map_or(1, |w| w.get(at / 2).copied().unwrap_or(0)))]
        });
        for measured in self.measured.iter_mut().filter(|measured| measured.name == name) {
            measured.calibration_error = error;
        }
        self
    }

    /// Returns the rows with their scores and costs, such as [`Threshold::pick`](crate::router::Threshold::pick) takes.
    ///
    /// # Errors
    /// As [`with_score`](Self::with_score).
    pub fn held_out(&self, score: &dyn Score) -> Result<Vec<HeldOut>, EvaluateError> {
        let rows = self.cases.iter();
        rows.map(|case| case.scored(score, &self.by.facts, self.by.at))
            .collect()
    }

    /// Returns how many rows were measured.
    pub fn rows(&self) -> usize {
        self.cases.len()
    }

    /// Returns how many rows were left out, for they lack a label of one of the two models.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns what was measured of the router or score of this name.
    pub fn measured(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }

    /// Returns the cost-quality curves as an SVG picture that stands alone, light or dark as the reader's system is.
    pub fn to_svg(&self) -> String {
        svg::render(self)
    }

    fn choice(&self, case: &Case, model: &ModelId) -> Result<Choice, EvaluateError> {
        if *model == self.by.strong || *model == self.by.cheap {
            return Ok(case.choice(*model == self.by.strong));
        }
        let Some(chosen) = case.others.get(model) else {
            return Err(EvaluateError::NotLabelled {
                row: case.row,
                model: model.clone(),
            });
        };
        Ok(Choice {
            chosen: *chosen,
            ..case.choice(false)
        })
    }

    fn add_choices(&mut self, name: &str, choices: &[Choice], failed: usize) {
        self.add(name, &Path::by_choice(choices), Some(failed));
    }

    fn add_scores(&mut self, name: &str, score: impl Fn(&Case) -> f32) -> Result<(), EvaluateError> {
        let rows: Vec<HeldOut> = self.cases.iter().map(|case| case.held_out(score(case))).collect();
        self.add(name, &Path::by_score(&rows)?, None);
        Ok(())
    }

    fn add(&mut self, name: &str, path: &Path, failed: Option<usize>) {
        let points = path.points(None);
        let measured = Measured::of(name, (path, &points), failed, self.by.floor, self.by.bootstrap);
        self.measured.push(measured);
        self.curves.push(points);
    }
}

impl Serialize for Evaluation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Parts<'a> {
            cheap: &'a ModelId,
            strong: &'a ModelId,
            rows: usize,
            left_out: usize,
            floor: f64,
            prices: &'a str,
            measured: &'a [Measured],
        }

        let parts = Parts {
            cheap: &self.by.cheap,
            strong: &self.by.strong,
            rows: self.rows(),
            left_out: self.left_out,
            floor: self.by.floor,
            prices: self.by.facts.prices.revision(),
            measured: &self.measured,
        };
        parts.serialize(serializer)
    }
}
