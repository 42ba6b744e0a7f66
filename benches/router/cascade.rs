//! What a cascade saves whose cheap answer is verified by a second cheap model, and what the prompt alone does.

use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use thrifty::pricing::{Price, PriceBook};
use thrifty::router::verify::Verdict;
use thrifty::router::{
    Answered, CascadeLines, CascadeRow, Course, Decided, Evaluator, HeldOut, Labelled, LabelledAnswer,
    Misstep, Model, Quality, Target, Threshold, Tier, Trainer,
};
use thrifty::{ModelId, Usd};

use crate::data::{LLAMA, Set};
use crate::prices::prices;
use crate::quality::train;
use crate::splits::{Spread, in_parallel, shuffled};

/// What the second opinion costs, a million tokens of input and output: Groq's, the middle of a list, and Bedrock's.
const SECOND_PRICES: [(&str, &str); 3] = [("0.05", "0.08"), ("0.10", "0.10"), ("0.22", "0.22")];

/// How many seeds are measured. The settings below, and those of `CascadeLines`, were chosen on the 40 seeds from 1,000 on, and nothing by these.
const SEEDS: usize = 20;

/// What the lines are drawn to keep of the strong model's quality, with a confidence just above even odds.
const FLOOR: f64 = 0.993;
const CONFIDENCE: f64 = 0.6;

/// The floors by which the prompt alone is measured, to compare it at the quality that the cascade came to.
const FLOORS: [f64; 8] = [0.98, 0.985, 0.99, 0.992_5, FLOOR, 0.995, 0.997_5, 1.0];

/// A prompt: its answers, whether the two cheap models agreed, and what the second opinion costs by each of the prices.
struct Row {
    number: usize,
    cheap: Answered,
    strong: Answered,
    /// The letter that the cheap model answered, and blanks: all that is known of its answer is its length.
    text: String,
    agreed: bool,
    second: [Option<Usd>; 3],
}

/// Two models, what they and a third one made of prompts.
struct Pair<'a> {
    set: &'a Set,
    rows: Vec<Row>,
}

/// A prompt with its score.
type Scored<'a> = (f32, &'a Row);

/// What came of one seed: the cascade by each of the prices, agreement alone, and the prompt alone at each floor.
struct Outcome {
    cascade: [Decided; 3],
    agreement: Decided,
    prompt: Vec<Decided>,
    scored: Decided,
    scored_hearing: Decided,
}

/// Measures Flash and Pro with Llama's opinion, and, that nothing is made for one pair, Llama and Pro with Flash's.
pub(crate) fn run(set: &Set) {
    let lines = letters(set);
    let answered: Vec<usize> = (0..lines.len())
        .filter(|row| lines[*row]["score"].is_object())
        .collect();
    let costs = SECOND_PRICES.map(|(input, output)| {
        let price = Price::per_mtok(input, output).unwrap();
        let prices = prices().unwrap().with_price(LLAMA, price);
        second_costs(set, &lines, &answered, &prices)
    });
    let second = |at: usize| [0, 1, 2].map(|list: usize| costs[list][at]);
    let rows = read(set, &lines, &answered, LLAMA, second);
    goal(&Pair { set, rows });

    let labelled = answered.iter().map(|row| {
        let chars = |model: &str| lines[*row]["output_chars"][model].as_u64().unwrap();
        let quality = lines[*row]["score"][LLAMA].as_f64().unwrap();
        let strong = set.answered[*row].strong.quality;
        let of_both = &set.labelled[*row];
        Labelled::new(&of_both.prompt)
            .with_quality(LLAMA, quality >= 0.5)
            .with_quality(set.strong, strong)
            .with_output_tokens(LLAMA, chars(LLAMA).div_ceil(4))
            .with_output_tokens(set.strong, of_both.output_tokens[&ModelId::from(set.strong)])
    });
    let other = Set::of("mmlupro_llama_pro", LLAMA, set.strong, 0, labelled.collect());
    let lines: Vec<Value> = answered.iter().map(|row| lines[*row].clone()).collect();
    let second = |at: usize| [set.answered[answered[at]].cheap.cost; 3];
    let all: Vec<usize> = (0..lines.len()).collect();
    let rows = read(&other, &lines, &all, set.cheap, second);
    let pair = Pair { set: &other, rows };
    compare(&pair, &in_parallel(SEEDS, |seed| measure(&pair, seed as u64)));
}

/// Prints what a learned score of the answer is worth, beside what there is without it.
fn compare(pair: &Pair, outcomes: &[Outcome]) {
    let both = |decided: &dyn Fn(&Outcome) -> &Decided| {
        let kept = Spread::of(outcomes.iter().map(|outcome| quality(decided(outcome))));
        let net = Spread::of(outcomes.iter().map(|outcome| saved(decided(outcome))));
        format!("saves {net:#} at {kept:#}")
    };
    let at_floor = FLOORS.iter().position(|floor| *floor == FLOOR).unwrap();
    println!(
        "router/cascade-scored {}: learned score of the answer {}; hearing agreement {}; prompt only {}; agreement alone {}; \
         agreement and prompt {}",
        pair.set.name,
        both(&|outcome| &outcome.scored),
        both(&|outcome| &outcome.scored_hearing),
        both(&|outcome| &outcome.prompt[at_floor]),
        both(&|outcome| &outcome.agreement),
        both(&|outcome| &outcome.cascade[0]),
    );
}

fn goal(pair: &Pair) {
    let outcomes = in_parallel(SEEDS, |seed| measure(pair, seed as u64));
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
    compare(pair, &outcomes);
}

/// Trains on 60 % of the rows, draws the lines by 20 %, and looks at the others.
fn measure(pair: &Pair, seed: u64) -> Outcome {
    let (set, rows) = (pair.set, &pair.rows);
    let order = shuffled(rows.len(), seed);
    let (test, rest) = order.split_at(order.len() / 5);
    let (held_out, train_on) = rest.split_at(rest.len() / 4);
    let numbers: Vec<usize> = train_on.iter().map(|at| rows[*at].number).collect();
    let model = train(set, &numbers);
    let parts = [train_on, held_out, test];
    let of_prompts = |part: &[usize]| -> Vec<Scored<'_>> {
        let row = |at: &usize| {
            (
                model.score_text(&set.labelled[rows[*at].number].prompt),
                &rows[*at],
            )
        };
        part.iter().map(row).collect()
    };
    let (held_out, test) = (of_prompts(held_out), of_prompts(test));
    let verified: Vec<(f32, CascadeRow)> = held_out
        .iter()
        .map(|(score, row)| (*score, by_agreement(row, 0)))
        .collect();
    let lines = CascadeLines::pick(&verified, &target()).unwrap();
    let cascade = [0, 1, 2].map(|list| {
        decide(&test, |(score, row)| {
            lines.apply(*score, &by_agreement(row, list))
        })
    });
    let as_held_out = |(score, row): &Scored<'_>| HeldOut::new(*score, row.cheap, row.strong);
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
        agreement: decide(&test, |(_, row)| by_agreement(row, 0)),
        prompt: prompt.collect(),
        scored: scored(pair, &model, parts, Hears::Nobody),
        scored_hearing: scored(pair, &model, parts, Hears::Agreement),
    }
}

/// What the cascade does with a prompt that is verified by agreement.
fn by_agreement(row: &Row, list: usize) -> CascadeRow {
    let course = if row.agreed {
        Course::Accepted
    } else {
        Course::Rejected
    };
    CascadeRow::new(course, row.cheap, row.strong).with_second_opinion(row.second[list])
}

/// What the cascade does by a learned score of the answer.
fn by_gain(row: &Row, gain: f32, line: &Threshold, hears: Hears) -> CascadeRow {
    let course = match line.tier(gain) {
        Tier::Cheap => Course::Accepted,
        Tier::Strong => Course::Rejected,
    };
    let taken = CascadeRow::new(course, row.cheap, row.strong);
    match hears {
        Hears::Nobody => taken,
        Hears::Agreement => taken.with_second_opinion(row.second[0]),
    }
}

/// Who else is heard by the learned score of an answer.
#[derive(Clone, Copy)]
enum Hears {
    Nobody,
    Agreement,
}

/// Trains a score of answers on some rows, draws its line and that of the prompts by others, and looks at the rest.
fn scored(pair: &Pair, prompts: &Model, parts: [&[usize]; 3], hears: Hears) -> Decided {
    let row = |at: &usize| {
        let row = &pair.rows[*at];
        let verdict = if row.agreed {
            Verdict::Accept
        } else {
            Verdict::Reject("the second model does not agree")
        };
        let answer = LabelledAnswer::new(pair.set.labelled[row.number].clone(), row.text.as_str());
        match hears {
            Hears::Nobody => answer,
            Hears::Agreement => answer.with_verdict(verdict),
        }
    };
    let [train_on, held_out, test] = parts.map(|part| part.iter().map(row).collect::<Vec<_>>());
    let trainer = Trainer::new([pair.set.cheap, pair.set.strong]);
    let model = trainer.train_answers(&train_on, None).unwrap();
    let gains = held_out.iter().zip(parts[1]).map(|(answer, at)| {
        let row = &pair.rows[*at];
        HeldOut::new(model.gain(answer), row.cheap, row.strong)
    });
    let line = Threshold::pick(&gains.collect::<Vec<_>>(), &target()).unwrap();
    let decided = |answers: &[LabelledAnswer], part: &[usize]| -> Vec<(f32, CascadeRow)> {
        let rows = answers.iter().zip(part).map(|(answer, at)| {
            let score = prompts.score_text(&answer.labelled.prompt);
            (score, by_gain(&pair.rows[*at], model.gain(answer), &line, hears))
        });
        rows.collect()
    };
    let lines = CascadeLines::by_cost(&decided(&held_out, parts[1])).unwrap();
    let gone = decided(&test, parts[2])
        .into_iter()
        .map(|(score, row)| lines.apply(score, &row));
    Decided::of_cascade(&gone.collect::<Vec<_>>()).unwrap()
}

fn target() -> Target {
    Target::quality_floor(FLOOR).with_confidence(CONFIDENCE)
}

fn decide(rows: &[Scored<'_>], row: impl Fn(&Scored<'_>) -> CascadeRow) -> Decided {
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

/// Reads the letters that the models answered.
fn letters(set: &Set) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/data/mmlupro_letters.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), set.labelled.len(), "one line for each prompt");
    lines
}

/// Puts the letters to the rows. Those to which Llama's answer was not published are left out.
fn read(
    set: &Set,
    lines: &[Value],
    answered: &[usize],
    second: &str,
    costs: impl Fn(usize) -> [Option<Usd>; 3],
) -> Vec<Row> {
    let letter = |number: usize, model: &str| lines[number]["answer"][model].as_str();
    // The publishers corrected a few keys between the runs of two models.
    let contradicts = |number: &&usize| {
        let HeldOut { cheap, strong, .. } = set.answered[**number];
        let given = letter(**number, set.cheap);
        given.is_some() && given == letter(**number, set.strong) && cheap.quality != strong.quality
    };
    let contradicting = answered.iter().filter(contradicts).count();
    assert!(
        contradicting * 500 < answered.len(),
        "the same letter is as good: {contradicting} lines are of other prompts"
    );
    let rows = answered.iter().enumerate().map(|(at, number)| {
        let HeldOut { cheap, strong, .. } = set.answered[*number];
        let given = letter(*number, set.cheap);
        let chars = set.labelled[*number].output_tokens[&ModelId::from(set.cheap)] * 4;
        let blanks = " ".repeat(usize::try_from(chars).unwrap());
        Row {
            number: *number,
            cheap,
            strong,
            text: given.unwrap_or_default().to_owned() + &blanks,
            agreed: given.is_some() && given == letter(*number, second),
            second: costs(at),
        }
    });
    rows.collect()
}

/// Returns what Llama's answers cost.
fn second_costs(set: &Set, lines: &[Value], answered: &[usize], prices: &PriceBook) -> Vec<Option<Usd>> {
    let labelled = answered.iter().map(|row| {
        let chars = lines[*row]["output_chars"][LLAMA].as_u64().unwrap();
        Labelled::new(&set.labelled[*row].prompt)
            .with_quality(LLAMA, Quality::GOOD)
            .with_quality(set.strong, Quality::GOOD)
            .with_output_tokens(LLAMA, chars.div_ceil(4))
    });
    let evaluator = Evaluator::new(LLAMA, set.strong, prices).with_draws(0);
    let evaluation = evaluator.read(&labelled.collect::<Vec<_>>()).unwrap();
    let rows = evaluation.held_out(&crate::data::Nothing).unwrap();
    rows.iter().map(|row| row.cheap.cost).collect()
}
