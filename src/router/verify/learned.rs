//! What a learned model says of an answer.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;
use crate::router::{AnswerModel, Quality, Threshold, Tier};

/// Judges an answer by what was learned of such prompts and answers.
///
/// What counts is not whether the answer is good but what is gained by asking on: how much more probably good the strong
/// model's answer is than this one. A wrong answer to a prompt that no model answers well will do. Prompt and answer are
/// judged together; see [`AnswerModel`].
///
/// It judges answers of the model that it learned from, the first candidate, and rejects any other's. Of several choices the
/// worst one counts. Refusals, and answers without text, calls or media, it rejects unjudged.
///
/// # Default
/// - it is [`Unsure`](Verdict::Unsure) of every answer, by one half less half of the gain: from 0.5 on, which is where a
///   cascade accepts, the strong model's answer is no more probably good
/// - no other verifier is heard
///
/// # What it is worth
/// Of the one set that it could be measured on, only the letter and the length of each answer are known, not its words: 11,997
/// questions of MMLU-Pro, at list prices. What is saved net of every step, and what is kept of the quality, in percent; means
/// and standard deviations of 20 splits, lines for a floor of 99.3 % with a confidence of 0.6, and
/// [`CascadeLines::by_cost`](crate::router::CascadeLines::by_cost) to spare the cheap model where it does not pay
/// (`cargo bench --bench router -- cascade`):
///
/// | | Gemini 1.5 Flash, then Pro; Llama 3.1 8B heard | Llama 3.1 8B, then Gemini 1.5 Pro; Flash heard |
/// |---|---|---|
/// | hearing agreement | 38.9 +- 5.7, keeps 99.7 | 24.8 +- 4.5, keeps 99.5 |
/// | alone | 38.8 +- 6.7, keeps 99.6 | 2.9 +- 1.1, keeps 99.4 |
/// | agreement with a prompt score | 37.4 +- 5.8, keeps 99.6 | 15.6 +- 3.9, keeps 99.7 |
/// | agreement without one | 26.5 +- 1.2, keeps 99.7 | 26.5 +- 1.2, keeps 99.5 |
/// | the prompt score alone, by the same floor | 34.4 +- 8.1, keeps 99.6 | 2.2 +- 1.3, keeps 99.4 |
///
/// Hearing agreement, it is no worse than the better of the others, within the spread, without having to know which that is.
/// `by_cost` looks at no quality and may lower it below the floor: hold what it
/// [expects](crate::router::CascadeLines::expected) against what you want.
///
/// # Examples
/// ```
/// use thrifty::router::verify::{Finished, LearnedVerifier, VerifierExt};
/// use thrifty::router::{Answered, CascadeRouter, HeldOut, Labelled, LabelledAnswer, Target, Threshold, Trainer};
///
/// // Rows with both models' labels; here the cheap model is right where it does not doubt.
/// let row = |n: usize| {
///     let sure = n % 4 != 0;
///     let answer = if sure { format!("It is {n}.") } else { "I am not sure, perhaps 7?".to_owned() };
///     let labelled = Labelled::new(format!("What is {n} + 0?"));
///     LabelledAnswer::new(labelled.with_quality("gpt-4o-mini", sure).with_quality("gpt-4o", true), answer)
/// };
/// let rows: Vec<LabelledAnswer> = (0..800).map(row).collect();
/// let (train, held_out) = rows.split_at(500);
/// let model = Trainer::new(["gpt-4o-mini", "gpt-4o"]).train_answers(train, None)?;
///
/// // The line by rows that were not trained on.
/// let scored = held_out.iter().map(|row| {
///     let of = |model| row.labelled.qualities.get(model).copied().map(Answered::new);
///     Some(HeldOut::new(model.gain(row), of("gpt-4o-mini")?, of("gpt-4o")?))
/// });
/// let scored: Vec<HeldOut> = scored.flatten().collect();
/// let line = Threshold::pick(&scored, &Target::quality_floor(0.98))?;
/// let verifier = Finished::new().and(LearnedVerifier::new(model).with_threshold(line));
/// let router = CascadeRouter::new("gpt-4o-mini", verifier, "gpt-4o");
/// # let _ = router;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LearnedVerifier {
    model: Arc<AnswerModel>,
    heard: Option<Arc<dyn Verifier>>,
    line: Option<Threshold>,
}

impl LearnedVerifier {
    /// Takes what was learned.
    pub fn new(model: AnswerModel) -> Self {
        Self {
            model: Arc::new(model),
            heard: None,
            line: None,
        }
    }

    /// Hears what another verifier says, such as an [`Agreement`](super::Agreement): one more thing to judge by, as in the rows
    /// that were learned from ([`LabelledAnswer::heard`](crate::router::LabelledAnswer::heard)). What it rejects may still do.
    #[must_use]
    pub fn hearing(mut self, verifier: impl Verifier) -> Self {
        self.heard = Some(Arc::new(verifier));
        self
    }

    /// Accepts answers whose [gain](AnswerModel::gain) is below a line, and rejects the others.
    #[must_use]
    pub const fn with_threshold(mut self, line: Threshold) -> Self {
        self.line = Some(line);
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Verifier for LearnedVerifier {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let heard = match &self.heard {
            Some(verifier) => match verifier.judge(exchange).await {
                Verdict::AskSecond => return Verdict::AskSecond,
                verdict => verdict.quality(),
            },
            None => None,
        };
        let gain = match self.model.gain_in(exchange, heard) {
            Ok(gain) => gain,
            Err(why) => return Verdict::Reject(why),
        };
        match self.line.map(|line| line.tier(gain)) {
            None => {
                Quality::new((1.0 - gain) / 2.0).map_or(Verdict::Reject("it has no number"), Verdict::Unsure)
            }
            Some(Tier::Cheap) => Verdict::Accept,
            Some(Tier::Strong) => Verdict::Reject("the next model's answer is probably better"),
        }
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        self.heard.as_ref()?.second_opinion()
    }
}
