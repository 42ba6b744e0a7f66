//! Learns a router from labelled prompts, draws its line on prompts that it has not seen, and measures both on others.
//!
//! ```sh
//! cargo run --release --example evaluate_router                                  # on a sample that is made up
//! cargo run --release --example evaluate_router -- prompts.jsonl.gz CHEAP STRONG curve.svg
//! ```
//!
//! The file has one JSON object a line, see `thrifty::router::read_labelled`. Nothing is sent. The sample shows how it
//! goes; its labels are drawn by chance, and its numbers say nothing of any model.

#[path = "evaluate_router/prices.rs"]
mod prices;

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use thrifty::router::{
    Evaluator, HeuristicRouter, ScoreRouter, Target, Threshold, TokenCountRouter, Trainer, read_labelled,
};

const SAMPLE: &str = include_str!("evaluate_router/sample.jsonl");

/// The share of the strong model's quality that is to be kept.
const FLOOR: f64 = 0.98;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |at: usize, default: &str| args.get(at).map_or(default, String::as_str).to_owned();
    let mut labelled = match args.first() {
        Some(file) => read_labelled(open(file)?)?,
        None => read_labelled(SAMPLE.as_bytes())?,
    };
    let (cheap, strong) = (arg(1, "gpt-4o-mini"), arg(2, "gpt-4o"));
    let picture = args
        .get(3)
        .map_or_else(|| std::env::temp_dir().join("evaluate_router.svg"), PathBuf::from);

    // Training knows two models only, and rows are in no order that means something.
    labelled.retain(|row| {
        [&cheap, &strong]
            .iter()
            .all(|model| row.qualities.contains_key(model.as_str()))
    });
    for row in &mut labelled {
        row.qualities
            .retain(|model, _| *model == *cheap || *model == *strong);
    }
    fastrand::Rng::with_seed(0).shuffle(&mut labelled);
    let (test, rest) = labelled.split_at(labelled.len() / 5);

    // All others are trained on. The line is drawn by the scores of trainings that each left a fold out.
    let trainer = Trainer::new([&*cheap, &*strong]);
    let evaluator = Evaluator::new(&*cheap, &*strong, &prices::prices()?)
        .with_assumed_output(1)
        .with_floor(FLOOR);
    let held_out = evaluator.cross_fit(rest, 4, |rows| trainer.train(rows))?;
    let line = Threshold::pick(&held_out, &Target::quality_floor(FLOOR))?;
    let model = trainer.train(rest)?;
    println!("trained on {} prompts; {line}\n", rest.len());

    let evaluation = evaluator
        .read(test)?
        .with_score("learned", &model)?
        .with_probabilities("learned", |prompt| match *model.probabilities(prompt) {
            [cheap, strong] => Some((cheap, strong)),
            _ => None,
        })
        .with_router(
            "learned, floor",
            &ScoreRouter::new(model.clone(), line, &*cheap, &*strong),
        )
        .await?
        .with_router("heuristic", &HeuristicRouter::new(&*cheap, &*strong))
        .await?
        .with_router("token count", &TokenCountRouter::new(&*cheap, &*strong))
        .await?;
    println!("{evaluation}");
    std::fs::write(&picture, evaluation.to_svg())?;
    println!("the curves are in {}", picture.display());
    Ok(())
}

/// Opens a file of lines, compressed or not.
fn open(path: &str) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    let mut file = BufReader::new(File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}
