//! What one release says, said in another, and back.

use super::super::{check_r5, to_r4, to_r5};
use super::examples::shared;
use crate::gate::{check, path_in_r5};
use serde_json::{Map, Value, json};

fn body(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(body) => body,
        _ => panic!("an object"),
    }
}

/// Everything that R5 and R6 have, and R4 has not.
fn orchestration() -> Map<String, Value> {
    body(json!({
        "resourceType": "RequestOrchestration",
        "contained": [
            {
                "resourceType": "MedicationRequest", "id": "m", "status": "ended", "intent": "option",
                "medication": { "concept": { "text": "Gemcitabine" } },
                "subject": { "reference": "Patient/1" },
                "reason": [{ "concept": { "text": "a" } }, { "reference": { "reference": "Condition/1" } }],
                "renderedDosageInstruction": "one a day",
            },
            {
                "resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "option",
                "subject": { "reference": "Patient/1" },
                "code": { "concept": { "text": "Look" } },
                "reason": [{ "reference": { "reference": "Condition/1" } }, { "concept": { "text": "late" } }],
            },
        ],
        "extension": [{ "url": "http://example.org/own", "valueBoolean": true }],
        "replaces": [{ "reference": "RequestOrchestration/0" }],
        "status": "ended",
        "intent": "solicit-offer",
        "_intent": { "extension": [{ "url": "http://example.org/why", "valueString": "x" }] },
        "subject": { "reference": "Patient/1" },
        "reason": [{ "concept": { "text": "a" } }, { "concept": { "text": "b" }, "reference": { "display": "c" } }],
        "goal": [{ "reference": "Goal/1" }],
        "action": [{
            "id": "one",
            "linkId": "one",
            "title": "One",
            "applicabilityBehavior": "any",
            "condition": [{ "kind": "applicability", "expression": { "language": "text/fhirpath", "expression": "true" } }],
            "goal": [{ "reference": "Goal/1" }, { "reference": "Goal/2" }],
            "documentation": [{ "type": "documentation", "classifier": [{ "text": "x" }] }],
            "input": [{ "title": "in", "requirement": { "type": "Observation", "_profile": [null, { "id": "p" }], "profile": ["http://example.org/o", "http://example.org/p"] } }],
            "output": [{ "relatedData": "out" }],
            "timingRelativeTime": { "contextCode": { "text": "birth" }, "offsetDuration": { "value": 1, "unit": "d" } },
            "location": { "concept": { "text": "Ward" } },
            "participant": [
                { "type": "organization", "actorReference": { "reference": "Organization/1" }, "role": { "text": "r" } },
                { "actorCanonical": "http://example.org/actor", "function": { "text": "f" } },
                { "actorReference": { "reference": "Practitioner/1" } },
            ],
            "definitionCanonical": "http://example.org/a",
            "transform": "http://example.org/t",
            "dynamicValue": [{ "path": "priority", "expression": { "expression": "'stat'" } }],
            "action": [{
                "id": "legacy",
                "linkId": "two",
                "relatedAction": [{ "targetId": "one", "relationship": "after", "endRelationship": "before-end", "offsetDuration": { "value": 1, "unit": "h" } }],
                "resource": { "reference": "#m" },
            }],
        }],
    }))
}

#[test]
fn an_orchestration_is_a_request_group_and_comes_back_whole() {
    let sent = orchestration();
    assert_eq!(check_r5(&sent, Some("RequestOrchestration")), Ok(()));
    let group = to_r4(&sent);
    assert_eq!(check(&group, Some("RequestGroup")), Ok(()), "{group:#?}");
    let at = |path: &str| Value::from(group.clone()).pointer(path).cloned().unwrap_or_default();
    assert_eq!((at("/status"), at("/intent")), (json!("revoked"), json!("proposal")));
    assert_eq!(at("/replaces/0/reference"), "RequestGroup/0");
    assert_eq!(at("/contained/0/medicationCodeableConcept/text"), "Gemcitabine");
    assert_eq!(at("/contained/0/reasonReference/0/reference"), "Condition/1");
    assert_eq!(at("/contained/0/status"), "stopped");
    assert_eq!(at("/contained/1/code/text"), "Look");
    assert_eq!((at("/action/0/id"), at("/action/0/action/0/id")), (json!("one"), json!("two")));
    assert_eq!(at("/action/0/action/0/relatedAction/0/actionId"), "one");
    assert_eq!(at("/action/0/participant/2"), json!({ "reference": "Practitioner/1" }));
    assert_eq!(to_r5(&group), sent);
}

#[test]
fn a_code_of_a_later_release_does_not_outlive_what_it_stood_for() {
    let mut group = to_r4(&orchestration());
    group.insert("status".into(), "completed".into());
    let shown = to_r5(&group);
    assert_eq!((shown["status"].as_str(), shown.get("_status")), (Some("completed"), None));
}

#[test]
fn a_request_group_is_an_orchestration_and_comes_back_whole() {
    let sent = body(json!({
        "resourceType": "RequestGroup",
        "contained": [{ "resourceType": "DeviceRequest", "id": "d", "intent": "option", "codeCodeableConcept": { "text": "Bed" }, "subject": { "reference": "Patient/1" } }],
        "status": "active", "_status": { "id": "st" }, "intent": "order",
        "reasonReference": [{ "reference": "Condition/1" }],
        "reasonCode": [{ "text": "a" }, { "text": "b" }],
        "action": [
            { "id": "one", "code": [{ "text": "x" }, { "text": "y" }], "documentation": [{ "type": "documentation", "url": "http://example.org/d" }], "resource": { "reference": "#d" } },
            { "relatedAction": [{ "actionId": "one", "relationship": "after-end" }], "participant": [{ "identifier": { "value": "1" } }], "resource": { "reference": "#d" } },
        ],
    }));
    let shown = to_r5(&sent);
    assert_eq!(check_r5(&shown, Some("RequestOrchestration")), Ok(()), "{shown:#?}");
    assert_eq!(shown["action"][0]["linkId"], "one");
    assert_eq!(shown["reason"][2]["reference"]["reference"], "Condition/1");
    assert_eq!(shown["action"][1]["participant"][0]["actorReference"]["identifier"]["value"], "1");
    assert_eq!(to_r4(&shown), sent);
}

#[test]
fn the_official_examples_go_there_and_back() {
    for (release, name) in [
        ("r5", "RequestOrchestration-example.json"),
        ("r5", "RequestOrchestration-kdn5-example.json"),
        ("r4", "RequestGroup-example.json"),
        ("r4", "RequestGroup-kdn5-example.json"),
    ] {
        let Some(text) = shared(&format!("examples/{release}/{name}")) else { continue };
        let sent: Map<String, Value> = serde_json::from_str(&text).expect("JSON");
        let (checked, r4) =
            if release == "r5" { (check_r5(&sent, None), to_r4(&sent)) } else { (check(&sent, None), sent.clone()) };
        assert_eq!(checked, Ok(()), "{name}");
        assert_eq!(check(&r4, Some("RequestGroup")), Ok(()), "{name}");
        let r5 = to_r5(&r4);
        assert_eq!(check_r5(&r5, Some("RequestOrchestration")), Ok(()), "{name}");
        assert_eq!(to_r4(&r5), r4, "{name}");
    }
}

#[test]
fn what_r5_has_not_is_refused_with_its_place() {
    let wrong = body(json!({
        "resourceType": "RequestOrchestration", "status": "over", "intent": "order",
        "reasonCode": [{ "text": "a" }],
        "action": [{ "timingRelativeTime": { "offset": 1 }, "participant": [{ "reference": "Patient/1" }] }],
    }));
    let faults = check_r5(&wrong, None).expect_err("it is wrong");
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let root = "RequestOrchestration";
    let expected =
        ["status", "reasonCode", "action[0].timingRelativeTime.offset", "action[0].participant[0].reference"];
    assert_eq!(paths, expected.map(|path| format!("{root}.{path}")));
    assert_eq!(path_in_r5("RequestGroup.action[0]"), "RequestOrchestration.action[0]");
    assert_eq!(path_in_r5("Task"), "Task");
}
