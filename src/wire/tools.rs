//! The provider's own tools that were run for an answer.

use memchr::memmem;

use super::members::{Rest, text};
use super::response::token_count;
use crate::usage::ToolCalls;

/// Counts the calls in the `output` of a response, its `tool_usage` and the `tools` that it was given.
///
/// An output that cannot be read counts as a call of which nothing is known.
pub(super) fn tool_calls(
    output: Option<&[u8]>,
    tool_usage: Option<&[u8]>,
    tools: Option<&[u8]>,
) -> ToolCalls {
    let mut calls = ToolCalls::default();
    // Most answers ran no tool: one look for what ends all their names is enough.
    if let Some(output) = output.filter(|output| memmem::find(output, b"_call\"").is_some())
        && count(output, &mut calls).is_none()
    {
        calls.other = calls.other.saturating_add(1);
    }
    if let Some(searches) = tool_usage.and_then(billed_searches) {
        calls.web_search = searches;
    }
    if tools.is_some_and(has_large_container) {
        calls.other = calls.other.saturating_add(calls.container);
        calls.container = 0;
    }
    calls
}

fn count(output: &[u8], calls: &mut ToolCalls) -> Option<()> {
    let mut containers: Vec<&[u8]> = Vec::new();
    let mut rest = Rest(output);
    rest.items(|rest| {
        let item = Item::next(rest)?;
        let count = match item.kind.and_then(text).as_deref() {
            Some("web_search_call") if item.searches() => &mut calls.web_search,
            Some("file_search_call") => &mut calls.file_search,
            Some("image_generation_call") => &mut calls.other,
            Some("code_interpreter_call" | "shell_call") => match item.container {
                Some(container) if !containers.contains(&container) => {
                    containers.push(container);
                    &mut calls.container
                }
                _ => return Some(()),
            },
            _ => return Some(()),
        };
        *count = count.saturating_add(1);
        Some(())
    })
}

/// What of an item of an output says how it is billed.
#[derive(Default)]
struct Item<'a> {
    kind: Option<&'a [u8]>,
    action: Option<&'a [u8]>,
    container: Option<&'a [u8]>,
}

impl<'a> Item<'a> {
    fn next(rest: &mut Rest<'a>) -> Option<Self> {
        let mut item = Self::default();
        rest.members(|name, rest| {
            let value = rest.value()?;
            match name {
                b"type" => item.kind = Some(value),
                b"action" => item.action = Some(value),
                b"container_id" => item.container = Some(value),
                // A hosted shell names its container here, a local one none.
                b"environment" => item.container = member(value, b"container_id"),
                _ => {}
            }
            Some(())
        })?;
        Some(item)
    }

    /// Whether it searched, and did not only open a page or look for a text in it.
    fn searches(&self) -> bool {
        let kind = self.action.and_then(|action| member(action, b"type"));
        kind.is_none_or(|kind| kind == b"\"search\"")
    }
}

fn billed_searches(tool_usage: &[u8]) -> Option<u32> {
    let searches = token_count(member(member(tool_usage, b"web_search")?, b"num_requests")?)?;
    u32::try_from(searches).ok()
}

/// Whether a tool asks for a container of more than the usual memory, which has another price.
fn has_large_container(tools: &[u8]) -> bool {
    const LIMIT: &[u8] = b"\"memory_limit\"";
    memmem::find_iter(tools, LIMIT).any(|at| {
        let rest = tools.get(at + LIMIT.len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        let value = value.trim_ascii_start();
        !value.starts_with(b"\"1g\"") && !value.starts_with(b"null")
    })
}

/// Returns a member of an object.
fn member<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    Rest(object).members(|name, rest| {
        let value = rest.value()?;
        if name == wanted {
            found = Some(value);
        }
        Some(())
    })?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ResponseView, UsageReading};

    fn calls(members: &str) -> ToolCalls {
        let usage = r#""usage":{"input_tokens":4,"output_tokens":2,"total_tokens":6}"#;
        let body = format!("{{\"model\":\"m\",{members},{usage}}}");
        match ResponseView::read(body.as_bytes()).unwrap().usage() {
            UsageReading::Read(usage) => usage.tool_calls,
            other => panic!("{other:?}"),
        }
    }

    const OUTPUT: &str = r#""output":[
        {"type":"reasoning","id":"rs_1","summary":[]},
        {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"a \"file_search_call\""}},
        {"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"https://a.example"}},
        {"id":"ws_3","status":"completed","type":"web_search_call"},
        {"type":"file_search_call","id":"fs_1","queries":[],"results":null},
        {"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","code":"1"},
        {"type":"code_interpreter_call","id":"ci_2","container_id":"cntr_1","code":"2"},
        {"type":"shell_call","id":"sh_1","environment":{"type":"container_reference","container_id":"cntr_2"}},
        {"type":"shell_call","id":"sh_2","environment":{"type":"local"}},
        {"type":"function_call","id":"fc_1","name":"web_search_call","arguments":"{}"},
        {"type":"message","content":[{"type":"output_text","text":"[{\"type\":\"file_search_call\"}]"}]}]"#;

    #[test]
    fn calls_that_are_billed_are_counted_by_tool() {
        let found = calls(OUTPUT);
        assert_eq!((found.web_search, found.file_search), (2, 1));
        assert_eq!((found.container, found.other), (2, 0));
    }

    #[test]
    fn searches_are_those_that_the_answer_says_are_billed() {
        let said = r#""tool_usage":{"image_gen":{},"web_search":{"num_requests":1}}"#;
        assert_eq!(calls(&format!("{OUTPUT},{said}")).web_search, 1);
        let unreadable = r#""tool_usage":{"web_search":{"num_requests":-1}}"#;
        assert_eq!(calls(&format!("{OUTPUT},{unreadable}")).web_search, 2);
    }

    #[test]
    fn what_cannot_be_priced_is_counted_apart() {
        let large =
            r#""tools":[{"type":"code_interpreter","container":{"type":"auto","memory_limit": "4g"}}]"#;
        let found = calls(&format!("{OUTPUT},{large}"));
        assert_eq!((found.container, found.other), (0, 2));
        let usual = large.replace("4g", "1g");
        assert_eq!(calls(&format!("{OUTPUT},{usual}")).other, 0);
        assert_eq!(calls(r#""output":[{"type":"image_generation_call"}]"#).other, 1);
        assert_eq!(calls(r#""output":{"type":"web_search_call"}"#).other, 1);
    }

    #[test]
    fn an_answer_without_tools_has_no_calls() {
        assert!(calls(r#""output":[{"type":"message","content":[]}]"#).is_none());
        assert!(calls(r#""choices":[{"message":{"tool_calls":[{"type":"function"}]}}]"#).is_none());
    }
}
