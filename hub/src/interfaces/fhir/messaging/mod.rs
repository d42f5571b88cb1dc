//! `$process-message`: a FHIR message becomes what the workflow of its event asks for. Events without a workflow are
//! refused by name; what an event means is known to its workflow alone.

pub(super) mod order;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Repeat, Role};
use hub_domain::workflows::bundle::Message;
use hub_domain::workflows::{Answer, Ask, EVENTS, Outcome};
use schemas::gate;
use schemas::outcome::{Issue, IssueType, Severity};
use schemas::resource::{Body as Resource, text_at};
use serde_json::Value;

use super::answer::{self, No};
use super::content::{self, RESOURCE_TYPES};
use super::write::{demand_role, execute};
use crate::service::Service;

pub(super) async fn process(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let bundle = parse(&bytes)?;
    let mut faults = gate::check(&bundle, Some("Bundle")).err().unwrap_or_default();
    if text_at(&bundle, &["type"]).is_some_and(|kind| kind != "message") {
        faults.push(Issue::error(IssueType::Value, "Bundle.type", "a Bundle that is processed is a message"));
    }
    let message = Message::of(&bundle);
    let code = message.header().and_then(|header| text_at(header, &["eventCoding", "code"])).unwrap_or_default();
    if code == order::EVENT {
        return match faults.is_empty() {
            true => order::process(&service, &headers, caller, &bundle, &bytes).await,
            false => Err(No(StatusCode::UNPROCESSABLE_ENTITY, faults)),
        };
    }
    let event = EVENTS.iter().find(|event| event.code == code);
    let Some(event) = event else {
        return Err(if faults.is_empty() { unknown_event() } else { No::bad_request(faults) });
    };
    demand_role(&caller, if event.from_placer { Role::Placer } else { Role::Filler })?;
    let read = (event.read)(&bundle, &service.reading());
    if !faults.is_empty() {
        // What is wrong as FHIR, and what is wrong as this message: all of it.
        let more = read.err().map(|refusal| refusal.issues).unwrap_or_default();
        return Err(No::bad_request(faults.into_iter().chain(more).collect()));
    }
    let ask = read?;
    let repeat = repeat(&message, code, &headers, &caller, &bytes)?;
    let answer = ask_service(&service, caller, repeat, ask).await?;
    Ok(plain(&answer))
}

/// One message, one answer: whoever sends it again hears that of the first time.
fn repeat(
    message: &Message,
    event: &str,
    headers: &HeaderMap,
    caller: &Caller,
    bytes: &[u8],
) -> Result<Option<Repeat>, No> {
    match message.known_by() {
        Some((place, id)) => {
            Ok(Some(content::repeat_of(caller, &format!("message {event} {place}"), place, id, bytes)))
        }
        None => content::repeat(headers, caller.name(), &format!("message {event}"), bytes),
    }
}

fn unknown_event() -> No {
    let codes: Vec<&str> = EVENTS.iter().map(|event| event.code).chain([order::EVENT]).collect();
    let text = format!("MessageHeader.eventCoding.code must be one of: {}.", codes.join(", "));
    let path = "Bundle.entry.resource.ofType(MessageHeader).eventCoding.code";
    No::bad_request(vec![Issue { severity: Severity::Fatal, ..Issue::error(IssueType::Value, path, text) }])
}

/// What is sent as a resource of a type, and its bytes.
pub(super) async fn take(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    expected: &str,
) -> Result<(Resource, Vec<u8>), No> {
    content::demand_type(headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(service, body).await?;
    Ok((resource(&bytes, expected)?, bytes))
}

/// The body as a resource of a type. Services answer 400 to whatever is wrong with it.
fn resource(bytes: &[u8], expected: &str) -> Result<Resource, No> {
    let resource = parse(bytes)?;
    gate::check(&resource, Some(expected)).map_err(No::bad_request)?;
    Ok(resource)
}

/// What is sent as null, or as a list of nothing, is left out: messages that the services themselves publish do so.
pub(super) fn parse(bytes: &[u8]) -> Result<Resource, No> {
    let mut body = gate::parse(bytes, &gate::Limits::default()).map_err(No::bad_request)?;
    leave_out_nothing(&mut body);
    Ok(body)
}

fn leave_out_nothing(body: &mut Resource) {
    let twins: Vec<String> = body.keys().filter_map(|name| name.strip_prefix('_').map(str::to_owned)).collect();
    body.retain(|name, value| match value {
        Value::Null => false,
        Value::Array(items) => !items.iter().all(Value::is_null) || twins.contains(name),
        _ => true,
    });
    for value in body.values_mut() {
        match value {
            Value::Object(inner) => leave_out_nothing(inner),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(leave_out_nothing),
            _ => {}
        }
    }
}

pub(super) async fn ask_service(
    service: &Service,
    caller: Caller,
    repeat: Option<Repeat>,
    ask: Ask,
) -> Result<Answer, No> {
    execute_ask(service, caller, repeat, ask).await.map_err(in_its_words)
}

/// The same, of a service that knows every status.
pub(super) async fn execute_ask(
    service: &Service,
    caller: Caller,
    repeat: Option<Repeat>,
    ask: Ask,
) -> Result<Answer, No> {
    let done = execute(service, caller, repeat, Act::Ask(Box::new(ask))).await?;
    let lost = || No::new(StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception, "the service gave no answer");
    done.reply.answer.ok_or_else(lost)
}

/// English services know no 404, 409 and 422: what is wrong with what was asked is 400.
fn in_its_words(no: No) -> No {
    match no.0 {
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => No::bad_request(no.1),
        _ => no,
    }
}

pub(super) fn plain(answer: &Answer) -> Response {
    let status = match answer.outcome {
        Outcome::Empty => return answer::text(StatusCode::NO_CONTENT, Vec::new()),
        Outcome::Created => StatusCode::CREATED,
        Outcome::No => StatusCode::BAD_REQUEST,
        Outcome::Conflict => StatusCode::CONFLICT,
        Outcome::Done | Outcome::Released | Outcome::Accepted => StatusCode::OK,
    };
    answer::json(status, &answer.body)
}
