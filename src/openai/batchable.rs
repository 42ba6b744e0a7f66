//! async-openai's request types that a batch can carry, each with the type of its answer.

use async_openai::types::chat::{CreateChatCompletionRequest, CreateChatCompletionResponse};
use async_openai::types::embeddings::{CreateEmbeddingRequest, CreateEmbeddingResponse};
use async_openai::types::responses::{CreateResponse, Response};

use crate::batch::BatchableRequest;
use crate::endpoint::Endpoint;

impl BatchableRequest for CreateChatCompletionRequest {
    type Response = CreateChatCompletionResponse;

    fn endpoint() -> Endpoint {
        Endpoint::ChatCompletions
    }
}

impl BatchableRequest for CreateResponse {
    type Response = Response;

    fn endpoint() -> Endpoint {
        Endpoint::Responses
    }
}

impl BatchableRequest for CreateEmbeddingRequest {
    type Response = CreateEmbeddingResponse;

    fn endpoint() -> Endpoint {
        Endpoint::Embeddings
    }
}
