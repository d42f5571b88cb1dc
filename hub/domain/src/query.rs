//! Search parameters, as a table: a further one is one row here, and `/metadata` follows by itself.
//!
//! From a row come both sides: the values by which a resource is found ([`index`]), and the reading of a query.

use schemas::ids::Target;
use schemas::resource::{Body, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    Token,
    Reference,
    Date,
}

/// One search parameter of some types.
#[derive(Debug, PartialEq, Eq)]
pub struct Param {
    pub kinds: &'static [&'static str],
    pub name: &'static str,
    pub kind: ParamType,
    /// The element, dotted; lists are walked.
    pub path: &'static str,
    /// For references: the types it may point to, so that a bare id can be looked for.
    pub targets: &'static [&'static str],
}

const TASK: &[&str] = &["Task"];
const SERVICE: &[&str] = &["ServiceRequest"];
const MEDICATION: &[&str] = &["MedicationRequest"];
const REQUESTS: &[&str] = &["ServiceRequest", "MedicationRequest"];
const IDENTIFIED: &[&str] = &[
    "Task",
    "ServiceRequest",
    "MedicationRequest",
    "Patient",
    "Practitioner",
    "Organization",
    "PractitionerRole",
    "Location",
    "HealthcareService",
];
const OWNERS: &[&str] = &[
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "CareTeam",
    "HealthcareService",
    "Patient",
    "Device",
    "RelatedPerson",
];
const REQUESTERS: &[&str] = &["Organization", "Practitioner", "PractitionerRole", "Patient", "Device", "RelatedPerson"];
const FOCUSES: &[&str] = &["ServiceRequest", "MedicationRequest", "Task"];

const fn param(
    kinds: &'static [&'static str],
    name: &'static str,
    kind: ParamType,
    path: &'static str,
    targets: &'static [&'static str],
) -> Param {
    Param { kinds, name, kind, path, targets }
}

/// All search parameters but `_id` and `_lastUpdated`, which every type has.
pub const PARAMS: &[Param] = &[
    param(IDENTIFIED, "identifier", ParamType::Token, "identifier", &[]),
    param(TASK, "status", ParamType::Token, "status", &[]),
    param(TASK, "business-status", ParamType::Token, "businessStatus", &[]),
    param(TASK, "code", ParamType::Token, "code", &[]),
    param(TASK, "intent", ParamType::Token, "intent", &[]),
    param(TASK, "priority", ParamType::Token, "priority", &[]),
    param(TASK, "group-identifier", ParamType::Token, "groupIdentifier", &[]),
    param(TASK, "performer", ParamType::Token, "performerType", &[]),
    param(TASK, "focus", ParamType::Reference, "focus", FOCUSES),
    param(TASK, "based-on", ParamType::Reference, "basedOn", FOCUSES),
    param(TASK, "part-of", ParamType::Reference, "partOf", TASK),
    param(TASK, "owner", ParamType::Reference, "owner", OWNERS),
    param(TASK, "requester", ParamType::Reference, "requester", REQUESTERS),
    param(TASK, "subject", ParamType::Reference, "for", &["Patient", "Group"]),
    param(TASK, "patient", ParamType::Reference, "for", &["Patient"]),
    param(TASK, "encounter", ParamType::Reference, "encounter", &["Encounter"]),
    param(TASK, "authored-on", ParamType::Date, "authoredOn", &[]),
    param(TASK, "modified", ParamType::Date, "lastModified", &[]),
    param(REQUESTS, "status", ParamType::Token, "status", &[]),
    param(REQUESTS, "intent", ParamType::Token, "intent", &[]),
    param(REQUESTS, "priority", ParamType::Token, "priority", &[]),
    param(REQUESTS, "subject", ParamType::Reference, "subject", &["Patient", "Group", "Location", "Device"]),
    param(REQUESTS, "patient", ParamType::Reference, "subject", &["Patient"]),
    param(REQUESTS, "requester", ParamType::Reference, "requester", REQUESTERS),
    param(REQUESTS, "encounter", ParamType::Reference, "encounter", &["Encounter"]),
    param(SERVICE, "code", ParamType::Token, "code", &[]),
    param(SERVICE, "category", ParamType::Token, "category", &[]),
    param(SERVICE, "requisition", ParamType::Token, "requisition", &[]),
    param(SERVICE, "performer", ParamType::Reference, "performer", OWNERS),
    param(SERVICE, "based-on", ParamType::Reference, "basedOn", REQUESTS),
    param(SERVICE, "replaces", ParamType::Reference, "replaces", SERVICE),
    param(SERVICE, "authored", ParamType::Date, "authoredOn", &[]),
    param(MEDICATION, "code", ParamType::Token, "medicationCodeableConcept", &[]),
    param(MEDICATION, "category", ParamType::Token, "category", &[]),
    param(MEDICATION, "group-identifier", ParamType::Token, "groupIdentifier", &[]),
    param(MEDICATION, "intended-dispenser", ParamType::Reference, "dispenseRequest.performer", &["Organization"]),
    param(MEDICATION, "intended-performer", ParamType::Reference, "performer", OWNERS),
    param(MEDICATION, "authoredon", ParamType::Date, "authoredOn", &[]),
];

impl Param {
    /// The code system of an element of type code, which the element itself does not name.
    pub fn implied_system(&self) -> Option<&'static str> {
        let task = self.kinds.contains(&"Task");
        match self.path {
            "status" if task => Some("http://hl7.org/fhir/task-status"),
            "status" if self.kinds.contains(&"ServiceRequest") => Some("http://hl7.org/fhir/request-status"),
            "intent" if task => Some("http://hl7.org/fhir/task-intent"),
            "intent" => Some("http://hl7.org/fhir/request-intent"),
            "priority" => Some("http://hl7.org/fhir/request-priority"),
            _ => None,
        }
    }
}

/// The parameters of a type, in the order of the table.
pub fn params(kind: Kind) -> impl Iterator<Item = &'static Param> {
    PARAMS.iter().filter(move |p| p.kinds.contains(&kind.name()))
}

pub fn find(kind: Kind, name: &str) -> Option<&'static Param> {
    params(kind).find(|p| p.name == name)
}

/// One value by which a resource is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexValue {
    Token {
        system: Option<String>,
        code: String,
    },
    /// `Type/id`, or the URL as it stands.
    Reference(String),
    /// The identifier of a logical reference: found by `:identifier`.
    ReferenceIdentifier {
        system: Option<String>,
        value: String,
    },
    Date {
        low: Timestamp,
        high: Timestamp,
    },
}

/// What a registry keeps of a value to find it by: as short as any other, and not that of the same value of another
/// element. `element` is its path, with `:identifier` behind it for a logical reference. It is stored, so it stays.
pub fn digest(kind: Kind, element: [&str; 2], value: &str) -> Uuid {
    let mut sum = Sha256::new();
    for part in [kind.name(), ".", element[0], element[1], "=", value] {
        sum.update(part.as_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&sum.finalize()[..16]);
    Uuid::from_bytes(digest)
}

/// Every value by which `resource` is found, with its parameter.
pub fn index(resource: &Resource) -> Vec<(&'static Param, IndexValue)> {
    let mut rows = Vec::new();
    for param in params(resource.key.kind) {
        for value in at(&resource.body, param.path) {
            let from = rows.len();
            match param.kind {
                ParamType::Token => tokens(value, &mut |v| rows.push((param, v))),
                ParamType::Reference => references(param, value, &mut |v| rows.push((param, v))),
                ParamType::Date => {
                    if let Some((low, high)) = value.as_str().and_then(Timestamp::range) {
                        rows.push((param, IndexValue::Date { low, high }));
                    }
                }
            }
            // A resource is found once by a value, however often it carries it.
            for i in (from..rows.len()).rev() {
                if rows[..i].contains(&rows[i]) {
                    rows.remove(i);
                }
            }
        }
    }
    rows
}

/// The values at a dotted path, lists unfolded.
fn at<'a>(body: &'a Body, path: &str) -> Vec<&'a Value> {
    let mut names = path.split('.');
    let first = names.next().and_then(|name| body.get(name));
    let mut values: Vec<&Value> = first.into_iter().collect();
    unfold(&mut values);
    for name in names {
        values = values.iter().filter_map(|value| value.get(name)).collect();
        unfold(&mut values);
    }
    values
}

fn unfold(values: &mut Vec<&Value>) {
    if values.iter().any(|value| value.is_array()) {
        *values = values
            .iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect(),
                single => vec![*single],
            })
            .collect();
    }
}

/// A code, an Identifier, a Coding or a CodeableConcept as tokens.
fn tokens(value: &Value, push: &mut impl FnMut(IndexValue)) {
    if let Some(code) = value.as_str() {
        push(IndexValue::Token { system: None, code: code.to_owned() });
    } else if let Some(codings) = value.get("coding").and_then(Value::as_array) {
        codings.iter().for_each(|coding| tokens(coding, push));
    } else if let Some(code) = value.get("code").or_else(|| value.get("value")).and_then(Value::as_str) {
        let system = value.get("system").and_then(Value::as_str).map(str::to_owned);
        push(IndexValue::Token { system, code: code.to_owned() });
    }
}

fn references(param: &Param, value: &Value, push: &mut impl FnMut(IndexValue)) {
    if let Some(text) = value.get("reference").and_then(Value::as_str) {
        match Target::parse(text) {
            // `patient` finds only what points to a Patient, though the element may point elsewhere.
            Target::Relative { kind, id, .. } if param.name != "patient" || kind == "Patient" => {
                push(IndexValue::Reference(format!("{kind}/{id}")));
            }
            Target::Absolute(url) => push(IndexValue::Reference(url.to_owned())),
            _ => {}
        }
    }
    if let Some(identifier) = value.get("identifier")
        && let Some(code) = identifier.get("value").and_then(Value::as_str)
    {
        let system = identifier.get("system").and_then(Value::as_str).map(str::to_owned);
        push(IndexValue::ReferenceIdentifier { system, value: code.to_owned() });
    }
}

/// A search over one type: every filter must hold; a filter holds when one of its values does.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub kind: Kind,
    pub filters: Vec<Filter>,
    pub sort: Vec<Sort>,
    /// Entries a page.
    pub count: u32,
    /// Where the page before ended, as the registry wrote it.
    pub page: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `_id`
    Id(Vec<String>),
    /// `_lastUpdated`
    LastUpdated(DateMatch),
    Token {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    /// `Type/id` or a URL each.
    Reference {
        param: &'static Param,
        any: Vec<String>,
    },
    /// `param:identifier=system|value`
    ReferenceIdentifier {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    Date {
        param: &'static Param,
        when: DateMatch,
    },
    /// `param:missing=true|false`
    Missing {
        param: &'static Param,
        missing: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMatch {
    pub system: SystemMatch,
    /// None: any code of the system.
    pub code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemMatch {
    /// `code`
    Any,
    /// `|code`
    None,
    /// `system|code`
    Is(String),
}

/// A date value: the range it means, and how the resource's range must lie to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateMatch {
    pub prefix: Prefix,
    pub low: Timestamp,
    pub high: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    /// starts after
    Sa,
    /// ends before
    Eb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub by: SortBy,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    LastUpdated,
    Id,
    /// Task.priority by urgency, not by spelling.
    Priority,
    Status,
    /// authoredOn of a Task or request
    Authored,
    /// Task.lastModified
    Modified,
}
