//! FHIR's words for what a filler says: CodeableConcepts and entries of `Task.output`.

use schemas::resource::Body;
use serde_json::{Number, Value, json};

/// The simulated fillers' own code systems.
pub const BUSINESS_STATUS: &str = "urn:fhir-workflow-hub:business-status";
pub const OUTPUT_TYPE: &str = "urn:fhir-workflow-hub:output-type";
pub const REASON: &str = "urn:fhir-workflow-hub:filler-reason";

pub const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const URI: &str = "urn:ietf:rfc:3986";

/// A CodeableConcept of one coding.
pub fn concept(system: &str, code: &str, text: &str) -> Body {
    let mut concept = Body::new();
    concept.insert("coding".into(), json!([{ "system": system, "code": code, "display": text }]));
    concept.insert("text".into(), text.into());
    concept
}

pub fn business_status(code: &str, text: &str) -> Body {
    concept(BUSINESS_STATUS, code, text)
}

pub fn reason(code: &str, text: &str) -> Body {
    concept(REASON, code, text)
}

/// What an output is: a type of our own code system.
pub fn kind(code: &str, text: &str) -> Body {
    concept(OUTPUT_TYPE, code, text)
}

/// An entry of `Task.output`: its type and its one `value[x]`, for example `("valueString", "seen")`.
pub fn entry(kind: Body, name: &str, value: impl Into<Value>) -> Body {
    let mut entry = Body::new();
    entry.insert("type".into(), Value::Object(kind));
    entry.insert(name.to_owned(), value.into());
    entry
}

pub fn text(kind: Body, text: impl Into<String>) -> Body {
    entry(kind, "valueString", text.into())
}

/// A FHIR dateTime, with a time and a zone.
pub fn date_time(kind: Body, at: impl Into<String>) -> Body {
    entry(kind, "valueDateTime", at.into())
}

pub fn identifier(kind: Body, system: &str, value: &str) -> Body {
    entry(kind, "valueIdentifier", json!({ "system": system, "value": value }))
}

/// A result in a UCUM unit. The value is text, so that `1.50` stays `1.50`; what is no number is left out.
pub fn quantity(kind: Body, value: &str, unit: &str) -> Body {
    let mut quantity = json!({ "unit": unit, "system": UCUM, "code": unit });
    if let Ok(number) = value.parse::<Number>() {
        quantity["value"] = Value::Number(number);
    }
    entry(kind, "valueQuantity", quantity)
}

/// A document that is kept elsewhere: named, not sent.
pub fn document(kind: Body, resource_type: &str, uuid: uuid::Uuid, display: &str) -> Body {
    let identifier = json!({ "system": URI, "value": format!("urn:uuid:{uuid}") });
    entry(kind, "valueReference", json!({ "type": resource_type, "identifier": identifier, "display": display }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_keeps_its_last_zero() {
        let result = quantity(concept(LOINC, "718-7", "Haemoglobin"), "13.80", "g/dL");
        let written = serde_json::to_string(&result).unwrap();
        assert!(written.contains(r#""value":13.80"#), "{written}");
    }

    #[test]
    fn an_output_has_a_type_and_one_value() {
        let output = text(kind("visit-outcome", "Outcome of the visit"), "seen");
        assert_eq!(output.keys().collect::<Vec<_>>(), ["type", "valueString"]);
    }
}
