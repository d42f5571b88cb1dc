//! Read, vread, history.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::registry::{HistoryOf, Method, Stored};
use schemas::outcome::IssueType;
use schemas::resource::Key;
use schemas::time::Timestamp;

use super::answer::{self, No};
use super::bundle::Writer;
use super::content;
use super::look::Look;
use crate::service::Service;

pub(super) async fn current(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    let look = Look::of(key.kind, query.as_deref())?;
    let stored = found(service.registry.version(&key, None).await?, &key)?;
    if is_unchanged(&headers, &stored) {
        let mut response = answer::text(StatusCode::NOT_MODIFIED, Vec::new());
        answer::version_headers(response.headers_mut(), stored.version, stored.last_updated);
        return Ok(response);
    }
    let mut response = resource(&stored, &look);
    let version = format!("{}/{key}/_history/{}", content::base_url(&service, &headers), stored.version);
    answer::content_location(response.headers_mut(), version);
    Ok(response)
}

pub(super) async fn version(
    State(service): State<Arc<Service>>,
    Path((kind, id, version)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    let look = Look::of(key.kind, query.as_deref())?;
    let number = version.parse().map_err(|_| No::not_found(format!("{key} has no such version")))?;
    Ok(resource(&found(service.registry.version(&key, Some(number)).await?, &key)?, &look))
}

fn found(stored: Option<Stored>, key: &Key) -> Result<Stored, No> {
    match stored {
        None => Err(No::not_found(format!("{key} is not here"))),
        Some(stored) if stored.method == Method::Delete => {
            Err(No::new(StatusCode::GONE, IssueType::Deleted, format!("{key} was deleted")))
        }
        Some(stored) => Ok(stored),
    }
}

fn resource(stored: &Stored, look: &Look) -> Response {
    let mut response = answer::text(StatusCode::OK, look.shown(&stored.body).into_owned());
    answer::version_headers(response.headers_mut(), stored.version, stored.last_updated);
    response
}

fn is_unchanged(headers: &HeaderMap, stored: &Stored) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    match (text(IF_NONE_MATCH), text(IF_MODIFIED_SINCE)) {
        (Some(tags), _) => tags.split(',').any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == stored.version.to_string()
        }),
        // Whole seconds on both sides: equal text means unchanged since.
        (None, Some(since)) => since == stored.last_updated.http_date(),
        (None, None) => false,
    }
}

pub(super) async fn history_of_type(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    history(&service, &kind, None, query, &headers).await
}

pub(super) async fn history_of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    history(&service, &kind, Some(id), query, &headers).await
}

async fn history(
    service: &Service,
    kind: &str,
    id: Option<String>,
    query: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, No> {
    let of = ask(service, kind, id, query.as_deref().unwrap_or_default())?;
    let look = Look::of(of.kind, query.as_deref())?;
    let page = service.registry.history(&of).await?;
    if let (Some(id), true, None) = (&of.id, page.entries.is_empty(), &of.since) {
        return Err(No::not_found(format!("{}/{id} is not here", of.kind)));
    }
    let base = content::base_url(service, headers);
    let path = of.id.as_ref().map_or_else(|| format!("{kind}/_history"), |id| format!("{kind}/{id}/_history"));
    let mut bundle = Writer::new("history");
    let kept = content::form(query.as_deref().unwrap_or_default()).into_iter();
    let kept = kept.filter(|(name, _)| matches!(name.as_str(), "_since" | "_summary" | "_elements"));
    let kept: String = kept.map(|(name, value)| format!("&{name}={}", content::encode(&value))).collect();
    let first = format!("{base}/{path}?_count={}{kept}", of.count);
    let at = |page: &str| format!("{first}&_page={}", content::encode(page));
    bundle.link("self", &of.page.as_deref().map_or_else(|| first.clone(), at));
    bundle.link("first", &first);
    if let Some(next) = &page.next {
        bundle.link("next", &at(next));
    }
    for stored in &page.entries {
        bundle.history(&base, stored, &look);
    }
    Ok(answer::text(StatusCode::OK, bundle.finish()))
}

fn ask(service: &Service, kind: &str, id: Option<String>, query: &str) -> Result<HistoryOf, No> {
    let limit = service.config.page_entries_limit;
    let id = id.map(|id| content::key(kind, id)).transpose()?.map(|key| key.id);
    let mut of =
        HistoryOf { kind: content::kind(kind)?, id, since: None, count: service.config.page_entries, page: None };
    let bad = |text: &str| No::new(StatusCode::BAD_REQUEST, IssueType::Value, text);
    for (name, value) in content::form(query) {
        match name.as_str() {
            "_count" => of.count = value.parse::<u32>().map_err(|_| bad("_count is a number"))?.clamp(1, limit),
            "_since" => {
                of.since = Some(Timestamp::range(&value).ok_or_else(|| bad("_since is an instant or a date"))?.0);
            }
            "_page" => of.page = Some(value),
            "_format" | "_pretty" | "_summary" | "_elements" => {}
            _ => return Err(bad("a history takes _count, _since, _summary and _elements")),
        }
    }
    Ok(of)
}
