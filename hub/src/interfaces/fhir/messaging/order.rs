//! The message `fulfill`: what is wanted, as a request or as a Task with its request, beside all that it points to. It is
//! taken as a transaction is, and answered by a message with the Task by which it is followed.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Entry, Interaction};
use hub_domain::workflows::bundle::Message;
use schemas::order::asks_for_work;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body as Resource, Key, Kind, list, text_at};
use schemas::task::{TASK_CODES, focus, has_task_code};
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
    let interaction = format!("message {EVENT}");
    let repeat = match message.id() {
        Some(id) => Some(content::repeat_of(&caller, &interaction, "message id", id, bytes)),
        None => content::repeat(headers, caller.name(), &interaction, bytes)?,
    };
    let done = execute(service, caller, repeat, Act::Change(entries)).await?;
    respond(service, headers, &message, &done).await
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
                    let create = Interaction::Create { kind, body: body.clone(), unless: None };
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

async fn respond(service: &Service, headers: &HeaderMap, message: &Message<'_>, done: &Done) -> Result<Response, No> {
    let base = content::base_url(service, headers);
    let is_task = |reference: &&String| reference.starts_with("Task/");
    let followed = done
        .reply
        .entries
        .iter()
        .filter_map(|entry| entry.fulfilment.as_ref().or(Some(&entry.reference).filter(is_task)));
    let mut tasks: Vec<Key> = followed.filter_map(|reference| Key::of_reference(reference)).collect();
    tasks.sort();
    tasks.dedup();
    let (mut focus, mut parts) = (Vec::new(), Vec::new());
    for stored in service.registry.read(&tasks).await? {
        let url = format!("{base}/{}", stored.key);
        focus.push(json!({ "reference": url }));
        let body: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
        parts.push(json!({ "fullUrl": url, "resource": body }));
    }
    let header = message.header();
    let asked = header.and_then(|header| text_at(header, &["id"])).or(message.id()).unwrap_or("unknown");
    let name = |of: &str| Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{of} {asked}").as_bytes());
    let mut answer = json!({
        "resourceType": "MessageHeader",
        "id": name("answer to"),
        "eventCoding": { "system": TASK_CODES, "code": EVENT },
        "source": { "endpoint": base },
        "response": { "identifier": asked, "code": "ok" },
    });
    if !focus.is_empty() {
        answer["focus"] = focus.into();
    }
    parts.insert(0, json!({ "fullUrl": format!("urn:uuid:{}", name("answer to")), "resource": answer }));
    let bundle = json!({
        "resourceType": "Bundle",
        "type": "message",
        "identifier": { "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", name("message with the answer to")) },
        "timestamp": service.now().to_string(),
        "entry": parts,
    });
    Ok(answer::json(StatusCode::OK, &bundle))
}
