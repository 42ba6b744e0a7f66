//! The simulator without async-openai's types: bytes in, bytes out.

use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use thrifty::simulator::Simulator;
use tower::Service;

/// Sends a request and returns the status and the body.
pub(super) async fn send(
    simulator: &Simulator,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> (u16, String) {
    let url = format!("https://api.openai.com{path}").parse().unwrap();
    let mut request = reqwest::Request::new(method.parse().unwrap(), url);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer k"));
    headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    *request.body_mut() = Some(body.to_owned().into());
    let request = std::sync::Mutex::new(Some(request));
    let factory = HttpRequestFactory::new(move || {
        let request = request.lock().unwrap().take().unwrap();
        async move { Ok(request) }
    });
    let answer = simulator.service().call(factory).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(super) async fn get(simulator: &Simulator, path: &str) -> Value {
    let (status, body) = send(simulator, "GET", path, "application/json", "").await;
    assert_eq!(status, 200, "{path} {body}");
    serde_json::from_str(&body).unwrap()
}

pub(super) async fn post(simulator: &Simulator, path: &str, body: &Value) -> (u16, String) {
    send(simulator, "POST", path, "application/json", &body.to_string()).await
}
