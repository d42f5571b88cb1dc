//! What a request brings: its body, checked at the gate, and the headers that steer the answer.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;
use hub_domain::command::{Caller, Repeat};
use schemas::gate;
use schemas::ids::is_id;
use schemas::outcome::IssueType;
use schemas::resource::{Body as Resource, Key, Kind};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::answer::No;
use crate::service::Service;

/// The type in the path, when it is one that is kept here.
pub(super) fn kind(name: &str) -> Result<Kind, No> {
    let unknown = || {
        let text = if gate::is_resource_type(name) {
            format!("{name} is not kept by this hub; /metadata lists what is")
        } else {
            gate::former(name).unwrap_or_else(|| "there is no such resource type in FHIR R4".to_owned())
        };
        No::new(StatusCode::NOT_FOUND, IssueType::NotSupported, text)
    };
    Kind::parse(name).ok_or_else(unknown)
}

/// The resource in the path. What is no id names nothing, and no database is asked for it.
pub(super) fn key(kind: &str, id: String) -> Result<Key, No> {
    let kind = self::kind(kind)?;
    if is_id(&id) { Ok(Key::new(kind, id)) } else { Err(No::not_found("an id has 1 to 64 letters, digits, - and .")) }
}

/// How much of a body that is too long is read and thrown away: who is still sending hears no answer.
const DISCARD_LIMIT_BYTES: usize = 64 << 20;

/// The body, no longer than the limit. Who sends it drop by drop does not keep its share of the memory for ever.
pub(super) async fn bytes(service: &Service, body: Body) -> Result<Vec<u8>, No> {
    let reading = tokio::time::timeout(service.config.request_timeout(), read(service.config.body_limit_bytes, body));
    let text = "the body did not come in time (request_timeout_ms); nothing was done";
    reading.await.unwrap_or_else(|_| Err(No::new(StatusCode::REQUEST_TIMEOUT, IssueType::Timeout, text)))
}

async fn read(limit: usize, body: Body) -> Result<Vec<u8>, No> {
    let (mut kept, mut read) = (Vec::new(), 0);
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| {
            No::new(StatusCode::BAD_REQUEST, IssueType::Structure, "the body ended before it was complete")
        })?;
        read += part.len();
        if read <= limit {
            kept.extend_from_slice(&part);
        } else if read > DISCARD_LIMIT_BYTES.max(limit) {
            break;
        }
    }
    if read <= limit {
        return Ok(kept);
    }
    let text = format!("the body is longer than {limit} bytes (body_limit_bytes)");
    Err(No::new(StatusCode::PAYLOAD_TOO_LARGE, IssueType::TooLong, text))
}

/// The body as a resource of a type: not JSON is 400, against FHIR's structure 422.
pub(super) fn resource(bytes: &[u8], expected: &str) -> Result<Resource, No> {
    let resource = gate::parse(bytes, &gate::Limits::default()).map_err(No::bad_request)?;
    gate::check(&resource, Some(expected)).map_err(|faults| No(StatusCode::UNPROCESSABLE_ENTITY, faults))?;
    Ok(resource)
}

/// A release of FHIR, as a base speaks it.
pub(super) struct Release {
    versions: &'static [&'static str],
    pub(super) text: &'static str,
}

pub(super) const R4: Release = Release { versions: &["4.0", "4.0.1"], text: "this base speaks FHIR 4.0" };
pub(super) const R5: Release = Release { versions: &["5.0", "5.0.0"], text: "this base speaks FHIR 5.0" };

impl Release {
    pub(super) fn has(&self, version: &str) -> bool {
        self.versions.contains(&version)
    }
}

/// Refuses what is not sent as one of `types`.
pub(super) fn demand_type(headers: &HeaderMap, types: &[&str]) -> Result<(), No> {
    demand_type_of(headers, types, &R4)
}

/// The same at a base of another release.
pub(super) fn demand_type_of(headers: &HeaderMap, types: &[&str], release: &Release) -> Result<(), No> {
    let sent = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = sent.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let version =
        parts.find_map(|part| part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("fhirVersion")));
    let version = version.map(|(_, version)| version.trim_matches('"'));
    if !types.contains(&media.as_str()) {
        let xml = if media.ends_with("xml") { "; XML is not spoken here" } else { "" };
        let text = format!("Content-Type must be {}{xml}", types.join(" or "));
        return Err(No::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueType::NotSupported, text));
    }
    if version.is_none_or(|version| release.has(version)) {
        return Ok(());
    }
    Err(No::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueType::NotSupported, release.text))
}

pub(super) const RESOURCE_TYPES: [&str; 2] = ["application/fhir+json", "application/json"];
pub(super) const JSON_PATCH: &str = "application/json-patch+json";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(super) const PATCH_TYPES: [&str; 4] = [JSON_PATCH, "application/fhir+json", MERGE_PATCH, "application/json"];
pub(super) const FORM_TYPES: [&str; 1] = ["application/x-www-form-urlencoded"];

/// `Prefer: return=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

pub(super) fn prefer_return(headers: &HeaderMap) -> Return {
    preferred_return(headers).unwrap_or(Return::Representation)
}

/// The same, where it is said.
pub(super) fn preferred_return(headers: &HeaderMap) -> Option<Return> {
    match preference(headers, "return")? {
        "minimal" => Some(Return::Minimal),
        "OperationOutcome" => Some(Return::OperationOutcome),
        "representation" => Some(Return::Representation),
        _ => None,
    }
}

/// `Prefer: handling=lenient`: what is not understood is ignored, and said.
pub(super) fn is_lenient(headers: &HeaderMap) -> bool {
    preference(headers, "handling") == Some("lenient")
}

fn preference<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let mut all = values.flat_map(|value| value.split([',', ';'])).filter_map(|one| one.trim().split_once('='));
    all.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
}

/// `If-Match: W/"3"`
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u32>, No> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let version = version_of(value.to_str().unwrap_or_default());
    let text = "If-Match is the ETag of a version, for example W/\"3\"";
    version.map(Some).ok_or_else(|| No::new(StatusCode::BAD_REQUEST, IssueType::Value, text))
}

/// The version that an ETag names.
pub(super) fn version_of(tag: &str) -> Option<u32> {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse().ok()
}

/// `Idempotency-Key`, bound to the caller and the interaction.
pub(super) fn repeat(headers: &HeaderMap, caller: &str, interaction: &str, body: &[u8]) -> Result<Option<Repeat>, No> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let Some(key) = key else {
        let text = "Idempotency-Key is 1 to 255 printable ASCII characters";
        return Err(No::new(StatusCode::BAD_REQUEST, IssueType::Value, text));
    };
    Ok(Some(repeated(caller, interaction, "Idempotency-Key", key, body)))
}

fn repeated(caller: &str, interaction: &str, called: &'static str, key: &str, body: &[u8]) -> Repeat {
    let digest = Sha256::digest(body);
    let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Repeat { key: format!("{caller} {interaction} {key}"), fingerprint, called }
}

/// By the id of a message, or of a request. A UUID is the same in letters of any case.
pub(super) fn repeat_of(caller: &Caller, interaction: &str, called: &'static str, id: &str, body: &[u8]) -> Repeat {
    let id = Uuid::try_parse(id).map_or_else(|_| id.to_owned(), |id| id.to_string());
    repeated(caller.name(), interaction, called, &id, body)
}

/// `X-Request-ID`, where a service says that it means the same request; else `Idempotency-Key`.
pub(super) fn repeat_by_request_id(
    headers: &HeaderMap,
    caller: &Caller,
    interaction: &str,
    body: &[u8],
) -> Result<Option<Repeat>, No> {
    let Some(id) = headers.get("x-request-id") else { return repeat(headers, caller.name(), interaction, body) };
    let id = id.to_str().ok().filter(|id| Uuid::try_parse(id).is_ok());
    let text = "X-Request-ID is a UUID, and the same one when a request is sent again";
    let id = id.ok_or_else(|| No::new(StatusCode::BAD_REQUEST, IssueType::Value, text))?;
    Ok(Some(repeat_of(caller, interaction, "X-Request-ID", id, body)))
}

/// The pairs of a query string or a form, decoded.
pub(super) fn form(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Escapes a value for a query string.
pub(super) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The base as the caller sees it.
pub(super) fn base_url(service: &Service, headers: &HeaderMap) -> String {
    format!("{}{}", origin(service, headers), service.config.base)
}

/// The server as the caller sees it.
pub(super) fn origin(service: &Service, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|s| matches!(*s, "http" | "https")).unwrap_or("http");
    let host = text(HOST.as_str()).map_or_else(|| service.config.listen.to_string(), str::to_owned);
    format!("{scheme}://{host}")
}
