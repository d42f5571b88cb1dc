//! The hub's own Tasks of a prescription: they follow its record.
//!
//! Each issue is a Task, and each item of it another, part of that.

use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::plan::WORK;
use schemas::resource::{Body, Key, Kind};
use schemas::task::{TaskStatus, task_code};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message::{ITEM_NUMBER, LONG_NUMBER, NHS_NUMBER, NUMBER, ODS};
use super::record::Record;
use super::table::{self, BUSINESS_STATUS, ITEM_STATUS, Item};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::workflows::follow::{Face, show, task_state};

/// Who does this work: the queue is that of the nominated pharmacy.
const PHARMACY: &str = "pharmacy";

fn face_of_issue(record: &Record, n: usize) -> Face {
    let issue = &record.issues[n];
    let holder = issue.holder.as_ref().map(|holder| &holder.code).or(record.nominated.as_ref());
    let business = coded(BUSINESS_STATUS, issue.state.code(), issue.state.display());
    Face { status: issue.state.kept(), business: Some(business), owner: holder.map(|code| organization(code)) }
}

fn face_of_item(record: &Record, n: usize, item: usize) -> Face {
    let state = record.issues[n].items[item];
    let business = coded(ITEM_STATUS, state.code(), state.display());
    Face { status: state.kept(), business: Some(business), ..face_of_issue(record, n) }
}

fn coded(system: &str, code: &str, display: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code, "display": display }] })
}

/// Brings every Task to where the record is, from where it was `before`. `why`: the reason to show where one ends.
pub(super) fn follow(draft: &mut Draft, root: Uuid, before: Option<&Record>, why: Option<&Value>) -> Result<(), Stop> {
    let Some(record) = super::record_of(draft, root).cloned() else { return Ok(()) };
    let was = |n: usize| before.filter(|before| n < before.issues.len());
    look_at(draft, root, &record, before)?;
    for n in 0..record.issues.len() {
        let step = record.step(n);
        let face = face_of_issue(&record, n);
        if was(n).is_none_or(|before| face.differs_from(&face_of_issue(before, n))) {
            let new = |id: TaskId, now: Timestamp| issue_body(&record, root, n, id, now);
            let task = show(draft, root, step, &face, table::matrix(), why, new)?;
            if face.status == TaskStatus::Requested
                && face.owner.is_some()
                && was(n).is_none_or(|before| before.issues[n].state.kept() != TaskStatus::Requested)
            {
                draft.publish(&task, "prescription".into(), PHARMACY.into());
            }
        }
        for item in 0..record.items.len() {
            let face = face_of_item(&record, n, item);
            let exists = task_state(draft, root, step + 1 + item).is_some_and(|state| state.occurrence > 0);
            // Items of an issue before its turn have no Tasks.
            let due = exists || n == 0 || face.status != TaskStatus::Draft || !is_ahead(&record, n);
            let due = due && (exists || n == 0 || record.issues[n].items[item].is_active());
            if due && (!exists || was(n).is_none_or(|before| face.differs_from(&face_of_item(before, n, item)))) {
                let whole = task_state(draft, root, step).map_or(1, |state| state.occurrence);
                let whole = TaskId { root, step: step as u32, occurrence: whole };
                let new = |id: TaskId, now: Timestamp| item_body(&record, item, whole, id, now);
                show(draft, root, step + 1 + item, &face, table::matrix(), why, new)?;
            }
        }
    }
    follow_requests(draft, root, &record, before.filter(|before| !before.issues.is_empty()), why)
}

fn is_ahead(record: &Record, n: usize) -> bool {
    record.issues[n].state == table::State::FutureIssue
}

/// Asks for all Tasks that will be written at once.
fn look_at(draft: &mut Draft, root: Uuid, record: &Record, before: Option<&Record>) -> Result<(), Stop> {
    let Some(before) = before else { return Ok(()) };
    let mut keys = Vec::new();
    for n in 0..before.issues.len().min(record.issues.len()) {
        let differs = |was: Face, is: Face| is.differs_from(&was);
        let mut faces = vec![(record.step(n), differs(face_of_issue(before, n), face_of_issue(record, n)))];
        faces.extend(
            (0..record.items.len())
                .map(|i| (record.step(n) + 1 + i, differs(face_of_item(before, n, i), face_of_item(record, n, i)))),
        );
        for (step, _) in faces.into_iter().filter(|(_, differs)| *differs) {
            if let Some(occurrence) = task_state(draft, root, step).map(|s| s.occurrence).filter(|o| *o > 0) {
                keys.push(Key::task(TaskId { root, step: step as u32, occurrence }));
            }
        }
    }
    draft.get_all(&keys).map(drop)
}

/// An organisation as the hub names it, and as the service does.
pub(super) fn organization(code: &str) -> Value {
    json!({ "reference": format!("Organization/{code}"), "identifier": { "system": ODS, "value": code } })
}

/// The number, as a MedicationRequest names its prescription.
pub(super) fn group(record: &Record) -> Value {
    let mut group = json!({ "system": NUMBER, "value": record.number });
    if let Some(long) = &record.long_number {
        group["extension"] = json!([{
            "url": "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionId",
            "valueIdentifier": { "system": LONG_NUMBER, "value": long },
        }]);
    }
    group
}

fn common(record: &Record, id: TaskId, intent: &str, now: Timestamp) -> Body {
    let mut body = Body::new();
    let mut put = |name: &str, value: Value| body.insert(name.into(), value);
    put("identifier", json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
    put("groupIdentifier", group(record));
    put("status", TaskStatus::Requested.code().into());
    put("intent", intent.into());
    put("priority", record.priority.as_deref().unwrap_or("routine").into());
    put("for", json!({ "identifier": { "system": NHS_NUMBER, "value": record.patient } }));
    put("authoredOn", now.to_string().into());
    put("lastModified", now.to_string().into());
    put("requester", organization(&record.prescriber));
    put("performerType", json!([{ "coding": [{ "system": WORK, "code": PHARMACY }] }]));
    body
}

fn issue_body(record: &Record, root: Uuid, n: usize, id: TaskId, now: Timestamp) -> Body {
    let mut body = common(record, id, "order", now);
    let requests = record.items.iter().map(|item| json!({ "reference": request_key(root, &item.id).to_string() }));
    body.insert("basedOn".into(), requests.collect());
    body.insert("focus".into(), json!({ "identifier": { "system": NUMBER, "value": record.number } }));
    body.insert("code".into(), task_code("fulfill"));
    let of = record.issues.len();
    let title = if of > 1 { format!("Prescription, issue {} of {of}", n + 1) } else { "Prescription".to_owned() };
    body.insert("description".into(), title.into());
    if let Some(ready) = record.issues[n].ready {
        body.insert("restriction".into(), json!({ "period": { "start": ready.to_string() } }));
    }
    body
}

fn item_body(record: &Record, item: usize, whole: TaskId, id: TaskId, now: Timestamp) -> Body {
    let mut body = common(record, id, "filler-order", now);
    let request = json!({ "reference": request_key(id.root, &record.items[item].id).to_string() });
    body.insert("basedOn".into(), json!([request]));
    body.insert("partOf".into(), json!([{ "reference": Key::task(whole).to_string() }]));
    body.insert("focus".into(), request);
    body.insert(
        "code".into(),
        json!({
            "coding": [{ "system": "urn:fhir-workflow-hub:step", "code": "dispense" }],
            "text": "Dispense the item",
        }),
    );
    let name = Some(record.items[item].name.as_str()).filter(|name| !name.is_empty());
    body.insert("description".into(), name.unwrap_or("Dispense the item").into());
    body
}

pub(super) fn request_key(root: Uuid, item: &str) -> Key {
    Key::new(Kind::MEDICATION_REQUEST, Uuid::new_v5(&root, item.as_bytes()).to_string())
}

/// A MedicationRequest is active as long as something is still to be done for it in some issue.
fn request_status(record: &Record, item: usize) -> &'static str {
    let states: Vec<Item> = record.issues.iter().map(|issue| issue.items[item]).collect();
    match () {
        () if states.iter().any(|state| state.is_active()) => "active",
        () if states.contains(&Item::FullyDispensed) => "completed",
        () if states.contains(&Item::Cancelled) => "cancelled",
        () => "stopped",
    }
}

fn follow_requests(
    draft: &mut Draft,
    root: Uuid,
    record: &Record,
    before: Option<&Record>,
    why: Option<&Value>,
) -> Result<(), Stop> {
    let was = |n: usize| before.map_or("active", |before| request_status(before, n));
    let changed = (0..record.items.len()).filter(|n| request_status(record, *n) != was(*n));
    let changed: Vec<(Key, &str)> =
        changed.map(|n| (request_key(root, &record.items[n].id), request_status(record, n))).collect();
    let keys: Vec<Key> = changed.iter().map(|(key, _)| key.clone()).collect();
    draft.get_all(&keys)?;
    for (key, status) in changed {
        let mut body = draft.get(&key)?.body.clone().into_body();
        body.insert("status".into(), status.into());
        match why.filter(|_| status == "cancelled") {
            Some(why) => drop(body.insert("statusReason".into(), why.clone())),
            None => drop(body.shift_remove("statusReason")),
        }
        draft.replace(root, &key, body)?;
    }
    Ok(())
}

/// The identifier by which messages call an item.
pub(super) fn item_identifier(id: &str) -> Value {
    json!({ "system": ITEM_NUMBER, "value": id })
}
