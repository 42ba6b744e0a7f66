//! What a request is made of: the walk over messages, items, parts and tools that feeds a [`Meter`].
//!
//! Chat framing is section 6 of OpenAI's cookbook "How to count tokens with tiktoken": 3 tokens a message, 1 a name, 3
//! for the start of the answer. The Responses API is framed alike, but that is not published.

use serde_json::value::RawValue;

use super::bounds::{self, SLACK};
use super::count::Count;
use super::images::{Detail, Images};
use super::items::{CalledFunction, ContentPart, ImageUrl, Item, Tool, ToolCall, elements};
use super::meter::{Flow, Meter, length};
use super::tools;
use crate::endpoint::Endpoint;
use crate::wire::{self, RequestView};

/// Definitions of tools that are longer than this, in bytes, are bounded and not rendered.
const LONGEST_TOOLS: u64 = 256 * 1024;

/// Walks over a request until everything was metered or the meter has decided.
pub(super) struct Walk<'c, 'm> {
    images: &'c Images,
    model: &'c str,
    meter: &'m mut Meter,
    has_system: bool,
}

impl<'c, 'm> Walk<'c, 'm> {
    pub(super) fn new(images: &'c Images, model: &'c str, meter: &'m mut Meter) -> Self {
        Self {
            images,
            model,
            meter,
            has_system: false,
        }
    }

    pub(super) fn request(&mut self, endpoint: &Endpoint, view: &RequestView<'_>) -> Flow {
        match endpoint {
            Endpoint::ChatCompletions => self.chat(view),
            Endpoint::Responses => self.responses(view),
            Endpoint::Embeddings => view
                .input
                .map_or(Flow::Continue(()), |input| self.embeddings(input)),
            Endpoint::Other(_) => self.unbounded(),
        }
    }

    fn chat(&mut self, view: &RequestView<'_>) -> Flow {
        self.meter.framing(3, (0, 6))?;
        if let Some(messages) = view.messages {
            self.each(messages, Self::message)?;
        }
        self.tools(present(view.tools).or(present(view.functions)))?;
        if let Some(format) = view.response_format {
            self.schema(format)?;
        }
        // What a search finds is input too.
        present(view.web_search_options).map_or(Flow::Continue(()), |_| self.unbounded())
    }

    fn responses(&mut self, view: &RequestView<'_>) -> Flow {
        if bounds::refers_to_more(view) {
            self.unbounded()?;
        }
        self.unpublished(3, (0, 6))?;
        if let Some(text) = view.instructions.and_then(wire::string) {
            self.unpublished(4, (3, 8))?;
            self.meter.text(&text)?;
            self.has_system = true;
        } else if let Some(items) = present(view.instructions) {
            self.each(items, Self::message)?;
        }
        if let Some(input) = present(view.input) {
            match wire::string(input) {
                Some(text) => {
                    self.unpublished(4, (3, 8))?;
                    self.meter.text(&text)?;
                }
                None => self.each(input, Self::item)?,
            }
        }
        self.tools(present(view.tools))?;
        view.text.map_or(Flow::Continue(()), |format| self.schema(format))
    }

    /// A text, an array of texts, a text as tokens, or an array of those.
    fn embeddings(&mut self, input: &RawValue) -> Flow {
        let json = input.get();
        if let Some(text) = wire::string(input) {
            self.meter.text(&text)
        } else if wire::count(input).is_some() {
            self.meter.add(Count::exact(1), length(json))
        } else {
            self.each(input, Self::embeddings)
        }
    }

    /// Visits the elements of an array; anything else is bounded.
    fn each<'a>(&mut self, array: &'a RawValue, visit: fn(&mut Self, &'a RawValue) -> Flow) -> Flow {
        match elements(array, |element| visit(self, element)) {
            Some(flow) => flow,
            None => self.unread(array),
        }
    }

    fn message(&mut self, raw: &RawValue) -> Flow {
        match serde_json::from_str::<Item<'_>>(raw.get()) {
            Ok(item) => match item.role.and_then(wire::string) {
                Some(role) => self.message_of(&role, &item),
                None => self.unread(raw),
            },
            Err(_) => self.unread(raw),
        }
    }

    fn message_of(&mut self, role: &str, item: &Item<'_>) -> Flow {
        self.has_system |= matches!(role, "system" | "developer");
        self.meter.framing(3, (2, 6))?;
        self.role(role)?;
        self.content(item.content)?;
        if let Some(name) = item.name.and_then(wire::string) {
            self.meter.framing(1, (0, 2))?;
            self.meter.text(&name)?;
        }
        if let Some(refusal) = item.refusal.and_then(wire::string) {
            self.unpublished(1, (0, 3))?;
            self.meter.text(&refusal)?;
        }
        if let Some(calls) = item.tool_calls {
            self.each(calls, |walk, call| {
                match serde_json::from_str::<ToolCall<'_>>(call.get()) {
                    Ok(ToolCall {
                        function: Some(called),
                    }) => walk.called(called),
                    _ => walk.unread(call),
                }
            })?;
        }
        if let Some(called) = item.function_call {
            self.called(called)?;
        }
        // An earlier spoken answer, by its id.
        item.audio.map_or(Flow::Continue(()), |_| self.unbounded())
    }

    fn item(&mut self, raw: &RawValue) -> Flow {
        let Ok(item) = serde_json::from_str::<Item<'_>>(raw.get()) else {
            return self.unread(raw);
        };
        let kind = item.kind.and_then(wire::string);
        match (kind.as_deref(), item.role.and_then(wire::string)) {
            (None | Some("message"), Some(role)) => self.message_of(&role, &item),
            (Some("function_call" | "custom_tool_call"), _) => {
                self.unpublished(3, (0, 8))?;
                self.strings([item.name, item.arguments, item.input])
            }
            (Some("function_call_output" | "custom_tool_call_output"), _) => {
                self.unpublished(3, (0, 8))?;
                self.content(item.output)
            }
            _ => self.unread(raw),
        }
    }

    fn role(&mut self, role: &str) -> Flow {
        // One token each in both vocabularies.
        if matches!(
            role,
            "system" | "developer" | "user" | "assistant" | "tool" | "function"
        ) {
            return self.meter.add(Count::exact(1), 1);
        }
        self.meter.text(role)
    }

    /// A call of a function that the model made earlier.
    fn called(&mut self, raw: &RawValue) -> Flow {
        match serde_json::from_str::<CalledFunction<'_>>(raw.get()) {
            Ok(called) => {
                self.unpublished(3, (0, 8))?;
                self.strings([called.name, called.arguments])
            }
            Err(_) => self.unread(raw),
        }
    }

    fn strings<const N: usize>(&mut self, values: [Option<&RawValue>; N]) -> Flow {
        for value in values.into_iter().flatten() {
            match wire::string(value) {
                Some(text) => self.meter.text(&text)?,
                None => self.unread(value)?,
            }
        }
        Flow::Continue(())
    }

    fn content(&mut self, content: Option<&RawValue>) -> Flow {
        let Some(content) = content else {
            return Flow::Continue(());
        };
        if let Some(text) = wire::string(content) {
            return self.meter.text(&text);
        }
        let mut parts = 0_u64;
        let flow = elements(content, |part| {
            parts += 1;
            // Whether and how the texts of several parts are joined is not published.
            if parts > 1 {
                self.unpublished(0, (0, 1))?;
            }
            self.part(part)
        });
        flow.unwrap_or_else(|| self.unread(content))
    }

    fn part(&mut self, raw: &RawValue) -> Flow {
        let Ok(part) = serde_json::from_str::<ContentPart<'_>>(raw.get()) else {
            return self.unread(raw);
        };
        let kind = part.kind.and_then(wire::string);
        match kind.as_deref() {
            Some("text" | "input_text" | "output_text") if part.text.is_some() => self.strings([part.text]),
            Some("refusal") if part.refusal.is_some() => {
                self.unpublished(1, (0, 3))?;
                self.strings([part.refusal])
            }
            Some("image_url" | "input_image") => self.image(&part),
            Some("input_audio") => {
                let bytes = part.input_audio.map_or(0, |audio| length(audio.get()));
                self.audio(bytes)
            }
            Some("file" | "input_file") => self.unbounded(),
            _ => self.unread(raw),
        }
    }

    fn image(&mut self, part: &ContentPart<'_>) -> Flow {
        let nested = part
            .image_url
            .and_then(|raw| serde_json::from_str::<ImageUrl<'_>>(raw.get()).ok());
        let url = nested
            .as_ref()
            .map_or(part.image_url, |image| image.url)
            .and_then(wire::string);
        let detail = nested
            .as_ref()
            .map_or(part.detail, |image| image.detail)
            .and_then(wire::string);
        let detail = detail.as_deref().map_or(Detail::Auto, Detail::from);
        let (count, most) = self.images.count(self.model, url.as_deref(), detail);
        self.meter.add(count, most)
    }

    /// 10 tokens a second (developers.openai.com/api/docs/guides/realtime-costs). How many seconds are in so many
    /// bytes depends on the coding: MP3 has at least 8 kbit/s, WAV seldom more than 48 kB/s.
    fn audio(&mut self, bytes: u64) -> Flow {
        let most = bytes / 100 + 10;
        self.meter.add(Count::bounded(bytes / 3_000, 0, most), most)
    }

    fn tools(&mut self, tools: Option<&RawValue>) -> Flow {
        let Some(tools) = tools else {
            return Flow::Continue(());
        };
        let mut functions = Vec::new();
        let mut most = SLACK;
        let flow = elements(tools, |raw| {
            let Some(tool) = Tool::read(raw) else {
                return self.bytes_of(raw);
            };
            if tool.is_hosted() {
                return self.unbounded();
            }
            match serde_json::from_str::<tools::Function<'_>>(tool.function.unwrap_or(raw).get()) {
                Ok(function) if length(tools.get()) <= LONGEST_TOOLS => functions.push(function),
                // A custom tool, or one that would take long to render.
                _ => return self.bytes_of(raw),
            }
            most += length(raw.get());
            Flow::Continue(())
        });
        match flow {
            Some(flow) => flow?,
            None => return self.bytes_of(tools),
        }
        if functions.is_empty() {
            return Flow::Continue(());
        }
        // 9 tokens for the block; after a system message it needs no message of its own.
        let framing = if self.has_system { 5 } else { 9 };
        self.meter
            .estimated_text(&tools::render(functions), framing, most)
    }

    /// A schema of the answer, which the model reads in a form that is not published.
    fn schema(&mut self, format: &RawValue) -> Flow {
        // `{"type":"text"}` and `{"type":"json_object"}` have none.
        if !format.get().contains("\"json_schema\"") {
            return Flow::Continue(());
        }
        self.meter.estimated_text(format.get(), 0, length(format.get()))
    }

    fn unpublished(&mut self, tokens: u64, (low, high): (u64, u64)) -> Flow {
        self.meter.add(Count::estimated(tokens, low, high), high)
    }

    /// Adds a value of a kind that is not known here: at most a token a byte, unless it refers to more.
    fn unread(&mut self, raw: &RawValue) -> Flow {
        if bounds::has_attachment(raw.get()) {
            return self.unbounded();
        }
        self.bytes_of(raw)
    }

    fn bytes_of(&mut self, raw: &RawValue) -> Flow {
        let bytes = length(raw.get());
        self.meter.add(Count::bounded(bytes / 4, 0, bytes), bytes)
    }

    /// Adds what only the provider can see: a file, an earlier conversation, the result of a search.
    fn unbounded(&mut self) -> Flow {
        self.meter.add(Count::bounded(0, 0, u64::MAX), u64::MAX)
    }
}

fn present(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| !wire::is_null(value))
}
