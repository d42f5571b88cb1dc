//! Create, update, patch, delete: bytes to a `Command`, a `Reply` to bytes.

mod condition;
mod entry;
pub(super) mod submit;
pub(super) mod transaction;
pub(super) mod validate;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Command, Interaction, On, Patch, Repeat, Role};
use hub_domain::decide::remarks;
use hub_domain::decision::{EntryOutcome, ReplyEntry};
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Key, Kind, text_at};
use schemas::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::answer::{self, No};
use super::content::{self, PATCH_TYPES, RESOURCE_TYPES, Return};
use super::gatekeeper;
use crate::engine::Done;
use crate::service::Service;

pub(super) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let kind = content::kind(&kind)?;
    demand_no_condition(query.as_deref())?;
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), &format!("create {kind}"), &bytes)?;
    let base = content::base_url(&service, &headers);
    let condition = headers.get("if-none-exist").map(|value| value.to_str().unwrap_or_default());
    let unless = condition.map(|condition| condition::read(&service, &base, kind, condition)).transpose()?;
    let body = content::resource(&bytes, kind.name())?.into();
    let done = execute(&service, caller, repeat, Act::alone(Interaction::Create { kind, body, unless })).await?;
    respond(&service, &headers, done).await
}

/// A condition that stands where it is not looked for would be ignored, and what is there already made once more.
fn demand_no_condition(query: Option<&str>) -> Result<(), No> {
    let parameters = content::form(query.unwrap_or_default());
    if parameters.iter().all(|(name, _)| matches!(name.as_str(), "_format" | "_pretty")) {
        return Ok(());
    }
    let text = "a create has no parameters: its condition stands in the header If-None-Exist";
    Err(No::new(StatusCode::BAD_REQUEST, IssueType::NotSupported, text))
}

/// What every change of a resource brings: who wants it, and of which. Put, patched and deleted is what a URL names, or
/// what its query finds.
pub(super) struct Change {
    service: Arc<Service>,
    caller: Caller,
    headers: HeaderMap,
    on: On,
    if_match: Option<u32>,
    /// What it is called in a key of repeats.
    name: String,
}

#[derive(Deserialize)]
struct Place {
    kind: String,
    id: Option<String>,
}

impl FromRequestParts<Arc<Service>> for Change {
    type Rejection = No;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, No> {
        let place = Path::<Place>::from_request_parts(parts, service).await;
        let Path(Place { kind, id }) = place.map_err(|_| No::not_found("this path names no resource"))?;
        let (on, name) = match id {
            Some(id) => {
                let key = content::key(&kind, id)?;
                (On::Key(key.clone()), key.to_string())
            }
            None => {
                let kind = content::kind(&kind)?;
                let query = parts.uri.query().unwrap_or_default();
                let condition = condition::read(service, &content::base_url(service, &parts.headers), kind, query)?;
                (On::The(condition), format!("{kind}?{query}"))
            }
        };
        let (service, caller, headers) = (service.clone(), gatekeeper::caller_of(parts)?, parts.headers.clone());
        Ok(Self { service, caller, if_match: content::if_match(&headers)?, headers, on, name })
    }
}

impl Change {
    /// What is sent as one of `types`.
    async fn bytes(&self, body: Body, types: &[&str]) -> Result<Vec<u8>, No> {
        content::demand_type(&self.headers, types)?;
        content::bytes(&self.service, body).await
    }

    fn repeat(&self, verb: &str, body: &[u8]) -> Result<Option<Repeat>, No> {
        content::repeat(&self.headers, self.caller.name(), &format!("{verb} {}", self.name), body)
    }
}

pub(super) async fn update(change: Change, body: Body) -> Result<Response, No> {
    let bytes = change.bytes(body, &RESOURCE_TYPES).await?;
    let repeat = change.repeat("update", &bytes)?;
    let Change { service, caller, headers, on, if_match, .. } = change;
    let body = content::resource(&bytes, on.kind().name())?;
    check_id(&on, &body, "").map_err(|issue| No::bad_request(vec![issue]))?;
    let done =
        execute(&service, caller, repeat, Act::alone(Interaction::Update { on, body: body.into(), if_match })).await?;
    respond(&service, &headers, done).await
}

/// Who names a resource in the URL names it in the body too. `path`: of a Bundle's entry.
pub(super) fn check_id(on: &On, body: &schemas::resource::Body, path: &str) -> Result<(), Issue> {
    let On::Key(key) = on else { return Ok(()) };
    if text_at(body, &["id"]) == Some(&key.id) {
        return Ok(());
    }
    let at = if path.is_empty() { format!("{}.id", key.kind) } else { format!("{path}.resource.id") };
    Err(Issue::error(IssueType::Invalid, at, "the body's id must be the one in the URL"))
}

pub(super) async fn patch(change: Change, body: Body) -> Result<Response, No> {
    let bytes = change.bytes(body, &PATCH_TYPES).await?;
    let repeat = change.repeat("patch", &bytes)?;
    let Change { service, caller, headers, on, if_match, .. } = change;
    let patch = read_patch(&headers, &bytes)?;
    let done = execute(&service, caller, repeat, Act::alone(Interaction::Patch { on, patch, if_match })).await?;
    respond(&service, &headers, done).await
}

/// Most operations of one patch: each may copy the whole resource.
const PATCH_OPERATIONS_LIMIT: usize = 1_000;

/// A list of operations is a JSON Patch, a Parameters resource a FHIRPath Patch. Anything else that comes as plain JSON is
/// a Merge Patch: so do clients send it that know nothing else.
fn read_patch(headers: &HeaderMap, bytes: &[u8]) -> Result<Patch, No> {
    let is_one_of = |types: &[&str]| content::demand_type(headers, types).is_ok();
    if is_one_of(&[content::JSON_PATCH]) {
        return json_patch(bytes);
    }
    if is_one_of(&[content::MERGE_PATCH, "application/json"])
        && let Some(patch) = merge_patch(bytes)?
    {
        return Ok(patch);
    }
    fhirpath_patch(&content::resource(bytes, "Parameters")?)
}

pub(super) fn fhirpath_patch(parameters: &schemas::resource::Body) -> Result<Patch, No> {
    hub_fhirpath::Patch::read(parameters).map(Patch::FhirPath).map_err(No::bad_request)
}

pub(super) fn json_patch(bytes: &[u8]) -> Result<Patch, No> {
    let value = schemas::gate::parse_json(bytes, &schemas::gate::Limits::default()).map_err(No::bad_request)?;
    let patch: json_patch::Patch = serde_json::from_value(value)
        .map_err(|_| no_patch("a JSON Patch (RFC 6902) is a list of operations: op, path, and value or from"))?;
    if patch.len() > PATCH_OPERATIONS_LIMIT {
        return Err(no_patch(&format!("a patch has at most {PATCH_OPERATIONS_LIMIT} operations")));
    }
    Ok(Patch::Json(patch))
}

/// None when it is a Parameters resource.
pub(super) fn merge_patch(bytes: &[u8]) -> Result<Option<Patch>, No> {
    match schemas::gate::parse_json(bytes, &schemas::gate::Limits::default()).map_err(No::bad_request)? {
        Value::Object(body) if body.get("resourceType").is_some_and(|kind| kind == "Parameters") => Ok(None),
        Value::Object(body) => Ok(Some(Patch::Merge(body))),
        _ => Err(no_patch("a Merge Patch (RFC 7386) is an object with the elements that become others")),
    }
}

fn no_patch(text: &str) -> No {
    No::bad_request(vec![Issue::error(IssueType::Structure, "", text)])
}

pub(super) async fn delete(change: Change) -> Result<Response, No> {
    let Change { service, caller, on, if_match, .. } = change;
    demand_role(&caller, Role::Placer)?;
    execute(&service, caller, None, Act::alone(Interaction::Delete { on, if_match })).await?;
    Ok(answer::text(StatusCode::NO_CONTENT, Vec::new()))
}

pub(super) fn demand_role(caller: &Caller, role: Role) -> Result<(), No> {
    if caller.has(role) {
        return Ok(());
    }
    let text = format!("this needs the role {role:?}").to_lowercase();
    Err(No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, text))
}

pub(super) async fn execute(service: &Service, caller: Caller, repeat: Option<Repeat>, act: Act) -> Result<Done, No> {
    let id = repeat.as_ref().map_or_else(Uuid::now_v7, Repeat::command_id);
    let traceparent = hub_telemetry::current_traceparent();
    condition::execute(service, Command { id, caller, act, repeat, traceparent }).await
}

/// The answer to a command on one resource.
async fn respond(service: &Service, headers: &HeaderMap, done: Done) -> Result<Response, No> {
    let Some(entry) = done.reply.entries.first().cloned() else {
        return Ok(answer::text(StatusCode::NO_CONTENT, Vec::new()));
    };
    let base = content::base_url(service, headers);
    let status = status_of(entry.outcome);
    let mut response = match content::prefer_return(headers) {
        Return::Minimal => answer::text(status, Vec::new()),
        Return::OperationOutcome => {
            let text = format!("{} is at version {}", entry.reference, entry.version);
            let issues: Vec<Issue> =
                std::iter::once(Issue::information(text)).chain(remarked(service, &done, &entry).await?).collect();
            answer::json(status, &operation_outcome(&issues))
        }
        Return::Representation => answer::text(status, body_of(service, &done, &entry).await?),
    };
    let into = response.headers_mut();
    answer::version_headers(into, entry.version, Timestamp(entry.last_updated));
    let version = format!("{base}/{}/_history/{}", entry.reference, entry.version);
    if content::prefer_return(headers) == Return::Representation {
        answer::content_location(into, version.clone());
    }
    if matches!(entry.outcome, EntryOutcome::Created | EntryOutcome::Found) {
        answer::location(into, version);
    }
    if let Some(task) = &entry.fulfilment {
        answer::link_fulfilment(into, &format!("{base}/{task}"));
    }
    Ok(response)
}

/// What is odd about what was taken.
async fn remarked(service: &Service, done: &Done, entry: &ReplyEntry) -> Result<Vec<Issue>, No> {
    let is_group = entry.reference.starts_with(Kind::REQUEST_GROUP.name());
    if !is_group || !matches!(entry.outcome, EntryOutcome::Created | EntryOutcome::Updated) {
        return Ok(Vec::new());
    }
    let body = body_of(service, done, entry).await?;
    Ok(serde_json::from_slice(&body).map(|body| remarks(&body)).unwrap_or_default())
}

pub(super) fn status_of(outcome: EntryOutcome) -> StatusCode {
    match outcome {
        EntryOutcome::Created => StatusCode::CREATED,
        EntryOutcome::Updated | EntryOutcome::Found | EntryOutcome::Looked => StatusCode::OK,
        EntryOutcome::Deleted | EntryOutcome::Absent => StatusCode::NO_CONTENT,
    }
}

/// The version that the reply names: of what was just written, or, for a repeat, from the registry.
pub(super) async fn body_of(service: &Service, done: &Done, entry: &ReplyEntry) -> Result<Vec<u8>, No> {
    let is_it = |r: &&schemas::resource::Resource| r.version == entry.version && r.key.to_string() == entry.reference;
    if let Some(resource) = done.written.iter().find(is_it) {
        return Ok(resource.body.text().get().into());
    }
    let key = Key::of_reference(&entry.reference).unwrap_or_else(|| Key::new(Kind::TASK, ""));
    let stored = service.registry.version(&key, Some(entry.version)).await?;
    stored.map(|stored| stored.body).ok_or_else(|| No::not_found(format!("{key} is not here any more")))
}
