//! Your rules first, then a look at the shape of the latest user message.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::tiers::{Tier, Tiers};
use super::{Route, RouteError, RouteRequest, Router};
use crate::model::ModelId;
use crate::wire;

/// Routes by your rules, and where none applies by a structural score of the latest user message.
///
/// The score looks at no more than 8 kB of that message, never at the system prompt, the tools or earlier turns, and
/// adds points for what tends to need a strong model:
///
/// | sign | points |
/// |---|---|
/// | more than 400 bytes; more than 1,600 | 1; 2 |
/// | a code block, or lines that look like code | 2 |
/// | formulas: operators among digits, `\frac`, `∑` | 1 |
/// | words that ask for reasoning (`prove`, `derive`, `why`, `step by step`, `compare`, ...), the first two | 1 each |
/// | three or more items, lines or questions to answer | 1 |
///
/// The strong model is asked from the threshold on. A sum of signs is easy to understand, and not much better than a coin
/// at telling which prompts a cheap model fails on. Its APGR, with the best lines that can be drawn through its points,
/// is 0.547 (0.532 to 0.563) on MMLU, 0.543 (0.519 to 0.568) on GSM8K and 0.597 (0.561 to 0.638) on MMLU-Pro, where a
/// coin has 0.500 and the length of the prompt 0.586, 0.598 and 0.688; at its default threshold 0.497, 0.500 and 0.533,
/// since nearly all of these prompts have fewer than 3 points (`cargo bench --bench router -- tables`;
/// [`Curve`](super::Curve) defines the measure). [Measure](super::evaluate) it on your own traffic before you rely on it.
///
/// # Default
/// - no rules
/// - a threshold of 3 points
///
/// # Examples
/// ```
/// use thrifty::router::{HeuristicRouter, Rule, Tier};
///
/// let router = HeuristicRouter::new("gpt-4o-mini", "gpt-4o")
///     .with_rule(Rule::feature("contracts", Tier::Strong))
///     .with_rule(Rule::phrase("translate", Tier::Cheap))
///     .with_threshold(2);
/// # let _ = router;
/// ```
#[derive(Debug, Clone)]
pub struct HeuristicRouter {
    tiers: Tiers,
    rules: Vec<Rule>,
    threshold: u32,
}

impl HeuristicRouter {
    /// Takes the cheap and the strong model.
    pub fn new(cheap: impl Into<ModelId>, strong: impl Into<ModelId>) -> Self {
        Self {
            tiers: Tiers::new(cheap.into(), strong.into()),
            rules: Vec::new(),
            threshold: 3,
        }
    }

    /// Adds a rule. The first rule that applies decides.
    #[must_use]
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Sets from how many points on the strong model is asked.
    #[must_use]
    pub const fn with_threshold(mut self, points: u32) -> Self {
        self.threshold = points;
        self
    }
}

/// A rule of a [`HeuristicRouter`]: when it applies, and which model is asked then.
#[derive(Debug, Clone)]
pub struct Rule {
    when: When,
    tier: Tier,
}

#[derive(Debug, Clone)]
enum When {
    Feature(Arc<str>),
    Tag(Arc<str>, Arc<str>),
    Phrase(Arc<str>),
    Tools,
}

impl Rule {
    /// Applies to calls of this feature.
    pub fn feature(feature: impl Into<Arc<str>>, tier: Tier) -> Self {
        Self {
            when: When::Feature(feature.into()),
            tier,
        }
    }

    /// Applies to calls with this tag.
    pub fn tag(key: impl Into<Arc<str>>, value: impl Into<Arc<str>>, tier: Tier) -> Self {
        Self {
            when: When::Tag(key.into(), value.into()),
            tier,
        }
    }

    /// Applies if the first 8 kB of the latest user message contain this phrase, in any ASCII case.
    pub fn phrase(phrase: impl AsRef<str>, tier: Tier) -> Self {
        Self {
            when: When::Phrase(phrase.as_ref().to_ascii_lowercase().into()),
            tier,
        }
    }

    /// Applies to requests that bring tools.
    pub const fn tools(tier: Tier) -> Self {
        Self {
            when: When::Tools,
            tier,
        }
    }

    fn applies(&self, request: &RouteRequest<'_>, text: Option<&str>) -> bool {
        match &self.when {
            When::Feature(feature) => request.attribution().feature() == Some(feature),
            When::Tag(key, value) => request.attribution().tag(key) == Some(value),
            When::Phrase(phrase) => text.is_some_and(|text| text.to_ascii_lowercase().contains(&**phrase)),
            When::Tools => wire::has_some(request.view().tools),
        }
    }
}

impl fmt::Display for Rule {
    /// Names the rule without quoting the phrase, which may come from a prompt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::Feature(feature) => write!(f, "rule for feature {feature}"),
            When::Tag(key, value) => write!(f, "rule for tag {key}={value}"),
            When::Phrase(_) => f.write_str("rule for a phrase"),
            When::Tools => f.write_str("rule for tools"),
        }
    }
}

#[async_trait]
impl Router for HeuristicRouter {
    async fn route(&self, request: &RouteRequest<'_>) -> Result<Route, RouteError> {
        if !self.tiers.apply_to(request) {
            return Ok(Route::keep());
        }
        let text = request.latest_user_text();
        if let Some(rule) = self
            .rules
            .iter()
            .find(|rule| rule.applies(request, text.as_deref()))
        {
            return Ok(self.tiers.choose(request, rule.tier, rule));
        }
        let Some(text) = text else {
            return Ok(self.tiers.choose(request, Tier::Strong, "no user text to judge"));
        };
        let score = Score::of(&text);
        let tier = if score.points() >= self.threshold {
            Tier::Strong
        } else {
            Tier::Cheap
        };
        Ok(self.tiers.choose(
            request,
            tier,
            format_args!("{score}, strong from {}", self.threshold),
        ))
    }

    fn reference_model(&self) -> Option<&ModelId> {
        Some(self.tiers.strong())
    }

    fn candidates(&self) -> Vec<ModelId> {
        self.tiers.all()
    }
}

/// Words that ask for more than recall, in lower case.
const REASONING: [&[u8]; 14] = [
    b"prove",
    b"derive",
    b"why",
    b"step by step",
    b"compare",
    b"analyze",
    b"analyse",
    b"design",
    b"optimize",
    b"debug",
    b"refactor",
    b"explain how",
    b"trade-off",
    b"calculate",
];

/// The signs found in a text, and the points they are worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Score {
    length: u32,
    code: u32,
    formula: u32,
    reasoning: u32,
    parts: u32,
}

impl Score {
    /// Reads the text once.
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut score = Self {
            length: u32::from(bytes.len() > 400) + u32::from(bytes.len() > 1_600),
            ..Self::default()
        };
        let (mut code, mut formula, mut parts) = (0_u32, 0_u32, 0_u32);
        let (mut previous, mut line_start) = (b'\n', true);
        for (at, byte) in bytes.iter().copied().enumerate() {
            let rest = || bytes.get(at..).unwrap_or_default();
            match byte {
                b'`' if rest().starts_with(b"```") => code += 3,
                b'{' | b'}' | b';' => code += 1,
                b'=' | b'^' | b'*' | b'+' | b'/' if previous.is_ascii_digit() || previous == b' ' => {
                    formula += 1;
                }
                b'\\' if rest().starts_with(b"\\frac") || rest().starts_with(b"\\sum") => formula += 3,
                0xE2 if rest().starts_with("∑".as_bytes()) || rest().starts_with("∫".as_bytes()) => {
                    formula += 3;
                }
                b'?' => parts += 1,
                b'-' | b'*' | b'0'..=b'9' if line_start => parts += 1,
                b'a'..=b'z' | b'A'..=b'Z' if !previous.is_ascii_alphabetic() && score.reasoning < 2 => {
                    score.reasoning += u32::from(starts_a_reasoning_word(rest()));
                }
                _ => {}
            }
            line_start = byte == b'\n' || (line_start && byte == b' ');
            previous = byte;
        }
        score.code = if code >= 3 { 2 } else { 0 };
        score.formula = u32::from(formula >= 2);
        score.parts = u32::from(parts >= 3);
        score
    }

    const fn points(self) -> u32 {
        self.length + self.code + self.formula + self.reasoning + self.parts
    }
}

fn starts_a_reasoning_word(text: &[u8]) -> bool {
    REASONING.iter().any(|word| {
        text.get(..word.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    })
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points", self.points())?;
        let signs = [
            ("length", self.length),
            ("code", self.code),
            ("formulas", self.formula),
            ("reasoning words", self.reasoning),
            ("several parts", self.parts),
        ];
        let mut open = " (";
        for (sign, points) in signs.into_iter().filter(|(_, points)| *points > 0) {
            write!(f, "{open}{sign} {points}")?;
            open = ", ";
        }
        if open == ", " { f.write_str(")") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_questions_score_low_and_hard_ones_high() {
        assert_eq!(Score::of("What is the capital of France?").points(), 0);
        let hard = "Prove that 2^n > n for all n, step by step:\n- base case\n- induction step\n- conclusion\nf(n) = 2^n; g(n) = n;";
        assert!(Score::of(hard).points() >= 3, "{}", Score::of(hard));
        assert_eq!(Score::of("```rust\nfn main() {}\n```").code, 2);
        assert_eq!(Score::of("").to_string(), "0 points");
    }

    #[test]
    fn the_reason_shows_the_signs() {
        assert_eq!(
            Score::of("Why? And why? Or why?").to_string(),
            "3 points (reasoning words 2, several parts 1)"
        );
    }
}
