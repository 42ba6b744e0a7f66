//! Which models there are, and what sets them apart.

use serde_json::{Value, json};

use super::Simulator;
use super::exchange::{Outgoing, Refusal};

/// Aliases in common use and the snapshots that answer for them.
pub(super) const SNAPSHOTS: &[(&str, &str)] = &[
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
    ("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14"),
    ("o1", "o1-2024-12-17"),
    ("o3", "o3-2025-04-16"),
    ("o3-mini", "o3-mini-2025-01-31"),
    ("o4-mini", "o4-mini-2025-04-16"),
    ("gpt-5", "gpt-5-2025-08-07"),
    ("gpt-5-mini", "gpt-5-mini-2025-08-07"),
    ("gpt-5-nano", "gpt-5-nano-2025-08-07"),
    ("gpt-5.1", "gpt-5.1-2025-11-13"),
    ("gpt-5.2", "gpt-5.2-2025-12-11"),
];

/// Models that answer by the name they are asked for.
const UNDATED: &[&str] = &[
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5.5",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-6-astra",
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-6.1-sol",
    "gpt-6.1-terra",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
];

/// The names that the simulator knows unless told otherwise.
pub(super) fn common() -> Vec<String> {
    let aliases = SNAPSHOTS.iter().map(|(alias, _)| *alias);
    let dated = SNAPSHOTS.iter().map(|(_, dated)| *dated);
    let undated = UNDATED.iter().copied();
    aliases.chain(dated).chain(undated).map(str::to_owned).collect()
}

/// The model that answers for the one asked for.
pub(super) fn served(model: &str) -> &str {
    let known = SNAPSHOTS.iter().find(|(alias, _)| *alias == model);
    known.map_or(model, |(_, dated)| dated)
}

/// Whether the model reasons before it answers, which forbids some parameters.
pub(super) fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5", "gpt-6"]
        .iter()
        .any(|family| model.starts_with(family))
        && !model.contains("-chat")
}

/// The length of an embedding, or `None` for a model that makes none.
pub(super) fn dimensions(model: &str) -> Option<usize> {
    match model {
        "text-embedding-3-large" => Some(3_072),
        _ if model.starts_with("text-embedding") => Some(1_536),
        _ => None,
    }
}

impl Simulator {
    pub(super) fn list_models(&self) -> Outgoing {
        let models: Vec<Value> = self.core.models.iter().map(|id| describe(id)).collect();
        Outgoing::json(&json!({"object": "list", "data": models}))
    }

    pub(super) fn retrieve_model(&self, id: &str) -> Result<Outgoing, Refusal> {
        self.known_model(id)?;
        Ok(Outgoing::json(&describe(id)))
    }

    /// Refuses a model that there is not.
    pub(super) fn known_model(&self, id: &str) -> Result<(), Refusal> {
        if self.core.models.contains(id) {
            return Ok(());
        }
        let message = format!("The model `{id}` does not exist or you do not have access to it.");
        Err(Refusal::new(http::StatusCode::NOT_FOUND, message).with_code("model_not_found"))
    }
}

fn describe(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_715_367_049, "owned_by": "system"})
}
