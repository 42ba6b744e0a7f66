//! Functions that a model may call, as the model reads them: a TypeScript namespace.
//!
//! OpenAI does not publish the form. This is the one that users of the API found by measuring
//! (hmarr.com/blog/counting-openai-tokens); on the example of section 7 of OpenAI's cookbook "How to count tokens with
//! tiktoken" it comes to what the API reports.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire;

/// Schemas nested deeper than this are rendered as `any`: every level is read once more.
const DEEPEST: usize = 8;

/// A function as it stands in a request.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "enum")]
    values: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<Members<'a>>,
    #[serde(borrow, default)]
    required: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "anyOf")]
    any_of: Option<Vec<&'a RawValue>>,
}

/// Members in the order in which they stand: the order changes the count.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

/// Renders functions as one namespace; the empty text if there are none.
pub(super) fn render<'a>(functions: impl IntoIterator<Item = Function<'a>>) -> String {
    let mut text = String::new();
    for function in functions {
        let _ = function.write_to(&mut text);
    }
    if text.is_empty() {
        return text;
    }
    format!("namespace functions {{\n\n{text}}} // namespace functions")
}

impl Function<'_> {
    fn write_to(&self, out: &mut String) -> fmt::Result {
        comment(out, self.description, 0)?;
        let name = wire::string(self.name).unwrap_or_default();
        let schema = self.parameters.and_then(read);
        match schema.and_then(|schema| schema.properties.map(|members| (members, schema.required))) {
            Some((members, required)) if !members.0.is_empty() => {
                writeln!(out, "type {name} = (_: {{")?;
                properties(out, &members, &required.unwrap_or_default(), 0)?;
                out.write_str("}) => any;\n\n")
            }
            _ => write!(out, "type {name} = () => any;\n\n"),
        }
    }
}

fn read(schema: &RawValue) -> Option<Schema<'_>> {
    serde_json::from_str(schema.get()).ok()
}

fn comment(out: &mut String, description: Option<&RawValue>, depth: usize) -> fmt::Result {
    match description.and_then(wire::string) {
        Some(text) if !text.is_empty() => writeln!(out, "{:depth$}// {text}", ""),
        _ => Ok(()),
    }
}

fn properties(
    out: &mut String,
    members: &Members<'_>,
    required: &[Cow<'_, str>],
    depth: usize,
) -> fmt::Result {
    for (name, raw) in &members.0 {
        let schema = read(raw);
        comment(out, schema.as_ref().and_then(|schema| schema.description), depth)?;
        let optional = if required.iter().any(|required| *required == **name) {
            ""
        } else {
            "?"
        };
        write!(out, "{:depth$}{name}{optional}: ", "")?;
        type_of(out, schema, depth)?;
        out.write_str(",\n")?;
    }
    Ok(())
}

fn type_of(out: &mut String, schema: Option<Schema<'_>>, depth: usize) -> fmt::Result {
    let Some(schema) = schema.filter(|_| depth < DEEPEST) else {
        return out.write_str("any");
    };
    if let Some(values) = schema.values {
        return join(out, values, |out, value| out.write_str(value.get()));
    }
    if let Some(schemas) = schema.any_of {
        return join(out, schemas, |out, raw| type_of(out, read(raw), depth + 1));
    }
    match schema.kind.and_then(wire::string).as_deref() {
        Some("integer") => out.write_str("number"),
        Some("array") => {
            type_of(out, schema.items.and_then(read), depth + 1)?;
            out.write_str("[]")
        }
        Some("object") => match schema.properties {
            Some(members) => {
                out.write_str("{\n")?;
                properties(out, &members, &schema.required.unwrap_or_default(), depth + 1)?;
                write!(out, "{:depth$}}}", "")
            }
            None => out.write_str("object"),
        },
        Some(kind) => out.write_str(kind),
        // A list of types, as strict schemas write a value that may be null.
        None => match schema
            .kind
            .and_then(|kind| serde_json::from_str::<Vec<Cow<'_, str>>>(kind.get()).ok())
        {
            Some(kinds) => join(out, kinds, |out, kind| out.write_str(&kind)),
            None => out.write_str("any"),
        },
    }
}

fn join<T>(
    out: &mut String,
    alternatives: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut String, T) -> fmt::Result,
) -> fmt::Result {
    for (index, alternative) in alternatives.into_iter().enumerate() {
        if index > 0 {
            out.write_str(" | ")?;
        }
        each(out, alternative)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(functions: &str) -> String {
        render(serde_json::from_str::<Vec<Function<'_>>>(functions).unwrap())
    }

    #[test]
    fn functions_are_rendered_as_a_namespace_in_the_order_of_the_request() {
        let text = rendered(
            r#"[{"name":"now"},{"name":"find","description":"Finds.","parameters":{"type":"object","properties":{
            "z":{"type":"string","description":"What"},"a":{"type":["integer","null"]},"e":{"enum":["x",1]},
            "l":{"type":"array","items":{"type":"integer"}},"n":{"anyOf":[{"type":"null"},{"type":"boolean"}]},
            "o":{"type":"object","properties":{"i":{}}}},"required":["z"]}}]"#,
        );
        assert_eq!(
            text,
            "namespace functions {\n\ntype now = () => any;\n\n// Finds.\ntype find = (_: {\n// What\nz: string,\n\
             a?: integer | null,\ne?: \"x\" | 1,\nl?: number[],\nn?: null | boolean,\no?: {\n i?: any,\n},\n}) => any;\n\n\
             } // namespace functions"
        );
        assert_eq!(rendered("[]"), "");
    }

    #[test]
    fn a_schema_without_an_end_is_cut_off() {
        let schema = r#"{"type":"array","items":"#.repeat(60) + "{}" + &"}".repeat(60);
        let text = rendered(&format!(
            r#"[{{"name":"f","parameters":{{"properties":{{"x":{schema}}}}}}}]"#
        ));
        assert!(text.contains("x?: any[][][][][][][][],"), "{text}");
    }
}
