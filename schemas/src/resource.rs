//! A resource: a typed head over its JSON body. The body is kept as it came; the hub writes only `id` and `meta`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::time::Timestamp;

pub type Body = Map<String, Value>;

/// A body that nobody changes any more. Whoever has it shares it. It is a tree for those who look into it and JSON text
/// for those who hand it on (the database keeps it, an answer and a message carry it), and each is made of the other once,
/// when it is first wanted.
#[derive(Debug, Clone)]
pub struct Document(Arc<Written>);

impl Default for Document {
    fn default() -> Self {
        Body::new().into()
    }
}

/// One of the two is there from the beginning.
#[derive(Debug)]
struct Written {
    /// An object.
    tree: OnceLock<Value>,
    text: OnceLock<Box<RawValue>>,
}

impl Document {
    /// The document of a JSON text, which is checked to be an object.
    ///
    /// # Errors
    /// Those of the JSON.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The body, for those who ask something of it as a value.
    pub fn tree(&self) -> &Value {
        self.0.tree.get_or_init(|| Value::Object(parsed(self.0.text.get().map(|text| &**text))))
    }

    pub fn text(&self) -> &RawValue {
        // Names are texts and numbers are as they were read: such a tree can always be written.
        self.0.text.get_or_init(|| to_raw_value(&**self).unwrap_or_default())
    }

    /// The body, to be changed: copied, unless nobody else has it.
    pub fn into_body(self) -> Body {
        match Arc::try_unwrap(self.0) {
            Ok(Written { tree, text }) => match tree.into_inner() {
                Some(Value::Object(body)) => body,
                _ => parsed(text.get().map(|text| &**text)),
            },
            Err(shared) => (*Self(shared)).clone(),
        }
    }
}

/// Some of the members of a JSON object; what is not named is read over, and costs next to nothing.
///
/// # Errors
/// Those of the JSON.
pub fn glance(text: &[u8], names: &[&str]) -> Result<Body, serde_json::Error> {
    struct Named<'n>(&'n [&'n str]);
    impl<'de> Visitor<'de> for Named<'_> {
        type Value = Body;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Body, A::Error> {
            let mut body = Body::with_capacity(self.0.len());
            while let Some(name) = members.next_key::<String>()? {
                if self.0.contains(&name.as_str()) {
                    body.insert(name, members.next_value()?);
                } else {
                    members.next_value::<IgnoredAny>()?;
                }
            }
            Ok(body)
        }
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let body = reader.deserialize_map(Named(names))?;
    reader.end()?;
    Ok(body)
}

/// Of a text that was checked.
fn parsed(text: Option<&RawValue>) -> Body {
    text.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default()
}

impl From<Body> for Document {
    fn from(body: Body) -> Self {
        Self(Arc::new(Written { tree: OnceLock::from(Value::Object(body)), text: OnceLock::new() }))
    }
}

impl Deref for Document {
    type Target = Body;

    fn deref(&self) -> &Body {
        static NOTHING: LazyLock<Body> = LazyLock::new(Body::new);
        self.tree().as_object().unwrap_or(&NOTHING)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(from)?;
        if !text.get().starts_with('{') {
            return Err(D::Error::custom("not an object"));
        }
        Ok(Self(Arc::new(Written { tree: OnceLock::new(), text: OnceLock::from(text) })))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(to)
    }
}

impl JsonSchema for Document {
    fn inline_schema() -> bool {
        Body::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Body::schema_name()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Body::json_schema(schemas)
    }
}

/// A type of resource that the hub keeps. One row of [`Kind::ALL`] is all a further type needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(&'static str);

impl Kind {
    pub const TASK: Kind = Kind("Task");
    pub const SERVICE_REQUEST: Kind = Kind("ServiceRequest");
    pub const MEDICATION_REQUEST: Kind = Kind("MedicationRequest");
    pub const MEDICATION_DISPENSE: Kind = Kind("MedicationDispense");
    pub const BUNDLE: Kind = Kind("Bundle");
    pub const CLAIM: Kind = Kind("Claim");
    pub const BINARY: Kind = Kind("Binary");
    pub const HEALTHCARE_SERVICE: Kind = Kind("HealthcareService");
    pub const SCHEDULE: Kind = Kind("Schedule");
    pub const SLOT: Kind = Kind("Slot");
    pub const APPOINTMENT: Kind = Kind("Appointment");
    pub const DOCUMENT_REFERENCE: Kind = Kind("DocumentReference");
    pub const PLAN_DEFINITION: Kind = Kind("PlanDefinition");
    pub const ACTIVITY_DEFINITION: Kind = Kind("ActivityDefinition");
    pub const REQUEST_GROUP: Kind = Kind("RequestGroup");
    pub const COMMUNICATION: Kind = Kind("Communication");

    /// Every type kept here. Requests first: they can become orders.
    pub const ALL: &'static [Kind] = &[
        Kind::SERVICE_REQUEST,
        Kind::MEDICATION_REQUEST,
        Kind("DeviceRequest"),
        Kind("NutritionOrder"),
        Kind("SupplyRequest"),
        Kind("VisionPrescription"),
        Kind("CommunicationRequest"),
        Kind::REQUEST_GROUP,
        Kind::TASK,
        Kind("Patient"),
        Kind("Practitioner"),
        Kind("PractitionerRole"),
        Kind("Organization"),
        Kind("Location"),
        Kind::HEALTHCARE_SERVICE,
        Kind("Endpoint"),
        Kind("Encounter"),
        Kind("Condition"),
        Kind("Observation"),
        Kind("Specimen"),
        Kind("DiagnosticReport"),
        Kind::DOCUMENT_REFERENCE,
        Kind::COMMUNICATION,
        Kind("CarePlan"),
        Kind("Medication"),
        Kind::MEDICATION_DISPENSE,
        Kind::APPOINTMENT,
        Kind::SCHEDULE,
        Kind::SLOT,
        Kind("Provenance"),
        Kind("AuditEvent"),
        Kind::BUNDLE,
        Kind::CLAIM,
        Kind::BINARY,
        Kind::PLAN_DEFINITION,
        Kind::ACTIVITY_DEFINITION,
    ];

    const REQUESTS: usize = 8;

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.0 == name)
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    /// Requests are what an order is made of.
    pub fn is_request(self) -> bool {
        Self::ALL[..Self::REQUESTS].contains(&self)
    }

    /// Events tell what was done for a request.
    pub fn is_event(self) -> bool {
        const EVENTS: [&str; 10] = [
            "Appointment",
            "Binary",
            "Communication",
            "Condition",
            "DiagnosticReport",
            "DocumentReference",
            "Encounter",
            "MedicationDispense",
            "Observation",
            "Specimen",
        ];
        EVENTS.contains(&self.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a resource is called: `Task/1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub id: String,
}

impl Key {
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }

    pub fn task(id: impl ToString) -> Self {
        Self { kind: Kind::TASK, id: id.to_string() }
    }

    /// The key that a relative reference names, when it is of a type kept here.
    pub fn of_reference(reference: &str) -> Option<Self> {
        match crate::ids::Target::parse(reference) {
            crate::ids::Target::Relative { kind, id, .. } => Some(Self::new(Kind::parse(kind)?, id)),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// One version of a resource, its body complete with `id` and `meta`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub key: Key,
    /// 1 for the first; no gaps.
    pub version: u32,
    pub last_updated: Timestamp,
    pub body: Document,
}

impl Resource {
    /// The version of a body that may say already what it is: then it is shared, and else written anew.
    pub fn of(key: Key, version: u32, last_updated: Timestamp, body: Document) -> Self {
        let named = [("resourceType", key.kind.name().into()), ("id", key.id.clone().into())];
        let stamp = stamp(version, last_updated);
        let is_stamped = |(name, meta): (&String, &Value)| {
            name == "meta" && meta.as_object().is_some_and(|meta| begins_with(meta, &stamp))
        };
        if begins_with(&body, &named) && body.iter().nth(2).is_some_and(is_stamped) {
            return Self { key, version, last_updated, body };
        }
        Self::new(key, version, last_updated, body.into_body())
    }

    /// The version of `body` that is stored now. What the sender wrote into `id`, `meta.versionId` and
    /// `meta.lastUpdated` is replaced, as FHIR demands of a server; the rest of `meta` stays.
    pub fn new(key: Key, version: u32, last_updated: Timestamp, body: Body) -> Self {
        let mut body = body;
        let meta = match body.get_mut("meta").map(Value::take) {
            Some(Value::Object(meta)) => meta,
            _ => Map::new(),
        };
        let meta = Value::Object(beginning_with(stamp(version, last_updated), meta));
        let [kind, id, stamped] = HEAD;
        let head = [(kind, key.kind.name().into()), (id, key.id.clone().into()), (stamped, meta)];
        let body = beginning_with(head, body).into();
        Self { key, version, last_updated, body }
    }

    /// The version after this one, with another body.
    pub fn next(&self, now: Timestamp, body: Body) -> Self {
        Self::new(self.key.clone(), self.version + 1, now, body)
    }

    /// `{"reference": "Task/1"}`
    pub fn reference(&self) -> Value {
        json!({ "reference": self.key.to_string() })
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        member(&self.body, name)?.as_str()
    }
}

/// A body that is still to be written. The members that every resource begins with have their places already, so that
/// nothing has to move when it gets its id.
pub fn blank() -> Body {
    /// As many as a Task of an order has at most, nearly always.
    const MEMBERS: usize = 24;
    let mut body = Body::with_capacity(MEMBERS);
    body.extend(HEAD.map(|name| (name.to_owned(), Value::Null)));
    body
}

/// What every resource begins with.
const HEAD: [&str; 3] = ["resourceType", "id", "meta"];

/// What `meta` begins with.
fn stamp(version: u32, last_updated: Timestamp) -> [(&'static str, Value); 2] {
    [("versionId", version.to_string().into()), ("lastUpdated", last_updated.to_string().into())]
}

fn begins_with<const N: usize>(map: &Map<String, Value>, first: &[(&str, Value); N]) -> bool {
    map.len() >= N && map.iter().zip(first).all(|((there, said), (name, value))| there == name && said == value)
}

/// The map with these members before all others, whatever it said of them.
fn beginning_with<const N: usize>(first: [(&str, Value); N], rest: Map<String, Value>) -> Map<String, Value> {
    let mut rest = rest;
    // What is a next version begins with them already: nothing has to move.
    if rest.len() >= N && rest.keys().zip(&first).all(|(there, (name, _))| there == name) {
        rest.values_mut().zip(first).for_each(|(there, (_, value))| *there = value);
        return rest;
    }
    // Before the others, which keep their places among themselves.
    for (place, (name, value)) in first.into_iter().enumerate() {
        rest.shift_insert(place, name.to_owned(), value);
    }
    rest
}

/// A member of an object, by going through them: objects of FHIR have few, and most names differ in their length already,
/// so that it is found in less time than its name is hashed.
pub fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(there, _)| *there == name).map(|(_, value)| value)
}

/// The string at a path of object members, e.g. `["owner", "reference"]`.
pub fn text_at<'a>(body: &'a Body, path: &[&str]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(member(body, first)?, |value, name| member(value.as_object()?, name))?.as_str()
}

/// The members of a repeating element; nothing when it is absent.
pub fn list<'a>(body: &'a Body, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    member(body, name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_as_id_and_version_is_replaced_and_stands_first() {
        let written = |body: Value| {
            let key = Key::new(Kind::TASK, "1");
            let Value::Object(body) = body else { panic!("no object") };
            serde_json::to_string(&*Resource::new(key, 2, Timestamp(0), body).body).unwrap()
        };
        let said = r#""meta":{"versionId":"2","lastUpdated":"1970-01-01T00:00:00.000Z""#;
        let is = format!(r#"{{"resourceType":"Task","id":"1",{said},"tag":[]}},"status":"draft"}}"#);
        let meta = json!({ "versionId": "7", "lastUpdated": "2026", "tag": [] });
        assert_eq!(written(json!({ "resourceType": "Task", "id": "2", "meta": meta, "status": "draft" })), is);
        assert_eq!(written(json!({ "status": "draft", "meta": { "tag": [], "versionId": 7 }, "id": [] })), is);
        let without = format!(r#"{{"resourceType":"Task","id":"1",{said}}},"status":"draft"}}"#);
        assert_eq!(written(json!({ "meta": 1, "status": "draft" })), without);
        let mut blank = blank();
        blank.insert("status".into(), "draft".into());
        assert_eq!(written(Value::Object(blank)), without);
    }

    #[test]
    fn a_glance_reads_what_is_named_and_no_more() {
        let text = br#"{ "id": "1", "deep": { "id": [2, { "status": "no" }] }, "sta\u0074us": "ready", "n": 1.50 }"#;
        let body = glance(text, &["status", "n", "absent"]).expect("an object");
        assert_eq!(Value::Object(body).to_string(), r#"{"status":"ready","n":1.50}"#);
        for wrong in ["", "[]", "1", r#"{"id": 1"#, "{} {}", r#"{"deep": {"a": }}"#] {
            assert!(glance(wrong.as_bytes(), &["id"]).is_err(), "{wrong}");
        }
    }
}
