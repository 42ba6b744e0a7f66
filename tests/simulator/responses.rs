//! Responses: refused, asked for again, and deleted.

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
