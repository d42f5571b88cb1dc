//! What is asked: which kind of prescription, the signed one, what was dispensed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::outcome::IssueType;
use schemas::resource::{Body, list, text_at};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Document, FLOW_TYPE, FLOWS, NUMBER, PATIENT, Wish};
use crate::refusal::{Refusal, RefusalKind};

pub(super) fn fault(path: &str, text: impl Into<String>) -> Refusal {
    Refusal::one(RefusalKind::Malformed, IssueType::Invalid, path, text)
}

/// `$create`: which kind of prescription.
pub fn read_create(parameters: &Body) -> Result<Wish, Refusal> {
    let path = "Parameters.parameter(\"workflowType\").valueCoding";
    let coding = list(parameters, "parameter").find(|p| p["name"] == "workflowType").map(|p| &p["valueCoding"]);
    let flow =
        coding.and_then(|coding| coding["code"].as_str()).ok_or_else(|| fault(path, "workflowType is missing"))?;
    if coding.is_some_and(|coding| coding["system"] != FLOW_TYPE) || !FLOWS.iter().any(|(known, _)| *known == flow) {
        let known: Vec<&str> = FLOWS.iter().map(|(code, _)| *code).collect();
        return Err(fault(path, format!("a workflowType is one of {} of {FLOW_TYPE}", known.join(", "))));
    }
    Ok(Wish::Create { flow: flow.to_owned() })
}

/// `$activate`: the signed prescription, a Binary with the envelope of its signature.
pub fn read_activate(parameters: &Body) -> Result<Wish, Refusal> {
    let path = "Parameters.parameter(\"ePrescription\").resource";
    let given = list(parameters, "parameter").find(|p| p["name"] == "ePrescription").map(|p| &p["resource"]);
    let binary = given.and_then(Value::as_object).ok_or_else(|| fault(path, "ePrescription is missing"))?;
    if text_at(binary, &["resourceType"]) != Some("Binary") {
        return Err(fault(path, "ePrescription is a Binary: the signed prescription (PKCS#7)"));
    }
    let data = text_at(binary, &["data"]).map(|data| data.split_ascii_whitespace().collect::<String>());
    let bytes = data.and_then(|data| STANDARD.decode(data).ok()).filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| fault(&format!("{path}.data"), "data is the signed prescription in base64"))?;
    // What is signed stands in the envelope as it is, in XML or in JSON.
    let text = String::from_utf8_lossy(&bytes);
    let document = Document {
        binary: binary.clone(),
        digest: STANDARD.encode(Sha256::digest(&bytes)),
        number: value_after(&text, NUMBER),
        patient: value_after(&text, PATIENT),
    };
    if document.number.is_none() {
        return Err(fault(&format!("{path}.data"), "the signed prescription carries no number of a prescription"));
    }
    Ok(Wish::Activate { document })
}

/// The value of the identifier of a system, in a text that is XML or JSON.
fn value_after(text: &str, system: &str) -> Option<String> {
    let rest = &text[text.find(system)? + system.len()..];
    let rest = &rest[rest.find("value")? + "value".len()..];
    // `<value value="1"/>`, `"value": "1"`
    let rest = rest.trim_start().strip_prefix("value").unwrap_or(rest);
    let rest = &rest[rest.find('"')? + 1..];
    let rest = rest.trim_start_matches([':', ' ', '"']);
    Some(rest[..rest.find('"')?].to_owned()).filter(|value| !value.is_empty() && value.len() <= 64)
}

/// `$accept`: by whom.
pub fn read_accept(pharmacy: String) -> Wish {
    Wish::Accept { pharmacy }
}

/// What was dispensed: one MedicationDispense, several in a Bundle, or Parameters that name them.
pub fn read_dispenses(body: &Body) -> Vec<Body> {
    fn collect(value: &Value, into: &mut Vec<Body>) {
        match value {
            Value::Object(body) if body.get("resourceType").is_some_and(|kind| kind == "MedicationDispense") => {
                into.push(body.clone());
            }
            Value::Object(body) => {
                ["entry", "parameter", "part", "resource"]
                    .iter()
                    .filter_map(|name| body.get(*name))
                    .for_each(|v| collect(v, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&Value::Object(body.clone()), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn number_and_patient_are_read_out_of_either_form() {
        let xml = format!(
            "<system value=\"{NUMBER}\"/>\n  <value value=\"160.1\"/> <system value=\"{PATIENT}\"/><value value=\"X1\"/>"
        );
        let json = json!({ "a": { "system": NUMBER, "value": "160.1" }, "b": { "system": PATIENT, "value": "X1" } });
        for text in [xml, json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            assert_eq!(value_after(&text, NUMBER).as_deref(), Some("160.1"), "{text}");
            assert_eq!(value_after(&text, PATIENT).as_deref(), Some("X1"), "{text}");
        }
    }
}
