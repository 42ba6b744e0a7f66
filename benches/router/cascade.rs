//! What a cascade saves whose cheap answer is verified by a second cheap model, and what the prompt alone does.

use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use thrifty::Usd;
use thrifty::pricing::{Price, PriceBook};
use thrifty::router::{
    Answered, CascadeRow, Course, Decided, Evaluator, HeldOut, Labelled, Misstep, Quality, Target, Threshold,
    Tier,
};

use crate::data::Set;
use crate::prices::prices;
use crate::quality::train;
use crate::splits::{Spread, in_parallel, shuffled};

const SECOND: &str = "llama-3.1-8b-instruct";

/// What the second opinion costs, a million tokens of input and output: Groq's, the middle of a list, and Bedrock's.
const SECOND_PRICES: [(&str, &str); 3] = [("0.05", "0.08"), ("0.10", "0.10"), ("0.22", "0.22")];

/// How many seeds are measured. The three settings below were chosen on the 40 seeds from 1,000 on, and nothing by these.
const SEEDS: usize = 20;

/// What the lines are drawn to keep of the strong model's quality, with a confidence just above even odds.
const FLOOR: f64 = 0.993;
const CONFIDENCE: f64 = 0.6;

/// The share of prompts, lowest score first, of which none goes straight to the strong model before any is trusted.
const VERIFIED: f64 = 0.6;

/// How many pairs of lines are tried, in an order fixed beforehand.
const STEPS: u32 = 60;

/// The normal quantile of the confidence.
const Z: f64 = 0.253_35;

/// The floors by which the prompt alone is measured, to compare it at the quality that the cascade came to.
const FLOORS: [f64; 7] = [0.98, 0.985, 0.99, 0.992_5, 0.995, 0.997_5, 1.0];

/// A prompt: its answers, whether the two cheap models agreed, and what the second opinion costs by each of the prices.
#[derive(Clone, Copy)]
struct Row {
    number: usize,
    cheap: Answered,
    strong: Answered,
    agreed: bool,
    second: [Option<Usd>; 3],
}

/// A prompt with its score.
type Scored = (f32, Row);

/// The two lines of `CascadeRouter::with_prompt_score`.
#[derive(Clone, Copy)]
struct Lines {
    trusted_below: f32,
    straight_above: f32,
}

/// What came of one seed: the cascade by each of the prices, agreement alone, and the prompt alone at each floor.
struct Outcome {
    cascade: [Decided; 3],
    agreement: Decided,
    prompt: Vec<Decided>,
}

pub(crate) fn run(set: &Set) {
    let rows = read(set);
    let outcomes = in_parallel(SEEDS, |seed| measure(set, &rows, seed as u64));
    let both = |decided: &dyn Fn(&Outcome) -> Decided| {
        let decided: Vec<Decided> = outcomes.iter().map(decided).collect();
        (
            Spread::of(decided.iter().map(quality)),
            Spread::of(decided.iter().map(saved)),
        )
    };
    let (kept, net) = both(&|outcome| outcome.cascade[0].clone());
    let [_, middle, dear] = [0, 1, 2].map(|list: usize| both(&|outcome| outcome.cascade[list].clone()).1);
    let (agreed_kept, agreed_net) = both(&|outcome| outcome.agreement.clone());
    let prompt: Vec<_> = (0..FLOORS.len())
        .map(|floor| both(&|outcome| outcome.prompt[floor].clone()))
        .map(|(kept, net)| (kept.mean, net.mean))
        .collect();
    let prompt = at_quality(&prompt, kept.mean)
        .map_or_else(|| "-".to_owned(), |saved| format!("{:.1} %", saved * 100.0));
    println!(
        "goal router/cascade-flash-pro: saves {net:#} at {kept:#} quality (>= 35 at >= 99.5; prompt only {prompt} at the same \
         quality; floor {FLOOR} with a confidence of {CONFIDENCE}, {SEEDS} seeds, 60/20/20); \
         with a second opinion at 0.10 + 0.10 instead of 0.05 + 0.08: {middle:#}, at 0.22 + 0.22: {dear:#}; agreement alone: {agreed_net:#} at {agreed_kept:#}"
    );
    let missteps = |of: &dyn Fn(&Decided) -> Misstep| {
        let share = Spread::of(outcomes.iter().map(|outcome| of(&outcome.cascade[0]).share));
        let cost = Spread::of(outcomes.iter().map(|outcome| {
            let strong: f64 =
                outcome.cascade[0].point.cost.unwrap().as_pico() as f64 / (1.0 - saved(&outcome.cascade[0]));
            of(&outcome.cascade[0]).strong_cost.unwrap().as_pico() as f64 / strong
        }));
        format!(
            "{share:#} of prompts ({:.1} % of always-strong's cost)",
            cost.mean * 100.0
        )
    };
    println!(
        "router/cascade-flash-pro went wrong: missed {}; needless {}; in vain {}; hasty {}",
        missteps(&|decided| decided.missteps.unwrap().missed),
        missteps(&|decided| decided.missteps.unwrap().needless),
        missteps(&|decided| decided.missteps.unwrap().in_vain),
        missteps(&|decided| decided.missteps.unwrap().hasty),
    );
}

/// Trains on 60 % of the rows, draws the lines by 20 %, and looks at the others.
fn measure(set: &Set, rows: &[Row], seed: u64) -> Outcome {
    let order = shuffled(rows.len(), seed);
    let (test, rest) = order.split_at(order.len() / 5);
    let (held_out, train_on) = rest.split_at(rest.len() / 4);
    let numbers: Vec<usize> = train_on.iter().map(|at| rows[*at].number).collect();
    let model = train(set, &numbers);
    let scored = |part: &[usize]| -> Vec<Scored> {
        let row = |at: &usize| {
            (
                model.score_text(&set.labelled[rows[*at].number].prompt),
                rows[*at],
            )
        };
        part.iter().map(row).collect()
    };
    let (held_out, test) = (scored(held_out), scored(test));
    let lines = draw(&held_out);
    let cascade = [0, 1, 2].map(|list| decide(&test, |row| lines.row(row, list)));
    let verified = Lines {
        trusted_below: f32::NEG_INFINITY,
        straight_above: f32::INFINITY,
    };
    let as_held_out = |(score, row): &Scored| HeldOut::new(*score, row.cheap, row.strong);
    let by_prompt: Vec<HeldOut> = held_out.iter().map(as_held_out).collect();
    let prompt = FLOORS.iter().map(|floor| {
        let target = Target::quality_floor(*floor).with_confidence(CONFIDENCE);
        let line = Threshold::pick(&by_prompt, &target).unwrap();
        decide(&test, |(score, row)| {
            let course = match line.tier(*score) {
                Tier::Strong => Course::Straight,
                Tier::Cheap => Course::Accepted,
            };
            CascadeRow::new(course, row.cheap, row.strong)
        })
    });
    Outcome {
        cascade,
        agreement: decide(&test, |row| verified.row(row, 0)),
        prompt: prompt.collect(),
    }
}

/// Moves both lines from verifying or going straight towards trusting all, for as long as the floor is kept, as
/// `Threshold` moves its one: pairs in an order fixed beforehand, and a paired bound.
fn draw(rows: &[Scored]) -> Lines {
    let mut scores: Vec<f32> = rows.iter().map(|(score, _)| *score).collect();
    scores.sort_by(f32::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let quantile = |share: f64| scores[(share * (scores.len() - 1) as f64) as usize];
    let at = |step: u32| {
        let share = f64::from(step) / f64::from(STEPS);
        Lines {
            trusted_below: quantile(share),
            straight_above: quantile(VERIFIED + (1.0 - VERIFIED) * share),
        }
    };
    let holds = |lines: &Lines| {
        let short = rows.iter().map(|row| {
            let answer = lines.row(row, 0).net();
            FLOOR * f64::from(row.1.strong.quality.get()) - f64::from(answer.quality.get())
        });
        let short: Vec<f64> = short.collect();
        let count = short.len() as f64;
        let mean = short.iter().sum::<f64>() / count;
        let squares: f64 = short.iter().map(|value| (value - mean).powi(2)).sum();
        mean + Z * (squares / (count - 1.0) / count).sqrt() <= 0.0
    };
    let always_strong = Lines {
        trusted_below: f32::NEG_INFINITY,
        straight_above: f32::NEG_INFINITY,
    };
    let kept = (0..=STEPS).map(at).take_while(holds);
    kept.last().unwrap_or(always_strong)
}

impl Lines {
    fn row(self, (score, row): &Scored, list: usize) -> CascadeRow {
        let took = |course| CascadeRow::new(course, row.cheap, row.strong);
        if *score > self.straight_above {
            took(Course::Straight)
        } else if *score < self.trusted_below {
            took(Course::Accepted)
        } else if row.agreed {
            took(Course::Accepted).with_second_opinion(row.second[list])
        } else {
            took(Course::Rejected).with_second_opinion(row.second[list])
        }
    }
}

fn decide(rows: &[Scored], row: impl Fn(&Scored) -> CascadeRow) -> Decided {
    Decided::of_cascade(&rows.iter().map(row).collect::<Vec<_>>()).unwrap()
}

fn quality(decided: &Decided) -> f64 {
    decided.quality.unwrap().value
}

fn saved(decided: &Decided) -> f64 {
    decided.saved.unwrap().value
}

/// Returns what is saved at a quality, between the two of these that are next to it; `None` if it is beyond them.
fn at_quality(measured: &[(f64, f64)], quality: f64) -> Option<f64> {
    let between = measured
        .windows(2)
        .find(|pair| (pair[0].0..=pair[1].0).contains(&quality))?;
    let share = (quality - between[0].0) / (between[1].0 - between[0].0);
    Some(between[0].1 + share * (between[1].1 - between[0].1))
}

/// Reads the letters that the models answered. The rows to which Llama's answer was not published are left out.
fn read(set: &Set) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/data/mmlupro_letters.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), set.labelled.len(), "one line for each prompt");
    let answered: Vec<usize> = (0..lines.len())
        .filter(|row| lines[*row]["score"].is_object())
        .collect();
    let costs = SECOND_PRICES.map(|(input, output)| {
        let price = Price::per_mtok(input, output).unwrap();
        second_costs(
            set,
            &lines,
            &answered,
            &prices().unwrap().with_price(SECOND, price),
        )
    });
    let rows = answered.iter().enumerate().map(|(at, number)| {
        let letter = |model: &str| lines[*number]["answer"][model].as_str();
        let HeldOut { cheap, strong, .. } = set.answered[*number];
        assert!(
            letter(set.cheap).is_none()
                || letter(set.cheap) != letter(set.strong)
                || cheap.quality == strong.quality,
            "the same letter is as good: line {number} is of this prompt"
        );
        Row {
            number: *number,
            cheap,
            strong,
            agreed: letter(set.cheap).is_some() && letter(set.cheap) == letter(SECOND),
            second: [0, 1, 2].map(|list: usize| costs[list][at]),
        }
    });
    rows.collect()
}

/// Returns what Llama's answers cost.
fn second_costs(set: &Set, lines: &[Value], answered: &[usize], prices: &PriceBook) -> Vec<Option<Usd>> {
    let labelled = answered.iter().map(|row| {
        let chars = lines[*row]["output_chars"][SECOND].as_u64().unwrap();
        Labelled::new(&set.labelled[*row].prompt)
            .with_quality(SECOND, Quality::GOOD)
            .with_quality(set.strong, Quality::GOOD)
            .with_output_tokens(SECOND, chars.div_ceil(4))
    });
    let evaluator = Evaluator::new(SECOND, set.strong, prices).with_draws(0);
    let evaluation = evaluator.read(&labelled.collect::<Vec<_>>()).unwrap();
    let rows = evaluation.held_out(&crate::data::Nothing).unwrap();
    rows.iter().map(|row| row.cheap.cost).collect()
}
