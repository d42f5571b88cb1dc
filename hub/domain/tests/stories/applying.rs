//! `$apply`: definitions become requests for somebody.

use hub_domain::apply::{self, Given};
use schemas::gate;
use schemas::outcome::IssueType;
use schemas::resource::Body;
use schemas::time::Timestamp;
use serde_json::{Value, json};

fn body(value: Value) -> Body {
    value.as_object().unwrap().clone()
}

fn given() -> Given {
    let patient = json!({ "resourceType": "Patient", "id": "1", "gender": "female", "active": true });
    Given {
        subject: "Patient/1".to_owned(),
        encounter: Some("Encounter/1".to_owned()),
        practitioner: Some("Practitioner/1".to_owned()),
        organization: None,
        seen: vec![("subject", patient)],
        now: Timestamp(1_790_000_000_000_000),
        definitions: Default::default(),
    }
}

fn prescription() -> Value {
    json!({
        "resourceType": "ActivityDefinition", "id": "drug", "url": "http://example.org/drug", "version": "2",
        "status": "active", "kind": "MedicationRequest", "priority": "urgent",
        "productCodeableConcept": { "text": "Paracetamol" },
        "dosage": [{ "text": "one a day" }],
        "dynamicValue": [
            { "path": "dispenseRequest.quantity", "expression": { "language": "text/fhirpath", "expression": "28 '{tablet}'" } },
            { "path": "note[0].text", "expression": { "language": "text/fhirpath", "expression": "'for a ' + %subject.gender" } },
            { "path": "reported", "expression": { "language": "text/fhirpath", "expression": "true" } },
        ],
    })
}

#[test]
fn an_activity_becomes_the_request_that_it_describes() {
    let made = apply::activity(&body(prescription()), &given()).unwrap();
    assert_eq!(gate::check(&made, Some("MedicationRequest")), Ok(()));
    let made = Value::Object(made);
    assert_eq!(
        (&made["status"], &made["intent"], &made["priority"]),
        (&json!("draft"), &json!("proposal"), &json!("urgent"))
    );
    assert_eq!(made["instantiatesCanonical"], json!(["http://example.org/drug|2"]));
    assert_eq!(
        (&made["subject"]["reference"], &made["requester"]["reference"]),
        (&json!("Patient/1"), &json!("Practitioner/1"))
    );
    assert_eq!(made["dispenseRequest"]["quantity"]["value"], 28);
    assert_eq!((&made["note"][0]["text"], &made["reportedBoolean"]), (&json!("for a female"), &json!(true)));
}

#[test]
fn an_activity_of_any_type_of_request_is_one_that_the_gate_lets_in() {
    for (kind, place) in [("ServiceRequest", "subject"), ("CommunicationRequest", "subject"), ("Task", "for")] {
        let definition = json!({
            "resourceType": "ActivityDefinition", "status": "active", "kind": kind, "intent": "order",
            "code": { "text": "Look" }, "participant": [{ "type": "practitioner", "role": { "text": "nurse" } }],
            "timingTiming": { "repeat": { "frequency": 1 } }, "bodySite": [{ "text": "arm" }],
        });
        let made = apply::activity(&body(definition), &given()).unwrap();
        assert_eq!(made[place]["reference"], "Patient/1", "{kind}");
        assert!(made.get("intent").is_none_or(|intent| intent == "order"), "{kind}");
    }
}

#[test]
fn expressions_see_their_action_and_may_say_what_it_is_called() {
    let says = |path: &str, text: &str| json!({ "path": path, "expression": { "expression": text } });
    let asks = |text: &str| json!([{ "kind": "applicability", "expression": { "expression": text } }]);
    let inner = json!({ "resourceType": "PlanDefinition", "status": "active", "action": [{ "id": "deep" }] });
    let definition = json!({
        "resourceType": "PlanDefinition", "status": "active", "contained": [prescription()],
        "action": [
            { "id": "one", "title": "Give", "definitionCanonical": "#drug", "condition": asks("%action.title = 'Give'"),
              "dynamicValue": [says("note[0].text", "%action.title & ' it'"), says("%action.title", "'For ' + note[0].text"),
                               says("action.description", "%action.title")] },
            { "id": "two", "title": "Not this", "condition": asks("%action.title = 'Give'") },
            { "id": "three", "definitionCanonical": "urn:inner", "dynamicValue": [says("action.title", "'A ' + %subject.gender")] },
        ],
    });
    let mut given = given();
    given.definitions.insert("urn:inner".to_owned(), body(inner));
    let group = Value::Object(apply::plan(&body(definition), &given).unwrap());
    assert_eq!(group["contained"][0]["note"][0]["text"], "Give it");
    let told = |n: usize, name: &str| group["action"][n][name].as_str().unwrap_or_default();
    assert_eq!((told(0, "title"), told(0, "description")), ("For Give it", "For Give it"));
    assert_eq!((told(1, "id"), told(1, "title")), ("three", "A female"));
}

#[test]
fn a_plan_becomes_a_group_with_its_options() {
    let says = |text: &str| json!([{ "kind": "applicability", "expression": { "language": "text/fhirpath", "expression": text } }]);
    let inner =
        json!({ "resourceType": "PlanDefinition", "status": "active", "action": [{ "id": "deep", "title": "Deep" }] });
    let definition = json!({
        "resourceType": "PlanDefinition", "url": "http://example.org/plan", "title": "Pain", "status": "active",
        "contained": [prescription()],
        "action": [
            { "id": "one", "definitionCanonical": "#drug", "condition": says("gender = 'female'"),
              "dynamicValue": [{ "path": "priority", "expression": { "expression": "'stat'" } }] },
            { "id": "two", "definitionCanonical": "http://example.org/inner", "selectionBehavior": "any",
              "relatedAction": [{ "actionId": "three", "relationship": "after" }, { "actionId": "one", "relationship": "after" }],
              "participant": [{ "type": "practitioner", "role": { "text": "nurse" } }] },
            { "id": "three", "title": "No", "condition": says("gender = 'male'") },
            { "id": "four", "title": "Nobody knows", "condition": says("deceased = true") },
        ],
    });
    let mut given = given();
    assert_eq!(apply::names(&body(definition.clone())), ["http://example.org/inner"]);
    given.definitions.insert("http://example.org/inner".to_owned(), body(inner));
    let group = apply::plan(&body(definition), &given).unwrap();
    assert_eq!(gate::check(&group, Some("RequestGroup")), Ok(()));
    let shown = gate::to_r5(&group);
    assert_eq!(gate::check_r5(&shown, Some("RequestOrchestration")), Ok(()));
    let group = Value::Object(group);
    let actions = group["action"].as_array().unwrap();
    assert_eq!(actions.iter().map(|action| action["id"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(actions[0]["resource"]["reference"], "#option-1");
    let option = &group["contained"][0];
    assert_eq!(
        (&option["intent"], &option["priority"]),
        (&json!("option"), &json!("stat")),
        "the plan has the last word"
    );
    assert_eq!(actions[1]["action"][0]["id"], "two.deep");
    assert_eq!(actions[1]["relatedAction"].as_array().unwrap().len(), 1, "nobody waits for what does not apply");
    assert_eq!(shown["action"][1]["participant"][0]["type"], "practitioner");
    assert_eq!(
        (&group["status"], &group["instantiatesCanonical"][0]),
        (&json!("draft"), &json!("http://example.org/plan"))
    );
}

#[test]
fn the_goals_of_a_plan_become_goals_of_somebody() {
    let goal = |id: &str, text: &str| {
        json!({ "id": id, "category": { "text": "treatment" }, "description": { "text": text },
                "target": [{ "measure": { "text": "pain" }, "detailQuantity": { "value": 3 }, "due": { "value": 2, "code": "wk" } }] })
    };
    let inner = json!({ "resourceType": "PlanDefinition", "status": "active", "goal": [goal("g", "Sleep")],
        "action": [{ "id": "deep", "title": "Deep", "goalId": ["g"] }] });
    let definition = json!({ "resourceType": "PlanDefinition", "status": "active", "goal": [goal("g", "No pain")],
        "contained": [prescription()], "action": [
            { "id": "one", "definitionCanonical": "#drug", "goalId": ["g"] },
            { "id": "two", "definitionCanonical": "http://example.org/inner" },
            { "id": "ask", "title": "Ask", "definitionCanonical": "http://example.org/Questionnaire/pain" },
        ] });
    let mut given = given();
    given.definitions.insert("http://example.org/inner".to_owned(), body(inner));
    let group = apply::plan(&body(definition), &given).unwrap();
    assert_eq!(gate::check(&group, Some("RequestGroup")), Ok(()));
    let shown = gate::to_r5(&group);
    assert_eq!(gate::check_r5(&shown, Some("RequestOrchestration")), Ok(()));
    let shown = Value::Object(shown);
    assert_eq!(shown["goal"], json!([{ "reference": "#goal-1" }, { "reference": "#goal-2" }]));
    assert_eq!(shown["action"][0]["goal"], json!([{ "reference": "#goal-1" }]));
    assert_eq!(shown["action"][1]["action"][0]["goal"], json!([{ "reference": "#goal-2" }]));
    assert_eq!(shown["action"][2]["definitionCanonical"], "http://example.org/Questionnaire/pain");
    let made = shown["contained"].as_array().unwrap().iter().find(|inner| inner["id"] == "goal-2").unwrap();
    assert_eq!((&made["resourceType"], &made["lifecycleStatus"]), (&json!("Goal"), &json!("proposed")));
    assert_eq!((&made["description"]["text"], &made["subject"]["reference"]), (&json!("Sleep"), &json!("Patient/1")));
    assert_eq!(made["target"][0]["dueDuration"]["value"], 2);

    // Submitted, the description goes to the filler.
    let mut world = crate::world::World::new();
    let mut sent = Value::Object(group);
    for (name, value) in [("status", "active"), ("intent", "order")] {
        sent[name] = json!(value);
    }
    sent["action"].as_array_mut().unwrap().remove(1);
    assert!(hub_domain::decide::remarks(&body(sent.clone())).is_empty());
    let order = world.create(sent.clone(), hub_domain::command::Caller::Local).unwrap();
    assert_eq!(world.step_of(&order, 1)["input"][0]["valueCodeableConcept"]["text"], "No pain");
    assert_eq!(world.step_of(&order, 2)["input"][0]["valueCanonical"], "http://example.org/Questionnaire/pain");
    sent["contained"][0]["intent"] = json!("proposal");
    let odd = hub_domain::decide::remarks(&body(sent));
    assert_eq!(odd.iter().map(|issue| issue.path.as_str()).collect::<Vec<_>>(), ["RequestGroup.contained[0].intent"]);
}

#[test]
fn what_cannot_be_applied_is_told_with_its_place() {
    let plan =
        |action: Value| body(json!({ "resourceType": "PlanDefinition", "status": "active", "action": [action] }));
    let cql = json!([{ "kind": "applicability", "expression": { "language": "text/cql", "expression": "x" } }]);
    let endless = json!({ "definitionCanonical": "me" });
    let mut given = given();
    given.definitions.insert("me".to_owned(), plan(endless.clone()));
    for (action, path, code) in [
        (
            json!({ "title": "a", "condition": cql }),
            "PlanDefinition.action[0].condition[0].expression",
            IssueType::NotSupported,
        ),
        (json!({ "definitionCanonical": "#x" }), "PlanDefinition.action[0].definitionCanonical", IssueType::NotFound),
        (json!({ "definitionUri": "http://x" }), "PlanDefinition.action[0].definitionUri", IssueType::NotSupported),
    ] {
        let faults = apply::plan(&plan(action), &given).unwrap_err();
        assert_eq!((faults[0].path.as_str(), faults[0].code, faults.len()), (path, code, 1));
    }
    assert_eq!(apply::plan(&plan(endless), &given).unwrap_err()[0].code, IssueType::Invariant);
    let activity = |rest: Value| {
        let mut definition = prescription();
        definition.as_object_mut().unwrap().extend(body(rest));
        apply::activity(&body(definition), &given).unwrap_err()[0].path.clone()
    };
    assert_eq!(activity(json!({ "kind": "Immunology" })), "ActivityDefinition.kind");
    assert_eq!(activity(json!({ "transform": "http://x" })), "ActivityDefinition.transform");
    let at =
        |path: &str, text: &str| json!({ "dynamicValue": [{ "path": path, "expression": { "expression": text } }] });
    assert_eq!(activity(at("priority.x", "'stat'")), "ActivityDefinition.dynamicValue[0].path");
    assert_eq!(activity(at("nothing", "'stat'")), "ActivityDefinition.dynamicValue[0].path");
    assert_eq!(activity(at("priority", "'a' | 'b'")), "ActivityDefinition.dynamicValue[0].path");
    assert_eq!(activity(at("priority", "'")), "ActivityDefinition.dynamicValue[0].expression");
    assert_eq!(activity(at("priority", "'soon'")), "MedicationRequest.priority");
}

#[test]
fn the_official_examples_are_applied_or_refused_for_a_reason() {
    let shared =
        std::env::var("HUB_SHARED").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
    let Ok(folder) = std::fs::read_dir(format!("{shared}/examples/r4")) else { return };
    let (mut applied, mut refused) = (Vec::new(), Vec::new());
    for file in folder.map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let is_of = |kind: &str| name.starts_with(&format!("{kind}-"));
        if !is_of("PlanDefinition") && !is_of("ActivityDefinition") {
            continue;
        }
        let definition: Body = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let made = if is_of("PlanDefinition") {
            apply::plan(&definition, &given())
        } else {
            apply::activity(&definition, &given())
        };
        match made {
            Ok(made) => {
                assert_eq!(gate::check(&made, None), Ok(()), "{name}");
                applied.push(name);
            }
            Err(faults) => refused.push((name, faults)),
        }
    }
    applied.sort();
    let expected = ["KDN5", "options-example"].map(|name| format!("PlanDefinition-{name}.json"));
    assert!(expected.iter().all(|name| applied.contains(name)), "{applied:?}");
    // The others ask in CQL, or call for definitions that are elsewhere.
    for (name, faults) in refused {
        let known = |fault: &schemas::outcome::Issue| {
            fault.text.contains("text/fhirpath") || fault.text.contains("no such definition")
        };
        assert!(faults.iter().all(known), "{name}: {faults:?}");
    }
}
