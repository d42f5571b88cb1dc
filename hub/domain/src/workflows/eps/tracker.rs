//! Where a prescription stands, in the two shapes in which the service tells it: a Task for each issue, and a RequestGroup
//! with all that happened.

use schemas::resource::Body;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{DISPENSING, cancellation_reason};
use super::dispense::dispenses_in;
use super::message::{EPS_REPEATS, LONG_NUMBER, NHS_NUMBER, NUMBER, ODS, PRESCRIPTION_TYPE, TASK_STATUS, UUID_SYSTEM};
use super::record::{Course, Issue, Record, Step};
use super::table::{BUSINESS_STATUS, Event, ITEM_STATUS, Item, State};
use super::tasks::item_identifier;
use crate::workflows::bundle::{Message, identifier};

const RELEASE_INFORMATION: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-DispensingReleaseInformation";
const STATUS_HISTORY: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-PrescriptionStatusHistory";
const PENDING: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-PendingCancellation";
const PARTICIPANT: &str =
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.participant.typeReference";
const COURSES: &str = "http://terminology.hl7.org/CodeSystem/medicationrequest-course-of-therapy";

/// The tracker's Tasks of a prescription, one for each issue.
pub fn tracked(record: &Record, root: Uuid) -> Vec<Value> {
    (0..record.issues.len()).map(|n| tracked_issue(record, root, n)).collect()
}

fn tracked_issue(record: &Record, root: Uuid, n: usize) -> Value {
    let issue = &record.issues[n];
    let id = Uuid::new_v5(&root, format!("issue {n}").as_bytes()).to_string();
    let (course, display) = match record.course {
        Course::Acute => ("acute", "Short course (acute) therapy"),
        Course::Repeat => ("continuous", "Continuous long term therapy"),
        Course::RepeatDispensing => ("continuous-repeat-dispensing", "Continuous long term (repeat dispensing)"),
    };
    let mut extensions = vec![json!({
        "url": "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-Prescription",
        "extension": [{
            "url": "courseOfTherapyType",
            "valueCoding": { "system": COURSES, "code": course, "display": display },
        }],
    })];
    if record.issues.len() > 1 {
        extensions.push(json!({
            "url": EPS_REPEATS,
            "extension": [
                { "url": "numberOfRepeatsAllowed", "valueInteger": record.issues.len() },
                { "url": "numberOfRepeatsIssued", "valueInteger": n + 1 },
            ],
        }));
    }
    let by_identifier = |system: &str, value: &str| json!({ "identifier": { "system": system, "value": value } });
    let mut task = json!({
        "resourceType": "Task",
        "id": id,
        "extension": extensions,
        "identifier": [{ "system": UUID_SYSTEM, "value": id }],
        "status": issue.state.shown().code(),
        "businessStatus": { "coding": [{
            "system": BUSINESS_STATUS,
            "code": issue.state.code(),
            "display": issue.state.display(),
        }] },
        "intent": "order",
        "code": { "coding": [{
            "system": "http://hl7.org/fhir/CodeSystem/task-code",
            "code": "fulfill",
            "display": "Fulfill the focal request",
        }] },
        "focus": by_identifier(NUMBER, &record.number),
        "for": by_identifier(NHS_NUMBER, &record.patient),
        "authoredOn": record.prescribed.date(),
        "requester": by_identifier(ODS, &record.prescriber),
    });
    if let Some(name) = &record.prescriber_name {
        task["requester"]["display"] = name.as_str().into();
    }
    if let Some(long) = &record.long_number {
        task["groupIdentifier"] = json!({ "system": LONG_NUMBER, "value": long });
    }
    let owner = issue.holder.as_ref().map(|holder| (&holder.code, holder.name.as_ref()));
    if let Some((code, name)) = owner.or(record.nominated.as_ref().map(|code| (code, None))) {
        task["owner"] = by_identifier(ODS, code);
        if let Some(name) = name {
            task["owner"]["display"] = name.as_str().into();
        }
    }
    if let Some(ready) = issue.ready {
        task["restriction"] = json!({ "period": { "start": ready.date() } });
    }
    task["input"] = (0..record.items.len()).map(|item| tracked_input(record, n, item)).collect();
    task["output"] = (0..record.items.len()).map(|item| tracked_output(record, n, item)).collect();
    task
}

fn tracked_input(record: &Record, n: usize, item: usize) -> Value {
    let issue = &record.issues[n];
    let state = issue.items[item];
    let mut told = Vec::new();
    if let Some(last) = issue.notifications.last() {
        told.push(json!({ "url": "dateLastDispensed", "valueDateTime": last.handed_over.to_string() }));
    }
    told.push(json!({
        "url": "dispenseStatus",
        "valueCoding": { "system": ITEM_STATUS, "code": state.code(), "display": state.display() },
    }));
    json!({
        "extension": [{ "url": DISPENSING, "extension": told }],
        "type": { "coding": [{ "system": "http://snomed.info/sct", "code": "16076005", "display": "Prescription" }] },
        "valueReference": { "type": "MedicationRequest", "identifier": item_identifier(&record.items[item].id) },
    })
}

fn tracked_output(record: &Record, n: usize, item: usize) -> Value {
    let issue = &record.issues[n];
    let on = |name: &str, at: Timestamp| json!({ "url": name, "valueDate": at.date() });
    let when = |state: State| issue.history.iter().rev().find(|step| step.state == state).map(|step| step.at);
    let last = issue.notifications.last().map(|last| last.handed_over);
    let before = n.checked_sub(1).and_then(|n| record.issues[n].notifications.last()).map(|last| last.handed_over);
    let mut told = Vec::new();
    told.extend(last.or(before).map(|at| on("dateLastIssuedDispensed", at)));
    told.extend(when(State::WithDispenser).map(|at| on("dateDownloaded", at)));
    told.extend(when(State::Claimed).map(|at| on("dateClaimed", at)));
    let mut output = json!({
        "type": { "coding": [{
            "system": "http://snomed.info/sct",
            "code": "373784005",
            "display": "Dispensing medication",
        }] },
        "valueReference": { "type": "MedicationDispense", "identifier": item_identifier(&record.items[item].id) },
    });
    if !told.is_empty() {
        output["extension"] = json!([{ "url": RELEASE_INFORMATION, "extension": told }]);
    }
    output
}

// ---- the newer shape

/// A name for a part of an answer, the same whenever it is asked for.
fn urn(root: Uuid, name: &str) -> String {
    format!("urn:uuid:{}", Uuid::new_v5(&root, name.as_bytes()))
}

fn entry(url: &str, mode: &str, mut resource: Value) -> Value {
    resource["id"] = url.trim_start_matches("urn:uuid:").into();
    json!({ "fullUrl": url, "search": { "mode": mode }, "resource": resource })
}

fn intent(record: &Record) -> &'static str {
    match record.course {
        Course::Acute => "order",
        Course::Repeat => "instance-order",
        Course::RepeatDispensing => "reflex-order",
    }
}

/// What both views tell of a prescription.
fn group(record: &Record, n: usize, patient: &str) -> Value {
    let issue = &record.issues[n];
    let mut extensions = vec![json!({
        "url": STATUS_HISTORY,
        "extension": [{
            "url": "status",
            "valueCoding": { "system": BUSINESS_STATUS, "code": issue.state.code(), "display": issue.state.display() },
        }],
    })];
    if record.course != Course::Acute {
        extensions.push(json!({
            "url": EPS_REPEATS,
            "extension": [
                { "url": "numberOfRepeatsIssued", "valueInteger": n + 1 },
                { "url": "numberOfRepeatsAllowed", "valueInteger": record.issues.len() },
            ],
        }));
    }
    let pending = |of_item: bool| record.pending.iter().any(|wish| wish.item.is_some() == of_item);
    extensions.push(json!({
        "url": PENDING,
        "extension": [
            { "url": "prescriptionPendingCancellation", "valueBoolean": pending(false) },
            { "url": "lineItemPendingCancellation", "valueBoolean": pending(true) },
        ],
    }));
    json!({
        "resourceType": "RequestGroup",
        "identifier": [{ "system": NUMBER, "value": record.number }],
        "subject": { "reference": patient },
        "status": "active",
        "intent": intent(record),
        "author": { "identifier": { "system": ODS, "value": record.prescriber } },
        "authoredOn": record.prescribed.to_string(),
        "extension": extensions,
    })
}

/// The patient, as the order message names them.
fn patient(record: &Record, message: Option<&Body>) -> Value {
    let named = message.and_then(|body| Message::of(body).one("Patient").cloned());
    named.map_or_else(
        || json!({ "resourceType": "Patient", "identifier": [{ "system": NHS_NUMBER, "value": record.patient }] }),
        Value::Object,
    )
}

/// One line of a list of prescriptions, with its patient before it.
pub fn listed(record: &Record, root: Uuid, message: Option<&Body>) -> Vec<Value> {
    let named = urn(root, "patient");
    let group = group(record, record.current(), &named);
    vec![entry(&named, "include", patient(record, message)), entry(&urn(root, "prescription"), "match", group)]
}

/// All of one issue: the items, who has it, what was dispensed and everything that happened.
pub fn viewed(record: &Record, root: Uuid, n: usize, message: Option<&Body>, dispenses: &[Value]) -> Vec<Value> {
    let issue = &record.issues[n];
    let (named, prescriber) = (urn(root, "patient"), urn(root, "prescriber"));
    let role = |code: &str| {
        json!({
            "resourceType": "PractitionerRole",
            "organization": { "identifier": { "system": ODS, "value": code } },
        })
    };
    let mut entries = vec![
        entry(&named, "include", patient(record, message)),
        entry(&prescriber, "include", role(&record.prescriber)),
    ];
    let mut items = Vec::new();
    for (place, item) in record.items.iter().enumerate() {
        let url = urn_of_item(root, &item.id);
        let request = viewed_item(record, n, place, message, [&named, &prescriber]);
        entries.push(entry(&url, "include", request));
        items.push(json!({ "resource": { "reference": url } }));
    }
    if let Some(holder) = &issue.holder {
        entries.push(entry(&urn(root, "dispenser"), "include", role(&holder.code)));
    }
    for dispense in dispenses {
        let url = urn(root, dispense["id"].as_str().unwrap_or_default());
        entries.push(entry(&url, "include", viewed_dispense(record, root, dispense)));
    }
    let mut group = group(record, n, &named);
    if let (Some(kind), Some(extensions)) = (&record.kind, group["extension"].as_array_mut()) {
        let coding = json!({ "system": "https://fhir.nhs.uk/CodeSystem/prescription-type", "code": kind });
        extensions.push(json!({ "url": PRESCRIPTION_TYPE, "valueCoding": coding }));
    }
    group["action"] = json!([
        {
            "title": "Prescription Line Items(Medications)",
            "timingTiming": { "repeat": { "frequency": 1, "period": record.days_supply, "periodUnit": "d" } },
            "action": items,
        },
        {
            "title": "Prescription status transitions",
            "action": issue.history.iter().map(|step| happened(issue, step, root)).collect::<Vec<_>>(),
        },
    ]);
    entries.push(entry(&urn(root, "prescription"), "match", group));
    entries
}

/// An item as it was ordered, and where it stands.
fn viewed_item(
    record: &Record,
    n: usize,
    place: usize,
    message: Option<&Body>,
    [patient, prescriber]: [&String; 2],
) -> Value {
    let item = &record.items[place];
    let state = record.issues[n].items[place];
    let ordered = message.and_then(|body| {
        let requests = Message::of(body).all("MedicationRequest");
        let is_it = |request: &&Body| {
            identifier(request, super::message::ITEM_NUMBER).is_some_and(|id| id.eq_ignore_ascii_case(&item.id))
        };
        requests.into_iter().find(is_it).cloned()
    });
    let mut request = Value::Object(ordered.unwrap_or_default());
    request["resourceType"] = "MedicationRequest".into();
    request["identifier"] = json!([item_identifier(&item.id)]);
    request["status"] = if state.is_active() { "active" } else { request_status(state) }.into();
    request["intent"] = intent(record).into();
    if let (Item::Cancelled, Some(cancelled)) = (state, &item.cancelled) {
        request["statusReason"] = cancellation_reason(&cancelled.reason);
    }
    request["subject"] = json!({ "reference": patient });
    request["requester"] = json!({ "reference": prescriber });
    let pending = record.pending.iter().any(|wish| wish.item.as_deref() == Some(&item.id));
    request["extension"] = json!([
        {
            "url": DISPENSING,
            "extension": [{
                "url": "dispenseStatus",
                "valueCoding": { "system": ITEM_STATUS, "code": state.code(), "display": state.display() },
            }],
        },
        { "url": PENDING, "extension": [{ "url": "lineItemPendingCancellation", "valueBoolean": pending }] },
    ]);
    request
}

/// A dispense that refers to what the view tells beside it.
fn viewed_dispense(record: &Record, root: Uuid, dispense: &Value) -> Value {
    let id = dispense["authorizingPrescription"][0]["identifier"]["value"].as_str().unwrap_or_default();
    let item = record.item(id).map(|item| &record.items[item]);
    let told = dispense["type"]["coding"][0]["code"].as_str().and_then(Item::parse);
    let state = list_of(&dispense["extension"])
        .find(|extension| extension["url"] == TASK_STATUS)
        .and_then(|extension| State::parse(extension["valueCoding"]["code"].as_str()?));
    let status = match (dispense["status"].as_str(), state) {
        (Some("completed"), Some(State::WithDispenserActive)) => "in-progress",
        (status, _) => status.unwrap_or("unknown"),
    };
    let mut viewed = json!({
        "resourceType": "MedicationDispense",
        "identifier": [item_identifier(id)],
        "subject": { "reference": urn(root, "patient") },
        "status": status,
        "performer": [{ "actor": { "reference": urn(root, "dispenser") } }],
        "authorizingPrescription": [{ "reference": urn_of_item(root, id) }],
        "medicationCodeableConcept": { "text": item.map_or("", |item| &item.name) },
    });
    for name in ["quantity", "dosageInstruction", "whenHandedOver"] {
        if let Some(value) = dispense.get(name) {
            viewed[name] = value.clone();
        }
    }
    if let Some(told) = told {
        let coding = json!({ "system": ITEM_STATUS, "code": told.code(), "display": told.display() });
        viewed["type"] = json!({ "coding": [coding] });
    }
    if let Some(state) = state {
        let coding = json!({ "system": BUSINESS_STATUS, "code": state.code(), "display": state.display() });
        viewed["extension"] = json!([{ "url": TASK_STATUS, "valueCoding": coding }]);
    }
    viewed
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn urn_of_item(root: Uuid, item: &str) -> String {
    urn(root, &format!("item {}", item.to_ascii_lowercase()))
}

fn request_status(state: Item) -> &'static str {
    match state {
        Item::FullyDispensed => "completed",
        Item::Cancelled => "cancelled",
        _ => "stopped",
    }
}

fn happened(issue: &Issue, step: &Step, root: Uuid) -> Value {
    let title = match step.event {
        Event::Order => "Prescription upload successful",
        Event::Open | Event::Ready => "Prescription made available",
        Event::Close => "Prescription not available any more",
        Event::Release => "Release Request successful",
        Event::Notify => "Dispense notification successful",
        Event::Amend => "Dispense notification amendment successful",
        Event::Withdraw => "Dispense withdrawal successful",
        Event::Return => "Dispense return successful",
        Event::Cancel => "Prescription/item was cancelled",
        Event::Claim => "Dispense claim successful",
        Event::AmendClaim => "Dispense claim amendment successful",
        Event::NoClaim => "No claim was made",
        Event::Expire => "Prescription expired",
    };
    let mut action = json!({
        "title": title,
        "timingDateTime": step.at.to_string(),
        "code": [{ "coding": [{
            "system": BUSINESS_STATUS,
            "code": step.state.code(),
            "display": step.state.display(),
        }] }],
    });
    if let Some(by) = &step.by {
        action["participant"] = json!([{ "extension": [{
            "url": PARTICIPANT,
            "valueReference": { "identifier": { "system": ODS, "value": by } },
        }] }]);
    }
    if let (Some(id), Some(codes)) = (&step.notification, action["code"].as_array_mut()) {
        codes.push(json!({ "coding": [{ "system": UUID_SYSTEM, "code": id }] }));
        let told = issue.notifications.iter().find(|told| told.id == *id);
        let dispenses = told.into_iter().flat_map(|told| dispenses_in(told, root));
        let resources: Vec<Value> =
            dispenses.map(|key| json!({ "resource": { "reference": urn(root, &key.id) } })).collect();
        if !resources.is_empty() {
            action["action"] = resources.into();
        }
    }
    action
}
