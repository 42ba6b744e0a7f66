//! Server-sent events of a streamed answer: read as they go by, handed on unchanged.

use bytes::Bytes;
use memchr::memmem;

use super::members::text;
use super::response::{ResponseView, UsageReading};
use crate::lane::Lane;
use crate::model::ModelId;

/// An event larger than this is handed on unread.
const MAX_EVENT: usize = 4 << 20;

/// What a stream has told so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamFacts {
    /// The model that answers.
    pub model: Option<ModelId>,
    /// The lane that answers, or the name of a tier this crate does not know.
    pub lane: Option<Result<Lane, String>>,
    /// The token counts; they come last.
    pub usage: UsageReading,
    /// Whether the server said that it is done.
    pub done: bool,
    /// Whether the server reported a failure inside the stream.
    pub failed: bool,
}

/// Reads server-sent events as they go by, and can hide the chunk that carries only usage.
///
/// What it hands on is what it was given, byte for byte, except for a hidden chunk. While hiding, an incomplete event
/// is held back until its end has come.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use thrifty::wire::{SseReader, UsageReading};
///
/// let mut reader = SseReader::new().hiding_usage();
/// let shown = reader.feed(Bytes::from_static(b"data: {\"model\":\"gpt-4o\",\"choices\":[{}]}\n\n"));
/// assert!(!shown.is_empty());
/// let usage = r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}"#;
/// let hidden = reader.feed(format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n").into());
/// assert!(hidden.is_empty());
/// assert!(matches!(reader.facts().usage, UsageReading::Read(usage) if usage.output_tokens == 2));
/// ```
#[derive(Debug)]
pub struct SseReader {
    /// The beginning of an event whose end has not come yet.
    tail: Vec<u8>,
    /// Where the last line of the tail begins.
    line: usize,
    /// How much of the tail was searched for the end of that line.
    searched: usize,
    hides_usage: bool,
    facts: StreamFacts,
}

impl Default for SseReader {
    fn default() -> Self {
        Self::new()
    }
}

impl SseReader {
    /// Makes a reader that hides nothing.
    pub const fn new() -> Self {
        let facts = StreamFacts {
            model: None,
            lane: None,
            usage: UsageReading::Missing,
            done: false,
            failed: false,
        };
        Self {
            tail: Vec::new(),
            line: 0,
            searched: 0,
            hides_usage: false,
            facts,
        }
    }

    /// Hides the chunk of a chat stream that has no choices and a usage.
    #[must_use]
    pub const fn hiding_usage(mut self) -> Self {
        self.hides_usage = true;
        self
    }

    /// Returns what the stream has told so far.
    pub const fn facts(&self) -> &StreamFacts {
        &self.facts
    }

    /// Takes the next bytes and returns those to hand on, which may be none.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        if self.tail.is_empty() && ends_event(&chunk) && self.is_dull(&chunk) {
            return chunk;
        }
        if !self.hides_usage {
            self.tail.extend_from_slice(&chunk);
            let done = self.read_events(|_| ());
            self.tail.drain(..done);
            if self.tail.len() > MAX_EVENT {
                self.take_tail();
            }
            return chunk;
        }
        if self.tail.is_empty() {
            self.tail = chunk.into();
        } else {
            self.tail.extend_from_slice(&chunk);
        }
        let mut hidden = Vec::new();
        let done = self.read_events(|event| hidden.push(event));
        if done == 0 && self.tail.len() <= MAX_EVENT {
            return Bytes::new();
        }
        let rest = self.tail.split_off(done);
        let events = std::mem::replace(&mut self.tail, rest);
        if self.tail.len() > MAX_EVENT {
            let mut all = events;
            all.append(&mut self.take_tail());
            return all.into();
        }
        let events = Bytes::from(events);
        if hidden.is_empty() {
            return events;
        }
        let mut shown = Vec::with_capacity(events.len());
        let mut from = 0;
        for event in hidden {
            shown.extend_from_slice(events.get(from..event.start).unwrap_or_default());
            from = event.end;
        }
        shown.extend_from_slice(events.get(from..).unwrap_or_default());
        shown.into()
    }

    /// Says that the stream has ended, and returns what was held back.
    pub fn finish(&mut self) -> Bytes {
        let tail = self.take_tail();
        let hide = !tail.is_empty() && self.read_event(&tail);
        if self.hides_usage && !hide {
            tail.into()
        } else {
            Bytes::new()
        }
    }

    /// Whether whole events hold nothing to read: the model is known, there is no usage and no end.
    fn is_dull(&self, events: &[u8]) -> bool {
        self.facts.model.is_some()
            && !has_usage_object(events)
            && memmem::find(events, b"[DONE]").is_none()
            && memmem::find(events, b"\"error\"").is_none()
    }

    /// Reads all whole events in the tail, names those to hide, and returns where the last one ends. What comes before
    /// is to be taken off the tail.
    fn read_events(&mut self, mut hide: impl FnMut(std::ops::Range<usize>)) -> usize {
        let tail = std::mem::take(&mut self.tail);
        let (mut start, mut line, mut from) = (0, self.line, self.searched);
        while let Some(end) = tail
            .get(from..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
            .map(|at| from + at)
        {
            let text = tail.get(line..end).unwrap_or_default();
            (line, from) = (end + 1, end + 1);
            if text.is_empty() || text == b"\r" {
                if self.read_event(tail.get(start..line).unwrap_or_default()) {
                    hide(start..line);
                }
                start = line;
            }
        }
        (self.line, self.searched) = (line - start, tail.len() - start);
        self.tail = tail;
        start
    }

    /// Takes the tail, and begins anew.
    fn take_tail(&mut self) -> Vec<u8> {
        (self.line, self.searched) = (0, 0);
        std::mem::take(&mut self.tail)
    }

    /// Reads one event and returns whether it is to be hidden.
    fn read_event(&mut self, event: &[u8]) -> bool {
        let mut lines = event
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"data:"));
        let Some(first) = lines.next() else { return false };
        let mut joined = None;
        for more in lines {
            let joined = joined.get_or_insert_with(|| first.to_vec());
            joined.push(b'\n');
            joined.extend_from_slice(more);
        }
        self.read_data(joined.as_deref().unwrap_or(first).trim_ascii())
    }

    fn read_data(&mut self, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.facts.done = true;
            return false;
        }
        let Some(event) = ResponseView::read(data) else {
            return false;
        };
        let kind = event.kind.and_then(text).unwrap_or_default();
        // A responses event carries the whole answer; a chat chunk is its own.
        let view = event.response.and_then(ResponseView::read).unwrap_or(event);
        self.facts.done |= matches!(
            &*kind,
            "response.completed" | "response.incomplete" | "response.failed"
        );
        self.facts.failed |=
            matches!(&*kind, "response.failed" | "error") || (kind.is_empty() && event.has_error());
        let model = view.model_name().filter(|model| !model.is_empty());
        if let Some(model) =
            model.filter(|model| self.facts.model.as_ref().is_none_or(|known| *known != **model))
        {
            self.facts.model = Some(ModelId::from(&*model));
        }
        match view.lane() {
            Ok(None) => {}
            Ok(Some(lane)) => self.facts.lane = Some(Ok(lane)),
            Err(tier) => self.facts.lane = Some(Err(tier.into_owned())),
        }
        let usage = view.usage();
        if usage != UsageReading::Missing {
            self.facts.usage = usage;
        }
        let no_choices = event.choices.is_some_and(|choices| {
            let inside = choices.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
            inside.is_some_and(|inside| inside.starts_with(b"]"))
        });
        self.hides_usage && event.has_usage() && no_choices
    }
}

fn ends_event(chunk: &[u8]) -> bool {
    chunk.ends_with(b"\n\n") || chunk.ends_with(b"\n\r\n")
}

/// Whether there may be a usage object: `"usage"` followed by anything but `null`.
fn has_usage_object(events: &[u8]) -> bool {
    memmem::find_iter(events, b"\"usage\"").any(|at| {
        let rest = events.get(at + 7..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usage::Usage;

    const CHAT: &str = "data: {\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{1}\"}}],\"usage\":null}\n\n\
        : a comment\n\n\
        data: {\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"delta\":{\"content\":\"é\"}}],\"usage\":null}\n\n\
        data: {\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n\
        data: [DONE]\n\n";

    fn read(text: &str, cuts: &[usize], mut reader: SseReader) -> (Vec<u8>, StreamFacts) {
        let mut bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut shown = Vec::new();
        for cut in cuts {
            let piece = bytes.split_to((*cut).min(bytes.len()));
            shown.extend_from_slice(&reader.feed(piece));
        }
        shown.extend_from_slice(&reader.feed(bytes));
        shown.extend_from_slice(&reader.finish());
        (shown, reader.facts)
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_facts_and_the_text_are_the_same(
            cuts in prop::collection::vec(0_usize..90, 0..12), crlf in any::<bool>(), hide in any::<bool>(),
        ) {
            let text = if crlf { CHAT.replace('\n', "\r\n") } else { CHAT.to_owned() };
            let reader = if hide { SseReader::new().hiding_usage() } else { SseReader::new() };
            let (shown, facts) = read(&text, &cuts, reader);
            let nl = if crlf { "\r\n" } else { "\n" };
            let (start, end) = (text.rfind("data: {").unwrap(), text.rfind("data: [").unwrap());
            let expected = if hide { format!("{}{}", &text[..start], &text[end..]) } else { text.clone() };
            prop_assert_eq!(String::from_utf8(shown).unwrap(), expected, "{}", nl);
            prop_assert_eq!(facts.usage, UsageReading::Read(Usage::new(9, 3)));
            prop_assert_eq!(facts.model, Some(ModelId::from("gpt-4o-2024-08-06")));
            prop_assert_eq!(facts.lane, Some(Ok(Lane::Standard)));
            prop_assert!(facts.done && !facts.failed);
        }

        #[test]
        fn any_bytes_but_a_usage_chunk_go_through_unchanged(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60), hide in any::<bool>(),
            cuts in prop::collection::vec(0_usize..40, 0..12),
        ) {
            let mut reader = if hide { SseReader::new().hiding_usage() } else { SseReader::new() };
            let bytes = pieces.concat();
            let mut rest = Bytes::from(bytes.clone());
            let mut shown = Vec::new();
            for cut in cuts {
                let piece = rest.split_to(cut.min(rest.len()));
                shown.extend_from_slice(&reader.feed(piece));
            }
            shown.extend_from_slice(&reader.feed(rest));
            shown.extend_from_slice(&reader.finish());
            prop_assert_eq!(shown, bytes);
        }
    }

    /// What streams are made of, without a whole usage: a chunk that carries one is hidden.
    const PIECES: &[&[u8]] = &[
        b"data: ",
        b"data:{\"model\":\"m\",\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n",
        b"data: {\"choices\":[],\"usage\":null}\n\n",
        b"data: [DONE]\n\n",
        b"event: x\n",
        b": a comment\n\n",
        b"\n",
        b"\r\n",
        b"{\"error\":1}",
        b"\xff\x00",
    ];

    #[test]
    fn an_event_in_crumbs_is_looked_through_once() {
        let event = format!("data: {{\"model\":\"m\",\"x\":\"{}\"}}\n\n", "A".repeat(2 << 20));
        for mut reader in [SseReader::new(), SseReader::new().hiding_usage()] {
            let begun = tokio::time::Instant::now();
            for crumb in event.as_bytes().chunks(32) {
                reader.feed(Bytes::copy_from_slice(crumb));
            }
            assert_eq!(reader.facts().model, Some("m".into()));
            // Looked through from its start at every crumb, it would take a minute.
            assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        }
    }

    #[test]
    fn a_responses_stream_tells_usage_in_its_last_event() {
        let text = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"o3\",\"usage\":null}}\n\n\
            event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"o3\",\"service_tier\":\"ultra\",\
            \"usage\":{\"input_tokens\":4,\"output_tokens\":2,\"total_tokens\":6}}}\n\n";
        let (shown, facts) = read(text, &[], SseReader::new());
        assert_eq!(shown, text.as_bytes());
        assert_eq!(facts.usage, UsageReading::Read(Usage::new(4, 2)));
        assert_eq!(facts.lane, Some(Err("ultra".into())));
        assert!(facts.done);
    }

    #[test]
    fn a_last_chunk_without_its_blank_line_is_read() {
        let cut = CHAT.trim_end().strip_suffix("data: [DONE]").unwrap().trim_end();
        let (shown, facts) = read(cut, &[], SseReader::new().hiding_usage());
        assert_eq!(facts.usage, UsageReading::Read(Usage::new(9, 3)));
        assert!(!facts.done);
        assert!(!String::from_utf8(shown).unwrap().contains("prompt_tokens"));
    }

    #[test]
    fn usage_beside_choices_is_read_and_not_hidden() {
        let text = "data: {\"model\":\"m\",\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
        let (shown, facts) = read(text, &[], SseReader::new().hiding_usage());
        assert_eq!(shown, text.as_bytes());
        assert_eq!(facts.usage, UsageReading::Read(Usage::new(1, 1)));
    }
}
