//! Finding the references of a resource.

use super::super::{references, references_mut};
use super::{accepted, task};
use serde_json::{Value, json};

/// References in every kind of place: an element, a choice, an extension, a companion, a contained resource, and one
/// that our tables do not reach.
fn body() -> String {
    task(
        r#""contained":[{"resourceType":"Account","id":"a","owner":{"reference":"urn:uuid:1"}}],
        "_description":{"extension":[{"url":"u","valueReference":{"reference":"urn:uuid:2"}}]},
        "for":{"reference":"urn:uuid:3"},
        "owner":{"identifier":{"value":"x","assigner":{"display":"y"}}},
        "input":[{"type":{"text":"x"},"valueReference":{"reference":"urn:uuid:4"}}]"#,
    )
}

#[test]
fn every_reference_is_shown_with_its_place() {
    let mut places = Vec::new();
    references(&accepted(&body()), &mut |path, _| places.push(path.to_string()));
    assert_eq!(
        places,
        [
            "Task.contained[0].owner",
            "Task._description.extension[0].valueReference",
            "Task.for",
            "Task.owner",
            "Task.owner.identifier.assigner",
            "Task.input[0].valueReference",
        ]
    );
}

#[test]
fn references_can_be_rewritten() {
    let mut bundle =
        accepted(&format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{}}}]}}"#, body()));
    references_mut(&mut bundle, &mut |_, reference| {
        if let Some(Value::String(target)) = reference.get_mut("reference") {
            *target = target.replace("urn:uuid:", "Patient/");
        }
    });
    let task = &bundle["entry"][0]["resource"];
    assert_eq!(task["for"], json!({"reference": "Patient/3"}));
    assert!(!task.to_string().contains("urn:uuid"));
}
