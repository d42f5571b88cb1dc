//! The message `fulfill`: what is wanted, as a request or as a Task with its request, beside all that it points to. It is
//! taken as a transaction is, and answered by a message with the Task by which it is followed.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Entry, Interaction, Repeat};
use hub_domain::workflows::bundle::Message;
use schemas::ids::is_id;
use schemas::order::asks_for_work;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body as Resource, Key, Kind, list, text_at};
use schemas::task::{TASK_CODES, focus, has_task_code};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::{self, No};
use super::super::content;
use super::super::write::execute;
use crate::engine::Done;
use crate::service::Service;

/// FHIR's code for "do what is in focus", as an event.
pub(in crate::interfaces::fhir) const EVENT: &str = "fulfill";

/// A message whose parts are FHIR.
pub(super) async fn process(
    service: &Service,
    headers: &HeaderMap,
    caller: Caller,
    bundle: &Resource,
    bytes: &[u8],
) -> Result<Response, No> {
    let message = Message::of(bundle);
    let entries = read(service, bundle, &message)?;
    let repeat = super::repeat(&message, EVENT, headers, &caller, bytes)?;
    let command = repeat.as_ref().map_or_else(Uuid::now_v7, Repeat::command_id);
    let done = execute(service, caller, repeat, Act::Change(entries)).await?;
    respond(service, headers, &message, &done, command).await
}

/// Every part but the header, and of the Tasks those that the hub does not write itself. Every fault is told.
fn read(service: &Service, bundle: &Resource, message: &Message) -> Result<Vec<Entry>, No> {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (n, value) in list(bundle, "entry").enumerate() {
        let path = format!("Bundle.entry[{n}].resource");
        let Some(body) = value["resource"].as_object() else { continue };
        match body.get("resourceType").and_then(Value::as_str) {
            Some("MessageHeader") => faults.extend(check_focus(body, message, &path)),
            Some(name) => match Kind::parse(name) {
                Some(Kind::TASK) if is_of_an_order(body, message, service) => {}
                Some(kind) => {
                    let full_url = value["fullUrl"].as_str().map(str::to_owned);
                    let path = format!("Bundle.entry[{n}]");
                    let create = Interaction::Create { kind, body: body.clone().into(), unless: None };
                    entries.push(Entry { full_url, path, ..Entry::new(create) });
                }
                None => {
                    let text = "this type is not kept by this hub; /metadata lists what is";
                    faults.push(Issue::error(IssueType::NotSupported, path, text));
                }
            },
            None => {}
        }
    }
    let limit = service.config.bundle_entries_limit;
    if entries.len() > limit {
        let text = format!("a message has at most {limit} parts (bundle_entries_limit)");
        faults.push(Issue::error(IssueType::TooLong, "Bundle.entry", text));
    }
    if faults.is_empty() { Ok(entries) } else { Err(No(StatusCode::UNPROCESSABLE_ENTITY, faults)) }
}

/// What it is about is in it: Tasks, or requests.
fn check_focus(header: &Resource, message: &Message, path: &str) -> Vec<Issue> {
    let focus: Vec<&Value> = list(header, "focus").collect();
    let is_wanted = |body: &Resource| {
        let kind = text_at(body, &["resourceType"]).and_then(Kind::parse);
        kind.is_some_and(|kind| kind == Kind::TASK || kind.is_request())
    };
    let text = "the focus of this event is a Task or a request that is in the message";
    if focus.is_empty() {
        return vec![Issue::error(IssueType::Required, format!("{path}.focus"), text)];
    }
    let wrong = |(_, reference): &(usize, &Value)| !message.follow(Some(reference)).is_some_and(is_wanted);
    let fault = |(n, _)| Issue::error(IssueType::Value, format!("{path}.focus[{n}]"), text);
    focus.into_iter().enumerate().filter(wrong).map(fault).collect()
}

/// The placer's Task for the whole of a request that becomes an order: the hub's own takes its place.
fn is_of_an_order(task: &Resource, message: &Message, service: &Service) -> bool {
    let request = focus(task).and_then(|url| message.follow(Some(&json!({ "reference": url }))));
    let is_order = |request: &Resource| asks_for_work(request, service.config.require_actionable);
    has_task_code(task, EVENT) && !task.contains_key("partOf") && request.is_some_and(is_order)
}

/// The same for a message that comes again: as it was then. `command`: what the ids of the answer come from.
async fn respond(
    service: &Service,
    headers: &HeaderMap,
    message: &Message<'_>,
    done: &Done,
    command: Uuid,
) -> Result<Response, No> {
    let base = content::base_url(service, headers);
    let entries = &done.reply.entries;
    let is_task = |reference: &&String| reference.starts_with("Task/");
    let followed =
        entries.iter().filter_map(|entry| entry.fulfilment.as_ref().or(Some(&entry.reference).filter(is_task)));
    let mut tasks: Vec<Key> = followed.filter_map(|reference| Key::of_reference(reference)).collect();
    tasks.sort();
    tasks.dedup();
    let then = Timestamp(entries.iter().map(|entry| entry.last_updated).max().unwrap_or_default());
    let (mut focus, mut parts) = (Vec::new(), Vec::new());
    for key in &tasks {
        let url = format!("{base}/{key}");
        focus.push(json!({ "reference": url }));
        parts.push(json!({ "fullUrl": url, "resource": as_it_was(service, key, then).await? }));
    }
    // FHIR knows a message by its header; one whose header has no id, by what else is an id.
    let header = message.header().and_then(|header| text_at(header, &["id"]));
    let asked = header.or(message.known_by().map(|(_, id)| id.trim_start_matches("urn:uuid:")));
    let (id, bundle) = (Uuid::new_v5(&command, b"header"), Uuid::new_v5(&command, b"message"));
    let mut header = json!({
        "resourceType": "MessageHeader",
        "id": id,
        "eventCoding": { "system": TASK_CODES, "code": EVENT },
        "source": { "endpoint": base },
        "response": { "identifier": asked.filter(|id| is_id(id)).unwrap_or("unknown"), "code": "ok" },
    });
    if !focus.is_empty() {
        header["focus"] = focus.into();
    }
    parts.insert(0, json!({ "fullUrl": format!("urn:uuid:{id}"), "resource": header }));
    let bundle = json!({
        "resourceType": "Bundle",
        "type": "message",
        "identifier": { "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{bundle}") },
        "timestamp": then.to_string(),
        "entry": parts,
    });
    Ok(answer::json(StatusCode::OK, &bundle))
}

/// What became of a Task since is not told to who only hears the first answer once more.
async fn as_it_was(service: &Service, key: &Key, then: Timestamp) -> Result<Value, No> {
    let (mut version, mut body) = (1, Value::Null);
    while let Some(stored) = service.registry.version(key, Some(version)).await?
        && stored.last_updated <= then
    {
        body = serde_json::from_slice(&stored.body).unwrap_or_default();
        version += 1;
    }
    Ok(body)
}
