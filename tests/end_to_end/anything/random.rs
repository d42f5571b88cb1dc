//! Resources, changes and questions by chance, of a small vocabulary: so that much is alike.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::naive::{COMPOSITES, PARAMETERS, Parameter, Wanted, Way};

pub(super) const KINDS: [&str; 5] = ["Patient", "Observation", "Encounter", "ServiceRequest", "Task"];
const TEXTS: [&str; 14] = [
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
const CODES: [&str; 4] = ["a", "b", "c", "d|e"];
const SYSTEMS: [&str; 2] = ["urn:one", "http://two.example/x"];
const URIS: [&str; 5] = ["urn:one", "http://two.example", "http://two.example/x", "http://two.example/x/y", "urn:on"];
const DATES: [&str; 8] = [
    "2026",
    "2026-03",
    "2026-03-04",
    "2026-03-05",
    "2026-03-04T10:00:00Z",
    "2026-03-04T10:00:01Z",
    "2025-12",
    "2025-12-31",
];
const NUMBERS: [&str; 12] = ["1", "1.0", "1.5", "2", "10", "0.5", "100", "99.6", "-3", "1000", "0.001", "1.04"];
const PATIENTS: [&str; 3] = ["Patient/a", "Patient/b", "Patient/c"];
const COMPARED: [&str; 8] = ["", "ne", "gt", "lt", "ge", "le", "sa", "eb"];
const UCUM: &str = "http://unitsofmeasure.org";

fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
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
pub(super) fn resource(rng: &mut Rng, kind: &str) -> Value {
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
            may("subject", json!({ "reference": one(rng, &PATIENTS) }));
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
            may("subject", json!({ "reference": one(rng, &PATIENTS) }));
        }
        "Task" => {
            may("code", concept(rng));
            may("businessStatus", concept(rng));
            may("groupIdentifier", identifier(rng));
            may("priority", one(rng, &["routine", "urgent", "asap", "stat"]).into());
            may("for", json!({ "reference": one(rng, &PATIENTS) }));
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
        }
    }
    elements.retain(|name, _| name == "resourceType" || rng.u8(..4) > 0);
    elements.extend(needed(rng, kind));
    body
}

fn needed(rng: &mut Rng, kind: &str) -> Map<String, Value> {
    let needed = match kind {
        "Patient" => json!({}),
        "Observation" => json!({ "status": one(rng, &["final", "preliminary"]), "code": concept(rng) }),
        "Encounter" => json!({ "status": one(rng, &["planned", "finished"]), "class": coding(rng) }),
        "Task" => json!({ "status": one(rng, &["draft", "requested", "ready"]), "intent": "order" }),
        // Nobody works on it.
        _ => json!({ "status": "draft", "intent": "plan", "subject": { "reference": one(rng, &PATIENTS) } }),
    };
    needed.as_object().unwrap().clone()
}

fn part_of(rng: &mut Rng, text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let from = if rng.bool() { 0 } else { rng.usize(..signs.len()) };
    let part: String = signs[from..=rng.usize(from..signs.len())].iter().collect();
    if rng.bool() { part.to_uppercase() } else { part }
}

fn token(rng: &mut Rng) -> Wanted {
    let known = ["male", "true", "final", "finished", "draft", "requested", "routine", "stat"];
    let code = if rng.u8(..4) == 0 { one(rng, &known) } else { one(rng, &CODES) };
    let system = match rng.u8(..4) {
        0 => Some(String::new()),
        1 => Some(one(rng, &SYSTEMS).to_owned()),
        _ => None,
    };
    let any_code = system.as_ref().is_some_and(|system| !system.is_empty()) && rng.bool();
    Wanted::Token { system, code: (!any_code).then(|| code.to_owned()) }
}

fn amount(rng: &mut Rng) -> Wanted {
    let prefix = if rng.u8(..8) == 0 { "ap" } else { one(rng, &COMPARED) };
    Wanted::Amount { prefix, text: one(rng, &NUMBERS), unit: one(rng, &[None, Some("mg"), Some("g")]) }
}

/// What may be asked of a parameter, and its modifier.
fn wanted(rng: &mut Rng, parameter: &Parameter) -> (&'static str, Wanted) {
    let text = one(rng, &TEXTS);
    match parameter.way {
        Way::Text => match rng.u8(..4) {
            0 => (":exact", Wanted::Exact(text.to_owned())),
            1 => (":contains", Wanted::Contains(part_of(rng, text))),
            _ => ("", Wanted::Begins(part_of(rng, text))),
        },
        // A URI has no parts, and is only what it is.
        Way::Token if parameter.name == "_source" => match rng.u8(..3) {
            0 => (":below", Wanted::Below(one(rng, &URIS))),
            1 => (":above", Wanted::Above(one(rng, &URIS))),
            _ => ("", Wanted::Token { system: None, code: Some(one(rng, &URIS).to_owned()) }),
        },
        Way::Token if parameter.name == "identifier" && rng.bool() => {
            let system = if rng.bool() { "" } else { one(rng, &SYSTEMS) };
            let [code, value] = [(); 2].map(|()| one(rng, &CODES).to_owned());
            (":of-type", Wanted::OfType { system: system.into(), code, value })
        }
        Way::Token if matches!(parameter.name, "code" | "category" | "_tag") && rng.u8(..4) == 0 => {
            (":text", Wanted::CodeText(part_of(rng, text)))
        }
        Way::Token => ("", token(rng)),
        Way::Reference => ("", Wanted::Reference(one(rng, &PATIENTS).to_owned())),
        Way::Date => ("", Wanted::Date { prefix: one(rng, &COMPARED), text: one(rng, &DATES) }),
        Way::Amount => ("", amount(rng)),
    }
}

/// One condition of a search.
#[derive(Debug)]
pub(super) enum Condition {
    Any(&'static Parameter, &'static str, Vec<Wanted>),
    Missing(&'static Parameter, bool),
    /// Of a token: none of them, or no value at all.
    Not(&'static Parameter, Vec<Wanted>),
    Together(&'static str, &'static [&'static str], Wanted, Wanted),
}

pub(super) fn condition(rng: &mut Rng, kind: &str) -> Condition {
    if kind == "Observation" && rng.u8(..5) == 0 {
        let (name, paths) = one(rng, &COMPOSITES);
        return Condition::Together(name, paths, token(rng), amount(rng));
    }
    let of_kind: Vec<&'static Parameter> = PARAMETERS.iter().filter(|parameter| parameter.of == kind).collect();
    let parameter = one(rng, &of_kind);
    if rng.u8(..8) == 0 {
        return Condition::Missing(parameter, rng.bool());
    }
    if parameter.way == Way::Token && parameter.name != "_source" && rng.u8(..6) == 0 {
        return Condition::Not(parameter, (0..rng.usize(1..3)).map(|_| token(rng)).collect());
    }
    let (modifier, first) = wanted(rng, parameter);
    let more: Vec<_> =
        (0..rng.usize(..3)).map(|_| wanted(rng, parameter)).filter(|(other, _)| *other == modifier).collect();
    Condition::Any(parameter, modifier, [first].into_iter().chain(more.into_iter().map(|(_, wanted)| wanted)).collect())
}
