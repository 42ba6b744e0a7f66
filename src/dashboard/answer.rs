//! Answers to requests.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;

use crate::dashboard::shared::{Shared, Unavailable};
use crate::report::Report;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Page,
    Json,
    Csv,
    Metrics,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Page => HTML,
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    fn render(self, report: &Report, tag: &str) -> String {
        match self {
            Self::Page => report.to_live_html(tag),
            Self::Json => report.to_json(),
            Self::Csv => report.to_csv(),
            Self::Metrics => report.to_prometheus(),
        }
    }
}

pub(super) async fn to(format: Format, shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Response {
    if uri.query().is_some() {
        let refusal = "This address takes no parameters: ask for it without what begins with `?`.\n";
        return whole(StatusCode::BAD_REQUEST, TEXT, refusal.into());
    }
    let made = match shared.report().await {
        Ok(made) => made,
        Err(why) => return unavailable(format, why),
    };
    let mut answer = if names(headers, &made.tag) {
        let mut empty = Response::new(Body::empty());
        *empty.status_mut() = StatusCode::NOT_MODIFIED;
        set(&mut empty, CACHE_CONTROL, "no-store");
        empty
    } else {
        let body = made.rendered(format as usize, |report| format.render(report, &made.tag));
        whole(StatusCode::OK, format.content_type(), body.into())
    };
    if let Ok(tag) = HeaderValue::from_str(&made.tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    if format == Format::Csv {
        set(
            &mut answer,
            CONTENT_DISPOSITION,
            "attachment; filename=\"spend.csv\"",
        );
    }
    answer
}

/// Whether the caller has what goes by this tag.
fn names(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    tags.any(|named| matches!(named.trim(), "*") || named.trim() == tag)
}

fn unavailable(format: Format, why: Unavailable) -> Response {
    let what = match why {
        Unavailable::Failed => "The ledger could not be read.",
        Unavailable::Slow => "The ledger takes too long to answer.",
    };
    let then = "Calls go on without it. The service's log says why, under the target `thrifty`: look there, then \
                whether the ledger's disk or database is there and has room.";
    let (content_type, body) = if format == Format::Page {
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"refresh\" content=\"15\">\n\
             <title>LLM spend: not now</title>\n</head>\n<body>\n<main>\n<h1>{what}</h1>\n<p>{then}</p>\n\
             <p>This page tries again every 15 seconds.</p>\n</main>\n</body>\n</html>\n"
        );
        (HTML, page)
    } else {
        (TEXT, format!("{what} {then}\n"))
    };
    let mut answer = whole(StatusCode::SERVICE_UNAVAILABLE, content_type, body.into());
    set(&mut answer, RETRY_AFTER, "15");
    answer
}

fn whole(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, content_type);
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut answer, REFERRER_POLICY, "no-referrer");
    answer
}

fn set(answer: &mut Response, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
