//! Requests that are refused as they come, with the reason, before any file is made.

use thrifty::batch::{BatchCollector, BatchError, InvalidRequest};
use thrifty::{Clock, Endpoint, ErrorKind, SystemClock};

use super::ask;
use super::fake::FakeApi;

pub(crate) fn invalid<T>(outcome: Result<T, BatchError>) -> InvalidRequest {
    match outcome.err() {
        Some(BatchError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_refused_with_the_reason_and_nothing_is_sent() {
    let api = FakeApi::default();
    let collector = BatchCollector::builder(api.clone()).build();
    let raw = async |endpoint, body: &'static str| invalid(collector.enqueue_raw(endpoint, body).await);
    let chat = Endpoint::ChatCompletions;
    let stream = r#"{"model":"gpt-4o","messages":[],"stream":true}"#;
    assert_eq!(raw(chat.clone(), stream).await, InvalidRequest::Stream);
    let background = r#"{"model":"gpt-4o","input":"x","background":true}"#;
    assert_eq!(
        raw(Endpoint::Responses, background).await,
        InvalidRequest::Background
    );
    assert_eq!(
        raw(chat.clone(), r#"{"messages":[]}"#).await,
        InvalidRequest::NoModel
    );
    let images = raw(
        Endpoint::from("POST /v1/images/edits"),
        r#"{"model":"gpt-image-1"}"#,
    )
    .await;
    assert!(matches!(images, InvalidRequest::Endpoint { .. }), "{images}");
    for torn in ["", "[]", "<html>", r#"{"model":"gpt-4o""#] {
        let unreadable = raw(chat.clone(), torn).await;
        assert!(
            matches!(unreadable, InvalidRequest::Unreadable { .. }),
            "{torn}: {unreadable}"
        );
    }
    let inputs = format!(r#"{{"model":"e","input":[{}"x"]}}"#, "\"x\",".repeat(50_000));
    let many = invalid(collector.enqueue_raw(Endpoint::Embeddings, inputs).await);
    assert!(
        matches!(many, InvalidRequest::TooManyInputs { inputs: 50_001, .. }),
        "{many}"
    );
    let past = collector.enqueue(&ask(1)).deadline(SystemClock.now()).await;
    assert_eq!(invalid(past), InvalidRequest::DeadlinePassed);

    assert!(collector.flush().await.unwrap().is_empty());
    assert_eq!(api.calls(), Vec::<String>::new());
    let error = collector.enqueue_raw(chat, stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
