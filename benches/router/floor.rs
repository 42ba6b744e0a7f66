//! Whether a line drawn beforehand keeps its floor, and what that saves.

use thrifty::pricing::PriceBook;
use thrifty::router::{Evaluator, HeldOut, Target, Threshold, Tier, Trainer};
use thrifty::{Usd, UsdSum};

use crate::data::Set;
use crate::quality::train;
use crate::splits::{Spread, in_parallel, shuffled};

/// How many seeds are measured. The confidence was chosen on the 40 seeds from 1,000 on, and nothing by these.
const SEEDS: usize = 40;

/// What is to be kept of the strong model's quality.
const FLOOR: f64 = 0.985;

/// Just above the even odds of a mean: the mean over the seeds is what the goal is about.
const CONFIDENCE: f64 = 0.6;

/// What became of a line on rows that had no part in it.
#[derive(Clone, Copy)]
struct Realised {
    /// The quality, as a share of always-strong's.
    quality: f64,
    /// The share of always-strong's cost that was saved.
    saved: f64,
}

/// Draws the line in two ways and looks at the last fifth of the rows what became of it: trained on 60 % and the line drawn
/// by 20 %, or all 80 % trained on and the line drawn by the scores of four trainings that each left out a quarter of them.
pub(crate) fn run(set: &Set) {
    let target = Target::quality_floor(FLOOR).with_confidence(CONFIDENCE);
    let realised = in_parallel(SEEDS, |seed| {
        let order = shuffled(set.labelled.len(), seed as u64);
        let (test, rest) = order.split_at(order.len() / 5);
        let (held_out, train_on) = rest.split_at(rest.len() / 4);
        let model = train(set, train_on);
        let score = |prompt: &str| model.score_text(prompt);
        let line = Threshold::pick(&set.scored(held_out, score), &target).unwrap();
        let plain = Realised::of(&set.scored(test, score), line);

        let length = |prompt: &str| prompt.len() as f32;
        let line = Threshold::pick(&set.scored(rest, length), &target).unwrap();
        let by_length = Realised::of(&set.scored(test, length), line);

        let trainer = Trainer::new([set.cheap, set.strong]);
        // A floor needs no prices, and to count the tokens of each row anew would take most of the time.
        let evaluator = Evaluator::new(set.cheap, set.strong, &PriceBook::empty());
        let rows = set.rows(rest);
        let held_out = evaluator.cross_fit(&rows, 4, |rows| trainer.train(rows)).unwrap();
        let line = Threshold::pick(&held_out, &target).unwrap();
        let model = trainer.train(&rows).unwrap();
        let cross_fitted = Realised::of(&set.scored(test, |prompt| model.score_text(prompt)), line);
        [plain, cross_fitted, by_length]
    });
    let text = |way: usize| {
        let quality = Spread::of(realised.iter().map(|ways| ways[way].quality));
        let saved = Spread::of(realised.iter().map(|ways| ways[way].saved));
        format!("{quality:#} of always-strong's quality, {saved:#} saved")
    };
    println!(
        "goal router/floor-99: {} (>= 98.5 %, >= 40 %; floor {FLOOR} with a confidence of {CONFIDENCE}, {SEEDS} seeds, 60/20/20); \
         cross-fitted 80/20: {}; length 80/20: {}",
        text(0),
        text(1),
        text(2)
    );
}

impl Realised {
    fn of(rows: &[HeldOut], line: Threshold) -> Self {
        let chosen = |row: &HeldOut| match line.tier(row.score) {
            Tier::Strong => row.strong,
            Tier::Cheap => row.cheap,
        };
        let quality =
            |answers: &dyn Fn(&HeldOut) -> f32| rows.iter().map(|row| f64::from(answers(row))).sum::<f64>();
        let cost = |answers: &dyn Fn(&HeldOut) -> Option<Usd>| {
            let sum = rows.iter().map(|row| answers(row).unwrap()).sum::<UsdSum>();
            sum.as_pico() as f64
        };
        Self {
            quality: quality(&|row| chosen(row).quality.get()) / quality(&|row| row.strong.quality.get()),
            saved: 1.0 - cost(&|row| chosen(row).cost) / cost(&|row| row.strong.cost),
        }
    }
}
