//! Responses: answered, refused, gone on with, asked for again, and deleted.

use async_openai::error::OpenAIError;
use async_openai::types::responses::{
    CreateResponse, OutputItem, OutputMessageContent, Response, ResponseStreamEvent,
};
use futures_util::StreamExt;
use serde_json::json;
use thrifty::simulator::{Fault, Simulator};

use super::Result;

fn request(more: &serde_json::Value) -> CreateResponse {
    let mut request = json!({"model": "gpt-4.1", "input": "Tell me."});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

fn refusal(response: &Response) -> Option<&str> {
    let [OutputItem::Message(message)] = response.output.as_slice() else {
        panic!("{:?}", response.output)
    };
    match message.content.as_slice() {
        [OutputMessageContent::Refusal(refused)] => Some(&refused.refusal),
        _ => None,
    }
}

#[tokio::test]
async fn a_response_is_the_same_plain_and_streamed() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let request = request(&json!({"model": "gpt-5-mini"}));
    let plain = client.responses().create(request.clone()).await?;
    assert_eq!(plain.model, "gpt-5-mini-2025-08-07");
    let mut stream = client.responses().create_stream(request).await?;
    let (mut text, mut completed, mut kinds) = (String::new(), None, Vec::new());
    while let Some(event) = stream.next().await {
        match event? {
            ResponseStreamEvent::ResponseCreated(_) => kinds.push("created"),
            ResponseStreamEvent::ResponseOutputTextDelta(event) => text.push_str(&event.delta),
            ResponseStreamEvent::ResponseCompleted(event) => completed = Some(event.response),
            _ => {}
        }
    }
    let completed = completed.unwrap();
    assert_eq!(kinds, ["created"]);
    assert_eq!(plain.output_text().as_deref(), Some(text.as_str()));
    assert_eq!(completed.output_text(), plain.output_text());
    assert_eq!(completed.usage, plain.usage);
    assert!(plain.usage.unwrap().output_tokens_details.reasoning_tokens > 0);
    assert_eq!(simulator.book().charges().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_response_calls_its_function_plain_and_streamed() -> Result {
    let client = Simulator::new().client();
    let request = request(
        &json!({"tools": [{"type": "function", "name": "find", "strict": true,
        "parameters": {"type": "object", "required": ["q"], "properties": {"q": {"type": "string"}}}}]}),
    );
    let answer = client.responses().create(request.clone()).await?;
    let [OutputItem::FunctionCall(call)] = answer.output.as_slice() else {
        panic!("{:?}", answer.output)
    };
    assert_eq!(call.name, "find");
    let mut stream = client.responses().create_stream(request).await?;
    let mut arguments = String::new();
    while let Some(event) = stream.next().await {
        if let ResponseStreamEvent::ResponseFunctionCallArgumentsDelta(event) = event? {
            arguments.push_str(&event.delta);
        }
    }
    assert_eq!(arguments, call.arguments);
    Ok(())
}

#[tokio::test]
async fn a_response_is_refused_plain_and_streamed() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let answered = client.responses().create(request(&json!({}))).await?;
    assert_eq!(refusal(&answered), None);
    simulator.inject(Fault::refusal().times(2));
    let plain = client.responses().create(request(&json!({}))).await?;
    assert_eq!(refusal(&plain).map(str::to_owned), answered.output_text());

    let mut stream = client.responses().create_stream(request(&json!({}))).await?;
    let (mut text, mut done, mut completed) = (String::new(), None, None);
    while let Some(event) = stream.next().await {
        match event? {
            ResponseStreamEvent::ResponseRefusalDelta(event) => text.push_str(&event.delta),
            ResponseStreamEvent::ResponseRefusalDone(event) => done = Some(event.refusal),
            ResponseStreamEvent::ResponseCompleted(event) => completed = Some(event.response),
            ResponseStreamEvent::ResponseOutputTextDelta(event) => panic!("{event:?}"),
            _ => {}
        }
    }
    assert_eq!(Some(text.as_str()), refusal(&plain));
    assert_eq!(done.as_ref(), Some(&text));
    assert_eq!(completed.as_ref().and_then(refusal), Some(text.as_str()));
    Ok(())
}

#[tokio::test]
async fn a_response_can_be_asked_for_again_until_it_is_deleted() -> Result {
    let simulator = Simulator::new();
    let client = simulator.client();
    let made = client
        .responses()
        .create(request(&json!({"metadata": {"team": "a"}, "temperature": 0.5})))
        .await?;
    assert_eq!(made.temperature, Some(0.5));
    assert_eq!(made.metadata.as_ref().unwrap()["team"], "a");
    assert_eq!(client.responses().retrieve(&made.id).await?, made);
    let mut stream = client.responses().retrieve_stream(&made.id).await?;
    let mut last = None;
    while let Some(event) = stream.next().await {
        last = Some(event?);
    }
    assert!(matches!(last, Some(ResponseStreamEvent::ResponseCompleted(event)) if event.response == made));
    assert_eq!(simulator.book().charges().len(), 1, "only generation is billed");

    assert!(client.responses().delete(&made.id).await?.deleted);
    assert!(client.responses().retrieve(&made.id).await.is_err());
    assert!(client.responses().delete(&made.id).await.is_err());
    let forgotten = client
        .responses()
        .create(request(&json!({"store": false})))
        .await?;
    assert!(client.responses().retrieve(&forgotten.id).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_response_that_goes_on_with_another_pays_for_its_context() -> Result {
    let client = Simulator::new().client();
    let go_on = async |from: Option<&str>| {
        let request = request(&json!({"model": "o3", "previous_response_id": from}));
        client.responses().create(request).await
    };
    let first = go_on(None).await?;
    let second = go_on(Some(&first.id)).await?;
    let third = go_on(Some(&second.id)).await?;
    assert_eq!(third.previous_response_id.as_ref(), Some(&second.id));
    let [first, second, third] = [first, second, third].map(|response| response.usage.unwrap());
    let told = |usage: &async_openai::types::responses::ResponseUsage| {
        usage.total_tokens - usage.output_tokens_details.reasoning_tokens
    };
    assert_eq!(second.input_tokens, told(&first) + first.input_tokens);
    assert_eq!(third.input_tokens, told(&second) + first.input_tokens);
    let Err(OpenAIError::ApiError(refused)) = go_on(Some("resp_nobody")).await else {
        panic!("nobody made it")
    };
    assert_eq!(
        refused.api_error.code.as_deref(),
        Some("previous_response_not_found")
    );
    Ok(())
}

#[tokio::test]
async fn the_last_thousand_responses_are_kept() -> Result {
    let client = Simulator::new().client();
    let mut ids = Vec::new();
    for n in 0..1_001 {
        let request = request(&json!({"input": n.to_string(), "max_output_tokens": 16}));
        ids.push(client.responses().create(request).await?.id);
    }
    assert!(client.responses().retrieve(&ids[0]).await.is_err());
    for id in [&ids[1], &ids[1_000]] {
        assert_eq!(client.responses().retrieve(id).await?.id, *id);
    }
    Ok(())
}
