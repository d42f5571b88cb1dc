//! The update: a prescriber cancels a prescription, or an item of it.

use schemas::outcome::Issue;
use schemas::resource::{Body, text_at};
use serde_json::Value;

use super::{Faults, ITEM_NUMBER, NHS_NUMBER, ODS, of_type};
use crate::refusal::{Refusal, RefusalKind};
use crate::workflows::bundle::{Message, at, code, identifier};
use crate::workflows::eps::codes::Response;
use crate::workflows::eps::record::Cancellation;

const STATUS_REASON: &str = "https://fhir.nhs.uk/CodeSystem/medicationrequest-status-reason";

/// A prescriber wants it, or one item of it, cancelled.
#[derive(Debug, Clone)]
pub struct Update {
    pub number: String,
    pub patient: String,
    pub wish: Cancellation,
    pub bundle: Body,
}

pub fn update(bundle: &Body) -> Result<Update, Refusal> {
    let message = Message::of(bundle);
    let mut faults = Faults::default();
    let requests = message.all("MedicationRequest");
    if requests.len() != 1 {
        let text = "The Bundle must contain exactly one MedicationRequest if MessageHeader.eventCoding.code is \
                    'prescription-order-update'.";
        faults.value("Bundle.entry.resource.ofType(MedicationRequest)", text);
    }
    let Some(request) = requests.first().copied() else { return faults.end(None) };
    if message.id().is_none() {
        faults.tell(lacking("Bundle.identifier"));
    }
    let path = |name: &str| of_type("MedicationRequest", name);
    if text_at(request, &["status"]) != Some("cancelled") {
        faults.value(&path("status"), "MedicationRequest.status must be cancelled.");
    }
    let reason = request.get("statusReason").and_then(|reason| code(reason, STATUS_REASON));
    if request.get("statusReason").is_none() {
        faults.value(&path("statusReason"), "Expected MedicationRequest to have a value for statusReason.");
    } else if !reason.is_some_and(|code| code.len() == 4 && ("0001".."0010").contains(&code)) {
        let text = format!("MedicationRequest.statusReason must have a code of {STATUS_REASON}, 0001 to 0009.");
        faults.value(&path("statusReason"), text);
    }
    let number = at(request, "groupIdentifier.value").and_then(Value::as_str);
    if number.is_none() {
        faults.tell(lacking(&path("groupIdentifier")));
    }
    let patient = message.one("Patient").and_then(|patient| identifier(patient, NHS_NUMBER));
    if patient.is_none() {
        faults.tell(lacking(&of_type("Patient", "identifier")));
    }
    let role = message.follow(request.get("requester"));
    let organization = role.and_then(|role| message.follow(role.get("organization")));
    let sender = message.header().and_then(|header| header.get("sender"));
    let by = organization
        .and_then(|body| identifier(body, ODS))
        .or_else(|| role.and_then(|role| at(role, "organization.identifier.value"))?.as_str())
        .or_else(|| sender?["identifier"]["value"].as_str());
    if by.is_none() {
        faults.tell(lacking(&of_type("Organization", "identifier")));
    }
    let read = || {
        let patient = patient?.to_owned();
        let wish = Cancellation {
            item: identifier(request, ITEM_NUMBER).map(str::to_ascii_lowercase),
            by: by?.to_owned(),
            reason: reason?.to_owned(),
            patient: patient.clone(),
        };
        Some(Update { number: number?.to_owned(), patient, wish, bundle: bundle.clone() })
    };
    let update = read();
    faults.end(update)
}

/// A cancellation that does not say what it is about.
fn lacking(path: &str) -> Issue {
    Issue { path: path.to_owned(), ..Response::Invalid.issue(&format!("Required field {path} is missing.")) }
}

/// That the service's answer to a cancellation is no for a reason of its own.
pub(in crate::workflows::eps) fn cancellation_refused(response: Response, why: &str) -> Refusal {
    Refusal::new(RefusalKind::Malformed, vec![response.issue(why)])
}
