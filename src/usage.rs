//! Token counts of one call, in the provider's totals and as disjoint meters.

use serde::{Deserialize, Serialize};

/// The token counts of one call, as the provider reported them.
///
/// `input_tokens` and `output_tokens` are totals; the other fields say how much of a total is of a special kind.
/// [`meters`](Self::meters) splits the totals into parts that do not overlap, which is what gets priced.
///
/// # Examples
/// ```
/// use thrifty::Usage;
///
/// let mut usage = Usage::new(1_000, 50);
/// usage.cache_read_tokens = 600;
/// let meters = usage.meters()?;
/// assert_eq!((meters.input, meters.cache_read, meters.output), (400, 600, 50));
/// # Ok::<(), thrifty::UsageError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's prompt cache; part of `input_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's prompt cache; part of `input_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Output tokens spent on reasoning; part of `output_tokens`, at the same price.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// Input tokens of audio; part of `input_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input_tokens: u64,
    /// Output tokens of audio; part of `output_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output_tokens: u64,
    /// Input tokens written to the provider's prompt cache for 12 hours or longer; part of `cache_write_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_12h_tokens: u64,
    /// Input tokens of images; part of `input_tokens`. Cached ones are counted in `cache_read_tokens` too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_input_tokens: u64,
    /// Output tokens of images; part of `output_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_output_tokens: u64,
    /// Calls of the provider's own tools, which are billed by the call.
    #[serde(default, skip_serializing_if = "ToolCalls::is_none")]
    pub tool_calls: ToolCalls,
}

/// How often the provider ran its own tools for one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ToolCalls {
    /// Searches of the web. Opening a page and finding a text in it are none.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub web_search: u32,
    /// Searches of stored files.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub file_search: u32,
    /// Containers of the usual size that code ran in. One that ran for an earlier answer is not billed again.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub container: u32,
    /// Calls of tools that are billed in a way this crate cannot tell, such as image generation.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub other: u32,
}

impl ToolCalls {
    /// Whether no tool was run.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    const fn saturating_add(self, other: Self) -> Self {
        Self {
            web_search: self.web_search.saturating_add(other.web_search),
            file_search: self.file_search.saturating_add(other.file_search),
            container: self.container.saturating_add(other.container),
            other: self.other.saturating_add(other.other),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero_u32(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Token counts that do not overlap; their sum is the sum of the totals they were split from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Meters {
    /// Text input that was neither read from nor written to the provider's cache.
    pub input: u64,
    /// Input read from the provider's cache.
    pub cache_read: u64,
    /// Input written to the provider's cache, for less than 12 hours.
    pub cache_write: u64,
    /// Input written to the provider's cache for 12 hours or longer.
    pub cache_write_12h: u64,
    /// Audio input.
    pub audio_input: u64,
    /// Input of images that was neither read from nor written to the provider's cache.
    pub image_input: u64,
    /// Text output, reasoning included.
    pub output: u64,
    /// Audio output.
    pub audio_output: u64,
    /// Images in the output.
    pub image_output: u64,
}

/// Token counts that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The parts of the input are more than the whole.
    #[error("cached and audio parts of the input add up to {parts} of {total} tokens")]
    InputParts {
        /// What the parts add up to.
        parts: u64,
        /// The reported total.
        total: u64,
    },
    /// More input was written to the cache for 12 hours than was written to it at all.
    #[error("{parts} tokens written to the cache for 12 hours, of {total} written to it")]
    CacheWrites {
        /// What was written for 12 hours.
        parts: u64,
        /// What was written.
        total: u64,
    },
    /// The parts of the output are more than the whole.
    #[error("reasoning, audio and image parts of the output add up to {parts} of {total} tokens")]
    OutputParts {
        /// What the parts add up to.
        parts: u64,
        /// The reported total.
        total: u64,
    },
}

impl Usage {
    /// Makes a usage of plain text: nothing cached, nothing reasoned, no audio, no images, no tools.
    pub const fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens: 0,
            audio_input_tokens: 0,
            audio_output_tokens: 0,
            cache_write_12h_tokens: 0,
            image_input_tokens: 0,
            image_output_tokens: 0,
            tool_calls: ToolCalls {
                web_search: 0,
                file_search: 0,
                container: 0,
                other: 0,
            },
        }
    }

    /// Splits the totals into parts that do not overlap.
    ///
    /// The cached part may hold images, and no provider says how many. As much of the images as can be is taken to be
    /// outside of it.
    ///
    /// # Errors
    /// If the parts are more than their total.
    pub fn meters(&self) -> Result<Meters, UsageError> {
        let parts = self
            .cache_read_tokens
            .checked_add(self.cache_write_tokens)
            .and_then(|cached| cached.checked_add(self.audio_input_tokens))
            .map(|parts| parts.max(self.image_input_tokens));
        if parts.is_none_or(|parts| parts > self.input_tokens) {
            return Err(UsageError::InputParts {
                parts: parts.unwrap_or(u64::MAX),
                total: self.input_tokens,
            });
        }
        let Some(cache_write) = self.cache_write_tokens.checked_sub(self.cache_write_12h_tokens) else {
            return Err(UsageError::CacheWrites {
                parts: self.cache_write_12h_tokens,
                total: self.cache_write_tokens,
            });
        };
        let parts = self
            .reasoning_tokens
            .checked_add(self.audio_output_tokens)
            .and_then(|parts| parts.checked_add(self.image_output_tokens));
        if parts.is_none_or(|parts| parts > self.output_tokens) {
            return Err(UsageError::OutputParts {
                parts: parts.unwrap_or(u64::MAX),
                total: self.output_tokens,
            });
        }
        let cached = self.cache_read_tokens + self.cache_write_tokens;
        let uncached = self.input_tokens - cached - self.audio_input_tokens;
        let image_input = self.image_input_tokens.min(uncached);
        Ok(Meters {
            input: uncached - image_input,
            cache_read: self.cache_read_tokens,
            cache_write,
            cache_write_12h: self.cache_write_12h_tokens,
            audio_input: self.audio_input_tokens,
            image_input,
            output: self.output_tokens - self.audio_output_tokens - self.image_output_tokens,
            audio_output: self.audio_output_tokens,
            image_output: self.image_output_tokens,
        })
    }

    /// Returns the same tokens with nothing read from or written to the provider's cache.
    #[must_use]
    pub const fn without_cache(mut self) -> Self {
        self.cache_read_tokens = 0;
        self.cache_write_tokens = 0;
        self.cache_write_12h_tokens = 0;
        self
    }

    /// Returns the same tokens with nothing written to the provider's cache.
    #[must_use]
    pub const fn without_cache_writes(mut self) -> Self {
        self.cache_write_tokens = 0;
        self.cache_write_12h_tokens = 0;
        self
    }

    /// Adds another usage, field by field, stopping at the largest count.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            audio_input_tokens: self.audio_input_tokens.saturating_add(other.audio_input_tokens),
            audio_output_tokens: self.audio_output_tokens.saturating_add(other.audio_output_tokens),
            cache_write_12h_tokens: self
                .cache_write_12h_tokens
                .saturating_add(other.cache_write_12h_tokens),
            image_input_tokens: self.image_input_tokens.saturating_add(other.image_input_tokens),
            image_output_tokens: self.image_output_tokens.saturating_add(other.image_output_tokens),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn meters_add_up_to_the_totals(
            (input, output) in (0_u64..1 << 22, 0_u64..1 << 22), (read, write, long) in (0_u64..1 << 20, 0_u64..1 << 20, 0_u64..1 << 20),
            reasoning in 0_u64..1 << 20, audio in 0_u64..1 << 20, image in 0_u64..1 << 20,
        ) {
            let mut usage = Usage::new(input, output);
            usage.cache_read_tokens = read;
            usage.cache_write_tokens = write;
            usage.cache_write_12h_tokens = long;
            usage.reasoning_tokens = reasoning;
            usage.audio_input_tokens = audio;
            usage.audio_output_tokens = audio;
            usage.image_input_tokens = image;
            usage.image_output_tokens = image;
            match usage.meters() {
                Ok(m) => {
                    let cached = m.cache_read + m.cache_write + m.cache_write_12h;
                    prop_assert_eq!(m.input + cached + m.audio_input + m.image_input, input);
                    prop_assert_eq!(m.output + m.audio_output + m.image_output, output);
                    prop_assert_eq!(m.cache_write + m.cache_write_12h, write);
                }
                Err(UsageError::InputParts { parts, total }) => prop_assert!(parts > total && total == input),
                Err(UsageError::CacheWrites { parts, total }) => prop_assert!(parts > total && total == write),
                Err(UsageError::OutputParts { parts, total }) => prop_assert!(parts > total && total == output),
            }
        }
    }

    #[test]
    fn what_was_not_used_is_not_written_and_reads_as_none() {
        let mut usage = Usage::new(10, 1);
        let plain = r#"{"input_tokens":10,"output_tokens":1}"#;
        assert_eq!(serde_json::to_string(&usage).unwrap(), plain);
        assert_eq!(serde_json::from_str::<Usage>(plain).unwrap(), usage);
        usage.tool_calls.file_search = 2;
        let with_tools = r#"{"input_tokens":10,"output_tokens":1,"tool_calls":{"file_search":2}}"#;
        assert_eq!(serde_json::to_string(&usage).unwrap(), with_tools);
        assert_eq!(serde_json::from_str::<Usage>(with_tools).unwrap(), usage);
    }

    #[test]
    fn images_in_the_cache_are_counted_once() {
        let mut usage = Usage::new(1_000, 0);
        usage.cache_read_tokens = 700;
        usage.image_input_tokens = 400;
        let meters = usage.meters().unwrap();
        assert_eq!(
            (meters.input, meters.cache_read, meters.image_input),
            (0, 700, 300)
        );
    }
}
