//! Answers: the one table from a refusal or a trouble to HTTP, and resources with their headers.

use axum::body::Body;
use axum::http::header::{CONTENT_LOCATION, CONTENT_TYPE, ETAG, LAST_MODIFIED, LINK, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_domain::refusal::{Refusal, RefusalKind};
use hub_domain::registry::Trouble;
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::time::Timestamp;
use serde_json::Value;

use crate::engine::{Failure, TroubleKind};

pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// A handler's no.
pub(super) struct No(pub(super) StatusCode, pub(super) Vec<Issue>);

impl No {
    pub(super) fn new(status: StatusCode, code: IssueType, text: impl Into<String>) -> Self {
        Self(status, vec![Issue::error(code, "", text)])
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, IssueType::NotFound, text)
    }

    pub(super) fn bad_request(issues: Vec<Issue>) -> Self {
        Self(StatusCode::BAD_REQUEST, issues)
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let mut response = json(self.0, &operation_outcome(&self.1));
        if matches!(self.0, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Malformed => StatusCode::BAD_REQUEST,
            RefusalKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Gone => StatusCode::GONE,
            RefusalKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            RefusalKind::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            RefusalKind::Overtaken => StatusCode::SERVICE_UNAVAILABLE,
            RefusalKind::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        };
        Self(status, refusal.issues)
    }
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Trouble { id, kind } => {
                let (status, code, text) = trouble_status(kind);
                Self::new(status, code, format!("{text} (error {id})"))
            }
        }
    }
}

impl From<Trouble> for No {
    fn from(trouble: Trouble) -> Self {
        if let Trouble::TooWide { .. } = trouble {
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, IssueType::TooCostly, trouble.to_string());
        }
        Failure::of(&trouble).into()
    }
}

/// What a caller is told of our troubles.
pub fn trouble_status(kind: TroubleKind) -> (StatusCode, IssueType, &'static str) {
    match kind {
        TroubleKind::Unavailable => {
            // It may have gone in the middle of the commit.
            let text = "the registry is not available; whether a change was done is not known: \
                        send it again with the same Idempotency-Key";
            (StatusCode::SERVICE_UNAVAILABLE, IssueType::Transient, text)
        }
        TroubleKind::Overloaded => {
            (StatusCode::SERVICE_UNAVAILABLE, IssueType::Throttled, "too much is waiting; nothing was done, try again")
        }
        TroubleKind::Backlogged => {
            let text = "too many messages wait for the broker; no order was taken, try again later";
            (StatusCode::SERVICE_UNAVAILABLE, IssueType::Transient, text)
        }
        TroubleKind::Contended => {
            (StatusCode::SERVICE_UNAVAILABLE, IssueType::Conflict, "others were faster; nothing was done, try again")
        }
        TroubleKind::TooCostly => {
            let text = "this search would read too much (search_rows_limit, search_timeout_ms): narrow it by what few \
                        resources have, such as an identifier, a patient or a date";
            (StatusCode::UNPROCESSABLE_ENTITY, IssueType::TooCostly, text)
        }
        TroubleKind::BadPage => {
            (StatusCode::BAD_REQUEST, IssueType::Value, "this paging link was not written by this hub: start anew")
        }
        TroubleKind::Broken => (StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception, "the hub failed"),
    }
}

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    text(status, body.to_string().into_bytes())
}

/// A body that is FHIR JSON already.
pub(super) fn text(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, FHIR_JSON)], Body::from(body)).into_response()
}

/// The headers that tell which version this is.
pub(super) fn version_headers(headers: &mut HeaderMap, version: u32, last_updated: Timestamp) {
    put(headers, ETAG, format!("W/\"{version}\""));
    put(headers, LAST_MODIFIED, last_updated.http_date());
}

/// Which version the body is.
pub(super) fn content_location(headers: &mut HeaderMap, url: String) {
    put(headers, CONTENT_LOCATION, url);
}

pub(super) fn location(headers: &mut HeaderMap, url: String) {
    put(headers, LOCATION, url);
}

/// Where the fulfilment of an order is followed.
pub(super) fn link_fulfilment(headers: &mut HeaderMap, url: &str) {
    put(headers, LINK, format!("<{url}>; rel=\"related\"; title=\"fulfilment Task\""));
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // Ids and numbers of our own: always a legal header.
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(name, value);
    }
}
