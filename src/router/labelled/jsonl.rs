//! Labelled prompts from a file, one JSON object a line.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::Labelled;
use crate::model::ModelId;
use crate::router::Quality;

/// How long a line may be, in bytes: 64 MiB.
const LONGEST: u64 = 64 << 20;

/// How many characters of an answer count as a token where a file states only characters.
const CHARS_A_TOKEN: u64 = 4;

/// Reads labelled prompts, one JSON object a line.
///
/// | member | |
/// |---|---|
/// | `prompt` | the text of the user's message |
/// | `score` | how good each model's answer was, from 0 to 1: `{"gpt-4o": 1.0, "gpt-4o-mini": 0}` |
/// | `output_tokens` | the tokens of each model's answer; may be missing |
/// | `output_chars` | its characters, of which four are taken for a token where `output_tokens` says nothing; may be missing |
/// | `contaminated` | if `true`, the line is left out: a model has seen the prompt with its answer in training |
///
/// Other members are ignored, and so are empty lines. A line has 64 MiB at most.
///
/// # Errors
/// At the first line that cannot be used, with its number. The error quotes nothing of the line but names of models.
///
/// # Examples
/// ```
/// use thrifty::router::read_labelled;
///
/// let lines = r#"{"prompt": "2 + 2?", "score": {"small": 1.0, "large": 1.0}, "subject": "sums"}"#;
/// let labelled = read_labelled(lines.as_bytes())?;
/// assert_eq!(labelled[0].prompt, "2 + 2?");
///
/// let wrong = r#"{"prompt": "2 + 2?", "score": {"small": 1.5}}"#;
/// let error = read_labelled(wrong.as_bytes()).unwrap_err();
/// assert_eq!(error.line(), 1);
/// # Ok::<(), thrifty::router::ReadLabelledError>(())
/// ```
pub fn read_labelled(mut lines: impl BufRead) -> Result<Vec<Labelled>, ReadLabelledError> {
    let (mut labelled, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        number += 1;
        line.clear();
        let wrong = |problem| ReadLabelledError {
            line: number,
            problem,
        };
        let read = (&mut lines).take(LONGEST + 1).read_until(b'\n', &mut line);
        if read.map_err(|error| wrong(LineProblem::Io(error)))? == 0 {
            return Ok(labelled);
        }
        if u64::try_from(line.len()).is_ok_and(|len| len > LONGEST) {
            return Err(wrong(LineProblem::TooLong));
        }
        let text = line.trim_ascii_end();
        if !text.is_empty() {
            labelled.extend(read_line(text).map_err(wrong)?);
        }
    }
}

/// A file of labelled prompts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the labelled prompts cannot be used")]
pub struct ReadLabelledError {
    line: u64,
    #[source]
    problem: LineProblem,
}

impl ReadLabelledError {
    /// Returns the number of the line, counted from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Returns what is wrong with it.
    pub const fn problem(&self) -> &LineProblem {
        &self.problem
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// It could not be read.
    #[error("it could not be read")]
    Io(#[source] io::Error),
    /// It is longer than 64 MiB.
    #[error("it is longer than 64 MiB")]
    TooLong,
    /// It is not a JSON object whose members have the types that they must have.
    #[error("it is no JSON object of the right types (column {column})")]
    Malformed {
        /// Where that is found out, in bytes counted from 1.
        column: usize,
    },
    /// It has no `prompt`.
    #[error("it has no `prompt`")]
    NoPrompt,
    /// It has no `score`, or one without a model.
    #[error("it has no `score` of any model")]
    NoScore,
    /// A score is not a number from 0 to 1.
    #[error("the score of {model} is not a number from 0 to 1")]
    BadScore {
        /// Whose score.
        model: ModelId,
    },
    /// A model has two scores, or two counts.
    #[error("{model} is there twice")]
    Twice {
        /// Which model.
        model: ModelId,
    },
}

#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    score: Option<Pairs<Grade>>,
    output_tokens: Option<Pairs<Option<u64>>>,
    output_chars: Option<Pairs<Option<u64>>>,
    contaminated: Option<bool>,
}

/// A number; `None` for what is none, such as `null` or `"NaN"`, so that the error can name the model.
struct Grade(Option<f64>);

impl<'de> Deserialize<'de> for Grade {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_f64()))
    }
}

/// An object's members as they are, repeated ones too.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object by model")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// Reads one line; `None` if it is to be left out.
fn read_line(line: &[u8]) -> Result<Option<Labelled>, LineProblem> {
    // A struct is also read from an array of its members.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(LineProblem::Malformed { column: 1 });
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| LineProblem::Malformed {
        column: error.column(),
    })?;
    let prompt = line.prompt.ok_or(LineProblem::NoPrompt)?;
    let grades = by_model(line.score.unwrap_or(Pairs(Vec::new())))?;
    if grades.is_empty() {
        return Err(LineProblem::NoScore);
    }
    let mut labelled = Labelled::new(prompt);
    for (model, Grade(grade)) in grades {
        #[expect(clippy::cast_possible_truncation, reason = "a quality needs no more digits")]
        let quality = grade
            .filter(|grade| (0.0..=1.0).contains(grade))
            .map(|grade| grade as f32);
        let Some(quality) = quality.and_then(Quality::new) else {
            return Err(LineProblem::BadScore { model });
        };
        labelled.qualities.insert(model, quality);
    }
    let none = || Pairs(Vec::new());
    for (model, chars) in by_model(line.output_chars.unwrap_or_else(none))? {
        let tokens = chars.map(|chars| chars.div_ceil(CHARS_A_TOKEN));
        labelled
            .output_tokens
            .extend(tokens.map(|tokens| (model, tokens)));
    }
    for (model, tokens) in by_model(line.output_tokens.unwrap_or_else(none))? {
        labelled
            .output_tokens
            .extend(tokens.map(|tokens| (model, tokens)));
    }
    Ok((line.contaminated != Some(true)).then_some(labelled))
}

fn by_model<T>(pairs: Pairs<T>) -> Result<BTreeMap<ModelId, T>, LineProblem> {
    let mut models = BTreeMap::new();
    for (name, value) in pairs.0 {
        let model = ModelId::from(&*name);
        if models.insert(model.clone(), value).is_some() {
            return Err(LineProblem::Twice { model });
        }
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use proptest::prelude::*;

    use super::*;

    fn problem(line: &str) -> String {
        let text = format!("{{\"prompt\":\"a\",\"score\":{{\"m\":1}}}}\n\n{line}\n");
        let error = read_labelled(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 3 of the labelled prompts cannot be used");
        error.source().unwrap().to_string()
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named_with_its_number_and_what_is_wrong() {
        for (line, wanted) in [
            (r#"{"score":{"m":1}}"#, "it has no `prompt`"),
            (r#"{"prompt":"a"}"#, "it has no `score` of any model"),
            (r#"{"prompt":"a","score":{}}"#, "it has no `score` of any model"),
            (
                r#"{"prompt":"a","score":{"m":1.01}}"#,
                "the score of m is not a number from 0 to 1",
            ),
            (
                r#"{"prompt":"a","score":{"m":-0.5}}"#,
                "the score of m is not a number from 0 to 1",
            ),
            (
                r#"{"prompt":"a","score":{"m":"NaN"}}"#,
                "the score of m is not a number from 0 to 1",
            ),
            (
                r#"{"prompt":"a","score":{"m":null}}"#,
                "the score of m is not a number from 0 to 1",
            ),
            (r#"{"prompt":"a","score":{"m":1,"m":0}}"#, "m is there twice"),
            (
                r#"{"prompt":"a","score":{"m":NaN}}"#,
                "it is no JSON object of the right types (column 28)",
            ),
            (
                r#"{"prompt":"a","score":{"m":1e999}}"#,
                "it is no JSON object of the right types (column 32)",
            ),
            (
                r#"{"prompt":7,"score":{"m":1}}"#,
                "it is no JSON object of the right types (column 11)",
            ),
            ("[]", "it is no JSON object of the right types (column 1)"),
            (
                r#"{"prompt":"secret"#,
                "it is no JSON object of the right types (column 17)",
            ),
        ] {
            assert_eq!(problem(line), wanted, "{line}");
        }
    }

    #[test]
    fn unknown_members_are_ignored_and_contaminated_lines_left_out() {
        let text = r#"{"prompt":"a","score":{"m":1},"contaminated":true}
{"source":"x","prompt":"b","score":{"m":0.5,"n":1},"output_chars":{"m":9,"n":4},"output_tokens":{"n":7},"contaminated":false}"#;
        let labelled = read_labelled(text.as_bytes()).unwrap();
        let wanted = Labelled::new("b")
            .with_quality("m", Quality::new(0.5).unwrap())
            .with_quality("n", Quality::GOOD)
            .with_output_tokens("m", 3)
            .with_output_tokens("n", 7);
        assert_eq!(labelled, [wanted]);
    }

    #[test]
    fn an_error_quotes_no_prompt() {
        for line in [
            r#"{"prompt":["secret"],"score":{}}"#,
            r#"{"prompt":"secret","score":"secret"}"#,
        ] {
            let error = read_labelled(line.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}{error}{}", error.problem()).contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_labelled(&*bytes);
        }

        #[test]
        fn a_line_with_a_change_is_read_or_refused_with_its_number(at in 0_usize..90, byte in any::<u8>()) {
            let mut bytes = br#"{"prompt":"2 + 2?","score":{"small":1.0,"large":0.25},"output_chars":{"small":17}}"#.to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            match read_labelled(&*bytes) {
                Ok(labelled) => prop_assert!(labelled.iter().all(|row| !row.qualities.is_empty())),
                Err(error) => prop_assert!(error.line() <= 2),
            }
        }

        #[test]
        fn what_was_written_is_read(prompt in any::<String>(), quality in 0.0_f32..=1.0, tokens in any::<u64>()) {
            let line = serde_json::json!({"prompt": prompt, "score": {"m": quality}, "output_tokens": {"m": tokens}});
            let read = read_labelled(line.to_string().as_bytes()).unwrap();
            let wanted = Labelled::new(prompt).with_quality("m", Quality::new(quality).unwrap()).with_output_tokens("m", tokens);
            prop_assert_eq!(read, [wanted]);
        }
    }
}
