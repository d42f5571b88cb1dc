//! `$order-status`: where an order stands, for a person and for a machine.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::{Filter, Query, find};
use hub_domain::registry::Stored;
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Kind, text_at};
use schemas::task::{TaskStatus, asked_code};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{self, No};
use super::content;
use super::search_values::read_token;
use crate::service::Service;

/// Of one request or Task.
pub(super) async fn of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    if service.registry.version(&key, None).await?.is_none() {
        return Err(No::not_found(format!("{key} is not here")));
    }
    let root = root_of(&service, &key).await?;
    respond(&service, &headers, root).await
}

pub(super) async fn by_identifier(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let token = identifier(query.as_deref())?;
    for kind in [Kind::TASK, Kind::SERVICE_REQUEST, Kind::MEDICATION_REQUEST] {
        if let Some(root) = find_by(&service, kind, &token).await? {
            return respond(&service, &headers, root).await;
        }
    }
    Err(No::not_found("no order carries this identifier"))
}

pub(super) async fn by_identifier_of_type(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let kind = content::kind(&kind)?;
    let token = identifier(query.as_deref())?;
    match find_by(&service, kind, &token).await? {
        Some(root) => respond(&service, &headers, root).await,
        None => Err(No::not_found(format!("no {kind} carries this identifier"))),
    }
}

fn identifier(query: Option<&str>) -> Result<String, No> {
    let mut parameters = content::form(query.unwrap_or_default()).into_iter();
    let value = parameters.find(|(name, value)| name == "identifier" && !value.is_empty()).map(|(_, value)| value);
    let text = "ask with ?identifier=system|value, or of one resource: Type/id/$order-status";
    value.ok_or_else(|| No::new(StatusCode::BAD_REQUEST, IssueType::Required, text))
}

/// The order that carries an identifier, of its own or of its group; refused when there are several.
async fn find_by(service: &Service, kind: Kind, token: &str) -> Result<Option<Uuid>, No> {
    let mut roots = Vec::new();
    for name in ["identifier", "group-identifier", "requisition"] {
        let Some(param) = find(kind, name) else { continue };
        let filters = vec![Filter::Token { param, any: vec![read_token(token)] }];
        let query = Query { kind, filters, sort: Vec::new(), count: service.config.page_entries_limit, page: None };
        for stored in service.registry.search(&query).await?.entries {
            roots.push(root_of(service, &stored.key).await?);
        }
    }
    roots.sort();
    roots.dedup();
    match roots.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => {
            let text = "several orders carry this identifier: ask for one of them by its id";
            Err(No::new(StatusCode::PRECONDITION_FAILED, IssueType::MultipleMatches, text))
        }
    }
}

async fn root_of(service: &Service, key: &Key) -> Result<Uuid, No> {
    if let Some(id) = hub_domain::decide::task_id(key) {
        return Ok(id.root);
    }
    service.registry.root_of(key).await?.ok_or_else(|| No::not_found(format!("{key} is not here")))
}

async fn respond(service: &Service, headers: &HeaderMap, root: Uuid) -> Result<Response, No> {
    let tasks = service.registry.tasks_of(root).await?;
    let bodies: Vec<Body> = tasks.iter().filter_map(|task| serde_json::from_slice(&task.body).ok()).collect();
    let base = content::base_url(service, headers);
    Ok(answer::json(StatusCode::OK, &parameters(&base, &tasks, &bodies)))
}

fn parameters(base: &str, tasks: &[Stored], bodies: &[Body]) -> Value {
    let (wholes, works): (Vec<&Body>, Vec<&Body>) =
        bodies.iter().filter(|task| is_newest(task, bodies)).partition(|task| !task.contains_key("partOf"));
    // An order that comes in issues stands where the one stands that is under way.
    let is_over = |task: &&&Body| TaskStatus::of(task).is_some_and(TaskStatus::is_terminal);
    let whole = wholes.iter().find(|task| !is_over(task)).or(wholes.last()).copied();
    let works: Vec<&Body> = works.into_iter().filter(|task| asked_code(task).is_none()).collect();
    let of = |task: &&Body| TaskStatus::of(task);
    let counted = works.iter().filter(|task| of(task) != Some(TaskStatus::Cancelled)).count();
    let done = works.iter().filter(|task| of(task) == Some(TaskStatus::Completed)).count();
    let open = |task: &&&Body| of(task).is_some_and(|s| !s.is_terminal() && s != TaskStatus::Draft);
    let mut parameter = Vec::new();
    let status = whole.and_then(|task| text_at(task, &["status"])).unwrap_or("none");
    parameter.push(json!({ "name": "status", "valueCode": status }));
    parameter.push(json!({ "name": "done", "valueUnsignedInt": done }));
    parameter.push(json!({ "name": "total", "valueUnsignedInt": counted }));
    for task in works.iter().filter(open) {
        parameter.push(json!({ "name": "waitingFor", "valueString": waiting_for(task) }));
    }
    if let Some(since) = whole.and_then(|task| text_at(task, &["lastModified"])) {
        parameter.push(json!({ "name": "since", "valueDateTime": since }));
    }
    let entry =
        |(stored, body): (&Stored, &Body)| json!({ "fullUrl": format!("{base}/{}", stored.key), "resource": body });
    let entries: Vec<Value> = tasks.iter().zip(bodies).map(entry).collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "collection" });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    parameter.push(json!({ "name": "result", "resource": bundle }));
    json!({ "resourceType": "Parameters", "parameter": parameter })
}

/// A step that was offered again counts once, by its newest Task.
fn is_newest(task: &Body, all: &[Body]) -> bool {
    let step = |task: &Body| text_at(task, &["id"]).and_then(|id| id.parse::<schemas::ids::TaskId>().ok());
    match step(task) {
        Some(id) => !all.iter().filter_map(step).any(|other| other.step == id.step && other.occurrence > id.occurrence),
        None => true,
    }
}

/// "Analyse the specimen (in-progress, Organization/lab-1)"
fn waiting_for(task: &Body) -> String {
    let code = task.get("code");
    let title = text_at(task, &["description"])
        .or_else(|| code.and_then(|code| code["text"].as_str()))
        .or_else(|| code.and_then(|code| code["coding"][0]["code"].as_str()))
        .unwrap_or("a Task");
    let status = text_at(task, &["status"]).unwrap_or_default();
    let owner = schemas::task::owner(task).map(|owner| format!(", {owner}")).unwrap_or_default();
    format!("{title} ({status}{owner})")
}
