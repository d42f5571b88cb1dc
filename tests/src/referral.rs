//! What practices send to the e-Referral Service, and what stands in its directory, about people and places that are made up.

use serde_json::{Value, json};

/// Nobody's.
const PATIENT: &str = "9912003888";

pub fn parameters(all: Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": all })
}

pub fn coded(name: &str, code: &str) -> Value {
    json!({ "name": name, "valueCoding": { "code": code } })
}

pub fn text(name: &str, text: &str) -> Value {
    json!({ "name": name, "valueString": text })
}

/// A shortlist of these services.
pub fn shortlist(services: &[&str], priority: &str) -> Value {
    let entry = |service: &&str| json!({ "item": { "reference": service } });
    json!({ "name": "shortlist", "resource": {
        "resourceType": "List",
        "status": "current",
        "mode": "snapshot",
        "contained": [{
            "resourceType": "Parameters",
            "id": "criteria",
            "parameter": [coded("priority", priority), coded("specialty", "CARDIOLOGY")],
        }],
        "extension": [{
            "url": "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-eRS-Shortlist-SearchCriteria-1",
            "valueReference": { "reference": "#criteria" },
        }],
        "entry": services.iter().map(entry).collect::<Vec<_>>(),
    } })
}

pub fn patient() -> Value {
    json!({ "name": "patient", "valueIdentifier": { "system": "https://fhir.nhs.uk/Id/nhs-number", "value": PATIENT } })
}

pub fn referral_of(services: &[&str], priority: &str) -> Value {
    parameters(json!([
        patient(),
        coded("intentionToAddReferralLetter", "NEED_TO_ADD_LATER"),
        { "name": "firstReminderLetterFollowUpDays", "valueUnsignedInt": 7 },
        shortlist(services, priority),
    ]))
}

pub fn referral(services: &[&str]) -> Value {
    referral_of(services, "ROUTINE")
}

pub fn booking(referral: &str, slot: &str) -> Value {
    json!({
        "resourceType": "Appointment",
        "status": "booked",
        "slot": [{ "reference": slot }],
        "basedOn": [{ "reference": referral }],
        "participant": [{ "actor": { "reference": "HealthcareService/x" }, "status": "accepted" }],
    })
}

/// A service that an organisation has in the directory, of a type.
pub fn entry_of(provider: &str, kind: &str) -> Value {
    json!({
        "resourceType": "HealthcareService",
        "name": format!("Cardiology, {kind}"),
        "active": true,
        "providedBy": { "reference": format!("Organization/{provider}") },
        "characteristic": [{ "coding": [{ "system": "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType", "code": kind }] }],
    })
}

/// A free slot, in years to come.
pub fn slot_of(schedule: &str, day: usize) -> Value {
    json!({
        "resourceType": "Slot",
        "schedule": { "reference": schedule },
        "status": "free",
        "start": format!("2090-01-{day:02}T10:00:00Z"),
        "end": format!("2090-01-{day:02}T10:20:00Z"),
    })
}
