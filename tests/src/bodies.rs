//! What stories submit: the examples of the documentation, and what a line makes of them.

use serde_json::{Value, json};
use uuid::Uuid;

/// A transaction: a patient, who refers, where, and the referral.
pub fn referral_bundle() -> Value {
    read(include_str!("../../schemas/examples/referral.json"))
}

/// The referral alone.
pub fn referral() -> Value {
    json!({
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "183524004" }] },
        "subject": { "reference": "Patient/rosa" },
        "requester": { "reference": "Practitioner/halliday" },
    })
}

pub fn laboratory() -> Value {
    read(include_str!("../../schemas/examples/laboratory.json"))
}

/// A transaction with two items.
pub fn prescription() -> Value {
    read(include_str!("../../schemas/examples/prescription.json"))
}

/// One item alone.
pub fn medication_request() -> Value {
    json!({
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": { "text": "Paracetamol 500mg tablets" },
        "subject": { "reference": "Patient/rosa" },
    })
}

/// A Task that a placer writes by itself.
pub fn task() -> Value {
    json!({
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": { "text": "Call the patient" },
        "for": { "reference": "Patient/rosa" },
        "requester": { "reference": "Organization/placer" },
    })
}

/// A transaction of these, in order.
pub fn transaction(resources: &[Value]) -> Value {
    bundle("transaction", resources)
}

pub fn bundle(kind: &str, resources: &[Value]) -> Value {
    let entry = |resource: &Value| {
        json!({
            "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()),
            "resource": resource,
            "request": { "method": "POST", "url": resource["resourceType"] },
        })
    };
    json!({ "resourceType": "Bundle", "type": kind, "entry": resources.iter().map(entry).collect::<Vec<_>>() })
}

/// The body with other elements; a null takes one away.
pub trait With {
    fn with(self, changes: Value) -> Value;
}

impl With for Value {
    fn with(mut self, changes: Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            self[name] = value.clone();
        }
        self.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
