//! What every FHIR request passes: limits, who calls, a span, a time limit, and the figures.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hub_domain::command::Caller;
use hub_telemetry::names;
use schemas::outcome::IssueType;
use tracing::Instrument;
use uuid::Uuid;

use super::accept::demand_accept;
use super::answer::No;
use super::capacity::{Share, discard};
use super::content::{R4, R5, form};
use super::{pretty, r5};
use crate::auth::AuthError;
use crate::service::Service;

pub(super) async fn pass(State(service): State<Arc<Service>>, mut request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let is_pretty = pretty::is_wanted(request.uri().query().unwrap_or_default());
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let id = request_id(request.headers());
    let correlation = request.headers().get("x-correlation-id").cloned();
    let span =
        tracing::info_span!("http", otel.name = %format!("{method} {route}"), http.route = %route, request.id = %id);
    hub_telemetry::continue_from(&span, request.headers().get("traceparent").and_then(|v| v.to_str().ok()));
    let answer = async {
        match enter(&service, &mut request).await {
            Ok(shares) => perform(&service, request, next, shares).await,
            Err(no) => {
                discard(request);
                no
            }
        }
    };
    let mut response = answer.instrument(span).await;
    if is_pretty {
        response = pretty::pretty(response).await;
    }
    let status = response.status().as_u16().to_string();
    metrics::counter!(names::HTTP_REQUESTS_TOTAL, "method" => method.clone(), "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!(names::HTTP_REQUEST_SECONDS, "method" => method, "route" => route)
        .record(begin.elapsed().as_secs_f64());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if let Some(correlation) = correlation {
        response.headers_mut().insert("x-correlation-id", correlation);
    }
    response
}

/// The caller's own id for the request, if it is fit to be repeated in a log, or one of ours.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let fit = |id: &&str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    given.filter(fit).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Lets a request in: its caller is known, and there is room for it and for its body.
async fn enter(service: &Service, request: &mut Request) -> Result<[Share; 2], Response> {
    let place = service.capacity.for_request().map_err(IntoResponse::into_response)?;
    let caller = admit(service, request.headers(), request.uri()).await?;
    let body = service.capacity.for_body(request.body()).map_err(IntoResponse::into_response)?;
    request.extensions_mut().insert(caller);
    Ok([place, body])
}

/// Who was let in.
pub(super) fn caller_of(parts: &Parts) -> Result<Caller, No> {
    // Nobody comes further without a name.
    let nobody = || No::new(StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception, "nobody was let in");
    parts.extensions.get().cloned().ok_or_else(nobody)
}

/// In a job of its own: what a caller leaves behind who goes, or whose time is over, may wait in a lane, and has to
/// hold its share for so long. That it ends is seen to: reading a body has its time, and so has a search.
async fn perform(service: &Service, request: Request, next: Next, shares: [Share; 2]) -> Response {
    let work = async move {
        let _shares = shares;
        next.run(request).await
    };
    let job = tokio::spawn(work.in_current_span());
    match tokio::time::timeout(service.config.request_timeout(), job).await {
        Ok(Ok(response)) => response,
        Ok(Err(ended)) if ended.is_panic() => resume_unwind(ended.into_panic()),
        _ => timed_out().into_response(),
    }
}

async fn admit(service: &Service, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Response> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size + uri.to_string().len() > service.config.header_limit_bytes {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let text =
            format!("the headers are longer than {} bytes (header_limit_bytes)", service.config.header_limit_bytes);
        return Err(No::new(status, IssueType::TooLong, text).into_response());
    }
    let format = form(uri.query().unwrap_or_default()).into_iter().find(|(name, _)| name == "_format");
    let release = if r5::is_below(&service.config, uri.path()) { &R5 } else { &R4 };
    demand_accept(headers, format.as_ref().map(|(_, value)| value.as_str()), release)
        .map_err(IntoResponse::into_response)?;
    if service.config.bases().any(|base| uri.path().strip_prefix(base) == Some("/metadata")) {
        // What is offered, and how to prove who one is, must be known before one can.
        return Ok(Caller::Known { organization: String::new(), roles: BTreeSet::new() });
    }
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    service.authenticator.authenticate(authorization).await.map_err(|error| {
        metrics::counter!(names::AUTH_REFUSED_TOTAL, "why" => error.kind()).increment(1);
        let mut response = No::new(status_of(error), error.issue_type(), error.to_string()).into_response();
        if let Some(challenge) = error.challenge().and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    })
}

fn status_of(error: AuthError) -> StatusCode {
    match error {
        AuthError::Missing | AuthError::Invalid(_) | AuthError::Expired => StatusCode::UNAUTHORIZED,
        AuthError::Forbidden(_) => StatusCode::FORBIDDEN,
        AuthError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn timed_out() -> No {
    let text = "the request took too long; it may still be done: ask again with the same Idempotency-Key";
    No::new(StatusCode::SERVICE_UNAVAILABLE, IssueType::Timeout, text)
}

pub(super) async fn unknown_path() -> Response {
    No::not_found("there is nothing at this path; /metadata lists what is here").into_response()
}

pub(super) async fn method_not_allowed() -> Response {
    let text = "this path does not take this method; /metadata lists what is offered";
    No::new(StatusCode::METHOD_NOT_ALLOWED, IssueType::NotSupported, text).into_response()
}
