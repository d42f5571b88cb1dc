//! What the service answers, in its own shapes.

use std::collections::HashMap;

use schemas::outcome::{Issue, operation_outcome};
use schemas::resource::Body;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::{self, Response};
use super::message::{BAD_SIGNATURE, EPS_REPEATS, ODS, RETURN_REASON, UUID_SYSTEM};
use super::record::{Cancelled, Dispenser, ItemOf};
use super::signature::{ALGORITHM, signed_info};
use super::table::{ITEM_STATUS, Item};
use super::tasks::item_identifier;
use crate::workflows::bundle::Message;
use crate::workflows::{Answer, Outcome};

pub(super) const DISPENSING: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-EPS-DispensingInformation";
const PERFORMER: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-DispensingPerformer";
const STATUS_HISTORY: &str = "https://fhir.nhs.uk/StructureDefinition/Extension-DM-PrescriptionStatusHistory";
const EVENTS: &str = "https://fhir.nhs.uk/CodeSystem/message-event";
const CANCELLATION_REASON: &str = "https://fhir.nhs.uk/CodeSystem/medicationrequest-status-reason";

/// Done; with a word on it where there is one.
pub(super) fn information(text: &str) -> Answer {
    let mut issue = json!({ "severity": "information", "code": "informational" });
    if !text.is_empty() {
        issue["diagnostics"] = text.into();
    }
    Answer { outcome: Outcome::Done, body: json!({ "resourceType": "OperationOutcome", "issue": [issue] }) }
}

/// A no that changed something.
pub(super) fn refused(issues: &[Issue]) -> Answer {
    Answer { outcome: Outcome::No, body: operation_outcome(issues) }
}

pub(super) fn no_more() -> Answer {
    let (system, code, display) = codes::NO_MORE;
    let mut answer = information("");
    answer.body["issue"][0]["details"] = json!({ "coding": [{ "system": system, "code": code, "display": display }] });
    answer
}

/// With who has it.
pub(super) fn with_another_dispenser(issue: &Issue, holder: Option<&Dispenser>) -> Answer {
    let mut answer = refused(std::slice::from_ref(issue));
    let Some(holder) = holder else { return answer };
    let mut organization = organization(holder);
    organization["id"] = "dispenser".into();
    answer.body["contained"] = json!([organization]);
    answer.body["extension"] = json!([{
        "url": "https://fhir.nhs.uk/StructureDefinition/Extension-Spine-supportingInfo",
        "valueReference": { "reference": "#dispenser" },
    }]);
    answer
}

pub(super) fn prepared(bundle: &Body, now: Timestamp) -> Value {
    let parameter = |name: &str, value: String| json!({ "name": name, "valueString": value });
    json!({
        "resourceType": "Parameters",
        "parameter": [
            parameter("digest", signed_info(bundle)),
            parameter("timestamp", now.to_string()),
            parameter("algorithm", ALGORITHM.to_owned()),
        ],
    })
}

/// Why a Task or a request was cancelled.
pub(super) fn cancellation_reason(code: &str) -> Value {
    let display = match code {
        "0001" => "Prescribing Error",
        "0002" => "Clinical contra-indication",
        "0003" => "Change to medication treatment regime",
        "0004" => "Clinical grounds",
        "0005" => "At the Patient's request",
        "0006" => "At the Pharmacist's request",
        "0007" => "Notification of Death",
        "0008" => "Patient deducted - other reason",
        "0009" => "Patient deducted - registered with new practice",
        _ => "",
    };
    json!({ "coding": [{ "system": CANCELLATION_REASON, "code": code, "display": display }] })
}

/// Why the service itself gives a prescription back whose signature is not believed.
pub(super) fn unbelieved_reason() -> Value {
    json!({ "coding": [{ "system": RETURN_REASON, "code": "0005", "display": "Invalid digital signature" }] })
}

// ---- the answer to a cancellation

/// The prescriber's message as it comes back: what became of the item, and who has it.
pub(super) fn cancellation(
    asked: &Body,
    id: &Uuid,
    response: Response,
    holder: Option<&Dispenser>,
    now: Timestamp,
) -> Answer {
    let message = Message::of(asked);
    let (_, _, status) = response.row();
    let mut entries = Vec::new();
    for entry in asked.get("entry").and_then(Value::as_array).into_iter().flatten() {
        let mut entry = entry.clone();
        match entry["resource"]["resourceType"].as_str() {
            Some("MessageHeader") => entry["resource"] = response_header(&message, id),
            Some("MedicationRequest") => {
                let request = &mut entry["resource"];
                request["status"] = status.into();
                add_extension(request, status_history(response, now));
                if let Some(holder) = holder {
                    request["dispenseRequest"]["performer"] = json!({
                        "extension": [{ "url": PERFORMER, "valueReference": { "reference": urn(id, "dispenser") } }],
                        "identifier": { "system": ODS, "value": holder.code },
                        "display": holder.name.as_deref().unwrap_or("UNKNOWN"),
                    });
                }
            }
            Some("Provenance") => continue,
            _ => {}
        }
        entries.push(entry);
    }
    entries.extend(holder.into_iter().flat_map(|holder| at_hand(holder, id)));
    let body = json!({
        "resourceType": "Bundle",
        "id": id.to_string(),
        "identifier": { "system": UUID_SYSTEM, "value": id.to_string() },
        "type": "message",
        "timestamp": now.to_string(),
        "entry": entries,
    });
    let outcome = if response == Response::Cancelled { Outcome::Done } else { Outcome::No };
    Answer { outcome, body }
}

/// What became of the wish to cancel it, and when.
fn status_history(response: Response, at: Timestamp) -> Value {
    let (code, display, _) = response.row();
    json!({
        "url": STATUS_HISTORY,
        "extension": [
            { "url": "status", "valueCoding": { "system": codes::STATUS_HISTORY, "code": code, "display": display } },
            { "url": "statusDate", "valueDateTime": at.to_string() },
        ],
    })
}

fn add_extension(resource: &mut Value, extension: Value) {
    match resource["extension"].as_array_mut() {
        Some(extensions) => extensions.push(extension),
        None => resource["extension"] = json!([extension]),
    }
}

/// Who has it, as parts of the message.
fn at_hand(holder: &Dispenser, id: &Uuid) -> [Value; 2] {
    let role = json!({
        "resourceType": "PractitionerRole",
        "organization": { "reference": urn(id, "organization") },
    });
    let entry = |name: &str, resource: Value| json!({ "fullUrl": urn(id, name), "resource": resource });
    [entry("dispenser", role), entry("organization", organization(holder))]
}

/// A part of an answer by its name.
fn urn(answer: &Uuid, name: &str) -> String {
    format!("urn:uuid:{}", Uuid::new_v5(answer, name.as_bytes()))
}

/// With who it is; `UNKNOWN` where that is not known.
fn organization(holder: &Dispenser) -> Value {
    let mut organization = json!({
        "resourceType": "Organization",
        "identifier": [{ "system": ODS, "value": holder.code }],
        "name": holder.name.as_deref().unwrap_or("UNKNOWN"),
    });
    if let Some(phone) = &holder.phone {
        organization["telecom"] = json!([{ "system": "phone", "use": "work", "value": phone }]);
    }
    organization
}

fn response_header(message: &Message, id: &Uuid) -> Value {
    let sender = message.header().and_then(|header| header.get("sender")).cloned().unwrap_or_default();
    let focus = message.bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
    let focus: Vec<Value> = focus
        .filter(|entry| entry["resource"]["resourceType"] == "MedicationRequest")
        .map(|entry| json!({ "reference": entry["fullUrl"] }))
        .collect();
    let address = sender["identifier"]["value"].as_str().unwrap_or_default();
    json!({
        "resourceType": "MessageHeader",
        "extension": [{
            "url": "https://fhir.nhs.uk/StructureDefinition/Extension-MessageHeader-messageId",
            "valueIdentifier": { "system": UUID_SYSTEM, "value": id.to_string() },
        }],
        "eventCoding": {
            "system": EVENTS,
            "code": "prescription-order-response",
            "display": "Prescription Order Response",
        },
        "destination": [{ "endpoint": format!("urn:nhs-uk:addressing:ods:{address}"), "receiver": sender }],
        "source": { "name": "FHIR workflow hub", "endpoint": "urn:fhir-workflow-hub" },
        "response": { "identifier": message.id().unwrap_or_default(), "code": "ok" },
        "focus": focus,
    })
}

// ---- the answer to a release

/// One prescription that was released; its message is put in when the answer is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub order: Uuid,
    /// Counted from 1.
    pub issue: usize,
    pub of: usize,
    pub bundle_id: Option<String>,
    pub items: Vec<ReleasedItem>,
}

/// An item of it as it stood when it was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedItem {
    pub id: String,
    pub state: Item,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
}

impl ReleasedItem {
    pub(super) fn of(item: &ItemOf, state: Item) -> Self {
        let cancelled = item.cancelled.clone().filter(|_| state == Item::Cancelled);
        Self { id: item.id.clone(), state, cancelled }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Release {
    id: String,
    passed: Vec<Released>,
    /// Those whose signature is not believed.
    failed: Vec<Released>,
}

pub(super) fn released(id: &str, passed: Vec<Released>, failed: Vec<Released>) -> Answer {
    let release = Release { id: id.to_owned(), passed, failed };
    // Plain data: writing it cannot fail.
    Answer { outcome: Outcome::Released, body: serde_json::to_value(release).unwrap_or_default() }
}

/// The prescriptions that an answer of the outcome `Released` names.
pub fn orders_of(answer: &Answer) -> Vec<Uuid> {
    let release: Option<Release> = serde_json::from_value(answer.body.clone()).ok();
    let all = release.into_iter().flat_map(|release| release.passed.into_iter().chain(release.failed));
    all.map(|released| released.order).collect()
}

/// The Parameters of a release: each prescription as its message came, with where its items stand.
pub fn release_parameters(answer: &Answer, mut messages: HashMap<Uuid, Body>, url: &str) -> Value {
    let Ok(release) = serde_json::from_value::<Release>(answer.body.clone()) else { return Value::Null };
    let mut with_message = |list: &[Released], write: fn(&Released, Body) -> Vec<Value>| -> Vec<Value> {
        let found = list.iter().filter_map(|released| Some((released, messages.remove(&released.order)?)));
        found.flat_map(|(released, message)| write(released, message)).collect()
    };
    let passed = with_message(&release.passed, |released, message| vec![released_message(released, message)]);
    let failed = with_message(&release.failed, failed_message);
    let bundle = |id: String, entries: Vec<Value>| {
        let mut bundle = json!({
            "resourceType": "Bundle",
            "id": id,
            "identifier": { "system": UUID_SYSTEM, "value": id },
            "type": "searchset",
            "link": [{ "relation": "self", "url": url }],
            "total": entries.len(),
        });
        if !entries.is_empty() {
            bundle["entry"] = entries.into();
        }
        bundle
    };
    let base = Uuid::try_parse(&release.id).unwrap_or_default();
    let of = |name: &str| Uuid::new_v5(&base, name.as_bytes()).to_string();
    json!({
        "resourceType": "Parameters",
        "id": release.id,
        "parameter": [
            { "name": "passedPrescriptions", "resource": bundle(of("passed"), passed) },
            { "name": "failedPrescriptions", "resource": bundle(of("failed"), failed) },
        ],
    })
}

/// The message of the prescription with the id that it came with.
fn as_it_came(released: &Released, mut message: Body) -> (String, Value) {
    let id = released.bundle_id.clone().unwrap_or_else(|| released.order.to_string());
    message.insert("id".into(), id.clone().into());
    message.shift_remove("meta");
    (id, Value::Object(message))
}

/// What is wrong with it, and the prescription.
fn failed_message(released: &Released, message: Body) -> Vec<Value> {
    let (id, message) = as_it_came(released, message);
    let mut outcome = operation_outcome(&[codes::INVALID_VALUE.at("Provenance.signature.data", BAD_SIGNATURE)]);
    outcome["extension"] = json!([{
        "url": "https://fhir.nhs.uk/StructureDefinition/Extension-Spine-supportingInfo-prescription",
        "valueReference": { "identifier": message["identifier"] },
    }]);
    let of_outcome = Uuid::new_v5(&released.order, b"failed");
    vec![
        json!({ "fullUrl": format!("urn:uuid:{of_outcome}"), "resource": outcome }),
        json!({ "fullUrl": format!("urn:uuid:{id}"), "resource": message }),
    ]
}

fn released_message(released: &Released, message: Body) -> Value {
    let (id, mut bundle) = as_it_came(released, message);
    for entry in bundle["entry"].as_array_mut().into_iter().flatten() {
        let request = &mut entry["resource"];
        if request["resourceType"] != "MedicationRequest" {
            continue;
        }
        let number = request["identifier"][0]["value"].as_str().unwrap_or_default();
        let found = released.items.iter().find(|item| item.id.eq_ignore_ascii_case(number));
        let Some(ReleasedItem { state, cancelled, .. }) = found else { continue };
        let item = item_identifier(number);
        let told = json!({
            "url": DISPENSING,
            "extension": [{
                "url": "dispenseStatus",
                "valueCoding": { "system": ITEM_STATUS, "code": state.code(), "display": state.display() },
            }],
        });
        if *state == Item::Cancelled {
            request["status"] = "cancelled".into();
        }
        if let Some(cancelled) = cancelled {
            request["statusReason"] = cancellation_reason(&cancelled.reason);
            add_extension(request, status_history(Response::Cancelled, cancelled.at));
        }
        add_extension(request, told);
        if released.of > 1 {
            request["intent"] = "reflex-order".into();
            let original = request.pointer("/basedOn/0").filter(|original| original.is_object()).cloned();
            let mut original = original.unwrap_or_else(|| json!({ "identifier": item }));
            original["extension"] = json!([repeats(released)]);
            request["basedOn"] = json!([original]);
        }
    }
    json!({ "fullUrl": format!("urn:uuid:{id}"), "search": { "mode": "match" }, "resource": bundle })
}

/// Which issue it is, of how many: a notification has to say so too. Counted without the first.
fn repeats(released: &Released) -> Value {
    json!({
        "url": EPS_REPEATS,
        "extension": [
            { "url": "numberOfRepeatsAllowed", "valueInteger": released.of - 1 },
            { "url": "numberOfRepeatsIssued", "valueInteger": released.issue - 1 },
        ],
    })
}
