//! The pieces of a request as they are on the wire, each of which may be missing.

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::meter::Flow;
use crate::wire;

/// A chat message, or an item of a Responses input.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ContentPart<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) input_audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ImageUrl<'a> {
    #[serde(borrow, default)]
    pub(super) url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow, default, alias = "custom")]
    pub(super) function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct CalledFunction<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "input")]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) function: Option<&'a RawValue>,
}

impl<'a> Tool<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// Whether the provider runs it; what it finds is input too.
    pub(super) fn is_hosted(&self) -> bool {
        let kind = self.kind.and_then(wire::string);
        !matches!(kind.as_deref(), None | Some("function" | "custom"))
    }
}

/// Whether the provider may run one of these tools.
pub(super) fn has_hosted_tool(tools: &RawValue) -> bool {
    let flow = elements(tools, |raw| match Tool::read(raw) {
        Some(tool) if !tool.is_hosted() => Flow::Continue(()),
        _ => Flow::Break(()),
    });
    flow == Some(Flow::Break(()))
}

/// Visits the elements of an array one by one, so that a million of them need no memory; `None` if it is no array.
pub(super) fn elements<'a>(array: &'a RawValue, visit: impl FnMut(&'a RawValue) -> Flow) -> Option<Flow> {
    struct Each<'f, F> {
        visit: F,
        flow: &'f mut Flow,
    }
    impl<'de, F: FnMut(&'de RawValue) -> Flow> Visitor<'de> for Each<'_, F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
            while let Some(element) = array.next_element()? {
                if (self.visit)(element).is_break() {
                    *self.flow = Flow::Break(());
                    return Err(A::Error::custom("decided"));
                }
            }
            Ok(())
        }
    }
    let mut flow = Flow::Continue(());
    let each = Each {
        visit,
        flow: &mut flow,
    };
    let read = serde_json::Deserializer::from_str(array.get()).deserialize_seq(each);
    if flow.is_break() {
        return Some(flow);
    }
    read.ok().map(|()| flow)
}
