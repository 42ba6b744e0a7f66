//! Whether a second model says the same.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::number::last_number;
use super::{Exchange, Verdict, Verifier};
use crate::model::ModelId;
use crate::wire::{AnswerChoice, AnswerView};

/// Accepts an answer if another cheap model, asked the same, says the same.
///
/// What is compared is said by the constructor: a number, a label, JSON, or calls of tools. It is no measure of free
/// prose: two good texts are never alike, and what a model that compares texts would say is another verifier. Two
/// models of one family may make the same mistakes; take one of another, or at least another generation.
///
/// The second model is asked only if the first one's answer has what is compared. Its call is billed, and is an entry of
/// its own in the ledger, with the role [`Opinion`](crate::ledger::Role::Opinion).
///
/// # What it is worth
/// Measured on one pair and one kind of question: 11,997 questions of MMLU-Pro, whose answers are letters, with
/// `gemini-1.5-flash-002` as the cheap model, Llama-3.1-8B as the second and `gemini-1.5-pro-002` as the strong one, at
/// list prices. Means and standard deviations of 20 splits:
///
/// | | saved, net of every step | quality kept |
/// |---|---|---|
/// | agreement alone | 26.5 +- 1.2 % | 99.7 +- 0.7 % |
/// | with a learned [prompt score](crate::router::CascadeRouter::with_prompt_score) | 37.4 +- 5.8 % | 99.6 +- 1.2 % |
/// | the learned score alone, at the quality of the row above | 34.7 % | 99.6 % |
///
/// The second opinion was priced at 0.05 dollars a million tokens of input and 0.08 of output. At 0.22 for either, the
/// cascade saves 33.4 %, less than the score alone: a second opinion has to be cheap beside the strong model.
///
/// # Examples
/// ```
/// use thrifty::router::CascadeRouter;
/// use thrifty::router::verify::Agreement;
///
/// let letters = Agreement::on_label("gpt-4.1-nano", ["A", "B", "C", "D"]);
/// let router = CascadeRouter::new("gpt-4o-mini", letters, "gpt-4o");
/// # let _ = router;
/// ```
#[derive(Debug, Clone)]
pub struct Agreement {
    second: ModelId,
    on: Essence,
}

/// What of an answer is compared.
#[derive(Debug, Clone)]
enum Essence {
    Number,
    Label(Arc<[String]>),
    Json,
    ToolCalls,
}

impl Agreement {
    /// Compares the last number of each answer: `1,234.50` is `1234.5`, and `.5` is `0.5`. What is put together of several,
    /// such as `3/4`, `10:30`, `1.2.3` or `2e5`, is compared as it is written.
    pub fn on_number(second: impl Into<ModelId>) -> Self {
        Self::on(second.into(), Essence::Number)
    }

    /// Compares which of these labels each answer names last, as a word of its own. A label of a single letter must be
    /// written as it is here, others in capitals or not.
    pub fn on_label<L: Into<String>>(
        second: impl Into<ModelId>,
        labels: impl IntoIterator<Item = L>,
    ) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        Self::on(second.into(), Essence::Label(labels))
    }

    /// Compares answers that are JSON, with or without a fence around it. The order of members does not matter.
    pub fn on_json(second: impl Into<ModelId>) -> Self {
        Self::on(second.into(), Essence::Json)
    }

    /// Compares which tools are called, and with what. Their order does not matter, nor does that of members.
    pub fn on_tool_calls(second: impl Into<ModelId>) -> Self {
        Self::on(second.into(), Essence::ToolCalls)
    }

    const fn on(second: ModelId, on: Essence) -> Self {
        Self { second, on }
    }
}

impl Essence {
    /// Returns what is compared, in a form in which what means the same is the same; `None` if it is not there.
    fn of(&self, answer: Option<&AnswerView<'_>>) -> Option<Vec<String>> {
        let choices = answer?.choices();
        if choices.is_empty() {
            return None;
        }
        choices.iter().map(|choice| self.of_choice(choice)).collect()
    }

    fn of_choice(&self, choice: &AnswerChoice<'_>) -> Option<String> {
        match self {
            Self::Number => last_number(&choice.text),
            Self::Label(labels) => last_label(&choice.text, labels),
            Self::Json => json(&choice.text),
            Self::ToolCalls => {
                let calls = choice.tool_calls.iter().map(|call| {
                    let input = json(&call.input).unwrap_or_else(|| call.input.to_string());
                    format!("{}({input})", call.name)
                });
                let mut calls: Vec<_> = calls.collect();
                calls.sort();
                (!calls.is_empty()).then(|| calls.join("\n"))
            }
        }
    }

    const fn missing(&self) -> &'static str {
        match self {
            Self::Number => "it has no number to compare",
            Self::Label(_) => "it has no label to compare",
            Self::Json => "it has no JSON to compare",
            Self::ToolCalls => "it has no calls of tools to compare",
        }
    }
}

/// Returns the label that a text names last.
fn last_label(text: &str, labels: &[String]) -> Option<String> {
    let words: Vec<(usize, &str)> = labels
        .iter()
        .filter_map(|label| Some((last_word(text, label)?, label.as_str())))
        .collect();
    // Of two that end at the same place, `not spam` and `spam`, the longer one is meant.
    let last = words.into_iter().max_by_key(|(end, label)| (*end, label.len()));
    last.map(|(_, label)| label.to_owned())
}

/// Returns where a text last has a label as a word of its own, by its end.
fn last_word(text: &str, label: &str) -> Option<usize> {
    let is_letter = label.chars().nth(1).is_none();
    let (text, label) = if is_letter {
        (text.to_owned(), label.to_owned())
    } else {
        (text.to_lowercase(), label.to_lowercase())
    };
    if label.is_empty() {
        return None;
    }
    let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
    let stands_alone = |at: &usize| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let after = text
            .get(at + label.len()..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    let mut places = text.rmatch_indices(&label).map(|(at, _)| at);
    places.find(stands_alone).map(|at| at + label.len())
}

/// Returns JSON in one form: members by name, without white space.
fn json(text: &str) -> Option<String> {
    let text = text.trim();
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let text = inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside));
    let value: Value = serde_json::from_str(text).ok()?;
    Some(sorted(value).to_string())
}

/// Puts the members of all objects in order, whatever order `serde_json` keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Number(number) => match number.as_f64() {
            // `1.0` is `1`.
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => last_number(&number.to_string())
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or(Value::Number(number)),
            _ => Value::Number(number),
        },
        other => other,
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Verifier for Agreement {
    async fn judge(&self, exchange: &Exchange<'_>) -> Verdict {
        let Some(first) = self.on.of(exchange.answer()) else {
            return Verdict::Reject(self.on.missing());
        };
        if exchange.second_body().is_none() {
            return Verdict::AskSecond;
        }
        match self.on.of(exchange.second()) {
            Some(second) if first == second => Verdict::Accept,
            _ => Verdict::Reject("the second model does not agree"),
        }
    }

    fn second_opinion(&self) -> Option<&ModelId> {
        Some(&self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words_of_their_own() {
        let letters: Vec<String> = ["A", "B", "C"].map(Into::into).into();
        for (text, label) in [
            ("The answer is (B).", Some("B")),
            ("A or C? C, since a is no good", Some("C")),
            ("About", None),
            ("**B**", Some("B")),
            ("b", None),
        ] {
            assert_eq!(last_label(text, &letters).as_deref(), label, "{text}");
        }
        let words: Vec<String> = ["spam", "not spam"].map(Into::into).into();
        assert_eq!(
            last_label("This is NOT SPAM", &words).as_deref(),
            Some("not spam")
        );
        assert_eq!(last_label("Spam!", &words).as_deref(), Some("spam"));
        assert_eq!(last_label("spammer", &words), None);
    }

    #[test]
    fn json_is_compared_by_what_it_says() {
        let one = json("```json\n{\"b\":[1.0,2],\"a\":{\"y\":1,\"x\":2}}\n```");
        assert_eq!(one, json("{ \"a\": {\"x\":2, \"y\":1}, \"b\": [1, 2] }"));
        assert!(one.is_some());
        assert_ne!(one, json("{\"a\":{\"x\":2,\"y\":1},\"b\":[2,1]}"));
        assert_eq!(json("Here it is: {}"), None);
    }
}
