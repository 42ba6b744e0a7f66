//! The simulator's billing book, in meters: what a provider would put on the bill, whoever received the answer.

use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::model::ModelId;
use crate::usage::Usage;

/// One answer that the simulator generated and bills.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// The id of the answer; for embeddings, which have none, the id of the request.
    pub id: String,
    /// The model that answered, a snapshot if an alias was asked for.
    pub model: ModelId,
    /// The lane that it was answered in.
    pub lane: Lane,
    /// The endpoint that was called.
    pub endpoint: Endpoint,
    /// What was metered.
    pub usage: Usage,
    /// When, in seconds since 1970 of the simulator's own time.
    pub at: i64,
}

/// Everything that was billed up to a moment, oldest first.
///
/// # Examples
/// ```
/// use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
/// use thrifty::simulator::Simulator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::new();
/// let message = ChatCompletionRequestUserMessage::from("Name a river.");
/// let request = CreateChatCompletionRequestArgs::default()
///     .model("gpt-4o-mini")
///     .messages([message.into()])
///     .build()?;
/// let answer = simulator.client().chat().create(request).await?;
///
/// let book = simulator.book();
/// let billed = u64::from(answer.usage.map_or(0, |usage| usage.completion_tokens));
/// assert_eq!(book.total().output_tokens, billed);
/// assert_eq!(book.charges()[0].model, "gpt-4o-mini-2024-07-18");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    charges: Vec<Charge>,
}

impl Book {
    pub(super) fn new(charges: Vec<Charge>) -> Self {
        Self { charges }
    }

    /// Returns every charge, oldest first.
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// Returns the sum of all charges.
    pub fn total(&self) -> Usage {
        self.total_where(|_| true)
    }

    /// Returns the sum of the charges that `wanted` picks.
    pub fn total_where(&self, wanted: impl Fn(&Charge) -> bool) -> Usage {
        let picked = self.charges.iter().filter(|charge| wanted(charge));
        picked.fold(Usage::default(), |sum, charge| add(sum, charge.usage))
    }
}

/// Adds what the simulator meters; it speaks no audio and writes no cache.
pub(super) fn add(mut sum: Usage, more: Usage) -> Usage {
    sum.input_tokens += more.input_tokens;
    sum.output_tokens += more.output_tokens;
    sum.cache_read_tokens += more.cache_read_tokens;
    sum.reasoning_tokens += more.reasoning_tokens;
    sum.audio_input_tokens += more.audio_input_tokens;
    sum
}
