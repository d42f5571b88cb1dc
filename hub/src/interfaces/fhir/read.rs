//! Read, vread, history.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::registry::{HistoryOf, Method, Stored};
use schemas::outcome::IssueType;
use schemas::resource::{Key, Kind};
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
        return Ok(not_modified(&stored));
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
    let tags = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    match tags {
        Some(tags) => tags.split(',').any(|tag| tag.trim() == "*" || content::version_of(tag) == Some(stored.version)),
        None => is_not_later(headers, stored.last_updated),
    }
}

/// Whether this was so already at `If-Modified-Since`, which counts whole seconds. What is no date is ignored.
fn is_not_later(headers: &HeaderMap, at: Timestamp) -> bool {
    let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|since| httpdate::parse_http_date(since).ok());
    let since = since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    since.is_some_and(|since| u64::try_from(at.0).unwrap_or_default() / 1_000_000 <= since.as_secs())
}

fn not_modified(stored: &Stored) -> Response {
    let mut response = answer::text(StatusCode::NOT_MODIFIED, Vec::new());
    answer::version_headers(response.headers_mut(), stored.version, stored.last_updated);
    response
}

pub(super) async fn history_of_all(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    history(&service, HistoryPath::default(), query, &headers).await
}

pub(super) async fn history_of_type(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    history(&service, HistoryPath { kind: Some(content::kind(&kind)?), id: None }, query, &headers).await
}

pub(super) async fn history_of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    history(&service, HistoryPath { kind: Some(key.kind), id: Some(key.id) }, query, &headers).await
}

/// Whose history: of one resource, of a type, of all.
#[derive(Default)]
struct HistoryPath {
    kind: Option<Kind>,
    id: Option<String>,
}

impl HistoryPath {
    fn url(&self) -> String {
        let parts = self.kind.map(|kind| kind.name()).into_iter().chain(self.id.as_deref());
        parts.chain(["_history"]).collect::<Vec<_>>().join("/")
    }
}

async fn history(
    service: &Service,
    path: HistoryPath,
    query: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, No> {
    let base = content::base_url(service, headers);
    let url = format!("{base}/{}", path.url());
    let query = query.unwrap_or_default();
    let of = ask(service, path, &query)?;
    // Of all types there are no elements to name.
    let look = Look::of(of.kind.unwrap_or(Kind::TASK), Some(&query))?;
    let page = service.registry.history(&of).await?;
    if let (Some(kind), Some(id), true, None, None) = (of.kind, &of.id, page.entries.is_empty(), of.since, of.at) {
        return Err(No::not_found(format!("{kind}/{id} is not here")));
    }
    let newest = page.entries.first().filter(|_| of.page.is_none());
    if let Some(newest) = newest.filter(|newest| is_not_later(headers, newest.last_updated)) {
        return Ok(not_modified(newest));
    }
    let kept = content::form(&query).into_iter();
    let kept = kept.filter(|(name, _)| matches!(name.as_str(), "_since" | "_at" | "_summary" | "_elements"));
    let kept: String = kept.map(|(name, value)| format!("&{name}={}", content::encode(&value))).collect();
    let first = format!("{url}?_count={}{kept}", of.count);
    let at = |page: &str| format!("{first}&_page={}", content::encode(page));
    let mut bundle = Writer::new("history", &base);
    bundle.link("self", &of.page.as_deref().map_or_else(|| first.clone(), at));
    bundle.link("first", &first);
    if let Some(next) = &page.next {
        bundle.link("next", &at(next));
    }
    page.entries.iter().for_each(|stored| bundle.history(stored, &look));
    Ok(answer::text(StatusCode::OK, bundle.finish()))
}

fn ask(service: &Service, path: HistoryPath, query: &str) -> Result<HistoryOf, No> {
    let limit = service.config.page_entries_limit;
    let (kind, id, count) = (path.kind, path.id, service.config.page_entries);
    let mut of = HistoryOf { kind, id, since: None, at: None, count, page: None };
    let bad = |text: &str| No::new(StatusCode::BAD_REQUEST, IssueType::Value, text);
    // A `+` of a zone that was not escaped has become a space.
    let range = |value: &str| Timestamp::range(&value.replace(' ', "+"));
    for (name, value) in content::form(query) {
        match name.as_str() {
            "_count" => of.count = value.parse::<u32>().map_err(|_| bad("_count is a number"))?.clamp(1, limit),
            "_since" => of.since = Some(range(&value).ok_or_else(|| bad("_since is an instant or a date"))?.0),
            "_at" => of.at = Some(range(&value).ok_or_else(|| bad("_at is an instant or a date"))?),
            "_page" => of.page = Some(value),
            "_elements" if kind.is_none() => return Err(bad("the history of all types takes no _elements")),
            "_format" | "_pretty" | "_summary" | "_elements" => {}
            _ => return Err(bad("a history takes _count, _since, _at, _summary and _elements")),
        }
    }
    Ok(of)
}
