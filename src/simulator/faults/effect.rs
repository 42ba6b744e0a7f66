//! What a fault does to an answer.

use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;
use serde_json::Value;

use super::{Action, BatchFault, EventFault, Fault, LineFault};
use crate::simulator::exchange::{Break, Outgoing, Payload, Reply};

impl Fault {
    /// Returns what happens instead of the effect, if this fault comes before it.
    pub(in crate::simulator) fn before(&self) -> Option<Reply> {
        match &self.action {
            Action::ResetBefore => Some(Reply::Refused),
            Action::Status {
                status,
                body,
                after: false,
            } => Some(self.status_reply(*status, body)),
            _ => None,
        }
    }

    /// Returns what becomes of the answer, if this fault comes after the effect.
    pub(in crate::simulator) fn after(&self, answer: Outgoing) -> Reply {
        let mut answer = self.with_headers_on(answer);
        match &self.action {
            Action::ResetBefore | Action::Line(_) | Action::Batch(_) => {}
            Action::Status { status, body, .. } => return self.status_reply(*status, body),
            Action::ResetAfter => return Reply::Reset,
            Action::Hang => return Reply::Hang,
            Action::Delay(delay) => answer.delay = *delay,
            Action::Body(bytes) => answer.body = Payload::Whole(bytes.clone()),
            Action::Change(change) => answer.body = changed(answer.body, &**change),
            Action::BreakBody(how) => answer.body = Payload::Broken(first_half(answer.body), *how),
            Action::Event(events, fault) => {
                if let Payload::Pieces(pieces) = &mut answer.body {
                    spoil(pieces, *events, *fault);
                }
            }
            Action::CutStream(events) => {
                let pieces = match answer.body {
                    Payload::Whole(_) => Vec::new(),
                    Payload::Pieces(pieces) | Payload::Broken(pieces, _) => pieces,
                };
                answer.body = Payload::Broken(pieces.into_iter().take(*events).collect(), Break::Reset);
            }
        }
        Reply::Answer(answer)
    }

    fn status_reply(&self, status: StatusCode, body: &Bytes) -> Reply {
        let answer = Outgoing::new("application/json", Payload::Whole(body.clone())).with_status(status);
        Reply::Answer(self.with_headers_on(answer))
    }

    /// Returns what becomes of a line of a batch.
    pub(in crate::simulator) fn of_line(&self) -> Option<&LineFault> {
        match &self.action {
            Action::Line(fault) => Some(fault),
            _ => None,
        }
    }

    /// Returns what becomes of a batch.
    pub(in crate::simulator) fn of_batch(&self) -> Option<&BatchFault> {
        match &self.action {
            Action::Batch(fault) => Some(fault),
            _ => None,
        }
    }

    fn with_headers_on(&self, mut answer: Outgoing) -> Outgoing {
        answer.headers.extend(self.headers.clone());
        answer
    }
}

fn first_half(body: Payload) -> Vec<Bytes> {
    let pieces = match body {
        Payload::Whole(bytes) => vec![bytes],
        Payload::Pieces(pieces) | Payload::Broken(pieces, _) => pieces,
    };
    let mut left = pieces.iter().map(Bytes::len).sum::<usize>() / 2;
    let mut kept = Vec::new();
    for mut piece in pieces {
        piece.truncate(left);
        left -= piece.len();
        if piece.is_empty() {
            break;
        }
        kept.push(piece);
    }
    kept
}

/// Changes JSON, whole or in the events of a stream.
fn changed(body: Payload, change: &(dyn Fn(&mut Value) + Send + Sync)) -> Payload {
    let json = |bytes: &[u8]| {
        let mut value = serde_json::from_slice(bytes).ok()?;
        change(&mut value);
        Some(value.to_string())
    };
    let event = |piece: Bytes| changed_event(&piece, change).map_or(piece, Bytes::from);
    match body {
        Payload::Whole(bytes) => Payload::Whole(json(&bytes).map_or(bytes, Bytes::from)),
        Payload::Pieces(pieces) => Payload::Pieces(pieces.into_iter().map(event).collect()),
        Payload::Broken(pieces, how) => Payload::Broken(pieces.into_iter().map(event).collect(), how),
    }
}

/// Changes the data of one event, and its name if it has one.
fn changed_event(event: &[u8], change: &(dyn Fn(&mut Value) + Send + Sync)) -> Option<String> {
    let at = memmem::find(event, b"data: ")?;
    let mut value: Value = serde_json::from_slice(event.get(at + b"data: ".len()..)?).ok()?;
    change(&mut value);
    let name = value.get("type").and_then(Value::as_str).filter(|_| at > 0);
    let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
    Some(format!("{name}data: {value}\n\n"))
}

/// Lets something go wrong with the event at an index; a stream without such an event stays as it is.
fn spoil(events: &mut Vec<Bytes>, at: usize, fault: EventFault) {
    let Some(event) = events.get(at).cloned() else {
        return;
    };
    match fault {
        EventFault::Garbled => {
            let torn = Bytes::from_static(b"data: {\"id\": \"chatcmpl-\n\n");
            events.splice(at..=at, [torn]);
        }
        EventFault::Swapped if at + 1 < events.len() => events.swap(at, at + 1),
        EventFault::Swapped => {}
        EventFault::Twice => events.insert(at, event),
        EventFault::Missing => drop(events.remove(at)),
    }
}
