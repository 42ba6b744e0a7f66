//! The weights: one logistic head a candidate, learned by `AdaGrad`.

use super::features::{SHAPES, Subject, number};
use super::text::BUCKETS;

/// How many structural numbers a prompt has together with an answer.
pub(super) const ANSWER_SHAPES: usize = 2 * SHAPES;

/// How many heads there are at most.
pub(super) const MOST_HEADS: usize = 16;

/// The step of a first lesson, for words and for structural numbers. Both were chosen by cross-validation on `MMLU`,
/// `GSM8K` and `MMLU-Pro`.
const RATE: f32 = 0.024;
const SHAPE_RATE: f32 = 0.03;

/// What the sum of squared gradients of a word begins with. A word that was seen a few times only then weighs little, and
/// so does what shares its bucket by a slip of the hand.
const CAUTION: f32 = 0.03;

/// A number for each head; those beyond the last head are 0.
pub(super) type PerHead = [f32; MOST_HEADS];

/// What is learned from one text: its hashed words, its shape, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lesson {
    pub(super) buckets: Vec<u16>,
    pub(super) shape: Vec<f32>,
    pub(super) outcomes: Vec<Outcome>,
}

/// How good the answer of one head's model was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) head: usize,
    pub(super) quality: f32,
    /// How much it counts: more than 1 if the model was seldom asked for such texts.
    pub(super) weight: f32,
}

impl Lesson {
    pub(super) fn of(subject: &Subject<'_>, outcomes: Vec<Outcome>) -> Self {
        let (buckets, shape) = subject.parts();
        Self {
            buckets,
            shape: shape.to_vec(),
            outcomes,
        }
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A prompt alone.
    Prompts,
    /// A prompt and an answer to it.
    Answers,
}

impl Kind {
    /// Returns how many structural numbers it has.
    pub(super) const fn shapes(self) -> usize {
        match self {
            Self::Prompts => SHAPES,
            Self::Answers => ANSWER_SHAPES,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heads {
    pub(super) kind: Kind,
    count: usize,
    /// By bucket, then head: the weights that one word needs are neighbours.
    pub(super) words: Vec<f32>,
    /// By structural number, then head.
    pub(super) shapes: Vec<f32>,
    /// The sums of squared gradients, in the order of the weights.
    pub(super) word_steps: Vec<f32>,
    pub(super) shape_steps: Vec<f32>,
}

impl Heads {
    pub(super) fn new(kind: Kind, heads: usize) -> Self {
        Self {
            kind,
            count: heads,
            words: vec![0.0; heads * BUCKETS],
            shapes: vec![0.0; heads * kind.shapes()],
            word_steps: vec![CAUTION; heads * BUCKETS],
            // Above 0, since it is divided by.
            shape_steps: vec![1e-8; heads * kind.shapes()],
        }
    }

    /// Returns each head's probability that its model's answer is good enough, without allocating.
    pub(super) fn judge(&self, subject: &Subject<'_>) -> PerHead {
        let (mut sums, mut seen) = ([0.0; MOST_HEADS], 0);
        // Two heads are most common, and two sums stay in registers.
        let shape = if self.count == 2 {
            let (mut cheap, mut strong) = (0.0, 0.0);
            let (pairs, _) = self.words.as_chunks::<2>();
            let shape = subject.read(|bucket, _| {
                if let Some([one, other]) = pairs.get(usize::from(bucket)) {
                    cheap += one;
                    strong += other;
                }
                seen += 1;
            });
            add(&mut sums, &[cheap, strong], 1.0);
            shape
        } else {
            subject.read(|bucket, _| {
                add(&mut sums, self.weights_of(bucket), 1.0);
                seen += 1;
            })
        };
        self.finish(sums, seen, &shape)
    }

    pub(super) fn judge_lesson(&self, lesson: &Lesson) -> PerHead {
        let mut sums = [0.0; MOST_HEADS];
        for bucket in &lesson.buckets {
            add(&mut sums, self.weights_of(*bucket), 1.0);
        }
        self.finish(sums, lesson.buckets.len(), &lesson.shape)
    }

    fn finish(&self, mut sums: PerHead, seen: usize, shape: &[f32]) -> PerHead {
        let scale = scale(seen);
        for sum in &mut sums {
            *sum *= scale;
        }
        for (weights, value) in self.shapes.chunks_exact(self.count).zip(shape) {
            add(&mut sums, weights, *value);
        }
        for sum in sums.iter_mut().take(self.count) {
            *sum = 1.0 / (1.0 + (-*sum).exp());
        }
        sums
    }

    /// Returns what a bucket adds to the log-odds of each head in a text with so many of them.
    pub(super) fn contribution(&self, bucket: u16, seen: usize) -> PerHead {
        let mut sums = [0.0; MOST_HEADS];
        add(&mut sums, self.weights_of(bucket), scale(seen));
        sums
    }

    fn weights_of(&self, bucket: u16) -> &[f32] {
        let begin = usize::from(bucket) * self.count;
        self.words.get(begin..begin + self.count).unwrap_or_default()
    }

    /// Takes over what was learned of prompts alone.
    pub(super) fn begin_with(&mut self, prompts: &Self) {
        for (part, known) in self.parts_mut().into_iter().zip(prompts.parts()) {
            for (number, known) in part.iter_mut().zip(known) {
                *number = *known;
            }
        }
    }

    /// Takes a step towards what a lesson says.
    pub(super) fn learn(&mut self, lesson: &Lesson) {
        let judged = self.judge_lesson(lesson);
        let mut errors = [0.0; MOST_HEADS];
        for outcome in &lesson.outcomes {
            if let Some((error, judged)) = errors.get_mut(outcome.head).zip(judged.get(outcome.head)) {
                *error = (judged - outcome.quality) * outcome.weight;
            }
        }
        let scale = scale(lesson.buckets.len());
        for bucket in &lesson.buckets {
            let begin = usize::from(*bucket) * self.count;
            let places = begin..begin + self.count;
            let (weights, steps) = (
                self.words.get_mut(places.clone()),
                self.word_steps.get_mut(places),
            );
            step(weights, steps, &errors, scale, RATE);
        }
        for (number, value) in lesson
            .shape
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != 0.0)
        {
            let places = number * self.count..(number + 1) * self.count;
            let (weights, steps) = (
                self.shapes.get_mut(places.clone()),
                self.shape_steps.get_mut(places),
            );
            step(weights, steps, &errors, *value, SHAPE_RATE);
        }
    }

    /// Whether each number is one, and each sum of squares above 0.
    pub(super) fn makes_sense(&self) -> bool {
        let mut steps = self.word_steps.iter().chain(&self.shape_steps);
        let mut all = self.parts().into_iter().flatten();
        all.all(|number| number.is_finite()) && steps.all(|step| *step > 0.0)
    }

    /// Returns all numbers, in the order in which a file has them.
    pub(super) const fn parts(&self) -> [&Vec<f32>; 4] {
        [&self.words, &self.shapes, &self.word_steps, &self.shape_steps]
    }

    pub(super) const fn parts_mut(&mut self) -> [&mut Vec<f32>; 4] {
        [
            &mut self.words,
            &mut self.shapes,
            &mut self.word_steps,
            &mut self.shape_steps,
        ]
    }
}

fn add(sums: &mut PerHead, weights: &[f32], times: f32) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += weight * times;
    }
}

/// Takes a step against the errors of the heads that have one, by what one number adds to their sums.
fn step(weights: Option<&mut [f32]>, steps: Option<&mut [f32]>, errors: &PerHead, value: f32, rate: f32) {
    let (Some(weights), Some(steps)) = (weights, steps) else {
        return;
    };
    for ((weight, sum), error) in weights.iter_mut().zip(steps).zip(errors) {
        let gradient = error * value;
        *sum += gradient * gradient;
        *weight -= rate * gradient / sum.sqrt();
    }
}

/// Long texts have many words; all together weigh as much as those of a short one.
fn scale(seen: usize) -> f32 {
    1.0 / number(seen.max(1)).sqrt()
}
