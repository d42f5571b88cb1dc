//! What changes something: operations, bookings, the end of a referral, and what the clinic reports.

use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use hub_domain::command::{Act, Interaction};
use hub_domain::query::{DateMatch, Filter, Prefix, Query, find};
use hub_domain::workflows::ers::{self, OPERATIONS, Of, Wish};
use schemas::ids::TaskId;
use schemas::resource::{Key, Kind};

use super::super::answer::{self, No};
use super::super::content;
use super::super::write::execute;
use super::call::{Call, ErsNo, bad, no_referral};
use super::{reading, worklist};

/// Slots that are looked at before a booking may be left to the provider.
const SLOTS_LOOKED_AT: u32 = 20;

/// `POST ServiceRequest/$ers.createReferral` and its like, and the worklists.
pub(super) async fn begin(Path(name): Path<String>, call: Call, body: Body) -> Result<Response, ErsNo> {
    if worklist::NAMES.contains(&name.as_str()) {
        return worklist::fetch(call, body).await;
    }
    let operation = OPERATIONS.iter().find(|operation| operation.begins && operation.name == name);
    let operation = operation.ok_or_else(|| unknown(true))?;
    let (parameters, bytes) = call.take(body, "Parameters").await?;
    let wish = (operation.read)(&parameters)?;
    let answer = call.asks(None, wish, &[name.as_bytes(), &bytes].concat()).await?;
    Ok(call.written(&answer))
}

fn unknown(begins: bool) -> No {
    let names: Vec<&str> = OPERATIONS.iter().filter(|o| o.begins == begins).map(|o| o.name).collect();
    No::not_found(format!("the operations here are {}", names.join(", ")))
}

/// `POST ServiceRequest/{id}/$ers.acceptReferral` and its like.
pub(super) async fn operate(
    Path((id, name)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Result<Response, ErsNo> {
    let operation = OPERATIONS.iter().find(|operation| !operation.begins && operation.name == name);
    let operation = operation.ok_or_else(|| unknown(false))?;
    let of = referral(&call, id)?;
    let (parameters, bytes) = call.take(body, "Parameters").await?;
    let wish = (operation.read)(&parameters)?;
    let answer = call.asks(Some(of), wish, &[name.as_bytes(), &bytes].concat()).await?;
    Ok(call.written(&answer))
}

fn referral(call: &Call, id: String) -> Result<Of, ErsNo> {
    let root = ers::root_of_request(&id).ok_or_else(no_referral)?;
    call.of(Key::new(Kind::SERVICE_REQUEST, id), root)
}

/// `PUT ServiceRequest/{id}`: it is closed, or cancelled.
pub(super) async fn change(Path(id): Path<String>, call: Call, body: Body) -> Result<Response, ErsNo> {
    let of = referral(&call, id)?;
    let (request, bytes) = call.take(body, "ServiceRequest").await?;
    let answer = call.asks(Some(of), ers::read_changed_request(&request)?, &bytes).await?;
    Ok(call.written(&answer))
}

/// `PUT Task/{id}`: the whole, or the report to the referrer, is completed.
pub(super) async fn close_by_task(Path(id): Path<String>, call: Call, body: Body) -> Result<Response, ErsNo> {
    let task: TaskId = id.parse().map_err(|()| no_referral())?;
    let (sent, bytes) = call.take(body, "Task").await?;
    let wish = ers::read_changed_task(&sent)?;
    if !ers::closes(task) {
        return Err(bad("Task.id", "a referral is closed by its fulfilment Task, or by that of the report"));
    }
    let of = call.of(Key::task(task), task.root)?;
    let answer = call.asks(Some(of), wish, &bytes).await?;
    Ok(call.written(&answer))
}

/// `POST Appointment`: booked, or left to the provider.
pub(super) async fn book(call: Call, body: Body) -> Result<Response, ErsNo> {
    let (appointment, bytes) = call.take(body, "Appointment").await?;
    let (of, mut wish) = ers::read_booking(&appointment)?;
    if let Wish::Defer(deferral) = &mut wish {
        let free = free_slots(&call, deferral.service()).await?;
        deferral.found(free);
    }
    let mut on = referral(&call, of.request)?;
    match (on.version, of.version) {
        (Some(one), Some(other)) if one != other => {
            return Err(bad("If-Match", "If-Match and Appointment.basedOn name different versions"));
        }
        (one, other) => on.version = one.or(other),
    }
    let answer = call.asks(Some(on), wish, &bytes).await?;
    Ok(call.written(&answer))
}

/// Slots of a service that can be booked, as far as somebody looks.
async fn free_slots(call: &Call, service: &Key) -> Result<Vec<Key>, ErsNo> {
    let schedules = reading::schedules(call, service).await?;
    let params = find(Kind::SLOT, "schedule").zip(find(Kind::SLOT, "status")).zip(find(Kind::SLOT, "start"));
    let (Some(((schedule, status), start)), false) = (params, schedules.is_empty()) else { return Ok(Vec::new()) };
    let now = call.service.now();
    let filters = vec![
        Filter::Reference { param: schedule, any: schedules.iter().map(|stored| stored.key.to_string()).collect() },
        Filter::Token { param: status, any: vec![reading::code("free")] },
        Filter::Date { param: start, any: vec![DateMatch { prefix: Prefix::Gt, low: now, high: now }] },
    ];
    let query = Query { kind: Kind::SLOT, filters, sort: Vec::new(), count: SLOTS_LOOKED_AT, page: None };
    Ok(call.service.registry.search(&query).await?.entries.into_iter().map(|stored| stored.key).collect())
}

/// `PUT Appointment/{id}`: it is cancelled.
pub(super) async fn cancel_appointment(Path(id): Path<String>, call: Call, body: Body) -> Result<Response, ErsNo> {
    let key = content::key("Appointment", id)?;
    let root =
        call.service.registry.root_of(&key).await?.ok_or_else(|| No::not_found("there is no such appointment"))?;
    let (appointment, bytes) = call.take(body, "Appointment").await?;
    let of = call.of(key, root)?;
    let answer = call.asks(Some(of), ers::read_cancelled_appointment(&appointment)?, &bytes).await?;
    Ok(call.written(&answer))
}

/// `POST Encounter`, `DiagnosticReport`, `Observation`, `DocumentReference`
pub(super) async fn report(kind: &'static str, call: Call, body: Body) -> Result<Response, ErsNo> {
    let (event, bytes) = call.take(body, kind).await?;
    let answer = call.asks(None, ers::read_event(kind, &event)?, &bytes).await?;
    Ok(call.written(&answer))
}

/// `POST Binary`: a file that is attached later.
pub(super) async fn upload(call: Call, body: Body) -> Result<Response, ErsNo> {
    let (binary, bytes) = call.take(body, "Binary").await?;
    let repeat = content::repeat(&call.headers, call.caller.name(), "ers Binary", &bytes)?;
    let create = Interaction::Create { kind: Kind::BINARY, body: binary.into(), unless: None };
    let done = execute(&call.service, call.caller.clone(), repeat, Act::alone(create)).await?;
    let reference = done.reply.entries.first().map(|entry| entry.reference.clone()).unwrap_or_default();
    let mut response = answer::text(StatusCode::CREATED, Vec::new());
    answer::location(response.headers_mut(), format!("{}/{reference}", call.base()));
    Ok(response)
}
