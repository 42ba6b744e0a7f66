//! How an answer is turned into a refusal of the model's.

use serde_json::{Value, json};

/// Makes the text of an answer, or of an event of a stream, its refusal: of a chat or of a response.
pub(super) fn refuse(answer: &mut Value) {
    for choice in super::choices(answer) {
        for part in ["message", "delta"] {
            if let Some(part) = choice.get_mut(part) {
                refuse_message(part);
            }
        }
    }
    match answer.get("type").and_then(Value::as_str) {
        Some("response.output_text.delta") => rename(answer, "response.refusal.delta", "delta", "delta"),
        Some("response.output_text.done") => rename(answer, "response.refusal.done", "text", "refusal"),
        _ => {}
    }
    if let Some(part) = answer.get_mut("part") {
        refuse_part(part);
    }
    if let Some(item) = answer.get_mut("item") {
        refuse_item(item);
    }
    for output in ["/output", "/response/output"] {
        let items = answer.pointer_mut(output).and_then(Value::as_array_mut);
        items.into_iter().flatten().for_each(refuse_item);
    }
}

fn refuse_message(message: &mut Value) {
    let Some(members) = message.as_object_mut() else {
        return;
    };
    if let Some(text) = members.get("content").filter(|text| text.is_string()).cloned() {
        members.insert("refusal".to_owned(), text);
        members.insert("content".to_owned(), Value::Null);
    }
}

fn refuse_item(item: &mut Value) {
    let parts = item.get_mut("content").and_then(Value::as_array_mut);
    parts.into_iter().flatten().for_each(refuse_part);
}

fn refuse_part(part: &mut Value) {
    if part.get("type").is_some_and(|kind| kind == "output_text") {
        let text = part.get("text").cloned().unwrap_or_default();
        *part = json!({"type": "refusal", "refusal": text});
    }
}

/// Gives an event another type, and its text another name.
fn rename(event: &mut Value, kind: &str, old: &str, new: &str) {
    let Some(members) = event.as_object_mut() else {
        return;
    };
    members.remove("logprobs");
    members.insert("type".to_owned(), json!(kind));
    if let Some(text) = members.remove(old) {
        members.insert(new.to_owned(), text);
    }
}
