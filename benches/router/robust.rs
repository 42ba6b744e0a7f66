//! Whether probabilities are what they say, and decisions stay when a prompt is typed badly.

use thrifty::router::{Calibration, Model, Target, Threshold};

use crate::data::Set;
use crate::quality::train;
use crate::splits::{Spread, folds, in_parallel};

/// What is measured of one fold.
struct Fold {
    /// The calibration errors of the cheap and the strong model's probabilities.
    errors: [f64; 2],
    /// The shares of decisions that noise turns over: characters swapped, characters replaced.
    flips: [f64; 2],
}

/// Measures five folds of each set. The goals are those of the first.
pub(crate) fn run(sets: [&Set; 2]) {
    let [goal, beside] = sets.map(measure);
    let worse = |folds: &[Fold]| Spread::of(folds.iter().map(|fold| fold.errors[0].max(fold.errors[1])));
    let flips = |folds: &[Fold], noise: usize| Spread::of(folds.iter().map(|fold| fold.flips[noise]));
    let [name, other] = sets.map(|set| set.name);
    println!(
        "goal router/ece: {} (<= 0.05; the worse of both models, 5 folds of {name}); {other} {}",
        worse(&goal),
        worse(&beside)
    );
    println!(
        "goal router/flips: {:#} (<= 3 %; each character swapped with the next in one of 100 cases, the line at half of the calls, \
         5 folds of {name}); {other} {:#}; replaced by a letter instead {:#} and {:#}",
        flips(&goal, 0),
        flips(&beside, 0),
        flips(&goal, 1),
        flips(&beside, 1)
    );
}

fn measure(set: &Set) -> Vec<Fold> {
    let parts = folds(set.labelled.len(), 5);
    in_parallel(parts.len(), |fold| {
        let (train_on, test) = &parts[fold];
        let model = train(set, train_on);
        Fold {
            errors: errors(set, &model, test),
            flips: [swapped, replaced].map(|noise| flips(set, &model, test, noise)),
        }
    })
}

fn errors(set: &Set, model: &Model, test: &[usize]) -> [f64; 2] {
    let prompts = test
        .iter()
        .map(|row| model.probabilities(&set.labelled[*row].prompt));
    let probabilities: Vec<Vec<f32>> = prompts.collect();
    [0, 1].map(|of| {
        let said = test.iter().zip(&probabilities).map(|(row, said)| {
            let answered = &set.answered[*row];
            (said[of], [answered.cheap, answered.strong][of].quality)
        });
        Calibration::of(said).error().unwrap()
    })
}

fn flips(set: &Set, model: &Model, test: &[usize], noise: fn(&str, &mut fastrand::Rng) -> String) -> f64 {
    let rows = set.scored(test, |prompt| model.score_text(prompt));
    let line = Threshold::pick(&rows, &Target::strong_share(0.5)).unwrap();
    let mut random = fastrand::Rng::with_seed(0);
    let flipped = test.iter().zip(&rows).filter(|(row, plain)| {
        let mistyped = noise(&set.labelled[**row].prompt, &mut random);
        line.tier(plain.score) != line.tier(model.score_text(&mistyped))
    });
    flipped.count() as f64 / rows.len() as f64
}

/// Swaps one in a hundred characters with the next.
fn swapped(prompt: &str, random: &mut fastrand::Rng) -> String {
    let mut characters: Vec<char> = prompt.chars().collect();
    for at in 1..characters.len() {
        if random.u8(..100) == 0 {
            characters.swap(at - 1, at);
        }
    }
    characters.into_iter().collect()
}

/// Puts a letter in the place of one in a hundred characters.
fn replaced(prompt: &str, random: &mut fastrand::Rng) -> String {
    let noisy = |kept| {
        if random.u8(..100) == 0 {
            random.lowercase()
        } else {
            kept
        }
    };
    prompt.chars().map(noisy).collect()
}
