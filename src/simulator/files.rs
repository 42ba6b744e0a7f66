//! Files: upload, listing, content and deletion.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use serde_json::{Value, json};

use super::Simulator;
use super::batch::Batch;
use super::exchange::{Incoming, Outgoing, Payload, Refusal};

/// Files of batches are kept for 30 days, in seconds.
pub(super) const KEPT: i64 = 30 * 86_400;

/// How much of a file is sent at once, in bytes.
const PIECE: usize = 64 << 10;

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) files: Vec<File>,
    pub(super) batches: Vec<Batch>,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) purpose: String,
    pub(super) created_at: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) content: Bytes,
}

impl Store {
    pub(super) fn file(&self, id: &str) -> Option<&File> {
        self.files.iter().find(|file| file.id == id)
    }
}

impl File {
    fn describe(&self, expires_at: Option<i64>) -> Value {
        json!({
            "object": "file", "id": self.id, "purpose": self.purpose, "filename": self.name,
            "bytes": self.content.len(), "created_at": self.created_at, "expires_at": expires_at,
            "status": "processed", "status_details": null,
        })
    }
}

impl Simulator {
    pub(super) fn create_file(&self, request: &Incoming) -> Result<Outgoing, Refusal> {
        let content_type = request
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let parts = content_type.and_then(|kind| parts(kind, &request.body));
        let parts = parts.ok_or_else(|| Refusal::bad_request("Could not parse multipart form"))?;
        let field = |name: &str| parts.iter().find(|part| part.name == name);
        let missing = |name: &'static str| {
            Refusal::bad_request(format!("Missing required parameter: '{name}'.")).about(name)
        };
        let text = |part: &Part| String::from_utf8_lossy(&part.content).into_owned();
        let purpose = field("purpose").map(text).ok_or_else(|| missing("purpose"))?;
        let upload = field("file").ok_or_else(|| missing("file"))?;
        let now = self.core.now();
        let seconds = field("expires_after[seconds]").and_then(|part| text(part).parse::<i64>().ok());
        let file = File {
            id: format!("file-{:016x}", self.core.fresh(&upload.content)),
            name: upload.filename.clone().unwrap_or_else(|| "upload".to_owned()),
            expires_at: seconds
                .or((purpose == "batch").then_some(KEPT))
                .map(|kept| now.saturating_add(kept)),
            purpose,
            created_at: now,
            content: upload.content.clone(),
        };
        // The real API names an expiry of its own choice only when it is asked again.
        let named = file.expires_at.filter(|_| seconds.is_some());
        let answer = file.describe(named);
        self.store().files.push(file);
        Ok(Outgoing::json(&answer))
    }

    pub(super) fn list_files(&self, request: &Incoming) -> Result<Outgoing, Refusal> {
        let store = self.store();
        let purpose = request.parameter("purpose");
        let mut files: Vec<&File> = store.files.iter().collect();
        files.retain(|file| purpose.as_ref().is_none_or(|purpose| file.purpose == *purpose));
        if request.parameter("order").as_deref() != Some("asc") {
            files.reverse();
        }
        let all = files
            .iter()
            .map(|file| (file.id.as_str(), file.describe(file.expires_at)));
        page(request, all.collect(), 10_000, 10_000)
    }

    pub(super) fn retrieve_file(&self, id: &str) -> Result<Outgoing, Refusal> {
        let store = self.store();
        let file = store.file(id).ok_or_else(|| no_file(id))?;
        Ok(Outgoing::json(&file.describe(file.expires_at)))
    }

    pub(super) fn delete_file(&self, id: &str) -> Result<Outgoing, Refusal> {
        let mut store = self.store();
        let at = store
            .files
            .iter()
            .position(|file| file.id == id)
            .ok_or_else(|| no_file(id))?;
        store.files.remove(at);
        Ok(Outgoing::json(
            &json!({"id": id, "object": "file", "deleted": true}),
        ))
    }

    pub(super) fn file_content(&self, id: &str) -> Result<Outgoing, Refusal> {
        let store = self.store();
        let file = store.file(id).ok_or_else(|| no_file(id))?;
        // Piece by piece and without a length, as the real API sends it.
        let mut rest = file.content.clone();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            pieces.push(rest.split_to(rest.len().min(PIECE)));
        }
        let body = Payload::Pieces(pieces);
        let disposition = format!("attachment; filename=\"{}\"", file.name);
        Ok(Outgoing::new("application/octet-stream", body).with_header("content-disposition", &disposition))
    }
}

pub(super) fn no_file(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("No such File object: {id}")).about("id")
}

/// Cuts a page out of a listing, by `after` and `limit` of the query.
pub(super) fn page(
    request: &Incoming,
    all: Vec<(&str, Value)>,
    usual: usize,
    most: usize,
) -> Result<Outgoing, Refusal> {
    let limit = match request.parameter("limit") {
        None => usual,
        Some(given) => given
            .parse()
            .ok()
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| Refusal::bad_request(format!("Invalid 'limit': '{given}'.")).about("limit"))?,
    };
    let start = match request.parameter("after") {
        None => 0,
        Some(after) => {
            let found = all.iter().position(|(id, _)| *id == after);
            1 + found
                .ok_or_else(|| Refusal::bad_request(format!("Invalid 'after': '{after}'.")).about("after"))?
        }
    };
    let mut left = all.into_iter().skip(start);
    let shown: Vec<(&str, Value)> = left.by_ref().take(limit).collect();
    let (first, last) = (shown.first().map(|(id, _)| *id), shown.last().map(|(id, _)| *id));
    let (first, last) = (first.map(str::to_owned), last.map(str::to_owned));
    let data: Vec<Value> = shown.into_iter().map(|(_, value)| value).collect();
    let has_more = left.next().is_some();
    Ok(Outgoing::json(&json!({
        "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more,
    })))
}

/// One part of a `multipart/form-data` body.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    filename: Option<String>,
    content: Bytes,
}

/// Splits a form by RFC 7578; `None` if it is not one.
fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters
        .split(';')
        .find_map(|pair| pair.trim().strip_prefix("boundary="))?;
    // The first delimiter has no line break before it; all others do, and it is not part of the content.
    let delimiter = format!("\r\n--{}", boundary.trim_matches('"'));
    let first = delimiter.trim_start();
    let mut at = memmem::find(body, first.as_bytes())? + first.len();
    let mut found = Vec::new();
    while !body.get(at..)?.starts_with(b"--") {
        let start = at + 2;
        let end = start + memmem::find(body.get(start..)?, delimiter.as_bytes())?;
        let part = body.slice(start..end);
        let head_end = memmem::find(&part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(part.get(..head_end)?).ok()?;
        found.push(Part {
            name: attribute(head, "name")?,
            filename: attribute(head, "filename"),
            content: part.slice(head_end + 4..),
        });
        at = end + delimiter.len();
    }
    Some(found)
}

fn attribute(head: &str, name: &str) -> Option<String> {
    let start = format!("; {name}=\"");
    let (_, rest) = head.split_once(&start)?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_split_into_its_parts() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n{}\r\n{}\n\r\n--b--\r\n";
        let parts = parts("multipart/form-data; boundary=b", &body.into()).unwrap();
        assert_eq!(
            (parts[0].name.as_str(), &parts[0].content[..]),
            ("purpose", &b"batch"[..])
        );
        assert_eq!(parts[1].filename.as_deref(), Some("a.jsonl"));
        assert_eq!(&parts[1].content[..], b"{}\r\n{}\n");
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_form_by_accident_of_a_panic(body in "(--b|\r\n|name=\"a\"|; |x){0,12}") {
            if let Some(parts) = parts("multipart/form-data; boundary=b", &body.into()) {
                prop_assert!(parts.iter().all(|part| part.name == "a"));
            }
        }
    }
}
