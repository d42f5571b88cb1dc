//! Resources by chance, of a small vocabulary: so that much is alike.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::There;

pub(super) const KINDS: [&str; 5] = ["Patient", "Observation", "Encounter", "ServiceRequest", "Task"];
pub(super) const TEXTS: [&str; 14] = [
    "Müller",
    "MUELLER",
    "muller",
    "Müllerin von Adelsberg",
    "Müllerin von Adelsheim",
    "Ana",
    "Aña",
    "anna",
    "Annabel Lee",
    "Zoë",
    "Österreicher",
    "ostern",
    "a,b",
    r"c$d|e\f",
];
pub(super) const CODES: [&str; 4] = ["a", "b", "c", "d|e"];
pub(super) const SYSTEMS: [&str; 2] = ["urn:one", "http://two.example/x"];
pub(super) const URIS: [&str; 5] =
    ["urn:one", "http://two.example", "http://two.example/x", "http://two.example/x/y", "urn:on"];
pub(super) const DATES: [&str; 8] = [
    "2026",
    "2026-03",
    "2026-03-04",
    "2026-03-05",
    "2026-03-04T10:00:00Z",
    "2026-03-04T10:00:01Z",
    "2025-12",
    "2025-12-31",
];
pub(super) const NUMBERS: [&str; 12] =
    ["1", "1.0", "1.5", "2", "10", "0.5", "100", "99.6", "-3", "1000", "0.001", "1.04"];
/// Who is not here.
const PATIENTS: [&str; 3] = ["Patient/a", "Patient/b", "Patient/c"];
const UCUM: &str = "http://unitsofmeasure.org";

pub(super) fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn coding(rng: &mut Rng) -> Value {
    let mut coding = json!({ "code": one(rng, &CODES), "display": one(rng, &TEXTS) });
    if rng.bool() {
        coding["system"] = one(rng, &SYSTEMS).into();
    }
    coding
}

fn concept(rng: &mut Rng) -> Value {
    let codings: Vec<Value> = (0..rng.usize(..3)).map(|_| coding(rng)).collect();
    if codings.is_empty() { json!({ "text": one(rng, &TEXTS) }) } else { json!({ "coding": codings }) }
}

fn identifier(rng: &mut Rng) -> Value {
    let mut identifier = json!({ "value": one(rng, &CODES) });
    if rng.bool() {
        identifier["system"] = one(rng, &SYSTEMS).into();
    }
    if rng.bool() {
        identifier["type"] = json!({ "coding": [coding(rng)] });
    }
    identifier
}

/// The reference of a resource of this type that is there, or that of one that is not.
pub(super) fn known(rng: &mut Rng, there: &There, kind: &str) -> String {
    let ids: Vec<&str> = there.of(kind).map(|body| body["id"].as_str().unwrap()).collect();
    if ids.is_empty() || rng.u8(..6) == 0 { one(rng, &PATIENTS).into() } else { format!("{kind}/{}", one(rng, &ids)) }
}

fn reference(rng: &mut Rng, there: &There, kind: &str) -> Value {
    let mut reference = json!({ "reference": known(rng, there, kind) });
    if rng.u8(..3) == 0 {
        reference["identifier"] = identifier(rng);
        if rng.u8(..3) == 0 {
            reference.as_object_mut().unwrap().remove("reference");
        }
    }
    reference
}

fn period(rng: &mut Rng) -> Value {
    let (first, last) = (one(rng, &["2025-12", "2026-03-04T10:00:00Z"]), one(rng, &["2026-03-05", "2026"]));
    match rng.u8(..3) {
        0 => json!({ "start": first }),
        1 => json!({ "end": last }),
        _ => json!({ "start": first, "end": last }),
    }
}

fn quantity(rng: &mut Rng) -> Value {
    let number: Value = serde_json::from_str(one(rng, &NUMBERS)).unwrap();
    let mut quantity = match rng.u8(..5) {
        0 => json!({ "value": number }),
        n => {
            let unit = if n < 3 { "mg" } else { "g" };
            json!({ "value": number, "unit": unit, "system": UCUM, "code": unit })
        }
    };
    if rng.u8(..5) == 0 {
        quantity["comparator"] = one(rng, &["<", ">"]).into();
    }
    quantity
}

fn several(rng: &mut Rng, of: impl Fn(&mut Rng) -> Value) -> Value {
    (0..rng.usize(1..3)).map(|_| of(rng)).collect()
}

/// Some of the elements that a resource of the type may have; those that it must have, always.
pub(super) fn resource(rng: &mut Rng, there: &There, kind: &str) -> Value {
    let mut body = json!({ "resourceType": kind });
    let elements = body.as_object_mut().unwrap();
    let mut may = |name: &str, value: Value| {
        elements.insert(name.into(), value);
    };
    if rng.bool() {
        may("meta", json!({ "tag": several(rng, coding), "source": one(rng, &SYSTEMS) }));
    }
    match kind {
        "Patient" => {
            let name =
                |rng: &mut Rng| json!({ "family": one(rng, &TEXTS), "given": [one(rng, &TEXTS), one(rng, &TEXTS)] });
            may("name", several(rng, name));
            may("gender", one(rng, &["male", "female"]).into());
            may("address", json!([{ "city": one(rng, &TEXTS), "line": [one(rng, &TEXTS)] }]));
            may("identifier", several(rng, identifier));
            may("active", rng.bool().into());
            may("birthDate", one(rng, &DATES[..4]).into());
            may("generalPractitioner", json!([{ "reference": "Practitioner/p" }]));
        }
        "Observation" => {
            let component = |rng: &mut Rng| json!({ "code": concept(rng), "valueQuantity": quantity(rng) });
            may("component", several(rng, component));
            may("category", several(rng, concept));
            may("subject", reference(rng, there, "Patient"));
            may("encounter", reference(rng, there, "Encounter"));
            match rng.u8(..3) {
                0 => may("valueQuantity", quantity(rng)),
                1 => may("valueCodeableConcept", concept(rng)),
                _ => may("valueString", one(rng, &TEXTS).into()),
            }
            if rng.bool() {
                may("effectivePeriod", period(rng));
            } else {
                may("effectiveDateTime", one(rng, &DATES).into());
            }
        }
        "Encounter" => {
            may("period", period(rng));
            may("length", quantity(rng));
            may("subject", reference(rng, there, "Patient"));
            may("partOf", reference(rng, there, "Encounter"));
        }
        "Task" => {
            may("code", concept(rng));
            may("businessStatus", concept(rng));
            may("groupIdentifier", identifier(rng));
            may("priority", one(rng, &["routine", "urgent", "asap", "stat"]).into());
            may("for", reference(rng, there, "Patient"));
            may("encounter", reference(rng, there, "Encounter"));
            may("authoredOn", one(rng, &DATES).into());
            may("lastModified", one(rng, &["2027", "2027-03-04T10:00:00Z"]).into());
            may("executionPeriod", period(rng));
        }
        _ => {
            may("code", concept(rng));
            may("identifier", several(rng, identifier));
            may("requisition", identifier(rng));
            may("authoredOn", one(rng, &DATES).into());
            may("occurrencePeriod", period(rng));
            may("encounter", reference(rng, there, "Encounter"));
        }
    }
    elements.retain(|name, _| name == "resourceType" || rng.u8(..4) > 0);
    elements.extend(needed(rng, there, kind));
    body
}

fn needed(rng: &mut Rng, there: &There, kind: &str) -> Map<String, Value> {
    let needed = match kind {
        "Patient" => json!({}),
        "Observation" => json!({ "status": one(rng, &["final", "preliminary"]), "code": concept(rng) }),
        "Encounter" => json!({ "status": one(rng, &["planned", "finished"]), "class": coding(rng) }),
        "Task" => json!({ "status": one(rng, &["draft", "requested", "ready"]), "intent": "order" }),
        // Nobody works on it.
        _ => json!({ "status": "draft", "intent": "plan", "subject": reference(rng, there, "Patient") }),
    };
    needed.as_object().unwrap().clone()
}
