//! How well a learned score orders prompts that it was not trained on.

use thrifty::router::{Curve, Model, Trainer};

use crate::data::Set;
use crate::peers;
use crate::splits::{Spread, folds, in_parallel, shuffled};

/// How many fixed splits a mean is taken over.
const SPLITS: usize = 20;

/// Trains on so many labels and measures on all other rows.
pub(crate) fn few_labels(goal: &str, set: &Set, labels: usize, apgr: f64, cpt50: Option<f64>) {
    let curves = in_parallel(SPLITS, |seed| {
        let order = shuffled(set.labelled.len(), seed as u64);
        let (train, test) = order.split_at(labels);
        measure(set, train, test)
    });
    let (reached, halfway) = means(&curves);
    let all: Vec<usize> = (0..set.labelled.len()).collect();
    let halfway_goal = cpt50.map_or(String::new(), |most| {
        format!("; CPT50 {halfway:#} (<= {:.1} %)", most * 100.0)
    });
    println!(
        "goal {goal}: {reached} (>= {apgr}){halfway_goal}; {SPLITS} splits; on all rows {}",
        peers::apgr(set, &all)
    );
}

/// Trains on four of five folds and measures on the fifth.
pub(crate) fn by_folds(goal: &str, set: &Set, apgr: f64) {
    let parts = folds(set.labelled.len(), 5);
    let curves = in_parallel(parts.len(), |fold| measure(set, &parts[fold].0, &parts[fold].1));
    let (reached, halfway) = means(&curves);
    let all: Vec<usize> = (0..set.labelled.len()).collect();
    println!(
        "goal {goal}: {reached} (>= {apgr}); CPT50 {halfway:#}; 5 folds; on all rows {}",
        peers::apgr(set, &all)
    );
}

pub(crate) fn train(set: &Set, rows: &[usize]) -> Model {
    Trainer::new([set.cheap, set.strong])
        .train(&set.rows(rows))
        .unwrap()
}

fn measure(set: &Set, train_on: &[usize], test: &[usize]) -> Curve {
    let model = train(set, train_on);
    Curve::of(&set.scored(test, |prompt| model.score_text(prompt))).unwrap()
}

fn means(curves: &[Curve]) -> (Spread, Spread) {
    let apgr = curves.iter().map(|curve| curve.apgr().unwrap());
    let cpt50 = curves.iter().map(|curve| curve.cpt(0.5).unwrap());
    (Spread::of(apgr), Spread::of(cpt50))
}
