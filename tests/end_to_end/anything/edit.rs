//! Patches by chance, in every form that there is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use serde_json::{Value, json};
use tests::{Client, Request};

use super::There;
use super::random::resource;

/// What FHIRPath Patch sets: elements that are there once, and the type in which their values come.
const SET_BY_PATH: [(&str, &str, &str); 12] = [
    ("Patient", "gender", "valueCode"),
    ("Patient", "birthDate", "valueDate"),
    ("Patient", "active", "valueBoolean"),
    ("Observation", "status", "valueCode"),
    ("Observation", "code", "valueCodeableConcept"),
    ("Observation", "subject", "valueReference"),
    ("Encounter", "period", "valuePeriod"),
    ("Encounter", "partOf", "valueReference"),
    ("Encounter", "status", "valueCode"),
    ("ServiceRequest", "authoredOn", "valueDateTime"),
    ("ServiceRequest", "requisition", "valueIdentifier"),
    ("ServiceRequest", "code", "valueCodeableConcept"),
];

/// One element becomes another, or goes.
pub(super) struct Edit {
    kind: &'static str,
    element: String,
    value: Option<Value>,
    form: Form,
}

enum Form {
    /// With the operations.
    Json(Value),
    /// With the elements.
    Merge(Value),
    /// With the Parameters.
    Path(Value),
}

impl Edit {
    pub(super) fn any(rng: &mut Rng, there: &There, kind: &'static str, id: &str) -> Option<Self> {
        let (before, other) = (there.of(kind).find(|body| body["id"] == id)?, resource(rng, there, kind));
        if rng.u8(..3) == 0 {
            return Self::by_path(rng, kind, before, &other);
        }
        let elements: Vec<&String> = other.as_object()?.keys().filter(|name| *name != "resourceType").collect();
        let element = (*elements.get(rng.usize(..elements.len().max(1)))?).clone();
        let value = other[&element].clone();
        // Of a choice there is one.
        let choice = ["value", "effective"].into_iter().find(|choice| element.starts_with(choice));
        let is_other = |name: &&String| choice.is_some_and(|choice| name.starts_with(choice)) && **name != element;
        let others: Vec<&String> = before.as_object()?.keys().filter(is_other).collect();
        let form = if rng.bool() {
            let removed = others.iter().map(|name| json!({ "op": "remove", "path": format!("/{name}") }));
            let added = json!({ "op": "add", "path": format!("/{element}"), "value": value });
            Form::Json(removed.chain([added]).collect())
        } else {
            let mut elements = json!({});
            others.iter().for_each(|name| elements[name.as_str()] = Value::Null);
            // What is merged into an object keeps the rest of it: only what is no object is told by one patch alone.
            if value.is_object() && before.get(&element).is_some() {
                return None;
            }
            elements[&element] = value.clone();
            Form::Merge(elements)
        };
        Some(Self { kind, element, value: Some(value), form })
    }

    fn by_path(rng: &mut Rng, kind: &'static str, before: &Value, other: &Value) -> Option<Self> {
        let of_kind: Vec<_> = SET_BY_PATH.iter().filter(|(of, ..)| *of == kind).collect();
        let (_, element, of_type) = **of_kind.get(rng.usize(..of_kind.len()))?;
        let part = |name: &str, of_type: &str, value: &Value| json!({ "name": name, of_type: value });
        let text = |name: &str, value: String| part(name, "valueString", &value.into());
        let operation = |code: &str, parts: Vec<Value>| {
            let parts: Vec<Value> = [part("type", "valueCode", &code.into())].into_iter().chain(parts).collect();
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": parts }] })
        };
        let (is_there, value) = (before.get(element).is_some(), other.get(element).cloned());
        let path = format!("{kind}.{element}");
        let parameters = match &value {
            Some(value) if is_there => operation("replace", vec![text("path", path), part("value", of_type, value)]),
            Some(value) => {
                let into = vec![text("path", kind.into()), text("name", element.into()), part("value", of_type, value)];
                operation("add", into)
            }
            None => operation("delete", vec![text("path", path)]),
        };
        Some(Self { kind, element: element.to_owned(), value, form: Form::Path(parameters) })
    }

    /// Of what is not there.
    pub(super) fn of_nothing() -> Self {
        let (kind, element) = ("Patient", "active".to_owned());
        Self { kind, element, value: None, form: Form::Merge(json!({ "active": null })) }
    }

    pub(super) fn sent(&self, hub: &Client, path: &str) -> Request {
        match &self.form {
            Form::Json(operations) => hub.patch(path, operations.clone()),
            Form::Merge(elements) => hub.merge_patch(path, elements),
            Form::Path(parameters) => hub.fhirpath_patch(path, parameters),
        }
    }

    /// As an entry of a Bundle carries it.
    pub(super) fn as_resource(&self) -> Value {
        let (media, patch) = match &self.form {
            Form::Path(parameters) => return parameters.clone(),
            Form::Json(operations) => ("application/json-patch+json", operations),
            Form::Merge(elements) => ("application/merge-patch+json", elements),
        };
        json!({ "resourceType": "Binary", "contentType": media, "data": BASE64_STANDARD.encode(patch.to_string()) })
    }

    #[track_caller]
    pub(super) fn is_done(&self, told: &Value) {
        if self.element != "meta" {
            assert_eq!(told.get(&self.element), self.value.as_ref(), "{} of {}", self.element, self.kind);
        }
    }
}
