//! Create, update, patch, delete: bytes to a `Command`, a `Reply` to bytes.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Command, Entry, Patch, Repeat, Role};
use hub_domain::decision::{EntryOutcome, ReplyEntry};
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::answer::{self, No};
use super::content::{self, PATCH_TYPES, RESOURCE_TYPES, Return};
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
    demand_role(&caller, Role::Placer)?;
    demand_no_condition(query.as_deref())?;
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), &format!("create {kind}"), &bytes)?;
    let condition = headers.get("if-none-exist").map(|value| value.to_str().unwrap_or_default());
    let if_none_exist = content::if_none_exist(kind, condition, "")?;
    let body = content::resource(&bytes, kind.name())?;
    let entry = Entry { kind, body, full_url: None, if_none_exist, path: String::new() };
    let done = execute(&service, caller, repeat, Act::Submit(vec![entry])).await?;
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

pub(super) async fn update(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let if_match = content::if_match(&headers)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), &format!("update {key}"), &bytes)?;
    let body = content::resource(&bytes, key.kind.name())?;
    match body.get("id").and_then(|id| id.as_str()) {
        Some(id) if id == key.id => {}
        _ => {
            let text = "the body's id must be the one in the URL";
            return Err(No::bad_request(vec![Issue::error(IssueType::Invalid, format!("{kind}.id"), text)]));
        }
    }
    let done = execute(&service, caller, repeat, Act::Update { key, body, if_match }).await?;
    respond(&service, &headers, done).await
}

pub(super) async fn patch(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    content::demand_type(&headers, &PATCH_TYPES)?;
    let if_match = content::if_match(&headers)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), &format!("patch {key}"), &bytes)?;
    let patch = read_patch(&headers, &bytes)?;
    let done = execute(&service, caller, repeat, Act::Patch { key, patch, if_match }).await?;
    respond(&service, &headers, done).await
}

/// Most operations of one patch: each may copy the whole resource.
const PATCH_OPERATIONS_LIMIT: usize = 1_000;

/// A list of operations is a JSON Patch, a Parameters resource a FHIRPath Patch. Anything else that comes as plain JSON is
/// a Merge Patch: so do clients send it that know nothing else.
fn read_patch(headers: &HeaderMap, bytes: &[u8]) -> Result<Patch, No> {
    let is_one_of = |types: &[&str]| content::demand_type(headers, types).is_ok();
    let wrong = |text: String| No::bad_request(vec![Issue::error(IssueType::Structure, "", text)]);
    let value = || schemas::gate::parse_json(bytes, &schemas::gate::Limits::default()).map_err(No::bad_request);
    if is_one_of(&[content::JSON_PATCH]) {
        let patch: json_patch::Patch = serde_json::from_value(value()?).map_err(|_| {
            wrong("a JSON Patch (RFC 6902) is a list of operations: op, path, and value or from".into())
        })?;
        if patch.len() > PATCH_OPERATIONS_LIMIT {
            return Err(wrong(format!("a patch has at most {PATCH_OPERATIONS_LIMIT} operations")));
        }
        return Ok(Patch::Json(patch));
    }
    if is_one_of(&[content::MERGE_PATCH, "application/json"]) {
        match value()? {
            Value::Object(body) if body.get("resourceType").is_none_or(|kind| kind != "Parameters") => {
                return Ok(Patch::Merge(body));
            }
            Value::Object(_) => {}
            _ => {
                return Err(wrong("a Merge Patch (RFC 7386) is an object with the elements that become others".into()));
            }
        }
    }
    let parameters = content::resource(bytes, "Parameters")?;
    hub_fhirpath::Patch::read(&parameters).map(Patch::FhirPath).map_err(No::bad_request)
}

pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    demand_role(&caller, Role::Placer)?;
    let if_match = content::if_match(&headers)?;
    execute(&service, caller, None, Act::Delete { key, if_match }).await?;
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
    Ok(service.engine.execute(Command { id, caller, act, repeat, traceparent }).await?)
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
            answer::json(status, &operation_outcome(&[Issue::information(text)]))
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

pub(super) fn status_of(outcome: EntryOutcome) -> StatusCode {
    match outcome {
        EntryOutcome::Created => StatusCode::CREATED,
        EntryOutcome::Updated | EntryOutcome::Found => StatusCode::OK,
        EntryOutcome::Deleted => StatusCode::NO_CONTENT,
    }
}

/// The version that the reply names: of what was just written, or, for a repeat, from the registry.
async fn body_of(service: &Service, done: &Done, entry: &ReplyEntry) -> Result<Vec<u8>, No> {
    let is_it = |r: &&schemas::resource::Resource| r.version == entry.version && r.key.to_string() == entry.reference;
    if let Some(resource) = done.written.iter().find(is_it) {
        return Ok(resource.body.text().get().into());
    }
    let key = Key::of_reference(&entry.reference).unwrap_or_else(|| Key::new(Kind::TASK, ""));
    let stored = service.registry.version(&key, Some(entry.version)).await?;
    stored.map(|stored| stored.body).ok_or_else(|| No::not_found(format!("{key} is not here any more")))
}
