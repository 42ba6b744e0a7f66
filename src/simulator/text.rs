//! What the simulator says: always the same for the same seed and prompt.

use serde_json::{Map, Value, json};

/// Words that are one token each after a space, in both of OpenAI's current encodings.
const WORDS: &[&str] = &[
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "with",
    "as",
    "on",
    "by",
    "at",
    "from",
    "are",
    "this",
    "which",
    "when",
    "each",
    "more",
    "most",
    "many",
    "some",
    "first",
    "last",
    "small",
    "large",
    "long",
    "short",
    "common",
    "clear",
    "simple",
    "different",
    "same",
    "water",
    "light",
    "time",
    "world",
    "people",
    "work",
    "part",
    "place",
    "case",
    "point",
    "number",
    "group",
    "problem",
    "fact",
    "way",
    "day",
    "year",
    "system",
    "question",
    "answer",
    "reason",
    "result",
    "example",
    "change",
    "level",
    "order",
    "form",
    "value",
    "process",
    "model",
];

/// Words that open a sentence; one token each after a space.
const OPENERS: &[&str] = &[
    "The", "This", "It", "We", "They", "In", "For", "When", "As", "Each",
];

/// A 64-bit hash that is the same on every machine and in every version of Rust.
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| (state ^ word).wrapping_mul(K).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = words.iter().fold(mix(seed, bytes.len() as u64), |state, word| {
        mix(state, u64::from_le_bytes(*word))
    });
    for byte in rest {
        state = mix(state, u64::from(*byte));
    }
    state ^= state >> 32;
    state = state.wrapping_mul(K);
    state ^ (state >> 29)
}

/// Writes prose of exactly so many tokens.
pub(super) fn prose(rng: &mut fastrand::Rng, tokens: u64) -> String {
    let mut text = String::with_capacity(usize::try_from(tokens).unwrap_or(0) * 6);
    let mut left_in_sentence = 0_u32;
    for _ in 0..tokens {
        let word = if left_in_sentence == 0 {
            left_in_sentence = rng.u32(7..16);
            OPENERS.get(rng.usize(..OPENERS.len()))
        } else if left_in_sentence == 1 {
            left_in_sentence = 0;
            text.push('.');
            continue;
        } else {
            WORDS.get(rng.usize(..WORDS.len()))
        };
        left_in_sentence -= 1;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word.copied().unwrap_or_default());
    }
    text
}

/// About how many bytes a schema can make the simulator write. What is beyond stays away, required or not.
const LARGEST: usize = 100_000;

/// Makes a value that is valid against the simple parts of a JSON schema: types, `enum`, `const`, `required`, `items`,
/// `anyOf`, `$ref` into `$defs`, and bounds on integers and lengths.
pub(super) fn instance(rng: &mut fastrand::Rng, schema: &Value) -> Value {
    let mut instance = Instance {
        rng,
        root: schema,
        left: LARGEST,
    };
    instance.of(schema, 0)
}

/// An instance in the making.
struct Instance<'a> {
    rng: &'a mut fastrand::Rng,
    root: &'a Value,
    /// How many bytes it may still get.
    left: usize,
}

impl Instance<'_> {
    fn of(&mut self, schema: &Value, depth: u32) -> Value {
        self.spend(5);
        if depth > 12 || self.left == 0 {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let root = self.root;
            let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
            return found.map_or(Value::Null, |found| self.of(found, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return self.given(value);
        }
        let list = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_array)
                .filter(|list| !list.is_empty())
        };
        if let Some(value) = list("enum").and_then(|list| list.get(self.rng.usize(..list.len()))) {
            return self.given(value);
        }
        let branch = ["anyOf", "oneOf", "allOf"]
            .into_iter()
            .find_map(|name| list(name)?.first());
        if let Some(branch) = branch {
            return self.of(branch, depth + 1);
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            other => other.and_then(Value::as_str),
        };
        match kind {
            Some("string") => self.string(schema),
            Some("integer" | "number") => self.number(schema),
            Some("boolean") => json!(self.rng.bool()),
            Some("null") => Value::Null,
            Some("array") => {
                let any = json!({"type": "string"});
                let items = schema.get("items").unwrap_or(&any);
                let count = length(schema, "minItems").unwrap_or(2).min(64);
                let count = count.min(length(schema, "maxItems").unwrap_or(count));
                let more = |_| (self.left > 0).then(|| self.of(items, depth + 1));
                (0..count).map_while(more).collect()
            }
            _ => self.object(schema, depth),
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Takes a value out of the schema.
    fn given(&mut self, value: &Value) -> Value {
        let bytes = value.to_string().len();
        if bytes > self.left {
            self.left = 0;
            return Value::Null;
        }
        self.spend(bytes);
        value.clone()
    }

    fn string(&mut self, schema: &Value) -> Value {
        let mut text = prose(self.rng, 4).replace('.', "");
        while text.len() < length(schema, "minLength").unwrap_or(0).min(self.left) {
            text.push('a');
        }
        text.truncate(length(schema, "maxLength").unwrap_or(usize::MAX));
        self.spend(text.len());
        Value::String(text)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let low =
            bound(schema, "minimum").or_else(|| Some(bound(schema, "exclusiveMinimum")?.saturating_add(1)));
        let high =
            bound(schema, "maximum").or_else(|| Some(bound(schema, "exclusiveMaximum")?.saturating_sub(1)));
        let low = low.unwrap_or_else(|| high.map_or(1, |high| high.min(1)));
        let high = high.unwrap_or_else(|| low.saturating_add(99)).max(low);
        json!(self.rng.i64(low..=high))
    }

    /// Fills the required properties, or all if the schema does not say which are.
    fn object(&mut self, schema: &Value, depth: u32) -> Value {
        let mut filled = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if self.left <= name.len() {
                break;
            }
            if required.is_none_or(|required| required.iter().any(|wanted| wanted == name)) {
                self.spend(name.len() + 4);
                filled.insert(name.clone(), self.of(schema, depth + 1));
            }
        }
        Value::Object(filled)
    }
}

fn bound(schema: &Value, name: &str) -> Option<i64> {
    schema.get(name).and_then(Value::as_i64)
}

fn length(schema: &Value, name: &str) -> Option<usize> {
    bound(schema, name).and_then(|bound| usize::try_from(bound).ok())
}

/// Cuts a text into pieces of a word or two, as a stream brings them.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let long_enough = rest
            .char_indices()
            .find(|(at, char)| (*char == ' ' && *at >= 6) || *at >= 24);
        let (piece, left) = rest.split_at(long_enough.map_or(rest.len(), |(at, _)| at));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokens::TokenCounter;

    proptest! {
        #[test]
        fn prose_has_exactly_as_many_tokens_as_asked_for(seed in any::<u64>(), tokens in 0_u64..300) {
            let text = prose(&mut fastrand::Rng::with_seed(seed), tokens);
            for model in ["gpt-4o", "gpt-4"] {
                prop_assert_eq!(TokenCounter::new().count_text(model, &text).tokens, tokens, "{}", &text);
            }
        }

        #[test]
        fn pieces_put_together_are_the_text(text in "[a-z é\"{}]{0,80}") {
            prop_assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }

    #[test]
    fn an_instance_has_what_its_schema_requires() {
        let schema = json!({
            "type": "object", "required": ["city", "unit", "days", "home", "tags"],
            "properties": {
                "city": {"type": "string", "maxLength": 5}, "unit": {"enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 3, "maximum": 5}, "note": {"type": "string"},
                "home": {"$ref": "#/$defs/place"}, "tags": {"type": "array", "items": {"type": "boolean"}},
            },
            "$defs": {"place": {"type": ["object", "null"], "properties": {"lat": {"type": "number"}}}},
        });
        for seed in 0..50 {
            let value = instance(&mut fastrand::Rng::with_seed(seed), &schema);
            assert!(
                value["city"].as_str().is_some_and(|city| city.len() <= 5),
                "{value}"
            );
            assert!(["c", "f"].iter().any(|unit| value["unit"] == *unit));
            assert!((3..=5).contains(&value["days"].as_i64().unwrap()));
            assert!(value["home"]["lat"].is_number());
            assert!(value["tags"].as_array().unwrap().iter().all(Value::is_boolean));
            assert_eq!(value.get("note"), None);
        }
    }

    #[test]
    fn a_schema_that_asks_for_more_than_there_is_comes_to_an_end() {
        let again = json!({"$ref": "#"});
        let many: Map<String, Value> = (0..10).map(|n| (format!("p{n}"), again.clone())).collect();
        let deep = (0..12).fold(
            json!({"type": "string", "minLength": i64::MAX}),
            |items, _| json!({"type": "array", "minItems": i64::MAX, "items": items}),
        );
        let wide = json!({"type": "array", "minItems": 64, "items": again});
        let fat = json!({"type": "array", "minItems": 64, "items": {"enum": ["x".repeat(50_000)]}});
        let named = json!({"properties": {"x".repeat(50_000): again}});
        for schema in [
            json!({"properties": {"next": again}}),
            json!({"properties": many}),
            deep,
            wide,
            fat,
            named,
            again,
        ] {
            let value = instance(&mut fastrand::Rng::with_seed(1), &schema);
            assert!(
                value.to_string().len() < 2 * LARGEST,
                "{}",
                value.to_string().len()
            );
        }
    }
}
