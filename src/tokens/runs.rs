//! Whether a model may run more than once for one answer, and read its input anew each time.
//!
//! It does after a call of a tool that the provider runs. How often is not known: calls beyond `max_tool_calls` are
//! "ignored" (API reference), and the model goes on trying, fifty times where five were allowed
//! (github.com/openai/openai-java/issues/600). Nor is it known how often it searches in one call: an `action` has a list
//! of `queries`. What else makes it run again is in OpenAI's guides to compaction and to multiple agents, and a stored
//! prompt, which can bring tools along.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::elements;
use super::meter::Flow;
use crate::wire::{self, RequestView};

/// A tool, as far as it says who runs it.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    environment: Option<&'a RawValue>,
}

/// Whether a model may run more than once for one answer. A tool that an earlier turn added is not seen.
pub(crate) fn may_run_again(view: &RequestView<'_>) -> bool {
    // A letter that is written as an escape may be part of such a word.
    let words = [
        "\"additional_tools\"",
        "\"compaction_trigger\"",
        "\\u005",
        "\\u006",
        "\\u007",
    ];
    let adds_tools = |input: &RawValue| words.iter().any(|word| input.get().contains(word));
    let calls_none = view.tool_choice.is_some_and(|raw| raw.get() == "\"none\"");
    are_asked_for(view)
        || view.prompt.is_some_and(|raw| !wire::is_null(raw))
        || view.input.is_some_and(adds_tools)
        || view.tools.is_some_and(|tools| may_run_for(tools, calls_none))
}

/// Whether the request says that the context is to be shortened while it is answered, or that several agents answer it.
pub(super) fn are_asked_for(view: &RequestView<'_>) -> bool {
    let set = [view.context_management, view.multi_agent];
    set.into_iter().flatten().any(|raw| !wire::is_null(raw))
}

fn may_run_for(tools: &RawValue, calls_none: bool) -> bool {
    if wire::is_null(tools) {
        return false;
    }
    let flow = elements(tools, |raw| match serde_json::from_str::<Tool<'_>>(raw.get()) {
        Ok(tool) if tool.is_run_by_caller() || calls_none && !tool.has_container() => Flow::Continue(()),
        _ => Flow::Break(()),
    });
    flow != Some(Flow::Continue(()))
}

impl Tool<'_> {
    /// Whether a call of it ends the answer, for the caller runs it.
    fn is_run_by_caller(&self) -> bool {
        match self.kind.and_then(wire::string).as_deref() {
            Some(
                "function"
                | "custom"
                | "namespace"
                | "local_shell"
                | "apply_patch"
                | "computer"
                | "computer_use_preview",
            ) => true,
            Some("shell") => self.environment.is_some_and(is_local),
            _ => false,
        }
    }

    /// Whether a container is made for it, which is billed whether or not it is called.
    fn has_container(&self) -> bool {
        let kind = self.kind.and_then(wire::string);
        matches!(kind.as_deref(), Some("code_interpreter" | "shell"))
    }
}

fn is_local(environment: &RawValue) -> bool {
    let environment = serde_json::from_str::<Tool<'_>>(environment.get()).ok();
    let kind = environment.and_then(|environment| environment.kind);
    kind.is_some_and(|kind| kind.get() == "\"local\"")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn runs_again(body: &Value) -> bool {
        let body = body.to_string();
        may_run_again(&RequestView::read(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_tool_that_the_provider_runs_lets_the_model_run_again() {
        for kind in [
            "web_search",
            "file_search",
            "mcp",
            "tool_search",
            "shell",
            "not_known_yet",
        ] {
            let tools = json!([{"type": "function", "name": "f"}, {"type": kind}]);
            assert!(
                runs_again(&json!({"tools": tools, "max_tool_calls": 1})),
                "{kind}"
            );
        }
        for tool in [
            json!({"type": "function", "name": "web_search"}),
            json!({"type": "apply_patch"}),
            json!({"type": "computer"}),
            json!({"type": "shell", "environment": {"type": "local"}}),
        ] {
            assert!(!runs_again(&json!({"tools": [tool]})), "{tool}");
        }
        assert!(runs_again(
            &json!({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]})
        ));
    }

    #[test]
    fn a_tool_that_must_not_be_called_does_not_unless_it_has_a_container() {
        let of = |kind| json!({"tools": [{"type": kind}], "tool_choice": "none"});
        assert!(!runs_again(&of("web_search")));
        assert!(runs_again(&of("code_interpreter")));
    }

    #[test]
    fn what_else_makes_a_model_run_again_is_seen() {
        for body in [
            json!({"context_management": [{"type": "compaction"}]}),
            json!({"multi_agent": {"enabled": true}}),
            json!({"prompt": {"id": "pmpt_1"}}),
            json!({"input": [{"type": "additional_tools", "tools": []}]}),
            json!({"tools": "web_search"}),
        ] {
            assert!(runs_again(&body), "{body}");
        }
        let body = json!({"input": "\"additional_tools\"", "tools": null, "previous_response_id": "resp_1"});
        assert!(!runs_again(&body));
    }
}
