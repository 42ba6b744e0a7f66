//! What a failure means: whether it may pass, and whether the request may have had its effect all the same.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use async_openai::error::OpenAIError;
use http::StatusCode;

use crate::wire::ErrorView;

/// An attempt that failed for a reason of our own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("no answer within {after:?}")]
    TimedOut { after: Duration },
    #[error("the stream was silent for {after:?}")]
    Silent { after: Duration },
}

/// Whether an answer that is no success says nothing about what became of the request: a gateway that gave up waiting, or
/// whose connection to the server broke, does not know whether the server went on.
pub(crate) fn may_hide_success(status: StatusCode, body: &[u8]) -> bool {
    match status.as_u16() {
        408 | 502 | 504 | 520..=527 => true,
        // The server's own failures come in its own words.
        500.. => ErrorView::read(body).is_none(),
        _ => false,
    }
}

/// Whether an error of the transport may pass.
pub(crate) fn is_transient(error: &OpenAIError) -> bool {
    match error {
        OpenAIError::Reqwest(error) => {
            error.is_connect()
                || error.is_timeout()
                || error.is_body()
                || error.is_decode()
                || error.is_request()
        }
        OpenAIError::Boxed(error) => {
            source_of::<AttemptError>(&**error).is_some()
                || source_of::<io::Error>(&**error).is_some()
                || source_of::<reqwest::Error>(&**error).is_some()
        }
        _ => false,
    }
}

/// Whether a request without an answer may still have reached the server.
pub(crate) fn may_have_had_effect(error: &OpenAIError) -> bool {
    let refused = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
        )
    };
    match error {
        OpenAIError::Reqwest(error) => !error.is_connect() && !error.is_builder(),
        OpenAIError::Boxed(error) => {
            let refused = source_of::<io::Error>(&**error).is_some_and(refused);
            let connect = source_of::<reqwest::Error>(&**error).is_some_and(reqwest::Error::is_connect);
            !refused && !connect
        }
        _ => false,
    }
}

/// Finds an error of a type in a chain of sources.
fn source_of<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Says what happened without the URL, whose query may hold a key.
pub(crate) fn describe(error: &OpenAIError) -> String {
    match error {
        OpenAIError::Reqwest(error) if error.is_timeout() => "timeout".to_owned(),
        OpenAIError::Reqwest(error) if error.is_connect() => "could not connect".to_owned(),
        OpenAIError::Reqwest(_) => "the connection broke".to_owned(),
        OpenAIError::Boxed(error) => error.to_string(),
        _ => "the request could not be built".to_owned(),
    }
}
