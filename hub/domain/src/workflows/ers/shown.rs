//! How a referral is shown: its ServiceRequest, its Appointment, and what may be done with it.
//!
//! Extensions and codes are those that the service publishes for STU3; it has none for R4 yet.

use schemas::resource::{Body, Key, text_at};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::create::UBRN;
use super::read::NHS_NUMBER;
use super::record::{Reason, Record, Service};
use super::table::Of;
use super::words::Conversion;
use super::{ODS, book, letter, request_key};

pub(super) const SDS_USER: &str = "https://fhir.nhs.uk/Id/sds-user-id";
const PRIORITY: &str = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1";

/// An extension of the service.
fn extension(name: &str, member: &str, value: impl Into<Value>) -> Value {
    let url = format!("https://fhir.nhs.uk/STU3/StructureDefinition/Extension-eRS-{name}-1");
    json!({ "url": url, member: value.into() })
}

pub(super) fn reference(key: &Key) -> Value {
    json!({ "reference": key.to_string() })
}

pub(super) fn patient(record: &Record) -> Value {
    json!({ "identifier": { "system": NHS_NUMBER, "value": record.patient } })
}

/// An organisation as the hub names it, and as the service does.
pub(super) fn organization(code: &str) -> Value {
    json!({ "reference": format!("Organization/{code}"), "identifier": { "system": ODS, "value": code } })
}

pub(super) fn service(service: &Service) -> Value {
    json!({ "reference": format!("HealthcareService/{}", service.id), "display": service.name })
}

pub(super) fn priority(record: &Record) -> Value {
    json!({ "coding": [{ "system": PRIORITY, "code": record.urgency.code(), "display": record.urgency.display() }] })
}

/// Why, as a CodeableConcept; none where nobody said.
pub(super) fn reason(reason: &Reason) -> Option<Value> {
    let mut concept = json!({});
    if let Some(row) = reason.row() {
        concept["coding"] = json!([{ "system": row.system(), "code": row.code, "display": row.display }]);
    }
    if let Some(comment) = &reason.comment {
        concept["text"] = comment.as_str().into();
    }
    (concept != json!({})).then_some(concept)
}

/// The ServiceRequest, whole.
pub(super) fn request(record: &Record) -> Body {
    let category = if record.state.of() == Of::Referral { "referral" } else { "request" };
    let mut body = Body::new();
    let mut put = |name: &str, value: Value| body.insert(name.into(), value);
    put("contained", json!([shortlist(record)]));
    put("extension", extensions(record).into());
    put("identifier", json!([{ "system": UBRN, "value": record.ubrn }]));
    put("status", record.state.request().into());
    put("intent", "order".into());
    let system = "https://fhir.nhs.uk/CodeSystem/message-category-servicerequest";
    put("category", json!([{ "coding": [{ "system": system, "code": category }] }]));
    put("priority", record.urgency.priority().into());
    if record.state.of() == Of::Advice {
        let system = "https://fhir.nhs.uk/CodeSystem/servicerequest-code";
        put("code", json!({ "coding": [{ "system": system, "code": "advice-and-guidance" }] }));
    }
    put("subject", patient(record));
    put("authoredOn", record.created.to_string().into());
    put("requester", organization(&record.referrer));
    if let Some(sent_to) = record.service() {
        put("performer", json!([service(sent_to)]));
    }
    if !record.documents.is_empty() {
        let documents = record
            .documents
            .iter()
            .map(|document| json!({ "reference": letter::key(document.id).to_string(), "display": document.title }));
        put("supportingInfo", documents.collect());
    }
    body
}

fn shortlist(record: &Record) -> Value {
    let entries: Vec<Value> = record.shortlist.iter().map(|one| json!({ "item": service(one) })).collect();
    json!({
        "resourceType": "List",
        "id": "shortlist",
        "status": "current",
        "mode": "snapshot",
        "entry": entries,
    })
}

fn extensions(record: &Record) -> Vec<Value> {
    let mut all = vec![
        extension("ReferralShortlist", "valueReference", json!({ "reference": "#shortlist" })),
        extension("ReferralPriority", "valueCodeableConcept", priority(record)),
        extension("ReferralState", "extension", state(record)),
    ];
    if record.state.of() == Of::Referral {
        all.push(extension("eReferralPathwayStart", "valueInstant", record.pathway_start.to_string()));
    } else {
        let code = if record.convertible { Conversion::Authorised } else { Conversion::NotAuthorised }.code();
        let system = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ProviderConversionAuthorisation-1";
        let coding = json!({ "system": system, "code": code });
        all.push(extension("ProviderConversionAuthorisation", "valueCoding", coding));
    }
    if let Some(booked) = &record.appointment {
        all.push(extension("Appointment-Reference", "valueReference", reference(&book::appointment_key(booked.id))));
    }
    if let Some(first) = record.letter_first {
        all.push(extension("ClinicalInfoFirstSubmitted", "valueDateTime", first.to_string()));
    }
    if let Some(last) = record.letter_last {
        all.push(extension("ClinicalInfoLastUpdated", "valueDateTime", last.to_string()));
    }
    if let Some(clinician) = &record.clinician {
        let user = json!({ "identifier": { "system": SDS_USER, "value": clinician } });
        all.push(json!({ "url": "urn:fhir-workflow-hub:extension:referring-clinician", "valueReference": user }));
    }
    all
}

fn state(record: &Record) -> Vec<Value> {
    let (code, display) = record.state.shown();
    let coding = json!({ "system": record.state.system(), "code": code, "display": display });
    let mut parts = vec![json!({ "url": "state", "valueCoding": coding })];
    let Some(reason) = &record.reason else { return parts };
    if let Some(row) = reason.row() {
        let coding = json!({ "system": row.system(), "code": row.code, "display": row.display });
        parts.push(json!({ "url": "reason", "valueCoding": coding }));
    }
    if let Some(comment) = &reason.comment {
        parts.push(json!({ "url": "comments", "valueString": comment }));
    }
    parts
}

pub(super) fn participants(record: &Record, of: &Service) -> Value {
    json!([
        { "actor": service(of), "status": "accepted" },
        { "actor": patient(record), "status": "accepted" },
    ])
}

pub(super) fn appointment(record: &Record, root: Uuid, of: &Service, slot: &Body, now: Timestamp) -> Body {
    let mut body = Body::new();
    let mut put = |name: &str, value: Value| body.insert(name.into(), value);
    put("status", "booked".into());
    put("description", "e-Referral Appointment".into());
    for name in ["start", "end"] {
        if let Some(time) = text_at(slot, &[name]) {
            put(name, time.into());
        }
    }
    if let Some(id) = text_at(slot, &["id"]) {
        put("slot", json!([{ "reference": format!("Slot/{id}") }]));
    }
    put("created", now.to_string().into());
    put("basedOn", json!([reference(&request_key(record, root))]));
    put("participant", participants(record, of));
    body
}

/// As a search by number shows it: what it is, and nothing of what is in it.
pub fn found(request: &Body) -> Value {
    const TOLD: [&str; 8] = ["resourceType", "id", "identifier", "status", "intent", "category", "code", "subject"];
    let mut told: Body =
        TOLD.iter().filter_map(|name| Some(((*name).to_owned(), request.get(*name)?.clone()))).collect();
    told.insert("meta".into(), json!({ "versionId": text_at(request, &["meta", "versionId"]) }));
    Value::Object(told)
}
