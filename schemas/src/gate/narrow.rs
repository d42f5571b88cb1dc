//! Resources that leave elements out, as `_summary` and `_elements` ask for them. What is left is FHIR still: what must be
//! there stays. Each is marked as a part, so that nobody takes it for the whole and sends it back.

use super::tables::{Element, R4, Shape, Type};
use serde_json::{Map, Value, json};

/// What is wanted of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What FHIR calls the summary.
    Summary,
    /// The text for people, and what must be there.
    Text,
    /// All but the text for people.
    Data,
    /// These, what must be there, and what changes the meaning of others. Of a choice, the name without its type.
    Elements(Vec<String>),
}

const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const CODE: &str = "SUBSETTED";

/// Leaves only this part of a resource, and marks it.
pub fn narrow(resource: &mut Map<String, Value>, part: &Part) {
    let of = resource.get("resourceType").and_then(Value::as_str).and_then(|name| R4.resource(name));
    if let Some(of) = of {
        retain(of, resource, part);
    }
    mark(resource);
}

fn retain(of: &'static Type, object: &mut Map<String, Value>, part: &Part) {
    object.retain(|key, value| {
        let Some(place) = of.find(key.strip_prefix('_').unwrap_or(key)) else { return true };
        let stays = is_part(of.element(place), of.requires(place), part);
        // What is nested in this type has marks of its own; a data type is one thing.
        if let (true, Part::Summary, Shape::Object(id)) = (stays, part, place.shape) {
            let within = R4.get(id);
            if within.is_nested() {
                let objects = value.as_array_mut().into_iter().flatten();
                objects.filter_map(Value::as_object_mut).for_each(|object| retain(within, object, part));
                value.as_object_mut().into_iter().for_each(|object| retain(within, object, part));
            }
        }
        stays
    });
}

fn is_part(element: &Element, is_required: bool, part: &Part) -> bool {
    let name = element.name;
    let always = is_required || matches!(name, "id" | "meta");
    match part {
        Part::Summary => always || element.in_summary || element.is_modifier,
        Part::Text => always || name == "text",
        Part::Data => name != "text",
        Part::Elements(wanted) => {
            always
                || element.is_modifier
                || wanted.iter().any(|wanted| wanted == name || element.stem() == Some(wanted))
        }
    }
}

fn mark(resource: &mut Map<String, Value>) {
    let meta = resource.entry("meta").or_insert_with(|| json!({}));
    if let Some(meta) = meta.as_object_mut()
        && let Some(tags) = meta.entry("tag").or_insert_with(|| json!([])).as_array_mut()
        && !tags.iter().any(is_mark)
    {
        tags.push(json!({ "system": SYSTEM, "code": CODE }));
    }
}

fn is_mark(tag: &Value) -> bool {
    tag["system"] == SYSTEM && tag["code"] == CODE
}

/// Where a resource says that it is only a part: the number of its tag.
pub fn marked_as_part(resource: &Map<String, Value>) -> Option<usize> {
    resource.get("meta")?["tag"].as_array()?.iter().position(is_mark)
}

/// Whether a type has an element of this name; of a choice, the name without its type.
pub fn has_element(of: &str, name: &str) -> bool {
    R4.resource(of).is_some_and(|of| of.elements.iter().any(|e| e.name == name || e.stem() == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Map<String, Value> {
        let task = json!({
            "resourceType": "Task", "id": "1", "meta": { "versionId": "2", "tag": [{ "code": "mine" }] },
            "text": { "status": "generated", "div": "<div/>" }, "status": "ready", "_status": { "id": "s" },
            "intent": "order", "priority": "stat", "implicitRules": "urn:r", "note": [{ "text": "secret" }],
            "executionPeriod": { "start": "2026", "extension": [{ "url": "urn:x", "valueBoolean": true }] },
            "restriction": { "repetitions": 1 }, "owner": { "reference": "Organization/1" },
        });
        task.as_object().unwrap().clone()
    }

    fn keys(part: &Part) -> Vec<String> {
        let mut task = task();
        narrow(&mut task, part);
        assert_eq!(marked_as_part(&task), Some(1), "{part:?}");
        task.keys().cloned().collect()
    }

    fn sorted(text: &str) -> Vec<String> {
        let mut names: Vec<String> = text.split(' ').map(str::to_owned).collect();
        names.sort();
        names
    }

    fn is(part: &Part, expected: &str) {
        let mut keys = keys(part);
        keys.sort();
        assert_eq!(keys, sorted(expected), "{part:?}");
    }

    #[test]
    fn each_part_has_what_fhir_says_and_what_must_be_there() {
        is(&Part::Summary, "_status executionPeriod id implicitRules intent meta owner resourceType status");
        is(&Part::Text, "_status id intent meta resourceType status text");
        is(
            &Part::Data,
            "_status executionPeriod id implicitRules intent meta note owner priority resourceType restriction status",
        );
        let wanted = Part::Elements(vec!["owner".into(), "nothing".into()]);
        is(&wanted, "_status id implicitRules intent meta owner resourceType status");
    }

    #[test]
    fn what_is_nested_is_narrowed_too_and_data_types_are_left_whole() {
        let patient = json!({
            "resourceType": "Patient",
            "link": [{ "extension": [{ "url": "urn:x" }], "type": "seealso", "other": { "reference": "Patient/1" } }],
            "deceasedBoolean": true,
            "contact": [{ "name": { "text": "a friend" } }],
        });
        let mut summary = patient.as_object().unwrap().clone();
        narrow(&mut summary, &Part::Summary);
        assert_eq!(summary.get("link"), Some(&json!([{ "type": "seealso", "other": { "reference": "Patient/1" } }])));
        assert!(!summary.contains_key("contact"));
        let mut one = patient.as_object().unwrap().clone();
        narrow(&mut one, &Part::Elements(vec!["contact".into()]));
        assert!(one.contains_key("deceasedBoolean"), "that somebody is dead changes what the rest means");
        assert_eq!(marked_as_part(&one), Some(0));
    }

    #[test]
    fn elements_are_known_by_their_names() {
        assert!(has_element("Task", "status") && has_element("ServiceRequest", "occurrence"));
        assert!(!has_element("Task", "colour") && !has_element("Colour", "status"));
    }
}
