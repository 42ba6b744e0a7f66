//! What the quickstart asks: the 160 prompts of MT-Bench (see `data/mt_bench.SOURCE.txt`), in five ways.

use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs, FunctionObjectArgs, ResponseFormat, ResponseFormatJsonSchema,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use thrifty::LlmClient;

use crate::Failure;

/// The limit on the output of each request, in tokens.
pub(crate) const MAX_OUTPUT: u32 = 400;

const PROMPTS: &str = include_str!("data/mt_bench.jsonl");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Interactive,
    Streamed,
    WithTools,
    WithSchema,
    Embedding,
    MayWait,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) feature: String,
    pub(crate) prompt: String,
    pub(crate) kind: Kind,
}

#[derive(Deserialize)]
struct Line {
    category: String,
    prompt: String,
}

/// Reads the prompts and decides how each is asked: one in four at once, the others may wait.
pub(crate) fn jobs() -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for (number, line) in PROMPTS.lines().enumerate() {
        let Line { category, prompt } = serde_json::from_str(line)?;
        let kind = match number % 16 {
            0 => Kind::Interactive,
            4 => Kind::Streamed,
            8 => Kind::WithTools,
            12 => Kind::WithSchema,
            _ => Kind::MayWait,
        };
        jobs.push(Job {
            feature: category,
            prompt,
            kind,
        });
    }
    let all = jobs
        .iter()
        .take(8)
        .map(|job| job.prompt.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    jobs.push(Job {
        feature: "search".into(),
        prompt: all,
        kind: Kind::Embedding,
    });
    Ok(jobs)
}

impl Job {
    pub(crate) fn model(&self) -> &'static str {
        match self.kind {
            Kind::Embedding => "text-embedding-3-small",
            _ => "gpt-4o",
        }
    }

    /// Sends the request. These are async-openai's own calls; only the scope is new.
    pub(crate) async fn run(self, llm: LlmClient<OpenAIConfig>) -> Result<(), Failure> {
        let scope = llm.feature(self.feature.as_str()).tag("program", "quickstart");
        match self.kind {
            Kind::Embedding => {
                let request = CreateEmbeddingRequestArgs::default()
                    .model(self.model())
                    .input(self.prompt)
                    .build()?;
                scope.embeddings().create(request).await?;
            }
            Kind::Streamed => {
                let mut stream = scope.chat().create_stream(self.chat()?).await?;
                while let Some(chunk) = stream.next().await {
                    chunk?;
                }
            }
            Kind::MayWait => {
                let scope = scope.within(std::time::Duration::from_secs(24 * 3_600));
                scope.chat().create(self.chat()?).await?;
            }
            Kind::Interactive | Kind::WithTools | Kind::WithSchema => {
                scope.chat().create(self.chat()?).await?;
            }
        }
        Ok(())
    }

    fn chat(&self) -> Result<CreateChatCompletionRequest, Failure> {
        let mut request = CreateChatCompletionRequestArgs::default();
        request
            .model(self.model())
            .max_completion_tokens(MAX_OUTPUT)
            .messages([ChatCompletionRequestUserMessage::from(self.prompt.as_str()).into()]);
        if self.kind == Kind::WithTools {
            let function = FunctionObjectArgs::default()
                .name("note")
                .description("Keeps a note for later.")
                .parameters(json!({
                    "type": "object",
                    "properties": {"title": {"type": "string"}, "importance": {"type": "integer"}},
                    "required": ["title", "importance"],
                }))
                .build()?;
            request.tools([ChatCompletionTools::Function(ChatCompletionTool { function })]);
        }
        if self.kind == Kind::WithSchema {
            let schema = json!({
                "type": "object",
                "properties": {"summary": {"type": "string"}, "topics": {"type": "array", "items": {"type": "string"}}},
                "required": ["summary", "topics"],
                "additionalProperties": false,
            });
            request.response_format(ResponseFormat::JsonSchema {
                json_schema: ResponseFormatJsonSchema {
                    name: "outline".into(),
                    description: None,
                    schema,
                    strict: Some(true),
                },
            });
        }
        Ok(request.build()?)
    }
}
