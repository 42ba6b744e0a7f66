//! The labelled prompts in `benches/data`, and what their models cost.

use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;
use thrifty::pricing::Price;
use thrifty::router::{Evaluator, HeldOut, Labelled, RouteRequest, Score, read_labelled};

use crate::prices::prices;

/// The model whose answers are in `mmlupro_letters.jsonl.gz` only.
pub(crate) const LLAMA: &str = "llama-3.1-8b-instruct";

/// A file of labelled prompts, and the two models that are chosen between.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) cheap: &'static str,
    pub(crate) strong: &'static str,
    /// How many tokens an answer has that was not published.
    assumed_output: u64,
    pub(crate) labelled: Vec<Labelled>,
    /// What both models made of each row, with a score of nothing.
    pub(crate) answered: Vec<HeldOut>,
}

impl Set {
    pub(crate) fn mmlu() -> Self {
        Self::read("routellm_mmlu", "mixtral-8x7b", "gpt-4-1106", 1)
    }

    pub(crate) fn gsm8k() -> Self {
        Self::read("routellm_gsm8k", "mixtral-8x7b", "gpt-4-1106", 0)
    }

    pub(crate) fn flash_pro() -> Self {
        Self::read(
            "mmlupro_flash_pro",
            "gemini-1.5-flash-002",
            "gemini-1.5-pro-002",
            0,
        )
    }

    fn read(name: &'static str, cheap: &'static str, strong: &'static str, assumed_output: u64) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/data/{name}.jsonl.gz"));
        let file = std::fs::File::open(path).unwrap();
        let labelled = read_labelled(BufReader::new(GzDecoder::new(file))).unwrap();
        Self::of(name, cheap, strong, assumed_output, labelled)
    }

    pub(crate) fn of(
        name: &'static str,
        cheap: &'static str,
        strong: &'static str,
        assumed_output: u64,
        labelled: Vec<Labelled>,
    ) -> Self {
        let mut set = Self {
            name,
            cheap,
            strong,
            assumed_output,
            labelled,
            answered: Vec::new(),
        };
        let evaluation = set.evaluator().with_draws(0).read(&set.labelled).unwrap();
        assert_eq!(evaluation.left_out(), 0, "each row has both labels");
        set.answered = evaluation.held_out(&Nothing).unwrap();
        set
    }

    pub(crate) fn evaluator(&self) -> Evaluator {
        let prices = prices()
            .unwrap()
            .with_price(LLAMA, Price::per_mtok("0.05", "0.08").unwrap());
        Evaluator::new(self.cheap, self.strong, &prices).with_assumed_output(self.assumed_output)
    }

    /// Returns the prompts of these rows, with their labels.
    pub(crate) fn rows(&self, of: &[usize]) -> Vec<Labelled> {
        of.iter().map(|row| self.labelled[*row].clone()).collect()
    }

    /// Returns these rows with a score each.
    pub(crate) fn scored(&self, of: &[usize], score: impl Fn(&str) -> f32) -> Vec<HeldOut> {
        let scored = of.iter().map(|row| {
            let mut held_out = self.answered[*row];
            held_out.score = score(&self.labelled[*row].prompt);
            held_out
        });
        scored.collect()
    }
}

#[derive(Debug)]
pub(crate) struct Nothing;

impl Score for Nothing {
    fn score(&self, _: &RouteRequest<'_>) -> Option<f32> {
        Some(0.0)
    }
}
