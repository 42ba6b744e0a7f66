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
    /// Input written to the provider's cache.
    pub cache_write: u64,
    /// Audio input.
    pub audio_input: u64,
    /// Text output, reasoning included.
    pub output: u64,
    /// Audio output.
    pub audio_output: u64,
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
    /// The parts of the output are more than the whole.
    #[error("reasoning and audio parts of the output add up to {parts} of {total} tokens")]
    OutputParts {
        /// What the parts add up to.
        parts: u64,
        /// The reported total.
        total: u64,
    },
}

impl Usage {
    /// Makes a usage of plain text: nothing cached, nothing reasoned, no audio.
    pub const fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens: 0,
            audio_input_tokens: 0,
            audio_output_tokens: 0,
        }
    }

    /// Splits the totals into parts that do not overlap.
    ///
    /// # Errors
    /// If the parts are more than their total.
    pub fn meters(&self) -> Result<Meters, UsageError> {
        let parts = self
            .cache_read_tokens
            .saturating_add(self.cache_write_tokens)
            .saturating_add(self.audio_input_tokens);
        let Some(input) = self.input_tokens.checked_sub(parts) else {
            return Err(UsageError::InputParts {
                parts,
                total: self.input_tokens,
            });
        };
        let parts = self.reasoning_tokens.saturating_add(self.audio_output_tokens);
        if parts > self.output_tokens {
            return Err(UsageError::OutputParts {
                parts,
                total: self.output_tokens,
            });
        }
        Ok(Meters {
            input,
            cache_read: self.cache_read_tokens,
            cache_write: self.cache_write_tokens,
            audio_input: self.audio_input_tokens,
            output: self.output_tokens - self.audio_output_tokens,
            audio_output: self.audio_output_tokens,
        })
    }

    /// Returns the same tokens with nothing read from or written to the provider's cache.
    #[must_use]
    pub const fn without_cache(mut self) -> Self {
        self.cache_read_tokens = 0;
        self.cache_write_tokens = 0;
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
            input in 0_u64..1 << 40, output in 0_u64..1 << 40, read in 0_u64..1 << 20, write in 0_u64..1 << 20,
            reasoning in 0_u64..1 << 20, audio in 0_u64..1 << 20,
        ) {
            let usage = Usage {
                input_tokens: input,
                output_tokens: output,
                cache_read_tokens: read,
                cache_write_tokens: write,
                reasoning_tokens: reasoning,
                audio_input_tokens: audio,
                audio_output_tokens: audio,
            };
            match usage.meters() {
                Ok(m) => {
                    prop_assert_eq!(m.input + m.cache_read + m.cache_write + m.audio_input, input);
                    prop_assert_eq!(m.output + m.audio_output, output);
                }
                Err(UsageError::InputParts { parts, total }) => prop_assert!(parts > total && total == input),
                Err(UsageError::OutputParts { parts, total }) => prop_assert!(parts > total && total == output),
            }
        }
    }
}
