//! Objects of the Batch and Files APIs, read tolerantly: almost everything may be missing or `null`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A batch as a server reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchView {
    /// The batch's id.
    #[serde(default)]
    pub id: String,
    /// `validating`, `in_progress`, `finalizing`, `completed`, `failed`, `expired`, `cancelling`, `cancelled`, or a
    /// word of another provider's.
    #[serde(default)]
    pub status: String,
    /// The input file.
    #[serde(default)]
    pub input_file_id: Option<String>,
    /// Where the lines that succeeded are.
    #[serde(default)]
    pub output_file_id: Option<String>,
    /// Where the lines that failed are.
    #[serde(default)]
    pub error_file_id: Option<String>,
    /// When it was created, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<i64>,
    /// When it expires, in seconds since 1970.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// How many lines there are, and how many are done.
    #[serde(default)]
    pub request_counts: Option<RequestCounts>,
    /// Why the whole batch failed.
    #[serde(default)]
    pub errors: Option<BatchErrors>,
    /// What its creator attached.
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Line counts of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// All lines; 0 until validated.
    #[serde(default)]
    pub total: u64,
    /// Lines that succeeded.
    #[serde(default)]
    pub completed: u64,
    /// Lines that failed.
    #[serde(default)]
    pub failed: u64,
}

/// Why a whole batch failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchErrors {
    /// One entry per fault.
    #[serde(default)]
    pub data: Vec<LineError>,
}

/// A fault of a batch, or of one of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LineError {
    /// What kind of fault, such as `duplicate_custom_id` or `batch_expired`.
    #[serde(default)]
    pub code: Option<String>,
    /// What happened, in the server's words.
    #[serde(default)]
    pub message: Option<String>,
    /// The line of the input file, from 1.
    #[serde(default)]
    pub line: Option<u64>,
}

/// A file as a server reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileView {
    /// The file's id.
    #[serde(default)]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
    /// Its size.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// When it was created, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<i64>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on this page.
    pub data: Vec<T>,
    /// Whether there is another one.
    #[serde(default)]
    pub has_more: bool,
}

/// One line of an output or error file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLine<'a> {
    /// The id that the request was given.
    pub custom_id: Cow<'a, str>,
    /// What became of the request.
    pub outcome: LineOutcome<'a>,
}

/// What became of one request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineOutcome<'a> {
    /// The server answered, with this status and this JSON body. A status of 0 has been seen: treat it as not run.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The server's id for the request.
        request_id: Option<Cow<'a, str>>,
        /// The body, as JSON.
        body: Cow<'a, str>,
    },
    /// The request did not run, for instance because the batch expired.
    NotRun(LineError),
}

impl<'a> BatchLine<'a> {
    /// Reads one line; `None` if it is not an answer to a `custom_id`.
    ///
    /// A body that is a JSON string holding JSON is unwrapped, as some servers send it so.
    pub fn read(line: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            custom_id: &'a RawValue,
            #[serde(borrow, default)]
            response: Option<Response<'a>>,
            #[serde(default)]
            error: Option<LineError>,
        }
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(default)]
            status_code: Option<u16>,
            #[serde(borrow, default)]
            request_id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            body: Option<&'a RawValue>,
        }
        let wire: Wire<'a> = serde_json::from_str(line).ok()?;
        let custom_id = super::string(wire.custom_id)?;
        let outcome = match (wire.response, wire.error) {
            (Some(response), _) => {
                let body = response
                    .body
                    .map_or(Cow::Borrowed("null"), |raw| match super::string(raw) {
                        Some(inner) if inner.trim_start().starts_with('{') => inner,
                        _ => Cow::Borrowed(raw.get()),
                    });
                let status = response.status_code.unwrap_or(0);
                LineOutcome::Answered {
                    status,
                    request_id: response.request_id.and_then(super::string),
                    body,
                }
            }
            (None, Some(error)) => LineOutcome::NotRun(error),
            (None, None) => return None,
        };
        Some(Self { custom_id, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_kinds_of_lines() {
        let good = r#"{"id":"b","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{"x":1}},"error":null}"#;
        let line = BatchLine::read(good).unwrap();
        assert_eq!(line.custom_id, "a");
        assert_eq!(
            line.outcome,
            LineOutcome::Answered {
                status: 200,
                request_id: Some("r".into()),
                body: "{\"x\":1}".into()
            }
        );
        let expired = r#"{"custom_id":"a","response":null,"error":{"code":"batch_expired","message":"m"}}"#;
        assert!(
            matches!(BatchLine::read(expired).unwrap().outcome, LineOutcome::NotRun(e) if e.code.as_deref() == Some("batch_expired"))
        );
        let text = r#"{"custom_id":"a","response":{"status_code":200,"body":"{\"x\":1}"}}"#;
        assert!(
            matches!(BatchLine::read(text).unwrap().outcome, LineOutcome::Answered { body, .. } if body == "{\"x\":1}")
        );
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"custom_id":7,"error":{}}"#,
            r#"{"custom_id":"a"}"#,
        ] {
            assert_eq!(BatchLine::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_batch_with_almost_nothing_in_it_is_read() {
        let batch: BatchView =
            serde_json::from_str(r#"{"id":"b","status":"PROGRESS","request_counts":null,"errors":null}"#)
                .unwrap();
        assert_eq!((batch.status.as_str(), batch.request_counts), ("PROGRESS", None));
    }
}
