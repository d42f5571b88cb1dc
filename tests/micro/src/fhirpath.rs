//! Expressions: reading them, and asking all search parameters of a MedicationRequest of one.

use std::hint::black_box;

use hub_fhirpath::{Expression, Scope};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Work, orders};

/// Of FHIR R4's search parameters.
const PARAMETERS: [&str; 12] = [
    "MedicationRequest.authoredOn",
    "MedicationRequest.category",
    "(MedicationRequest.medication as CodeableConcept)",
    "MedicationRequest.dosageInstruction.timing.event",
    "MedicationRequest.encounter",
    "MedicationRequest.identifier",
    "MedicationRequest.dispenseRequest.performer",
    "MedicationRequest.intent",
    "(MedicationRequest.medication as Reference)",
    "MedicationRequest.subject.where(resolve() is Patient)",
    "MedicationRequest.requester",
    "MedicationRequest.status",
];

/// A condition as plans have it.
const CONDITION: &str = "MedicationRequest.dispenseRequest.expectedSupplyDuration > 7 'd' and \
    (medication as CodeableConcept).coding.exists(system = 'http://snomed.info/sct')";

fn expressions() -> Vec<Expression> {
    PARAMETERS.into_iter().chain([CONDITION]).map(|text| Expression::parse(text).unwrap()).collect()
}

pub(crate) fn parse() -> Work {
    Box::new(|| {
        black_box(expressions());
    })
}

pub(crate) fn evaluate() -> Work {
    let (expressions, order) = (expressions(), Value::Object(orders::prescription().body()));
    let found = |order| expressions.iter().filter(|e| !e.of(order, &scope()).unwrap().is_empty()).count();
    assert!(found(&order) > 8, "most of them find something");
    Box::new(move || {
        for expression in &expressions {
            black_box(expression.of(black_box(&order), &scope()).unwrap());
        }
    })
}

fn scope<'a>() -> Scope<'a> {
    Scope::new(OffsetDateTime::UNIX_EPOCH)
}
