//! Answers with their prompts: what is learned of them, and what is learned from.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::super::request::LatestMessage;
use super::super::verify::{Exchange, Verdict};
use super::super::{Labelled, Quality};
use super::features::{SHAPES, Subject};
use super::heads::{Kind, Lesson, Outcome};
use super::{LearnError, Model, file, trainer};
use crate::model::ModelId;
use crate::storage::StdDisk;
use crate::wire::{AnswerChoice, Ended};

/// Keeps the words of an answer apart from those of a prompt. A model file depends on it: another one is another format.
const OF_ANSWERS: u16 = 0x5a3d;

/// The places of the answer's shape that say something else than of a prompt: those of what is always 1, and of what is
/// beside a prompt.
const ACCEPTED: usize = SHAPES;
const REJECTED: usize = 2 * SHAPES - 4;
const CUT_OFF: usize = 2 * SHAPES - 3;
const DID_NOT_END: usize = 2 * SHAPES - 2;

/// A labelled prompt with the answer that the cheapest model gave to it: what an [`AnswerModel`] is learned from.
///
/// The row holds text for as long as you keep it; what is learned from it does not.
///
/// # Default
/// - the answer ended whole
/// - no other verifier has judged it
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct LabelledAnswer {
    /// The prompt, and how good each model's answer was, with this one.
    pub labelled: Labelled,
    /// What the answer says. Calls of tools follow its text, each on a line of its own: the name, a space, the input.
    pub answer: String,
    /// Why the answer ended.
    pub ended: Ended,
    /// What the verifier that is [heard](crate::router::verify::LearnedVerifier::hearing) said of it.
    pub heard: Option<Quality>,
}

impl LabelledAnswer {
    /// Takes a labelled prompt and the text of the answer.
    pub fn new(labelled: Labelled, answer: impl Into<String>) -> Self {
        Self {
            labelled,
            answer: answer.into(),
            ended: Ended::Whole,
            heard: None,
        }
    }

    /// Says why the answer ended.
    #[must_use]
    pub const fn with_end(mut self, ended: Ended) -> Self {
        self.ended = ended;
        self
    }

    /// Says what another verifier said of the answer.
    #[must_use]
    pub const fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.heard = verdict.quality();
        self
    }

    pub(super) fn lesson(&self, candidates: &[ModelId]) -> Result<Lesson, LearnError> {
        Ok(self.read(trainer::outcomes(candidates, &self.labelled)?))
    }

    fn read(&self, outcomes: Vec<Outcome>) -> Lesson {
        let prompt = Subject::of_text(&self.labelled.prompt);
        lesson(&prompt, &self.answer, self.ended, self.heard, outcomes)
    }
}

/// Shows no text.
impl fmt::Debug for LabelledAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelledAnswer")
            .field("qualities", &self.labelled.qualities)
            .field("ended", &self.ended)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

/// Reads an answer with its prompt.
fn lesson(
    prompt: &Subject<'_>,
    answer: &str,
    ended: Ended,
    heard: Option<Quality>,
    outcomes: Vec<Outcome>,
) -> Lesson {
    let (mut buckets, prompt) = prompt.parts();
    let (words, answer) = Subject::of_text(answer).parts();
    buckets.extend(words.into_iter().map(|bucket| bucket ^ OF_ANSWERS));
    let flag = |is: bool| f32::from(u8::from(is));
    let shape = prompt.into_iter().chain(answer).enumerate();
    let shape = shape.map(|(place, number)| match place {
        ACCEPTED => heard.map_or(0.0, Quality::get),
        REJECTED => heard.map_or(0.0, |heard| 1.0 - heard.get()),
        CUT_OFF => flag(ended == Ended::CutOff),
        DID_NOT_END => flag(!matches!(ended, Ended::Whole | Ended::CutOff)),
        _ => number,
    });
    Lesson {
        buckets,
        shape: shape.collect(),
        outcomes,
    }
}

/// What a [`Trainer`](super::Trainer) learned of the cheapest candidate's answers: how probable it is, now that one is
/// there, that it is good enough, and that a dearer candidate's would be.
///
/// It judges by what a [`Model`] judges a prompt by, and by the same of the answer: its words, its pairs of words, its length
/// and shape, whether it was cut off, and what another verifier said of it. All add to one sum of log-odds, so that the
/// answer corrects the score of the prompt. Words are hashed; no text is kept. For two candidates it takes 1 MiB.
///
/// A [`LearnedVerifier`](crate::router::verify::LearnedVerifier) judges by it.
///
/// # Examples
/// ```
/// use thrifty::router::{Labelled, LabelledAnswer, Trainer};
///
/// let row = |n: usize| {
///     let sure = n % 2 == 0;
///     let answer = if sure { format!("It is {n}.") } else { "I am not sure, perhaps 7?".to_owned() };
///     let labelled = Labelled::new(format!("What is {n} + 0?"));
///     LabelledAnswer::new(labelled.with_quality("gpt-4o-mini", sure).with_quality("gpt-4o", true), answer)
/// };
/// let rows: Vec<LabelledAnswer> = (0..200).map(row).collect();
/// let model = Trainer::new(["gpt-4o-mini", "gpt-4o"]).train_answers(&rows, None)?;
/// assert!(model.gain(&row(201)) > model.gain(&row(202)) + 0.2);
/// # Ok::<(), thrifty::router::LearnError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct AnswerModel(Model);

impl AnswerModel {
    pub(super) const fn of(model: Model) -> Self {
        Self(model)
    }

    /// Returns the models it knows, from the cheapest, whose answers it judges, to the dearest.
    pub fn candidates(&self) -> &[ModelId] {
        self.0.candidates()
    }

    /// Returns a number that changes with what is learned.
    pub const fn version(&self) -> u32 {
        self.0.version()
    }

    /// Returns how probable a good answer is of each candidate, the first one's being this. The row's labels are not looked at.
    pub fn probabilities(&self, row: &LabelledAnswer) -> Vec<f32> {
        let judged = self.0.heads().judge_lesson(&row.read(Vec::new()));
        judged.into_iter().take(self.candidates().len()).collect()
    }

    /// Returns how much more probably good the best dearer candidate's answer is than this one, from -1 to 1. The row's labels
    /// are not looked at.
    ///
    /// It is the score by which to draw a line: a [`HeldOut`](crate::router::HeldOut) row's, of rows that were not trained on.
    pub fn gain(&self, row: &LabelledAnswer) -> f32 {
        self.gain_of(&row.read(Vec::new()))
    }

    /// The same, of the worst choice of an answer.
    ///
    /// # Errors
    /// Why there is nothing to judge.
    pub(in super::super) fn gain_in(
        &self,
        exchange: &Exchange<'_>,
        heard: Option<Quality>,
    ) -> Result<f32, &'static str> {
        if self.candidates().first() != Some(exchange.model()) {
            return Err("nothing was learned of this model's answers");
        }
        let (Some(request), Some(answer)) = (exchange.request(), exchange.answer()) else {
            return Err("it cannot be read");
        };
        if answer.choices().iter().any(|choice| choice.is_refusal) {
            return Err("the model refused");
        }
        if answer.choices().iter().any(AnswerChoice::says_nothing) {
            return Err("it is empty");
        }
        let latest = LatestMessage::of(exchange.endpoint(), request).ok_or("the prompt has no text")?;
        let prompt = Subject::of(latest, request);
        let gains = answer.choices().iter().map(|choice| {
            let lesson = lesson(&prompt, &said(choice), choice.ended, heard, Vec::new());
            self.gain_of(&lesson)
        });
        gains.reduce(f32::max).ok_or("it is empty")
    }

    fn gain_of(&self, lesson: &Lesson) -> f32 {
        self.0.gap(&self.0.heads().judge_lesson(lesson))
    }

    /// Writes the model to a file, as [`Model::save`] does.
    ///
    /// # Errors
    /// If the disk fails. A file that was there is then as it was; or the new one, if only the directory could not be synced.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), LearnError> {
        self.0.save(path)
    }

    /// Reads a model that was [saved](Self::save).
    ///
    /// # Errors
    /// As [`Model::load`]; a model of prompts is something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LearnError> {
        file::load(Kind::Answers, &StdDisk, path.as_ref()).map(Self)
    }
}

impl fmt::Debug for AnswerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerModel").field(&self.0).finish()
    }
}

/// Returns the text of a choice, and its calls of tools.
fn said<'a>(choice: &'a AnswerChoice<'_>) -> Cow<'a, str> {
    let text = Cow::Borrowed(&*choice.text);
    let calls = choice.tool_calls.iter();
    calls.fold(text, |text, call| text + "\n" + &*call.name + " " + &*call.input)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Trainer;
    use super::super::tests::{FULL, MINI, model, rows};
    use super::*;
    use crate::endpoint::Endpoint;

    /// The cheap answer is good if it does not doubt, and mostly if another verifier says so.
    fn answers(count: usize) -> Vec<LabelledAnswer> {
        let row = |(n, labelled): (usize, Labelled)| {
            let doubts = n % 3 == 0;
            let text = if doubts { "Hard to say" } else { "It is so" };
            let good = !doubts && n % 7 != 0;
            let verdict = if n % 7 == 0 {
                Verdict::Reject("no")
            } else {
                Verdict::Accept
            };
            LabelledAnswer::new(
                labelled.with_quality(MINI, good).with_quality(FULL, n % 10 != 3),
                text,
            )
            .with_verdict(verdict)
        };
        rows(0..count).into_iter().enumerate().map(row).collect()
    }

    fn trained() -> AnswerModel {
        Trainer::new([MINI, FULL])
            .train_answers(&answers(300), None)
            .unwrap()
    }

    #[test]
    fn an_answer_that_is_seldom_good_gains_more_by_asking_on() {
        let model = trained();
        let row = |text: &str, verdict| {
            LabelledAnswer::new(Labelled::new("Why is that?"), text).with_verdict(verdict)
        };
        let sure = model.gain(&row("It is so", Verdict::Accept));
        let doubtful = model.gain(&row("Hard to say", Verdict::Accept));
        let rejected = model.gain(&row("It is so", Verdict::Reject("no")));
        assert!(
            sure < 0.1 && doubtful > sure + 0.3 && rejected > sure + 0.15,
            "{sure} {doubtful} {rejected}"
        );
        let [cheap, strong] = model.probabilities(&row("It is so", Verdict::Accept))[..] else {
            panic!("two candidates");
        };
        assert!((strong - cheap - sure).abs() < 1e-6);
    }

    #[test]
    fn words_of_the_prompt_are_not_those_of_the_answer() {
        let model = trained();
        let row = |prompt: &str, answer: &str| LabelledAnswer::new(Labelled::new(prompt), answer);
        let (there, here) = (row("Hard to say", "It is so"), row("It is so", "Hard to say"));
        assert!(model.gain(&here) > model.gain(&there) + 0.2);
    }

    #[test]
    fn an_exchange_is_judged_as_its_texts_are() {
        let (model, cheap) = (trained(), ModelId::from(MINI));
        for (text, finish, ended) in [
            ("Hard to say", "stop", Ended::Whole),
            ("It", "length", Ended::CutOff),
        ] {
            let request =
                json!({"model": FULL, "messages": [{"role": "user", "content": "Prove it"}]}).to_string();
            let call =
                json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}});
            let message = json!({"content": text, "tool_calls": [call]});
            let answer = json!({"choices": [{"message": message, "finish_reason": finish}]}).to_string();
            let exchange = Exchange::new(
                &Endpoint::ChatCompletions,
                request.as_bytes(),
                &cheap,
                answer.as_bytes(),
            );
            let row = LabelledAnswer::new(Labelled::new("Prove it"), format!("{text}\nf {{\"x\":1}}"))
                .with_end(ended);
            assert_eq!(model.gain_in(&exchange, None), Ok(model.gain(&row)));
        }
    }

    #[test]
    fn a_refusal_or_nothing_in_one_choice_leaves_nothing_to_judge() {
        let (model, cheap) = (trained(), ModelId::from(MINI));
        let request =
            json!({"model": FULL, "messages": [{"role": "user", "content": "Prove it"}]}).to_string();
        let good = json!({"message": {"content": "It is so"}, "finish_reason": "stop"});
        for (message, why) in [
            (
                json!({"content": null, "refusal": "I cannot"}),
                "the model refused",
            ),
            (json!({"content": " \n"}), "it is empty"),
            (json!({"content": null}), "it is empty"),
        ] {
            let bad = json!({"message": message, "finish_reason": "stop"});
            for choices in [json!([bad]), json!([good, bad])] {
                let answer = json!({"choices": choices}).to_string();
                let exchange = Exchange::new(
                    &Endpoint::ChatCompletions,
                    request.as_bytes(),
                    &cheap,
                    answer.as_bytes(),
                );
                assert_eq!(model.gain_in(&exchange, None), Err(why), "{answer}");
            }
        }
    }

    #[test]
    fn what_was_learned_of_prompts_is_where_it_begins() {
        let (trainer, prompts) = (Trainer::new([MINI, FULL]), model());
        let few = answers(60);
        let model = trainer.train_answers(&few, Some(&prompts)).unwrap();
        let unseen = |prompt: &str| LabelledAnswer::new(Labelled::new(prompt), "Words that never came");
        let (hard, easy) = (
            unseen("Prove that the sum is odd"),
            unseen("Translate this to French"),
        );
        assert!(model.gain(&hard) > model.gain(&easy) + 0.1);
        let others = Trainer::new([FULL, MINI]).train_answers(&few, Some(&prompts));
        assert!(matches!(others, Err(LearnError::OtherCandidates)));
        let foreign = [LabelledAnswer::new(
            Labelled::new("x").with_quality("o3", true),
            "y",
        )];
        let refused = trainer.train_answers(&foreign, None);
        assert!(matches!(refused, Err(LearnError::UnknownModel { .. })));
        assert!(matches!(
            trainer.train_answers(&[], None),
            Err(LearnError::TooFewLabels { .. })
        ));
    }

    #[test]
    fn a_file_of_one_kind_is_none_of_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (answers, prompts) = (dir.path().join("answers"), dir.path().join("prompts"));
        let (trained, model) = (trained(), model());
        trained.save(&answers).unwrap();
        model.save(&prompts).unwrap();
        assert_eq!(AnswerModel::load(&answers).unwrap(), trained);
        assert_eq!(Model::load(&prompts).unwrap(), model);
        assert!(matches!(
            AnswerModel::load(&prompts),
            Err(LearnError::Foreign { .. })
        ));
        assert!(matches!(Model::load(&answers), Err(LearnError::Foreign { .. })));
    }

    #[test]
    fn no_text_is_shown_or_saved() {
        let row = LabelledAnswer::new(Labelled::new("the secret xyzzy"), "a secret plugh");
        let shown = format!("{row:?} {:?}", trained());
        assert!(!shown.contains("secret") && !shown.contains("plugh"), "{shown}");
    }
}
